"""The channels of a compiled graph, and how parallel writes to them combine.

Channels hold plain JSON, so that any checkpointer stores them and none has to import a class
of ours to read them back. Every reducer of the engine's own channels is idempotent: a subgraph
that returns what it was given, or a resumed run that writes again, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from langchain_core.messages import convert_to_messages

from thinkgraph.graphs.language.spec import Spec
from thinkgraph.graphs.runtime.result import RunUsage
from thinkgraph.models.messages import from_langchain
from thinkgraph.models.messages import plain as message_json
from thinkgraph.models.model import Usage
from thinkgraph.nodes.population import Answer, Candidate, Criticism, State

Json = dict[str, Any]


def replace(old: Any, new: Any) -> Any:
    """The new value."""
    return new


def append(old: list[Any] | None, new: Any) -> list[Any]:
    """The list with the new items behind it; one that isn't a list is one item."""
    return [*(old or []), *(new if isinstance(new, list) else [new])]


def written(spec: Spec, fields: Mapping[str, Any]) -> Json:
    """What a node writes to a spec's own state, as the channels take it.

    LangGraph stores a channel's first write without asking the reducer, so a single item for a
    list must be a list from the start.
    """
    appended = {name for name, field in spec.state.items() if field.reducer == "append"}
    return {k: append(None, v) if k in appended else v for k, v in fields.items()}


def updated(spec: Spec, values: Mapping[str, Any], written: Json) -> Json:
    """The channels' values after a node's write, which LangGraph applies only once it returns."""
    reducers = {name: REDUCERS[field.reducer] for name, field in spec.state.items()}
    reducers |= {"candidates": merge, "critiques": merge}
    return {**values, **written} | {
        name: reducer(values.get(name), written[name])
        for name, reducer in reducers.items()
        if name in written
    }


def add(old: Any, new: Any) -> Any:
    """The sum."""
    return new if old is None else old + new


def merge(old: Json | None, new: Json) -> Json:
    """Both, by key; the new value where both have one."""
    return {**(old or {}), **new}


def greatest(old: Any, new: Any) -> Any:
    """The greater."""
    return new if old is None else max(old, new)


def merge_greatest(old: dict[str, int] | None, new: dict[str, int]) -> dict[str, int]:
    """Both, by key; the greater count where both have one."""
    old = old or {}
    return {**old, **{key: max(count, old.get(key, 0)) for key, count in new.items()}}


REDUCERS = {
    "replace": replace,
    "append": append,
    "add": add,
    "merge": merge,
    "max": greatest,
}


class Channels(TypedDict, total=False):
    """The channels that every graph has."""

    question: Annotated[str, replace]
    messages: Annotated[list[Any], replace]
    candidates: Annotated[dict[str, Json], merge]
    critiques: Annotated[dict[str, Json], merge]
    answer: Annotated[Json | None, replace]
    usage: Annotated[dict[str, Json], merge]
    counts: Annotated[dict[str, int], merge_greatest]


CHANNELS = frozenset(Channels.__annotations__)


def schema(spec: Spec) -> Any:
    """The TypedDict of a graph's channels, with its own inputs and state."""
    fields: dict[str, Any] = dict(Channels.__annotations__)
    fields |= dict.fromkeys(spec.inputs, Annotated[Any, replace])
    fields |= {name: Annotated[Any, REDUCERS[f.reducer]] for name, f in spec.state.items()}
    return TypedDict("GraphState", fields, total=False)  # type: ignore[operator]


def read(spec: Spec, values: Mapping[str, Any]) -> State:
    """The typed view that nodes and conditions have of the channels' values."""
    messages = from_langchain(convert_to_messages(values.get("messages") or []))
    question = values.get("question")
    if not question and messages and messages[-1].role == "user":
        question = messages.pop().content
    declared = spec.inputs | spec.state
    return State(
        question=question or "",
        messages=tuple(messages),
        candidates=_models(Candidate, values.get("candidates")),
        critiques=_models(Criticism, values.get("critiques")),
        answer=Answer.model_validate(values["answer"]) if values.get("answer") else None,
        fields={
            name: values[name] if values.get(name) is not None else field.default
            for name, field in declared.items()
        },
    )


def plain(state: State) -> Json:
    """The channels' values that give a state of the population's live part."""
    data = state.model_dump(mode="json", include={"question", "answer"})
    data["messages"] = [message_json(message) for message in state.messages]
    live = [candidate.id for candidate in state.live]
    return {
        **data,
        **state.fields,
        "candidates": {key: state.candidates[key].model_dump(mode="json") for key in live},
        "critiques": {
            key: critique.model_dump(mode="json")
            for key, critique in state.critiques.items()
            if critique.candidate in live
        },
    }


def _models(kind: type[Any], values: Mapping[str, Json] | None) -> dict[str, Any]:
    return {key: kind.model_validate(value) for key, value in (values or {}).items()}


def total_usage(values: Mapping[str, Any]) -> Usage:
    """What all the nodes have spent."""
    parts = (values.get("usage") or {}).values()
    return sum((RunUsage.model_validate(part) for part in parts), Usage())
