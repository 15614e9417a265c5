"""The sampler of one sequence: a chain of llama.cpp's samplers with its own random state."""

from __future__ import annotations

import ctypes
import math
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from thinkgraph.models.engine.llama.library import llama
from thinkgraph.models.engine.llama.vocabulary import Vocabulary
from thinkgraph.models.engine.sampling.constraint import Constraint, DeadEnd
from thinkgraph.models.engine.sampling.distribution import (
    Distribution,
    Likeliest,
    Logits,
    Tokens,
)
from thinkgraph.models.engine.sampling.dry import dry_sampler, uses_dry
from thinkgraph.models.model import Sampling

BLOCK = 4
"""Rows of a step that a thread processes together."""
_RANDOM = llama.LLAMA_DEFAULT_SEED  # lets llama.cpp choose a random seed
_IMPOSSIBLE = np.float32(-np.inf)
_FEW = (64, 1024)  # candidates in the first and the second search for a nucleus (top-p)
_MARGIN = 0.9  # share of the mass outside the nucleus, before bias and penalties, left out at once
_COLDEST = 1e-6  # lowest temperature: a logit divided by less may be infinite
_XTC_OFF = 0.5  # two tokens can't both have a greater probability
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def native_seed(seed: int) -> int:
    """Fold ``seed`` to 32 bits for llama.cpp, avoiding the value that means random."""
    folded = (seed ^ (seed >> 32)) & 0xFFFFFFFF if seed >> 32 else seed
    return folded & 0xFFFFFFFF if folded & 0xFFFFFFFF != _RANDOM else _RANDOM - 1


class Candidates:
    """A reusable buffer for the tokens that a draw is made from, with their logits.

    Used by one thread, for one draw at a time.

    Args:
        size: maximum number of tokens, that of the vocabulary.

    Attributes:
        exponentials: room for the exponentials of :data:`BLOCK` distributions.
    """

    def __init__(self, size: int) -> None:
        self._room = np.empty(size, _CANDIDATE)
        self._ids, self._logits = self._room["id"], self._room["logit"]
        self._every = np.arange(size, dtype=np.int32)
        self.exponentials: Logits = np.empty((BLOCK, size), np.float32)
        self._data = self._room.ctypes.data_as(ctypes.POINTER(llama.llama_token_data))
        self._array = llama.llama_token_data_array(self._data, 0, -1, False)
        self._reference = ctypes.byref(self._array)

    def __len__(self) -> int:
        return int(self._array.size)

    @property
    def ids(self) -> Tokens:
        """The tokens held."""
        return self._ids[: len(self)]

    @property
    def logits(self) -> Logits:
        """The logits of the tokens held, as changed by samplers."""
        return self._logits[: len(self)]

    def fill(self, logits: Logits, tokens: Tokens | None = None) -> None:
        """Hold ``tokens``, or all tokens, with their logits from a whole row."""
        chosen = slice(None) if tokens is None else tokens
        held = logits[chosen]
        self._ids[: len(held)] = self._every[chosen]
        self._logits[: len(held)] = held
        self._resize(len(held))

    def keep(self, places: Tokens) -> None:
        """Hold only the tokens at ``places``, in that order."""
        self._room[: len(places)] = self._room[places]
        self._resize(len(places))

    def apply(self, chain: Any) -> None:
        """Let a chain of samplers change the logits."""
        llama.llama_sampler_apply(chain, self._reference)

    def pick(self, chain: Any) -> int:
        """Draw a token with a chain of samplers.

        Raises:
            DeadEnd: there is no token to draw from; llama.cpp would end the process.
        """
        if not len(self):
            raise DeadEnd("no token is left")
        llama.llama_sampler_apply(chain, self._reference)
        return int(self._array.data[self._array.selected].id)  # XTC moves where the data begins

    def _resize(self, size: int) -> None:
        self._array.data, self._array.size = self._data, size
        self._array.selected, self._array.sorted = -1, False


