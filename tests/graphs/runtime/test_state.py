"""How parallel and repeated writes to the channels combine."""

from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.graphs.runtime import state

COUNTS = st.dictionaries(st.text(max_size=2), st.integers(0, 5), max_size=4)


@given(COUNTS, COUNTS)
def test_writing_again_what_is_there_changes_nothing(old, new):
    for reducer in (state.merge, state.merge_greatest):
        once = reducer(old, new)
        assert reducer(once, new) == once


@given(COUNTS, COUNTS, COUNTS)
def test_counts_come_to_the_same_in_any_order(a, b, c):
    merge = state.merge_greatest
    assert merge(merge(a, b), c) == merge(merge(a, c), b)


def test_append_takes_one_item_or_several():
    assert state.append(state.append(None, "a"), ["b", "c"]) == ["a", "b", "c"]
