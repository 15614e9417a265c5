"""The chat model that agents need, on a real instruct model: LangChain's own tests, and ours."""

import dataclasses
import os
from pathlib import Path
from typing import TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage, trim_messages
from langchain_core.tools import tool
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import BaseModel

from thinkgraph.models.chat import ChatGGUF
from thinkgraph.models.errors import ModelError

PATH = os.environ.get("THINKGRAPH_TEST_MODEL", "")
ENGINE = {"context": 4096, "sequences": 4}

pytestmark = pytest.mark.skipif(
    not Path(PATH).is_file(), reason="THINKGRAPH_TEST_MODEL names no file"
)


class Ours:
    chat_model_class = ChatGGUF
    chat_model_params = {"model": PATH, "engine": ENGINE, "max_tokens": 128}  # noqa: RUF012
    standard_chat_model_params = {"temperature": 0, "seed": 1}  # noqa: RUF012
    supports_model_override = False
    supports_json_mode = True


class TestStandardUnit(Ours, ChatModelUnitTests):
    chat_model_params = {"model": PATH, "engine": ENGINE}  # noqa: RUF012


class TestStandardIntegration(Ours, ChatModelIntegrationTests):
    pass


@pytest.fixture(scope="module")
def chat():
    return ChatGGUF(model=PATH, engine=ENGINE, max_tokens=96, temperature=0, seed=1)


@tool
def weather(city: str, days: int = 1) -> str:
    """Get the weather forecast of a city."""
    return f"{city}: sunny for {days} days"


@tool
def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class Town(TypedDict):
    """A town."""

    name: str
    country: str


@dataclasses.dataclass
class Sum:
    """A sum."""

    left: int
    right: int


def test_any_makes_it_call_and_a_name_makes_it_call_that(chat):
    reply = chat.bind_tools([weather, add], tool_choice="any").invoke("What is 3 + 4?")
    assert reply.tool_calls
    reply = chat.bind_tools([weather, add], tool_choice="weather").invoke("What is 3 + 4?")
    assert reply.tool_calls[0]["name"] == "weather"
    assert isinstance(reply.tool_calls[0]["args"]["city"], str)


def test_none_keeps_the_tools_from_it(chat):
    told = chat.bind_tools([weather], tool_choice="none").invoke("Hi")
    assert told.usage_metadata["input_tokens"] == chat.invoke("Hi").usage_metadata["input_tokens"]


def test_a_choice_that_is_no_tool_is_told_before_a_call(chat):
    with pytest.raises(ModelError, match=r"tool_choice is 'wether'; .*: weather, add"):
        chat.bind_tools([weather, add], tool_choice="wether")


def test_a_stream_gives_the_call_as_chunks(chat):
    bound = chat.bind_tools([weather], tool_choice="any")
    chunks = list(bound.stream("What is the weather in Paris?"))
    whole = sum(chunks[1:], chunks[0])
    assert any(chunk.tool_call_chunks for chunk in chunks)
    assert [call["name"] for call in whole.tool_calls] == ["weather"]


def test_a_tools_result_reaches_the_model(chat):
    asked = [
        HumanMessage("What is 1234 + 4321?"),
        AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1234, "b": 4321}, "id": "c1"}]),
        ToolMessage("5555", tool_call_id="c1"),
    ]
    answer = chat.bind_tools([add]).invoke(asked)
    # So small a model may call once more, with the result as an argument.
    assert "5555" in answer.text.replace(",", "") + str(answer.tool_calls)


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
@pytest.mark.parametrize(
    ("schema", "kind"),
    [(Person, Person), (Town, dict), (Sum, Sum), (Person.model_json_schema(), dict)],
    ids=["pydantic", "TypedDict", "dataclass", "JSON schema"],
)
def test_an_answer_is_of_its_schema(chat, schema, kind, method):
    llm = chat.with_structured_output(schema, method=method, include_raw=True)
    text = 'Give me an example: name "Ada" of age 36, or town "Oslo", "Norway", or left 1, right 2.'
    found = llm.invoke(text)
    assert isinstance(found["raw"], AIMessage)
    if method != "json_mode":  # which promises no more than an object
        assert isinstance(found["parsed"], kind), found["parsing_error"]


def test_response_format_holds_an_answer(chat):
    form = {
        "type": "json_schema",
        "json_schema": {"name": "p", "schema": Person.model_json_schema()},
    }
    reply = chat.invoke("Ada is 36 years old. Who is she?", response_format=form)
    assert Person.model_validate_json(reply.text).age == 36


def test_tools_go_with_an_answers_schema(chat):
    bound = chat.bind_tools([weather], response_format=Person)
    for asked in ("Ada is 36 years old. Who is she?", "Get the weather of Paris with the tool."):
        reply = bound.invoke(asked)
        called = [call["name"] for call in reply.tool_calls]
        assert called == ["weather"] or Person.model_validate_json(reply.text).name


def test_tokens_are_counted_by_the_models_own_tokenizer_and_template(chat):
    asked = [HumanMessage("How are you?")]
    counted = chat.get_num_tokens_from_messages(asked)
    assert counted == chat.invoke(asked).usage_metadata["input_tokens"]
    with_tools = chat.get_num_tokens_from_messages(asked, tools=[weather])
    assert with_tools == chat.bind_tools([weather]).invoke(asked).usage_metadata["input_tokens"]
    assert chat.get_num_tokens("How are you?") == len(chat.get_token_ids("How are you?")) == 4


def test_messages_are_trimmed_by_it(chat):
    talk = [HumanMessage("word " * 50), AIMessage("yes"), HumanMessage("And now?")]
    kept = trim_messages(talk, max_tokens=60, token_counter=chat, start_on="human")
    assert [m.text for m in kept] == ["And now?"]
