"""Normalization of an answer's spelling.

Only spelling changes here, never value: spacing, `\\dfrac`, `\\left`, dollar signs, thousands
separators, `\\text`. What the spelling stands for is `value`'s concern.
"""

import re
import unicodedata

from thinkgraph.nodes.answers.brackets import encloses

_SIGNS = str.maketrans(
    {
        "²": "^2",
        "³": "^3",
        "°": "",
        "−": "-",
        "–": "-",
        "’": "'",
        "×": r"\times ",
        "·": r"\cdot ",
        "π": r"\pi ",
        "∞": r"\infty ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "±": r"\pm ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "≠": r"\ne ",
        "√": r"\sqrt ",
        "∅": r"\emptyset ",
        "ℝ": r"\mathbb{R}",
        "€": "",
        "£": "",
    }
)

_SPELLINGS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"(?<=\d)(?:\{,\}|,\s*\\!\s*|\\[,;: ])(?=\d{3}(?!\d))", ""),
        (r"(?<![\w.,^])(\d{1,3}) (?=\d{3}(?: \d{3})*(?![\d/]))", r"\1"),
        (r"\\!\s*", ""),
        (r"\{,\}", ","),
        (r"(?<!\\)\\(?:[,;:> ]|q?quad(?![a-zA-Z]))|~", " "),
        (r"\\[bB]igg?[lr]?(?![a-zA-Z])", ""),
        (r"\\m?(?:left|right)(?![a-zA-Z])\s*\.?", ""),
        (r"\\(?:displaystyle|limits)(?![a-zA-Z])", ""),
        (r"\\lbrace(?![a-zA-Z])", r"\\{"),
        (r"\\rbrace(?![a-zA-Z])", r"\\}"),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\([lgn]e)q(?:slant)?(?![a-zA-Z])", r"\\\1"),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"\\%|(?<![a-zA-Z])(?:percentage|percent|pct)\b", "%"),
        (r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![a-zA-Z])", ""),
        (r"\\?\$", ""),
        (r"(?<![a-zA-Z\\])(?:infinity|inf)(?![a-zA-Z])", r"\\infty"),
        (r"(?<![a-zA-Z\\])(sqrt|pi|sin|cos|tan|cot|sec|csc|log|ln)(?![a-zA-Z])", r"\\\1"),
        (r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"\*\*", "^"),
        (r"\\(?:emptyset|varnothing)(?![a-zA-Z])", r"\\{\\}"),
        (r"\\mathbb\s*\{?\s*R\s*\}?|\ball real numbers\b", r"(-\\infty,\\infty)"),
    ]
]
_FRACTION = re.compile(r"\\frac\s*(?:\{([^{}]*)\}|(\d|[a-zA-Z]))\s*(?:\{([^{}]*)\}|(\d|[a-zA-Z]))")
_ROOT = re.compile(r"\\sqrt\s*(\d|[a-zA-Z](?![a-zA-Z]))")
_ONE_SIGN = re.compile(r"([_^])\s*\{\s*([\w])\s*\}")
_WRAPPERS = [
    re.compile(pattern, re.DOTALL)
    for pattern in [
        r"\$\$?((?:\\.|[^$\\])+)\$\$?",
        r"\\\((.+)\\\)",
        r"\\\[(.+)\\\]",
        r"\*\*([^*]+)\*\*",
        r"`([^`]+)`",
        r"[\"“]([^\"“”]+)[\"”]",
    ]
]
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_TEXT = re.compile(
    r"\\(?:text(?:bf|it|rm|normal)?|mbox|math(?:rm|bf|it)|operatorname)\s*\{([^{}]*)\}"
)


def normal(text: str) -> str:
    """Write an answer in one way: `"\\dfrac12 "` and `"$\\frac{1}{2}$."` are `\\frac{1}{2}`.

    Args:
        text: an answer as a model or a book wrote it, at most a few thousand characters.

    Returns:
        The normal spelling; `\\text{…}` keeps its words, set off by spaces.
    """
    # NFKC after the signs that it would flatten (x² to x2, ℝ to R), before the slash of its ½.
    text = text.translate(_SIGNS)
    text = unicodedata.normalize("NFKC", text).replace("⁄", "/")
    text = _unwrapped(text)
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    for _ in range(3):
        text = _TEXT.sub(r" \1 ", text)
    text = _FRACTION.sub(_braced, text)
    text = _ROOT.sub(r"\\sqrt{\1}", text)
    text = _ONE_SIGN.sub(r"\1\2", text)
    return re.sub(r"\s+", " ", text).strip().rstrip(".,;:!").strip()


def _unwrapped(text: str) -> str:
    for _ in range(8):
        bare = text.strip().rstrip(".,;").strip()
        inner = next((match[1] for wrap in _WRAPPERS if (match := wrap.fullmatch(bare))), None)
        if (box := _BOX.match(bare)) and encloses(bare[box.end() - 1 :]):
            inner = bare[box.end() : -1]
        if inner is None:
            return bare if bare.endswith("$") else text.strip()
        text = inner
    return text


def _braced(match: re.Match[str]) -> str:
    over, under = match[1] or match[2] or "", match[3] or match[4] or ""
    return rf"\frac{{{over.strip()}}}{{{under.strip()}}}"
