"""Chat completions: encoding of a reply's events as OpenAI's chunks, or as one completion."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from thinkgraph.models.model import Model, TokenLogprob, ToolCall
from thinkgraph.serve.errors import RequestError, body
from thinkgraph.serve.openai.stream import Encoded
from thinkgraph.serve.replies.reply import Account, Ended, Event, Piece

LEAST_LOGPROB = -9999.0
"""OpenAI's log-probability of an impossible token, since JSON has no infinity."""


@dataclass
class Choice:
    """One choice of a completion in progress."""

    content: str = ""
    reasoning: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    finish: str = "stop"
    logprobs: dict[str, Any] | None = None


class ChatEncoder:
    """Encodes one reply.

    Args:
        model: the model name in the request.
        usage: whether a stream ends with a usage chunk.
        top: number of alternatives listed for each token.
    """

    def __init__(self, model: str, *, usage: bool, top: int = 0) -> None:
        self._head = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": model}
        self._usage, self._top = usage, top

    async def chunks(self, events: AsyncIterator[Event]) -> Encoded:
        """Encode the chunks of a stream; each choice begins with its role.

        The chunk that ends the last choice is held back until the account is known, and carries
        its facts. Many clients read ``choices[0]`` of every chunk, so a chunk without choices is
        sent only if the request asks for the usage.
        """
        begun: set[int] = set()
        calls: Counter[int] = Counter()
        end: tuple[str, dict[str, Any]] | None = None
        async for event in events:
            if end and isinstance(event, Account):
                end[1]["thinkgraph"] = event.facts
            if end:
                yield end
                end = None
            if isinstance(event, Account):
                if self._usage:
                    yield self._last(event)
                return
            role = {} if event.choice in begun else {"role": "assistant"}
            begun.add(event.choice)
            if isinstance(event, Ended):
                told = self._logprobs(event)
                end = self._chunk(event.choice, {**role}, event.finish, told)
                continue
            delta: dict[str, Any] = {**role}
            if event.content:
                delta["content"] = event.content
            if event.reasoning:
                delta |= {"reasoning_content": event.reasoning, "reasoning": event.reasoning}
            if event.calls:
                delta["tool_calls"] = [
                    {"index": calls[event.choice] + i, **_call(call)}
                    for i, call in enumerate(event.calls)
                ]
                calls[event.choice] += len(event.calls)
            if delta:
                yield self._chunk(event.choice, delta)

    def _chunk(
        self, choice: int, delta: dict[str, Any], finish: str | None = None, logprobs: Any = None
    ) -> tuple[str, dict[str, Any]]:
        told = {"index": choice, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
        return "", {**self._head, "object": "chat.completion.chunk", "choices": [told]}

    def _last(self, account: Account) -> tuple[str, dict[str, Any]]:
        """The usage chunk, which has no choices."""
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": []}
        return "", {**chunk, "usage": usage_of(account), "thinkgraph": account.facts}

    def failed(self, error: RequestError) -> tuple[str, dict[str, Any]]:
        """The chunk for an error that ends a stream."""
        return "", body(error)

    async def completion(self, events: AsyncIterator[Event]) -> dict[str, Any]:
        """Encode the whole completion."""
        choices: dict[int, Choice] = {}
        account: Account | None = None
        async for event in events:
            if isinstance(event, Account):
                account = event
                continue
            choice = choices.setdefault(event.choice, Choice())
            if isinstance(event, Piece):
                choice.content += event.content
                choice.reasoning += event.reasoning
                choice.calls += event.calls
            else:
                choice.finish, choice.logprobs = event.finish, self._logprobs(event)
        told = [_choice(index, choices[index]) for index in sorted(choices)]
        whole = {**self._head, "object": "chat.completion", "choices": told}
        if account is None:
            return whole
        return {**whole, "usage": usage_of(account), "thinkgraph": account.facts}

    def _logprobs(self, event: Ended) -> dict[str, Any] | None:
        if not event.logprobs or event.model is None:
            return None
        entries = [_entry(event.model, token, self._top) for token in event.logprobs]
        return {"content": entries, "refusal": None}


def _choice(index: int, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.content, "refusal": None}
    if choice.reasoning:
        message |= {"reasoning_content": choice.reasoning, "reasoning": choice.reasoning}
    if choice.calls:
        message |= {"tool_calls": [_call(call) for call in choice.calls]}
        message["content"] = choice.content or None
    told = {"index": index, "message": message, "finish_reason": choice.finish}
    return {**told, "logprobs": choice.logprobs}


def _call(call: ToolCall) -> dict[str, Any]:
    told = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
    return {"id": call.id, "type": "function", "function": told}


def _entry(model: Model, token: TokenLogprob, top: int) -> dict[str, Any]:
    """A token with its log-probability, and the most likely alternatives."""
    if token.token < 0:  # from an endpoint, which gives texts and no ids
        return {**_told(token), "top_logprobs": [_told(each) for each in token.others[:top]]}
    spelt = [_spelt(model, other, value) for other, value in token.top[:top]]
    text = token.text.encode("utf-8", "replace")
    own = _spelt(model, token.token, token.logprob) or {}
    own = {"token": token.text, "logprob": token.logprob, "bytes": list(text)} | own
    return {**own, "top_logprobs": [entry for entry in spelt if entry]}


def _told(token: TokenLogprob) -> dict[str, Any]:
    return {
        "token": token.text,
        "logprob": max(token.logprob, LEAST_LOGPROB),
        "bytes": list(token.raw),
    }


def _spelt(model: Model, token: int, logprob: float) -> dict[str, Any] | None:
    """A token's text and bytes from the model's vocabulary; bytes may be a partial character."""
    engine = getattr(model, "engine", None)
    if engine is None:
        return None
    piece: bytes = engine.vocabulary.piece(token) or engine.vocabulary.spelling(token).encode()
    told = piece.decode("utf-8", "replace")
    return {"token": told, "logprob": max(logprob, LEAST_LOGPROB), "bytes": list(piece)}


def usage_of(account: Account) -> dict[str, Any]:
    """The usage in OpenAI's format; completion tokens include cancelled ones."""
    usage = account.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {
            "reasoning_tokens": account.reasoning_tokens,
            "cancelled_tokens": usage.cancelled_tokens,
        },
    }


def names(listed: Sequence[str], owners: dict[str, str], created: int) -> dict[str, Any]:
    """The list of models in OpenAI's format."""
    data = [
        {"id": name, "object": "model", "created": created, "owned_by": owners.get(name, "model")}
        for name in listed
    ]
    return {"object": "list", "data": data}
