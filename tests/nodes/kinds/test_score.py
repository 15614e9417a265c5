"""score by a model: judges on a scale, in probabilities and in words."""

import math
from typing import Any

import pytest

import thinkgraph as tg
from thinkgraph.models.backends.local import LocalModel
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import NoProbabilities
from thinkgraph.models.model import Message, ModelRequest, continued

QUESTION = "What is 2 + 3?"


def judged(model: tg.Model, drafts: int = 2, **settings: Any) -> tg.Result:
    graph = tg.Graph("judged")
    graph.add(draft=tg.Generate(samples=drafts), judge=tg.Score(**settings))
    graph.edge(tg.START, "draft", "judge", tg.END)
    return graph.run(QUESTION, model=model, seed=1)


def one_at(index: int) -> list[float]:
    return [float(i == index) for i in range(10)]


def test_a_score_on_a_scale_is_the_expected_one_and_not_the_likeliest() -> None:
    even = [0.0] * 6 + [0.5, 0.0, 0.3, 0.2]
    model = ScriptedModel(["It is 5.", "It is 6."], choices=[one_at(9), even])
    result = judged(model, by="scale")
    assert [c.score for c in result.candidates] == pytest.approx([10, 0.5 * 7 + 0.3 * 9 + 0.2 * 10])
    assert result.critiques == ()
    *_, request = result.requests
    assert request.options == tuple(f" {n}" for n in range(1, 11))
    assert request.messages[-1].content == "Score:"
    assert "It is 6." in request.messages[-2].content


def test_the_rubric_and_the_ends_of_the_scale_are_in_the_prompt() -> None:
    model = ScriptedModel(["It is 5."], choices=[[0.0, 0.0, 1.0, 0.0]])
    result = judged(model, 1, by="scale", scale=(0, 3), rubric="3: right. 0: wrong.")
    assert [c.score for c in result.candidates] == [2]
    prompt = result.requests[-1].messages[0].content
    assert "3: right. 0: wrong." in prompt and "lowest score is 0 and the highest is 3" in prompt


def test_a_reason_comes_before_the_score_and_becomes_a_critique() -> None:
    model = ScriptedModel(
        ["It is 5.", "It is 6.", "All right.", "Off by one. Score: 9"],
        choices=[one_at(8), one_at(1)],
    )
    result = judged(model, by="scale", reason=True)
    good, bad = result.critiques
    assert (good.text, good.accepted) == ("All right.", True)
    assert (bad.text, bad.accepted) == ("Off by one.", False)  # its own score was not asked for yet
    assert [c.score for c in result.candidates] == [9, 2]
    begun = [r.messages[-1].content for r in result.requests if r.options]
    assert begun == ["All right.\n\nScore:", "Off by one.\n\nScore:"]


def test_several_reasons_give_the_mean_of_their_scores() -> None:
    model = ScriptedModel(["It is 5.", "Good.", "Bad."], choices=[one_at(9), one_at(3)])
    result = judged(model, 1, by="scale", reason=True, samples=2, threshold=8)
    assert [c.score for c in result.candidates] == [7]
    assert [c.accepted for c in result.critiques] == [True, False]


def test_a_model_without_probabilities_writes_its_score() -> None:
    replies = ["It is 5.", "It is 6.", "Right. Score: 9", "I can't tell."]
    result = judged(ScriptedModel(replies), by="scale", reason=True, verdict="text")
    assert [c.score for c in result.candidates] == [9, None]
    assert [c.accepted for c in result.critiques] == [True]
    assert "Score: N" in result.requests[-1].messages[-1].content
    assert result.failures == {"judge.0": ('no score can be read in "I can\'t tell."',)}


@pytest.mark.parametrize(
    ("by", "replies", "scores"),
    [
        ("judge", ["Yes.", "No.", "No", "Yes, but no."], [0.5, 0.5]),
        ("pairwise", ["A", "A", "B", "B"], [1, 0]),
        ("scale", ["8", "9", "Score: 1", "2"], [8.5, 1.5]),
    ],
)
def test_written_answers_are_averaged(by: str, replies: list[str], scores: list[float]) -> None:
    model = ScriptedModel(["It is 5.", "It is 6.", *replies])
    result = judged(model, by=by, verdict="text", samples=2)
    assert [c.score for c in result.candidates] == scores


@pytest.mark.parametrize("verdict", ["logits", "text"])
@pytest.mark.parametrize(
    ("by", "replies", "choice", "scores"),
    [
        ("judge", ["No."], [[0, 1]], [0, 0, 0]),
        ("scale", ["Score: 1"], [one_at(0)], [1, 1, 1]),
        ("pairwise", [], [], [1, 0, 2]),
    ],
)
def test_no_model_is_asked_about_an_empty_candidate(
    by: str, replies: list[str], choice: list[list[float]], scores: list[float], verdict: str
) -> None:
    model = ScriptedModel([" ", "", "It is 5.", *replies], choices=choice)
    result = judged(model, 3, by=by, verdict=verdict)
    assert [c.score for c in result.candidates] == scores
    assert result.usage.model_calls == 1 + len(replies)
    assert not result.failures


def test_a_judge_without_probabilities_tells_the_way_out() -> None:
    class Hosted(ScriptedModel):
        async def choose(self, request: Any, options: Any) -> Any:
            raise NoProbabilities("it gives no probabilities")

    with pytest.raises(NoProbabilities, match=r"or set `verdict: text`"):
        judged(Hosted(["It is 5."]), 1, by="judge")


async def test_an_option_that_begins_another_counts_without_it(smollm2: LocalModel) -> None:
    """1 also begins 10, where digits are tokens of their own."""
    messages = continued([Message(role="user", content="Count: 8, 9,")], "Score:")
    request = ModelRequest(messages)
    options = [f" {n}" for n in range(1, 11)]
    found, _ = await smollm2.choose(request, options)
    single, _ = await smollm2.choose(request, options[:9])
    tokens, _ = await smollm2.score(request, " 10")
    share = sum(t.logprob for t in tokens)
    alone, _ = await smollm2.score(request, " 1")
    likelihood = sum(t.logprob for t in alone)
    ten_of_one = math.exp(share - likelihood)
    assert sum(found) == pytest.approx(1)
    assert found[0] == pytest.approx(single[0] * (1 - ten_of_one), rel=0.05)
    assert found[9] == pytest.approx(single[0] * ten_of_one, rel=0.05)
