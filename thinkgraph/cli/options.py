"""Options shared by several commands, and their parsing."""

from __future__ import annotations

import codecs
import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkgraph.models.errors import ThinkgraphError

if TYPE_CHECKING:
    from thinkgraph.fitted import Fitted
    from thinkgraph.graphs.graph import Graph
    from thinkgraph.models.model import Model
    from thinkgraph.nodes.prompts.prompt import Prompt

INTERRUPTED = 130
"""Exit status after Ctrl-C, as in shells."""
REJECTED = 3
"""Exit status of a run without an accepted candidate."""


def _complete_graph(incomplete: str) -> list[str]:
    from thinkgraph.graphs.catalogue import names

    return [name for name in names() if name.startswith(incomplete)]


def _complete_model(incomplete: str) -> list[str]:
    from thinkgraph.models.catalogue import known

    return [entry.name for entry in known() if entry.name.startswith(incomplete)]


GraphName = Annotated[
    str,
    typer.Argument(
        help="A name that `list` shows, or the path of a spec.", autocompletion=_complete_graph
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A catalogue name, a .gguf, hf:OWNER/REPO/FILE or openai:MODEL@URL; "
        "default: $THINKGRAPH_MODEL, or smollm2.",
        autocompletion=_complete_model,
    ),
]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set a param of the graph."),
]
Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        metavar="ROLE=MODEL",
        help="Model for a role of the graph; --engine and --template don't apply to it.",
    ),
]
Engine = Annotated[
    list[str] | None,
    typer.Option("--engine", "-e", metavar="NAME=VALUE", help="Engine setting: gpu_layers=0"),
]
Template = Annotated[
    list[str] | None,
    typer.Option(
        "--template",
        metavar="NAME=VALUE",
        help="Set a variable of the chat template: enable_thinking=false",
    ),
]
PromptFiles = Annotated[
    list[str] | None,
    typer.Option("--prompt", metavar="NAME=FILE", help="Replace a built-in prompt by this file."),
]
ToolFile = Annotated[
    Path | None,
    typer.Option(
        "--tools", metavar="FILE.py", help="Bind the spec's tools to this file's functions."
    ),
]
VerifierFile = Annotated[
    Path | None,
    typer.Option(
        "--verifiers", metavar="FILE.py", help="Bind the spec's verifiers to this file's functions."
    ),
]
McpFile = Annotated[
    Path | None,
    typer.Option(
        "--mcp", metavar="FILE", help="Bind tools of the MCP servers that this file configures."
    ),
]


def read_hosted(
    command: typer.Context, tools: Path | None, verifiers: Path | None, mcp: Path | None
) -> dict[str, Any]:
    """The tools and verifiers of files, as arguments of a run.

    MCP servers stay connected until the command ends.
    """
    from thinkgraph.nodes.tools.host_files import HostFiles

    found: dict[str, Any] = command.with_resource(HostFiles(tools, verifiers, mcp).open())
    return found


def check_hosted(strategy: Graph, settings: Mapping[str, Any], hosted: Mapping[str, Any]) -> None:
    """Check before a model is loaded that all tools and verifiers are bound."""
    params = {name: v for name, v in settings.items() if name not in strategy.spec.inputs}
    strategy.check_hosted(params, **hosted)


ParamsFile = Annotated[
    str | None,
    typer.Option(
        "--params",
        metavar="FILE",
        help="Params file of `thinkgraph fit`, instead of the params kept for the model; "
        "none: use neither.",
    ),
]
NONE = "none"
"""Value of ``--params`` for no fitted params at all; for a file of this name, write ``./none``."""


def with_fitted(
    strategy: Graph, file: str | None, model: str | None
) -> tuple[Graph, Fitted | None, list[str]]:
    """A strategy with the params of a file, or else those kept for the model.

    Returns:
        The strategy, the applied params, and warnings about these or the kept ones.
    """
    if file == NONE:
        return strategy, None, []
    from thinkgraph.fitted import read_fitted
    from thinkgraph.fitted_store import for_model, kept
    from thinkgraph.graphs.runtime.models import default_model

    name = model or default_model()
    if file:
        given = read_fitted(file)
        return (
            given.apply(strategy),
            given,
            [f"{file}: {it}" for it in given.doubts(strategy, name)],
        )
    found, fitted = for_model(strategy, name)
    if fitted is None and (before := kept(strategy, name)):
        return found, None, [f"{before.told} isn't used, as {strategy.name} has changed since"]
    return found, fitted, []


def _import_kinds(files: list[str] | None) -> list[str] | None:
    """Register the node kinds of files; an environment variable passes them to worker processes."""
    if files:
        from thinkgraph.nodes.registry import import_kinds
        from thinkgraph.nodes.sharing import IMPORT

        for file in files:
            import_kinds(file)
        known = os.environ.get(IMPORT, "")
        paths = [str(Path(file).resolve()) for file in files]
        os.environ[IMPORT] = os.pathsep.join([*filter(None, [known]), *paths])
    return files


Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="FILE.py",
        callback=_import_kinds,
        help="Python file with node kinds, which is executed; repeat it for several.",
    ),
]


def check_models(
    strategy: Graph, settings: Mapping[str, Any], model: str | None, roles: Mapping[str, str]
) -> None:
    """Check before a model is loaded that the models can serve their roles, judging by names."""
    from thinkgraph.graphs.runtime.models import Roles as RunModels

    params = {name: v for name, v in settings.items() if name not in strategy.spec.inputs}
    strategy.check_models(RunModels(model, roles), params)


