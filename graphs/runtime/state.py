"""The channels of a compiled graph, and the reducers that merge parallel writes.

Channels hold plain JSON, so that any checkpointer can store and load them without importing a
class of this package; ``messages`` holds LangChain messages. Every reducer of the built-in channels
is idempotent: a subgraph that returns its input, or a resumed run that writes again, changes
nothing. Writing None empties a channel, as the start of a new turn does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_type_hints

from langchain_core.messages import AnyMessage
from langchain_core.prompt_values import PromptValue
from langgraph.channels import EphemeralValue
from langgraph.graph.message import add_messages
from pydantic import Field, create_model
from typing_extensions import TypedDict  # pydantic accepts typing's only from Python 3.12

from thinkgraph.graphs.language.spec import ITEM, FieldType, Spec
from thinkgraph.graphs.record import RunUsage
from thinkgraph.graphs.runtime.messages import history
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Usage
from thinkgraph.nodes.population import Answer, Candidate, Criticism, State

Json = dict[str, Any]
Reducer = Callable[[Any, Any], Any]


def replace(old: Any, new: Any) -> Any:
    """The new value."""
    return new


def append(old: list[Any] | None, new: Any) -> list[Any]:
    """The list with the new items appended; a new value that isn't a list is one item."""
    return [*(old or []), *(new if isinstance(new, list) else [new])]


def add(old: Any, new: Any) -> Any:
    """The sum."""
    return new if old is None else old + new


def merge(old: Json | None, new: Json) -> Json:
    """Both mappings merged; the new value replaces an old one."""
    return {**(old or {}), **new}


def greatest(old: Any, new: Any) -> Any:
    """The greater value."""
    return new if old is None else max(old, new)


def merge_greatest(old: dict[str, int] | None, new: dict[str, int]) -> dict[str, int]:
    """Both mappings merged, with the greater count of each key."""
    old = old or {}
    return {**old, **{key: max(count, old.get(key, 0)) for key, count in new.items()}}


def merge_turn(old: Turn | None, new: Turn) -> Turn:
    """A new turn unchanged; two values of the same turn merged, with the longer elapsed time."""
    if not old or new.get("id", old.get("id")) != old.get("id"):
        return new
    elapsed = max(old.get("elapsed_s", 0.0), new.get("elapsed_s", 0.0))
    return {**old, **new, "elapsed_s": elapsed}


def join_messages(old: Any, new: Any) -> Any:
    """The conversation with new messages, or those of a prompt value, by ``add_messages``.

    Raises:
        ThinkgraphError: a value is not a chat message.
    """
    if isinstance(new, PromptValue):
        new = new.to_messages()
    try:
        return add_messages(old or [], [] if new is None else new)
    except (ValueError, TypeError, NotImplementedError, KeyError) as error:
        reason = " ".join(str(error).split("\nFor troubleshooting")[0].split())
        raise ThinkgraphError(f"messages: not a list of chat messages: {reason}") from None


def emptied(reducer: Reducer, empty: Callable[[], Any] = lambda: None) -> Reducer:
    """A reducer for which a new value of None empties the channel."""

    def reduced(old: Any, new: Any) -> Any:
        return empty() if new is None else reducer(old, new)

    return reduced


REDUCERS: dict[str, Reducer] = {
    "replace": replace,
    "append": emptied(append),
    "add": emptied(add),
    "merge": emptied(merge),
    "max": emptied(greatest),
}
_MERGED, _COUNTED = emptied(merge, dict), emptied(merge_greatest, dict)


class Turn(TypedDict, total=False):
    """One question of a conversation, and the progress of its run."""

    id: str
    question: str
    asked: str
    """The id of the message with the question."""
    inputs: Json
    """The graph's additional inputs."""
    answered: list[str]
    """Ids of the candidates that were live when the answer was written."""
    elapsed_s: float
    """Seconds in which at least one node was running."""
    cut: str | None
    """Why the run was cut short, if it was."""


class Channels(TypedDict, total=False):
    """The channels that every graph has."""

    question: Annotated[str, EphemeralValue]
    messages: Annotated[list[AnyMessage], join_messages]
    turn: Annotated[Turn, merge_turn]
    candidates: Annotated[dict[str, Json], _MERGED]
    critiques: Annotated[dict[str, Json], _MERGED]
    answer: Annotated[Json | None, replace]
    usage: Annotated[dict[str, Json], _MERGED]
    counts: Annotated[dict[str, int], _COUNTED]


