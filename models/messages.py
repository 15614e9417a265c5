"""Conversion between LangChain's messages and this package's, in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, get_args

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages import ToolCall as LangChainCall

from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Message, Role, ToolCall

REASONING = "reasoning_content"
"""The key of ``additional_kwargs`` that holds the reasoning text, as in other chat models."""

_ROLES: list[tuple[type[BaseMessage], Role]] = [
    (SystemMessage, "system"),
    (HumanMessage, "user"),
    (AIMessage, "assistant"),
    (ToolMessage, "tool"),
]
_CALLS = {"tool_use", "tool_call", "tool_call_chunk", "input_json_delta", "function_call"}
"""Types of content blocks that repeat a message's ``tool_calls``."""


def from_langchain(messages: Iterable[BaseMessage]) -> list[Message]:
    """Convert LangChain's messages to this package's.

    The text blocks of a message are joined, and so are its reasoning blocks. A tool's result gets
    the name of the tool whose call it answers, which some chat templates need.

    Raises:
        ModelError: a message is of an unsupported kind, or has content other than text.
    """
    names: dict[str, str] = {}
    converted = []
    for message in messages:
        turn = _from_langchain(message)
        names |= {call.id: call.name for call in turn.tool_calls}
        if turn.role == "tool" and not turn.name:
            turn = turn.model_copy(update={"name": names.get(turn.tool_call_id, "")})
        converted.append(turn)
    return converted


def to_langchain(messages: Iterable[Message]) -> list[BaseMessage]:
    """Convert this package's messages to LangChain's."""
    return [_to_langchain(message) for message in messages]


def _from_langchain(message: BaseMessage) -> Message:
    text, reasoning = _texts(message.content)
    kept = message.additional_kwargs.get(REASONING)
    calls = getattr(message, "tool_calls", None) or ()
    return Message(
        role=_role(message),
        content=text,
        reasoning=reasoning or (kept if isinstance(kept, str) else ""),
        tool_calls=tuple(
            ToolCall(id=call["id"] or "", name=call["name"], arguments=call["args"])
            for call in calls
        ),
        tool_call_id=getattr(message, "tool_call_id", ""),
        name=message.name or "",
    )


def _role(message: BaseMessage) -> Role:
    found = next((role for kind, role in _ROLES if isinstance(message, kind)), None)
    if found is None and isinstance(message, ChatMessage):
        found = next((role for role in get_args(Role) if role == message.role), None)
    if found is None:
        raise ModelError(
            f"a {message.type} message is not supported; use system, human, AI and tool messages"
        )
    return found


def _texts(content: str | Sequence[str | dict[str, Any]]) -> tuple[str, str]:
    """The text and the reasoning text of a message's content."""
    text, reasoning = "", ""
    for part in [content] if isinstance(content, str) else content:
        if isinstance(part, str):
            text += part
            continue
        kind = part.get("type")
        if kind == "text":
            text += str(part.get("text") or "")
        elif kind in ("reasoning", "thinking"):
            reasoning += str(part.get(kind) or "")
        elif kind not in _CALLS:
            raise ModelError(f"content of type {kind!r} is not supported; only text is")
    return text, reasoning


def _to_langchain(message: Message) -> BaseMessage:
    name = message.name or None
    match message.role:
        case "system":
            return SystemMessage(message.content, name=name)
        case "user":
            return HumanMessage(message.content, name=name)
        case "tool":
            return ToolMessage(message.content, tool_call_id=message.tool_call_id, name=name)
        case "assistant":
            return AIMessage(
                message.content,
                name=name,
                additional_kwargs={REASONING: message.reasoning} if message.reasoning else {},
                tool_calls=[_call(call) for call in message.tool_calls],
            )


def _call(call: ToolCall) -> LangChainCall:
    return LangChainCall(name=call.name, args=call.arguments, id=call.id or None, type="tool_call")
