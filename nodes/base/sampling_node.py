"""Base classes of the kinds that sample a model: prompt, role and sampling settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from thinkgraph.models.capabilities import Capability
from thinkgraph.models.model import Completion, Sampling
from thinkgraph.nodes.answers import Extract, extract, parse_extractor
from thinkgraph.nodes.base.cost import RequestBounds, token_bound
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.population import Candidate
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.step import Step


class SamplingNode(Node, Sampling):
    """A node that samples from a model; every field of :class:`Sampling` is one of its settings."""

    prompt: PromptSetting
    model: str = Field("", description="role of the model; empty: the run's model")
    prefix: str = Field("", description="start of the completion, which the model continues")

    @property
    def sampling(self) -> Sampling:
        """The sampling settings of the node, without its other settings.

        Settings that neither the spec nor the kind sets are left out, so that the defaults of the
        model apply. ``max_tokens`` is always included: plans and budgets rely on it.
        """
        return Sampling(
            **{
                name: getattr(self, name)
                for name, field in Sampling.model_fields.items()
                if name == "max_tokens"
                or name in self.model_fields_set
                or getattr(self, name) != field.get_default(call_default_factory=True)
            }
        )

    @property
    def needs(self) -> frozenset[Capability]:
        """Capabilities that the settings require of the model."""
        asked: dict[Capability, object] = {
            "beginnings": self.prefix,
            "confidence": self.confidence,
            "grammars": self.grammar or self.tagged,
            "adapters": self.adapter,
            "templates": self.template,
        }
        return frozenset(capability for capability, setting in asked.items() if setting)

    def without_thinking(self, step: Step) -> Sampling:
        """The sampling settings, without thinking unless the node's ``template`` turns it on."""
        if "templates" in getattr(step.models(self.model), "lacks", ()):
            return self.sampling
        template = {"enable_thinking": False, **self.template}
        return self.sampling.model_copy(update={"template": template})

    def requests(self, **shape: Any) -> RequestBounds:
        """Requests of this node's prompt; ``shape`` sets fields of :class:`RequestBounds`."""
        known = {"max_tokens": self.max_tokens, "prefix": token_bound(self.prefix)}
        return RequestBounds(self.prompt, **{**known, **shape})

    @property
    def longest(self) -> int:
        """Maximum tokens of a text that the node writes, including the prefix."""
        return token_bound(self.prefix) + self.max_tokens


class CandidateNode(SamplingNode):
    """A node whose completions are candidate answers."""

    extract: Extract = Field(
        parse_extractor("auto"), description="extractor that finds the answer in the completion"
    )

    def candidate(
        self,
        completion: Completion,
        step: Step,
        *,
        first: int = 0,
        parents: Sequence[Candidate] = (),
    ) -> Candidate:
        """Make a candidate of a completion, with the extracted answer."""
        text = self.prefix + completion.text
        return Candidate(
            id=step.id(first + completion.sample),
            node=step.node,
            round=step.round,
            text=text,
            reasoning=completion.reasoning,
            answer=extract(text, self.extract),
            parents=tuple(parent.id for parent in parents),
            seed=completion.seed,
            tokens=completion.tokens,
            finish_reason=completion.finish_reason,
            confidence=completion.confidence,
        )
