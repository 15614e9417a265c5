"""Responses: encoding of a reply's events for OpenAI's Responses API, or as one response."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from thinkgraph.models.model import ToolCall
from thinkgraph.serve.errors import RequestError, body
from thinkgraph.serve.openai.schema import ResponsesRequest
from thinkgraph.serve.openai.stream import Encoded
from thinkgraph.serve.replies.reply import Account, Ended, Event

Told = tuple[str, dict[str, Any]]


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid4().hex}"


class ResponseEncoder:
    """Encodes one reply: a reasoning item, a message, and a function call for each call.

    Args:
        request: the request, some fields of which a response repeats.
    """

    def __init__(self, request: ResponsesRequest) -> None:
        self._number = 0
        self._output: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None
        self._response: dict[str, Any] = {
            "id": _id("resp"),
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "model": request.model,
            "output": self._output,
            "error": None,
            "incomplete_details": None,
            "instructions": request.instructions,
            "metadata": {},
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "tool_choice": request.tool_choice or "auto",
            "tools": request.tools or [],
            "max_output_tokens": request.max_output_tokens,
            "previous_response_id": None,
            "store": False,
        }

    async def events(self, events: AsyncIterator[Event]) -> Encoded:
        """Encode the events of a stream."""
        yield self._event("response.created", response=self._whole())
        yield self._event("response.in_progress", response=self._whole())
        async for event in events:
            for told in self._take(event):
                yield told
        for told in self._close():
            yield told
        kind = "incomplete" if self._response["incomplete_details"] else "completed"
        self._response["status"] = kind
        yield self._event(f"response.{kind}", response=self._whole())

    def failed(self, error: RequestError) -> Told:
        """The event for an error that ends a stream."""
        told = body(error)["error"]
        return self._event("error", **{name: told[name] for name in ("code", "message", "param")})

    async def response(self, events: AsyncIterator[Event]) -> dict[str, Any]:
        """Encode the whole response."""
        async for _ in self.events(events):
            pass
        return self._whole()

    def _take(self, event: Event) -> list[Told]:
        match event:
            case Account():
                self._response["usage"] = _usage(event)
                self._response["thinkgraph"] = event.facts
                return []
            case Ended(finish="length"):
                self._response["incomplete_details"] = {"reason": "max_output_tokens"}
                return []
            case Ended():
                return []
        told = self._text("reasoning", event.reasoning) if event.reasoning else []
        told += self._text("message", event.content) if event.content else []
        for call in event.calls:
            told += self._call(call)
        return told

    def _text(self, kind: str, text: str) -> list[Told]:
        """Events for new text of an item of a kind; ends an open item of another kind first."""
        told: list[Told] = []
        if self._open is None or self._open["type"] != kind:
            told += [*self._close(), *self._begin(kind)]
        part = self._part
        part["text"] += text
        name = "reasoning_summary_text" if kind == "reasoning" else "output_text"
        extra: dict[str, Any] = {} if kind == "reasoning" else {"logprobs": []}
        told.append(self._event(f"response.{name}.delta", **self._place, delta=text, **extra))
        return told

    def _begin(self, kind: str) -> list[Told]:
        item: dict[str, Any] = {"id": _id("rs"), "type": "reasoning", "summary": []}
        part: dict[str, Any] = {"type": "summary_text", "text": ""}
        if kind == "message":
            item = {"id": _id("msg"), "type": "message", "role": "assistant", "content": []}
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        item["status"] = "in_progress"
        self._open = item
        self._output.append(item)
        told = [self._added(item)]
        self._parts.append(part)
        name = "reasoning_summary_part" if kind == "reasoning" else "content_part"
        told.append(self._event(f"response.{name}.added", **self._place, part=dict(part)))
        return told

    def _close(self) -> list[Told]:
        """Events that end the open item, if there is one."""
        item = self._open
        if item is None:
            return []
        part, place = self._part, self._place
        thinks = item["type"] == "reasoning"
        text = "reasoning_summary_text" if thinks else "output_text"
        name = "reasoning_summary_part" if thinks else "content_part"
        extra: dict[str, Any] = {} if thinks else {"logprobs": []}
        told = [
            self._event(f"response.{text}.done", **place, text=part["text"], **extra),
            self._event(f"response.{name}.done", **place, part=dict(part)),
        ]
        self._open = None
        return [*told, self._done(item)]

    def _call(self, call: ToolCall) -> list[Told]:
        told = self._close()
        item = {
            "id": _id("fc"),
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": "",
            "status": "in_progress",
        }
        self._output.append(item)
        told.append(self._added(item))
        item["arguments"] = arguments = json.dumps(call.arguments, ensure_ascii=False)
        place = {"item_id": item["id"], "output_index": len(self._output) - 1}
        kind = "response.function_call_arguments"
        told.append(self._event(f"{kind}.delta", **place, delta=arguments))
        done = {**place, "arguments": arguments, "name": call.name}
        return [*told, self._event(f"{kind}.done", **done), self._done(item)]

    @property
    def _parts(self) -> list[dict[str, Any]]:
        item = self._open or {}
        parts: list[dict[str, Any]] = item["summary" if item["type"] == "reasoning" else "content"]
        return parts

    @property
    def _part(self) -> dict[str, Any]:
        return self._parts[-1]

    @property
    def _place(self) -> dict[str, Any]:
        """The fields that locate an event's text: the item and its part."""
        item = self._open or {}
        index = "summary_index" if item["type"] == "reasoning" else "content_index"
        return {"item_id": item["id"], "output_index": len(self._output) - 1, index: 0}

    def _added(self, item: dict[str, Any]) -> Told:
        place = {"output_index": len(self._output) - 1}
        return self._event("response.output_item.added", **place, item=_copy(item))

    def _done(self, item: dict[str, Any]) -> Told:
        # Only the last item can still be open when the end of the reply says that it was cut.
        item["status"] = "incomplete" if self._response["incomplete_details"] else "completed"
        place = {"output_index": len(self._output) - 1}
        return self._event("response.output_item.done", **place, item=_copy(item))

    def _event(self, kind: str, **data: Any) -> Told:
        self._number += 1
        return kind, {"type": kind, "sequence_number": self._number - 1, **data}

    def _whole(self) -> dict[str, Any]:
        return {**self._response, "output": [_copy(item) for item in self._output]}


def _copy(item: dict[str, Any]) -> dict[str, Any]:
    return {
        key: [dict(part) for part in value] if isinstance(value, list) else value
        for key, value in item.items()
    }


def _usage(account: Account) -> dict[str, Any]:
    usage = account.usage
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {
            "reasoning_tokens": account.reasoning_tokens,
            "cancelled_tokens": usage.cancelled_tokens,
        },
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
