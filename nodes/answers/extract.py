"""Extractors: named ways to find the answer in a completion.

An extractor is data, in YAML as in Python: `number`, `{regex: '(\\d+) euros'}`,
`{json: result.value}`, `{choice: ABCD}`, or a list of these, tried in order. Every one is linear
in the text or looks only at its end, so that no text can hold it up. A text without an answer
gives None: the candidate abstains.
"""

import json
import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, Any, ClassVar

import re2  # type: ignore[import-untyped]
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    field_validator,
)

WINDOW = 32_000
"""How much of a text's end, in characters, the extractors look at."""


class Extractor(BaseModel, ABC):
    """A way to find the answer in a text; `parse_extractor` makes one from its short form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    """What a spec calls it."""
    about: ClassVar[str]
    """What it finds, in one line."""
    setting: ClassVar[str | None] = None
    """The field that the short form `{name: value}` sets; None where there are no settings."""

    def __call__(self, text: str) -> str | None:
        """Find the answer outside the text's think blocks; None when there is none."""
        found = self.find(without_thinking(text)[-WINDOW:])
        return (found.strip() or None) if found is not None else None

    @abstractmethod
    def find(self, text: str) -> str | None:
        """Find the answer in a text that has no think blocks."""

    def short(self) -> Any:
        """Give the short form that `parse_extractor` reads back."""
        return {self.name: getattr(self, self.setting)} if self.setting else self.name


_THINK_TAG = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)


def without_thinking(text: str) -> str:
    """Cut `<think>…</think>` out of a text; an unclosed block reaches to the end.

    A closing tag without an opening one (a chat template may have written that into the prompt)
    ends a block that began with the text.
    """
    kept: list[str] = []
    depth, start = 0, 0
    for tag in _THINK_TAG.finditer(text):
        if tag[1]:
            kept = kept if depth else []
            depth, start = max(depth - 1, 0), tag.end()
        else:
            if depth == 0:
                kept.append(text[start : tag.start()])
            depth += 1
    return "".join([*kept, "" if depth else text[start:]])


class Boxed(Extractor):
    r"""The last `\boxed{…}` that is closed."""

    name = "boxed"
    about = r"what the last \boxed{…} or \fbox{…} holds, braces balanced"

    def find(self, text: str) -> str | None:
        r"""Find the box that closes last, and in it the innermost; `\boxed 5` counts too."""
        found, found_at = None, -1
        opened: list[int | None] = []
        for token in _BOX_TOKEN.finditer(text):
            if token[0] == "{":
                opened.append(None)
            elif token["open"]:
                opened.append(token.end())
            elif token["bare"]:
                found, found_at = token["bare"].rstrip(".,;"), token.start()
            elif token[0] == "}" and opened:
                start = opened.pop()
                content = text[start : token.start()].strip() if start is not None else ""
                if content and start is not None and found_at < start:
                    found, found_at = content, start
        return found


_BOX_TOKEN = re.compile(
    r"\\{1,2}(?:boxed|fbox)(?![a-zA-Z])\s*(?:(?P<open>\{)|(?P<bare>[^\s${}\\][^\s${}]*))|\\.|[{}]",
    re.DOTALL,
)

_DIGITS = r"(?:\d{1,3}(?:(?:,|\{,\}|,?\\[,!]\s?)\d{3})+(?!\d)|\d+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.\d+)?|\.\d+)"
_NUMBER = re.compile(
    r"(?<![\w.^])(?:(?<![\d)\]}])[-−])?\s?(?:\\?[$€£]\s?)?(?:(?<![\d)\]}])[-−])?"
    rf"(?:\\[dtc]?frac\s?\{{\s*-?{_DECIMAL}\s*\}}\s?\{{\s*{_DECIMAL}\s*\}}|\\[dtc]?frac\s?\d\s?\d"
    rf"|{_DECIMAL}(?:\s?\\[dtc]?frac\s?\{{\d+\}}\s?\{{\d+\}}|[eE][-+]?\d{{1,3}}(?!\w)"
    r"|\s?(?:\\times|\\cdot|×|\*)\s?10\s?\^\s?(?:\{\s?-?\d{1,3}\s?\}|-?\d{1,3})"
    r"|\s\d{1,9}/\d{1,9}|\s?/\s?\d+(?:\.\d+)?)?)(?:\s?\\?%)?"
)


class LastNumber(Extractor):
    """The last number."""

    name = "number"
    about = "the last number: 1,200, -3, $5, 1/2, .5, 50%, 3e5"

    def find(self, text: str) -> str | None:
        """Find the last number, with its sign, currency and percent."""
        found = None
        for match in _NUMBER.finditer(text):
            found = match
        if found is None:
            return None
        answer = found[0].replace("−", "-").strip()
        # In $50\%$ the dollars are not money but the marks of mathematics.
        in_mathematics = text[found.end() : found.end() + 3].lstrip().startswith("$")
        return answer.removeprefix("$").strip() if in_mathematics else answer


