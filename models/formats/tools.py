"""Presenting tools to a model: in its template, in words, and to the decoder as constraints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from thinkgraph.models.engine.sampling.json_schema import enforceable
from thinkgraph.models.errors import ModelError
from thinkgraph.models.formats.calls import JsonObjects
from thinkgraph.models.formats.format import HERMES, Calls, Channels, ChatFormat
from thinkgraph.models.model import Message, Tagged, Tool

WORDS = """You may call these tools. Each has a name, a description and a JSON schema:
{tools}

To call a tool, write this and nothing after it:
{example}
The results come in the next message. When no tool is needed, answer in plain text."""


def described(tool: Tool) -> dict[str, Any]:
    """A tool in the form of OpenAI's API, which chat templates expect."""
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
    """Write tools, calls and results as plain text, for a template without tools."""
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
    """The tagged parts that constrain calls of these tools to their schemas during decoding.

    Arguments that a tool's schema doesn't name are disallowed, unless the schema allows them.
    Parts of a schema that can't be enforced are left to the tool to check. ``bare`` also constrains
    calls without delimiters, which small models leave out; it is for calls that are not required.

    Raises:
        ModelError: a tool's name can't be written in the model's format of calls, or a tool's
            schema is not JSON or too large.
    """
    tools = [_enforceable(tool) for tool in tools]
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


def _enforceable(tool: Tool) -> Tool:
    try:
        parameters = enforceable(closed(tool.parameters))
    except ModelError as error:
        raise ModelError(f"the tool {tool.name!r}: {error}") from None
    return tool.model_copy(update={"parameters": parameters})


def _in_channel(channels: Channels, tool: Tool, *, required: bool) -> Tagged:
    """The tagged part of a call's message; an optional call in tags begins after its header."""
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
    """Tagged parts for calls without delimiters, each triggered once the tool's name is written."""
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
"""Layouts of JSON: the text before the name, the comma, the colon, and the end."""


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Disallow properties that a schema doesn't name, unless it allows them or is composed.

    A schema that names no properties stays as it is: closed it would allow only ``{}``.
    """
    composed = {"$ref", "allOf", "anyOf", "oneOf", "patternProperties"} & schema.keys()
    is_closed = "properties" in schema and not composed
    return {"additionalProperties": False, **schema} if is_closed else schema
