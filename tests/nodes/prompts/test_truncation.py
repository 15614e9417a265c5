"""Several texts in one prompt: whole where they fit, their ends where they don't."""

from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.model import Message
from thinkgraph.nodes.prompts.truncation import truncate_texts


def render(texts):
    return [Message(role="user", content=" ".join(["Read:", *texts]))]


def test_texts_that_fit_are_shown_whole():
    model = ScriptedModel(context_length=50)
    assert truncate_texts(render, ["a b", "c d"], model)[0].content == "Read: a b c d"


def test_of_texts_that_do_not_fit_the_ends_are_shown():
    model = ScriptedModel(context_length=200)
    texts = ["long " * 400 + "It is 4", "It is 5"]
    messages = truncate_texts(render, texts, model, room=100)
    assert model.count_tokens(messages) <= 100
    assert "It is 4" in messages[0].content and messages[0].content.endswith("It is 5")
    assert "…" in messages[0].content
