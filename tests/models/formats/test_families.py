"""Published families of models: their prompts as transformers renders them, their output read back.

``make_families.py`` writes families.json. The parsing needs nothing else; the prompts need the
templates, whose folder THINKGRAPH_TEMPLATES names (the script can fetch them).
"""

import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from thinkgraph.models.formats.format import AROUND, CALLS, CHANNELS, HERMES, THOUGHTS, ChatFormat
from thinkgraph.models.formats.parser import ResponseParser, Said
from thinkgraph.models.formats.template import ChatTemplate
from thinkgraph.models.model import Message, Tool, ToolCall

FAMILIES = json.loads(Path(__file__).with_name("families.json").read_text("utf-8"))
FOLDER = Path(os.environ.get("THINKGRAPH_TEMPLATES", "no folder"))
QUESTION, ANSWER, THOUGHT = "Will it rain in Paris?", "It will rain.", "The tool knows that."
USER = Message(role="user", content=QUESTION)
CALL = ToolCall(name="weather", arguments={"city": "Paris", "days": 2}, id="abc123def")
TOOL = Tool(
    name="weather",
    description="Get the weather.",
    parameters={
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "A city."},
            "days": {"type": "integer", "description": "How many."},
        },
        "required": ["city"],
    },
)
UNREAD = {"GigaChat3-10B-A1.8B"}
"""A family whose calls are a turn of their own: it is told of tools in words."""
BEHIND = ("<|START_OF_TURN_TOKEN|>", "<｜hy_eos:opensource｜>")
"""What two templates write behind a turn."""


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def format_named(told):
    thoughts = {thought.begin: thought for thought in THOUGHTS}
    calls = {row.name: row for row in reversed((*CALLS, HERMES))}
    channels = {row.answer: row for _, row in CHANNELS}
    return ChatFormat(
        thought=thoughts.get(told["thought"]),
        calls=calls.get(told["calls"]),
        channels=channels.get(told["channels"]),
        around=tuple(text for pair in AROUND for text in pair if text in told["around"]),
    )


def read(form, text, size, opened, tools):
    place = "header" if form.channels else "thought" if opened else "answer"
    parser = ResponseParser(form, tools, place=place)
    told = Said()
    for at in range(0, len(text), size):
        parser.feed(text[at : at + size])
        told.add_calls(parser.take())
    parser.close()
    told.add_calls(parser.take())
    assert [(p.id, p.name, json.loads(p.arguments)) for p in told.pieces.values()] == [
        (call.id, call.name, call.arguments) for call in parser.tool_calls
    ]
    return parser


CASES = [
    pytest.param(name, case, *written, id=f"{name}: {case}")
    for name, family in FAMILIES.items()
    for case, written in family["writes"].items()
    if name not in UNREAD and (family["format"]["knows_tools"] or "call" not in case)
]


@pytest.mark.parametrize(("name", "case", "text", "opened"), CASES)
def test_what_a_family_writes_is_read_back_also_when_cut_at_every_character(
    name, case, text, opened
):
    form = format_named(FAMILIES[name]["format"])
    for end in BEHIND:
        text = text.partition(end)[0].removeprefix("<|CHATBOT_TOKEN|>\n")
    begins = form.thought.begin.strip() if form.thought else "\0"
    opened = THOUGHT in text and begins not in text
    tools = [TOOL] if "call" in case else []
    for size in (len(text) or 1, 1, 7):
        parser = read(form, text, size, opened, tools)
        called = [(call.name, call.arguments) for call in parser.tool_calls]
        assert called == ([(CALL.name, CALL.arguments)] if tools and CALL.name in text else [])
        assert parser.invalid_tool_calls == []
        assert parser.reasoning.strip() == (THOUGHT if THOUGHT in text else "")
        assert parser.text.strip() == (ANSWER if "answer" in case else "")


def rendered(template, case):
    on = {}
    match case:
        case "plain":
            messages, tools = [Message(role="system", content="Be brief."), USER], []
        case "tools":
            messages, tools = [USER], [TOOL]
        case "results":
            called = Message(role="assistant", reasoning=THOUGHT, tool_calls=(CALL,))
            answered = Message(role="tool", content="Rain.", tool_call_id=CALL.id, name=CALL.name)
            messages, tools = [USER, called, answered], [TOOL]
        case "continued":
            messages, tools = [USER, Message(role="assistant", content="Verdict:")], []
    prompt = template.render(messages, tools, {"strftime_now": "2026-01-31", **on})
    return "".join(piece.text for piece in prompt.pieces)


@pytest.mark.skipif(not FOLDER.is_dir(), reason="THINKGRAPH_TEMPLATES names no folder")
@pytest.mark.parametrize(
    ("name", "case", "expected"),
    [
        pytest.param(name, case, expected, id=f"{name}: {case}")
        for name, family in FAMILIES.items()
        for case, expected in family["rendered"].items()
    ],
)
def test_a_prompt_is_the_one_that_transformers_renders(name, case, expected):
    source = (FOLDER / f"{name}.jinja").read_text("utf-8")
    if digest(source) != FAMILIES[name]["template"]:
        pytest.skip("this is another version of the template")
    template = ChatTemplate(source, "<s>", "</s>")
    if case in ("tools", "results") and not template.knows_tools:
        pytest.skip("tools are told in words")
    text = rendered(template, case)
    # Models that think unasked are given an empty thought before an answer that has begun.
    unasked = re.sub(r"<(\S*think\S*)>\s*</\1>\s*(?=Verdict:)", "", text)
    assert expected in (digest(text), digest(unasked))


def test_at_least_thirty_families_are_known():
    assert len(FAMILIES) - len(UNREAD) >= 30
