"""The Responses API, asked with OpenAI's own client."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseErrorEvent, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.thinkgraph.serve.conftest import Running, Serve
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ModelError

QUESTION = "What is 3 times 4?"
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture
def client(served: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


def test_a_response_has_the_thoughts_before_the_answer(client: openai.OpenAI) -> None:
    done = client.responses.create(model="scripted/self-consistency@4", input=QUESTION)
    Response.model_validate(done.model_dump())
    assert [item.type for item in done.output] == ["reasoning", "message"]
    assert done.output_text.endswith("12.") or done.output_text.endswith("13.")
    assert done.usage and done.usage.output_tokens_details.reasoning_tokens > 0


def test_a_stream_tells_the_thoughts_and_then_the_answer(client: openai.OpenAI) -> None:
    events = list(
        client.responses.create(model="scripted/self-consistency@4", input=QUESTION, stream=True)
    )
    for event in events:
        EVENTS.validate_python(event.model_dump())
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert kinds.index("response.reasoning_summary_text.delta") < kinds.index(
        "response.output_text.delta"
    )
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    last: Any = events[-1]
    assert last.response.output_text == text


def test_a_failure_in_the_middle_of_a_stream_is_an_event_of_its_own(serve: Serve) -> None:
    running = serve(ScriptedModel(["fine", ModelError("the disk is on fire")]))
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
    events: list[Any] = list(
        client.responses.create(model="self-refine", input=QUESTION, stream=True)
    )
    for event in events:
        EVENTS.validate_python(event.model_dump())
    assert isinstance(events[-1], ResponseErrorEvent)
    assert "disk is on fire" in events[-1].message
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert len(events) > 2


def test_fields_without_effect_are_told(client: openai.OpenAI) -> None:
    asked: Any = {"reasoning": {"summary": "auto"}, "text": {"verbosity": "low"}}
    done: Any = client.responses.create(
        model="scripted", input=QUESTION, top_logprobs=2, truncation="auto", **asked
    )
    assert done.model_extra["thinkgraph"]["ignored"] == ["text.verbosity", "top_logprobs"]


def test_the_sampling_settings_of_chat_completions_are_obeyed(serve: Serve) -> None:
    model = ScriptedModel(lambda messages, seed: "one two three")
    client = openai.OpenAI(base_url=f"{serve(model).url}/v1", api_key="none", max_retries=0)
    beside = {"seed": 7, "stop": " two", "logit_bias": {"5": 2.5}, "presence_penalty": 0.5}
    more = {"frequency_penalty": -0.5, "n": 1, "logprobs": False}
    done: Any = client.responses.create(
        model="scripted", input=QUESTION, extra_body={**beside, **more}
    )
    assert done.output_text == "one"
    sampling = model.calls[0].sampling
    assert model.calls[0].seeds == [7]
    assert (sampling.stop, sampling.logit_bias) == ((" two",), {5: 2.5})
    assert (sampling.presence_penalty, sampling.frequency_penalty) == (0.5, -0.5)
    with pytest.raises(openai.BadRequestError, match="stop needs a bare model"):
        client.responses.create(model="direct", input=QUESTION, extra_body={"stop": "x"})


def test_a_limit_makes_it_incomplete(client: openai.OpenAI) -> None:
    done = client.responses.create(model="tiny", input=QUESTION, max_output_tokens=12)
    assert done.status == "incomplete" and done.incomplete_details
    assert done.incomplete_details.reason == "max_output_tokens"
    assert [item.status for item in done.output] == ["incomplete"]  # type: ignore[union-attr]


def test_a_cut_message_is_incomplete_in_a_stream_and_the_thoughts_before_it_arent(
    client: openai.OpenAI,
) -> None:
    events: list[Any] = list(
        client.responses.create(
            model="scripted/self-consistency@4", input=QUESTION, max_output_tokens=20, stream=True
        )
    )
    for event in events:
        EVENTS.validate_python(event.model_dump())
    ended = [event.item for event in events if event.type == "response.output_item.done"]
    told = [("reasoning", "completed"), ("message", "incomplete")]
    assert [(item.type, item.status) for item in ended] == told
    assert [(item.type, item.status) for item in events[-1].response.output] == told


def test_functions_are_called_and_their_results_taken(client: openai.OpenAI) -> None:
    digit = {"type": "integer", "minimum": 0, "maximum": 9}
    tool: Any = {
        "type": "function",
        "name": "double",
        "parameters": {"type": "object", "properties": {"a": digit}, "required": ["a"]},
    }
    asked: Any = {"model": "tiny", "tools": [tool], "tool_choice": "required"}
    asked["max_output_tokens"] = 900
    done = client.responses.create(**asked, input=QUESTION)
    call: Any = next(item for item in done.output if item.type == "function_call")
    assert "a" in json.loads(call.arguments)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "24"}
    given: Any = [{"role": "user", "content": QUESTION}, call.model_dump(), result]
    after = client.responses.create(model="tiny", input=given, max_output_tokens=4)
    assert after.output_text


def test_an_answer_is_of_its_schema(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"sum": {"enum": [12, 13]}},
        "required": ["sum"],
        "additionalProperties": False,
    }
    form: Any = {"format": {"type": "json_schema", "name": "sum", "schema": schema}}
    done = client.responses.create(model="tiny", input=QUESTION, text=form, temperature=0)
    assert json.loads(done.output_text)["sum"] in (12, 13)


@pytest.mark.parametrize(
    "asked",
    [
        {"previous_response_id": "resp_1"},
        {"background": True},
        {"prompt": {"id": "pmpt_1"}},
        {"tool_choice": {"type": "function", "name": "f"}},
        {"tools": [{"type": "web_search"}]},
        {"input": [{"type": "item_reference", "id": "x"}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
        {"input": [{"type": "function_call", "name": "f", "arguments": "{"}]},
        {"input": 3},
        {"extra_body": {"n": 2}},
        {"extra_body": {"logprobs": True}},
        {"extra_body": {"max_tokens": 3}},
        {"extra_body": {"response_format": {"type": "json_object"}}},
        {"extra_body": {"guided_json": {"type": "object"}}},
        {"extra_body": {"logit_bias": {"5": 101}}},
        {"text": {"format": {"type": "json_schema", "name": "it"}}},
    ],
)
def test_what_isnt_supported_is_refused_in_words(
    client: openai.OpenAI, asked: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**{"model": "tiny", "input": QUESTION, **asked})
    told: Any = caught.value.body
    assert told["message"] and told["type"] == "invalid_request_error"
