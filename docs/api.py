"""Write the reference of the Python API from its docstrings.

python docs/api.py docs/api.md
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin, is_typeddict

from pydantic import BaseModel

import thinkgraph
import thinkgraph.train
from thinkgraph import Node

TRAINING = "Training"
GROUPS = {
    "Graphs": ["Graph", "NodeSpec", "load", "use", "param", "START", "END"],
    "What a graph declares": ["Param", "Input", "StateField", "Limits", "Prompt", "Thinking"],
    "Node kinds": [
        *(
            "Act",
            "Ask",
            "Calculate",
            "Choose",
            "Critique",
            "Expand",
            "Generate",
            "Review",
            "Revise",
        ),
        *("Score", "Search", "Select", "Synthesize", "Vote"),
    ],
    "Results": ["Result", "Answer", "CallRecord", "Tally", "AnswerClass", "RunUsage", "Usage"],
    "Events of a run": [
        *(
            "NodeEvent",
            "NodeStarted",
            "TextDelta",
            "CandidateUpdated",
            "CritiqueAdded",
            "AnswerReached",
            "ToolCalled",
            "Finished",
        ),
    ],
    "Writing a node kind": [
        *("Node", "node_kind", "register", "State", "Candidate", "Criticism", "Update", "Step"),
        *("Sampling", "Tagged", "Completion", "Confidence", "TokenLogprob", "extract", "equal"),
        *("Cost", "PopulationBounds", "RequestBounds", "ToolFactory", "mcp_tools"),
    ],
    "Models": [
        *(
            "load_model",
            "EngineSettings",
            "ChatGGUF",
            "Model",
            "ModelRequest",
            "Message",
            "Generation",
            "Delta",
        ),
        *("Budget", "Context"),
    ],
    "Fitted params": ["for_model", "read_fitted", "Fitted"],
    TRAINING: [
        *("fine_tune", "read_conversations", "divide", "Conversation", "TrainSettings", "Report"),
        *("distill", "Plan", "Selection", "Distilled", "reinforce"),
        *("to_gguf", "from_gguf", "merge", "TrainError"),
    ],
    "Specs and errors": [
        *("Spec", "Output"),
        *("ThinkgraphError", "SpecError", "ModelError", "OutputMismatch", "Interrupted"),
    ],
}
"""Every public name, in the order in which the page describes them."""

INTRO = """\
<!-- Made from the code by `python docs/api.py docs/api.md`; edit the docstrings instead. -->

# The Python API

