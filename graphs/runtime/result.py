"""Results: the answer of a run, its candidates, votes and usage."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal, Self

from thinkgraph.graphs.language.spec import Output, Spec
from thinkgraph.graphs.record import RunRecord
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Frozen, Model, ModelRequest, ToolUse
from thinkgraph.models.schemas import mismatch
from thinkgraph.nodes.population import State
from thinkgraph.nodes.request import RequestRecord

NO_RESULT = "the events of a run ended before its result; this is a bug: please report it"


class Result(RunRecord):
    """A finished run."""

    @property
    def votes(self) -> dict[str, int]:
        """The votes of each answer, in descending order."""
        tally = self.answer.tally
        return {found.value: found.votes for found in tally.classes} if tally else {}

    @property
    def failures(self) -> dict[str, tuple[str, ...]]:
        """Failures that didn't end the run, by NODE.ROUND."""
        return {key: usage.failures for key, usage in self.nodes.items() if usage.failures}

    @property
    def rejected(self) -> bool:
        """Whether there is no answer because no candidate was accepted."""
        return State(
            question=self.question, candidates={each.id: each for each in self.candidates}
        ).is_rejected

    @property
    def accepted(self) -> bool | None:
        """Whether most of the last critiques of the answer accept it; None without critiques.

        False if there is no answer because every candidate was rejected.
        """
        if self.rejected:
            return False
        found = [each for each in self.critiques if each.candidate == self.answer.candidate]
        if not found:
            return None
        last = [c.accepted for c in found if (c.node, c.round) == (found[-1].node, found[-1].round)]
        return sum(last) * 2 > len(last)

    @property
    def output_text(self) -> str:
        """The output as text; as JSON where the spec gives it a schema.

        If no candidate was accepted, the text says so.
        """
        if self.rejected and self.output in (None, ""):
            return self.answer.note
        has_schema = self.spec is not None and self.spec.output.json_schema is not None
        return json.dumps(self.output, ensure_ascii=False) if has_schema else str(self.output)

    def to_html(self, command: str | None = None) -> str:
        """The run as one self-contained HTML page, for debugging a strategy.

        Args:
            command: the command line to show for repeating the run; by default it is made from
                the graph, the question, the model, the seed and the params.
        """
        from thinkgraph.graphs.pictures.report import to_html  # noqa: PLC0415 (only for a report)

        return to_html(self, command)

    def with_rendered_prompts(self, models: Callable[[str], Model]) -> Self:
        """The result with the rendered text and tokens of each prompt whose model renders prompts.

        Args:
            models: returns the model of a role; the empty role is the run's model.
        """
        return self.model_copy(
            update={"requests": tuple(_rendered(one, models(one.role)) for one in self.requests)}
        )

    def summary(self, *, requests: bool = False) -> dict[str, Any]:
        """The run as one JSON object, as ``thinkgraph run --json`` prints it.

        Args:
            requests: whether to include the model requests.
        """
        shown = {"id", "node", "text", "answer", "seed", "tokens", "finish_reason"}
        told = {"value", "text", "votes", "of", "tie", "cancelled", "note"}
        data = {
            "graph": self.graph,
            "model": self.model,
            "seed": self.seed,
            "answer": self.answer.model_dump(include=told),
            "candidates": [c.model_dump(include=shown) for c in self.candidates],
            "usage": self.usage.model_dump(exclude={"failures"}),
        }
        if self.accepted is not None:
            data["accepted"] = self.accepted
        if self.rejected:
            data["rejected"] = True
        if self.critiques:
            data["critiques"] = [c.model_dump(mode="json") for c in self.critiques]
        if self.spec is not None and self.spec.output != Output():
            data["output"] = self.output
        if requests:
            data["requests"] = [one.model_dump(mode="json") for one in self.requests]
        if self.failures:
            data["failures"] = self.failures
        return {**data, "cut": self.cut} if self.cut else data


def _rendered(request: RequestRecord, model: Model) -> RequestRecord:
    render = getattr(model, "render", None)
    if render is None:
        return request
    tools = ToolUse(request.tools, request.tool_choice)
    text, tokens = render(ModelRequest(request.messages, request.sampling, tools=tools))
    return request.model_copy(update={"rendered": text, "tokens": tuple(tokens)})


class Finished(Frozen):
    """The run is over."""

    event: Literal["result"] = "result"
    result: Result


class OutputMismatch(ThinkgraphError):
    """The output of a run doesn't match its JSON schema.

    Attributes:
        result: the run, without its output; None if the graph was compiled for LangGraph, whose
            state has the answer.
    """

    result: Result | None = None


def output(spec: Spec, state: State, values: Mapping[str, Any]) -> Any:
    """The value of the spec's output channel, parsed if it has a JSON schema.

    With a schema the value is None if no candidate was accepted.

    Raises:
        OutputMismatch: the value doesn't match the schema.
    """
    field, schema, answer = spec.output.field, spec.output.json_schema, state.answer
    if field == "answer" and answer is not None:
        found: list[Any] = [answer.value or answer.text, answer.text]
    else:
        found = [state.fields.get(field, values.get(field))]
    if schema is None:
        return found[0]
    if field == "answer" and state.is_rejected:
        return None
    return _valid(spec, found, schema)


_OF_TEXTS = ("pattern", "minLength", "maxLength")
"""Schema keywords for strings; a text that fails one of them need not be JSON."""


def _valid(spec: Spec, found: list[Any], schema: dict[str, Any]) -> Any:
    """The first of the values, parsed as JSON or unchanged, that matches the schema."""
    forms = [form for value in found for form in _forms(value)]
    try:
        faults = []
        for form in forms:
            if (fault := mismatch(form, schema)) is None:
                return form
            faults.append(fault)
    except Exception as error:  # the schema is invalid, or recurses without end
        raise OutputMismatch(
            f"the json_schema of graph {spec.name!r} can't be read: {_short(str(error))}"
        ) from None
    wrong = faults[0]
    place = "".join(f"[{step!r}]" for step in wrong.absolute_path)
    text = found[-1] if isinstance(found[-1], str) else json.dumps(found[-1], default=repr)
    lacks_json = not list(parsed(text)) and wrong.validator not in _OF_TEXTS
    why = "it isn't JSON" if lacks_json else wrong.message
    raise OutputMismatch(
        f"the output of graph {spec.name!r} doesn't match its json_schema: "
        f"{spec.output.field}{place}: {_short(why)}; it is {_short(text)!r}; a text that was cut "
        "short needs a larger max_tokens"
    )


def _short(text: str) -> str:
    return f"{text[:200]}…" if len(text) > 200 else text


def _forms(value: Any) -> Iterator[Any]:
    if isinstance(value, str):
        yield from parsed(value)
    yield value


def parsed(text: str) -> Iterator[Any]:
    """Yield the value of a text if it is JSON."""
    with suppress(ValueError, RecursionError):
        yield json.loads(text)
