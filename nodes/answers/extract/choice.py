"""The letter of a multiple choice."""

import re

from pydantic import field_validator

from thinkgraph.models.cached_property import cached_property
from thinkgraph.nodes.answers.extract.extractor import Extractor
from thinkgraph.nodes.answers.extract.markers import markers
from thinkgraph.nodes.answers.extract.number import APART, SPACELESS

_OPENING = r"[\s:：*_$\"'`]{0,9}(?:\\(?:boxed|text|textbf|mathrm)\s?\{\s?){0,3}[*(（\[\"']{0,4}"
# "A dog" has the article; "A because …" has the letter.
_NO_ARTICLE = (
    rf"(?![^\W{SPACELESS}]|['’])(?!(?<=A)\s(?!(?:because|since|as|for|is|and|with|non|not)\b)[a-z])"
)
_OPTION = (
    r"(?i:\b(?:option|choice|choose|select|pick|opción|opção|opzione|optie|choix|variante)\b"
    r"(?:\s(?:correcta|corretta|correta|correcte))?(?:\s(?:is|es|est|è|é)\b)?"
    r"|(?:故|应|應|我)?[选選](?:择|擇|项|項)?)[\s*(:：（]{0,4}"
)
_ANNOUNCED = rf"(?:\s?(?:la|le|el|die|der|de|het|the)\b)?{_OPENING}LETTER{_NO_ARTICLE}"
"""What follows a marker; matched only there, since a pattern with all markers would be slow."""
_SIGNS = [
    (True, rf"\\boxed\s?\{{{_OPENING}letter[)\]}}.:]"),
    (
        True,
        r"(?i:\banswer\b(?:\s(?:choice|option|letter))?(?:\s?(?:is|would be|must be))?"
        rf"(?:\s?:?\s(?:option|choice|letter))?){_OPENING}"
        rf"(?:LETTER{_NO_ARTICLE}|letter(?=[)\]*.}}]|[^\S\n]{{0,9}}(?:\n|$)))",
    ),
    (True, _ANNOUNCED),
    (True, rf"答案{_OPENING}LETTER{_NO_ARTICLE}"),
    (True, rf"{_OPTION}LETTER{_NO_ARTICLE}"),
    (True, rf"(?=[(\[（]){APART}(?<!\))[(\[（]\s?LETTER\s?[)\]）]"),
    (False, rf"(?=[(\[（]){APART}(?<!\))[(\[（]\s?letter\s?[)\]）]"),
    (
        False,
        rf"(?=LETTER){APART}(?<!['’])LETTER[*)]{{0,3}}(?:\s(?:is|seems|looks|must be)\b|是|が)",
    ),
    (False, r"(?m:^)[ \t*]{0,9}LETTER[*]{0,3}(?:[.):：,。]|[ \t]{0,9}$)"),
    (False, r"\b(?:is|was|be)\s[*]{0,3}LETTER[*]{0,3}(?=[.!]?\s{0,9}$)"),
]
"""Patterns of a chosen letter, the surest first; True: the last of several letters counts."""


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
        """Find the letter by the surest pattern that matches; unsure ones must match one letter."""
        for sure, pattern in self._signs:
            if pattern is self._announced:
                after = (pattern.match(text, marker.end()) for marker in markers(text))
                matches = [match for match in after if match]
            else:
                matches = list(pattern.finditer(text))
            found = [match[match.lastindex or 0].upper() for match in matches]
            if found and (sure or len(set(found)) == 1):
                return found[-1]
        return None

    @cached_property
    def _announced(self) -> re.Pattern[str]:
        return self._signs[[sign for _, sign in _SIGNS].index(_ANNOUNCED)][1]

    @cached_property
    def _signs(self) -> list[tuple[bool, re.Pattern[str]]]:
        upper, either = f"([{self.letters}])", f"([{self.letters}{self.letters.lower()}])"
        return [
            (sure, re.compile(pattern.replace("LETTER", upper).replace("letter", either)))
            for sure, pattern in _SIGNS
        ]