`from thinkgraph import NAME` gives each name of this page, except those of
[training](#training). Nothing else is promised: the modules that these names come from, and
whatever isn't listed here, may change in any version.
"""
SECTIONS = re.compile(r"^(Args|Attributes|Returns|Raises|Yields):$", re.MULTILINE)
TABLE = "| field | type | default | what it is |\n| --- | --- | --- | --- |"


def page() -> str:
    """The whole page, as Markdown."""
    parts, anchors = [INTRO], anchored()
    for title, names in GROUPS.items():
        links = ", ".join(f"[`{name}`](#{anchors[name]})" for name in names)
        module = thinkgraph.train if title == TRAINING else thinkgraph
        where = f"`from {module.__name__} import NAME`; see [training.md](training.md).\n"
        parts += [f"## {title}\n", *([where] if title == TRAINING else []), f"{links}\n"]
        parts += [described(name, getattr(module, name)) for name in names]
    return "\n".join(parts)


def anchored() -> dict[str, str]:
    """The anchor of each name's heading: of names that differ in case, the second is numbered."""
    anchors: dict[str, str] = {}
    for name in (name for names in GROUPS.values() for name in names):
        again = sum(other.lower() == name.lower() for other in anchors)
        anchors[name] = f"{name.lower()}-{again}" if again else name.lower()
    return anchors


def described(name: str, thing: Any) -> str:
    """One name: its signature, what it is, its fields and its members."""
    head = f"### {name}\n"
    if isinstance(thing, str):
        return f"{head}\nThe name `{thing}` in an edge: `graph.edge(START, draft, END)`.\n"
    if name == "NodeEvent":
        kinds = ", ".join(f"`{each.__name__}`" for each in get_args(get_args(thing)[0]))
        return f"{head}\nAny event of a node: one of {kinds}.\n"
    if not inspect.isclass(thing):
        return "\n".join([head, signed(name, thing), f"{prose(thing)}\n"])
    parts = [head, f"{prose(thing)}\n"]
    if issubclass(thing, Node) and thing is not Node:
        return "\n".join([*parts, f"Settings: [{thing.kind}](language.md#{thing.kind}).\n"])
    if rows := list(fields(thing)):
        parts.append("\n".join([TABLE, *rows, ""]))
    elif "__init__" in vars(thing) and not getattr(thing, "_is_protocol", False):
        parts.insert(1, signed(name, thing))
    return "\n".join([*parts, *members(thing)])


def signed(name: str, thing: Any) -> str:
    """How something is called, as a block of code."""
    found = inspect.signature(thing)
    shown: list[str] = []
    for each in found.parameters.values():
        if each.name in ("self", "cls"):
            continue
        if each.kind is each.KEYWORD_ONLY and not any(one.startswith("*") for one in shown):
            shown.append("*")
        stars = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        default = "" if each.default is each.empty else f" = {shown_default(each.default)}"
        shown.append(f"{stars}{each.name}: {typed(each.annotation)}{default}")
    returns = found.return_annotation
    ending = f") -> {typed(returns)}" if returns not in (found.empty, "None", None) else ")"
    line = f"{name}({', '.join(shown)}{ending}"
    if len(line) > 100:
        line = f"{name}(\n    " + ",\n    ".join(shown) + f",\n{ending}"
    prefix = "async " if inspect.iscoroutinefunction(thing) else ""
    return f"```python\n{prefix}{line}\n```\n"


def plain(text: str) -> str:
    """Markdown for the marks of a docstring."""
    text = re.sub(r":\w+:`~?([^`]*)`", lambda found: f"`{found[1].rpartition('.')[2]}`", text)
    return text.replace("``", "`")


def prose(thing: Any) -> str:
    """A docstring as Markdown; its sections become lists."""
    text = plain(inspect.getdoc(thing) or "")
    head, *sections = SECTIONS.split(text)
    parts = [flowing(head)]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        lines = inspect.cleandoc(body)
        entries = re.split(r"\n(?=\S)", lines)
        if title in ("Args", "Attributes", "Raises"):
            shown = [re.sub(r"^([\w.* ]+):", r"`\1`:", " ".join(e.split())) for e in entries]
            parts.append(f"{title}:\n\n" + "\n".join(f"- {each}" for each in shown))
        else:
            parts.append(f"{title}: {' '.join(lines.split())}")
    return "\n\n".join(part for part in parts if part)


def flowing(text: str) -> str:
    """Paragraphs without their line breaks; indented ones are code."""
    parts = []
    for each in text.strip().split("\n\n"):
        if each.startswith("    "):
            parts.append(f"```python\n{inspect.cleandoc(each)}\n```")
        else:
            parts.append(re.sub(r"::$", ":", " ".join(each.split())))
    return "\n\n".join(parts)


def fields(model: type) -> Iterator[str]:
    """The rows of a table of the fields of a model, or the keys of a dictionary."""
    documented = attribute_docs(model)
    if is_typeddict(model):
        rows = [(name, each, "", "") for name, each in model.__annotations__.items()]
    elif issubclass(model, BaseModel):
        theirs = {name for base in model.__mro__ for name in foreign(base)}
        rows = [
            (
                name,
                field.annotation,
                "required"
                if field.is_required()
                else f"`{shown_default(field.get_default(call_default_factory=True))}`",
                field.description or documented.get(name, ""),
            )
            for name, field in model.model_fields.items()
            if name not in theirs and name != "event"
        ]
    else:
        rows = []
    for name, annotation, default, about in rows:
        cells = [f"`{name}`", f"`{typed(annotation)}`", default, plain(about)]
        cells = [" ".join(cell.split()).replace("|", r"\|") for cell in cells]
        yield f"| {' | '.join(cells)} |"


def foreign(base: type) -> Iterable[str]:
    """The fields that a class of another package declares."""
    ours = base.__module__.startswith("thinkgraph")
    return () if ours else getattr(base, "__annotations__", {})


def shown_default(value: Any) -> str:
    """A default; a model is shown by its class alone."""
    if inspect.isfunction(value):
        return "…"
    return f"{type(value).__name__}()" if isinstance(value, BaseModel) else repr(value)


def typed(annotation: Any) -> str:
    """A type as one writes it, without what pydantic is told beside it."""
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, ForwardRef):
        return annotation.__forward_arg__
    if get_origin(annotation) is Annotated:
        return typed(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(map(typed, get_args(annotation)))
    if get_origin(annotation) is Literal or not get_args(annotation):
        text = inspect.formatannotation(annotation)
        return re.sub(r"\b(?:\w+\.)+(?=\w)", "", text).replace("NoneType", "None")
    inner = [typed(each) if not isinstance(each, list) else "[…]" for each in get_args(annotation)]
    outer = getattr(get_origin(annotation), "__name__", str(annotation))
    return f"{outer}[{', '.join('...' if each == 'Ellipsis' else each for each in inner)}]"


def attribute_docs(model: type) -> dict[str, str]:
    """The docstrings that stand below the fields of a class."""
    source = inspect.getsource(model)
    return dict(re.findall(r'^    (\w+):[^\n]*\n    """(.*?)"""', source, re.MULTILINE | re.DOTALL))


def members(thing: type) -> list[str]:
    """Its own public properties, and its methods."""
    properties, methods = [], []
    for name, member in vars(thing).items():
        raw = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if name.startswith("_") or not inspect.getdoc(raw):
            continue
        if isinstance(raw, property):
            properties.append(f"- `{name}`: {prose(raw).split(chr(10))[0]}")
        elif inspect.isfunction(raw):
            methods.append(f"#### {thing.__name__}.{name}\n\n{signed(name, raw)}\n{prose(raw)}\n")
    return [*(["Properties:\n", *properties, ""] if properties else []), *methods]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
