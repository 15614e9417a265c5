"""A strategy as it is compared: a graph with values for its params, under a label."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Self

from pydantic import Field

from thinkgraph.evaluate.runs.digest import digest
from thinkgraph.graphs.graph import Graph, load
from thinkgraph.graphs.language.spec import Scalar
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Frozen
from thinkgraph.nodes.prompts.prompt import Prompt, load_prompt, prompt_names

_LABEL = re.compile(r"(?P<graph>[^@]+?)(?:@(?P<samples>\d+))?(?P<params>(?::\w+=[^:]*)*)")


class Variant(Frozen):
    """One competitor of a comparison."""

    label: str = Field(description="as it was asked for: `self-consistency@16`")
    graph: str = Field(description="a built-in name, or the path of a spec")
    params: dict[str, Scalar] = Field(default_factory=dict, description="those that were given")
    digest: str = Field("", description="of all that the answers depend on: spec, params, prompts")

    @classmethod
    def parse(cls, label: str, common: Mapping[str, Any], prompts: Mapping[str, Prompt]) -> Self:
        """The variant of a label ``GRAPH[@SAMPLES][:PARAM=VALUE]…``.

        Args:
            label: for example ``best-of-n@8:scorer=judge``.
            common: values for those of the graph's params that have these names.
            prompts: prompts that replace built-in ones of the same name.

        Raises:
            ThinkgraphError: there is no such graph or param, or the param has no such value.
        """
        found = _LABEL.fullmatch(label)
        if not found:
            raise ThinkgraphError(
                f"{label!r} is no strategy; write GRAPH, GRAPH@SAMPLES or GRAPH:PARAM=VALUE"
            )
        graph = load(found["graph"])
        given = {name: value for name, value in common.items() if name in graph.spec.params}
        if found["samples"]:
            given["samples"] = found["samples"]
        given |= dict(pair.split("=", 1) for pair in found["params"].split(":")[1:])
        bound = graph.bind(given)
        return cls(
            label=label,
            graph=found["graph"],
            params={name: bound[name] for name in given},
            digest=_digest(graph, bound, prompts),
        )

    def load(self) -> Graph:
        """Its graph: read and checked once a process, and with it what was compiled of it."""
        return _loaded(self.graph, self.digest)


@lru_cache(maxsize=256)
def _loaded(graph: str, digest: str) -> Graph:  # the digest tells a changed file from the old one
    return load(graph)


def parse_variants(
    text: str, common: Mapping[str, Any], prompts: Mapping[str, Prompt]
) -> tuple[Variant, ...]:
    """The variants of a list such as ``direct,self-consistency@4,8,16``.

    Raises:
        ThinkgraphError: a label that stands there twice, none at all, a param of ``common`` that
            no graph has, or what :meth:`Variant.parse` raises.
    """
    variants = tuple(Variant.parse(label, common, prompts) for label in _labels(text))
    twice = [v.label for index, v in enumerate(variants) if v in variants[:index]]
    if twice or not variants:
        raise ThinkgraphError(
            f"{twice[0]!r} stands there twice" if twice else "there is no strategy to compare"
        )
    for name in common:
        if not any(name in variant.params for variant in variants):
            raise ThinkgraphError(f"none of the strategies has a param {name!r}")
    return variants


def _labels(text: str) -> Iterable[str]:
    """The labels of a list; a bare number is another number of samples of the one before."""
    last = ""
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part.isdecimal() and "@" in last:
            before, _, after = last.partition("@")
            last = f"{before}@{part}{after[len(after.partition(':')[0]) :]}"
        else:
            last = part
        yield last


def _digest(graph: Graph, params: Mapping[str, Scalar], prompts: Mapping[str, Prompt]) -> str:
    specs = {name: spec.plain for name, spec in graph.specs.items()}
    for spec in specs.values():
        spec.pop("about", None)
    texts = {name: load_prompt(name) for name in prompt_names()} | dict(prompts)
    said = {name: prompt.model_dump(exclude={"about"}) for name, prompt in texts.items()}
    return digest(specs, params, said)