class Choice(Extractor):
    """A letter of a multiple choice."""

    name = "choice"
    about = "a letter of a multiple choice: (B), B., answer is B; {choice: ABCD} names the letters"
    setting = "letters"

    letters: str = "ABCDE"
    """The letters allowed, in capitals."""

    @field_validator("letters")
    @classmethod
    def _distinct_capitals(cls, letters: str) -> str:
        letters = letters.strip().upper()
        if not re.fullmatch(r"[A-Z]{2,26}", letters) or len(set(letters)) < len(letters):
            raise ValueError(f"choice: {letters!r} must be two or more different letters, as ABCD")
        return letters

    def find(self, text: str) -> str | None:
        """Find the letter by the surest sign there is; unsure signs that disagree give None."""
        for sure, pattern in self._signs:
            found = [match[match.lastindex or 0].upper() for match in pattern.finditer(text)]
            if found and (sure or len(set(found)) == 1):
                return found[-1]
        return None

    @cached_property
    def _signs(self) -> list[tuple[bool, re.Pattern[str]]]:
        upper, either = f"([{self.letters}])", f"([{self.letters}{self.letters.lower()}])"
        return [
            (sure, re.compile(pattern.replace("LETTER", upper).replace("letter", either)))
            for sure, pattern in _CHOICE_SIGNS
        ]


_OPENING = r"[\s:*_$\"'`]{0,9}(?:\\(?:boxed|text|textbf|mathrm)\s?\{\s?){0,3}[*(\[\"']{0,4}"
# "A dog" has the article; "A because …" has the letter.
_NO_ARTICLE = r"(?![\w'’])(?!(?<=A)\s(?!(?:because|since|as|for|is|and|with)\b)[a-z])"
_CHOICE_SIGNS = [
    (True, rf"\\boxed\s?\{{{_OPENING}letter[)\]}}.]"),
    (
        True,
        r"(?i:\banswer\b(?:\s(?:choice|option|letter))?(?:\s?(?:is|would be|must be))?"
        rf"(?:\s?:?\s(?:option|choice|letter))?){_OPENING}"
        rf"(?:LETTER{_NO_ARTICLE}|letter(?=[)\]*.}}]|[^\S\n]{{0,9}}(?:\n|$)))",
    ),
    (True, rf"(?i:\b(?:option|choice|choose|select|pick)\b)[\s*(]{{1,4}}LETTER{_NO_ARTICLE}"),
    (True, r"(?<![\w)])[(\[]\s?LETTER\s?[)\]]"),
    (False, r"(?<![\w)])[(\[]\s?letter\s?[)\]]"),
    (False, r"(?<![\w'’])LETTER[*)]{0,3}\s(?:is|seems|looks|must be)\b"),
    (False, r"(?m:^)[ \t*]{0,9}LETTER[*]{0,3}(?:[.):,]|[ \t]{0,9}$)"),
    (False, r"\b(?:is|was|be)\s[*]{0,3}LETTER[*]{0,3}(?=[.!]?\s{0,9}$)"),
]
"""Signs of a chosen letter, the surest first: whether the last counts where several differ."""


class Regex(Extractor):
    """The last match of a pattern."""

    name = "regex"
    about = "the last match of a pattern: its group `answer`, or the first group, or all of it"
    setting = "pattern"

    pattern: str = Field(min_length=1, max_length=1000)
    """A regular expression in RE2's syntax: no look-around and no back-references, and therefore
    time linear in the text, where Python's own matcher can take for ever."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        _compiled(pattern)
        return pattern

    def find(self, text: str) -> str | None:
        """Find the last match."""
        pattern, found = _compiled(self.pattern), None
        # A surrogate can't be matched: RE2 works on UTF-8.
        for match in pattern.finditer(text.encode("utf-8", "replace").decode()):
            found = match
        if found is None:
            return None
        named = "answer" if "answer" in pattern.groupindex else min(pattern.groups, 1)
        answer: str | None = found[named]
        return answer


def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        hint = "; look-around and back-references are not supported" if "(?" in reason else ""
        raise ValueError(f"regex {pattern!r}: {reason}{hint}") from None


class Json(Extractor):
    """A part of the last JSON value."""

    name = "json"
    about = "a path into the last JSON object or array, fenced or not: {json: result.value}"
    setting = "path"

    path: str = Field(max_length=200)
    """Keys and list indices, as `result.items[0].value` or `items.-1`; empty for all of it."""

    def find(self, text: str) -> str | None:
        """Find the last value that parses, and in it the path; None where that leads nowhere."""
        value = next(iter(deque(_json_values(text), maxlen=1)), None)
        for key in re.findall(r"[^.\[\]]+", self.path):
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and re.fullmatch(r"-?\d{1,6}", key):
                value = value[int(key)] if -len(value) <= int(key) < len(value) else None
            else:
                return None
        return _json_text(value)


_JSON = json.JSONDecoder(parse_int=str, parse_float=str)
_JSON_TRIES = 500


def _json_values(text: str) -> Iterator[Any]:
    """Yield the outermost JSON objects and arrays in a text; what doesn't parse is passed over."""
    place, tries = 0, 0
    while tries < _JSON_TRIES and (start := _JSON_START.search(text, place)):
        try:
            value, place = _JSON.raw_decode(text, start.start())
            yield value
        except (ValueError, RecursionError):
            place, tries = start.end(), tries + 1


