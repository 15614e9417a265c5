"""Compiling grammars with llguidance, and checking that they can be enforced. Needs no model.

llguidance: https://github.com/guidance-ai/llguidance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache, lru_cache

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from thinkgraph.models.engine.sampling.gbnf import gbnf_to_lark
from thinkgraph.models.engine.sampling.json_schema import schema_to_lark
from thinkgraph.models.engine.sampling.properties import Spell, properties_to_lark
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Sampling, Tagged

# The model draws every token in its own way of tokenizing, so llguidance must not force any.
_HEAD = '%llguidance {"no_forcing": true}\n'
_LIMITS = LLParserLimits(verbose_errors=False, step_max_items=2_000_000)


def is_constrained(sampling: Sampling) -> bool:
    """Whether any part of a text is constrained to a grammar or a schema."""
    return bool(sampling.tagged) or (sampling.json_schema, sampling.grammar) != (None, None)


def check_constraint(sampling: Sampling) -> None:
    """Check that a sampling's constraint can be enforced. Needs no model.

    Raises:
        ModelError: a grammar or schema is invalid or can't be enforced, or settings exclude each
            other.
    """
    s = sampling
    forms = [s.grammar is not None, s.json_schema is not None, bool(s.tagged)]
    if not any(forms):
        if s.constrain_after is not None:
            raise ModelError("constrain_after needs a grammar, a json_schema or tagged parts")
        if s.tagged_required:
            raise ModelError("tagged_required needs tagged parts")
        return
    if sum(forms) > 1:
        raise ModelError("give one of grammar, json_schema and tagged, not both")
    if s.ignore_eos:
        raise ModelError("what a grammar allows has an end, so ignore_eos can't go with it")
    unmarked = sum(not tag.begin for tag in s.tagged)
    if s.constrain_after == "" or (unmarked and not s.tagged_required):
        raise ModelError("what begins a constraint is a text of at least one character")
    if unmarked > 1:
        raise ModelError("only one tagged part can be without a begin; join their schemas")
    if wrong := next((tag for tag in s.tagged if not tag.begin.startswith(tag.trigger)), None):
        raise ModelError(f"a tagged part begins with its trigger, but {wrong.begin!r} doesn't")
    for lark in _parts(sampling):
        _check(lark)


@lru_cache(maxsize=64)
def _check(lark: str) -> None:
    compiled(_bytes(), lark)


@cache
def _bytes() -> LLTokenizer:
    """A vocabulary of the 256 bytes, to check grammars without a model."""
    return LLTokenizer("byte")


def compiled(tokenizer: LLTokenizer, grammar: str) -> LLMatcher:
    """A matcher of a grammar that allows at least one text.

    Raises:
        ModelError: the grammar can't be compiled, or allows no text.
    """
    matcher = LLMatcher(tokenizer, _HEAD + grammar, log_level=0, limits=_LIMITS)
    if not matcher.is_error():
        matcher.compute_bitmask()
    if not matcher.is_error():
        return matcher
    raise ModelError(f"the grammar or JSON schema can't be enforced: {reason(matcher)}")


def reason(matcher: LLMatcher) -> str:
    """The error of a matcher, without the grammar that llguidance shows with it."""
    first, *others = matcher.get_error().strip().splitlines()
    if first == "NoExtensionBias":
        return "it allows no text at all"
    reasons = [first, *(line.strip() for line in others if line.strip().startswith("error:"))]
    return re.sub(r"^at \d+\(\d+\): |failed to compile JSON schema: ", "", " ".join(reasons))


def allows(sampling: Sampling, text: bytes) -> bool:
    """Whether a grammar or JSON schema allows a whole text. Needs no model.

    Raises:
        ModelError: the constraint can't be enforced; see :func:`check_constraint`.
    """
    check_constraint(sampling)
    matcher = compiled(_bytes(), whole(sampling) or "start: /(?s:.*)/")
    return bool(matcher.try_consume_tokens(list(text)) == len(text) and matcher.is_accepting())


def _parts(sampling: Sampling) -> list[str]:
    if (lark := whole(sampling)) is not None:
        return [lark]
    return [in_lark("start", *tagged_to_lark(tag, json.dumps)) for tag in sampling.tagged]


def tagged_to_lark(tag: Tagged, spell: Spell, prefix: str = "") -> tuple[str, list[str]]:
    """The Lark expression of the content of a tag, and the rules that it needs.

    Raises:
        ModelError: the tag's schema can't be enforced.
    """
    if tag.written is None:
        return schema_to_lark(tag.json_schema), []
    return properties_to_lark(tag.json_schema, tag.written, spell, prefix)


def in_lark(name: str, expression: str, rules: Iterable[str]) -> str:
    """A rule, and the rules that it needs."""
    return "\n".join([f"{name}: {expression}", *rules])


def whole(sampling: Sampling) -> str | None:
    """The Lark of a sampling's grammar or JSON schema; None if it has neither."""
    if sampling.grammar is not None:
        return gbnf_to_lark(sampling.grammar)
    if sampling.json_schema is not None:
        return f"start: {schema_to_lark(sampling.json_schema)}"
    return None
