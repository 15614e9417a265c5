"""`Graph`: compose or load a strategy, then save, compile, run or stream it."""

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
from thinkgraph.graphs.checker.given import check_params
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
"""Maximum number of entries in a graph's caches of compiled graphs and of requirements."""


_making = threading.RLock()
"""Guards the caches of all graphs: threads that share a graph must get the same spec object, by
which a run recognises its context."""


class Graph:
    """A reasoning strategy.

    Compose one with :meth:`add` and :meth:`edge`, which take the fields of the YAML language, or
    :func:`load` a saved one.

    Args:
        name: letters, digits, `-` and `_`.
        about: what it does, its source and cost, when it helps and hurts.
        params: values that a run may set, with their defaults; settings refer to them as ``$name``.
        inputs: inputs in addition to the question.
        state: additional fields of the state, each with its reducer.
        budget: budget of one run.
        output: the channel of a run's result, and its JSON schema; ``answer`` by default.
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
        """Make a graph from a spec; ``folder`` contains the files that the spec uses."""
        graph = cls(spec.name)
        graph._data, graph._folder = spec.plain, folder
        return graph

    @suggesting
    def add(self, **nodes: Node | NodeSpec) -> tuple[str, ...]:
        """Add nodes, and return their names for :meth:`edge`.

        A node is a kind with its settings, such as ``Generate(samples=4)``, or :func:`use`. A node
        of the same name is replaced.
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
            repeat: bounds a loop: the edge is followed until its target has run this many times.
            at_most: maximum number of times the edge is followed in a run.
            each: ``"candidates"`` runs the target once per live candidate; the name of a list
                field runs it once per item.
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
        """Discard the cached spec, requirements and compiled graphs."""
        self._spec: Spec | None = None
        self._specs: dict[str, Spec] = {}
        self._required: dict[Hashable, Requirements] = {}
        self._apps: dict[Hashable, CompiledStateGraph[Any, Any]] = {}

    def __repr__(self) -> str:
        """The name, the nodes with their kinds, and the params with their defaults."""
        nodes = [f"{name}={_word(node)}" for name, node in self._data["nodes"].items()]
        given = self._data.get("params")
        known = given if isinstance(given, Mapping) else {}
        params = [f"{name}={_default(param)!r}" for name, param in known.items()]
        shown = f"<Graph {self.name!r}; nodes: {', '.join(nodes) or 'none'}"
        return f"{shown}; params: {', '.join(params)}>" if params else f"{shown}>"

    def __getstate__(self) -> dict[str, Any]:
        """State for copying, without the compiled graphs, which each copy compiles itself."""
        return {**self.__dict__, "_apps": {}}

    @property
    def name(self) -> str:
        """The name of the graph."""
        return str(self._data["name"])

    @property
    def spec(self) -> Spec:
        """The checked spec of the graph.

        Raises:
            SpecError: the checker found errors; the report lists all, with their lines of Python.
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
        """The specs of the graph (under the empty name) and of all graphs that it uses, by name.

        Each graph is read once. The name is the one in ``use``, except for a file that a spec in
        another folder than this graph's uses: its name is its full path.
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
        """The model roles that its nodes, and those of the graphs that it uses, refer to."""
        nodes = [node for spec in self.specs.values() for node in spec.nodes.values()]
        named = [node.settings.get("model") for node in nodes]
        for node in nodes:
            several = node.settings.get("models", ())
            named += several if isinstance(several, list | tuple) else ()
        return {str(role) for role in named if role}

    def required(self, params: Mapping[str, Any] | None = None) -> Requirements:
        """The tools, verifiers and model capabilities that it and the graphs that it uses need.

        Args:
            params: values of its params, which may name tools or verifiers; the others have their
                defaults.

        Raises:
            ThinkgraphError: a param is unknown, or its value is invalid.
        """
        values = self.bind(params or {})
        key = (*values.items(), *node_kinds().values())
        with _making:
            if key not in self._required:
                if len(self._required) >= KEPT:
                    self._required.clear()
                self._required[key] = requirements(self.spec, values, self.specs.__getitem__)
            return self._required[key]

    def check_models(self, models: Roles, params: Mapping[str, Any] | None = None) -> None:
        """Check that the models have the capabilities that the nodes need, without loading any.

        Args:
            models: the models by role.
            params: values of its params; the others have their defaults.

        Raises:
            Incapable: a model lacks a capability; the message says how to do without it.
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
        """Check that all needed tools and verifiers are given, shared or built in.

        Args:
            params: values of its params; the others have their defaults.
            tools: as :meth:`run` takes them.
            verifiers: as :meth:`run` takes them.

        Raises:
            Unbound: some names are not bound; the message lists all of them.
            ArgumentError: a given object is not a valid tool or verifier.
        """
        known = all_tools(bind_tools(tools)), all_verifiers(bind_verifiers(verifiers))
        self.required(params).check(self.name, *known)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the graph as a YAML file.

        Raises:
            SpecError: the graph has errors.
            ThinkgraphError: the file can't be written.
        """
        text = self.yaml
        try:
            Path(path).write_text(text, encoding="utf-8")
        except OSError as error:
            raise ThinkgraphError(f"{path} can't be written: {error.strerror or error}") from None

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
        """Compile the strategy to an ordinary LangGraph graph.

        Invoke it with ``{"question": …}`` or ``{"messages": […]}``; the answer is in the channel
        ``answer``, and in ``messages`` as the last :class:`AIMessage`. On a checkpointer's thread
        each such invocation starts a new turn of the conversation; ``invoke(None)`` and
        ``Command(resume=…)`` continue an interrupted run. LangGraph's ``context=``
        (:class:`thinkgraph.graphs.runtime.context.Context`) sets the seed, models and budget of
        one invocation.

        Args:
            checkpointer: any LangGraph checkpointer.
            model: a model name or path, an open model, or a LangChain chat model.
            models: models by role, for nodes with ``model: ROLE``.
            seed: random seed.
            budget: budget of each run, in addition to the spec's; the lower limit applies.
            prompts: prompts that replace built-in ones of the same name.
            tools: tools by the names in the spec, or a list of tools that have names: LangChain
                tools, functions with typed arguments, or a :class:`ToolFactory`.
            verifiers: verifier functions by the names in the spec.
            interrupt_before: the nodes before which a run stops, as in LangGraph.
            interrupt_after: the nodes after which a run stops.
            store: a LangGraph store, for custom node kinds.
            cache: a LangGraph cache.
            name: name of the compiled graph; the graph's name by default.
            debug: whether LangGraph prints debug output.
            params: values of the graph's params; use it for one named like an argument here.
            **more_params: values of params as keyword arguments.

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
        """Answer a question; takes the arguments of :meth:`stream`.

        Raises:
            ThinkgraphError: invalid input.
            Interrupted: a node waits for input; the exception's ``resume()`` continues the run.
        """
        from thinkgraph.models.event_loop import wait_for  # noqa: PLC0415

        return wait_for(self.arun(question, **settings))

    async def arun(self, question: Question, **settings: Any) -> Result:
        """Answer a question; takes the arguments of :meth:`stream`."""
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
            budget: budget of the run: ``{"tokens": …, "seconds": …, "calls": …}``.
            prompts: prompts that replace built-in ones of the same name.
            tools: tools by the names in the spec, or a list of tools that have names: LangChain
                tools, functions with typed arguments, or a :class:`ToolFactory`.
            verifiers: verifier functions by the names in the spec.
            config: a LangChain config: callbacks, tags, metadata.
            params: values of the graph's params and additional inputs; use it for one named like
                an argument here.
            **more_params: values of params and inputs as keyword arguments.
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
        """Return the strategy as a tool for an agent.

        The agent passes the question, the graph's additional inputs, and the params that it may
        set. It receives the answer as text; the tool message's artifact is the whole
        :class:`Result`. Invalid arguments and errors of the run are returned as the tool's error
        message. In a LangGraph graph the run's events go to its custom stream.

        Args:
            name: the tool's name; the graph's name by default.
            description: when to use the tool; the graph's ``about`` text by default.
            params: the names of the params that the agent may set. None by default: small
                models fill in every argument that they see.
            fixed: values of params and inputs; use it for one named like an argument here.
            **settings: arguments of :meth:`stream`, fixed for every call.

        Raises:
            ThinkgraphError: a param is unknown, or its value is invalid.
        """
        from thinkgraph.graphs.runtime.tool import tool  # noqa: PLC0415 (slow to import)

        return tool(self, name, description, params=params, fixed=fixed or {}, settings=settings)

    def answering(self, json_schema: Mapping[str, Any]) -> Self:
        """Return a copy whose output has a JSON schema, as with ``output: {json_schema: …}``.

        Raises:
            SpecError: the output can't have this schema.
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
        """Return a copy with other defaults, such as those of a params file of ``thinkgraph fit``.

        Its YAML includes the params but not the prompts.

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

        A stream can show the node's text as the answer while it is generated; see
        :class:`~thinkgraph.nodes.event.TextDelta`.

        Raises:
            ThinkgraphError: a param is unknown, or its value is invalid.
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
            ThinkgraphError: a param is unknown, or its value is invalid.
        """
        try:
            values = self.spec.bind(dict(params))
        except KeyError as error:
            raise ThinkgraphError(self._no_param(error.args[0])) from None
        except ValueError as error:
            raise ThinkgraphError(f"graph {self.name!r}, param {error}") from None
        check_params(self.spec, values, self.specs.__getitem__)
        return values

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

        self.check_roles(models or {})
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
        """The compiled graph for a run, cached for runs with the same params, prompts and kinds.

        Models, tools, seed and budget come from each run's context and are not cached. A run within
        another graph doesn't use that graph's checkpointer; a run that may be interrupted gets a
        checkpointer of its own.
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

    def check_roles(self, given: Iterable[str]) -> None:
        """Check that each given role is the model role of a node.

        Raises:
            ThinkgraphError: a role is unknown; the message suggests known ones.
        """
        known = self.roles
        if any(is_reference(role) for role in known):
            return  # a param names the role, so any may be valid
        for role in given:
            if role not in known:
                hint = did_you_mean(role, known) or f"it has {', '.join(sorted(known)) or 'none'}"
                raise ThinkgraphError(f"graph {self.name!r} has no role {role!r}; {hint}")


def _check_prompts(prompts: Mapping[str, Prompt]) -> None:
    for name, prompt in prompts.items():
        load_prompt(name)  # raises an error if there is no prompt of this name to replace
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
    """The file and line of the code that called a method of a graph."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename in (__file__, arguments.__file__):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def load(source: str | os.PathLike[str]) -> Graph:
    """Load a strategy: a built-in or shared one by its name, or a file by its path.

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
    """Return a node that runs another graph.

    Without ``inputs`` and ``into``, the used graph gets every field of this graph whose name it
    declares too.

    Args:
        graph: the name of a built-in or shared graph, or a file in the same folder.
        inputs: maps each input of the used graph, or ``question``, to a field of this graph.
        into: maps a field of this graph to what it takes from the used graph: a field of its state,
            its ``answer``, the answer's ``text`` or its ``candidates``; None takes the population.
        params: values of the used graph's params; use it for one named like an argument here.
        **more_params: values of params as keyword arguments.
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
