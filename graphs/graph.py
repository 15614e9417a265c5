"""A strategy: composed in Python or loaded from a file, saved, compiled, run and streamed."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import AsyncGenerator, Hashable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel

from thinkgraph.graphs.catalogue import find, find_used
from thinkgraph.graphs.checker.check import check_spec
from thinkgraph.graphs.checker.check import load as load_spec
from thinkgraph.graphs.language.document import DataPath
from thinkgraph.graphs.language.dump import dump
from thinkgraph.graphs.language.problem import SpecError
from thinkgraph.graphs.language.spec import (
    Input,
    Limits,
    NodeSpec,
    Param,
    Scalar,
    Spec,
    StateField,
    chain,
)
from thinkgraph.graphs.runtime.result import Finished, Result
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.base.param import is_reference
from thinkgraph.nodes.event import NodeEvent
from thinkgraph.nodes.prompts.prompt import Prompt
from thinkgraph.nodes.registry import node_kinds

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langchain_core.tools import BaseTool
    from langgraph.cache.base import BaseCache
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.store.base import BaseStore

    from thinkgraph.graphs.runtime.context import Allowance
    from thinkgraph.graphs.runtime.models import AnyModel
    from thinkgraph.graphs.runtime.node import Binding
    from thinkgraph.graphs.runtime.run import Question

KEPT = 16
"""How many compiled graphs a graph keeps, for so many sets of params and prompts."""


class Graph:
    """A reasoning strategy.

    Compose one with :meth:`add` and :meth:`edge`, in the same words that a spec uses, or
    :func:`load` a saved one.

    Args:
        name: letters, digits and dashes.
        about: what it does, its source, what it costs, when it helps and when it hurts.
        params: values to be set when it runs, with their defaults; ``$name`` refers to one.
        inputs: further inputs beside the question.
        state: further fields of the state, each with its reducer.
        budget: what one run may spend.
    """

    def __init__(
        self,
        name: str,
        about: str = "",
        *,
        params: Mapping[str, Scalar | Param] | None = None,
        inputs: Mapping[str, Input] | None = None,
        state: Mapping[str, StateField] | None = None,
        budget: Limits | None = None,
    ) -> None:
        head = {
            "about": about,
            "params": params,
            "inputs": inputs,
            "state": state,
            "budget": budget,
        }
        self._data: dict[str, Any] = {"thinkgraph": 1, "name": name}
        self._data |= {key: _plain(value) for key, value in head.items() if value}
        self._data |= {"nodes": {}, "edges": []}
        self._places: dict[DataPath, tuple[str, int]] = {(): _caller()}
        self._folder: Path | None = None
        self._changed()

    @classmethod
    def of(cls, spec: Spec, folder: Path | None = None) -> Self:
        """The graph of a spec; ``folder`` is where the files lie that it uses."""
        graph = cls(spec.name)
        graph._data, graph._folder = spec.plain, folder
        return graph

    def add(self, **nodes: Node | NodeSpec) -> tuple[str, ...]:
        """Add nodes by their names, which are returned for :meth:`edge`.

        A node is a kind with its settings, such as ``Generate(samples=4)``, or :func:`use`.
        """
        for name, node in nodes.items():
            kind = {"kind": node.kind, **node.settings()} if isinstance(node, Node) else node
            self._data["nodes"][name] = _plain(kind)
            self._places["nodes", name] = _caller()
        self._changed()
        return tuple(nodes)

    def edge(
        self,
        *path: str | Sequence[str],
        when: str | None = None,
        at_most: int | str | None = None,
        each: str | None = None,
    ) -> Self:
        """Lead from node to node: ``edge(START, draft, critic)``; a list is several in parallel.

        Args:
            path: the names of the nodes, in order.
            when: a condition in CEL; then the path has two nodes.
            at_most: how often the edge may be followed in a run.
            each: ``"candidates"`` runs the target once for each live candidate.
        """
        rest = {"when": when, "at_most": at_most, "each": each}
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
        self._apps: dict[Hashable, CompiledStateGraph[Any, Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has; it compiles for itself."""
        return {**self.__dict__, "_apps": {}}

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._data["name"])

    @property
    def spec(self) -> Spec:
        """The spec that it is.

        Raises:
            SpecError: the report of every error that the checker finds, with the lines of Python.
        """
        if self._spec is None:
            found = check_spec(self._data, self._places, self._folder)
            problems = [problem for problem in found if problem.severity == "error"]
            if problems:
                raise SpecError(problems)
            self._spec = Spec.model_validate(self._data)
        return self._spec

    @property
    def specs(self) -> dict[str, Spec]:
        """Its spec, under an empty name, and those of the graphs that it uses, by theirs.

        A built-in graph or a file beside this one is read once, as this one is.
        """
        if not self._specs:
            found = {"": self.spec}
            waiting = [self.spec]
            while waiting:
                for node in waiting.pop().nodes.values():
                    if node.use is not None and node.use not in found:
                        found[node.use] = load_spec(find_used(node.use, self._folder))
                        waiting.append(found[node.use])
            self._specs = found
        return self._specs

    @property
    def roles(self) -> set[str]:
        """The roles that its nodes ask for, and those of the graphs that it uses."""
        nodes = [node for spec in self.specs.values() for node in spec.nodes.values()]
        return {str(role) for node in nodes if (role := node.settings.get("model"))}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as YAML."""
        Path(path).write_text(self.yaml, encoding="utf-8")

    @property
    def yaml(self) -> str:
        """It as YAML, with the same words."""
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
        interrupt_before: Literal["*"] | list[str] | None = None,
        interrupt_after: Literal["*"] | list[str] | None = None,
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
            model: a name of the catalogue, a model, or a LangChain chat model.
            models: the same by role, for nodes with ``model: ROLE``.
            seed: all randomness comes from it.
            budget: what each run may spend, beside what the spec says.
            prompts: prompts that replace built-in ones of the same name.
            interrupt_before: the nodes before which a run stops, as in LangGraph.
            interrupt_after: the nodes after which it stops.
            store: a LangGraph store, for node kinds of one's own.
            cache: a LangGraph cache.
            name: of the compiled graph; the graph's name by default.
            debug: whether LangGraph prints what it does.
            params: values of the graph's params; needed for one that is named as an argument here.
            **more_params: the same, as keywords.

        Raises:
            ThinkgraphError: a param that the graph doesn't have, or a value it can't take.
        """
        from thinkgraph.graphs.runtime.run import app, limits_of  # noqa: PLC0415 (slow to import)

        binding = self._bound(model, models, prompts, {**(params or {}), **more_params}, seed)
        return app(
            self.spec,
            replace(binding, budget=limits_of(budget)),
            checkpointer,
            interrupt_before=interrupt_before,
            interrupt_after=interrupt_after,
            store=store,
            cache=cache,
            name=name,
            debug=debug,
        )

    def run(self, question: Question, **settings: Any) -> Result:
        """Answer a question; takes what :meth:`stream` takes.

        Raises:
            ThinkgraphError: bad input, in one clear sentence.
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
        config: RunnableConfig | None = None,
        params: Mapping[str, Any] | None = None,
        **more_params: Any,
    ) -> AsyncGenerator[NodeEvent | Finished, None]:
        """Answer a question, telling what happens; the last event is :class:`Finished`.

        Args:
            question: a text, or a conversation whose last turn is the question.
            model: a name of the catalogue, a model, or a LangChain chat model.
            models: the same by role, for nodes with ``model: ROLE``.
            seed: all randomness comes from it; drawn, and told in the result, if there is none.
            budget: what the run may spend: ``{"tokens": …, "seconds": …, "calls": …}``.
            prompts: prompts that replace built-in ones of the same name.
            config: LangChain's: callbacks, tags, metadata.
            params: values of the graph's params and of its further inputs; needed for one that is
                named as an argument here.
            **more_params: the same, as keywords.
        """
        from thinkgraph.graphs.runtime.run import asked, start  # noqa: PLC0415

        values = {**(params or {}), **more_params}
        inputs = {name: values.pop(name) for name in self.spec.inputs if name in values}
        binding = self._bound(model, models, prompts, values)
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
        :class:`Result`. What it asks wrongly it is told in words, by a ``ToolException``. In a
        LangGraph graph the run's events go to its custom stream.

        Args:
            name: what the agent calls it by; the graph's name by default.
            description: when to use it; what the graph says of itself by default.
            params: the names of the params that the agent may set. None by default: small
                models fill in every argument that they see.
            fixed: values of params and inputs; needed for one that is named as an argument here.
            **settings: what :meth:`stream` takes, fixed for every call.

        Raises:
            ThinkgraphError: a param that the graph doesn't have, or a value it can't take.
        """
        from thinkgraph.graphs.runtime.tool import tool  # noqa: PLC0415 (LangChain is slow to import)

        return tool(self, name, description, params=params, fixed=fixed or {}, settings=settings)

    def bind(self, params: Mapping[str, Any]) -> dict[str, Scalar]:
        """The value of every param: those given, checked, and the defaults.

        Raises:
            ThinkgraphError: a param that the graph doesn't have, or a value it can't take.
        """
        try:
            return self.spec.bind(dict(params))
        except KeyError as error:
            raise ThinkgraphError(self._no_param(error.args[0])) from None
        except ValueError as error:
            raise ThinkgraphError(f"graph {self.name!r}, param {error}") from None

    def _no_param(self, name: str) -> str:
        have = list(self.spec.params)
        near = difflib.get_close_matches(name, have, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(have) or 'none'}"
        return f"graph {self.name!r} has no param {name!r}; {hint}"

    def _bound(
        self,
        model: AnyModel | None,
        models: Mapping[str, AnyModel] | None,
        prompts: Mapping[str, Prompt] | None,
        params: Mapping[str, Any],
        seed: int = 0,
    ) -> Binding:
        from thinkgraph.graphs.runtime.models import Roles  # noqa: PLC0415
        from thinkgraph.graphs.runtime.node import Binding  # noqa: PLC0415

        self._check_roles(models or {})
        return Binding(
            params=self.bind(params),
            models=Roles(model, models),
            used=self.specs.__getitem__,
            seed=seed,
            prompts=dict(prompts or {}),
        )

    def _app(self, binding: Binding) -> CompiledStateGraph[Any, Any]:
        """The compiled graph of a run, kept for the next with the same params and prompts.

        Models, seed and budget come with each run's context, and none of them is kept. Within
        another graph's run it leaves that one's checkpointer alone.
        """
        from thinkgraph.graphs.runtime.models import Roles  # noqa: PLC0415
        from thinkgraph.graphs.runtime.run import app  # noqa: PLC0415

        key = (*binding.params.items(), *binding.prompts.items(), *node_kinds().values())
        found = self._apps.get(key)
        if found is None:
            if len(self._apps) >= KEPT:
                self._apps.clear()
            unbound = replace(binding, models=Roles(None, None))
            found = self._apps[key] = app(self.spec, unbound, checkpointer=False)
        return found

    def _check_roles(self, given: Iterable[str]) -> None:
        known = self.roles
        if any(is_reference(role) for role in known):
            return  # a param names it
        for role in given:
            if role not in known:
                have = ", ".join(sorted(known)) or "none"
                raise ThinkgraphError(f"graph {self.name!r} has no role {role!r}; it has {have}")


def _plain(value: Any) -> Any:
    """A setting as it would stand in a spec."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _caller() -> tuple[str, int]:
    """The file and line that called a method of a graph."""
    frame = sys._getframe(2)
    return frame.f_code.co_filename, frame.f_lineno


def load(source: str | os.PathLike[str]) -> Graph:
    """A saved strategy, by a built-in name or the path of its file.

    Raises:
        ThinkgraphError: there is no such graph, or the checker finds errors in it.
    """
    name = source if isinstance(source, str) else Path(source)
    found = find(name)
    return Graph.of(load_spec(name), found.parent if isinstance(found, Path) else None)


def use(graph: str, **params: Any) -> NodeSpec:
    """A node that runs another graph: a built-in one, or a file beside the one it is used in."""
    return NodeSpec.model_validate({"use": graph, **({"params": params} if params else {})})
