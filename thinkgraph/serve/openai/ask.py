"""Conversion of requests of OpenAI's API to an `Ask` for a model or a strategy."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import re2  # type: ignore[import-untyped]
from pydantic import BaseModel, ValidationError

from thinkgraph.graphs.checker.given import check_inputs
from thinkgraph.graphs.graph import Graph
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import NO_TOOLS, Message, Sampling, ToolUse
from thinkgraph.models.structured import answer_schema, asked_for, tool_use
from thinkgraph.serve.errors import RequestError
from thinkgraph.serve.offer.schemas import check_schema
from thinkgraph.serve.offer.specs import parse_spec
from thinkgraph.serve.offer.strategies import Chosen
from thinkgraph.serve.openai.messages import from_chat, from_items
from thinkgraph.serve.openai.schema import (
    SILENT,
    ChatRequest,
    Options,
    ResponsesRequest,
    SamplingFields,
)
from thinkgraph.serve.replies.reply import Ask
from thinkgraph.serve.service import Service

SETTINGS = (
    *("temperature", "top_p", "top_k", "min_p", "repeat_penalty"),
    *("presence_penalty", "frequency_penalty"),
)
"""Fields that are settings of a model's sampling, under the same names."""
MOST_STOPS, LONGEST_STOP = 16, 200
NO_THOUGHT = ("none", "minimal")
"""Reasoning efforts at which thinking is disabled, for models that can do without."""


_FORMAT = "send a JSON schema as response_format (Responses: text.format)"
UNSUPPORTED = {
    "functions": "send tools",
    "function_call": "send tool_choice",
    "prompt": "send what it says as messages",
    "audio": "answers are text",
    "web_search_options": "the server searches nothing",
    **dict.fromkeys(("grammar", "json_schema", "structured_outputs"), _FORMAT),
    **dict.fromkeys(("guided_json", "guided_regex", "guided_choice", "guided_grammar"), _FORMAT),
    "stop_token_ids": "send texts as stop",
    "ignore_eos": "an answer ends where the model ends it",
    "min_tokens": "an answer ends where the model ends it",
}
"""Unsupported fields that would change an answer, with what to do instead."""
OTHERS = {
    "chat": {
        "text": "send response_format",
        "max_output_tokens": "send max_completion_tokens",
        "input": "send messages",
        "instructions": "send a message of the role system",
    },
    "responses": {
        "messages": "send input",
        "n": "send a request for each",
        "logprobs": "chat completions give them",
        "max_tokens": "send max_output_tokens",
        "max_completion_tokens": "send max_output_tokens",
        "response_format": "send text.format",
        "reasoning_effort": "send reasoning.effort",
    },
}
"""By API, fields of the other one that would change an answer, with what to do instead."""


