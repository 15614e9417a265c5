"""Judges of candidates that are longer than the model's context: they see the end of the text."""

from __future__ import annotations

import pytest

import thinkgraph as tg
from thinkgraph.models.backends.scripted import ScriptedModel

LONG = "step " * 380 + "so the answer is 4."
JUDGES = {
    "critique": tg.Critique(verdict="text", max_tokens=40),
    "meta": tg.Critique(verdict="text", max_tokens=40, meta="critique-valid"),
    "judge": tg.Score(by="judge", verdict="text", max_tokens=40),
    "scale": tg.Score(by="scale", verdict="text", reason=True, max_tokens=400),
}


@pytest.mark.parametrize(
    "judge",
    [
        tg.Score(by="pairwise", verdict="text", max_tokens=100),
        tg.Choose(verdict="text", max_tokens=100),
    ],
    ids=["pairwise", "choose"],
)
def test_texts_that_are_compared_leave_room_for_the_reply(judge: tg.Score | tg.Choose) -> None:
    graph = tg.Graph("compared")
    graph.add(draft=tg.Generate(extract="text", samples=2, max_tokens=400), check=judge)
    graph.edge(tg.START, "draft", "check", tg.END)
    model = ScriptedModel([LONG, LONG, "A", "B"], context_length=420)
    graph.run("What is 2 + 2?", model=model, seed=1)
    for call in model.calls[1:]:
        assert "so the answer is 4." in call.messages[-1].content
        assert model.count_tokens(call.messages) <= 420 - 100


@pytest.mark.parametrize("name", JUDGES)
def test_a_candidate_that_does_not_fit_is_judged_by_its_end(name: str) -> None:
    graph = tg.Graph("judged")
    graph.add(draft=tg.Generate(extract="text", max_tokens=400), check=JUDGES[name])
    graph.edge(tg.START, "draft", "check", tg.END)
    said: list[str] = []

    def reply(messages: list[tg.Message], seed: int) -> str:
        said.append(messages[-1].content)
        return LONG if len(said) == 1 else "No, it is wrong. Verdict: no. Score: 3"

    model = ScriptedModel(reply, context_length=420)
    result = graph.run("What is 2 + 2?", model=model, seed=1)
    assert result.answer.text == LONG
    assert not any("prompt" in each for each in result.usage.failures)
    for prompt in said[1:]:
        assert "so the answer is 4." in prompt and "…" in prompt
        assert model.count_tokens([tg.Message(role="user", content=prompt)]) <= 420
    assert len(said) >= 2
