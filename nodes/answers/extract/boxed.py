r"""Boxed answers: `\boxed{42}`."""

import re
from typing import NamedTuple

from thinkgraph.nodes.answers.extract.extractor import Extractor
from thinkgraph.nodes.answers.value.read import canonical

_TOKEN = re.compile(
    r"\\{1,2}(?:boxed|fbox)(?![a-zA-Z])\s*(?:(?P<open>\{)|(?P<bare>[^\s${}\\][^\s${}]*))|\\.|[{}]",
    re.DOTALL,
)
# Between boxes of one answer: `and`, commas, math delimiters, the left side of the next one.
_MARKS = (
    r"(?:[\s$,;&.+]|\\[()\[\]]|\\(?:q?quad|[,;: ]|\\)|\\text\s?\{\s?(?:and|or|,)\s?\}"
    r"|\band\b|\bor\b)"
)
_NAME = r"(?:\\?[A-Za-z]\w{0,3}(?:_\{?\w{1,4}\}?)?\s?=\s?)"
_NOUNS = (
    r"(?:\s?\\text\{)?(?:\s(?!(?:is|was|not?|but|so|then|thus|hence|if|in)\b)[a-z()]{1,12}){1,4}"
)
_BETWEEN = re.compile(
    rf"{_MARKS}{{0,24}}{_NAME}?{_MARKS}{{0,6}}|{_NOUNS}\s?(?:and|or|,)\s?\}}?{_MARKS}{{0,8}}"
)
_FARTHEST = 60


class Box(NamedTuple):
    """A box, or neighbouring ones that are one answer."""

    content: str
    start: int
    end: int


class Boxed(Extractor):
    r"""The last `\boxed{…}` that is closed, with its neighbours."""

    name = "boxed"
    about = r"what the last \boxed{…} or \fbox{…} holds; neighbouring boxes are one answer"

    def find(self, text: str) -> str | None:
        r"""Find the box that closes last, the innermost of nested ones; `\boxed 5` counts too.

        Boxes with nothing but `and`, commas and the like between them are one answer, a list:
        `\boxed{-2}` and `\boxed{1}` give `-2, 1`.
        """
        last = self.last(text)
        return last.content if last else None

    @staticmethod
    def last(text: str) -> Box | None:
        """The last boxed answer, with its place."""
        boxes = _boxes(text)
        if not boxes:
            return None
        together = [boxes[-1]]
        for box in reversed(boxes[:-1]):
            between = text[box.end : together[0].start]
            if len(between) > _FARTHEST or not _BETWEEN.fullmatch(between):
                break
            together.insert(0, box)
        contents = list({canonical(box.content): box.content for box in together}.values())
        decimal = any(re.search(r"\d,\d", content) for content in contents)
        content = ("; " if decimal else ", ").join(contents)
        return Box(content, together[0].start, together[-1].end)


def _boxes(text: str) -> list[Box]:
    """The boxes in the order in which they close; only the innermost of nested ones."""
    found: list[Box] = []
    if "box" not in text:  # most texts have none
        return found
    opened: list[tuple[int, int] | None] = []
    for token in _TOKEN.finditer(text):
        if token[0] == "{":
            opened.append(None)
        elif token["open"]:
            opened.append((token.start(), token.end()))
        elif token["bare"]:
            bare = token["bare"].rstrip(".,;")
            if re.search(r"\d", bare) or len(bare) == 1:  # not `in \boxed form`
                found.append(Box(bare, token.start(), token.end()))
        elif token[0] == "}" and opened and (place := opened.pop()):
            content = text[place[1] : token.start()].strip()
            inner = found[-1].start > place[0] if found else False
            if inner:
                found[-1] = found[-1]._replace(start=place[0], end=token.end())
            elif content:
                found.append(Box(content, place[0], token.end()))
    return found
