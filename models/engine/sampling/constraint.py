"""Constrained decoding of a completion by a grammar, a JSON schema, or tagged parts.

A grammar gives a mask of the tokens that may come next, which is applied to the logits before a
token is drawn. Free text is not masked, but only searched for triggers that begin a constraint.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from thinkgraph.models.cached_property import cached_property
from thinkgraph.models.engine.llama.vocabulary import Vocabulary
from thinkgraph.models.engine.sampling.grammar import (
    check_constraint,
    compiled,
    in_lark,
    reason,
    tagged_to_lark,
    whole,
)
from thinkgraph.models.engine.sampling.properties import loose
from thinkgraph.models.model import Sampling

Mask = npt.NDArray[np.bool_]

_MARKER = re.compile(r"<[^<>\s]+>|\[[A-Z_]+\]")
_KEPT = 64  # maximum number of cached grammars


class DeadEnd(Exception):
    """The constraint allows no token here, or can't be followed any further."""


@dataclass(frozen=True)
class Plan:
    """A sampling's constraint, in Lark for one vocabulary.

    Attributes:
        start: the grammar that applies first; None if no part is required.
        after: the free text after which it applies; None means from the beginning of the text.
        triggers: texts that end later free text, each with the grammar of what follows.
        again: whether several constrained parts may come; None if the text ends with the first.
    """

    start: str | None = None
    after: bytes | None = None
    triggers: dict[bytes, str] = field(default_factory=dict)
    again: bool | None = None

    @property
    def grammars(self) -> list[str]:
        """All of its grammars."""
        return [*([self.start] if self.start else []), *self.triggers.values()]


class Grammars:
    """Compiles and caches constraints for one vocabulary. Thread-safe."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._lock = threading.Lock()
        self._compiled: OrderedDict[str, LLMatcher] = OrderedDict()

    def are_compiled(self, plan: Plan) -> bool:
        """Whether all grammars of a plan have been compiled."""
        with self._lock:
            return all(grammar in self._compiled for grammar in plan.grammars)

    def compile(self, plan: Plan) -> None:
        """Compile the grammars of a plan; the first reads the vocabulary, which takes seconds.

        Raises:
            ModelError: one can't be compiled.
        """
        for grammar in plan.grammars:
            self.matcher(grammar)

    def plan(self, sampling: Sampling) -> Plan | None:
        """A sampling's constraint, not yet compiled; None if its text is unconstrained.

        Raises:
            ModelError: it can't be enforced; see :func:`.grammar.check_constraint`.
        """
        check_constraint(sampling)
        after = sampling.constrain_after.encode() if sampling.constrain_after else None
        if sampling.tagged:
            return self._tagged(sampling, after)
        if (lark := whole(sampling)) is not None:
            return Plan(_behind(lark) if after and not sampling.grammar else lark, after)
        return None

    def matcher(self, grammar: str) -> LLMatcher:
        """A new matcher at the beginning of a grammar.

        Raises:
            ModelError: the grammar can't be compiled.
        """
        with self._lock:
            found = self._compiled.get(grammar)
        if found is None:  # without the lock, which a step may wait for
            found = compiled(self._tokenizer, grammar)
        with self._lock:
            self._compiled[grammar] = found
            self._compiled.move_to_end(grammar)
            while len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)
            return found.deep_copy()

    def tokens(self, text: bytes) -> list[int]:
        """A tokenization of a text, to advance a matcher by that text."""
        with self._lock:
            return self._tokenizer.greedy_tokenize(text.decode())

    @cached_property
    def every(self) -> Mask:
        """A mask of all tokens."""
        return np.ones(self.vocabulary.size, np.bool_)

    @cached_property
    def but_ends(self) -> Mask:
        """A mask of all tokens but those that end a text."""
        mask = self.every.copy()
        mask[list(self.vocabulary.ends)] = False
        return mask

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        wrapped = TokenizerWrapper(_Tokenizer(self.vocabulary))
        return LLTokenizer(wrapped, eos_token=sorted(self.vocabulary.ends) or None)

    def _tagged(self, sampling: Sampling, after: bytes | None) -> Plan:
        begins = [tag.begin for tag in sampling.tagged if tag.begin]
        common = _common(min(begins), max(begins)) if begins else ""
        start: list[Option] = []
        following: dict[bytes, list[Option]] = {}
        again: bool | None = sampling.tagged_parallel
        for number, tag in enumerate(sampling.tagged):
            end = tag.end.removesuffix(self._ending(tag.end))
            again = again if end == tag.end else None  # the whole text ends there
            inside, rules = tagged_to_lark(tag, self._spelled, f"t{number}")
            spell = self._loosely if tag.written else self._spelled
            body = f"{inside} {spell(end)}"
            if not tag.begin:
                start.append(("answer", [f"answer[capture]: {body}", *rules]))
                continue
            start.append((f"{spell(tag.begin)} {body}", rules))
            trigger = tag.trigger or self._marker(tag.begin) or common or tag.begin
            options = following.setdefault(trigger.encode(), [])
            options.append((f"{spell(tag.begin[len(trigger) :])} {body}", rules))
        first = _either(start) if sampling.tagged_required else None
        return Plan(
            _behind(first) if after and first else first,
            after,
            {trigger: _either(options) for trigger, options in following.items()},
            again,
        )

    def _loosely(self, text: str) -> str:
        return loose(text, self._spelled)

    def _ending(self, text: str) -> str:
        """The end-of-generation token that ends a text, such as ``<|eom_id|>``; empty if none."""
        ends = map(self.vocabulary.spelling, self.vocabulary.ends)
        return next((end for end in ends if end and text.endswith(end)), "")

    def _marker(self, text: str) -> str:
        """The marker that a text begins with, such as ``<tool_call>``; empty if there is none."""
        if own := next((m for m in self.vocabulary.markers if text.startswith(m)), ""):
            return own
        return found[0] if (found := _MARKER.match(text)) else ""

    def _spelled(self, text: str) -> str:
        """A text in Lark, with the control tokens in it as tokens."""
        controls = self.vocabulary.controls
        if not text:
            return '""'
        pattern = "|".join(map(re.escape, sorted(controls, key=len, reverse=True)))
        parts = re.split(f"({pattern})", text) if pattern else [text]
        return " ".join(
            f"<[{controls[part]}]>" if part in controls else json.dumps(part)
            for part in parts
            if part
        )


class _Tokenizer:
    """A vocabulary in the form that llguidance reads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        pieces = vocabulary.pieces()
        self.special_token_ids = [token for token, piece in enumerate(pieces) if not piece]
        for token in self.special_token_ids:
            pieces[token] = vocabulary.spelling(token).encode()
        self.tokens = pieces
        self.bos_token_id = vocabulary.bos
        self.eos_token_id = min(vocabulary.ends, default=None)

    def __call__(self, text: bytes) -> list[int]:
        return self._vocabulary.tokenize(text.decode("utf-8", "replace"))


