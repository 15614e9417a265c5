"""Structured answers: what constrains them, what of them is accepted, and how they stream."""

import dataclasses
from typing import TypedDict

import pytest
from langchain_core.exceptions import OutputParserException
from pydantic import BaseModel

from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.chat import ChatGGUF
from thinkgraph.models.structured import json_schema


class Person(BaseModel):
    name: str
    job: str


class Town(TypedDict):
    name: str
    job: str


class Country(TypedDict):
    """A country."""

    capital: Town


@dataclasses.dataclass
class Worker:
    name: str
    job: str


TEXTS = {"name": {"type": "string"}, "job": {"type": "string"}}
UNTITLED = {"type": "object", "properties": TEXTS, "required": ["name", "job"]}
SCHEMAS = {
    "Person": Person,
    "Town": Town,
    "Worker": Worker,
    "titled": {"title": "titled", **UNTITLED},
    "answer": UNTITLED,
}
METHODS = ["json_schema", "function_calling", "json_mode"]
ADA = {"name": "Ada Lovelace", "job": "programmer"}
WHOLE = '{"name": "Ada Lovelace", "job": "programmer"}'
CUT = [WHOLE[:17], WHOLE[:-5], WHOLE[:-1]]
EVERY = pytest.mark.parametrize("name", SCHEMAS)
EACH = pytest.mark.parametrize("method", METHODS)


def answering(name, method, text, *, ends=True, include_raw=False, **settings):
    """A structured chat model whose answer, or the arguments of whose call, is ``text``."""
    if method == "function_calling":
        text = f'<tool_call>{{"name": "{name}", "arguments": {text}'
        text += "}</tool_call>" if ends else ""
    chat = ChatGGUF(model=ScriptedModel(lambda messages, seed: text), **settings)
    llm = chat.with_structured_output(SCHEMAS[name], method=method, include_raw=include_raw)
    return llm, chat.model


def plain(answer):
    return answer if isinstance(answer, dict) else dict(vars(answer))


@EVERY
@EACH
def test_a_whole_answer_is_of_its_schema(name, method):
    llm, _ = answering(name, method, WHOLE)
    answer = llm.invoke("q")
    schema = SCHEMAS[name]
    assert type(answer) is (schema if schema in (Person, Worker) else dict)
    assert plain(answer) == plain(list(llm.stream("q"))[-1]) == ADA


@EVERY
@EACH
@pytest.mark.parametrize("text", CUT)
def test_an_answer_that_was_cut_off_is_an_error(name, method, text):
    llm, _ = answering(name, method, text, ends=False)
    with pytest.raises(OutputParserException, match="doesn't match its schema"):
        llm.invoke("q")
    with pytest.raises(OutputParserException, match="doesn't match its schema"):
        list(llm.stream("q"))


@EVERY
@EACH
@pytest.mark.parametrize("text", ['{"x": 1}', '{"name": "Ada", "job": 3}'])
def test_an_answer_that_violates_its_schema_is_an_error(name, method, text):
    llm, _ = answering(name, method, text)
    with pytest.raises(OutputParserException, match=r"job|name"):
        llm.invoke("q")


@EVERY
@EACH
@pytest.mark.parametrize("how", ["invoke", "stream"])
def test_include_raw_has_the_error_of_an_answer_that_was_cut_off(name, method, how):
    llm, _ = answering(name, method, CUT[1], ends=False, include_raw=True)
    found = llm.invoke("q") if how == "invoke" else list(llm.stream("q"))[-1]
    assert found.keys() == {"raw", "parsed", "parsing_error"}
    assert found["parsed"] is None
    assert isinstance(found["parsing_error"], OutputParserException)


async def test_an_answer_that_was_cut_off_is_an_error_in_async_calls():
    llm, _ = answering("Town", "json_schema", CUT[1], include_raw=True)
    assert isinstance((await llm.ainvoke("q"))["parsing_error"], OutputParserException)
    llm, _ = answering("Town", "json_schema", CUT[1])
    with pytest.raises(OutputParserException):
        [part async for part in llm.astream("q")]


def test_a_model_that_calls_no_tool_gives_an_error():
    llm, _ = answering("Town", "json_schema", "Hello")
    call = ChatGGUF(model=ScriptedModel(["Hello"])).with_structured_output(
        Town, method="function_calling"
    )
    with pytest.raises(OutputParserException, match="the model didn't call 'Town'; it is 'Hello'"):
        call.invoke("q")
    with pytest.raises(OutputParserException, match="it isn't JSON; it is 'Hello'"):
        llm.invoke("q")


def test_a_token_limit_is_told_with_the_way_out():
    llm, _ = answering("Town", "json_schema", WHOLE, max_tokens=2)
    with pytest.raises(OutputParserException, match="it was cut off: raise max_tokens"):
        llm.invoke("q")


def test_a_number_that_a_token_limit_ended_is_an_error():
    chat = ChatGGUF(model=ScriptedModel(lambda messages, seed: "12 34"), max_tokens=1)
    llm = chat.with_structured_output({"type": "integer"})
    with pytest.raises(OutputParserException, match="the number may lack digits"):
        llm.invoke("q")


@EACH
@pytest.mark.parametrize("n", [1, 2])
def test_a_plain_answer_streams_in_parts(method, n):
    llm, _ = answering("Town", method, WHOLE, n=n)
    parts = [{}, {"name": "Ada"}, {"name": "Ada Lovelace"}, ADA]
    assert list(llm.stream("q")) == parts


@pytest.mark.parametrize("name", ["Person", "Worker"])
@EACH
def test_an_instance_comes_whole_from_a_stream(name, method):
    llm, _ = answering(name, method, WHOLE)
    assert [plain(part) for part in llm.stream("q")] == [ADA]


@EACH
def test_an_answer_in_place_of_a_stream_is_checked(method):
    llm, _ = answering("Town", method, WHOLE, disable_streaming=True)
    assert list(llm.stream("q")) == [ADA]
    llm, _ = answering("Town", method, CUT[1], ends=False, disable_streaming=True)
    with pytest.raises(OutputParserException):
        list(llm.stream("q"))


def test_an_undocumented_typed_dict_has_no_description():
    inner = {"type": "object", "properties": TEXTS, "required": ["name", "job"]}
    assert json_schema(Town) == {"title": "Town", **inner}
    assert json_schema(Country)["description"] == "A country."
    assert json_schema(Country)["properties"] == {"capital": inner}


@EACH
def test_a_prompt_has_no_docstring_of_dict(method):
    llm, model = answering("Town", method, WHOLE)
    llm.invoke("q")
    (call,) = model.calls
    assert "dict(" not in "".join(message.content for message in call.messages)
    bound = ChatGGUF(model=ScriptedModel()).bind_tools([Town])
    assert not bound.kwargs["tools"][0]["function"].get("description")


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_constraint_allows_no_other_keys(name):
    llm, model = answering(name, "json_schema", WHOLE)
    llm.invoke("q")
    assert model.calls[0].sampling.json_schema["additionalProperties"] is False


@pytest.mark.parametrize(
    "schema", [{"type": "object"}, {**UNTITLED, "additionalProperties": {"type": "string"}}]
)
def test_the_constraint_allows_what_a_schema_leaves_open(schema):
    model = ScriptedModel([WHOLE])
    assert ChatGGUF(model=model).with_structured_output(schema).invoke("q") == ADA
    assert model.calls[0].sampling.json_schema == schema