_JSON_START = re.compile(r"[{\[]")


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


class Text(Extractor):
    """All of the text."""

    name = "text"
    about = "the whole text, stripped"

    def find(self, text: str) -> str | None:
        """Give the text back."""
        return text


class Final(Extractor):
    """What follows the last marker of an answer."""

    name = "final"
    about = 'what follows the last "answer is", "Answer:" or "####", to the end of its sentence'

    def find(self, text: str) -> str | None:
        """Find the last marker that something follows."""
        found = None
        for marker in _MARKER.finditer(text):
            phrase = _SENTENCE_END.split(text[marker.end() : marker.end() + 600].lstrip(), 1)[0]
            phrase = _SUM.sub("", _FILLER.sub("", phrase.strip(" *_\t:")))
            found = phrase.rstrip(".") or found
        return _inline_math(found) if found else None


_MARKER = re.compile(r"(?i:\banswer\b[*_]*(?:\s+is[*_]*\s*:?|\s*:)(?:[*_]*)(?:\s+that\b)?)|####")
_FILLER = re.compile(r"(?i)\A(?:(?:indeed|therefore|thus|then|simply|just|now)\b,?\s*)+(?=\S)")
_SUM = re.compile(r"\A[\d\s.,+*/()×÷$-]+=\s*(?=[\d$-])")  # 2 * 3 = 6: the sum is not the answer
_SENTENCE_END = re.compile(r"\n|(?<=[^.\s])\.(?=\s|$)")


def _inline_math(phrase: str) -> str:
    """`$x$` without its dollars, where they are all of the phrase."""
    match = re.fullmatch(r"\$([^$]+)\$|\\\((.+)\\\)|\\\[(.+)\\\]", phrase)
    return next(part for part in match.groups() if part) if match else phrase


class Auto(Extractor):
    """The default chain."""

    name = "auto"
    about = "boxed, else the marked final answer, else the last number; never free text"

    def find(self, text: str) -> str | None:
        """Try each in order; a marked answer that runs to a sentence gives the number in it."""
        return Boxed().find(text) or self._marked(text) or LastNumber().find(text)

    def _marked(self, text: str) -> str | None:
        phrase = Final().find(text)
        if phrase and len(re.findall(r"(?<!\\)\b[^\W\d_]{2,}", phrase)) > 4:
            return LastNumber().find(phrase)
        return phrase


class Chain(Extractor):
    """Several extractors, tried in order."""

    name = "chain"
    about = "a list of extractors: the first that finds something"

    of: tuple[Extractor, ...] = Field(min_length=1)

    def find(self, text: str) -> str | None:
        """Give what the first extractor finds that finds anything."""
        found = (each.find(text) for each in self.of)
        return next((answer for answer in found if answer and answer.strip()), None)

    def short(self) -> Any:
        """Give the list of the members' short forms."""
        return [each.short() for each in self.of]


EXTRACTORS: dict[str, type[Extractor]] = {
    each.name: each for each in (Auto, Boxed, Final, LastNumber, Choice, Regex, Json, Text)
}
"""The extractors by the name that a spec calls them."""


def parse_extractor(value: Any) -> Extractor:
    """Make an extractor from its short form.

    Args:
        value: a name (`"number"`), a name with its setting (`{"regex": "(\\\\d+) euros"}`), a list
            of these to be tried in order, or an extractor, which is given back.

    Raises:
        ValueError: no such extractor (names the nearest), or a setting that it can't have.
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
    settable = {kind.name: {"type": "string"} for kind in EXTRACTORS.values() if kind.setting}
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
        text: what a model wrote; think blocks are left out.
        how: an extractor or its short form; see `parse_extractor`.

    Returns:
        The answer as it is written there; None when there is none: the candidate abstains.

    Raises:
        ValueError: `how` is no extractor.
    """
    return parse_extractor(how)(text)
