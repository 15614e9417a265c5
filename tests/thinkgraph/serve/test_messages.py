"""Messages of OpenAI's API, read for a model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from thinkgraph.serve.errors import RequestError
from thinkgraph.serve.openai.messages import from_chat, from_items
from thinkgraph.serve.openai.schema import ChatMessage

GIVEN = {"city": "Berne", "days": 2}


def chat(*messages: dict[str, Any]) -> Any:
    return from_chat([ChatMessage.model_validate(message) for message in messages])


@pytest.mark.parametrize("arguments", [GIVEN, json.dumps(GIVEN)])
def test_a_calls_arguments_are_an_object_or_its_json(arguments: Any) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    (message,) = chat({"role": "assistant", "tool_calls": [call]})
    assert message.tool_calls[0].arguments == GIVEN
    item = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": arguments}
    (message,) = from_items([item], None)
    assert message.tool_calls[0].arguments == GIVEN


@pytest.mark.parametrize("arguments", [3, False, [1], "[1]", "{"])
def test_other_arguments_of_a_call_are_refused(arguments: Any) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    with pytest.raises(RequestError, match=r"messages\[0\]: .* a JSON object as its arguments"):
        chat({"role": "assistant", "tool_calls": [call]})


def test_a_legacy_function_call_and_its_result_belong_together() -> None:
    call, result = chat(
        {"role": "assistant", "function_call": {"name": "f", "arguments": json.dumps(GIVEN)}},
        {"role": "function", "name": "f", "content": "rain"},
    )
    assert call.tool_calls[0].name == "f" and call.tool_calls[0].arguments == GIVEN
    assert (result.role, result.name, result.content) == ("tool", "f", "rain")
    assert result.tool_call_id == call.tool_calls[0].id != ""
