"""`Graph`: a strategy that is composed or loaded, saved, compiled, run and streamed."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import AsyncGenerator, Hashable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from pydantic import BaseModel

from thinkgraph.graphs.catalogue import find, find_used, names
from thinkgraph.graphs.checker.check import check_spec
from thinkgraph.graphs.checker.check import load as load_spec
from thinkgraph.graphs.language.document import DataPath
from thinkgraph.graphs.language.dump import dump
from thinkgraph.graphs.language.problem import SpecError
from thinkgraph.graphs.language.spec import (
    RUN_SETTINGS,
    Input,
    Limits,
    NodeSpec,
    Output,
    Param,
    Scalar,
    Spec,
    StateField,
    chain,
)
from thinkgraph.graphs.requirements import Requirements, check_models, requirements
from thinkgraph.graphs.runtime.result import Finished, Result
from thinkgraph.models import arguments
from thinkgraph.models.arguments import ArgumentError, suggesting
from thinkgraph.models.errors import ThinkgraphError, did_you_mean
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.base.param import is_reference
from thinkgraph.nodes.event import NodeEvent
from thinkgraph.nodes.prompts.prompt import Prompt, load_prompt
from thinkgraph.nodes.registry import node_kinds
from thinkgraph.nodes.tools.tool import Tools, all_tools, bind_tools
from thinkgraph.nodes.tools.verifier import Verifier, all_verifiers, bind_verifiers

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langchain_core.tools import BaseTool
    from langgraph.cache.base import BaseCache
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.store.base import BaseStore

    from thinkgraph.graphs.runtime.context import Allowance, Binding
    from thinkgraph.graphs.runtime.models import AnyModel, Roles
    from thinkgraph.graphs.runtime.run import Question

KEPT = 16
"""Compiled graphs that a graph caches, one per set of params and prompts."""


_making = threading.RLock()
"""Held while a graph makes what it keeps. A run knows its context by the spec that both have, so
threads that share a graph have to get the same object."""


class Graph:
    """A reasoning strategy.

    Compose one with :meth:`add` and :meth:`edge`, in the words of the YAML language, or
    :func:`load` a saved one.

    Args:
        name: letters, digits, `-` and `_`.
        about: what it does, its source and cost, when it helps and hurts.
        params: values that a run may set, with their defaults; ``$name`` refers to one.
        inputs: inputs in addition to the question.
        state: additional fields of the state, each with its reducer.
        budget: budget of one run.
        output: the channel that is a run's result, and its JSON schema; the answer by default.
    """

    @suggesting
    def __init__(
        self,
        name: str,
        about: str = "",
        *,
        params: Mapping[str, Scalar | Param] | None = None,
        inputs: Mapping[str, Input] | None = None,
        state: Mapping[str, StateField] | None = None,
        budget: Limits | None = None,
        output: str | Output | Mapping[str, Any] | None = None,
    ) -> None:
        head = {
            "about": about,
            "params": params,
            "inputs": inputs,
            "state": state,
            "budget": budget,
            "output": output,
        }
        self._data: dict[str, Any] = {"thinkgraph": 1, "name": name}
        self._data |= {key: _plain(value) for key, value in head.items() if value}
        self._data |= {"nodes": {}, "edges": []}
        self._places: dict[DataPath, tuple[str, int]] = {(): _caller()}
        self._folder: Path | None = None
        self._prompts: dict[str, Prompt] = {}
        self._changed()

    @classmethod
    def of(cls, spec: Spec, folder: Path | None = None) -> Self:
        """The graph of a spec; ``folder`` contains the files that it uses."""
        graph = cls(spec.name)
        graph._data, graph._folder = spec.plain, folder
        return graph

    @suggesting
    def add(self, **nodes: Node | NodeSpec) -> tuple[str, ...]:
        """Add nodes, and return their names for :meth:`edge`.

        A node is a kind with its settings, such as ``Generate(samples=4)``, or :func:`use`.
        """
        for name, node in nodes.items():
            if not isinstance(node, Node | NodeSpec | Mapping):
                example = "a kind with its settings, such as Generate(samples=4)"
                raise ArgumentError(f"node {name!r} should be {example}, not {node!r}")
            kind = {"kind": node.kind, **node.settings()} if isinstance(node, Node) else node
            self._data["nodes"][name] = _plain(kind)
            self._places["nodes", name] = _caller()
        self._changed()
        return tuple(nodes)

    @suggesting
    def edge(
        self,
        *path: str | Sequence[str],
        when: str | None = None,
        repeat: int | str | None = None,
        at_most: int | str | None = None,
        each: str | None = None,
    ) -> Self:
        """Add a chain of edges: ``edge(START, draft, critic)``; a list of nodes runs in parallel.

        Args:
            path: the names of the nodes, in order.
            when: a condition in CEL, for a path of two nodes.
            repeat: bounds a loop: the edge is followed until its target has run so often in all.
            at_most: maximum number of times the edge is followed in a run.
            each: ``"candidates"`` runs the target once per live candidate, the name of a list of
                the state once per item.
        """
        for name in path:
            if not isinstance(name, str | Sequence):
                raise ArgumentError(f"edge() takes the names of nodes, not {name!r}")
        rest = {"when": when, "repeat": repeat, "at_most": at_most, "each": each}
        given = {key: value for key, value in rest.items() if value is not None}
        edges = self._data["edges"]
        self._places["edges", len(edges)] = _caller()
        edges.append({chain(*path): given} if given else chain(*path))
        self._changed()
        return self

    def _changed(self) -> None:
        """Forget what was made of the graph as it was."""
        self._spec: Spec | None = None
        self._specs: dict[str, Spec] = {}
        self._required: dict[Hashable, Requirements] = {}
        self._apps: dict[Hashable, CompiledStateGraph[Any, Any]] = {}

    def __repr__(self) -> str:
        """Its name, its nodes with their kinds, and its params with their defaults."""
        nodes = [f"{name}={_word(node)}" for name, node in self._data["nodes"].items()]
        params = [f"{n}={_default(p)!r}" for n, p in (self._data.get("params") or {}).items()]
        shown = f"<Graph {self.name!r}; nodes: {', '.join(nodes) or 'none'}"
        return f"{shown}; params: {', '.join(params)}>" if params else f"{shown}>"

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has; it compiles for itself."""
        return {**self.__dict__, "_apps": {}}

    @property
    def name(self) -> str:
        """The name of the graph."""
        return str(self._data["name"])

    @property
    def spec(self) -> Spec:
        """The spec of the graph, checked.

        Raises:
            SpecError: the report of every error that the checker finds, with the lines of Python.
        """
        with _making:
            if self._spec is None:
                found = check_spec(self._data, self._places, self._folder)
                problems = [problem for problem in found if problem.severity == "error"]
                if problems:
                    raise SpecError(problems)
                self._spec = Spec.model_validate(self._data)
            return self._spec

    @property
    def specs(self) -> dict[str, Spec]:
        """The specs of the graph (under the empty name) and of the graphs that it uses, by name.

        A built-in graph or a file beside this one is read once, as this one is. A file that lies
        beside a used graph in another folder has its whole path as its name.
        """
        with _making:
            if not self._specs:
                self._specs = self._read_specs()
            return self._specs

    def _read_specs(self) -> dict[str, Spec]:
        found: dict[str, Spec] = {}
        waiting = [("", self.spec, self._folder)]
        while waiting:
            key, spec, folder = waiting.pop()
            keys: dict[str, str] = {}
            for use in (node.used for node in spec.nodes.values()):
                if use is None or use.graph in keys:
                    continue
                file = find_used(use.graph, folder)
                beside = file.parent if isinstance(file, Path) else None
                here = use.graph in names() or folder == self._folder
                keys[use.graph] = use.graph if here else str(file)
                if keys[use.graph] not in found:
                    waiting.append((keys[use.graph], load_spec(file), beside))
            found[key] = spec.renamed(keys)
        return found

    @property
    def roles(self) -> set[str]:
        """The model roles of its nodes, and of the graphs that it uses."""
        nodes = [node for spec in self.specs.values() for node in spec.nodes.values()]
        named = [node.settings.get("model") for node in nodes]
        for node in nodes:
            several = node.settings.get("models", ())
            named += several if isinstance(several, list | tuple) else ()
        return {str(role) for role in named if role}

    def required(self, params: Mapping[str, Any] | None = None) -> Requirements:
        """The tools and verifiers that its nodes name, those of the graphs that it uses included.

        Args:
            params: values of its params, which may be such names; the others have their defaults.

        Raises:
            ThinkgraphError: an unknown param, or an invalid value of one.
        """
        values = self.bind(params or {})
        key = tuple(values.items())
        if key not in self._required:
            if len(self._required) >= KEPT:
                self._required.clear()
            self._required[key] = requirements(self.spec, values, self.specs.__getitem__)
        return self._required[key]

    def check_models(self, models: Roles, params: Mapping[str, Any] | None = None) -> None:
        """Refuse models that are known not to give what its nodes need; none of them is opened.

        Args:
            models: by role.
            params: values of its params; the others have their defaults.

        Raises:
            Incapable: with the params that make them do, if any one does.
        """
        values, found = self.bind(params or {}), self.required(params)
        check_models(self.spec, values, self.specs.__getitem__, models.lacks, found)

    def check_hosted(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        tools: Tools | None = None,
        verifiers: Mapping[str, Verifier] | None = None,
    ) -> None:
        """Refuse a run whose tools or verifiers are neither given nor shared nor built in.

        Args:
            params: values of its params; the others have their defaults.
            tools: as :meth:`run` takes them.
            verifiers: the same.

        Raises:
            Unbound: with every name that isn't bound.
            ArgumentError: a tool or verifier isn't one.
        """
        known = all_tools(bind_tools(tools)), all_verifiers(bind_verifiers(verifiers))
        self.required(params).check(self.name, *known)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the graph as a YAML file."""
        Path(path).write_text(self.yaml, encoding="utf-8")

    @property
    def yaml(self) -> str:
        """The graph as YAML."""
        return dump(self.spec.plain)

    def compile(
        self,
        checkpointer: Any = None,
        *,
        model: AnyModel | None = None,
        models: Mapping[str, AnyModel] | None = None,
        seed: int = 0,
        budget: Limits | Mapping[str, float] | None = None,
        prompts: Mapping[str, Prompt] | None = None,
        tools: Tools | None = None,
        verifiers: Mapping[str, Verifier] | None = None,
        interrupt_before: Literal["*"] | Sequence[str] | None = None,
        interrupt_after: Literal["*"] | Sequence[str] | None = None,
        store: BaseStore | None = None,
        cache: BaseCache[Any] | None = None,
        name: str | None = None,
        debug: bool = False,
        params: Mapping[str, Any] | None = None,
        **more_params: Any,
    ) -> CompiledStateGraph[Any, Any]:
        """The strategy as an ordinary compiled LangGraph graph.

        Invoke it with ``{"question": …}`` or ``{"messages": […]}``; the answer is in the channel
        ``answer``, and in ``messages`` as an :class:`AIMessage` at the end. On a thread of a
        checkpointer each such invocation is a new turn of the conversation; ``invoke(None)`` and
        ``Command(resume=…)`` go on with an interrupted run. One invocation may have its own seed,
        models and budget by LangGraph's ``context=``
        (:class:`thinkgraph.graphs.runtime.context.Context`).

        Args:
            checkpointer: any LangGraph checkpointer.
            model: a model name or path, an open model, or a LangChain chat model.
            models: models by role, for nodes with ``model: ROLE``.
            seed: random seed.
            budget: what each run may spend, beside what the spec says.
            prompts: prompts that replace built-in ones of the same name.
            tools: what the spec's tools are, by name, or a list of such that have names: LangChain
                tools, functions with typed arguments, or a :class:`ToolFactory`.
            verifiers: what the spec's verifiers are: functions by name.
            interrupt_before: the nodes before which a run stops, as in LangGraph.
            interrupt_after: the nodes after which it stops.
            store: a LangGraph store, for node kinds of one's own.
            cache: a LangGraph cache.
            name: of the compiled graph; the graph's name by default.
            debug: whether LangGraph prints what it does.
            params: values of the graph's params; needed for one that is named as an argument here.
            **more_params: the same, as keywords.

        Raises:
            ThinkgraphError: an unknown param or node, or an invalid value of a param.
        """
        from thinkgraph.graphs.runtime.run import (  # noqa: PLC0415 (slow to import)
            app,
            limits_of,
            seed_of,
            stops,
        )

        values = {**(params or {}), **more_params}
        binding = self._bound(
            model, models, prompts, values, tools=tools, verifiers=verifiers, seed=seed_of(seed)
        )
        return app(
            self.spec,
            replace(binding, budget=limits_of(budget)),
            checkpointer,
            interrupt_before=stops(self.spec, "interrupt_before", interrupt_before),
            interrupt_after=stops(self.spec, "interrupt_after", interrupt_after),
            store=store,
            cache=cache,
            name=name,
            debug=debug,
        )

    def run(self, question: Question, **settings: Any) -> Result:
        """Answer a question; takes what :meth:`stream` takes.

        Raises:
            ThinkgraphError: invalid input.
            Interrupted: a node waits for somebody; it has a way to go on.
        """
        from thinkgraph.models.event_loop import wait_for  # noqa: PLC0415

        return wait_for(self.arun(question, **settings))

    async def arun(self, question: Question, **settings: Any) -> Result:
        """Answer a question; takes what :meth:`stream` takes."""
        from thinkgraph.graphs.runtime.run import result_of  # noqa: PLC0415

        return await result_of(self.stream(question, **settings))

    async def stream(
        self,
        question: Question,
        *,
        model: AnyModel | None = None,
        models: Mapping[str, AnyModel] | None = None,
        seed: int | None = None,
        budget: Allowance | None = None,
        prompts: Mapping[str, Prompt] | None = None,
        tools: Tools | None = None,
        verifiers: Mapping[str, Verifier] | None = None,
        config: RunnableConfig | None = None,
        params: Mapping[str, Any] | None = None,
        **more_params: Any,
    ) -> AsyncGenerator[NodeEvent | Finished, None]:
        """Answer a question and stream events; the last one is :class:`Finished`.

        Args:
            question: a text, or a conversation whose last turn is the question.
            model: a model name or path, an open model, or a LangChain chat model.
            models: models by role, for nodes with ``model: ROLE``.
            seed: random seed; if None, a random one is used and reported in the result.
            budget: what the run may spend: ``{"tokens": …, "seconds": …, "calls": …}``.
            prompts: prompts that replace built-in ones of the same name.
            tools: what the spec's tools are, by name, or a list of such that have names: LangChain
                tools, functions with typed arguments, or a :class:`ToolFactory`.
            verifiers: what the spec's verifiers are: functions by name.
            config: LangChain's: callbacks, tags, metadata.
            params: values of the graph's params and of its further inputs; needed for one that is
                named as an argument here.
            **more_params: the same, as keywords.
        """
        from thinkgraph.graphs.runtime.run import asked, start  # noqa: PLC0415

        values = {**(params or {}), **more_params}
        inputs = {name: values.pop(name) for name in self.spec.inputs if name in values}
        binding = self._bound(model, models, prompts, values, tools=tools, verifiers=verifiers)
        self.required(values).check(
            self.name, all_tools(binding.tools), all_verifiers(binding.verifiers)
        )
        self.check_models(cast("Roles", binding.models), values)
        run = start(
            self._app(binding),
            self.specs.values(),
            binding,
            seed=seed,
            budget=budget,
            config=config,
        )
        async with aclosing(run.stream({**asked(question), **inputs})) as events:
            async for event in events:
                yield event

    def as_tool(
        self,
        name: str | None = None,
        description: str | None = None,
        *,
        params: Sequence[str] = (),
        fixed: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> BaseTool:
        """The strategy as a tool for an agent.

        The agent gives the question, the graph's further inputs, and the params that it is
        allowed to set. It gets the answer as text; the tool message's artifact is the whole
        :class:`Result`. Wrong arguments are answered with a ``ToolException``. In a
        LangGraph graph the run's events go to its custom stream.

        Args:
            name: what the agent calls it by; the graph's name by default.
            description: when to use it; what the graph says of itself by default.
            params: the names of the params that the agent may set. None by default: small
                models fill in every argument that they see.
            fixed: values of params and inputs; needed for one that is named as an argument here.
            **settings: what :meth:`stream` takes, fixed for every call.

        Raises:
            ThinkgraphError: an unknown param, or an invalid value of one.
        """
        from thinkgraph.graphs.runtime.tool import tool  # noqa: PLC0415 (LangChain is slow to import)

        return tool(self, name, description, params=params, fixed=fixed or {}, settings=settings)

    def answering(self, json_schema: Mapping[str, Any]) -> Self:
        """The same graph with answers of a JSON schema, as ``output: {json_schema: …}`` gives.

        Raises:
            SpecError: the output can't be of this schema.
        """
        spec = self.spec
        graph = self._copy()
        graph._data["output"] = {"field": spec.output.field, "json_schema": dict(json_schema)}
        graph.spec  # noqa: B018 (checked now)
        return graph

    def with_defaults(
        self,
        params: Mapping[str, Any] | None = None,
        prompts: Mapping[str, Prompt] | None = None,
    ) -> Self:
        """The same graph with other defaults, as those of a params file of ``thinkgraph fit``.

        Its YAML has the params and not the prompts.

        Args:
            params: default values of its params; the others keep theirs.
            prompts: prompts that replace built-in ones of the same name, unless a run gives others.

        Raises:
            ThinkgraphError: an unknown param or prompt, or an invalid value of a param.
        """
        _check_prompts(prompts or {})
        given, known = params or {}, self.spec.params
        values, graph = self.bind(given), self._copy()
        for name in given:
            other = {"type": known[name].kind, "default": values[name]}
            graph._data["params"][name] |= other
        graph._prompts |= prompts or {}
        return graph

    def _copy(self) -> Self:
        graph = self.of(self.spec, self._folder)
        graph._prompts = dict(self._prompts)
        return graph

    def writer(self, params: Mapping[str, Any] | None = None) -> str | None:
        """The node whose text is the answer from its first token on; None if there is none.

        A stream can show its text as the answer while it is written; see
        :class:`~thinkgraph.nodes.event.TextDelta`.

        Raises:
            ThinkgraphError: an unknown param, or an invalid value of one.
        """
        from thinkgraph.graphs.runtime.compile import ANSWER, BEGIN  # noqa: PLC0415
        from thinkgraph.graphs.runtime.routes import CONCLUDE  # noqa: PLC0415

        unbound = self._bound(None, None, None, params or {}, tools=None, verifiers=None)
        nodes = self._app(unbound).nodes
        found = [name for name, node in nodes.items() if (node.metadata or {}).get(ANSWER)]
        return next((name for name in found if name not in (BEGIN, CONCLUDE)), None)

    def bind(self, params: Mapping[str, Any]) -> dict[str, Scalar]:
        """The validated value of every param, given or default.

        Raises:
            ThinkgraphError: an unknown param, or an invalid value of one.
        """
        try:
            return self.spec.bind(dict(params))
        except KeyError as error:
            raise ThinkgraphError(self._no_param(error.args[0])) from None
        except ValueError as error:
            raise ThinkgraphError(f"graph {self.name!r}, param {error}") from None

    def _no_param(self, name: str) -> str:
        have = list(self.spec.params)
        known = {*have, *self.spec.inputs, *RUN_SETTINGS} - {"self"}
        hint = did_you_mean(name, known) or f"it has {', '.join(have) or 'none'}"
        return f"graph {self.name!r} has no param {name!r}; {hint}"

    def _bound(
        self,
        model: AnyModel | None,
        models: Mapping[str, AnyModel] | None,
        prompts: Mapping[str, Prompt] | None,
        params: Mapping[str, Any],
        *,
        tools: Tools | None = None,
        verifiers: Mapping[str, Verifier] | None = None,
        seed: int = 0,
    ) -> Binding:
        from thinkgraph.graphs.runtime.context import Binding  # noqa: PLC0415
        from thinkgraph.graphs.runtime.models import Roles  # noqa: PLC0415

        self._check_roles(models or {})
        _check_prompts(prompts or {})
        return Binding(
            params=self.bind(params),
            models=Roles(model, models),
            used=self.specs.__getitem__,
            seed=seed,
            prompts={**self._prompts, **(prompts or {})},
            tools=bind_tools(tools),
            verifiers=bind_verifiers(verifiers),
        )

    def _app(self, binding: Binding) -> CompiledStateGraph[Any, Any]:
        """The compiled graph of a run, kept for the next with the same params and prompts.

        Models, tools, seed and budget come with each run's context, and none of them is kept.
        Within another graph's run it leaves that one's checkpointer alone; a run that may be
        interrupted has one of its own.
        """
        from thinkgraph.graphs.runtime.models import Roles  # noqa: PLC0415
        from thinkgraph.graphs.runtime.run import app, may_interrupt  # noqa: PLC0415

        key = (*binding.params.items(), *binding.prompts.items(), *node_kinds().values())
        with _making:
            found = self._apps.get(key)
            if found is None:
                if len(self._apps) >= KEPT:
                    self._apps.clear()
                unbound = replace(binding, models=Roles(None, None), tools={}, verifiers={})
                stored = None if may_interrupt(self.specs.values()) else False
                found = self._apps[key] = app(self.spec, unbound, stored)
            return found

    def _check_roles(self, given: Iterable[str]) -> None:
        known = self.roles
        if any(is_reference(role) for role in known):
            return  # a param names it
        for role in given:
            if role not in known:
                hint = did_you_mean(role, known) or f"it has {', '.join(sorted(known)) or 'none'}"
                raise ThinkgraphError(f"graph {self.name!r} has no role {role!r}; {hint}")


def _check_prompts(prompts: Mapping[str, Prompt]) -> None:
    for name, prompt in prompts.items():
        load_prompt(name)  # there has to be one to replace
        if not isinstance(prompt, Prompt):
            raise ArgumentError(f"prompt {name!r} should be a Prompt, not {prompt!r}")


def _plain(value: Any) -> Any:
    """A setting as plain data, as in a spec."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _word(node: Any) -> str:
    """The kind of a node, or the graph that it uses."""
    if not isinstance(node, Mapping):
        return repr(node)
    use = node.get("use")
    return str(node.get("kind") or (use.get("graph") if isinstance(use, Mapping) else use))


