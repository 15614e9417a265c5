"""A strategy's fitted params and prompts, which ``thinkgraph fit`` finds, and their params file."""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from thinkgraph.evaluate.runs.digest import digest
from thinkgraph.evaluate.runs.provenance import file_digest
from thinkgraph.graphs.graph import Graph
from thinkgraph.graphs.language.spec import Scalar
from thinkgraph.models.catalogue import SERVER, adapted, find
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Frozen
from thinkgraph.nodes.prompts.prompt import Prompt

FORMAT = 1


class Fitted(Frozen):
    """Params and prompts of one strategy, and how they were judged.

    In YAML, and read by `run`, `plan`, `compare`, `serve` and `mcp` with ``--params FILE``.
    """

    fitted: int = Field(FORMAT, ge=1, le=FORMAT, description="version of the file's format")
    strategy: str = Field(description="a built-in name, or the path of a spec")
    name: str = Field("", description="of the strategy, as its spec says; empty: as its file")
    spec: str = Field("", description="digest of its spec, without the defaults of its params")
    params: dict[str, Scalar] = Field(
        default_factory=dict, description="values; those that aren't here keep their defaults"
    )
    prompts: dict[str, Prompt] = Field(
        default_factory=dict, description="prompts that replace built-in ones of the same name"
    )
    model: str = Field("", description="for which they were found")
    sha256: str = Field("", description="of that model's file; empty: it has none here")
    date: str = Field("", description="when they were found")
    points: tuple[float, float, float] | None = Field(
        None, description="gained on the questions that judged: the points and their interval"
    )
    questions: int = Field(0, description="that judged")
    found: dict[str, Any] = Field(
        default_factory=dict, description="what was measured, on which questions, and when"
    )

    def is_for(self, graph: Graph) -> bool:
        """Whether a graph is the strategy that was fitted, by its spec's name."""
        return graph.name == self.graph

    @property
    def graph(self) -> str:
        """The strategy's name; where the file doesn't say it, that of the spec's file."""
        return self.name or Path(self.strategy).stem

    def is_current(self, graph: Graph) -> bool:
        """Whether the strategy is as it was, except for the defaults of its params."""
        return self.spec in ("", spec_digest(graph))

    def doubts(self, graph: Graph, model: str) -> Iterator[str]:
        """What differs from what they were fitted for, in words: the strategy, or the model."""
        if not self.is_current(graph):
            yield f"the strategy {graph.name} has changed since its params were fitted"
        if self.model and not self._is_of(model):
            yield f"the params were fitted for the model {self.model}, and not for {model}"

    def _is_of(self, model: str) -> bool:
        if not self.sha256:
            return self.model == model
        try:
            return self.sha256 == model_digest(model)
        except ThinkgraphError:
            return True  # said when the model is opened

    @property
    def gain(self) -> str:
        """When they were found, and what was gained: ``on 2026-11-25, +6 points [+1, +11] …``."""
        date = f"on {self.date}" if self.date else "by hand"
        if self.points is None:
            return date
        points, low, high = self.points
        interval = f"[{low:+.0f}, {high:+.0f}]"
        return f"{date}, {points:+.0f} points {interval} on {self.questions} questions"

    @property
    def setting(self) -> str:
        """The params and prompts in words: ``temperature 0.2, samples 8``."""
        values = [f"{name} {value}" for name, value in self.params.items()]
        return ", ".join([*values, *(f"the prompt {name}" for name in self.prompts)])

    @property
    def told(self) -> str:
        """What is kept, in words, and how it is forgotten."""
        found = f"{self.graph} as fitted for {self.model} {self.gain}"
        return f"{found}: {self.setting} (undo: {self.undo})"

    @property
    def undo(self) -> str:
        """The command that forgets what is kept."""
        return shlex.join(["thinkgraph", "fit", self.graph, "--undo", "--model", self.model])

    def apply(self, graph: Graph) -> Graph:
        """The graph with the fitted params and prompts as its defaults.

        Raises:
            ThinkgraphError: the file is another strategy's, or has params or prompts that there
                aren't.
        """
        if not self.is_for(graph):
            raise ThinkgraphError(
                f"the params file is for {self.name or self.strategy!r}, not for {graph.name!r}; "
                "fit that strategy, or set its params with -p"
            )
        return graph.with_defaults(self.params, self.prompts)

    def save(self, path: str | os.PathLike[str], comment: str = "") -> None:
        """Write the file.

        Args:
            path: where to.
            comment: its first lines.

        Raises:
            ThinkgraphError: it can't be written.
        """
        from ruamel.yaml import YAML  # noqa: PLC0415 (not needed to read a name)

        prompts = {n: p.model_dump(exclude_defaults=True) for n, p in self.prompts.items()}
        plain = self.model_dump(mode="json") | {"prompts": prompts}
        text = io.StringIO()
        text.writelines(f"# {line}\n" for line in comment.splitlines())
        yaml = YAML()
        yaml.width = 100
        yaml.dump({name: value for name, value in plain.items() if value}, text)
        try:
            Path(path).write_text(text.getvalue(), encoding="utf-8")
        except OSError as error:
            raise ThinkgraphError(
                f"{str(path)!r} can't be written: {error.strerror or error}"
            ) from None


def read_fitted(path: str | os.PathLike[str]) -> Fitted:
    """The params file at a path.

    Raises:
        ThinkgraphError: it can't be read, or is no such file.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    named = f"the params file {str(path)!r}"
    try:
        return Fitted.model_validate(YAML(typ="safe").load(Path(path).read_text("utf-8")))
    except OSError as error:
        raise ThinkgraphError(f"can't read {named}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ThinkgraphError(f"{named} isn't UTF-8 text") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ThinkgraphError(f"{named} isn't YAML: {said}{place}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ThinkgraphError(f"{named}: {place}: {first['msg']}") from None


def spec_digest(graph: Graph) -> str:
    """The digest of a strategy and those that it uses, without texts and its params' defaults."""
    specs = {name: spec.plain for name, spec in graph.specs.items()}
    for spec in specs.values():
        spec.pop("about", None)
        for param in spec.get("params", {}).values():
            param.pop("fit", None)
    apart = {"default", "fit", "about", "type"}
    specs[""]["params"] = {
        name: {"type": param.kind, **param.model_dump(mode="json", exclude=apart)}
        for name, param in graph.spec.params.items()
    }
    return digest(specs)


def model_digest(model: str) -> str:
    """The SHA-256 of a model's file, and of its adapter's; empty if there is none here."""
    if model.startswith(SERVER):
        return ""
    adapter = adapted(model)
    files = [find(model).path, *([adapter.adapter] if adapter else [])]
    return "+".join(file_digest(file) for file in files)
