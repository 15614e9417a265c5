"""One text from several candidates, and what stays where it can't be written."""

import pytest

import thinkgraph as tg
from thinkgraph.models.backends.scripted import ScriptedModel

DRAFTS = ["It is 1.", "It is 2.", "It is 3."]


def merged(reply, drafts=DRAFTS):
    made = tg.Graph("merge")
    made.add(draft=tg.Generate(samples=len(drafts), max_tokens=6))
    made.add(merge=tg.Synthesize(max_tokens=6), vote=tg.Vote())
    made.edge(tg.START, "draft", "merge", "vote", tg.END)
    return made.run("How many?", model=ScriptedModel([*drafts, reply]))


def live(result):
    return [candidate.text for candidate in result.candidates if candidate.live]


def test_the_new_text_replaces_the_candidates():
    result = merged("It is 2.")
    assert live(result) == ["It is 2."]
    assert not result.failures


@pytest.mark.parametrize(
    ("reply", "fault"),
    [("", "the model wrote nothing"), ("so " * 9, "what the model wrote was cut off")],
)
def test_finished_candidates_stay_where_nothing_whole_is_written(reply, fault):
    result = merged(reply)
    assert live(result) == DRAFTS
    assert result.failures == {"merge.0": (f"the candidates are kept as they are: {fault}",)}


def test_a_text_that_is_cut_off_replaces_others_that_are():
    result = merged("and " * 9, ["so " * 9] * 2)
    assert [text.split()[0] for text in live(result)] == ["and"]