def check_known(models: Iterable[str]) -> None:
    """Check before a model is loaded that each is in the catalogue or a file.

    Raises:
        ModelError: a model doesn't exist.
    """
    from thinkgraph.models.catalogue import SERVER, find

    for name in models:
        if not name.startswith(SERVER):
            find(name)


def parse_pairs(option: str, given: list[str]) -> list[tuple[str, str]]:
    """Split each ``NAME=VALUE`` of an option."""
    pairs = [item.partition("=") for item in given]
    for (name, equals, value), item in zip(pairs, given, strict=True):
        if not (name and equals and value):
            raise ThinkgraphError(f"{option} {item}: write NAME=VALUE")
        as_text(f"{option} {name}", value)
    return [(name, value) for name, _, value in pairs]


def read_prompts(given: list[str] | None) -> dict[str, Prompt]:
    """Read the prompts that replace built-in ones."""
    from thinkgraph.nodes.prompts.prompt import read_prompt

    return {name: read_prompt(file) for name, file in parse_pairs("--prompt", given or [])}


def bind_params(strategy: Graph, given: list[str]) -> dict[str, str]:
    """Parse and check the params and inputs on the command line, before a model is loaded."""
    from thinkgraph.graphs.checker.given import check_inputs

    settings = dict(parse_pairs("--param", given))
    strategy.bind({n: v for n, v in settings.items() if n not in strategy.spec.inputs})
    check_inputs(strategy.spec, settings)
    return settings


def load_model(
    name: str | None, engine: list[str], template: list[str] | None = None
) -> Model | str | None:
    """Load a model, so that an invalid name fails early; None if no option is given."""
    if name is None and not engine and not template:
        return None
    from thinkgraph.graphs.runtime.models import default_model
    from thinkgraph.models.catalogue import load

    return load(name or default_model(), **model_settings(engine, template))


def model_settings(engine: list[str] | None, template: list[str] | None) -> dict[str, Any]:
    """The arguments of `load`: engine settings, and variables of the chat template if any."""
    variables = {n: _json(v) for n, v in parse_pairs("--template", template or [])}
    settings: dict[str, Any] = dict(parse_pairs("--engine", engine or []))
    return {**settings, "template": variables} if variables else settings


def _json(text: str) -> Any:
    """Parse a value as JSON; return the text if it isn't."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def tuned_line(name: str | None, engine: list[str]) -> str | None:
    """A line on how a model's run uses its tuned settings; None if the model isn't tuned."""
    from thinkgraph.graphs.runtime.models import default_model
    from thinkgraph.models.catalogue import SERVER, engine_settings, find
    from thinkgraph.models.tuning.findings import finding, in_use

    chosen = name or default_model()
    if chosen.startswith(SERVER):
        return None
    try:
        path = find(chosen).path
        settings = engine_settings(dict(parse_pairs("--engine", engine)))
    except ThinkgraphError:
        return None  # reported when the model is opened
    if not (found := finding(path)):
        return None
    used = in_use(path, settings)
    if used is None or (found.settings and used.is_nothing(path)):
        told = "not as tuned, for --engine sets it otherwise"
    else:
        told = f"as tuned: {used.tell(path)}"
    return f"{chosen} {told}; undo: thinkgraph tune --undo {chosen}"


def read_question(question: str) -> str:
    """Return the question; for ``-``, read it from standard input.

    Raises:
        ThinkgraphError: the input is neither UTF-8 nor UTF-16 with a byte order mark.
    """
    if question != "-":
        return as_text("the question", question)
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:  # a replacement of sys.stdin without bytes
        return sys.stdin.read()
    data: bytes = stream.read()
    encoding = "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ThinkgraphError(
            f"the question on standard input is not UTF-8, at byte {error.start + 1}; "
            "convert it, for example with `iconv -f ENCODING -t utf-8`"
        ) from None


def as_text(what: str, value: str) -> str:
    """Return a value of the command line if it is valid text.

    Raises:
        ThinkgraphError: its bytes weren't valid, so that Python decoded them as surrogates.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ThinkgraphError(f"{what} isn't valid UTF-8: {ascii(value)[:80]}") from None
    return value


def command_line(*, seed: int, question: str | None = None) -> str:
    """The command line that reproduces this run.

    Args:
        seed: the seed, added unless it was given.
        question: the question from standard input, which replaces ``-``.
    """
    words = ["thinkgraph", *sys.argv[1:]]
    last = []
    if question is not None and "-" in words:
        if question.startswith("-"):  # it would be read as an option
            words.remove("-")
            last = ["--", question]
        else:
            words[words.index("-")] = question
    if not any(word == "--seed" or word.startswith("--seed=") for word in words):
        words += ["--seed", str(seed)]
    words += last
    return shlex.join(words)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file, in UTF-8 if the content is text.

    Raises:
        ThinkgraphError: the file can't be written.
    """
    try:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise ThinkgraphError(f"{path} can't be written: {error.strerror or error}") from None


def check_writable(path: Path) -> None:
    """Check that an output file can be written, before the work that produces it.

    Raises:
        ThinkgraphError: the path is a folder, or its folder doesn't exist or isn't writable.
    """
    folder = path.absolute().parent
    if path.is_dir():
        raise ThinkgraphError(f"{path} can't be written: it is a folder")
    if not folder.is_dir():
        raise ThinkgraphError(f"{path} can't be written: there is no folder {folder}")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise ThinkgraphError(f"{path} can't be written: permission denied")
