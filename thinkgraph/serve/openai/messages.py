"""Conversion of messages of OpenAI's API to `Message`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from thinkgraph.models.model import Message, ToolCall
from thinkgraph.serve.errors import RequestError
from thinkgraph.serve.openai.schema import ChatMessage

TEXTS = {"text", "input_text", "output_text", "refusal"}
"""Types of content parts that contain text."""
THOUGHTS = {"reasoning", "thinking", "reasoning_text", "summary_text"}


def from_chat(messages: Sequence[ChatMessage]) -> list[Message]:
    """Convert the messages of a chat request.

    Raises:
        RequestError: a content isn't text, or a tool call is malformed.
    """
    names: dict[str, str] = {}
    last = ""  # the id of the last call: results of the legacy role `function` name none
    found = []
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        calls = _calls(message, number, place)
        names |= {call.id: call.name for call in calls}
        last = calls[-1].id if calls else last
        asked = message.tool_call_id or (last if message.role == "function" else "")
        role = {"developer": "system", "function": "tool"}.get(message.role, message.role)
        found.append(
            Message.model_validate(
                {
                    "role": role,
                    "content": text_of(message.content, place),
                    "reasoning": (message.reasoning_content or "") if role == "assistant" else "",
                    "tool_calls": calls if role == "assistant" else (),
                    "tool_call_id": asked if role == "tool" else "",
                    "name": (message.name or names.get(asked, "")) if role == "tool" else "",
                }
            )
        )
    return found


def from_items(items: str | Sequence[Mapping[str, Any]], instructions: str | None) -> list[Message]:
    """Convert the input of a Responses request.

    Raises:
        RequestError: an item is invalid, or its type isn't supported.
    """
    messages = [Message(role="system", content=instructions)] if instructions else []
    if isinstance(items, str):
        return [*messages, Message(role="user", content=items)]
    names: dict[str, str] = {}
    for number, item in enumerate(items):
        place = f"input[{number}]"
        match item.get("type", "message"):
            case "message":
                messages.append(_message(item, place))
            case "function_call":
                call = _call(item.get("call_id"), item.get("name"), item.get("arguments"), place)
                names[call.id] = call.name
                messages.append(Message(role="assistant", tool_calls=(call,)))
            case "function_call_output":
                asked = str(item.get("call_id") or "")
                text = text_of(item.get("output"), place)
                tool = {"tool_call_id": asked, "name": names.get(asked, "")}
                messages.append(Message(role="tool", content=text, **tool))
            case "reasoning":
                pass  # reasoning isn't part of later prompts
            case other:
                raise RequestError(
                    f"{place}: items of type {other!r} aren't supported; send messages, "
                    "function calls and their outputs",
                    param=place,
                )
    return _joined(messages)


def _message(item: Mapping[str, Any], place: str) -> Message:
    roles = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
    role = roles.get(str(item.get("role")))
    if role is None:
        raise RequestError(f"{place}: role {item.get('role')!r} is none of {', '.join(roles)}")
    content = text_of(item.get("content"), place)
    return Message.model_validate({"role": role, "content": content})


def _joined(messages: Iterable[Message]) -> list[Message]:
    """Merge an assistant's tool calls into its preceding message of the same turn."""
    found: list[Message] = []
    for message in messages:
        if found and message.role == found[-1].role == "assistant" and message.tool_calls:
            calls = (*found[-1].tool_calls, *message.tool_calls)
            found[-1] = found[-1].model_copy(update={"tool_calls": calls})
        else:
            found.append(message)
    return found


def text_of(content: Any, place: str) -> str:
    """The text of a content.

    Raises:
        RequestError: a part isn't text, such as an image.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, Sequence):
        raise RequestError(f"{place}: the content is a text or a list of parts", param=place)
    texts = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
        if kind in TEXTS and isinstance(part, Mapping):
            texts.append(str(part.get("text") or part.get("refusal") or ""))
        elif kind not in THOUGHTS:
            raise RequestError(
                f"{place}: a part of type {kind!r} isn't supported: the models here read text "
                "only, no images, audio or files",
                param=place,
                code="unsupported_content",
            )
    return "".join(texts)


def _calls(message: ChatMessage, number: int, place: str) -> tuple[ToolCall, ...]:
    """The tool calls of a message, including the legacy ``function_call``, which has no id."""
    found = []
    for call in message.tool_calls or ():
        function = call.get("function")
        told: Mapping[str, Any] = function if isinstance(function, Mapping) else {}
        found.append(_call(call.get("id"), told.get("name"), told.get("arguments"), place))
    if (legacy := message.function_call) is not None:
        id = f"call_{number}"
        found.append(_call(id, legacy.get("name"), legacy.get("arguments"), place))
    return tuple(found)


def _call(id: Any, name: Any, arguments: Any, place: str) -> ToolCall:
    values = _arguments(arguments)
    if not isinstance(name, str) or not isinstance(values, dict):
        raise RequestError(
            f"{place}: a tool call needs a name, and a JSON object as its arguments", param=place
        )
    return ToolCall(id=str(id or ""), name=name, arguments=values)


def _arguments(given: Any) -> Any:
    """A call's arguments, which some clients send as an object; None if a text isn't JSON."""
    if given is None or given == "":
        return {}
    try:
        return json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        return None