class Sampler:
    """Draws one sequence's tokens. Used by one thread at a time.

    The order is llama.cpp's usual one: bias, penalties and DRY (over the completion), top-n-sigma,
    top-k, typical, top-p, min-p, XTC, temperature, then the draw. Most tokens of a vocabulary
    can't be drawn, so llama.cpp's samplers get only those that may be: the top k or, without a
    top-k, the nucleus of top-p and min-p, which is cut here. They get all tokens if DRY or
    top-n-sigma is used, which look at all. Tokens that a constraint disallows are not candidates:
    the draw is made from the masked logits.

    Args:
        vocabulary: the model's vocabulary.
        sampling: the settings.
        seed: any integer; 0 has no special meaning.
        constraint: the constraint on the text, or None.
    """

    def __init__(
        self, vocabulary: Vocabulary, sampling: Sampling, seed: int, constraint: Constraint | None
    ) -> None:
        self._sampling, self._constraint = sampling, constraint
        self._cuts_nucleus_here = _cuts_nucleus(sampling)
        self._count = 1 if sampling.temperature == 0 else sampling.top_k
        if _looks_at_all(sampling):
            self._count = 0  # all
        bias = _bias(vocabulary, sampling)
        window = _window(sampling)
        self._biased = np.array(sorted(bias), np.int32)
        self._penalized: deque[int] = deque(maxlen=window)
        self._adjust = _new_chain(_adjusting(vocabulary, sampling, bias, window))
        self._choose = _new_chain(_choosing(sampling, native_seed(seed)))

    @property
    def is_slow(self) -> bool:
        """Whether a draw may look at the whole vocabulary again, or at a constraint."""
        return self._constraint is not None or not self._count

    @property
    def finished(self) -> bool:
        """Whether the constraint allows nothing more."""
        return self._constraint is not None and self._constraint.finished

    def draw(self, distribution: Distribution, candidates: Candidates) -> int:
        """Draw one token.

        Args:
            distribution: the model's distribution.
            candidates: room for the vocabulary, which one thread's samplers share.

        Raises:
            DeadEnd: constraint and bias leave no token.
            FloatingPointError: bias or penalties leave no finite logits.
        """
        if self._constraint is None:
            token = self._draw(distribution, candidates)
        else:
            token = self._draw_allowed(distribution, candidates, self._constraint)
        if self._adjust:
            llama.llama_sampler_accept(self._adjust, token)
            self._penalized.append(token)
        llama.llama_sampler_accept(self._choose, token)
        return token

    def close(self) -> None:
        """Free the native samplers; may be called again."""
        for chain in (self._adjust, self._choose):
            if chain:
                llama.llama_sampler_free(chain)
        self._adjust = self._choose = self._constraint = None

    def _draw_allowed(
        self, distribution: Distribution, candidates: Candidates, constraint: Constraint
    ) -> int:
        allowed = constraint.allowed()
        while True:
            if allowed is not None:
                logits = np.where(allowed, distribution.logits, _IMPOSSIBLE)
                distribution = Distribution(logits)
            token = self._draw(distribution, candidates)
            if constraint.accept(token):
                return token
            # The token would end free text and continue with text that the constraint disallows.
            size = len(distribution.logits)
            allowed = np.ones(size, np.bool_) if allowed is None else allowed.copy()
            allowed[token] = False

    @property
    def wanted(self) -> int:
        """How many of the likeliest tokens of the model's distribution a draw looks at first.

        0 if that isn't known before the draw: with a constraint, bias or penalties.
        """
        if self._constraint or self._adjust:
            return 0
        return self._count or (_FEW[0] if self._cuts_nucleus_here else 0)

    def _draw(self, distribution: Distribution, candidates: Candidates) -> int:
        changed = self._biased
        if self._penalized:
            changed = np.unique(np.append(changed, np.array(self._penalized, np.int32)))
        if self._count or not self._cuts_nucleus_here:
            # A lowered token may make room for one more; a raised one is a candidate anyway.
            found = distribution.likeliest(self._count + len(changed)) if self._count else None
            self._fill(distribution, candidates, found, changed)
        else:
            for found in self._search(distribution, len(changed)):
                self._fill(distribution, candidates, found, changed)
                if self._cut_nucleus(distribution, candidates, found):
                    break
        return candidates.pick(self._choose)

    def _search(self, distribution: Distribution, changed: int) -> Iterator[Likeliest | None]:
        """Candidates that may contain the nucleus, fewest first; None means all tokens."""
        for few in _FEW:
            found = distribution.likeliest(few + changed)
            yield found
            if found is None:
                return
        if self._sampling.top_p < 1:
            yield distribution.covering(1 - _MARGIN * (1 - self._sampling.top_p))
        yield None

    def _fill(
        self,
        distribution: Distribution,
        candidates: Candidates,
        found: Likeliest | None,
        changed: Tokens,
    ) -> None:
        """Hold the found tokens, or all, and the changed ones; then apply bias and penalties."""
        if found is None:
            possible = distribution.logits > _IMPOSSIBLE
            if not possible.any():
                raise DeadEnd("no token is left")
            tokens = None if possible.all() else np.flatnonzero(possible)
            candidates.fill(distribution.logits, tokens)
        elif len(changed):
            logits = distribution.logits[changed]
            others = changed[(logits < found.least) & (logits > _IMPOSSIBLE)]
            candidates.fill(distribution.logits, np.append(found.tokens, others))
        else:
            candidates.fill(distribution.logits, found.tokens)
        if self._adjust:
            candidates.apply(self._adjust)
            largest = candidates.logits.max()
            if not largest < math.inf:
                raise FloatingPointError("bias and penalties leave no finite logits")
            if found is None and largest == _IMPOSSIBLE:
                raise DeadEnd("no token is left")

    def _cut_nucleus(
        self, distribution: Distribution, candidates: Candidates, found: Likeliest | None
    ) -> bool:
        """Keep the tokens that top-p and min-p leave; False if more candidates are needed."""
        s, logits = self._sampling, candidates.logits
        order = np.argsort(-logits, kind="stable")
        logits = logits[order]
        if logits[0] == _IMPOSSIBLE:  # bias excludes all candidates
            return False
        size, known = len(logits), found is None
        above = found.least if found else -math.inf  # all tokens with such logits are held
        if s.min_p > 0:
            least = logits[0] + np.float32(math.log(s.min_p))
            size = int(np.searchsorted(-logits, -least, side="right"))
            known = known or least >= above
        if s.top_p < 1:
            mass = np.cumsum(np.exp(logits - logits[0]), dtype=np.float64)
            total = mass[-1] if found is None else self._total(distribution, candidates)
            if total == math.inf:
                return False
            nucleus = int(np.searchsorted(mass, s.top_p * total)) + 1
            known = known or (nucleus <= len(logits) and logits[nucleus - 1] >= above)
            size = min(size, nucleus)
        if not known:
            return False
        kept = order[:size]
        if s.top_p == 1:  # llama.cpp sorts for top-p only, and draws in this order
            kept = kept[np.argsort(candidates.ids[kept])]
        candidates.keep(kept)
        return True

    def _total(self, distribution: Distribution, candidates: Candidates) -> float:
        """The sum of all exponentials after bias and penalties, divided by the largest one.

        Infinite if most of it was taken away, since the rest is not known exactly then.
        """
        held, shift, total = candidates.logits.astype(np.float64), distribution.shift, 0.0
        if self._adjust:
            before = distribution.logits[candidates.ids].astype(np.float64)
            total = math.fsum(np.exp(held - shift) - np.exp(before - shift))
            if total < -0.9 * distribution.total:
                return math.inf
        return (distribution.total + total) * math.exp(shift - float(held.max()))


