"""The reference documentation of the language and of the error codes, generated from the code.

``python -m thinkgraph.graphs.language.reference`` writes ``docs/language.md`` and
``docs/errors.md``.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from thinkgraph.graphs.catalogue import find
from thinkgraph.graphs.language.condition import VARIABLES
from thinkgraph.graphs.language.document import MAX_BYTES, MAX_DEPTH
from thinkgraph.graphs.language.json_schema import schema
from thinkgraph.graphs.language.rules import RULES
from thinkgraph.graphs.language.spec import (
    CHANNELS,
    RUN_SETTINGS,
    Edge,
    Input,
    Limits,
    NodeSpec,
    Output,
    Param,
    Spec,
    StateField,
    Use,
)
from thinkgraph.models.model import Sampling
from thinkgraph.nodes.answers import EXTRACTORS
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.base.param import PATTERN
from thinkgraph.nodes.prompts.prompt import Prompt, load_prompt, prompt_names
from thinkgraph.nodes.registry import built_in_kinds

COMMAND = "python -m thinkgraph.graphs.language.reference"
NOTE = f"<!-- Made from the code by `{COMMAND}`; edit the code instead. -->\n"

Schema = dict[str, Any]

_GLOSSARY = """\
- **param**: a value of a spec that a run can set (`-p rounds=3`); `$rounds` stands for it in the
  spec.
- **candidate**: a text of the model with the answer that was found in it.
- **population**: the candidates of a run with their critiques and scores, on which the nodes work.
- **live**, **retired**: a candidate is live until a node drops it. Retired candidates don't vote
  and are not passed to the next node, but are reported and counted.
- **round**: one execution of a node, counted from 0; a node in a loop has several. `draft.1.0` is
  the first candidate of round 1 of the node `draft`.
- **wave**: the samples that a node takes before it checks again whether to stop.
- Of other pages: the **gate** is the test on held-out questions that an adapter has to pass
  ([training.md](training.md)); the **front** has the strategies for which no other one is at
  least as accurate for fewer tokens ([results.md](results.md)).
"""

_USE = """\
A list of questions, each answered by another strategy, and all their answers in a list:

```yaml
state:
  parts: {type: list, default: []}
  found: {type: list, reducer: append, default: []}
nodes:
  split: {kind: ask, prompt: sub-questions, into: parts, lines: true}
  solve: {use: {graph: self-consistency, inputs: {question: item}, into: {found: text}}}
  reply: {kind: generate, prompt: {user: "{{ question }} {{ found | join(' ') }}"}}
edges:
  - START -> split
  - split -> solve: {each: parts}
  - split -> reply
  - solve -> reply -> END
```
"""


def language() -> str:
    """The reference of the language, as Markdown."""
    parts = [
        NOTE,
        "# The graph language, version 1\n",
        _intro(),
        _GLOSSARY,
        f"```yaml\n{find('self-refine').read_text('utf-8')}```\n",
        _section("A spec", Spec),
        _section("Params", Param),
        "In any setting, `$name` stands for the value of the param `name`. "
        f"Reserved names (other arguments of a run): {_listed(RUN_SETTINGS - {'self'})}.\n",
        _section("Inputs", Input),
        _section("State", StateField),
        f"Built-in channels, which every graph has beside these fields: {_listed(CHANNELS)}.\n",
        _section("Nodes", NodeSpec),
        "Beside `kind`, a node has the settings of its kind; see [below](#node-kinds).\n",
        _section("Use", Use),
        _USE,
        _section("Edges", Edge),
        _section("Budgets", Limits),
        _section("Output", Output),
        _conditions(),
        _prompts(),
        _extractors(),
        "## Node kinds\n",
        *(_kind(kind) for kind in built_in_kinds().values()),
        _section("Sampling", Sampling, "Every kind that samples from a model has these settings."),
    ]
    return "\n".join(parts)


def errors() -> str:
    """The error codes of the checker, each with an example and its fix, as Markdown."""
    parts = [
        NOTE,
        "# Error codes of the checker\n",
        inspect.cleandoc(
            """
            `thinkgraph check FILE…` reports every problem at once, with its line and column. The
            exit status is 0 without problems, 2 with errors, and 1 with warnings under `--strict`.
            The examples show only the relevant sections of a spec.
            """
        )
        + "\n",
    ]
    for code, rule in RULES.items():
        warning = " (a warning)" if rule.severity == "warning" else ""
        parts.append(f"## {code}: {rule.title}{warning}\n\n{rule.why}\n")
        if rule.bad:
            parts.append(f"```yaml\n{rule.bad}```\n\nFix:\n\n```yaml\n{rule.good}```\n")
    return "\n".join(parts)


def _intro() -> str:
    return (
        inspect.cleandoc(
            f"""
        A graph is a file in YAML 1.2 or JSON, of at most {MAX_BYTES // 1024} KiB and {MAX_DEPTH}
        levels. It is data and runs no code: conditions are CEL, prompts are rendered in a
        sandbox, and no field names Python code. Tags, anchors, aliases and duplicate keys are
        errors. `thinkgraph check` reports the errors of a file, `thinkgraph schema` prints the
        JSON Schema, and [errors.md](errors.md) explains every error code.
        """
        )
        + "\n"
    )


def _section(title: str, model: type[BaseModel], words: str = "") -> str:
    words = words or _doc(model)
    table = _fields(model.model_fields, model.model_json_schema(by_alias=False))
    return f"## {title}\n\n{words}\n\n{table}"


def _doc(thing: object) -> str:
    text = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", inspect.getdoc(thing) or "").replace("``", "`")
    paragraphs = text.split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _fields(fields: Mapping[str, FieldInfo], schema: Schema) -> str:
    rows = []
    for name, field in fields.items():
        found = schema["properties"][name]
        default = "required" if field.is_required() else _default(field)
        rows.append((f"`{name}`", _type(found, schema), default, field.description or ""))
    return _table(("field", "type", "default", "what it is"), rows)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    short = getattr(value, "short", None)
    value = value.field if isinstance(value, Output) else value
    if value is None or value in ("", (), {}):
        return ""
    return f"`{json.dumps(short() if short else value, ensure_ascii=False)}`"


def _type(found: Schema, schema: Schema) -> str:
    """A JSON Schema in a few words."""
    if "$ref" in found:
        name = found["$ref"].rpartition("/")[2]
        return _type({"type": "object"} | schema["$defs"][name], schema)
    if "const" in found:
        return f"`{json.dumps(found['const'])}`"
    if "enum" in found:
        listed = {"prompt": prompt_names(), "extractor": EXTRACTORS}
        for name, names in listed.items():
            if found["enum"] == list(names):
                return f"[{name}](#{name}s)"
        return " or ".join(f"`{each}`" for each in found["enum"])
    if "anyOf" in found:
        parts = [_type(each, schema) for each in found["anyOf"] if not _is_unsaid(each)]
        return " or ".join(dict.fromkeys(part for part in parts if part))
    return _scalar(found, schema)


def _is_unsaid(found: Schema) -> bool:
    return found.get("type") == "null" or found.get("pattern") == PATTERN


def _scalar(found: Schema, schema: Schema) -> str:
    kind = found.get("type")
    if kind == "array":
        return f"list of {_type(found.get('items', {}), schema) or 'anything'}"
    words = {
        "integer": "integer",
        "number": "number",
        "string": "string",
        "boolean": "boolean",
        "object": "mapping",
    }
    bounds = {
        "minimum": "≥ {}",
        "exclusiveMinimum": "> {}",
        "maximum": "≤ {}",
        "exclusiveMaximum": "< {}",
    }
    limits = [form.format(f"{found[key]:g}") for key, form in bounds.items() if key in found]
    return ", ".join([words.get(str(kind), "anything"), *limits])


def _conditions() -> str:
    rows = [(f"`{name}`", each.type, each.about) for name, each in VARIABLES.items()]
    rows.insert(0, ("`round`", "integer", "index of this run of the node, from 0"))
    words = inspect.cleandoc(
        """
        ## Conditions

        A condition is an expression of [CEL](https://cel.dev), the Common Expression Language:
        `not accepted and agreement < 0.8`. `not`, `and` and `or` stand for CEL's `!`, `&&` and
        `||`; `not` applies to a whole comparison, as in Python. It is typed: CEL doesn't compare
        int with double (write `1.0`). It may name the params, inputs and state of the spec, and:
        """
    )
    return f"{words}\n\n{_table(('name', 'type', 'what it is'), rows)}"


def _prompts() -> str:
    rows = []
    for name in prompt_names():
        prompt = load_prompt(name)
        rows.append((f"`{name}`", _listed(prompt.variables), prompt.about))
    words = inspect.cleandoc(
        """
        ## Prompts

        A prompt setting takes the name of a built-in prompt, or a mapping with the fields below.
        Prompts are Jinja templates. Their variables are `question`, `round`, the params, inputs
        and state of the spec, and the variables of the node's kind.
        """
    )
    fields = _fields(Prompt.model_fields, Prompt.model_json_schema())
    return "\n".join([f"{words}\n", fields, _table(("prompt", "variables", "description"), rows)])


def _extractors() -> str:
    rows = [(f"`{name}`", each.about) for name, each in EXTRACTORS.items()]
    words = (
        "## Extractors\n\nAn extractor finds the answer in a completion. It is a name, a name "
        "with its setting such as `{regex: PATTERN}`, or a list of these, tried in order.\n"
    )
    return f"{words}\n{_table(('extractor', 'what it finds'), rows)}"


def _kind(kind: type[Node]) -> str:
    sampled = issubclass(kind, Sampling)
    shared = Sampling.model_fields if sampled else {}
    own = {name: field for name, field in kind.model_fields.items() if name not in shared}
    facts = [f"Reads {_listed(kind.input_channels)}"]
    if kind.output_channels:
        facts.append(f"writes {_listed(kind.output_channels)}")
    if kind.variables:
        facts.append(f"variables of its prompts: {_listed(kind.variables)}")
    parts = [f"### {kind.kind}\n", f"{kind.about}\n", f"{_doc(kind)}\n", f"{'; '.join(facts)}.\n"]
    if own:
        parts.append(_fields(own, kind.model_json_schema()))
    if sampled:
        parts.append("It also has all settings of [sampling](#sampling).\n")
    return "\n".join(parts)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def json_schema() -> str:
    """The JSON Schema of the language, as text."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def write(folder: Path) -> None:
    """Write ``language.md``, ``errors.md`` and the JSON Schema into a folder."""
    (folder / "thinkgraph.schema.json").write_text(json_schema(), encoding="utf-8")
    (folder / "language.md").write_text(language(), encoding="utf-8")
    (folder / "errors.md").write_text(errors(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
