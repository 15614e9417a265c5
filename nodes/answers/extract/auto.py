"""The default extractor."""

import re
from typing import Any, Literal

from thinkgraph.nodes.answers.extract.boxed import Box, Boxed
from thinkgraph.nodes.answers.extract.extractor import Extractor
from thinkgraph.nodes.answers.extract.final import Final, Phrase
from thinkgraph.nodes.answers.extract.label import LEADING
from thinkgraph.nodes.answers.extract.number import LastNumber
from thinkgraph.nodes.answers.value import as_number, canonical

_WORDS = re.compile(r"(?<!\\)\b[^\W\d_]{2,}")
_MOST_WORDS = 4
"""A marked answer with more words is a sentence, and the number in it is the answer."""
_SHORT = 3
_FORMULA = re.compile(
    r"(?<![\\\w])\$([^$\n]{2,200})\$|\\\(([^\n]{2,200}?)\\\)|\\\[(.{2,200}?)\\\]", re.DOTALL
)
_STRUCTURE = re.compile(r"\\[a-zA-Z]|[<>=^(\[]|(?<=\w)\s?[+*/]\s?(?=\w)|[≤≥≠√π∞]")
_FORMULAS = re.compile(r"\$[^$]+\$(?:\s*(?:,|,?\s*and|,?\s*or)\s*\$[^$]+\$)+\.?")
_BARE = re.compile(r"[^\n]{1,100}")
# A refusal, a greeting, or the beginning of a longer text that was cut off.
_NO_ANSWER = re.compile(
    r"(?i)\b(?:i|i'm|we|don'?t|can'?t|cannot|unknown|sorry|sure|okay|ok|hello|hi|none|nothing|let"
    r"|think|know|idea|maybe|perhaps|depends|unclear|unsure|h+m+|n/a)\b|[:,]\Z"
    r"|\A\W*(?:not?\s|to|first|in|so|step|here|it|there|this|that|if|since|given|the answer)\b"
)
_VERB = re.compile(
    r"(?i)\b(?:is|are|was|were|has|have|had|costs?|takes?|took|needs?|gets?|got|makes?|made|earns?"
    r"|pays?|paid|spends?|spent|sells?|sold|will|would|can|there)\b"
)
_FACTORIAL = re.compile(r"(?:\d{1,6}|[a-zA-Z]|\([^()!]{1,20}\))!{1,2}")
_FINAL = re.compile(r"(?i)\bfinal answer\b|\A\s*answer\s*:")


class Auto(Extractor):
    """The default extractor: boxes, marked answers, short texts, formulas and numbers."""

    name = "auto"
    about = (
        "the last box or marked answer, else a short text, else the last number; {auto: text} says "
        "what is looked for: number, text, or any"
    )
    setting = "kind"

    kind: Literal["any", "number", "text"] = "any"
    """What the answer is: a number, a text, or either."""

    def short(self) -> Any:
        """Return the short form that `parse_extractor` reads back."""
        return self.name if self.kind == "any" else super().short()

    def find(self, text: str) -> str | None:
        """Find the boxed or marked answer, whichever is later; else fall back by ``kind``."""
        given, text = text, _without_denied(text)
        marked = Final.last(text)
        remark = marked.text if marked and marked.remark else None
        box = _last_box(text, None if remark else marked)
        said = box.content if box else self._marked(None if remark else marked)
        match self.kind:
            case "number":
                if said and re.search(r"\d", said):
                    return _only_number(said) or said
                if box:
                    return _beside(text, box) or box.content
                return LastNumber().find(text) or said
            case "text":
                return said or remark or given
        short = _short(text) if text == given else None
        return said or short or _formula(text) or LastNumber().find(text) or remark

    def _marked(self, marked: Phrase | None) -> str | None:
        """The marked answer, or for any kind but a text the value in it."""
        if marked is None or self.kind == "text":
            return marked.text if marked else None
        return _value(marked.text)


def _last_box(text: str, marked: Phrase | None) -> Box | None:
    """The last box, unless a marked answer supersedes it."""
    box = Boxed.last(text)
    if box and marked and marked.start >= box.end and _supersedes(text, marked):
        return None
    return box


_EMPTY = re.compile(
    r"\\(?:text|math|operatorname|mbox)[a-z]*\s*(?=\{)"
    r"|\\(?:square|checkmark|phantom|q?quad|[,;:! ])|[{}]"
)
_ONLY_WORDS = re.compile(r"[^\W\d_]{2,}(?:\W+[^\W\d_]+)*")
_PLACEHOLDER = re.compile(
    r"(?i)(?:(?:the|your|my|final|correct|right)\s+)*(?:answer|result|correct)"
)


