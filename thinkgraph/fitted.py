"""The params file: values of a strategy's params and prompts, as `thinkgraph fit` finds them."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from thinkgraph.graphs.graph import Graph
from thinkgraph.graphs.language.spec import Scalar
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Frozen
from thinkgraph.nodes.prompts.prompt import Prompt

FORMAT = 1


class Fitted(Frozen):
    """Params and prompts of one strategy, and how they were judged.

    In YAML, and read by `run`, `compare`, `serve` and `mcp` with ``--params FILE``.
    """

    fitted: int = Field(FORMAT, ge=1, le=FORMAT, description="version of the file's format")
    strategy: str = Field(description="a built-in name, or the path of a spec")
    params: dict[str, Scalar] = Field(
        default_factory=dict, description="values; those that aren't here keep their defaults"
    )
    prompts: dict[str, Prompt] = Field(
        default_factory=dict, description="prompts that replace built-in ones of the same name"
    )
    model: str = Field("", description="for which they were found")
    found: dict[str, Any] = Field(
        default_factory=dict, description="what was measured, on which questions, and when"
    )

    def is_for(self, graph: Graph) -> bool:
        """Whether a graph is the strategy that was fitted, by its name."""
        return graph.spec.name in (self.strategy, Path(self.strategy).stem)

    def apply(self, graph: Graph) -> Graph:
        """The graph with the fitted params and prompts as its defaults.

        Raises:
            ThinkgraphError: the file is another strategy's, or has params or prompts that there
                aren't.
        """
        if not self.is_for(graph):
            raise ThinkgraphError(
                f"the params file is for {self.strategy!r}, not for {graph.spec.name!r}; "
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
