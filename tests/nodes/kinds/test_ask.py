"""Texts that are no answer yet: a field of the spec's state, alone or as a list."""

import pytest

from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.model import Message
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


def stepped(model):
    return Step("ask", 0, 1, {}, models=lambda role: model)


async def asked(replies, fields, **settings):
    model = ScriptedModel(replies)
    step = stepped(model)
    node = Ask(prompt=PROMPT, into="found", **settings)
    update = await node.run(State(question="Why?", fields=fields), step)
    return update.fields, [call.messages[-1].content for call in model.calls]


async def test_a_text_goes_to_its_field():
    assert await asked([" Because. "], {}) == ({"found": "Because."}, ["Why?"])


@pytest.mark.parametrize(
    ("text", "items"),
    [("1. One\n2. Two\n3. Three is cut", ["One", "Two"]), ("1. One is cut", ["One"])],
)
async def test_an_item_that_is_cut_off_is_no_item_beside_others(text, items):
    fields, _ = await asked([text], {}, lines=True, max_tokens=len(text.split()) - 2)
    assert fields == {"found": items}


async def test_an_empty_text_is_told():
    step = stepped(ScriptedModel([" "]))
    await Ask(prompt=PROMPT, into="found").run(State(question="Why?", fields={}), step)
    assert step.failures == ["the model wrote nothing for 'found'"]


@pytest.mark.parametrize(
    ("settings", "roles"),
    [({}, ["system", "user", "assistant", "user"]), ({"conversation": False}, ["system", "user"])],
)
async def test_a_conversation_may_be_left_out_but_for_its_system_message(settings, roles):
    turns = [("system", "Be brief."), ("user", "Hi."), ("assistant", "Hello.")]
    messages = tuple(Message(role=role, content=text) for role, text in turns)
    model = ScriptedModel(["x"])
    state = State(question="Why?", messages=messages, fields={})
    await Ask(prompt=PROMPT, into="found", **settings).run(state, stepped(model))
    assert [message.role for message in model.calls[0].messages] == roles


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
