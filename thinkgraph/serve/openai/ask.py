"""From a request of OpenAI's API to what is asked of a model or a strategy."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import re2  # type: ignore[import-untyped]
from pydantic import ValidationError

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

SHARED = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty")
CHAT = ("presence_penalty", "frequency_penalty")
MOST_STOPS, LONGEST_STOP = 16, 200
NO_THOUGHT = ("none", "minimal")
"""Efforts with which a model that may leave its thought out does."""


def from_chat_request(service: Service, request: ChatRequest) -> Ask:
    """What a chat request asks.

    Raises:
        RequestError: it can't be answered here.
    """
    messages = from_chat(request.messages)
    schema = _schema(request.response_format, "response_format")
    settings: dict[str, Any] = {}
    if request.logit_bias:
        settings["logit_bias"] = request.logit_bias
    if request.stop:
        settings["stop"] = _stops(request.stop)
    if request.logprobs:
        settings["top_logprobs"] = max(request.top_logprobs or 0, 1)
    settings |= _given(request, CHAT)
    return _ask(
        service,
        request,
        api="chat",
        messages=messages,
        schema=schema,
        settings=settings,
        n=request.n or 1,
        seed=request.seed,
        longest=request.max_tokens,
        tokens=request.max_completion_tokens,
        effort=request.reasoning_effort,
    )


def from_responses_request(service: Service, request: ResponsesRequest) -> Ask:
    """What a Responses request asks.

    Raises:
        RequestError: it can't be answered here.
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
    return _ask(
        service,
        request.model_copy(update={"tools": tools}),
        api="responses",
        messages=from_items(request.input, request.instructions),
        schema=_schema(form, "text.format"),
        settings={},
        n=1,
        seed=None,
        longest=None,
        tokens=request.max_output_tokens,
        effort=request.reasoning.effort if request.reasoning else None,
    )


def _ask(
    service: Service,
    request: SamplingFields,
    *,
    api: str,
    messages: list[Message],
    schema: dict[str, Any] | None,
    settings: dict[str, Any],
    n: int,
    seed: int | None,
    longest: int | None,
    tokens: int | None,
    effort: str | None,
) -> Ask:
    options = request.thinkgraph
    chosen = _chosen(service, request.model, options, messages)
    if n > service.settings.choices:
        raise RequestError(f"n is at most {service.settings.choices}", param="n")
    settings = {**_given(request, SHARED), **settings}
    tools = _tools(request)
    ask: dict[str, Any] = {
        "api": api,
        "n": n,
        "seed": secrets.randbits(31) if seed is None else seed % 2**31,
        "roles": options.models,
        "seconds": options.seconds,
        "template": {**_effort(effort), **options.template},
        "ignored": _ignored(request),
    }
    if chosen.graph is None:
        if given := sorted({*options.given, *options.models}):
            raise RequestError(
                f"{chosen.name!r} is a model and no strategy, so {given[0]!r} can't be set",
                param=f"thinkgraph.{given[0]}",
            )
        if schema is not None:
            messages, settings["json_schema"] = asked_for(schema, messages), schema
        most = [each for each in (longest, tokens) if each is not None]
        settings["max_tokens"] = min(most, default=service.settings.max_tokens)
        sampling = _sampling(settings)
        return Ask(
            chosen=chosen,
            messages=messages,
            sampling=sampling,
            tools=tools,
            tokens=options.tokens,
            **ask,
        )
    _refuse(chosen, settings, tools)
    graph = chosen.graph
    if schema is not None:
        check_schema(schema, "response_format", patterns=False)
        graph = graph.answering(schema)
    if longest is not None:
        settings["max_tokens"] = longest
    known = {name: value for name, value in settings.items() if name in graph.spec.params}
    lost = [name for name in settings if name not in known and name != "max_tokens"]
    if longest is not None and "max_tokens" not in known:
        tokens = min(longest, tokens or longest)
    params: dict[str, Any] = {**known, **options.given}
    _check_params(graph, {**chosen.params, **params})
    limits = [each for each in (tokens, options.tokens) if each is not None]
    ask["ignored"] = [*ask["ignored"], *lost]
    return Ask(
        chosen=Chosen(chosen.name, chosen.model, graph, chosen.params),
        messages=messages,
        params=params,
        tokens=min(limits, default=None),
        **ask,
    )


def _chosen(service: Service, name: str, options: Options, messages: Sequence[Message]) -> Chosen:
    """What the request names; a chat program's chore goes to the strategy for chores."""
    chosen = service.strategies.find(name, service.models)
    model = service.models.check(options.model, "thinkgraph.model") if options.model else None
    if options.spec is not None:
        graph = parse_spec(service, options.spec)
        return Chosen(graph.name, model or chosen.model, graph)
    if chosen.graph is not None and is_chore(service, messages):
        graph = service.strategies.chores(service.settings.chores_by)
        return Chosen(graph.name, model or chosen.model, graph)
    if model and chosen.graph is not None:
        graph = service.strategies.for_model(chosen.graph.name, model, service.models)
        return Chosen(chosen.name, model, graph, chosen.params)
    return Chosen(chosen.name, model or chosen.model, chosen.graph, chosen.params)


def is_chore(service: Service, messages: Sequence[Message]) -> bool:
    """Whether a chat program asks for a title, tags or the like, by the server's rule."""
    rule = service.settings.chores
    last = next((m.content for m in reversed(messages) if m.role == "user"), "")
    return bool(rule) and re2.search(rule, last) is not None


def _check_params(graph: Graph, given: Mapping[str, Any]) -> None:
    graph.bind({name: value for name, value in given.items() if name not in graph.spec.inputs})


def _refuse(chosen: Chosen, settings: Mapping[str, Any], tools: ToolUse) -> None:
    """Refuse what a strategy can't do and an answer without it would be another one."""
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


def _given(request: SamplingFields, names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(request, name, None)) is not None}


def _ignored(request: SamplingFields) -> list[str]:
    """Fields that are none of those that have an effect."""
    return sorted({*(request.__pydantic_extra__ or {})} - SILENT)


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
    """An effort as variables of a chat template; a template that knows none leaves it out."""
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
    told = given.get("json_schema", {})
    inner = told.get("schema", given.get("schema", {})) if isinstance(told, Mapping) else None
    if not isinstance(inner, Mapping):
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
    """A tool of the Responses API as one of chat completions."""
    if tool.get("type") != "function":
        raise RequestError(
            f"tools[{number}]: {tool.get('type')!r} isn't supported; only functions are",
            param="tools",
        )
    told = {key: tool[key] for key in ("name", "description", "parameters") if key in tool}
    return {"type": "function", "function": told}
