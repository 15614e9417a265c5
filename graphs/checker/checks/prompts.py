"""Prompts: undefined variables in templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from thinkgraph.graphs.checker.context import CheckContext
from thinkgraph.graphs.language.document import DataPath
from thinkgraph.graphs.language.problem import Location, suggestion
from thinkgraph.graphs.language.spec import ITEM
from thinkgraph.nodes.base.param import is_reference
from thinkgraph.nodes.prompts.prompt import Prompt, load_prompt, prompt_names, prompts_in


def variables(context: CheckContext) -> None:
    """Every variable of a template is supplied by the kind, the spec or the run."""
    for name, node in context.kinds.items():
        item = {ITEM} if name in context.fanned else set()
        known = frozenset(node.variables | context.fields | {"question", "round"} | item)
        for setting, prompt in prompts_in(node):
            path = ("nodes", name, setting)
            for label, found in resolved_prompts(context, prompt):
                missing = sorted(found.variables - known)
                if label and missing:
                    names = ", ".join(f"`{variable}`" for variable in missing)
                    message = (
                        f"the prompt `{label}` needs {names}, which {node.kind} doesn't provide"
                    )
                    location = path if context.source.at(path) is not None else path[:2]
                    context.report("TG209", location, message, _other_prompts(known))
                    continue
                for variable in missing:
                    _undefined(context, path, variable, known)


TEXTS = frozenset({"question", "candidate", "answer", "critique", "item", "first", "second"})
"""The variables that node kinds supply as texts; `peers` is a list of texts."""


def types(context: CheckContext) -> None:
    """No template reads a text as if it were an object."""
    for name, node in context.kinds.items():
        texts = TEXTS & (node.variables | {"question"})
        for setting, prompt in prompts_in(node):
            path = ("nodes", name, setting)
            for _, found in resolved_prompts(context, prompt):
                for variable, part in sorted(found.members):
                    kind = str if variable in texts else list if variable == "peers" else None
                    if kind is None or hasattr(kind, part):
                        continue
                    what = "a text" if kind is str else "a list of texts"
                    message = f"`{variable}` is {what} and has no `{part}`"
                    hint = f"write `{{{{ {variable} }}}}`" if kind is str else "go through it"
                    location = _within(context, path, variable)
                    context.report_at("TG214", path, location, message, hint)


def _undefined(context: CheckContext, path: DataPath, variable: str, known: frozenset[str]) -> None:
    location = _within(context, path, variable)
    message = f"unknown template variable `{variable}`"
    context.report_at("TG209", path, location, message, suggestion(variable, known))


def _other_prompts(known: frozenset[str]) -> str:
    """A hint with the built-in prompts whose variables are all known."""
    fit = [name for name in prompt_names() if load_prompt(name).variables <= known]
    return f"valid here: {', '.join(fit)}" if fit else ""


def _within(context: CheckContext, path: DataPath, variable: str) -> Location:
    """The location of a variable in the templates of an inline prompt."""
    for field in ("user", "system"):
        text = context.source.at((*path, field))
        for number, line in enumerate(str(text or "").split("\n"), 1):
            tags = re.finditer(r"\{[{%].*?[%}]\}|\{[{%].*", line)
            for tag in tags:
                match = re.search(rf"(?<![\w.]){re.escape(variable)}\b", tag[0])
                if match:
                    column = tag.start() + match.start() + 1
                    return context.source.locate_within(
                        (*path, field), number, column, len(variable)
                    )
    return context.source.locate(path)


def resolved_prompts(context: CheckContext, prompt: Any) -> Iterator[tuple[str, Prompt]]:
    """The prompts that a setting may have, each with its name if it is a built-in one."""
    if isinstance(prompt, Prompt):
        yield "", prompt
    elif is_reference(prompt):
        param = context.params.get(prompt[1:])
        names = dict.fromkeys((param.default, *param.choices, *param.fit)) if param else {}
        for name in names:
            if name in prompt_names():
                yield str(name), load_prompt(str(name))
    elif prompt in prompt_names():
        yield prompt, load_prompt(prompt)
