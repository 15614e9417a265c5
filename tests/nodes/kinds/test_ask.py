"""Texts that are no answer yet: a field of the spec's state, alone or as a list."""

import pytest

from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.nodes.kinds.ask import Ask, listed
from thinkgraph.nodes.population import State
from thinkgraph.nodes.prompts.prompt import Prompt
from thinkgraph.nodes.step import Step

PROMPT = Prompt(user="{{ question }} {{ item }}")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("1. One\n2) Two\n\n- Three\n• Four", ["One", "Two", "Three", "Four"]),
        ("Step 1: One\nQuestion 2. Two", ["One", "Two"]),
        ("12 apples are left", ["12 apples are left"]),
        ("", []),
    ],
)
def test_lines_come_without_their_numbers(text, lines):
    assert listed(text) == lines


async def asked(replies, fields, **settings):
    model = ScriptedModel(replies)
    step = Step("ask", 0, 1, {}, models=lambda role: model)
    node = Ask(prompt=PROMPT, into="found", **settings)
    update = await node.run(State(question="Why?", fields=fields), step)
    return update.fields, [call.messages[-1].content for call in model.calls]


async def test_a_text_goes_to_its_field():
    assert await asked([" Because. "], {}) == ({"found": "Because."}, ["Why?"])


async def test_each_item_is_asked_for():
    fields, prompts = await asked(["x", "y"], {"parts": ["one", "two"]}, each="parts")
    assert fields == {"found": ["x", "y"]}
    assert prompts == ["Why? one", "Why? two"]


async def test_no_more_lines_than_wanted_are_kept():
    fields, _ = await asked(["a\nb\nc"], {}, lines=True, most=2)
    assert fields == {"found": ["a", "b"]}


def test_it_reads_and_writes_the_fields_that_it_names():
    node = Ask(prompt=PROMPT, into="found", each="parts")
    assert (node.channels_read, node.channels_written) == ({"question", "parts"}, {"found"})
