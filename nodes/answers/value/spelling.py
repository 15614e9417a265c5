"""Normalization of the spelling of an answer.

Only the spelling changes here, never the value: spacing, `\\dfrac`, `\\left`, dollar signs,
thousands separators, `\\text`, superscripts. `read` parses the normalized spelling.
"""

import re
import unicodedata

from thinkgraph.nodes.answers.value.brackets import closing, encloses

_SIGNS = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "‐": "-",
        "‑": "-",
        "’": "'",
        "×": r"\times ",
        "·": r"\cdot ",
        "⋅": r"\cdot ",
        "÷": r"\div ",
        "π": r"\pi ",
        "θ": r"\theta ",
        "α": r"\alpha ",
        "β": r"\beta ",
        "φ": r"\phi ",
        "λ": r"\lambda ",
        "∞": r"\infty ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∖": r"\setminus ",
        "∈": r"\in ",
        "±": r"\pm ",
        "≤": r"\le ",
        "⩽": r"\le ",
        "≥": r"\ge ",
        "⩾": r"\ge ",
        "≠": r"\ne ",
        "≈": r"\approx ",
        "≃": r"\approx ",
        "∅": r"\emptyset ",
        "∠": r"\angle ",
        "°": r"^\circ ",
        "ℝ": r"\mathbb{R}",
        "ℤ": r"\mathbb{Z}",
        "℃": r"^\circ C",
        "℉": r"^\circ F",
        "…": r"...",
    }
)
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣ"
_LOWERED = "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₙᵢₓ"
_PLAIN = "0123456789+-=()nix"
_ROOTS = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}
_ROOT_SIGN = re.compile(r"([√∛∜])\s*(?:(\d+(?:\.\d+)?|[a-zA-Z])|(?=[({\\]))")
_VULGAR = re.compile(r"(?<=\d)(?=[¼½¾⅐-⅞])")

