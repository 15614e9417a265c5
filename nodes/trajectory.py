"""Trajectories: the turns and tool calls that lead to one candidate's answer.

The calls are written in the model's own tool format (ReAct, arXiv 2210.03629), or as code blocks
within the text, each followed by its output (ToRA, arXiv 2309.17452).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from contextlib import suppress
from textwrap import dedent
from typing import Any

from thinkgraph.models.errors import PromptTooLong
from thinkgraph.models.formats.parser import call_id
from thinkgraph.models.model import (
    NO_TOOLS,
    NOT_WRITTEN,
    Completion,
    Message,
    Sampling,
    ToolCall,
    ToolUse,
    continued,
)
from thinkgraph.nodes.code_blocks import last_block
from thinkgraph.nodes.event import TextDelta, ToolCalled
from thinkgraph.nodes.person import ask_person
from thinkgraph.nodes.population import CallRecord
from thinkgraph.nodes.step import Step, gather
from thinkgraph.nodes.tools.toolbox import Toolbox

FENCE = "```"
CODE_STOPS = (f"{FENCE}\n", f"{FENCE}output")
"""Stop texts after a code block, so that the model doesn't invent the output: the end of the block,
or the beginning of its output."""
HOW = (
    "true to make the call, false to refuse it, a text or {remark: TEXT} to refuse it with a "
    "remark for the model, or {arguments: {...}} to make it with these"
)
EMPTY = "[the result is empty]"
SILENT = "[nothing was printed: print what you want to see]"
LAST = "[that was the last call; answer now]"


class Trajectory(ABC):
    """The turns of one candidate, and the tool calls between them.

    Args:
        messages: the prompt.
        sampling: sampling settings of each turn.
        sample: index of the candidate among the samples of the node's run.
        step: the node's run.
        toolbox: the tools.
        max_calls: maximum number of calls.
        role: role of the model.
        parallel: whether a turn may have several calls.
        approve: names of the tools whose calls a person has to approve.
        required: whether the first turn has to call a tool.

    Attributes:
        text: text of the candidate's answer so far.
        calls: the calls so far.
    """

    def __init__(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        sample: int,
        step: Step,
        toolbox: Toolbox,
        *,
        max_calls: int,
        role: str = "",
        parallel: bool = True,
        approve: Collection[str] = (),
        required: bool = False,
    ) -> None:
        self._messages, self._sampling, self._sample = list(messages), sampling, sample
        self._step, self._toolbox, self._role = step, toolbox, role
        self._max_calls, self._parallel, self._approve = max_calls, parallel, approve
        self._required = required
        self._turns: list[Completion] = []
        self.text = ""
        self.calls: list[CallRecord] = []

    @property
    def first(self) -> tuple[list[Message], Sampling, ToolUse]:
        """The first request; all trajectories of a prompt share it, so that it can be one batch."""
        return self._messages, self._turn_sampling, self._tools

    async def go_on(self, turn: Completion) -> Completion:
        """Call tools and sample further turns until there are no more calls.

        Args:
            turn: the first turn.

        Returns:
            The whole trajectory as one completion, with the text of the answer.
        """
        try:
            while self._take(turn) and turn.finish_reason not in NOT_WRITTEN:
                await self._act(turn)
                with suppress(PromptTooLong):
                    turn = await self._ask()
                    continue
                turn = turn.model_copy(update={"finish_reason": "length"})
                self._turns[-1] = turn
                break
        finally:
            await self._toolbox.close()
        tokens = sum(each.tokens for each in self._turns)
        return turn.model_copy(
            update={
                "sample": self._sample,
                "seed": self._turns[0].seed,
                "text": self.text,
                "tokens": tokens,
                "tool_calls": (),
                "invalid_tool_calls": (),
                "confidence": turn.confidence if len(self._turns) == 1 else None,
            }
        )

    async def _ask(self) -> Completion:
        (turn,) = await sampled(
            self._step,
            self._prompt,
            self._turn_sampling,
            first=self._sample,
            part=len(self._turns),
            role=self._role,
            tools=self._tools,
            once=bool(self._approve),
        )
        return turn

    async def _call(self, call: ToolCall | CallRecord) -> CallRecord:
        """Make a call; return the given record of one that was refused."""
        if isinstance(call, CallRecord):
            record = call
        elif self._approve:

            async def work() -> Any:
                return (await self._toolbox.call(call)).model_dump(mode="json")

            record = CallRecord.model_validate(await self._step.once(work))
        else:
            record = await self._toolbox.call(call)
        name = self._step.id(self._sample)
        self._step.emit(ToolCalled(node=self._step.node, id=name, call=record))
        return record

    def _approved(self, call: ToolCall) -> ToolCall | CallRecord:
        """The call as a person approved it, or the record of a refusal."""
        if call.name not in self._approve:
            return call
        if not self._step.may_ask_person():
            return _not_made(call, "not made: the run was stopped before a person was asked")
        request = {
            "approve": self._step.id(self._sample),
            "tool": call.name,
            "arguments": call.arguments,
            "reply": HOW,
        }
        while True:
            given = ask_person(request)
            match given:
                case True | "y" | "yes":
                    return call
                case False | "n" | "no":
                    return _refused(call, "")
                case {"remark": str() as remark} | (str() as remark) if remark.strip():
                    return _refused(call, remark.strip())
                case {"arguments": dict() as arguments}:
                    return call.model_copy(update={"arguments": arguments})
            request["error"] = f"{given!r} is not a reply"

    @property
    def _left(self) -> int:
        """Number of calls that may still be made."""
        return max(self._max_calls - len(self.calls), 0)

    @property
    def _turn_sampling(self) -> Sampling:
        return self._sampling

    @property
    def _tools(self) -> ToolUse:
        return NO_TOOLS

    @property
    @abstractmethod
    def _prompt(self) -> list[Message]:
        """The messages of the next request."""

    @abstractmethod
    def _take(self, turn: Completion) -> bool:
        """Add a turn of the model; return whether the trajectory goes on after its calls."""

    @abstractmethod
    async def _act(self, turn: Completion) -> None:
        """Make the calls of a turn."""


async def sampled(
    step: Step,
    messages: Sequence[Message],
    sampling: Sampling,
    *,
    once: bool,
    **rest: Any,
) -> list[Completion]:
    """Sample completions as :meth:`.step.Step.sample` does.

    Args:
        step: the node's run.
        messages: the prompt.
        sampling: the sampling settings.
        once: whether to keep the completions for a restart of the node after an interrupt.
        rest: the other arguments.
    """
    if not once:
        return await step.sample(messages, sampling, **rest)

    async def work() -> Any:
        found = await step.sample(messages, sampling, **rest)
        return [completion.model_dump(mode="json") for completion in found]

    return [Completion.model_validate(each) for each in await step.once(work)]


def _refused(call: ToolCall, remark: str) -> CallRecord:
    return _not_made(call, f"refused by a person{remark and f': {remark}'}")


def _not_made(call: ToolCall, said: str) -> CallRecord:
    return CallRecord(tool=call.name, arguments=call.arguments, result=said, failed=True)


class ToolTrajectory(Trajectory):
    """A trajectory with calls in the model's own tool format; the results are messages."""

    @property
    def _tools(self) -> ToolUse:
        if not self._left:
            return NO_TOOLS
        choice = "any" if self._required and not self._turns else "auto"
        return ToolUse(self._toolbox.described, choice, parallel=self._parallel)

    @property
    def _prompt(self) -> list[Message]:
        return self._messages

    def _take(self, turn: Completion) -> bool:
        self._turns.append(turn)
        self.text = turn.text
        return bool(self._left and (turn.tool_calls or turn.invalid_tool_calls))

    async def _act(self, turn: Completion) -> None:
        named = [c if c.id else c.model_copy(update={"id": call_id()}) for c in turn.tool_calls]
        calls = named[: self._left if self._parallel else 1]
        allowed = [self._approved(call) for call in calls]  # all of them before any is made
        # The turn shows the arguments as a person changed them, so that calls and results match.
        made = [a if isinstance(a, ToolCall) else c for a, c in zip(allowed, calls, strict=True)]
        shown = (*made, *named[len(calls) :])
        said = "\n".join([turn.text, *(bad.text for bad in turn.invalid_tool_calls)]).strip()
        self._messages.append(
            Message(role="assistant", content=said, reasoning=turn.reasoning, tool_calls=shown)
        )
        records = await gather(*map(self._call, allowed))
        self.calls += records  # in the order of the turn, not of the results
        results = [record.result or EMPTY for record in records]
        refused = "make one call at a time" if self._left else "no more calls are possible"
        results += [f"error: {refused}"] * (len(named) - len(calls))
        if results and not self._left:
            results[-1] = f"{results[-1]}\n{LAST}"
        self._messages += [
            Message(role="tool", content=result, tool_call_id=call.id, name=call.name)
            for call, result in zip(named, results, strict=True)
        ]
        if not named:  # the turn has only an invalid call, which counts as a call
            bad = turn.invalid_tool_calls[0]
            self.calls.append(CallRecord(tool="", result=f"error: {bad.error}", failed=True))
            told = f"That is no valid call: {bad.error}. Call a tool again, or answer."
            self._messages.append(Message(role="user", content=told))


