"""execute: each candidate's program → its answer."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field

from thinkgraph.models.model import ToolCall
from thinkgraph.nodes.base.cost import Cost, PopulationBounds
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.event import CandidateUpdated, ToolCalled
from thinkgraph.nodes.kinds.act import ToolName
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.step import Step, gather
from thinkgraph.nodes.tools.toolbox import Toolbox

_FENCE = re.compile(r"```[a-z]*\n?(.*?)(?:```|\Z)", re.DOTALL)
_SOLUTION = re.compile(r"^def solution\(\s*\)", re.MULTILINE)
_CALLED = re.compile(r"^(?!def ).*\bsolution\(", re.MULTILINE)


class Execute(Node):
    """Run the program that each live candidate wrote; the last line of its output is its answer.

    A function ``solution()`` that the program only defines is called, as in program-aided
    language models (arXiv 2211.10435). Of a text with several blocks of code all are run, in
    their order, as one program. A program that fails has no answer: it abstains.
    """

    kind: ClassVar[str] = "execute"
    about: ClassVar[str] = "each candidate's program → its answer, by a tool that runs code"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})

    tool: ToolName = Field("python", description="name of the tool that runs code")
    seconds: float = Field(30.0, gt=0, le=3600, description="maximum time of one program")
    output: int = Field(
        2000, ge=100, le=1_000_000, description="maximum number of characters of the output"
    )

    @property
    def tools_wanted(self) -> tuple[str, ...]:
        """The tool that runs code."""
        return (self.tool,)

    async def run(self, state: State, step: Step) -> Update:
        """Run all programs, side by side; asks no model."""
        worked = await gather(*(self._worked_out(each, step) for each in state.live))
        return Update(candidates=tuple(worked))

    async def _worked_out(self, candidate: Candidate, step: Step) -> Candidate:
        tools = [step.tools[self.tool]]
        toolbox = Toolbox(tools, seconds=self.seconds, output=self.output)
        (tool,) = toolbox.described
        argument = next(iter(tool.parameters.get("properties", {})), "code")
        call = ToolCall(name=self.tool, arguments={argument: program(candidate.text)})
        try:
            record = await toolbox.call(call)
        finally:
            toolbox.close()
        step.emit(ToolCalled(node=step.node, id=candidate.id, call=record))
        answer = None if record.failed else printed(record.result)
        changes = {"answer": answer, "calls": (*candidate.calls, record)}
        found = candidate.model_copy(update=changes)
        step.emit(CandidateUpdated(candidate=found))
        return found

    def cost(self, before: PopulationBounds) -> Cost:
        """No model call, and a tool's for each candidate."""
        return Cost(before, tool_calls=before.live)


def program(text: str) -> str:
    """The program of a text: its blocks of code, or all of it if it has none."""
    code = "\n".join(_FENCE.findall(text)) if "```" in text else text
    if _SOLUTION.search(code) and not _CALLED.search(code):
        code = f"{code.rstrip()}\nprint(solution())"
    return code


def printed(output: str) -> str | None:
    """The last line of an output, as an answer: a float that is whole is an integer."""
    lines = output.strip().splitlines()
    if not lines:
        return None
    last = lines[-1].strip()
    return last.removesuffix(".0") if re.fullmatch(r"-?\d+\.0", last) else last
