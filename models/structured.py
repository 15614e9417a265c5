"""Tools and structured answers: from the arguments of LangChain's callers to a model request."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, TypeAdapter

from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import NO_TOOLS, Message, Tool, ToolUse

Method = Literal["json_schema", "function_calling", "json_mode"]
ASKED = "Answer with a JSON value of this JSON schema, and nothing else:"
EMPTY = {"type": "object", "properties": {}}


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


def _tool(tool: Any) -> Tool:
    told = convert_to_openai_tool(tool)["function"]
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
        return convert_to_json_schema(schema)
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
    shown = form if dataclasses.is_dataclass(schema) else convert_to_json_schema(schema)
    told = {"schema": shown, "kwargs": {"method": method}}  # what LangChain's tracers read
    if method == "function_calling":
        return _by_calling(chat, schema, form, {**settings, "ls_structured_output_format": told})
    wanted = form if method == "json_schema" else {"type": "json_object"}
    llm = chat.bind(response_format=wanted, ls_structured_output_format=told, **settings)
    return llm, _parser(schema)


def _by_calling(
    chat: BaseChatModel, schema: Any, form: dict[str, Any], settings: dict[str, Any]
) -> tuple[Runnable[Any, AIMessage], Runnable[AIMessage, Any]]:
    is_data = dataclasses.is_dataclass(schema)
    tool = convert_to_openai_tool({"title": "answer", **form} if is_data else schema)
    name = tool["function"]["name"]
    llm = chat.bind_tools([tool], tool_choice=name, parallel_tool_calls=False, **settings)
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return llm, PydanticToolsParser(tools=[schema], first_tool_only=True)
    parser = JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
    return llm, parser | _instance(schema) if is_data else parser


def _parser(schema: Any) -> Runnable[AIMessage, Any]:
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticOutputParser(pydantic_object=schema)
    parser: JsonOutputParser = JsonOutputParser()
    return parser | _instance(schema) if dataclasses.is_dataclass(schema) else parser


def _instance(schema: Any) -> Runnable[Any, Any]:
    return RunnableLambda(TypeAdapter(schema).validate_python)
