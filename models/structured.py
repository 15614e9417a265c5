"""Tools and structured answers: from the arguments of LangChain's callers to a model request.

:class:`AnswerParser` reads the answer.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypedDict, get_args

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.json import parse_partial_json
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, TypeAdapter

from thinkgraph.models.errors import ModelError
from thinkgraph.models.formats.calls import fenced
from thinkgraph.models.formats.tools import closed, described
from thinkgraph.models.model import NO_TOOLS, Message, Tool, ToolUse
from thinkgraph.models.schemas import mismatch

Method = Literal["json_schema", "function_calling", "json_mode"]
ASKED = "Answer with a JSON value of this JSON schema, and nothing else:"
EMPTY = {"type": "object", "properties": {}}
_CUT = ("length", "budget")
"""Finish reasons of answers that a limit ended."""


def tool_use(settings: Mapping[str, Any]) -> ToolUse:
    """The tools of a call, and how they may be used.

    Args:
        settings: ``tools``, ``tool_choice``, ``parallel_tool_calls`` and ``constrained``; see
            :meth:`.chat.ChatGGUF.bind_tools`.

    Raises:
        ModelError: the choice is none of the tools.
    """
    tools = [_tool(tool) for tool in settings.get("tools") or ()]
    choice = _choice(settings.get("tool_choice"), [tool.name for tool in tools])
    if not tools or choice == "none":
        return NO_TOOLS
    return ToolUse(
        tools,
        choice,
        parallel=settings.get("parallel_tool_calls") is not False,
        constrained=settings.get("constrained") is not False,
    )


def openai_tool(tool: Any) -> dict[str, Any]:
    """A function, class or tool in the form of OpenAI's API."""
    told = convert_to_openai_tool(tool)
    return told if isinstance(tool, dict) else _without_inherited(told)


def _without_inherited(told: Any) -> Any:
    """Remove the docstring of ``dict``, which LangChain takes for an undocumented TypedDict's."""
    match told:
        case dict():
            return {
                key: _without_inherited(value)
                for key, value in told.items()
                if key != "description" or value != _inherited()
            }
        case list():
            return [_without_inherited(each) for each in told]
    return told


class _Undocumented(TypedDict):
    pass


@lru_cache(maxsize=1)
def _inherited() -> str:
    return str(convert_to_json_schema(_Undocumented).get("description", ""))


def _tool(tool: Any) -> Tool:
    told = openai_tool(tool)["function"]
    return Tool(
        name=told["name"],
        description=told.get("description") or "",
        parameters=told.get("parameters") or EMPTY,
    )


def _choice(given: Any, names: Sequence[str]) -> str:
    """Normalize a tool choice to ``auto``, ``any``, ``none``, or the name of a tool."""
    if isinstance(given, dict):
        given = given.get("function", given).get("name", given.get("type"))
    simple = {None: "auto", False: "auto", True: "any", "required": "any"}
    choice = simple.get(given, given)
    if choice not in ("auto", "any", "none", *names):
        known = ", ".join(names) or "none"
        raise ModelError(f"tool_choice is {given!r}; it is auto, any, none or a tool: {known}")
    return str(choice)


def answer_schema(response_format: Any) -> dict[str, Any] | None:
    """The JSON schema of an answer, or None if the answer is unconstrained.

    Args:
        response_format: as in OpenAI's API (``json_schema``, ``json_object``, ``text``), a JSON
            schema, or what :func:`json_schema` takes.

    Raises:
        ModelError: it is none of these.
    """
    if response_format is None:
        return None
    if isinstance(response_format, dict):
        match response_format.get("type"):
            case "text":
                return None
            case "json_object" if not response_format.get("schema"):
                return {"type": "object"}
            case "json_object":
                return dict(response_format["schema"])
            case "json_schema":
                told = response_format.get("json_schema")
                if not isinstance(told, dict) or not isinstance(told.get("schema"), dict):
                    raise ModelError(
                        "a response_format of type json_schema needs json_schema.schema, which is "
                        "a JSON object; {} is any JSON"
                    )
                return dict(told["schema"])
    return json_schema(response_format)


def json_schema(schema: Any) -> dict[str, Any]:
    """The JSON schema of a pydantic model, a TypedDict, a dataclass, or a JSON schema.

    Raises:
        ModelError: it is none of these.
    """
    try:
        if isinstance(schema, dict):
            keys = {"type", "properties", "anyOf", "oneOf", "allOf", "$ref", "enum", "const"}
            return schema if keys & schema.keys() else convert_to_json_schema(schema)
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            return schema.model_json_schema()
        if dataclasses.is_dataclass(schema):
            return TypeAdapter(schema).json_schema()
        form: dict[str, Any] = _without_inherited(convert_to_json_schema(schema))
        return form
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(
            f"{schema!r} is not an answer's schema ({error}); give a pydantic model, a TypedDict, "
            "a dataclass or a JSON schema"
        ) from error


def asked_for(schema: dict[str, Any], messages: Sequence[Message]) -> list[Message]:
    """Add the schema to the conversation's system message, so that the model knows it."""
    text = f"{ASKED}\n{json.dumps(schema, ensure_ascii=False)}"
    if messages and messages[0].role == "system":
        first = messages[0].model_copy(update={"content": f"{messages[0].content}\n\n{text}"})
        return [first, *messages[1:]]
    return [Message(role="system", content=text), *messages]


