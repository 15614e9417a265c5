"""Seeds of samples."""

from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.models.seed import derive_seed


@given(st.integers(), st.text(), st.integers(0, 9), st.integers(0, 99))
def test_a_seed_fits_in_32_bits_and_never_asks_llama_cpp_to_choose(run, node, round, sample):
    assert 0 <= derive_seed(run, node, round, sample) < 0xFFFFFFFF


def test_seeds_differ_by_run_node_round_and_sample():
    keys = [(1, "a", 0, 0), (2, "a", 0, 0), (1, "b", 0, 0), (1, "a", 1, 0), (1, "a", 0, 1)]
    assert len({derive_seed(*key) for key in keys}) == len(keys)


def test_a_seed_is_the_same_in_every_process():
    assert derive_seed(1, "sample", 0, 0) == 447670315
