"""A strategy in place of a model, for evaluation harnesses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from thinkgraph.evaluate.runs.variant import load_extracting, named_extractor
from thinkgraph.graphs.runtime.models import default_model
from thinkgraph.graphs.runtime.result import Result
from thinkgraph.models import catalogue
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Message, Model
from thinkgraph.nodes.answers import equal, extract, parse_extractor

AT_ONCE = 16
"""Concurrent questions: enough to fill the engine's batch, few enough for the KV cache."""


class Respondent:
    """A strategy with a model and params, ready to answer.

    Args:
        graph: a built-in name, or the path of a spec.
        model: a model name of the catalogue; None for THINKGRAPH_MODEL, or else smollm2.
            Respondents with the same model name share its engine.
        extract: the extractor of nodes that don't set one, as for ``compare --extract``:
            ``text``, ``yes-no``, ``regex:PATTERN``.
        params: values of the graph's params and further inputs.

    Raises:
        ThinkgraphError: the graph, the model, the extractor or a param doesn't exist.
    """

    def __init__(
        self, graph: str, model: str | None = None, *, extract: str | None = None, **params: Any
    ) -> None:
        self._graph = load_extracting(graph, named_extractor(extract) if extract else None)
        inputs = self._graph.spec.inputs
        self._graph.bind({name: v for name, v in params.items() if name not in inputs})
        self._params = params
        self._model = _opened(model or default_model())

    @property
    def name(self) -> str:
        """The graph and its model."""
        return f"{self._graph.name} on {self._model.name}"

    def check(self, **params: Any) -> None:
        """Check params that a harness sets.

        Raises:
            ThinkgraphError: the graph has no such param, or the value is invalid.
        """
        self._graph.bind(params)

    async def answer(
        self, conversation: Sequence[Message], *, seed: int | None = None, **params: Any
    ) -> Result:
        """Answer the last turn of a conversation; ``params`` override those of the constructor.

        Raises:
            ThinkgraphError: the last turn isn't the user's, or the run fails.
        """
        if not conversation or conversation[-1].role != "user":
            raise ThinkgraphError("the last message is not the user's, so there is no question")
        return await self._graph.arun(
            list(conversation), model=self._model, seed=seed, **{**self._params, **params}
        )


@cache
def _opened(model: str) -> Model:
    return catalogue.load(model)


def reply(result: Result, text: str | None = None) -> str:
    """The text of a strategy's answer, for scorers that extract answers from texts.

    It is the text of the winning candidate. If the answer extracted from that would differ from
    the strategy's (as for a program, whose result is the answer, or a median), a line
    ``ANSWER: …`` follows.

    Args:
        result: the run's result.
        text: the winning candidate's text, if it was truncated.
    """
    said = result.answer.text if text is None else text
    value = result.answer.value
    read = extract(said, parse_extractor("auto"))
    if value is None or (read is not None and equal(read, value)):
        return said
    return f"{said}\n\nANSWER: {value}".lstrip()