def _default(param: Any) -> Any:
    return param.get("default") if isinstance(param, Mapping) else param


def _caller() -> tuple[str, int]:
    """The file and line that called a method of a graph."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename in (__file__, arguments.__file__):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def load(source: str | os.PathLike[str]) -> Graph:
    """Load a strategy: a built-in one by its name, or a file by its path.

    Raises:
        ThinkgraphError: the graph doesn't exist, or the checker finds errors in it.
    """
    if not isinstance(source, str | os.PathLike):
        raise ArgumentError(
            f"load() takes the name of a graph or the path of a file, not {source!r}"
        )
    name = source if isinstance(source, str) else Path(source)
    found = find(name)
    return Graph.of(load_spec(name), found.parent if isinstance(found, Path) else None)


def use(
    graph: str,
    *,
    inputs: Mapping[str, str] | None = None,
    into: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    **more_params: Any,
) -> NodeSpec:
    """A node that runs another graph.

    With neither ``inputs`` nor ``into`` it is given every field whose name one of its own has.

    Args:
        graph: a built-in one, or a file in the same folder.
        inputs: what it is given, by its input or ``question``: a field of this graph.
        into: what comes back, by this graph's field: a field of its state, its ``answer``, the
            answer's ``text`` or its ``candidates``; the whole population if None.
        params: values of its params; needed for one that is named as an argument here.
        **more_params: the same, as keywords.
    """
    if not isinstance(graph, str):
        raise ArgumentError(f"use() takes the name of a graph or the path of a file, not {graph!r}")
    values = {**(params or {}), **more_params}
    given = {"params": values} if values else {}
    if inputs is None and into is None:
        return NodeSpec.model_validate({"use": graph, **given})
    names = {"inputs": inputs, "into": into}
    explicit = {key: dict(value) for key, value in names.items() if value is not None}
    return NodeSpec.model_validate({"use": {"graph": graph, **given, **explicit}})