_SEPARATORS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"(?<![\d.,])0\{,\}(?=\d)", "0,"),
        (r"(?<=\d)(?:\{,\}|,\s*\\!\s*|\\[,;: ])(?=\d{3}(?!\d))", ""),
        (r"(?<=\d) (?=\d{3}(?: \d{3})*,\d{1,2}(?!\d))", ""),
        (r"\\!\s*", ""),
        (r"\{,\}", ","),
    ]
]
_GROUPS = re.compile(r"(?<![\w.,^])(?<!\d )[1-9]\d{0,2}(?: \d{3})+(?=(?:\.\d+)?(?![\d/]|,\d| \d))")
_LOGARITHM = re.compile(r"\\log\s*_\s*(\w)\s+(?=[\d(])")
_NUMBERED_LOGARITHM = re.compile(r"(?<![a-zA-Z\\])log(2|10)\s*(?=\()")
_SPELLINGS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"(?<!\\)\\(?:[,;:> ]|q?quad(?![a-zA-Z]))|~", " "),
        (r"\\[bB]igg?[lr]?(?![a-zA-Z])", ""),
        (r"\\m?(?:left|right)(?![a-zA-Z])\s*\.?", ""),
        (r"\\(?:displaystyle|limits)(?![a-zA-Z])", ""),
        (r"\\lbrace(?![a-zA-Z])", r"\\{"),
        (r"\\rbrace(?![a-zA-Z])", r"\\}"),
        (r"\\(?:langle)(?![a-zA-Z])", "("),
        (r"\\(?:rangle)(?![a-zA-Z])", ")"),
        (r"\\[lr]?vert(?![a-zA-Z])|\\mid(?=\s*[^{]*\\mid(?![a-zA-Z]))", "|"),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\([lgn]e)q(?:slant)?(?![a-zA-Z])", r"\\\1"),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"\\neq?(?![a-zA-Z])|!=|<>", r"\\ne "),
        (r"<=|=<", r"\\le "),
        (r">=", r"\\ge "),
        (r":=|==", "="),
        (r"\\(?:dots|ldots|cdots|dotsc)(?![a-zA-Z])", "..."),
        (r"\\(?:sim|simeq|cong)(?=\s*-?[\d.])|~=", r"\\approx "),
        (r"\\%|(?<![a-zA-Z])(?:percentage|percent|per cent|pct)\b", "%"),
        (r"(?:\^\s*\{?\s*\\circ\s*\}?|\\degree(?![a-zA-Z]))\s*([CF])\b", r" °\1"),
        (r"(?<=[\d)}])(?:\^\s*\{?\s*\\circ\s*\}?|\\degree(?![a-zA-Z]))\s*$", " degrees"),
        (r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![a-zA-Z])", ""),
        (r"(?<![a-zA-Z\\])(?:infinity|inf)(?![a-zA-Z])", r"\\infty"),
        (r"(?<=\d)\s*[xX]\s*(?=10\s*(?:\^|\*\*))", r"\\times "),
        (r"\*\*", "^"),
        (r"\\(?:emptyset|varnothing)(?![a-zA-Z])", r"\\{\\}"),
        (r"\\mathbb\s*\{?\s*R\s*\}?|\ball real numbers\b", r"(-\\infty,\\infty)"),
        (r"\\(?:cfrac|frac)\s+(?=[\d{])", r"\\frac"),
        (r"(?<=\d)i(?![a-zA-Z])", " i"),
        (r"(?<![\w.])1 i(?![a-zA-Z])", "i"),
    ]
]
_FUNCTIONS = (
    "sqrt|pi|sin|cos|tan|cot|sec|csc|log|ln|exp|arcsin|arccos|arctan|sinh|cosh|tanh|max|min|gcd|det"
)
_PLAIN_FUNCTION = re.compile(rf"(?<![a-zA-Z\\])({_FUNCTIONS}|lcm)(?![a-zA-Z])")
_NAMED_FUNCTION = re.compile(rf"\\(?:operatorname|mathrm|text)\s*\{{\s*({_FUNCTIONS}|lcm)\s*\}}")
_ALIASES = re.compile(r"(?<![a-zA-Z\\])a(sin|cos|tan)(?=\s*\()")
_CALLS = {
    "abs": ("|", "|"),
    "exp": ("e^{", "}"),
    "sqrt": (r"\sqrt{", "}"),
    "cbrt": (r"\sqrt[3]{", "}"),
    "floor": (r"\lfloor ", r"\rfloor "),
    "ceil": (r"\lceil ", r"\rceil "),
}
_CALL = re.compile(r"(?<![a-zA-Z])\\?(abs|exp|sqrt|cbrt|floor|ceil)(?:\[3\])?\s*(?=\()")
_ROUND_POWER = re.compile(r"(\^)\s*(?=\()")
_FRACTION = re.compile(r"\\frac\s*(?:\{([^{}]*)\}|(\d|[a-zA-Z]))\s*(?:\{([^{}]*)\}|(\d|[a-zA-Z]))")
_ROOT = re.compile(r"\\sqrt\s*(\d|[a-zA-Z](?![a-zA-Z]))")
_ONE_SIGN = re.compile(r"([_^])\s*\{\s*(\w)\s*\}(?!\s*\d)")  # x_{1}2 is not x_{12}
_MONEY = {"$": "dollars", "€": "euros", "£": "£", "¥": "yen", "₹": "rupees"}
_PRICE = re.compile(
    r"(-?)\s*(?:US|USD|EUR)?\s*\\?([$€£¥₹])\s*(-?(?:\d[\d,.]*)?\d(?:\s*(?:thousand|million|billion)\b)?)(?![A-Za-z])"
)
_PRICED = re.compile(r"(?<=\d)\s*\\?([$€£¥₹])(?=\s*$)")
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
    r"\\(?:text(?:bf|it|rm|normal)?|mbox|math(?:rm|bf|it|sf)|operatorname)\s*\{([^{}]*)\}"
)


