"""calculate: each candidate's program → its answer."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field

from thinkgraph.models.model import ToolCall
from thinkgraph.nodes.base.cost import Cost, PopulationBounds
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.code_blocks import code_of
from thinkgraph.nodes.event import CandidateUpdated, ToolCalled
from thinkgraph.nodes.kinds.act import ToolName
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.step import Step, gather
from thinkgraph.nodes.tools.calculator import calculate
from thinkgraph.nodes.tools.toolbox import Toolbox

_SOLUTION = re.compile(r"^def solution\(\s*\)", re.MULTILINE)
_CALLED = re.compile(r"^(?!def ).*\bsolution\(", re.MULTILINE)


class Calculate(Node):
    """Evaluate the program that each live candidate wrote; the result is its answer.

    Without a tool the program is arithmetic with names and numbers, and evaluated by the built-in
    calculator. A tool such as ``python`` executes it, and the last line of the output is the
    answer. A function ``solution()`` that the program defines without calling it is called, as in
    program-aided language models (arXiv 2211.10435). The code blocks of a text are executed in
    order, as one program. A candidate whose program fails has no answer: it abstains.
    """

    kind: ClassVar[str] = "calculate"
    about: ClassVar[str] = "each candidate's program → its answer, by a safe evaluator or a tool"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})

    tool: ToolName | None = Field(
        None, description="name of the tool that runs the program; null: the built-in calculator"
    )
    seconds: float = Field(
        30.0, gt=0, le=3600, description="time limit of one program run by a tool, in seconds"
    )
    output: int = Field(
        2000, ge=100, le=1_000_000, description="maximum number of characters of the tool's output"
    )

    @property
    def tools_wanted(self) -> tuple[str, ...]:
        """The tool that runs the programs, if one does."""
        return (self.tool,) if self.tool else ()

    async def run(self, state: State, step: Step) -> Update:
        """Evaluate all candidates without a model; calls of a tool run concurrently."""
        if self.tool:
            worked = await gather(*(self._executed(c, self.tool, step) for c in state.live))
        else:
            worked = [c.model_copy(update={"answer": calculate(c.text)}) for c in state.live]
        for candidate in worked:
            step.emit(CandidateUpdated(candidate=candidate))
        return Update(candidates=tuple(worked))

    async def _executed(self, candidate: Candidate, name: str, step: Step) -> Candidate:
        tools = [step.tools[name]]
        toolbox = Toolbox(tools, seconds=self.seconds, output=self.output)
        (tool,) = toolbox.described
        argument = next(iter(tool.parameters.get("properties") or ()), "code")
        call = ToolCall(name=name, arguments={argument: program(candidate.text)})
        try:
            record = await toolbox.call(call)
        finally:
            await toolbox.close()
        step.emit(ToolCalled(node=step.node, id=candidate.id, call=record))
        answer = None if record.failed else printed(record.result)
        changes = {"answer": answer, "calls": (*candidate.calls, record)}
        return candidate.model_copy(update=changes)

    def cost(self, before: PopulationBounds) -> Cost:
        """No requests; one call of the tool, if there is one, per candidate."""
        return Cost(before, tool_calls=before.live if self.tool else 0)


def program(text: str) -> str:
    """The program in a text: its code blocks, or the whole text if it has none."""
    code = code_of(text)
    if _SOLUTION.search(code) and not _CALLED.search(code):
        code = f"{code.rstrip()}\nprint(solution())"
    return code


def printed(output: str) -> str | None:
    """The last line of an output as an answer; a whole float is written as an integer."""
    lines = output.strip().splitlines()
    if not lines:
        return None
    last = lines[-1].strip()
    return last.removesuffix(".0") if re.fullmatch(r"-?\d+\.0", last) else last
