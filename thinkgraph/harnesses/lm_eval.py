"""Strategies as models of lm-evaluation-harness, for its tasks that generate text.

The harness doesn't discover models of other packages, so this module registers one and then
starts the harness, with the same arguments::

    python -m thinkgraph.harnesses.lm_eval run --tasks gsm8k --model thinkgraph \\
        --model_args graph=self-consistency,model=smollm2,samples=8 --apply_chat_template
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from rich.console import Console
from rich.progress import Progress

from thinkgraph.harnesses.respondent import AT_ONCE, Respondent, reply
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.event_loop import wait_for
from thinkgraph.models.model import Message
from thinkgraph.models.seed import derive_seed
from thinkgraph.nodes.step import gather

logger = logging.getLogger(__name__)
TAKEN = {"until", "max_gen_toks"}
"""The ``generation_kwargs`` of a task that a strategy uses."""


class Conversation(str):
    """A chat as JSON; a separate type, to distinguish it from plain prompts."""

    __slots__ = ()


@register_model("thinkgraph")
class StrategyLM(LM):
    """A strategy as a model of the harness; its questions run concurrently in one engine.

    A reply is :func:`~thinkgraph.harnesses.respondent.reply`, truncated at the task's ``until``.
    The task's ``max_gen_toks`` sets the graph's ``max_tokens``, unless the params do. The
    strategy's own sampling settings apply: most tasks request greedy decoding, with which all
    votes would be for the same answer.

    Args:
        graph: a built-in name, or the path of a spec.
        model: a model name of the catalogue; by default THINKGRAPH_MODEL, or else smollm2.
        seed: the source of all randomness.
        batch_size: not used, since the engine fills its batch by itself.
        max_batch_size: not used.
        device: not used.
        params: values of the graph's params and further inputs.

    Raises:
        ThinkgraphError: the graph, the model or a param doesn't exist.
    """

    def __init__(
        self,
        graph: str = "",
        model: str | None = None,
        *,
        seed: int = 0,
        batch_size: object = None,
        max_batch_size: object = None,
        device: object = None,
        **params: Any,
    ) -> None:
        super().__init__()
        if not graph:
            raise ThinkgraphError("name a strategy: --model_args graph=self-consistency,…")
        self._respondent = Respondent(graph, model, **params)
        self._seed, self._limited = seed, "max_tokens" in params

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answer the requests; each answer is added to the harness's cache at once.

        Raises:
            ThinkgraphError: a run failed.
        """
        self._tell_untaken(requests)
        return wait_for(self._answers(requests, shown=not disable_tqdm))

    def loglikelihood(self, requests: list[Instance]) -> NoReturn:
        """Refuse, since a strategy gives no log-likelihoods."""
        raise ThinkgraphError(
            "a strategy writes answers and gives no log-likelihoods of others; "
            "choose tasks of output_type generate_until"
        )

    def loglikelihood_rolling(self, requests: list[Instance]) -> NoReturn:
        """Refuse, since a strategy gives no log-likelihoods."""
        self.loglikelihood(requests)

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Return the chat as JSON; the run applies the model's own template."""
        return Conversation(json.dumps(chat_history))

    @property
    def tokenizer_name(self) -> str:
        """The key of the strategy and model in the harness's request cache."""
        return self._respondent.name

    async def _answers(self, requests: Sequence[Instance], *, shown: bool) -> list[str]:
        room = asyncio.Semaphore(AT_ONCE)
        asked: Counter[str] = Counter()
        with Progress(console=Console(stderr=True), disable=not shown) as progress:
            bar = progress.add_task(self._respondent.name, total=len(requests))

            async def answer(request: Instance, again: int) -> str:
                context, settings = request.args
                async with room:
                    said = await self._answer(context, settings, again)
                self.cache_hook.add_partial("generate_until", request.args, said)
                progress.advance(bar)
                return said

            work = []
            for request in requests:
                work.append(answer(request, asked[request.args[0]]))
                asked[request.args[0]] += 1
            return await gather(*work)

    async def _answer(self, context: str, settings: Mapping[str, Any], again: int) -> str:
        seed = derive_seed(self._seed, context, 0, again)
        most = settings.get("max_gen_toks")
        limit = {"max_tokens": most} if most and not self._limited else {}
        result = await self._respondent.answer(_conversation(context), seed=seed, **limit)
        return reply(result, _until(result.answer.text, settings.get("until") or []))

    @staticmethod
    def _tell_untaken(requests: Sequence[Instance]) -> None:
        untaken = sorted({name for request in requests for name in request.args[1]} - TAKEN)
        if untaken:
            names = ", ".join(untaken)
            logger.warning("a strategy samples by its own params: %s of the task not taken", names)


def _conversation(context: str) -> list[Message]:
    if not isinstance(context, Conversation):
        return [Message(role="user", content=context)]
    return [Message.model_validate(turn) for turn in json.loads(context)]


def _until(text: str, stops: str | Sequence[str]) -> str:
    """The text before the first stop sequence."""
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.partition(stop)[0] if stop else text
    return text


def main() -> None:
    """Run the harness with strategies as models; an error prints one line and exits with 2."""
    from lm_eval.__main__ import cli_evaluate  # noqa: PLC0415 - only for a program of its own

    try:
        cli_evaluate()
    except ThinkgraphError as error:
        sys.stderr.write(f"thinkgraph: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