def _common(one: str, other: str) -> str:
    """The common prefix of two texts."""
    alike = (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return one[: next(alike, len(one))]


def _behind(grammar: str) -> str:
    """A grammar after a thought, where models write up to two line breaks before the answer."""
    return f'start: ("\\n" "\\n"?)? held\n{grammar.replace("start:", "held:", 1)}'


Option = tuple[str, list[str]]
"""An expression in Lark, and the rules that it needs."""


def _either(options: list[Option]) -> str:
    rules = [rule for _, needed in options for rule in needed]
    return in_lark("start", "\n    | ".join(expression for expression, _ in options), rules)


class Constraint:
    """The state of one sample's constraint. Used by one thread at a time.

    Text is either free, and searched for a trigger, or constrained by a matcher.
    """

    def __init__(self, grammars: Grammars, plan: Plan) -> None:
        self._grammars, self._plan = grammars, plan
        self._vocabulary = grammars.vocabulary
        self._words = np.empty((self._vocabulary.size + 31) // 32, np.uint32)
        self._matcher: LLMatcher | None = None
        self._triggers: dict[bytes, str | None] = {**plan.triggers}
        if plan.after:
            self._triggers = {plan.after: plan.start}
        elif plan.start:
            self._matcher = grammars.matcher(plan.start)
        self._waits = bool(plan.after and plan.start)  # free text may not end before its part
        self._seen = b""  # the end of the free text, in which a trigger may have begun
        self.finished = False
        """Whether nothing more may follow, not even free text."""

    def allowed(self) -> Mask | None:
        """The tokens that may come next, as a mask over the vocabulary; None for all.

        Raises:
            DeadEnd: no token is allowed.
        """
        if self._matcher is None:
            return self._grammars.but_ends if self._waits else None
        words = self._words
        self._matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
        if self._matcher.is_error():
            raise DeadEnd(reason(self._matcher))
        bits = np.unpackbits(words.view(np.uint8), bitorder="little")
        return bits[: self._vocabulary.size].view(np.bool_)

    def accept(self, token: int) -> bool:
        """Advance by one token; False, without any change, if it is not allowed here."""
        if self._matcher is None:
            return self._watch(token)
        if token in self._vocabulary.ends and self._matcher.is_accepting():
            return True
        if not self._matcher.try_consume_tokens([token]):
            return False
        if self._matcher.is_stopped():
            self._release(self._matcher)
        return True

    def _watch(self, token: int) -> bool:
        """Advance by a token of free text, which may complete a trigger."""
        if not self._triggers or token in self._vocabulary.ends:
            return True
        piece = self._vocabulary.piece(token) or self._vocabulary.spelling(token).encode()
        text = self._seen + piece
        ends = [
            (at + len(trigger), -len(trigger), trigger)  # at one end, the longest trigger
            for trigger in self._triggers
            if (at := text.find(trigger)) >= 0
        ]
        if not ends:
            longest = max(map(len, self._triggers))
            self._seen = text[-(longest - 1) :] if longest > 1 else b""
            return True
        end, _, trigger = min(ends)
        if trigger == self._plan.after and not self._plan.start:
            self._triggers, self._seen = {**self._plan.triggers}, text[end:]
            return True
        return self._hold(self._triggers[trigger], text[end:])

    def _hold(self, grammar: str | None, begun: bytes) -> bool:
        """Constrain what follows to a grammar; False if the text begun doesn't match it."""
        if grammar is None:
            return False
        matcher = self._grammars.matcher(grammar)
        if begun:
            try:
                tokens = self._grammars.tokens(begun)
            except UnicodeDecodeError:
                return False
            if matcher.try_consume_tokens(tokens) < len(tokens):
                return False
        self._matcher, self._waits, self._seen = matcher, False, b""
        if matcher.is_stopped():
            self._release(matcher)
        return True

    def _release(self, matcher: LLMatcher) -> None:
        """End a constrained part: text is free again, or nothing may follow."""
        if self._plan.again is None or matcher.get_capture("answer") is not None:
            self.finished = True
            return
        self._matcher = None
        self._triggers = {**self._plan.triggers}
        if not self._plan.again:  # reject every further trigger
            self._triggers = dict.fromkeys(self._triggers)