@dataclass(frozen=True)
class Asked:
    """The settings that both APIs have, under different field names.

    Attributes:
        messages: the conversation.
        schema: the JSON schema of the answer.
        settings: sampling settings.
        longest: maximum number of tokens of one completion.
        tokens: maximum number of tokens of all completions together.
        effort: the reasoning effort.
    """

    messages: list[Message]
    schema: dict[str, Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    longest: int | None = None
    tokens: int | None = None
    effort: str | None = None


def from_chat_request(service: Service, request: ChatRequest) -> Ask:
    """Convert a chat request.

    Raises:
        RequestError: the request is invalid or unsupported.
    """
    wanted = {"top_logprobs": max(request.top_logprobs or 0, 1)} if request.logprobs else {}
    asked = Asked(
        messages=from_chat(request.messages),
        schema=_schema(request.response_format, "response_format"),
        settings={**_settings(request), **wanted},
        longest=request.max_tokens,
        tokens=request.max_completion_tokens,
        effort=request.reasoning_effort,
    )
    return _ask(service, request, asked, api="chat", n=request.n or 1)


def from_responses_request(service: Service, request: ResponsesRequest) -> Ask:
    """Convert a Responses request.

    Raises:
        RequestError: the request is invalid or unsupported.
    """
    for name in ("previous_response_id", "conversation"):
        if getattr(request, name):
            raise RequestError(
                f"{name} isn't supported: the server keeps no conversations; send all of it "
                "as `input`",
                param=name,
            )
    if request.background:
        raise RequestError("background responses aren't supported", param="background")
    form = request.text.format if request.text else None
    tools = [_function(tool, number) for number, tool in enumerate(request.tools or ())]
    asked = Asked(
        messages=from_items(request.input, request.instructions),
        schema=_schema(form, "text.format"),
        settings=_settings(request),
        tokens=request.max_output_tokens,
        effort=request.reasoning.effort if request.reasoning else None,
    )
    return _ask(service, request.model_copy(update={"tools": tools}), asked, api="responses")


def _ask(
    service: Service,
    request: SamplingFields,
    asked: Asked,
    *,
    api: str,
    n: int = 1,
) -> Ask:
    _refuse_fields(request, api)
    chosen, options = _chosen(service, request.model, request.thinkgraph, asked.messages)
    if n > service.settings.choices:
        most = service.settings.choices
        raise RequestError(f"n is {n}; this server allows at most {most}", param="n")
    ask = Ask(
        api=api,
        chosen=chosen,
        messages=asked.messages,
        n=n,
        seed=secrets.randbits(31) if request.seed is None else request.seed % 2**31,
        tools=_tools(request),
        roles=options.models,
        seconds=options.seconds,
        template={**_effort(asked.effort), **options.template},
        ignored=_ignored(request),
    )
    if chosen.graph is None:
        return _ask_model(ask, options, asked, service.settings.max_tokens)
    return _ask_strategy(ask, chosen.graph, options, asked)


def _ask_model(ask: Ask, options: Options, asked: Asked, longest: int) -> Ask:
    """A request to a bare model; ``longest`` is the default limit of a completion's tokens."""
    if given := sorted({*options.given, *options.models}):
        raise RequestError(
            f"{ask.chosen.name!r} is a model and no strategy, so {given[0]!r} can't be set",
            param=f"thinkgraph.{given[0]}",
        )
    messages, settings = asked.messages, dict(asked.settings)
    if asked.schema is not None:
        messages, settings["json_schema"] = asked_for(asked.schema, messages), asked.schema
    settings["max_tokens"] = _least(asked.longest, asked.tokens) or longest
    return replace(ask, messages=messages, sampling=_sampling(settings), tokens=options.tokens)


def _ask_strategy(ask: Ask, graph: Graph, options: Options, asked: Asked) -> Ask:
    """A request to a strategy; sampling settings set its params of the same names."""
    _refuse(ask.chosen, asked.settings, ask.tools)
    if asked.schema is not None:
        graph = graph.answering(asked.schema)
    settings, limits = dict(asked.settings), [asked.tokens, options.tokens]
    if asked.longest is not None and "max_tokens" in graph.spec.params:
        settings["max_tokens"] = asked.longest
    else:
        limits.append(asked.longest)
    known = {name: value for name, value in settings.items() if name in graph.spec.params}
    params = {**known, **options.given}
    _check_params(graph, {**ask.chosen.params, **params})
    return replace(
        ask,
        chosen=replace(ask.chosen, graph=graph),
        params=params,
        tokens=_least(*limits),
        ignored=[*ask.ignored, *(name for name in settings if name not in known)],
    )


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _chosen(
    service: Service, name: str, options: Options, messages: Sequence[Message]
) -> tuple[Chosen, Options]:
    """The model and strategy that a request names, and its options.

    Chores of chat programs go to the strategy for chores, without the request's params and roles,
    which are meant for the named strategy.
    """
    chosen = service.strategies.find(name, service.models)
    model = service.models.check(options.model, "thinkgraph.model") if options.model else None
    model = model or chosen.model
    if (chosen.graph is not None or options.spec is not None) and is_chore(service, messages):
        graph = service.strategies.chores(service.settings.chores_by)
        return Chosen(graph.name, model, graph), options.limits
    if options.spec is not None:
        graph = parse_spec(service, options.spec)
        return Chosen(graph.name, model, graph), options
    if options.model and chosen.graph is not None:
        graph = service.strategies.for_model(chosen.graph.name, model, service.models)
        return replace(chosen, model=model, graph=graph), options
    return replace(chosen, model=model), options


def is_chore(service: Service, messages: Sequence[Message]) -> bool:
    """Whether a chat program asks for a title, tags or the like, by the server's pattern."""
    rule = service.settings.chores
    last = next((m.content for m in reversed(messages) if m.role == "user"), "")
    return bool(rule) and re2.search(rule, last) is not None


def _check_params(graph: Graph, given: Mapping[str, Any]) -> None:
    graph.bind({name: value for name, value in given.items() if name not in graph.spec.inputs})
    check_inputs(graph.spec, given)


def _refuse(chosen: Chosen, settings: Mapping[str, Any], tools: ToolUse) -> None:
    """Refuse settings that a strategy can't follow, where ignoring them would change the answer."""
    asked = {"tools": bool(tools.tools), "logprobs": "top_logprobs" in settings}
    asked |= {"stop": "stop" in settings, "logit_bias": "logit_bias" in settings}
    for name, is_asked in asked.items():
        if is_asked:
            raise RequestError(
                f"{name} needs a bare model; {chosen.name!r} is a strategy, whose answer comes of "
                f"several texts. Ask the model {chosen.model!r} instead",
                param=name,
                code="unsupported_parameter",
            )


def _settings(request: SamplingFields) -> dict[str, Any]:
    """The settings of a model's sampling that a request gives."""
    found = {name: value for name in SETTINGS if (value := getattr(request, name)) is not None}
    if request.logit_bias:
        found["logit_bias"] = request.logit_bias
    if request.stop:
        found["stop"] = _stops(request.stop)
    return found


def _refuse_fields(request: SamplingFields, api: str) -> None:
    """Refuse unsupported fields that would change the answer."""
    given = request.__pydantic_extra__ or {}
    for name, instead in (UNSUPPORTED | OTHERS[api]).items():
        is_usual = name == "n" and given.get(name) == 1
        if given.get(name) and not is_usual:
            raise RequestError(
                f"{name} isn't supported; {instead}", param=name, code="unsupported_parameter"
            )
    if (modalities := given.get("modalities")) not in (None, [], ["text"]):
        raise RequestError(f"modalities is ['text'] here, not {modalities}", param="modalities")
    if not request.tools and request.tool_choice not in (None, "auto", "none"):
        raise RequestError("tool_choice needs tools, and there are none", param="tool_choice")


def _ignored(request: SamplingFields) -> list[str]:
    """Fields without effect, though the client may expect one."""
    found = {*(request.__pydantic_extra__ or {})}
    for name in ("reasoning", "text"):
        inner = getattr(request, name, None)
        if isinstance(inner, BaseModel):
            found |= {f"{name}.{each}" for each in inner.__pydantic_extra__ or {}}
    has_logprobs = isinstance(request, ChatRequest) and request.logprobs
    if request.top_logprobs is not None and not has_logprobs:
        found.add("top_logprobs")
    return sorted(found - SILENT)


def _sampling(settings: Mapping[str, Any]) -> Sampling:
    try:
        return Sampling.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise RequestError(f"{name}: {first['msg']}", param=name) from None


def _stops(given: str | list[str]) -> list[str]:
    stops = [given] if isinstance(given, str) else given
    if len(stops) > MOST_STOPS or any(len(stop) > LONGEST_STOP or not stop for stop in stops):
        raise RequestError(
            f"stop is at most {MOST_STOPS} texts of 1 to {LONGEST_STOP} characters", param="stop"
        )
    return stops


def _effort(effort: str | None) -> dict[str, Any]:
    """A reasoning effort as chat template variables; templates ignore those they don't know."""
    if effort is None:
        return {}
    thinks = {"enable_thinking": effort not in NO_THOUGHT}
    return thinks if effort == "none" else {**thinks, "reasoning_effort": effort}


def _schema(given: Mapping[str, Any] | None, param: str) -> dict[str, Any] | None:
    if given is None:
        return None
    if given.get("type") not in ("text", "json_object", "json_schema"):
        raise RequestError(f"{param}.type is text, json_object or json_schema", param=param)
    if "schema" in given and given.get("type") == "json_schema":  # as in the Responses API
        given = {"type": "json_schema", "json_schema": {"schema": given["schema"]}}
    told = given if given.get("type") == "json_object" else given.get("json_schema")
    inner = told.get("schema") if isinstance(told, Mapping) else None
    needs_one = given.get("type") == "json_schema" or inner is not None
    if needs_one and not isinstance(inner, Mapping):
        raise RequestError(f"{param} needs a schema, which is a JSON object", param=param)
    schema = answer_schema(dict(given))
    if schema is not None:
        check_schema(schema, param)
    return schema


def _tools(request: SamplingFields) -> ToolUse:
    for number, tool in enumerate(request.tools or ()):
        function = tool.get("function")
        if tool.get("type", "function") != "function" or not isinstance(function, Mapping):
            raise RequestError(
                f"tools[{number}]: only tools of type function are supported", param="tools"
            )
        if not isinstance(function.get("name"), str) or not function["name"]:
            raise RequestError(f"tools[{number}]: a function needs a name", param="tools")
        schema = function.get("parameters") or {}
        if not isinstance(schema, Mapping):
            raise RequestError(f"tools[{number}]: parameters is a JSON schema", param="tools")
        check_schema(schema, f"tools[{number}].function.parameters")
    settings = {
        "tools": request.tools,
        "tool_choice": request.tool_choice if request.tools else None,
        "parallel_tool_calls": request.parallel_tool_calls,
    }
    try:
        return tool_use(settings) if request.tools else NO_TOOLS
    except (ModelError, ValueError, TypeError, KeyError, AttributeError) as error:
        param = "tool_choice" if "tool_choice" in str(error) else "tools"
        raise RequestError(f"{param}: {error}", param=param) from None


def _function(tool: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Convert a tool of the Responses API to the format of chat completions."""
    if tool.get("type") != "function":
        raise RequestError(
            f"tools[{number}]: {tool.get('type')!r} isn't supported; only functions are",
            param="tools",
        )
    told = {key: tool[key] for key in ("name", "description", "parameters") if key in tool}
    return {"type": "function", "function": told}
