"""One text from several candidates, and what stays where it can't be written."""

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


def test_candidates_stay_where_nothing_is_written():
    result = merged("")
    assert live(result) == DRAFTS
    said = "the candidates are kept as they are: the model wrote nothing"
    assert result.failures == {"merge.0": (said,)}


def test_a_text_that_is_cut_off_replaces_them_since_it_may_have_been_streamed():
    result = merged("and " * 9)
    assert [text.split()[0] for text in live(result)] == ["and"]