def normal(text: str) -> str:
    """Normalize a spelling: `"\\dfrac12 "` and `"$\\frac{1}{2}$."` are `\\frac{1}{2}`.

    Args:
        text: an answer as a model or a book wrote it, at most a few thousand characters.

    Returns:
        The normalized spelling; `\\text{…}` keeps its words, between spaces.
    """
    if "\\begin" not in text:  # without matrix rows, a doubled backslash is an escaped one
        text = re.sub(r"\\\\(?=[a-zA-Z]{2})", r"\\", text)
    text = _unwrapped(_characters(text))
    text = _GROUPS.sub(lambda match: match[0].replace(" ", ""), text)
    text = _prices(_replaced(text, _SEPARATORS))
    text = _functions(_replaced(text, _SPELLINGS))
    for _ in range(3):
        text = _TEXT.sub(r" \1 ", text)
    text = _FRACTION.sub(_braced, text)
    text = _ROOT.sub(r"\\sqrt{\1}", text)
    text = _LOGARITHM.sub(r"\\log_{\1}", text)
    text = _ONE_SIGN.sub(r"\1\2", text)
    return _without_full_stop(re.sub(r"\s+", " ", text).strip())


def _replaced(text: str, rules: list[tuple[re.Pattern[str], str]]) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def _characters(text: str) -> str:
    """Write Unicode signs as LaTeX, before NFKC would flatten them (x² to x2, 2½ to 21/2)."""
    text = _VULGAR.sub(" ", text)
    for signs, command in ((_RAISED, "^"), (_LOWERED, "_")):
        run = re.compile(f"[{signs}]+")
        plain = str.maketrans(signs, _PLAIN)
        text = run.sub(lambda match: f"{command}{{{match[0].translate(plain)}}}", text)  # noqa: B023
    text = _ROOT_SIGN.sub(
        lambda match: _ROOTS[match[1]] + (f"{{{match[2]}}}" if match[2] else ""), text
    )
    return unicodedata.normalize("NFKC", text.translate(_SIGNS)).replace("⁄", "/")


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


def _prices(text: str) -> str:
    """Write currency signs as words after their numbers; remove the dollar signs of formulas."""
    dollars = text.replace("\\$", "").count("$")
    if dollars == len(re.findall(r"(?<![\w\\])\$\s?-?\d", text)) or dollars == 0:
        text = _PRICE.sub(lambda match: f"{match[1]}{match[3]} {_MONEY[match[2]]}", text)
    if dollars <= 1:
        text = _PRICED.sub(lambda match: f" {_MONEY[match[1]]}", text)
    return re.sub(r"\\?\$", "", text)


def _functions(text: str) -> str:
    """`exp(16)` is `e^{16}`, `abs(x)` is `|x|`, and `sin(x)` is `\\sin(x)`."""
    text = _NAMED_FUNCTION.sub(r"\\\1 ", text)
    text = _NUMBERED_LOGARITHM.sub(r"\\log_{\1}", text)
    text = _ALIASES.sub(r"arc\1", text)
    place = 0
    for _ in range(40):
        call = _CALL.search(text, place)
        if call is None:
            break
        end = closing(text, call.end())
        place = call.end()
        if end is not None:
            opening, ending = _CALLS[call[1]]
            inner = text[call.end() + 1 : end]
            text = f"{text[: call.start()]}{opening}{inner}{ending}{text[end + 1 :]}"
            place = call.start()
    text = _PLAIN_FUNCTION.sub(r"\\\1", text)
    return _exponents(text)


def _exponents(text: str) -> str:
    """`x^(n+1)` is `x^{n+1}`."""
    place = 0
    for _ in range(40):
        power = _ROUND_POWER.search(text, place)
        if power is None:
            break
        end, place = closing(text, power.end()), power.end()
        if end is not None:
            text = f"{text[: power.end()]}{{{text[power.end() + 1 : end]}}}{text[end + 1 :]}"
    return text


def _braced(match: re.Match[str]) -> str:
    over, under = match[1] or match[2] or "", match[3] or match[4] or ""
    return rf"\frac{{{over.strip()}}}{{{under.strip()}}}"


def _without_full_stop(text: str) -> str:
    """Remove closing punctuation, except the `!` of a factorial and the dots of 0.333..."""
    while text and text[-1] in ".,;:!?":
        if text[-1] == "!" and re.search(r"(?:[\d)}\]]|(?<![A-Za-z])[A-Za-z])!+$", text):
            break
        if re.search(r"\d\.\.\.$", text):
            break
        text = text[:-1].rstrip()
    return text
