"""Variants: the strategies of a comparison, each a graph with values for its params."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """One strategy of a comparison: a graph with its params, prompts and model."""

    label: str = Field(description="label as it was given, such as `self-consistency@16`")
    graph: str = Field(description="a built-in name, or the path of a spec")
    params: dict[str, Scalar] = Field(default_factory=dict, description="params that were given")
    prompts: dict[str, Prompt] = Field(
        default_factory=dict,
        description="prompts that replace built-in ones of the same name, for this strategy only",
    )
    model: str = Field(
        "", description="name of the model if the comparison has several, else empty"
    )
    extract: Any = Field(None, description="extractor of answers in place of `auto`, in short form")
    digest: str = Field(
        "", description="digest of everything that the answers depend on: spec, params, prompts"
    )

    @classmethod
    def parse(
        cls,
        label: str,
        common: Mapping[str, Any],
        prompts: Mapping[str, Prompt],
        extract: Any = None,
    ) -> Self:
        """Parse a label ``GRAPH[@SAMPLES][:PARAM=VALUE]…``.

        Args:
            label: for example ``best-of-n@8:scorer=judge``.
            common: values of params, applied to those that the graph has.
            prompts: prompts that replace built-in ones of the same name.
            extract: short form of the extractor for all nodes that don't set one.

        Raises:
            ThinkgraphError: the label is malformed, the graph or a param is unknown, or a value
                is invalid for its param.
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
        """Create the variant of a graph with values for its params.

        Args:
            label: the variant's name.
            graph: a built-in name, or the path of a spec.
            given: values of params.
            prompts: prompts that replace built-in ones of the same name, in all variants.
            own: prompts that replace built-in ones of the same name, in this variant only.
            extract: short form of the extractor for all nodes that don't set one.

        Raises:
            ThinkgraphError: the graph or a param is unknown, or a value is invalid for its param.
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
        """Load the variant's graph; cached per process, so that it compiles only once.

        Args:
            extract: the question's extractor, used if the variant has none.
        """
        how = self.extract if self.extract is not None else extract
        return _loaded(self.graph, self.digest, json.dumps(how))


@lru_cache(maxsize=256)
def _loaded(graph: str, digest: str, extract: str) -> Graph:  # digest: part of the cache key only
    return load_extracting(graph, json.loads(extract))


def load_extracting(name: str, extract: Any) -> Graph:
    """Load a graph and set the extractor of its nodes, including those of its subgraphs.

    Nodes that set an extractor other than `auto` keep it.
    """
    graph = load(name)
    if extract is None:
        return graph
    found = Graph.of(_extracting(graph.spec, extract), Path(str(find(name))).parent)
    used = {name: _extracting(spec, extract) for name, spec in found.specs.items() if name}
    found.specs.update(used)
    return found


def named_extractor(given: str) -> Any:
    """The short form of a command line option: ``regex:PATTERN`` becomes `{regex: PATTERN}`.

    Raises:
        ThinkgraphError: the extractor is unknown, or its setting is invalid.
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
    """Parse a list of variants such as ``direct,self-consistency@4,8,16:temperature=0.4``.

    Args:
        text: labels separated by commas; a bare number repeats the preceding graph with another
            number of samples, and a param after one of these numbers applies to all that have
            none.
        common: values of params, applied to those that a graph has.
        prompts: prompts that replace built-in ones of the same name.
        files: params files; each adds its strategy with its params, which win over ``common``, as
            a variant.
        models: names of models; with two or more, every strategy runs with each of them.
        extract: short form of the extractor for all nodes that don't set one.

    Raises:
        ThinkgraphError: a duplicate label or model, no label at all, a param of ``common`` that
            no graph has, or any error of :meth:`Variant.parse`.
    """
    named = [Variant.parse(label, common, prompts, extract) for label in _labels(text)]
    fitted = [_fitted(file, common, prompts, extract) for file in files]
    for option, given in (("--graphs", named), ("--params", fitted)):
        if twice := [each.label for index, each in enumerate(given) if each in given[:index]]:
            raise ThinkgraphError(f"{option} names {twice[0]!r} twice; remove one")
    variants = (*named, *_numbered(fitted))
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
    """The variant of a params file."""
    graph = load_extracting(file.strategy, extract)
    file.apply(graph)  # raises for unknown params and prompts
    shared = {name: value for name, value in common.items() if name in graph.spec.params}
    given = {**shared, **file.params}
    label = f"{graph.spec.name} (fitted)"
    return Variant.of(
        label, file.strategy, given, prompts=prompts, own=file.prompts, extract=extract
    )


def _numbered(fitted: Sequence[Variant]) -> Iterator[Variant]:
    """Params files of one strategy with distinct labels: `direct (fitted)`, `direct (fitted 2)`."""
    seen: Counter[str] = Counter()
    for each in fitted:
        seen[each.label] += 1
        number = f" {seen[each.label]})" if seen[each.label] > 1 else ")"
        yield each.model_copy(update={"label": each.label.removesuffix(")") + number})


def _with_models(variants: Sequence[Variant], models: Sequence[str]) -> tuple[Variant, ...]:
    if twice := [model for index, model in enumerate(models) if model in models[:index]]:
        raise ThinkgraphError(f"--model names {twice[0]!r} twice; remove one")
    names = {model: Path(model).name.removesuffix(".gguf") for model in models}
    if len(set(names.values())) < len(names):  # files with the same name in different folders
        names = {model: model for model in models}
    return tuple(
        each.model_copy(update={"label": f"{each.label} ({names[model]})", "model": model})
        for model in models
        for each in variants
    )


_NUMBER = re.compile(r"(\d+)((?::\w+=[^:]*)*)")


def _labels(text: str) -> Iterable[str]:
    """The labels of a list; a bare number repeats the preceding graph with other samples.

    A number without params takes those of the next number that has some, or else of a previous
    one.
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
            param.pop("fit", None)  # the search space doesn't affect answers
    texts = {name: load_prompt(name) for name in prompt_names()} | dict(prompts)
    said = {name: prompt.model_dump(exclude={"about"}) for name, prompt in texts.items()}
    return digest(specs, params, said)
