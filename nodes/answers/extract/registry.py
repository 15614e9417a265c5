"""The extractors by name, and their short forms.

An extractor is data, in YAML as in Python: `number`, `{regex: '(\\d+) euros'}`,
`{json: result.value}`, `{choice: ABCD}`, or a list of these, tried in order. The time of every
extractor is linear in the text, or it looks only at the end of the text, so that no text can stall
it. A text without an answer gives None: the candidate abstains.
"""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)

from thinkgraph.nodes.answers.extract.auto import Auto
from thinkgraph.nodes.answers.extract.boxed import Boxed
from thinkgraph.nodes.answers.extract.choice import Choice
from thinkgraph.nodes.answers.extract.extractor import Extractor
from thinkgraph.nodes.answers.extract.final import Final
from thinkgraph.nodes.answers.extract.json import Json
from thinkgraph.nodes.answers.extract.label import OneOf, YesNo
from thinkgraph.nodes.answers.extract.number import LastNumber
from thinkgraph.nodes.answers.extract.regex import Regex


class Text(Extractor):
    """The whole text."""

    name = "text"
    about = "the whole text, stripped"

    def find(self, text: str) -> str | None:
        """Return the text."""
        return text


class Chain(Extractor):
    """Several extractors, tried in order."""

    name = "chain"
    about = "a list of extractors: the first that finds something"

    of: tuple[Extractor, ...] = Field(min_length=1)

    def find(self, text: str) -> str | None:
        """Return the answer of the first extractor that finds one."""
        found = (each.find(text) for each in self.of)
        return next((answer for answer in found if answer and answer.strip()), None)

    def short(self) -> Any:
        """Return the list of the members' short forms."""
        return [each.short() for each in self.of]


EXTRACTORS: dict[str, type[Extractor]] = {
    each.name: each
    for each in (Auto, Boxed, Final, LastNumber, Choice, YesNo, OneOf, Regex, Json, Text)
}
"""The extractors by their names in specs."""


def parse_extractor(value: Any) -> Extractor:
    """Make an extractor from its short form.

    Args:
        value: a name (`"number"`), a name with its setting (`{"regex": "(\\\\d+) euros"}`), a list
            of these to be tried in order, or an extractor, which is returned as it is.

    Raises:
        ValueError: there is no such extractor (the message names the nearest), or the setting is
            invalid.
    """
    match value:
        case Extractor():
            return value
        case str():
            return _made(value, None)
        case {**pairs} if len(pairs) == 1:
            return _made(*next(iter(pairs.items())))
        case [_, *_]:
            return Chain(of=tuple(parse_extractor(each) for each in value))
    raise ValueError(
        f"an extractor is a name ({', '.join(EXTRACTORS)}), a name with its setting, such as "
        f"{{regex: PATTERN}}, or a list of these, not {value!r}"
    )


def _made(name: object, setting: Any) -> Extractor:
    kind = EXTRACTORS.get(str(name))
    if kind is None:
        near = get_close_matches(str(name), EXTRACTORS, 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(EXTRACTORS)}"
        raise ValueError(f"no extractor is named {name!r}; {hint}")
    if setting is not None and kind.setting is None:
        raise ValueError(f"the extractor {name} has no setting, and was given {setting!r}")
    needed = kind.setting and kind.model_fields[kind.setting].is_required()
    if setting is None and needed:
        raise ValueError(f"the extractor {name} needs its {kind.setting}: {{{name}: …}}")
    try:
        return kind() if setting is None else kind(**{str(kind.setting): setting})
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(said if said.startswith(str(name)) else f"{name}: {said}") from None


def _schema() -> dict[str, Any]:
    names = [kind.name for kind in EXTRACTORS.values()]
    settable = {
        kind.name: kind.model_json_schema()["properties"][kind.setting]
        for kind in EXTRACTORS.values()
        if kind.setting
    }
    one = [
        {"enum": names},
        {
            "type": "object",
            "properties": settable,
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        },
    ]
    many = {"type": "array", "items": {"anyOf": one}, "minItems": 1}
    return {
        "description": "how to find the answer: a name, a name with its setting, or a list",
        "anyOf": [*one, many],
    }


_to_short: Callable[[Extractor], Any] = lambda extractor: extractor.short()  # noqa: E731

Extract = Annotated[
    Extractor,
    BeforeValidator(parse_extractor),
    PlainSerializer(_to_short),
    WithJsonSchema(_schema()),
]
"""A pydantic field that holds an extractor: reads the short forms and writes them back."""


def extract(text: str, how: Any = "auto") -> str | None:
    """Find the answer in a text.

    Args:
        text: what a model wrote; think blocks are skipped.
        how: an extractor or its short form; see `parse_extractor`.

    Returns:
        The answer as it is written there; None when there is none: the candidate abstains.

    Raises:
        ValueError: `how` is not an extractor.
    """
    return parse_extractor(how)(text)