def _beside(text: str, box: Box) -> str | None:
    r"""The number beside a box without one; None if what the box holds is the answer.

    `\boxed{\infty}` and `\boxed{p}` are answers, and no number elsewhere is. An empty box, a
    placeholder, a unit or words that announce the answer aren't.
    """
    bare = _EMPTY.sub(" ", box.content).strip(" .,:;!?_~*")
    if not re.search(r"[^\W_]", bare):
        return LastNumber().find(text)
    if not _ONLY_WORDS.fullmatch(bare) or as_number(canonical(bare)) is not None:
        return None
    if behind := LastNumber().find(text[box.end :].partition("\n")[0]):
        return behind
    before = text[: box.start]
    if re.search(r"\d[^\w\n]{0,6}\Z", before) or _PLACEHOLDER.fullmatch(bare):
        return LastNumber().find(before)
    return None


_NO = r"(?:not|n['’]t)\b(?!\s+only\b)"
_DENIED = re.compile(
    r"(?i)(?:\b(?:answer|result|solution|value)\b[^.\n;:\d]{0,30}?\b(?:(?:is|was|are|be|can|could|would"
    rf"|should|does)\s*{_NO}|cannot\b|never\b)|\banswer\s*:\s*{_NO}"
    r"|\b(?:antwort|lösung|ergebnis)\s+(?:ist|lautet)\s+nicht\b|\bréponse\s+n['’]est\s+pas\b"
    r"|\brespuesta\s+no\s+es\b|\brisposta\s+non\s+è\b|\bresposta\s+não\s+é\b"
    r"|\bantwoord\s+is\s+niet\b|\bsvaret\s+är\s+inte\b|答案不是|\bответ\s+не\b)"
    r"(?:(?!\b(?:but|rather|so|it|must|hence|thus|therefore|instead|sondern|mais|sino)\b|而是)"
    r"[^.,;\n，。]|[.,](?=\d))*"
    rf"|[-$]?\d[\w.,%]*\s+(?:is|was)\s*{_NO}\s+(?:the|my|our|an?)?\s*(?:right|correct|final)?\s*"
    r"(?:answer|solution|result)\b"
)
_DENYING = (
    *(" not", "n't", "n’t", "cannot", "never", "nicht", " pas ", " no es", "non è", "não"),
    *("niet", " inte", "不是", " не "),
)
"""A text without any of these denies nothing; looking for them first is fast."""


def _without_denied(text: str) -> str:
    """Remove the numbers from a text that it says are not the answer."""
    folded = text.lower()
    if not any(word in folded for word in _DENYING):
        return text
    return _DENIED.sub(lambda found: " " if any(map(str.isdigit, found[0])) else found[0], text)


def _supersedes(text: str, marked: Phrase) -> bool:
    """Whether a phrase after a box is a new answer and not a remark on the box."""
    final = _FINAL.search(text[max(marked.start - 12, 0) : marked.start + 24])
    short = len(_WORDS.findall(marked.text)) <= _MOST_WORDS
    return final is not None or (short and bool(re.search(r"\d", marked.text)))


def _value(phrase: str) -> str | None:
    """The answer in a marked phrase: the phrase or, if it is a sentence, the number in it."""
    if leading := LEADING.match(phrase):
        return leading[1]
    words = len(_WORDS.findall(phrase))
    if words <= _MOST_WORDS:
        return phrase
    return LastNumber().find(phrase) or (phrase if words <= 2 * _MOST_WORDS else None)


def _only_number(phrase: str) -> str | None:
    """The number of a sentence with only one: "it costs $5"; None for "between 3 and 5"."""
    verb = _VERB.search(phrase) is not None
    return numbers[0] if verb and len(numbers := LastNumber.all(phrase)) == 1 else None


def _short(text: str) -> str | None:
    """A text that is nothing but its answer: `No.`, `Paris`, `no, shipping is not free`."""
    if leading := LEADING.match(text):
        return leading[1]
    bare = text.strip().strip("*_`\"'").strip()
    if _FACTORIAL.fullmatch(bare):
        return bare
    if _FORMULAS.fullmatch(bare):
        return bare.rstrip(".")
    if _BARE.fullmatch(bare) and not _WORDS.search(bare) and re.search(r"\d", bare):
        number = LastNumber().find(bare)
        if number and len(bare) > len(number) + 2 and (_STRUCTURE.search(bare) or "," in bare):
            return bare.rstrip(".")  # nothing but mathematics: x >= 5 is not 5
    if re.search(r"[\d\n]", bare) or not re.search(r"\w", bare) or _NO_ANSWER.search(bare):
        return None
    return bare.rstrip(".!。") if len(bare.split()) <= _SHORT and len(bare) <= 40 else None


def _formula(text: str) -> str | None:
    """The formula that contains the last number: "so $x \\ge 5$" is not 5."""
    formulas = list(_FORMULA.finditer(text))
    if not formulas or re.search(r"\d", text[formulas[-1].end() :]):
        return None
    inside = next(part for part in formulas[-1].groups() if part).strip()
    mathematics = not re.search(
        r"(?<![\\a-zA-Z])[a-zA-Z]{3,}", re.sub(r"\\text\w*\s?\{[^{}]*\}|\{\w+\}", "", inside)
    )
    return (
        inside if mathematics and re.search(r"\d", inside) and _STRUCTURE.search(inside) else None
    )
