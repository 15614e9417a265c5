"""A strategy as it is compared: a graph with values for its params, under a label."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from thinkgraph.evaluate.runs.digest import digest
from thinkgraph.fitted import Fitted
from thinkgraph.graphs.catalogue import find
from thinkgraph.graphs.graph import Graph, load
from thinkgraph.graphs.language.spec import Scalar, Spec
from thinkgraph.models.errors import ThinkgraphError, did_you_mean
from thinkgraph.models.model import Frozen
from thinkgraph.nodes.answers import parse_extractor
from thinkgraph.nodes.prompts.prompt import Prompt, load_prompt, prompt_names
from thinkgraph.nodes.registry import node_kinds

AUTO = "auto"
_LABEL = re.compile(r"(?P<graph>[^@]+?)(?:@(?P<samples>\d+))?(?P<params>(?::\w+=[^:]*)*)")


class Variant(Frozen):
    """One competitor of a comparison."""

    label: str = Field(description="as it was asked for: `self-consistency@16`")
    graph: str = Field(description="a built-in name, or the path of a spec")
    params: dict[str, Scalar] = Field(default_factory=dict, description="those that were given")
    prompts: dict[str, Prompt] = Field(
        default_factory=dict, description="that replace built-in ones of the same name, here alone"
    )
    model: str = Field("", description="its name, where a comparison has several; else empty")
    extract: Any = Field(None, description="how answers are found, in place of `auto`; short form")
    digest: str = Field("", description="of all that the answers depend on: spec, params, prompts")

    @classmethod
    def parse(
        cls,
        label: str,
        common: Mapping[str, Any],
        prompts: Mapping[str, Prompt],
        extract: Any = None,
    ) -> Self:
        """The variant of a label ``GRAPH[@SAMPLES][:PARAM=VALUE]…``.

        Args:
            label: for example ``best-of-n@8:scorer=judge``.
            common: values for those of the graph's params that have these names.
            prompts: prompts that replace built-in ones of the same name.
            extract: the short form of the extractor of all nodes that don't set one.

        Raises:
            ThinkgraphError: there is no such graph or param, or the param has no such value.
        """
        found = _LABEL.fullmatch(label)
        if not found:
            raise ThinkgraphError(
                f"{label!r} is not a strategy; write GRAPH, GRAPH@SAMPLES or GRAPH:PARAM=VALUE"
            )
        known = load_extracting(found["graph"], extract).spec.params
        given = {name: value for name, value in common.items() if name in known}
        if found["samples"]:
            given["samples"] = found["samples"]
        given |= dict(pair.split("=", 1) for pair in found["params"].split(":")[1:])
        return cls.of(label, found["graph"], given, prompts=prompts, extract=extract)

    @classmethod
    def of(
        cls,
        label: str,
        graph: str,
        given: Mapping[str, Any],
        *,
        prompts: Mapping[str, Prompt],
        own: Mapping[str, Prompt] | None = None,
        extract: Any = None,
    ) -> Self:
        """The variant of a graph with values for its params.

        Args:
            label: what it is called.
            graph: a built-in name, or the path of a spec.
            given: values of params.
            prompts: prompts that replace built-in ones of the same name, for all variants.
            own: the same, for this variant alone.
            extract: the short form of the extractor of all nodes that don't set one.

        Raises:
            ThinkgraphError: there is no such graph or param, or the param has no such value.
        """
        loaded = load_extracting(graph, extract)
        bound, replaced = loaded.bind(given), dict(own or {})
        return cls(
            label=label,
            graph=graph,
            params={name: bound[name] for name in given},
            prompts=replaced,
            extract=extract,
            digest=_digest(loaded, bound, {**prompts, **replaced}),
        )

    def load(self, extract: Any = None) -> Graph:
        """Its graph: read and checked once a process, and with it what was compiled of it.

        Args:
            extract: how a question's answers are found, where the variant doesn't say it.
        """
        how = self.extract if self.extract is not None else extract
        return _loaded(self.graph, self.digest, json.dumps(how))


@lru_cache(maxsize=256)
def _loaded(graph: str, digest: str, extract: str) -> Graph:  # the digest tells a file's versions
    return load_extracting(graph, json.loads(extract))


def load_extracting(name: str, extract: Any) -> Graph:
    """A graph whose nodes, and those of the graphs it uses, find answers by an extractor.

    A node that sets an extractor itself, other than `auto`, keeps it.
    """
    graph = load(name)
    if extract is None:
        return graph
    found = Graph.of(_extracting(graph.spec, extract), Path(str(find(name))).parent)
    used = {name: _extracting(spec, extract) for name, spec in found.specs.items() if name}
    found.specs.update(used)
    return found


def named_extractor(given: str) -> Any:
    """The short form of an extractor as an option has it: ``regex:PATTERN`` is `{regex: PATTERN}`.

    Raises:
        ThinkgraphError: there is no such extractor, or it can't have that setting.
    """
    name, colon, setting = given.partition(":")
    form: Any = {name: setting} if colon else name
    try:
        return parse_extractor(form).short()
    except ValueError as error:
        raise ThinkgraphError(f"--extract {given}: {error}") from None


def _extracting(spec: Spec, extract: Any) -> Spec:
    plain, kinds = spec.plain, node_kinds()
    for node in plain["nodes"].values():
        kind = kinds.get(node.get("kind", ""))
        if kind is not None and "extract" in kind.model_fields:
            own = node.get("extract", AUTO)
            node["extract"] = extract if own == AUTO else own
    return Spec.model_validate(plain)


def parse_variants(
    text: str,
    common: Mapping[str, Any],
    prompts: Mapping[str, Prompt],
    *,
    files: Sequence[Fitted] = (),
    models: Sequence[str] = (),
    extract: Any = None,
) -> tuple[Variant, ...]:
    """The variants of a list such as ``direct,self-consistency@4,8,16:temperature=0.4``.

    Args:
        text: labels with commas between them; a bare number is another number of samples of the
            one before, and a param after any of these numbers holds for all of them.
        common: values for those of the graphs' params that have these names.
        prompts: prompts that replace built-in ones of the same name.
        files: params files; the strategy of each competes with its params, too.
        models: names of two or more models, each of which is asked by every strategy.
        extract: the short form of the extractor of all nodes that don't set one.

    Raises:
        ThinkgraphError: a duplicate label or model, no label at all, a param of ``common`` that
            no graph has, or what :meth:`Variant.parse` raises.
    """
    variants = (
        *(Variant.parse(label, common, prompts, extract) for label in _labels(text)),
        *(_fitted(file, common, prompts, extract) for file in files),
    )
    twice = [v.label for index, v in enumerate(variants) if v in variants[:index]]
    if twice:
        raise ThinkgraphError(f"--graphs names {twice[0]!r} twice; remove one")
    if not variants:
        raise ThinkgraphError(
            "--graphs names no strategy; write for example --graphs direct,self-consistency@4"
        )
    for name in common:
        if not any(name in variant.params for variant in variants):
            known = sorted({param for each in variants for param in load(each.graph).spec.params})
            hint = did_you_mean(name, known) or f"they have {', '.join(known) or 'no params'}"
            raise ThinkgraphError(f"-p {name}: none of the strategies has this param; {hint}")
    return _with_models(variants, models) if len(models) > 1 else variants


def _fitted(
    file: Fitted, common: Mapping[str, Any], prompts: Mapping[str, Prompt], extract: Any
) -> Variant:
    """The strategy of a params file, under its name and what was changed."""
    graph = load_extracting(file.strategy, extract)
    file.apply(graph)  # refuses params and prompts that there aren't
    shared = {name: value for name, value in common.items() if name in graph.spec.params}
    given = {**shared, **file.params}
    label = f"{graph.spec.name} (fitted)"
    return Variant.of(
        label, file.strategy, given, prompts=prompts, own=file.prompts, extract=extract
    )


def _with_models(variants: Sequence[Variant], models: Sequence[str]) -> tuple[Variant, ...]:
    if twice := [model for index, model in enumerate(models) if model in models[:index]]:
        raise ThinkgraphError(f"--model names {twice[0]!r} twice; remove one")
    names = {model: Path(model).name.removesuffix(".gguf") for model in models}
    if len(set(names.values())) < len(names):  # two files of one name
        names = {model: model for model in models}
    return tuple(
        each.model_copy(update={"label": f"{each.label} ({names[model]})", "model": model})
        for model in models
        for each in variants
    )


_NUMBER = re.compile(r"(\d+)((?::\w+=[^:]*)*)")


def _labels(text: str) -> Iterable[str]:
    """The labels of a list; a bare number is another number of samples of the one before.

    Numbers without params take those of the next that has some, or else of the one before.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    last: tuple[str, list[tuple[str, str]]] = ("", [])
    for part in parts:
        graph, at, rest = part.partition("@")
        number = _NUMBER.fullmatch(rest if at else part)
        if number and (at or last[0]):
            if at:
                yield from _expanded(*last)
                last = (graph, [])
            last[1].append((number[1], number[2]))
        else:
            yield from _expanded(*last)
            last = ("", [])
            yield part
    yield from _expanded(*last)


def _expanded(graph: str, numbers: Sequence[tuple[str, str]]) -> Iterable[str]:
    for i, (number, params) in enumerate(numbers):
        following = [more for _, more in numbers[i:] if more]
        before = [more for _, more in reversed(numbers[:i]) if more]
        yield f"{graph}@{number}{params or next(iter([*following, *before]), '')}"


def _digest(graph: Graph, params: Mapping[str, Scalar], prompts: Mapping[str, Prompt]) -> str:
    specs = {name: spec.plain for name, spec in graph.specs.items()}
    for spec in specs.values():
        spec.pop("about", None)
        for param in spec.get("params", {}).values():
            param.pop("fit", None)  # what may be tried changes no answer
    texts = {name: load_prompt(name) for name in prompt_names()} | dict(prompts)
    said = {name: prompt.model_dump(exclude={"about"}) for name, prompt in texts.items()}
    return digest(specs, params, said)
