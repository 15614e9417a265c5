"""A model's text as HTML: Markdown rendered as HTML, and mathematics as MathML.

Libraries convert both, but their output for untrusted text is restricted: HTML, links and images in
Markdown are disabled, and of a formula only the elements and attributes of presentation MathML are
kept, written by Python's serializer, which escapes their contents.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element, tostring

from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.texmath import texmath_plugin

LONGEST_TEXT, LONGEST_FORMULA, MOST_FORMULAS = 40_000, 1_000, 300
"""Limits above which a text is not converted, since a page must open at once."""

_ELEMENTS = frozenset(
    """
    math mrow mi mn mo ms mtext mspace mfrac msqrt mroot msub msup msubsup munder mover munderover
    mtable mtr mtd mlabeledtr mphantom mpadded menclose mstyle mmultiscripts none mprescripts
    """.split()  # noqa: SIM905 (as a list it would be a screen long)
)
_ATTRIBUTES = frozenset(
    """
    display mathvariant stretchy fence separator lspace rspace width height depth accent accentunder
    linethickness columnalign rowspacing columnspacing minsize maxsize form movablelimits largeop
    notation displaystyle scriptlevel
    """.split()  # noqa: SIM905
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]")
_LATEX = re.compile(r"\\[a-zA-Z]+|[\^_]\{?\w")
_PLAIN = re.compile(r"</?p>|<br />|\n")


def prose(text: str) -> Markup:
    """A text as HTML: paragraphs, lists, code, tables and formulas."""
    if len(text) > LONGEST_TEXT:
        return Markup('<p class="plain">{}</p>').format(text)
    try:
        return Markup(_markdown().render(text))  # noqa: S704 (its HTML is off, see above)
    except RecursionError:  # nested too deeply
        return Markup('<p class="plain">{}</p>').format(text)


def is_plain(text: str) -> bool:
    """Whether `prose` leaves the text unchanged, except for line breaks."""
    return _PLAIN.sub("", str(prose(text))) == str(escape(text)).replace("\n", "")


def formula(text: str) -> Markup:
    """A short answer as HTML: as MathML if it is LaTeX, else as escaped text."""
    bare = re.sub(r"\A\$(.*)\$\Z", r"\1", text.strip(), flags=re.DOTALL)
    set_ = _mathml(bare, block=False) if _LATEX.search(bare) else None
    return Markup(set_) if set_ else escape(text)  # noqa: S704 (made of allowed elements only)


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "breaks": True, "xhtmlOut": True})
    reader.enable(["table", "strikethrough"])
    reader.disable(["html_block", "html_inline", "link", "image", "autolink", "reference"])
    dollarmath_plugin(reader, allow_labels=False, allow_space=False, allow_digits=False)
    texmath_plugin(reader, delimiters="brackets")
    for rule in ("math_inline", "math_inline_double", "math_block", "math_single"):
        reader.add_render_rule(rule, _render)
    return reader


def _render(_: Any, tokens: Any, index: int, options: Any, env: dict[str, Any]) -> str:
    token = tokens[index]
    env["formulas"] = env.get("formulas", 0) + 1
    block = token.type not in ("math_inline", "math_single")
    found = _mathml(token.content, block=block) if env["formulas"] <= MOST_FORMULAS else None
    if found is None:
        found = f"<code>{escape(token.content)}</code>"
    return f"<p>{found}</p>\n" if token.block else found


@lru_cache(maxsize=4096)
def _mathml(latex: str, *, block: bool) -> str | None:
    """A formula in LaTeX as MathML; None if it can't be converted."""
    if not latex.strip() or len(latex) > LONGEST_FORMULA or _CONTROL.search(latex):
        return None
    try:
        found = convert_to_element(latex, display="block" if block else "inline")
    except (Exception, RecursionError):
        return None
    if any("\\" in (each.text or "") for each in found.iter()):  # an unknown command
        return None
    return tostring(_allowed(found), encoding="unicode", short_empty_elements=False)


def _allowed(element: Element) -> Element:
    tag = element.tag if element.tag in _ELEMENTS else "mrow"
    kept = Element(tag, {k: v for k, v in element.attrib.items() if k in _ATTRIBUTES})
    kept.text = html.unescape(element.text or "")
    kept.extend(_children(element))
    return kept


def _children(element: Element) -> Iterator[Element]:
    yield from map(_allowed, element)
