"""Message conversion: from LangChain's messages to the plain turns of prompts.

What a turn of text can't carry (a tool's call, a tool's result, an image, who of several users
speaks) is put into words, so that any chat template takes any history.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, ToolMessage

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
TOOLS = {"tool", "function"}
"""The types of messages that hold what a tool has said."""
_THOUGHTS = {"reasoning", "thinking", "redacted_thinking"}
_CALLS = {"tool_use", "tool_call", "tool_call_chunk", "input_json_delta", "function_call"}
"""Content blocks that repeat what a message's ``tool_calls`` say."""


def history(messages: Iterable[AnyMessage]) -> list[Message]:
    """The turns of a conversation; neighbours of one role are one turn, and empty ones none."""
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
    """The text of a message's content; blocks that are no text are named."""
    parts = [content] if isinstance(content, str) else content or ()
    return "".join(part if isinstance(part, str) else _block(part) for part in parts).strip()


def is_users(message: BaseMessage) -> bool:
    """Whether the user speaks, and not a tool."""
    return message.type not in TOOLS and _role(message) == "user"


def _role(message: BaseMessage) -> Role:
    kind = getattr(message, "role", message.type) if message.type == "chat" else message.type
    return _ROLES.get(kind, "user")


def _said(message: AnyMessage, names: Mapping[str, str]) -> str:
    text = text_of(message.content)
    if isinstance(message, ToolMessage):
        tool = message.name or names.get(message.tool_call_id, "a tool")
        return f"Result of {tool}: {text}"
    if isinstance(message, AIMessage):
        calls = [_call(call["name"], call["args"]) for call in message.tool_calls]
        return "\n".join(filter(None, [text, *calls]))
    if message.type == "human" and message.name and text:
        return f"{message.name}: {text}"
    return text


def _call(name: str, arguments: Any) -> str:
    return f"Call of {name}: {json.dumps(arguments, ensure_ascii=False, default=str)}"


def _block(part: Mapping[str, Any]) -> str:
    kind = str(part.get("type", "unknown"))
    if kind in _THOUGHTS or kind in _CALLS:
        return ""
    text = part.get("text")
    if isinstance(text, str):
        return text
    return f"[{kind.removesuffix('_url').replace('_', ' ')}]"