class CodeTrajectory(Trajectory):
    """A trajectory that calls one tool by code blocks; their output follows in the same text.

    A fence that ends no Python block stops the model as well: it is put back, and the model goes
    on, at most as often as there may be calls.
    """

    _code: str | None = None
    _fences = 0

    @property
    def _turn_sampling(self) -> Sampling:
        stop = (*self._sampling.stop, *CODE_STOPS)
        return self._sampling.model_copy(update={"stop": stop})

    @property
    def _prompt(self) -> list[Message]:
        return continued(self._messages, self.text)

    def _take(self, turn: Completion) -> bool:
        self._turns.append(turn)
        self.text += turn.text
        self._code = None
        found = last_block(self.text)
        if found and turn.finish_reason == "stop" and self._left:
            self._code = dedent(found["code"]).rstrip()
            self._add(self.text[: found.end("code")].rstrip() + f"\n{FENCE}\n")
            return True
        if found:  # the block isn't executed, so nothing in it may be taken for an answer
            self.text = self.text[: found.start()]
        elif turn.stop_text in CODE_STOPS and self._fences < self._max_calls:
            self._fences += 1
            self._add(self.text + turn.stop_text)
            return True
        return False

    async def _act(self, turn: Completion) -> None:
        if self._code is None:
            return
        (tool,) = self._toolbox.described
        (argument,) = list(tool.parameters.get("properties", {}))[:1] or ["code"]
        call = ToolCall(name=tool.name, arguments={argument: self._code}, id=call_id())
        record = await self._call(self._approved(call))
        self.calls.append(record)
        output = record.result.replace(FENCE, "'''") or SILENT
        last = "" if self._left else f"{LAST}\n"
        self._add(f"{self.text}{FENCE}output\n{output}\n{FENCE}\n{last}")

    def _add(self, text: str) -> None:
        """Set the text, and emit an event with what was appended to it."""
        name, tokens = self._step.id(self._sample), sum(turn.tokens for turn in self._turns)
        more = text.removeprefix(self.text)
        if more and text.startswith(self.text):
            self._step.emit(TextDelta(node=self._step.node, id=name, text=more, tokens=tokens))
        self.text = text
