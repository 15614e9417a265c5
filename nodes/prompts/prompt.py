"""Prompts: named files under ``prompts/``, rendered in Jinja's immutable sandbox.

Only a prompt's own text is a template. The question, the candidates and everything else that a
user or a model wrote are values of its variables, and are never rendered as templates.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, get_args

import jinja2
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.formats.sandbox import Sandbox
from thinkgraph.models.model import Frozen, Message
from thinkgraph.nodes.sharing import setting, shared_files

_logger = logging.getLogger(__name__)
_ENVIRONMENT = Sandbox()
_ENVIRONMENT.undefined = StrictUndefined


class PromptError(ThinkgraphError):
    """A prompt is unknown, isn't a template, or lacks a variable."""


@lru_cache(maxsize=1024)
def _compiled(source: str) -> tuple[jinja2.Template, frozenset[str]]:
    """Compile a template; return it with the names of the variables that it needs."""
    tree = _ENVIRONMENT.parse(source)
    names = meta.find_undeclared_variables(tree)
    return _ENVIRONMENT.from_string(tree), frozenset(names)


@lru_cache(maxsize=1024)
def _members(source: str) -> frozenset[tuple[str, str]]:
    tree = _ENVIRONMENT.parse(source)
    own = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}  # loops, sets
    found = set()
    read = [
        *((part.node, part.attr) for part in tree.find_all(nodes.Getattr)),
        *((part.node, _constant(part.arg)) for part in tree.find_all(nodes.Getitem)),
    ]
    for node, name in read:
        if isinstance(node, nodes.Name) and node.name not in own and name:
            found.add((node.name, name))
    return frozenset(found)


def _constant(node: nodes.Node) -> str:
    return node.value if isinstance(node, nodes.Const) and isinstance(node.value, str) else ""


def _template(source: str) -> str:
    try:
        _compiled(source)
    except (TemplateError, SyntaxError, RecursionError, ValueError) as error:
        line, said = 1, str(error)
        if isinstance(error, TemplateSyntaxError):
            line, said = error.lineno, error.message or said
        raise PydanticCustomError(
            "template", "not a Jinja template: {said}", {"said": said, "line": line}
        ) from None
    return source


Template = Annotated[str, AfterValidator(_template)]


class Example(Frozen):
    """One few-shot example: a user message and the wanted answer."""

    user: str
    assistant: str


class Prompt(Frozen):
    """The prompt of a node: a system message, few-shot examples, and a user message."""

    about: str = ""
    system: Template | None = Field(
        None,
        description="Jinja template of the system message; null: the default of the chat template",
    )
    examples: tuple[Example, ...] = Field(
        (), description="few-shot examples, shown as turns before the user message"
    )
    user: Template = Field(
        description="Jinja template of the user message, with `question` and the node's variables"
    )

    @property
    def variables(self) -> frozenset[str]:
        """The names of the variables that the templates need."""
        sources = [self.user, self.system or ""]
        return frozenset().union(*(_compiled(source)[1] for source in sources))

    @property
    def members(self) -> frozenset[tuple[str, str]]:
        """The members of variables that the templates read: `a.b` or `a["b"]` is (a, b)."""
        sources = [self.user, self.system or ""]
        return frozenset().union(*(_members(source) for source in sources))

    def render(
        self, variables: Mapping[str, Any], history: Iterable[Message] = ()
    ) -> list[Message]:
        """Render the messages, with a conversation's history before the user message.

        A system message of the history is kept, before that of this prompt.

        Raises:
            PromptError: a variable is missing, or the template does what the sandbox forbids.
        """
        history = list(history)
        system = [turn.content for turn in history if turn.role == "system"]
        if self.system is not None:
            system.append(_render(self.system, variables))
        messages = [Message(role="system", content="\n\n".join(system))] if system else []
        for example in self.examples:
            messages.append(Message(role="user", content=example.user))
            messages.append(Message(role="assistant", content=example.assistant))
        messages.extend(turn for turn in history if turn.role != "system")
        asked = _render(self.user, variables)
        if messages and messages[-1].role == "user":  # many chat templates refuse two in a row
            asked = f"{messages.pop().content}\n\n{asked}"
        messages.append(Message(role="user", content=asked))
        return messages


