"""Completions of a spec in the editor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.serve.page.completion import complete

NODES = "params:\n  k: 3\nnodes:\n  a: {kind: generate}\n  b:\n    kind: vote\n"


def labels(text: str) -> list[str]:
    """What is offered where the text has a `|`."""
    before, _, after = text.partition("|")
    return [option.label for option in complete(before + after, len(before))[1]]


@pytest.mark.parametrize(
    ("text", "offered", "not_offered"),
    [
        ("|", "nodes", "kind"),
        ("thinkgraph: 1\n|", "nodes", "thinkgraph"),
        ("nodes:\n  a: {kind: |", "generate", "nodes"),
        ("nodes:\n  a:\n    kind: ge|", "generate", "prompt"),
        ("nodes:\n  a: {kind: score, |", "by", "extract"),
        ("nodes:\n  a:\n    kind: score\n    |", "by", "kind"),
        ("nodes:\n  a:\n    kind: score\n    by: |", "logprob", "true"),
        ("nodes:\n  a: {kind: generate, prompt: |}", "step-by-step", "logprob"),
        ("nodes:\n  a: {use: |", "self-consistency", "generate"),
        (f"{NODES}edges:\n  - START -> |", "b", "k"),
        (f"{NODES}edges:\n  - a -> b: {{|", "when", "START"),
        ("params:\n  k: 3\nnodes:\n  a: {kind: generate, samples: $|", "$k", "1"),
        ("params:\n  k: {|", "minimum", "kind"),
        ("budget: {|", "tokens", "minimum"),
    ],
)
def test_what_may_stand_at_the_cursor_is_offered(text: str, offered: str, not_offered: str) -> None:
    found = labels(text)
    assert offered in found
    assert not_offered not in found


def test_the_word_at_the_cursor_is_replaced() -> None:
    text = "nodes:\n  a: {kind: gen"
    start, _ = complete(text, len(text))
    assert text[start:] == "gen"


@given(st.text(alphabet="ab:{}[],-$> \n\t'\"#|ékind", max_size=80), st.integers(0, 80))
def test_any_text_is_completed_without_an_error(text: str, position: int) -> None:
    start, _ = complete(text, min(position, len(text)))
    assert 0 <= start <= len(text)
