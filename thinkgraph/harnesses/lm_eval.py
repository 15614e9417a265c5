"""Strategies as models of lm-evaluation-harness, for its tasks that generate text.

The harness finds no models outside itself, so this module starts it with one more, and takes
its arguments::

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
"""What a strategy takes of a task's ``generation_kwargs``."""


class Conversation(str):
    """A chat as JSON; a type of its own, so that no plain prompt is mistaken for one."""

    __slots__ = ()


@register_model("thinkgraph")
class StrategyLM(LM):
    """A strategy as a model of the harness; its questions run side by side in one engine.

    A reply is :func:`~thinkgraph.harnesses.respondent.reply`, up to the first of the task's
    ``until``. The task's ``max_gen_toks`` sets the graph's ``max_tokens`` where the params
    don't. How tokens are drawn is the strategy's own: tasks mostly ask for greedy decoding, with
    which a vote would be of one answer many times.

    Args:
        graph: a built-in name, or the path of a spec.
        model: a name of the catalogue; THINKGRAPH_MODEL, or smollm2, by default.
        seed: all randomness comes from it.
        batch_size: not used, as the engine fills its batch by itself; nor are the next two.
        max_batch_size: not used.
        device: not used.
        params: values of the graph's params and of its further inputs.

    Raises:
        ThinkgraphError: there is no such graph or model, or a param that it doesn't have.
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
        """Answer each request; what was answered is kept in the harness's cache as it comes.

        Raises:
            ThinkgraphError: a run failed.
        """
        self._tell_untaken(requests)
        return wait_for(self._answers(requests, shown=not disable_tqdm))

    def loglikelihood(self, requests: list[Instance]) -> NoReturn:
        """Refuse: a strategy writes answers."""
        raise ThinkgraphError(
            "a strategy writes answers and gives no log-likelihoods of others; "
            "choose tasks of output_type generate_until"
        )

    def loglikelihood_rolling(self, requests: list[Instance]) -> NoReturn:
        """Refuse: a strategy writes answers."""
        self.loglikelihood(requests)

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The chat as it is; the model's own template is applied when it is asked."""
        return Conversation(json.dumps(chat_history))

    @property
    def tokenizer_name(self) -> str:
        """What the harness's cache of requests tells chats apart by."""
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
    """The text up to the first of the stops."""
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.partition(stop)[0] if stop else text
    return text


def main() -> None:
    """Run the harness with strategies among its models; an error is one line and status 2."""
    from lm_eval.__main__ import cli_evaluate  # noqa: PLC0415 - only for a program of its own

    try:
        cli_evaluate()
    except ThinkgraphError as error:
        sys.stderr.write(f"thinkgraph: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
