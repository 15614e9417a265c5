"""Fitted params and prompts of a strategy, found by ``thinkgraph fit``, and their params file."""

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
from thinkgraph.evaluate.tasks.gym import PREFIX as GYM
from thinkgraph.evaluate.tasks.word_problems import COUNT
from thinkgraph.graphs.graph import Graph
from thinkgraph.graphs.language.spec import Scalar
from thinkgraph.models.catalogue import SERVER, adapted, find
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Frozen
from thinkgraph.nodes.prompts.prompt import Prompt

FORMAT = 1


class Fitted(Frozen):
    """Fitted params and prompts of one strategy, and their evaluation.

    Stored as YAML; `run`, `plan`, `compare`, `serve` and `mcp` read it with ``--params FILE``.
    """

    fitted: int = Field(FORMAT, ge=1, le=FORMAT, description="version of the file's format")
    strategy: str = Field(description="a built-in name, or the path of a spec")
    name: str = Field(
        "",
        description="name of the strategy, as in its spec; empty: the stem of the spec's file name",
    )
    spec: str = Field(
        "", description="digest of the strategy's spec, without the defaults of its params"
    )
    params: dict[str, Scalar] = Field(
        default_factory=dict,
        description="fitted values of params; the other params keep their defaults",
    )
    prompts: dict[str, Prompt] = Field(
        default_factory=dict, description="prompts that replace built-in ones of the same name"
    )
    model: str = Field("", description="name of the model that the params were fitted for")
    sha256: str = Field(
        "", description="SHA-256 of the model's file; empty: the model has no file here"
    )
    date: str = Field("", description="date of the fit")
    points: tuple[float, float, float] | None = Field(
        None,
        description="gain on the held-out questions in percentage points, and the ends of its "
        "interval",
    )
    questions: int = Field(
        0, description="number of held-out questions that the gain was measured on"
    )
    found: dict[str, Any] = Field(
        default_factory=dict,
        description="results of the fit: what was measured, on which questions and when",
    )

    def is_for(self, graph: Graph) -> bool:
        """Whether a graph is the fitted strategy, by the name in its spec."""
        return graph.name == self.graph

    @property
    def graph(self) -> str:
        """The strategy's name; if the file has none, the stem of the spec's file name."""
        return self.name or Path(self.strategy).stem

    def is_current(self, graph: Graph) -> bool:
        """Whether the strategy is unchanged, except for the defaults of its params."""
        return self.spec in ("", spec_digest(graph))

    def doubts(self, graph: Graph, model: str, data: str = "", seed: int = 0) -> Iterator[str]:
        """Warnings about a changed strategy, another model, or data that the fit has seen.

        Args:
            graph: the strategy.
            model: name of the model that it runs on.
            data: a file or built-in task; empty: it runs on no data.
            seed: the seed of a built-in task.
        """
        if not self.is_current(graph):
            yield f"the strategy {graph.name} has changed since its params were fitted"
        if self.model and not self._is_of(model):
            yield f"the params were fitted for the model {self.model}, and not for {model}"
        if data and self._has_seen(data, seed):
            yield (
                f"the params of {graph.name} were fitted on questions of this data, so that its "
                "accuracy on those is too high; compare on other questions"
            )

    def _has_seen(self, data: str, seed: int) -> bool:
        """Whether the fit used questions of a file or folder, or the same ones of a built-in task.

        Question ``i`` of reasoning-gym is generated from ``seed + i``, so that ranges may overlap.
        """
        fitted_on = self.found.get("data")
        if isinstance(fitted_on, dict):
            return fitted_on.get("sha256") == file_digest(Path(data))
        (fitted_task, fitted_count), (task, count) = _counted(str(fitted_on)), _counted(data)
        apart = abs(int(self.found.get("seed", seed)) - seed)
        overlaps = apart < max(fitted_count, count) if task.startswith(GYM) else apart == 0
        return fitted_task == task and (overlaps or Path(data).exists())

    def _is_of(self, model: str) -> bool:
        if not self.sha256:
            return self.model == model
        try:
            return self.sha256 == model_digest(model)
        except ThinkgraphError:
            return True  # reported when the model is opened

    @property
    def gain(self) -> str:
        """The date of the fit and the gain: ``on 2026-11-25, +6 points [+1, +11] …``."""
        date = f"on {self.date}" if self.date else "by hand"
        if self.points is None:
            return date
        points, low, high = self.points
        interval = f"[{low:+.0f}, {high:+.0f}]"
        return f"{date}, {points:+.0f} points {interval} on {self.questions} questions"

    @property
    def setting(self) -> str:
        """The params and prompts as text: ``temperature 0.2, samples 8``."""
        values = [f"{name} {value}" for name, value in self.params.items()]
        return ", ".join([*values, *(f"the prompt {name}" for name in self.prompts)])

    @property
    def told(self) -> str:
        """A description of the kept params, with the command to undo them."""
        found = f"{self.graph} as fitted for {self.model} {self.gain}"
        return f"{found}: {self.setting} (undo: {self.undo})"

    @property
    def undo(self) -> str:
        """The command that removes the kept params."""
        return shlex.join(["thinkgraph", "fit", self.graph, "--undo", "--model", self.model])

    def apply(self, graph: Graph) -> Graph:
        """Return the graph with the fitted params and prompts as its defaults.

        Raises:
            ThinkgraphError: the params are for another strategy, or a param or prompt doesn't
                exist.
        """
        if not self.is_for(graph):
            raise ThinkgraphError(
                f"the params file is for {self.name or self.strategy!r}, not for {graph.name!r}; "
                "fit that strategy, or set its params with -p"
            )
        return graph.with_defaults(self.params, self.prompts)

    def save(self, path: str | os.PathLike[str], comment: str = "") -> None:
        """Write the params file.

        Args:
            path: the path of the file.
            comment: a comment at the start of the file.

        Raises:
            ThinkgraphError: the file can't be written.
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


def _counted(task: str) -> tuple[str, int]:
    """The name of a built-in task and its number of questions: ``word-problems:50``."""
    name, _, count = task.rpartition(":")
    return (name, int(count)) if count.isdecimal() else (task, COUNT)


def read_fitted(path: str | os.PathLike[str]) -> Fitted:
    """Read a params file.

    Raises:
        ThinkgraphError: the file can't be read, or is no params file.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    named = f"the params file {str(path)!r}"
    try:
        found = YAML(typ="safe").load(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ThinkgraphError(f"can't read {named}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ThinkgraphError(f"{named} isn't UTF-8 text") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ThinkgraphError(f"{named} isn't YAML: {said}{place}") from None
    except (ValueError, RecursionError) as error:  # a date or number that is none, as 2026-13-45
        raise ThinkgraphError(f"{named} isn't YAML: {error}") from None
    try:
        return Fitted.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ThinkgraphError(f"{named}: {place}: {first['msg']}") from None


def spec_digest(graph: Graph) -> str:
    """A digest of a strategy and its subgraphs, without descriptions and its params' defaults."""
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
    """The SHA-256 of a model's file, and of its adapter's; empty for a model at an endpoint."""
    if model.startswith(SERVER):
        return ""
    adapter = adapted(model)
    files = [find(model).path, *([adapter.adapter] if adapter else [])]
    return "+".join(file_digest(file) for file in files)
