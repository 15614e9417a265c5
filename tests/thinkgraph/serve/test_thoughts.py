"""The thoughts of a run are one text that can be read, in whatever order the samples grow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.nodes.event import CandidateUpdated, NodeStarted, TextDelta
from thinkgraph.nodes.population import Candidate
from thinkgraph.serve.replies.thoughts import Thoughts


def delta(id: str, text: str, *, node: str = "draft", reasoning: str = "") -> TextDelta:
    return TextDelta(node=node, id=id, text=text, tokens=1, reasoning=reasoning)


def candidate(id: str, text: str, answer: str | None = "12") -> Candidate:
    return Candidate(
        id=id,
        node="draft",
        round=0,
        text=text,
        answer=answer,
        seed=0,
        tokens=1,
        finish_reason="stop",
    )


@given(st.data(), st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_every_text_is_shown_once_and_in_one_piece(data: st.DataObject, sizes: list[int]) -> None:
    left = {f"draft.0.{i}": [f"<{i}:{n}>" for n in range(size)] for i, size in enumerate(sizes)}
    whole = {name: "".join(parts) for name, parts in left.items()}
    thoughts, shown = Thoughts(), ""
    while left:
        name = data.draw(st.sampled_from(sorted(left)))
        if left[name]:
            shown += thoughts.take(delta(name, left[name].pop(0)))
        else:
            del left[name]
            shown += thoughts.take(CandidateUpdated(candidate=candidate(name, whole[name])))
    assert thoughts.close() == ""
    for name, text in whole.items():
        assert shown.count(f"**{name}**") == 1
        assert text in shown
    assert shown.count("→ 12") == len(whole)


def test_a_text_whose_end_nobody_tells_is_shown_before_the_next_node() -> None:
    thoughts = Thoughts()
    shown = thoughts.take(delta("plan.0.0", "First this", node="plan"))
    shown += thoughts.take(NodeStarted(node="draft", round=0))
    shown += thoughts.take(delta("draft.0.0", "then that"))
    assert shown == "**plan.0.0** First this\n\n**draft.0.0** then that"


def test_a_thought_is_set_apart_and_the_writers_text_is_none() -> None:
    thoughts = Thoughts(writer="reply")
    assert thoughts.take(delta("reply.0.0", "12", node="reply", reasoning="Hm.")) == "Hm."
    shown = thoughts.take(delta("draft.0.0", "", reasoning="Hm."))
    shown += thoughts.take(delta("draft.0.0", "It is 12."))
    assert shown == "**draft.0.0** Hm.\n\nIt is 12."


def test_scores_and_cancelled_samples_are_told() -> None:
    thoughts = Thoughts()
    first = candidate("draft.0.0", "It is 12.")
    assert "→ 12" in thoughts.take(CandidateUpdated(candidate=first))
    scored = first.model_copy(update={"score": 0.5})
    assert thoughts.take(CandidateUpdated(candidate=scored)) == "draft.0.0: score 0.5\n"
    cut = candidate("draft.0.1", "It").model_copy(update={"finish_reason": "cancelled"})
    assert "→ cancelled" in thoughts.take(CandidateUpdated(candidate=cut))