def _render(source: str, variables: Mapping[str, Any]) -> str:
    try:
        return _ENVIRONMENT.render(_compiled(source)[0], variables).strip()
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise PromptError(f"the prompt can't be rendered: {error}") from None


GROUP = "thinkgraph.prompts"
"""The group of entry points under which installed packages offer folders of prompts."""


def prompt_names() -> tuple[str, ...]:
    """The names of all prompts: built-in ones first, then shared ones."""
    return (*builtin_prompts(), *shared_prompts(setting()))


@cache
def shared_prompts(setting: tuple[str, str]) -> dict[str, tuple[Prompt, str]]:
    """The prompts of packages and of ``THINKGRAPH_PATH``, each with its origin.

    An invalid one is skipped with a warning.
    """
    found = {}
    for name, shared in shared_files(GROUP, "prompts", builtin_prompts()).items():
        try:
            found[name] = (read_prompt(shared.file), shared.origin)
        except PromptError as error:
            _logger.warning("%s of %s is skipped", error, shared.origin)
    return found


@cache
def builtin_prompts() -> tuple[str, ...]:
    """The names of the built-in prompts."""
    files = resources.files("thinkgraph.nodes").joinpath("prompts").iterdir()
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))


def load_prompt(name: str) -> Prompt:
    """Load a built-in or shared prompt by its name.

    Raises:
        PromptError: there is no such prompt; the message suggests the nearest name.
    """
    if name in builtin_prompts():
        return _builtin(name)
    if (shared := shared_prompts(setting()).get(name)) is None:
        near = difflib.get_close_matches(name, prompt_names(), n=1)
        hint = (
            f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(prompt_names())}"
        )
        if re.search(r"\s|\{", name):
            hint = "a prompt of your own is a mapping: `prompt: {user: TEXT}`"
        raise PromptError(f"there is no prompt {name!r}; {hint}")
    return shared[0]


@cache
def _builtin(name: str) -> Prompt:
    from ruamel.yaml import YAML  # noqa: PLC0415 (not needed to list the names)

    file = resources.files("thinkgraph.nodes").joinpath("prompts", f"{name}.yaml")
    return Prompt.model_validate(YAML(typ="safe").load(file.read_text("utf-8")))


def read_prompt(path: str | os.PathLike[str] | Traversable) -> Prompt:
    """Read a prompt from a YAML file, in the format of the built-in ones.

    Raises:
        PromptError: the file can't be read, or is not a prompt.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        file = Path(path) if isinstance(path, str | os.PathLike) else path
        return Prompt.model_validate(YAML(typ="safe").load(file.read_text("utf-8")))
    except OSError as error:
        raise PromptError(f"can't read the prompt {str(path)!r}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PromptError(f"the prompt {str(path)!r} isn't UTF-8 text") from None
    except YAMLError as error:
        raise PromptError(f"the prompt {str(path)!r} isn't YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise PromptError(f"the prompt {str(path)!r}: {place}: {first['msg']}") from None


def _known(value: Any) -> Any:
    if isinstance(value, str):
        try:
            load_prompt(value)
        except (PromptError, ValidationError) as error:
            raise PydanticCustomError("prompt", "{said}", {"said": str(error)}) from None
    return value


class _NamesInSchema:
    """Annotation that lists the names of prompts in a JSON Schema, for completion in editors."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        described = handler(schema)
        names = {"enum": list(prompt_names())}
        members = [names if m == {"type": "string"} else m for m in described["anyOf"]]
        return {**described, "anyOf": members}


PromptSetting = Annotated[str | Prompt, BeforeValidator(_known), _NamesInSchema()]
"""A setting that is the name of a prompt, or a prompt that the spec defines."""


def prompts_in(node: BaseModel) -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of each setting of a node that holds a prompt."""
    for name, field in type(node).model_fields.items():
        if _holds_prompt(field.annotation) and getattr(node, name) is not None:
            yield name, getattr(node, name)


def _holds_prompt(annotation: Any) -> bool:
    return annotation is Prompt or any(map(_holds_prompt, get_args(annotation)))
