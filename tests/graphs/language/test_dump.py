"""Data written as YAML: it comes back as it was, and can be read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.graphs.catalogue import builtin_names
from thinkgraph.graphs.checker.check import load
from thinkgraph.graphs.language.document import Document
from thinkgraph.graphs.language.dump import dump
from thinkgraph.graphs.language.spec import Spec
from thinkgraph.models.errors import ThinkgraphError

ODD = ["\x85", "\u2028", "\ufeff", "\x7f", "\x00", "\r", "\t", "\n", " ", "#", ": ", "- ", "!", "'"]
WORDS = ["a word ", "x" * 70, "\t" * 30, " " * 40, "two\nlines\n", "  ahead\n"]
pieces = st.one_of(st.text(max_size=6), st.sampled_from(ODD), st.sampled_from(WORDS))
texts = st.lists(pieces, max_size=8).map("".join)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


@pytest.mark.slow
@given(st.dictionaries(texts, values, max_size=5))
def test_any_data_comes_back_as_it_was(data: dict[str, Any]):
    document = Document.parse(dump(data))
    assert document.problems == []
    assert document.data == data


@pytest.mark.parametrize("name", builtin_names())
def test_every_built_in_graph_comes_back_as_it_was(name: str):
    spec = load(name)
    assert Spec.model_validate(Document.parse(dump(spec.plain)).data) == spec


def test_what_is_written_can_be_read():
    data = {
        "name": "x",
        "nodes": {
            "draft": {"kind": "generate", "prompt": {"user": "Question:\n{{ question }}\n"}},
            "vote": {"kind": "vote"},
        },
        "edges": ["START -> draft -> vote", {"vote -> draft": {"when": "!accepted"}}],
    }
    assert (
        dump(data)
        == """\
name: x
nodes:
  draft:
    kind: generate
    prompt:
      user: |
        Question:
        {{ question }}
  vote: {kind: vote}
edges:
  - START -> draft -> vote
  - vote -> draft: {when: '!accepted'}
"""
    )


def test_a_text_that_no_file_can_hold_is_refused():
    with pytest.raises(ThinkgraphError, match="surrogate"):
        dump({"about": "\ud800"})
