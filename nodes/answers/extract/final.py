"""The answer after the words that announce it: `The answer is 42.`"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from thinkgraph.nodes.answers.extract.extractor import Extractor
from thinkgraph.nodes.answers.extract.markers import markers

_FILLER = re.compile(r"(?i)\A(?:(?:indeed|therefore|thus|then|simply|just|now)\b,?\s*)+(?=\S)")
_SUM = re.compile(r"\A[\d\s.,+*/()×÷$-]+=\s*(?=[\d$-])")  # of 2 * 3 = 6 only 6 is the answer
_DISPLAY = re.compile(
    r"\s*(?:\$\$\s*(?P<dollars>[^$]{1,400}?)\s*\$\$|\\\[\s*(?P<brackets>.{1,400}?)\s*\\\]"
    r"|```\w*\n(?P<code>.{1,400}?)\n```)",
    re.DOTALL,
)
_BRACE = re.compile(r"(?<!\\)[{}]")
_NOTHING = re.compile(r"[\s:：]*")
_FORMULA = re.compile(r"\$([^$]+)\$|\\\(((?:(?!\\[()]).)+)\\\)|\\\[((?:(?!\\[\[\]]).)+)\\\]")
_END_OF_FORMULA = re.compile(r"\s*(?:\\[\])]|\$\$?)[\s.]*\Z")
_ABBREVIATED = (
    "st|mr|mrs|ms|dr|prof|mt|ft|approx|ca|vs|etc|no|nr|fig|eq|vol|jr|sr|inc|ltd|co|gen|col|sgt|rev"
    "|hon|e\\.g|i\\.e|u\\.s|u\\.k|a\\.m|p\\.m|d\\.c"
)
_STOP = re.compile(r"\n|[。！？]|(?<=[^.\s])[.](?=\s|$)|[!?](?=\s+[A-Z])")
_SHORTENED = re.compile(rf"(?i)(?:^|[^\w.])(?:{_ABBREVIATED})\.$")
_DOTTED = re.compile(r"(?:\b[A-Za-z]\.){2,}$")
_INITIAL = re.compile(r"(?:^|[A-Z]\.\s|[A-Z][a-z]+\s)[A-Z]\.$")
_SENTENCE_STARTS = frozenset(
    re.findall(
        r"\w+",
        "The This That It So Therefore Thus Hence Because Since We I He She They If In As And But A"
        " An Note Here There Then You Let My Your Its",
    )
)
_REASON = re.compile(
    r"(?i)[\s,(]+(?:because|since|as\s+(?:we|it|the|shown)|so\s+that|for\s+which|rather\s+than"
    r"|instead\s+of|and\s+not)\b.*|,\s*not\s+[-$]?\d.*"
)
# Remarks on an answer: it is correct, unique, in simplest form.
_REMARK = re.compile(
    r"(?i)\A(?:it'?s\b|it\s+is\b|that'?s\b|that\s+is\b|this\b|not\s+\w|in\s+(?:(?:the|its|simplest|terms)\b|(?-i:[a-z]+)\W*\Z)"
    r"|(?:also|always|clearly|indeed|therefore)?\s*(?:correct|incorrect|right|wrong|unique|obvious|reasonable"
    r"|plausible|consistent|clear|verified|simplified|rounded|given|found|obtained|based|expressed|shown|below"
    r"|above|as\s+follows|the\s+same|what\s+we|what\s+i|we\s+(?:need|have|must|can)|let'?s|i\s+(?:think|will|need)"
    r"|to\s+be|actually\s+(?:correct|right|wrong)|supposed|expected|unknown|unclear)\b)"
)
_PURPOSE = re.compile(
    r"(?i)\bto\s+(?:find|get|obtain|determine|calculate|compute|reach|give|(?:work|figure)\s+out"
    r"|(?:arrive|look)\s+(?:at|for)|solve\s+for)\s+(?:the|our|your|an|its)\s+(?:\w+\s+)?\Z"
)
_WORDS_AT_FIRST = re.compile(r"\A[^\W\d_]+\W+[^\W\d_]+\W+[^\W\d_]")


class Phrase(NamedTuple):
    """The text after a marker."""

    text: str
    start: int
    """The position of the marker."""
    remark: bool = False
    """Whether it is a remark on the answer and not an answer: "correct", "not unique"."""
    after_purpose: bool = False
    """Whether it follows words such as "to find the answer:", and so may say how to find it."""


class Final(Extractor):
    """The text after the last marker of an answer."""

    name = "final"
    about = 'what follows the last "answer is", "Answer:" or "####", to the end of its sentence'

    def find(self, text: str) -> str | None:
        """Find the text after the last marker; a remark on the answer only if there is no other."""
        found = self.last(text)
        return found.text if found else None

    @staticmethod
    def last(text: str) -> Phrase | None:
        """The last marked phrase that is not a remark; else the last remark of one or two words."""
        answer: Phrase | None = None
        remark: Phrase | None = None
        for phrase in _phrases(text):
            if not _REMARK.match(phrase.text):
                answer = phrase
            elif re.fullmatch(r"\w+(?: \w+)?", phrase.text):
                remark = phrase._replace(remark=True)
        return answer or remark


def _phrases(text: str) -> Iterator[Phrase]:
    for marker in markers(text):
        after = text[marker.end() : marker.end() + 600]
        if display := _DISPLAY.match(after.lstrip(" *_:\t")):
            yield Phrase(next(part for part in display.groups() if part).strip(), marker.start())
            continue
        before, behind = _closed(after)
        words_alone = bool(behind) and _NOTHING.fullmatch(before) is not None
        phrase = sentence((behind if words_alone else before).lstrip(" \t*_:\n\r：")).strip(
            " *_\t:："
        )
        phrase = _END_OF_FORMULA.sub("", phrase) if words_alone else phrase
        phrase = _REASON.sub("", _SUM.sub("", _FILLER.sub("", phrase))).strip(" *_\t,")
        phrase = phrase if _keeps_stop(phrase) else phrase.rstrip(".")
        purpose = bool(_PURPOSE.search(text[: marker.start()][-60:]))
        if re.search(r"\w", phrase) and not (purpose and _WORDS_AT_FIRST.match(phrase)):
            yield Phrase(_inline_math(phrase), marker.start(), after_purpose=purpose)


def _closed(text: str) -> tuple[str, str]:
    """Split a text at the end of a brace group that was opened before it.

    The group contains the marker: `\\text{The answer is } 16`, `\\textbf{The answer is 16}`.
    """
    depth = 0
    for brace in _BRACE.finditer(text):
        depth += 1 if brace[0] == "{" else -1
        if depth < 0:
            return text[: brace.start()], text[brace.end() :]
    return text, ""


def _keeps_stop(phrase: str) -> bool:
    return bool(re.search(r"(?i)(?:[a-z]\.){2,}$|\b(?:jr|sr|inc|ltd|co)\.$", phrase))


def sentence(text: str) -> str:
    """The first sentence or line of a text."""
    for stop in _STOP.finditer(text):
        before, after = text[: stop.end()], text[stop.end() :].lstrip(" \t")
        if stop[0] == "." and _goes_on(before, after):
            continue
        return before if _DOTTED.search(before) else text[: stop.start()]
    return text


def _goes_on(before: str, after: str) -> bool:
    """Whether a full stop ends an abbreviation or an initial and not a sentence."""
    following = re.match(r"[^\s.,;:]+", after)
    if not following or after.startswith("\n"):
        return False
    if re.search(r"(?i)(?:^|\s)n[or]\.$", before):
        return following[0].isdigit()
    if _SHORTENED.search(before):
        return following[0] not in _SENTENCE_STARTS
    initial = _INITIAL.search(before) and following[0][0].isupper()
    alone = re.fullmatch(r"\W*[A-Z]\.", before) is not None
    return (
        bool(initial)
        and following[0] not in _SENTENCE_STARTS
        and not (alone and len(following[0]) > 1 and not re.match(r"[A-Z]\.|\S+\s[A-Z]\.", after))
    )


def _inline_math(phrase: str) -> str:
    r"""Remove math delimiters around the whole phrase: `$x$` is `x`, and so is `x\)`.

    A delimiter has no partner where the formula began before the marker, or was cut off.
    """
    if match := _FORMULA.fullmatch(phrase):
        return next(part for part in match.groups() if part)
    for opened, closed in ((r"\(", r"\)"), (r"\[", r"\]")):
        if opened not in phrase:
            phrase = phrase.removesuffix(closed).rstrip()
        elif closed not in phrase:
            phrase = phrase.removeprefix(opened).lstrip()
    return phrase
