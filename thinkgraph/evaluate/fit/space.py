"""The search space: which values of a strategy's params, and which prompts, are tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from thinkgraph.graphs.graph import Graph
from thinkgraph.graphs.language.spec import Param, Scalar
from thinkgraph.models.errors import ThinkgraphError, did_you_mean
from thinkgraph.models.model import Frozen
from thinkgraph.nodes.prompts.prompt import Prompt, load_prompt

BUILT_IN = "built-in"


class Space(Frozen):
    """The search space: by name, the values of params and the alternatives of prompts."""

    params: dict[str, tuple[Scalar, ...]]
    prompts: dict[str, dict[str, Prompt]] = Field(
        default_factory=dict,
        description="alternative prompts by label, by name of the built-in prompt that they "
        "replace",
    )
    fixed: dict[str, Scalar] = Field(
        default_factory=dict, description="values of params that are the same in every setting"
    )

    @classmethod
    def of(
        cls,
        graph: Graph,
        given: Iterable[str],
        prompts: Sequence[tuple[str, str, Prompt]] = (),
        fixed: Mapping[str, Any] | None = None,
    ) -> Space:
        """The space of a strategy.

        Args:
            graph: the strategy.
            given: ``NAME=VALUE,VALUE`` for each param to search; if empty and no prompts are
                given, the values that the strategy's params list under ``fit``.
            prompts: the name of a built-in prompt, a label, and the prompt that replaces it.
            fixed: values of params that are not searched.

        Raises:
            ThinkgraphError: a param or prompt is unknown, a value is invalid for its param, a
                param is both fixed and searched, or the space has only one setting.
        """
        bound = graph.bind(fixed or {})
        settled = {name: bound[name] for name in fixed or {}}
        parsed = [_parse(graph, item) for item in given]
        tried = dict(parsed)
        if len(tried) < len(parsed):
            raise ThinkgraphError("--search names a param twice; write all its values in one")
        if both := sorted(tried.keys() & settled):
            raise ThinkgraphError(f"{both[0]} is set by -p and named by --search; choose one")
        if not tried and not prompts:
            tried = {n: values for n, values in _default(graph).items() if n not in settled}
        others: dict[str, dict[str, Prompt]] = {}
        for name, label, prompt in prompts:
            load_prompt(name)  # raises for an unknown name
            others.setdefault(name, {BUILT_IN: load_prompt(name)})[label] = prompt
        space = cls(params=tried, prompts=others, fixed=settled)
        _check_prompts(graph, space, prompts)
        if space.size == 1:
            alone = f"{', '.join(tried)} has its default value alone" if tried else "-p sets all"
            raise ThinkgraphError(
                f"there is nothing to search: {alone}; give others: --search PARAM=VALUE,VALUE"
            )
        return space

    @property
    def single(self) -> list[dict[str, Scalar]]:
        """The default setting, and each value of a param with the defaults of the others."""
        changed = ({n: value} for n, values in self.params.items() for value in values)
        return [{**self.fixed, **change} for change in ({}, *changed)]

    @property
    def size(self) -> int:
        """The number of settings."""
        found = 1
        for choices in (*self.params.values(), *self.prompts.values()):
            found *= len(choices)
        return found


def _parse(graph: Graph, item: str) -> tuple[str, tuple[Scalar, ...]]:
    name, equals, values = item.partition("=")
    param = graph.spec.params.get(name)
    known = ", ".join(graph.spec.params)
    if not equals or not values:
        raise ThinkgraphError(
            f"--search {item}: write PARAM=VALUE,VALUE with a param of {graph.spec.name}: {known}"
        )
    if param is None:
        hint = did_you_mean(name, graph.spec.params) or f"it has {known or 'none'}"
        raise ThinkgraphError(f"--search {item}: {graph.spec.name} has no param {name!r}; {hint}")
    try:
        found = tuple(param.accept(value.strip()) for value in values.split(","))
    except ValueError as error:
        raise ThinkgraphError(f"--search {item}: {error}") from None
    return name, _with_default(param, found)


def _check_prompts(graph: Graph, space: Space, prompts: Sequence[tuple[str, str, Prompt]]) -> None:
    """Refuse prompts that no node uses, or with variables that a node doesn't provide."""
    takers: dict[str, set[str]] = {}
    variables: dict[str, frozenset[str]] = {}
    for setting in space.single if prompts else ():
        required = graph.required(setting)
        variables |= required.variables
        for name, nodes in required.prompts.items():
            takers.setdefault(name, set()).update(nodes)
    for name, label, prompt in prompts:
        if name not in takers:
            raise ThinkgraphError(
                f"--prompt {name}={label}: {graph.spec.name} doesn't use the prompt {name!r}; "
                f"it uses {', '.join(sorted(takers)) or 'none that is built in'}"
            )
        for node in sorted(takers[name]):
            if missing := sorted(prompt.variables - variables[node]):
                raise ThinkgraphError(
                    f"--prompt {name}={label}: it needs {missing[0]!r}, which node {node!r} "
                    f"doesn't give; it gives {', '.join(sorted(variables[node]))}"
                )


def _default(graph: Graph) -> dict[str, tuple[Scalar, ...]]:
    found = {n: _with_default(p, [*map(p.accept, p.fit)]) for n, p in graph.spec.params.items()}
    tried = {name: values for name, values in found.items() if values}
    if not tried:
        raise ThinkgraphError(
            f"no param of {graph.spec.name} says what to try; write `fit: [VALUE, VALUE]` beside "
            "its default, or --search PARAM=VALUE,VALUE"
        )
    return tried


def _with_default(param: Param, values: Sequence[Scalar]) -> tuple[Scalar, ...]:
    """The values with the default added; empty if there are no values."""
    default = () if param.default is None or not values else (param.accept(param.default),)
    return tuple(dict.fromkeys([*values, *default]))
