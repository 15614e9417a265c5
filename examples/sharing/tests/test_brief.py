"""What the package shares, with a model that says what it is told to."""

import thinkgraph as tg
from thinkgraph.graphs.checker.check import check_files
from thinkgraph.models.backends.scripted import ScriptedModel


def test_the_checker_finds_no_problem():
    assert check_files(["brief-vote"]) == []


def test_the_most_common_short_answer_wins():
    model = ScriptedModel(["It is 5.", "It is 6.", "It is 5 and so on and so on"])
    result = tg.load("brief-vote").run("What is 2 + 3?", model=model, samples=3, words=3)
    assert (result.answer.value, result.answer.votes) == ("5", 2)
    assert model.calls[0].messages[-1].content.endswith("as briefly as you can.")