def _bias(vocabulary: Vocabulary, sampling: Sampling) -> dict[int, float]:
    ends = dict.fromkeys(vocabulary.ends, float(_IMPOSSIBLE)) if sampling.ignore_eos else {}
    return sampling.logit_bias | ends


def _window(s: Sampling) -> int:
    """How many of the last tokens are penalized."""
    if (s.repeat_penalty, s.frequency_penalty, s.presence_penalty) == (1, 0, 0):
        return 0
    return min(s.penalty_last_n, s.max_tokens) if s.penalty_last_n >= 0 else s.max_tokens


def _looks_at_all(s: Sampling) -> bool:
    """Whether the chain begins with a sampler that needs every logit."""
    return uses_dry(s) or (s.top_n_sigma > 0 and s.temperature > 0)


def _cuts_nucleus(s: Sampling) -> bool:
    """Whether top-p and min-p are cut here: no sampler before them looks at all tokens."""
    return not _looks_at_all(s) and s.typical_p == 1 and (s.top_p < 1 or s.min_p > 0)


def _new_chain(samplers: list[Any]) -> Any:
    """A chain of llama.cpp's samplers; None if there are none."""
    if not samplers:
        return None
    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    for sampler in samplers:
        llama.llama_sampler_chain_add(chain, sampler)
    return chain


def _adjusting(
    vocabulary: Vocabulary, s: Sampling, bias: dict[int, float], window: int
) -> list[Any]:
    """The samplers that change logits: bias, penalties and DRY."""
    samplers = []
    if bias:
        pairs = (llama.llama_logit_bias * len(bias))(
            *[llama.llama_logit_bias(*b) for b in bias.items()]
        )
        samplers.append(llama.llama_sampler_init_logit_bias(vocabulary.size, len(bias), pairs))
    if window:
        samplers.append(
            llama.llama_sampler_init_penalties(
                vocabulary.size, window, s.repeat_penalty, s.frequency_penalty, s.presence_penalty
            )
        )
    if uses_dry(s):
        samplers.append(dry_sampler(vocabulary, s))
    return samplers


def _choosing(s: Sampling, seed: int) -> list[Any]:
    """The samplers that draw a token."""
    if s.temperature == 0:
        return [llama.llama_sampler_init_greedy()]
    samplers = []
    if s.top_n_sigma > 0:
        samplers.append(llama.llama_sampler_init_top_n_sigma(s.top_n_sigma))
    if s.top_k or not _cuts_nucleus(s):
        if s.top_k:
            samplers.append(llama.llama_sampler_init_top_k(s.top_k))
        if s.typical_p < 1:
            samplers.append(llama.llama_sampler_init_typical(s.typical_p, 1))
        if s.top_p < 1:
            samplers.append(llama.llama_sampler_init_top_p(s.top_p, 1))
        if s.min_p > 0:
            samplers.append(llama.llama_sampler_init_min_p(s.min_p, 1))
    if s.xtc_probability > 0 and s.xtc_threshold <= _XTC_OFF:
        samplers.append(llama.llama_sampler_init_xtc(s.xtc_probability, s.xtc_threshold, 1, seed))
    if s.temperature != 1:
        samplers.append(llama.llama_sampler_init_temp(max(s.temperature, _COLDEST)))
    return [*samplers, llama.llama_sampler_init_dist(seed)]
