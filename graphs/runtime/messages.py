"""Message conversion: from LangChain's messages to the plain turns of prompts.

What a plain text turn can't hold (tool calls, tool results, images, names of users) is written as
text, so that any chat template accepts any history.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage

from thinkgraph.models.model import Message, Role

_ROLES: dict[str, Role] = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "user",
    "function": "user",
    "user": "user",
    "assistant": "assistant",
}
_TOOLS = {"tool", "function"}
_THOUGHTS = {"reasoning", "thinking", "redacted_thinking"}
_CALLS = {"tool_use", "tool_call", "tool_call_chunk", "input_json_delta", "function_call"}
"""Content blocks that repeat what a message's ``tool_calls`` say."""


def history(messages: Iterable[AnyMessage]) -> list[Message]:
    """Non-empty turns of a conversation; adjacent ones of a role other than system are merged."""
    names: dict[str, str] = {}
    turns: list[Message] = []
    for message in messages:
        names |= {str(call["id"]): call["name"] for call in getattr(message, "tool_calls", ())}
        role, text = _role(message), _said(message, names)
        if not text:
            continue
        if turns and turns[-1].role == role != "system":
            text = f"{turns.pop().content}\n\n{text}"
        turns.append(Message(role=role, content=text))
    return turns


def text_of(content: Any) -> str:
    """The text of a message's content; other blocks are named by their type, as ``[image]``."""
    parts = [content] if isinstance(content, str) else content or ()
    return "".join(part if isinstance(part, str) else _block(part) for part in parts).strip()


def is_from_user(message: BaseMessage) -> bool:
    """Whether the message is from a user."""
    return _role(message) == "user" and not is_from_tool(message)


def is_from_tool(message: BaseMessage) -> bool:
    """Whether the message is the result of a tool."""
    return _kind(message) in _TOOLS


def _kind(message: BaseMessage) -> str:
    """The type of a message; for a ``ChatMessage`` its role."""
    return getattr(message, "role", "") if message.type == "chat" else message.type


def _role(message: BaseMessage) -> Role:
    return _ROLES.get(_kind(message), "user")


def _said(message: AnyMessage, names: Mapping[str, str]) -> str:
    text = text_of(message.content)
    if is_from_tool(message):
        called = names.get(getattr(message, "tool_call_id", ""), "a tool")
        return f"Result of {message.name or called}: {text}"
    if isinstance(message, AIMessage):
        return "\n".join(filter(None, [text, *_calls(message)]))
    if message.type == "human" and message.name and text:
        return f"{message.name}: {text}"
    return text


def _calls(message: AIMessage) -> list[str]:
    """The tool calls of a message; those that LangChain didn't parse are taken from its content."""
    calls = [(c["name"], c["args"]) for c in (*message.tool_calls, *message.invalid_tool_calls)]
    if not calls:
        blocks = message.content if isinstance(message.content, list) else []
        found = [b for b in blocks if isinstance(b, dict) and b.get("type") in _CALLS]
        found += filter(None, [message.additional_kwargs.get("function_call")])
        calls = [(b.get("name"), b.get("input", b.get("arguments"))) for b in found]
    return [_call(name, arguments) for name, arguments in calls]


def _call(name: str | None, arguments: Any) -> str:
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False, default=str)
    return f"Call of {name or 'a tool'}: {arguments}"


def _block(part: Mapping[str, Any]) -> str:
    kind = str(part.get("type", "unknown"))
    if kind in _THOUGHTS or kind in _CALLS:
        return ""
    if kind == "tool_result":
        return f"Result of a tool: {text_of(part.get('content'))}"
    text = part.get("text")
    if isinstance(text, str):
        return text
    return f"[{kind.removesuffix('_url').replace('_', ' ')}]"