CHANNELS = frozenset(Channels.__annotations__)
RUN = ("candidates", "critiques", "answer", "usage", "counts")
"""Channels that a new turn empties, in addition to the spec's own state."""

_TYPES: dict[FieldType, Any] = {
    "boolean": bool,
    "integer": int,
    "number": float,
    "string": str,
    "list": list[Any],
    "object": dict[str, Any],
}


class Schemas:
    """The state schemas of a graph for LangGraph.

    Attributes:
        state: all channels.
        input: the question or the conversation, and the spec's additional inputs.
        output: what the run writes. It excludes the inputs, so that two parallel subgraphs of one
            parent don't both write them back.
    """

    def __init__(self, spec: Spec) -> None:
        known = get_type_hints(Channels, include_extras=True)
        inputs = {
            name: Annotated[_TYPES[field.type] | None, EphemeralValue]
            for name, field in spec.inputs.items()
        }
        state = {
            # LangGraph initialises a channel of a plain type with the type's zero: hence None.
            name: Annotated[_TYPES[field.type] | None, REDUCERS[field.reducer]]
            for name, field in spec.state.items()
        }
        made = {name: known[name] for name in (*RUN, "messages")} | state
        self.state = _schema("State", known | inputs | state)
        # A pydantic model, since LangChain treats every key of a TypedDict as required.
        self.input = create_model(
            "Input",
            question=(
                known["question"],
                Field("", description="the question; empty: the last user message of `messages`"),
            ),
            messages=(known["messages"], Field([], description="messages of the conversation")),
            **{n: (inputs[n], Field(None, description=f.about)) for n, f in spec.inputs.items()},  # type: ignore[call-overload]
        )
        self.output = _schema("Output", made)


def _schema(name: str, fields: Mapping[str, Any]) -> Any:
    return TypedDict(name, dict(fields), total=False)  # type: ignore[operator]


def written(spec: Spec, fields: Mapping[str, Any]) -> Json:
    """A node's writes to the spec's own state, in the form that the channels take.

    LangGraph stores a channel's first write without calling the reducer, so a single item for an
    appended list is wrapped in a list here.
    """
    appended = {name for name, field in spec.state.items() if field.reducer == "append"}
    return {k: append(None, v) if k in appended else v for k, v in fields.items()}


def updated(spec: Spec, values: Mapping[str, Any], written: Json) -> Json:
    """The channel values after a node's writes, which LangGraph applies only when it returns."""
    reducers = {name: REDUCERS[field.reducer] for name, field in spec.state.items()}
    reducers |= dict.fromkeys(("candidates", "critiques", "usage"), merge)
    reducers["counts"] = merge_greatest
    return {**values, **written} | {
        name: reducer(values.get(name), written[name])
        for name, reducer in reducers.items()
        if name in written
    }


def read(spec: Spec, values: Mapping[str, Any]) -> State:
    """The channel values as the typed state that nodes and conditions see."""
    turn = values.get("turn") or Turn()
    given = turn.get("inputs") or {}
    declared = spec.inputs | spec.state
    shown = {name: given.get(name, values.get(name)) for name in declared}
    fields: dict[str, object] = {
        name: shown[name] if shown[name] is not None else field.default
        for name, field in declared.items()
    }
    if ITEM in values:
        fields[ITEM] = values[ITEM]
    return State(
        question=turn.get("question", ""),
        messages=tuple(history(before(values))),
        candidates=_models(Candidate, values.get("candidates")),
        critiques=_models(Criticism, values.get("critiques")),
        answer=Answer.model_validate(values["answer"]) if values.get("answer") else None,
        fields=fields,
    )


def before(values: Mapping[str, Any]) -> list[AnyMessage]:
    """The conversation without the message that asks the turn's question."""
    asked = (values.get("turn") or {}).get("asked")
    return [message for message in values.get("messages") or () if message.id != asked]


def plain(state: State, fields: Mapping[str, Any]) -> Json:
    """The channel values of a state with only its live candidates, and with these fields."""
    data = state.model_dump(mode="json", include={"question", "messages", "answer"})
    live = [candidate.id for candidate in state.live]
    return {
        **data,
        **fields,
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
    """The total usage of all nodes."""
    parts = (values.get("usage") or {}).values()
    return sum((RunUsage.model_validate(part) for part in parts), Usage())


def failures(values: Mapping[str, Any]) -> list[str]:
    """Failures in the nodes that didn't end the run."""
    parts = (values.get("usage") or {}).values()
    return [failure for part in parts for failure in part.get("failures", ())]
