"""Turns of a conversation: adding the question, and then the answer, to the messages.

A thread is a conversation. New input starts a new turn: the run's channels are emptied, the
messages are kept. Continuing an interrupted run (``invoke(None)``, ``Command(resume=...)``) starts
no turn.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, HumanMessage

from thinkgraph.graphs.checker.given import check_inputs
from thinkgraph.graphs.language.spec import Spec
from thinkgraph.graphs.runtime import state as channels
from thinkgraph.graphs.runtime.messages import is_from_tool, is_from_user, text_of
from thinkgraph.graphs.runtime.state import Json, Turn
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.tracing import usage_metadata
from thinkgraph.nodes.step import message_id

EMPTY = "the question is empty; set `question`, or end `messages` with a user message"

_VOTE = {"value", "votes", "of", "tie", "candidate", "cancelled", "note"}
"""Fields of the answer that the message has in its metadata."""


def begin(spec: Spec, values: Mapping[str, Any]) -> Json:
    """The channel updates that start a turn.

    The question is the given one, else the last user message. Only tool calls and their results may
    follow that message; they count as part of the conversation before it. A parent graph keeps the
    question of an earlier turn in its channel: one that was asked before an unanswered user
    message gives way to that message.

    Raises:
        ThinkgraphError: there is no question, it is not a text, or an input has another type.
    """
    messages = list(values.get("messages") or ())
    question = values.get("question") or ""
    if not isinstance(question, str):
        raise ThinkgraphError(f"a question is a text, not {question!r}")
    last = next((m for m in reversed(messages) if is_from_user(m)), None)
    added: list[HumanMessage] = []
    if question and _is_open(messages) and _was_asked(question, messages, before=last):
        question = ""
    if not question:
        if last is None or not _is_open(messages):
            raise ThinkgraphError(_nothing_asked(messages))
        question = text_of(last.content)
    elif last is None or messages[-1] is not last or text_of(last.content) != question:
        last = HumanMessage(question, id=str(uuid4()))
        added = [last]
    if not question.strip():
        raise ThinkgraphError(EMPTY)
    inputs = check_inputs(spec, values)
    turn = Turn(id=str(uuid4()), question=question, asked=str(last.id), inputs=inputs)
    spent = dict.fromkeys((*channels.RUN, *spec.state)) if values.get("turn") else {}
    return {**spent, "turn": turn, "messages": added}


def _is_open(messages: list[Any]) -> bool:
    """Whether only tool calls and their results follow the last user message."""
    for message in reversed(messages):
        if is_from_user(message):
            return True
        if not is_from_tool(message) and not getattr(message, "tool_calls", ()):
            return False
    return False


def _was_asked(question: str, messages: list[Any], before: Any) -> bool:
    """Whether a user asked this, and another message was the answer, before a message."""
    earlier = messages[: messages.index(before)]
    asked = [i for i, m in enumerate(earlier) if is_from_user(m) and text_of(m.content) == question]
    return bool(asked) and not all(map(is_from_user, earlier[asked[0] :]))


def _nothing_asked(messages: list[Any]) -> str:
    if not messages:
        return EMPTY
    return (
        f"nothing is asked: the messages end with the {messages[-1].type} message; "
        "end them with the user's, or give a question"
    )


def reply(
    spec: Spec, values: Mapping[str, Any], cut: str | None, writers: Collection[str] = ()
) -> AIMessage:
    """The answer as a message, with its usage and votes in the metadata.

    Args:
        spec: the graph.
        values: the values of its channels.
        cut: why the run was cut short, if it was.
        writers: the nodes whose text is the answer; if it was streamed, the message has the id
            that it had in the stream.
    """
    state, usage = channels.read(spec, values), channels.total_usage(values)
    failures = channels.failures(values)
    told: Json = {"graph": spec.name}
    text = ""
    if state.answer is not None:
        text = state.answer.text or state.answer.value or ""
        text = text or (state.answer.note if state.is_rejected else "")
        told |= state.answer.model_dump(include=_VOTE)
    if (field := spec.output.field) != "answer":
        text = str(state.fields.get(field, values.get(field)))
    candidate = state.candidates.get(told.get("candidate") or "")
    streamed = candidate is not None and candidate.node in writers and candidate.text == text
    return AIMessage(
        text,
        id=message_id(values["turn"]["id"], candidate.id if candidate and streamed else "answer"),
        usage_metadata=usage_metadata(usage, usage.completion_tokens),
        response_metadata={**told, "usage": usage.model_dump(), "cut": cut, "failures": failures},
    )
