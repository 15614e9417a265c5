"""How tools are put to a model: to its template, in words, and to the decoder as constraints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from thinkgraph.models.engine.sampling.json_schema import enforceable
from thinkgraph.models.formats.calls import JsonObjects
from thinkgraph.models.formats.format import HERMES, Calls, Channels, ChatFormat
from thinkgraph.models.model import Message, Tagged, Tool

WORDS = """You may call these tools. Each has a name, a description and a JSON schema:
{tools}

To call a tool, write this and nothing after it:
{example}
The results come in the next message. When no tool is needed, answer in plain text."""


def described(tool: Tool) -> dict[str, Any]:
    """A tool as OpenAI's API describes it, which is what chat templates take."""
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    }


def in_words(
    messages: Sequence[Message], tools: Sequence[Tool], format: ChatFormat
) -> list[Message]:
    """A conversation for a template that knows no tools: what they are and say as mere text."""
    turns = [_in_words(message) for message in messages]
    if not tools:
        return turns
    told = json.dumps([tool.model_dump() for tool in tools], ensure_ascii=False, indent=1)
    example = _written("NAME", {"ARGUMENT": "VALUE"})
    text = WORDS.format(tools=told, example=example)
    if turns and turns[0].role == "system":
        first = turns[0].model_copy(update={"content": f"{turns[0].content}\n\n{text}"})
        return [first, *turns[1:]]
    return [Message(role="system", content=text), *turns]


def _in_words(message: Message) -> Message:
    if message.role == "tool":
        said = f"<tool_response>\n{message.content}\n</tool_response>"
        return Message(role="user", content=said)
    if message.tool_calls:
        calls = [_written(call.name, call.arguments) for call in message.tool_calls]
        texts = [message.content, *calls] if message.content else calls
        return Message(role="assistant", content="\n".join(texts))
    return message


def _written(name: str, arguments: dict[str, Any]) -> str:
    call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"{HERMES.begin}{call}{HERMES.end}"


def held(
    format: ChatFormat,
    tools: Sequence[Tool],
    *,
    knows_tools: bool,
    parallel: bool,
    bare: bool = False,
) -> list[Tagged]:
    """What holds calls of these tools to their schemas while they are decoded.

    Arguments that a tool's schema doesn't name are not allowed, unless it says that they are.
    ``bare`` holds also calls without their delimiters, which small models leave out; it is for
    calls that are not required.

    Raises:
        ModelError: the model writes calls in a way in which a tool's name can't be written.
    """
    tools = [
        tool.model_copy(update={"parameters": closed(enforceable(tool.parameters))})
        for tool in tools
    ]
    if format.channels and knows_tools:
        return [_in_channel(format.channels, tool, required=not bare) for tool in tools]
    calls: Calls = format.calls if format.calls and knows_tools else HERMES
    if calls.begin == "<|python_tag|>" and isinstance(calls.body, JsonObjects):
        return _bare(tools, calls.body.arguments)
    closing = "".join(calls.around[1:])
    tagged = [
        one if parallel else one.model_copy(update={"end": one.end + closing})
        for one in calls.body.held(calls.begin, calls.end, tools, parallel)
    ]
    return tagged + (_bare(tools) if bare and calls is HERMES else [])


def _in_channel(channels: Channels, tool: Tool, *, required: bool) -> Tagged:
    """A call as a message of its own: from its header on, or from within it where that is free."""
    begin = channels.call_begin.replace("NAME", tool.name)
    trigger = channels.call_trigger
    if channels.body is None:
        return Tagged(
            begin=begin, json_schema=tool.parameters, end=channels.call_end, trigger=trigger
        )
    header, mark, rest = begin.partition(channels.header_end)
    begin = header + mark + rest if required else rest
    (tag,) = channels.body.held(begin, channels.call_end, [tool], parallel=True)
    return tag


def _bare(tools: Sequence[Tool], arguments: str = "arguments") -> list[Tagged]:
    """Calls without delimiters, from where it is clear which tool is called."""
    return [
        Tagged(begin=begin, json_schema=tool.parameters, end=end, trigger=begin)
        for tool in tools
        for start, comma, colon, end in _STYLES
        for name in [json.dumps(tool.name, ensure_ascii=False)]
        for begin in [f'{start}"name"{colon}{name}{comma}"{arguments}"{colon}']
    ]


_STYLES = [
    ("{", ", ", ": ", "}"),
    ("{", ",", ":", "}"),
    ("{ ", ", ", ": ", " }"),
    ("{{", ", ", ": ", "}}"),  # as the template of Qwen2.5-Coder shows it
    *(("{\n" + blank, ",\n" + blank, ": ", "\n}") for blank in ("  ", "    ", "\t")),
]
"""How models lay out JSON: what is before the name, commas, colons, and the end."""


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without properties that it doesn't name, unless it says that it has some."""
    composed = {"$ref", "allOf", "anyOf", "oneOf", "patternProperties"} & schema.keys()
    return schema if composed else {"additionalProperties": False, **schema}
