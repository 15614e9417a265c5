"""The values that a run is given, checked before it starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from thinkgraph.graphs.checker.schema_errors import Violation, violations
from thinkgraph.graphs.language.spec import Edge, Limits, Scalar, Spec
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.base.param import bind, references
from thinkgraph.nodes.registry import node_kinds


def check_params(spec: Spec, params: Mapping[str, Scalar], used: Callable[[str], Spec]) -> None:
    """Check that the settings of a graph, and of those that it uses, accept its params' values.

    Args:
        spec: the graph, checked.
        params: the values of its params.
        used: returns the spec that a ``use`` names.

    Raises:
        ThinkgraphError: a setting refuses a value.
    """
    for part in _parts(spec):
        for violation in violations(part.model, bind(part.data, params)):
            raise ThinkgraphError(_refusal(spec, params, part, violation))
    for name, node in spec.nodes.items():
        if (use := node.used) is None:
            continue
        inner = used(use.graph)
        try:
            values = inner.bind(bind(use.params, params))
        except ValueError as error:
            message = f"graph {spec.name!r}, node {name!r} uses {use.graph!r}, param {error}"
            raise ThinkgraphError(message) from None
        check_params(inner, values, used)


def check_inputs(spec: Spec, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The validated values of a graph's inputs, with text converted to the declared types.

    Args:
        spec: the graph.
        inputs: values by name; the names that aren't inputs are left out.

    Raises:
        ThinkgraphError: a value doesn't have the type of its input.
    """
    values = {}
    for name, declared in spec.inputs.items():
        if inputs.get(name) is None:
            continue
        try:
            values[name] = declared.accept(inputs[name])
        except ValueError as error:
            raise ThinkgraphError(f"graph {spec.name!r}, input {name}: {error}") from None
    return values


class _Part(NamedTuple):
    """A part of a spec that refers to params: where it is, its model and its data."""

    place: str
    model: type[BaseModel]
    data: dict[str, Any]


def _parts(spec: Spec) -> Iterator[_Part]:
    for part in _all_parts(spec):
        if any(references(part.data)):
            yield part


def _all_parts(spec: Spec) -> Iterator[_Part]:
    kinds = node_kinds()
    for name, node in spec.nodes.items():
        if node.kind is not None:
            yield _Part(f"node {name!r}", kinds[node.kind], node.settings)
        if node.budget is not None:
            yield _Part(f"the budget of node {name!r}", Limits, _plain(node.budget))
    if spec.budget is not None:
        yield _Part("the budget", Limits, _plain(spec.budget))
    for edge in spec.edges:
        yield _Part(f"edge `{edge.path}`", Edge, _plain(edge))


def _plain(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_none=True)


def _refusal(spec: Spec, params: Mapping[str, Scalar], part: _Part, violation: Violation) -> str:
    """The message for a value that a part of the spec refuses."""
    named = [
        name
        for path, name in references(part.data)
        if all(one == other for one, other in zip(path, violation.path, strict=False))
    ]
    values = ", ".join(f"{name} = {params[name]!r}" for name in dict.fromkeys(named))
    setting = ".".join(map(str, violation.path))
    reason = f"{setting}: {violation.message}" if setting else violation.message
    hint = f"; {violation.hint}" if violation.hint else ""
    return f"graph {spec.name!r}, param {values}: {part.place} refuses it: {reason}{hint}"
