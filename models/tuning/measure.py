"""Measurements by a few requests: an engine's sampling speed, and the perplexity of a text."""

from __future__ import annotations

import math
import statistics
import time
from typing import NamedTuple

from thinkgraph.models.engine.engine import Engine
from thinkgraph.models.engine.sequence import Request
from thinkgraph.models.model import Sampling

PROMPT = 64  # tokens of the text that serve as the prompt
TEXT = (
    "The river was low that summer, and the stones of the old ford lay dry. Anna counted the "
    "barges as they passed: three before noon, five after it, and one, late in the evening, "
    "without a light. Her brother kept the lock. He wrote each name in a book, with the hour "
    "and the load, and if the water fell by more than a hand he closed the gate and waited. "
    "In the second week a man came from the ministry with a measuring rod and a folded map. He "
    "asked how deep the channel had been in the spring, who had dredged it, and what was paid. "
    "Anna told him what she knew. The rest was in the book, she said, and the book was at the "
    "lock, where he could read it himself if he did not mind the dog. He thanked her, drank a "
    "glass of water, and walked along the towpath with the rod over his shoulder. By evening "
    "the whole village had heard that a new canal would be dug, that none would, and that the "
    "railway had bought both banks as far as the mill. It rained on the ninth of September, "
    "first a little, then for three days without a pause. On the fourth morning the ford was "
    "gone, eleven barges lay below the lock, and nobody spoke of the canal until next summer."
)
SAMPLING = Sampling(max_tokens=24, ignore_eos=True, temperature=5, top_p=1, min_p=0)
"""A high temperature, so that samples differ at once: equal samples are computed only once."""


class Timing(NamedTuple):
    """Timing of several samples of one prompt.

    Attributes:
        prefilled: prompt tokens computed.
        prefill_s: seconds until the first token.
        step_s: seconds of each further token of all samples together.
        tokens_per_s: tokens per second of all samples together, including the prompt's time.
    """

    prefilled: int
    prefill_s: float
    step_s: float
    tokens_per_s: float


def measure(engine: Engine, width: int) -> Timing:
    """Time ``width`` samples of a prompt that is not cached."""
    engine.clear_cache()
    prompt = engine.vocabulary.tokenize(TEXT, bos=True)[:PROMPT]
    request = Request(prompt, SAMPLING, range(width))
    began = time.perf_counter()
    engine.submit(request)
    request.done.result()
    took, usage = time.perf_counter() - began, request.usage
    return Timing(
        prefilled=max(usage.prefilled_tokens, 1),
        prefill_s=max(usage.first_token_s, 1e-6),
        step_s=max(usage.decode_s, 1e-6) / (SAMPLING.max_tokens - 1),
        tokens_per_s=width * SAMPLING.max_tokens / took,
    )


def perplexity(engine: Engine, text: str = TEXT) -> float:
    """The perplexity of a text, or of its beginning if it is longer than the context."""
    tokens = engine.vocabulary.tokenize(text, bos=True)[: engine.context_length]
    request = Request(tokens[:1], Sampling(), targets=[tokens[1:]])
    engine.submit(request)
    request.done.result()
    return math.exp(-statistics.fmean(request.sequences[0].scores))
