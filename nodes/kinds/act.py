"""act: question → n candidates, each of which may call tools on its way."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from thinkgraph.models.capabilities import Capability
from thinkgraph.models.model import Completion, Message
from thinkgraph.nodes.base.cost import Cost, PopulationBounds
from thinkgraph.nodes.base.param import is_reference
from thinkgraph.nodes.base.sampling_node import CandidateNode
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.step import Step, gather
from thinkgraph.nodes.tools.tool import NAME
from thinkgraph.nodes.tools.toolbox import Toolbox
from thinkgraph.nodes.trajectory import CodeTrajectory, ToolTrajectory, Trajectory, sampled

ToolName = Annotated[str, Field(pattern=rf"^(?:{NAME}|\$[A-Za-z_][A-Za-z0-9_]*)$")]


class Act(CandidateNode):
    """Sample candidates that call tools in a bounded loop and end with an answer.

    The spec names the tools, and the host of the run binds them. With ``form: calls`` the model
    calls them in its own tool format, with arguments constrained to their JSON schemas (ReAct,
    arXiv 2210.03629); for a model without such a format, the prompt describes the tools. With
    ``form: code`` one tool executes the code blocks that the model writes in its text, and each is
    followed by its output (ToRA, arXiv 2309.17452, algorithm 1). A tool that comes from a factory
    is created anew for each trajectory, such as ``python`` with its variables. A tool error is
    returned to the model and doesn't end the run.
    """

    kind: ClassVar[str] = "act"
    about: ClassVar[str] = "question → n candidates, each of which may call tools on its way"
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})
    waits: ClassVar[bool] = True

    prompt: PromptSetting = "question"
    tools: tuple[ToolName, ...] = Field(
        min_length=1, description="names of the tools that the model may call"
    )
    samples: int = Field(
        1, ge=1, le=256, description="number of trajectories, each of which becomes a candidate"
    )
    form: Literal["calls", "code"] = Field(
        "calls",
        description="how the model calls tools: in its tool format, or by code blocks that one "
        "tool executes",
    )
    max_calls: int = Field(
        6, ge=1, le=100, description="maximum number of tool calls per trajectory"
    )
    parallel: bool = Field(True, description="whether the model may make several calls in one turn")
    seconds: float = Field(
        30.0, gt=0, le=3600, description="time limit of one tool call, in seconds"
    )
    output: int = Field(
        2000, ge=100, le=1_000_000, description="maximum number of characters of a tool result"
    )

    require_call: bool = Field(
        False, description="with `form: calls`, whether the first turn has to call a tool"
    )
    approve: bool | tuple[ToolName, ...] = Field(
        False, description="tools whose calls a person has to approve; true: all tools"
    )

    @model_validator(mode="after")
    def _approves_its_tools(self) -> Act:
        for name in self.approve if isinstance(self.approve, tuple) else ():
            if name not in self.tools:
                raise ValueError(f"approve: {name!r} is not one of its tools")
        return self

    @model_validator(mode="after")
    def _one_tool_runs_code(self) -> Act:
        if self.form == "code" and len(self.tools) > 1 and not is_reference(self.form):
            raise ValueError("`form: code` has one tool, which runs the code")
        return self

    @property
    def needs(self) -> frozenset[Capability]:
        """Tool calls or, with ``form: code``, continuing a text after the output of its code."""
        return super().needs | {"tools" if self.form == "calls" else "beginnings"}

    @property
    def asks_person(self) -> bool:
        """Whether a person has to approve calls."""
        return bool(self.approve)

    @property
    def tools_wanted(self) -> tuple[str, ...]:
        """The names of its tools."""
        return self.tools

    async def run(self, state: State, step: Step) -> Update:
        """Sample the first turns in one batch, then continue the trajectories concurrently."""
        messages = step.messages(self.prompt, state)
        if self.prefix:
            messages.append(Message(role="assistant", content=self.prefix))
        ways = [self._trajectory(messages, i, step) for i in range(self.samples)]
        prompt, sampling, tools = ways[0].first
        turns = await sampled(
            step,
            prompt,
            sampling,
            n=self.samples,
            role=self.model,
            tools=tools,
            once=bool(self.approve),
        )
        if self.approve:  # in sequence, so that they ask in the same order after each interrupt
            pairs = zip(ways, turns, strict=True)
            return Update(candidates=tuple([await self._finished(*p, step) for p in pairs]))
        work = [self._finished(way, turn, step) for way, turn in zip(ways, turns, strict=True)]
        return Update(candidates=tuple(await gather(*work)))

    def _trajectory(self, messages: list[Message], sample: int, step: Step) -> Trajectory:
        tools = [step.tools[name] for name in self.tools]
        kind = CodeTrajectory if self.form == "code" else ToolTrajectory
        return kind(
            messages,
            self.sampling,
            sample,
            step,
            Toolbox(tools, seconds=self.seconds, output=self.output),
            max_calls=self.max_calls,
            role=self.model,
            parallel=self.parallel,
            approve=self._approved,
            required=self.require_call,
        )

    @property
    def _approved(self) -> tuple[str, ...]:
        return self.approve if isinstance(self.approve, tuple) else self.tools * self.approve

    async def _finished(self, way: Trajectory, turn: Completion, step: Step) -> Candidate:
        completion = await way.go_on(turn)
        found = self.candidate(completion, step).model_copy(update={"calls": tuple(way.calls)})
        step.emit(CandidateUpdated(candidate=found))
        return found

    def cost(self, before: PopulationBounds) -> Cost:
        """One request for all first turns, one after each call, and with code after a fence."""
        turns = self.max_calls * (2 if self.form == "code" else 1)
        grown = turns * self.max_tokens + self.max_calls * self.output
        asked = self.requests(samples=self.samples)
        more = self.requests(calls=self.samples, turns=turns, prefix=grown)
        longest = self.longest + (grown if self.form == "code" else 0)
        alive = before.live + self.samples
        after = before.added(self.samples, longest, live=alive, exact=before.exact)
        calls = self.samples * self.max_calls
        return Cost(after, (asked, more), exact=False, tool_calls=calls)