def structured(
    chat: BaseChatModel, schema: Any, method: str, settings: dict[str, Any]
) -> tuple[Runnable[Any, AIMessage], Runnable[AIMessage, Any]]:
    """A chat model constrained to a schema, and the parser of its answers.

    Raises:
        ModelError: the method or the kind of schema is unknown.
    """
    if method not in get_args(Method):
        raise ModelError(f"method is {method!r}; it is one of {', '.join(get_args(Method))}")
    form = json_schema(schema)
    is_model = isinstance(schema, type) and is_basemodel_subclass(schema)
    shown = convert_to_json_schema(schema) if is_model else {"title": "answer", **form}
    told = {"schema": shown, "kwargs": {"method": method}}  # what LangChain's tracers read
    # An answer is one sample. The stream of a chat with several would mix their texts.
    settings = {"n": 1, "ls_structured_output_format": told, **settings}
    parser = AnswerParser(form=form, build=_builder(schema))
    if method != "function_calling":
        wanted = closed(form) if method == "json_schema" else {"type": "json_object"}
        return chat.bind(response_format=wanted, **settings), parser
    tool = convert_to_openai_tool(schema) if is_model else _answer_tool(shown)
    name = tool["function"]["name"]
    llm = chat.bind_tools([tool], tool_choice=name, parallel_tool_calls=False, **settings)
    return llm, parser.model_copy(update={"tool": name})


def _answer_tool(form: Mapping[str, Any]) -> dict[str, Any]:
    """A tool whose arguments are the answer."""
    parameters = {key: each for key, each in form.items() if key not in ("title", "description")}
    description = form.get("description") or ""
    return described(Tool(name=form["title"], description=description, parameters=parameters))


def _builder(schema: Any) -> Callable[[Any], Any] | None:
    """The function that makes an instance of a class; None if the answer is plain JSON."""
    if dataclasses.is_dataclass(schema):
        return TypeAdapter(schema).validate_python
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return schema.model_validate
    return getattr(schema, "parse_obj", None)  # of a model of pydantic 1


class AnswerParser(BaseCumulativeTransformOutputParser[Any]):
    """Parses a whole answer strictly, where LangChain's parsers repair one that was cut off.

    In a stream, a plain JSON answer comes in repaired parts before the whole, which is validated.
    """

    form: dict[str, Any]
    """The JSON schema of the answer."""
    build: Callable[[Any], Any] | None = None
    """Makes an instance of the schema's class; None gives the JSON value."""
    tool: str = ""
    """The tool whose call is the answer; if empty, the text is."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Parse an answer; if ``partial``, None or the part so far, until the stream has ended.

        Raises:
            OutputParserException: the answer was cut off, or it violates the schema.
        """
        message = _message(result[0])
        if partial and isinstance(message, AIMessageChunk) and message.chunk_position != "last":
            return self._begun(message)
        try:
            return self._checked(self._called(message) if self.tool else _value(message))
        except ValueError as error:
            raise OutputParserException(_told(error, message), llm_output=message.text) from error

    def parse(self, text: str) -> Any:
        """Parse a text as a whole answer."""
        return self.parse_result([Generation(text=text)])

    def _begun(self, message: AIMessageChunk) -> Any:
        if self.build:  # an instance would look whole
            return None
        if self.tool:
            return next(self._arguments(message), None)
        try:
            return parse_partial_json(fenced(message.text))
        except ValueError:
            return None

    def _called(self, message: AIMessage) -> Any:
        for arguments in self._arguments(message):
            return arguments
        for call in message.invalid_tool_calls:
            raise ValueError(call["error"] or "its call is cut off or invalid")
        raise ValueError(f"the model didn't call {self.tool!r}")

    def _arguments(self, message: AIMessage) -> Iterator[dict[str, Any]]:
        return (call["args"] for call in message.tool_calls if call["name"] == self.tool)

    def _checked(self, value: Any) -> Any:
        if self.build:
            return self.build(value)
        try:
            wrong = mismatch(value, self.form)
        except Exception as error:  # the schema is invalid, or refers to another document
            raise ValueError(f"the schema can't be read: {error}") from error
        if wrong is None:
            return value
        place = wrong.json_path.removeprefix("$")
        raise ValueError(f"{place and f'{place}: '}{wrong.message}")


def _message(generation: Generation) -> AIMessage:
    if isinstance(generation, ChatGeneration):
        message = generation.message
        # LangChain makes a plain chunk of a message that comes in place of a stream.
        return message if isinstance(message, AIMessage) else AIMessage(**message.model_dump())
    return AIMessage(generation.text)


def _value(message: AIMessage) -> Any:
    try:
        value = json.loads(fenced(message.text), strict=False)
    except (ValueError, RecursionError):
        raise ValueError("it isn't JSON") from None
    if type(value) in (int, float) and message.response_metadata.get("finish_reason") in _CUT:
        raise ValueError("the number may lack digits")
    return value


def _told(error: ValueError, message: AIMessage) -> str:
    """What is wrong with an answer, in one line."""
    details = error.errors() if hasattr(error, "errors") else ()  # of either pydantic
    faults = [(".".join(map(str, each["loc"])), each["msg"]) for each in details]
    why = "; ".join(": ".join(filter(None, fault)) for fault in faults) or str(error)
    calls = [*message.tool_calls, *message.invalid_tool_calls]
    text = message.text or "".join(str(call["args"]) for call in calls)
    is_cut = message.response_metadata.get("finish_reason") in _CUT
    way_out = "; it was cut off: raise max_tokens or the budget" if is_cut else ""
    return f"the answer doesn't match its schema: {_short(why)}; it is {_short(text)!r}{way_out}"


def _short(text: str) -> str:
    return f"{text[:200]}…" if len(text) > 200 else text
