"""The base class of node kinds: settings, channels, `run` and `cost`.

A kind is one class in one file of ``nodes/kinds/``. Its fields are its settings in a spec, under
the same names. Its :meth:`Node.run` reads a :class:`State` and returns an :class:`Update`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from thinkgraph.models.arguments import SuggestingModel
from thinkgraph.models.capabilities import Capability
from thinkgraph.nodes.base.cost import Cost, PopulationBounds
from thinkgraph.nodes.base.param import AllowsParam, bind, is_reference
from thinkgraph.nodes.population import State, Update
from thinkgraph.nodes.prompts.prompt import prompts_in
from thinkgraph.nodes.step import Step


class Node(BaseModel, metaclass=SuggestingModel):
    """Base class of the node kinds. A subclass that sets ``kind`` is a node kind.

    Any setting may be a reference to a param; :meth:`bound` replaces the references before a run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    """Name of the kind in a spec."""
    about: ClassVar[str]
    """One line on what the kind does to the population."""
    input_channels: ClassVar[frozenset[str]] = frozenset({"question"})
    """Channels that must have been written before the node runs."""
    output_channels: ClassVar[frozenset[str]] = frozenset()
    """Channels that the node writes."""
    variables: ClassVar[frozenset[str]] = frozenset()
    """Variables of its prompts, beside the question, the params and the spec's state fields."""

    waits: ClassVar[bool] = False
    """Whether the node may wait for a person; see :func:`thinkgraph.nodes.person.ask_person`."""

    undemanding: ClassVar[Mapping[str, Any]] = {}
    """Settings that require fewer capabilities of the model, such as ``verdict: text``.

    The error about a missing capability suggests them.
    """
    input_settings: ClassVar[tuple[str, ...]] = ("reads", "each")
    """Settings whose value names a state field or an input that the node reads."""
    output_settings: ClassVar[tuple[str, ...]] = ("writes", "into")
    """Settings whose value names a state field that the node writes."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for field in cls.model_fields.values():
            if not any(isinstance(item, AllowsParam) for item in field.metadata):
                field.metadata.append(AllowsParam())
        cls.model_rebuild(force=True)

    @property
    def channels_read(self) -> frozenset[str]:
        """Channels that the node needs with these settings, including the spec's state fields."""
        return self.input_channels | self._named(*self.input_settings)

    @property
    def channels_written(self) -> frozenset[str]:
        """Channels that the node writes with these settings, including the spec's state fields."""
        return self.output_channels | self._named(*self.output_settings)

    def _named(self, *settings: str) -> frozenset[str]:
        values = (getattr(self, setting, None) for setting in settings)
        return frozenset(v for v in values if isinstance(v, str) and not is_reference(v))

    @property
    def field_types(self) -> dict[str, str]:
        """Types of the state fields that the node writes or reads, by field name, where known.

        A type is one of the graph language: `string`, `list`.
        """
        return {}

    @property
    def prompts_used(self) -> frozenset[str]:
        """Names of the built-in or shared prompts that the node uses with these settings."""
        return frozenset(prompt for _, prompt in prompts_in(self) if isinstance(prompt, str))

    @property
    def tools_wanted(self) -> tuple[str, ...]:
        """Names of the tools that the node calls with these settings."""
        return ()

    @property
    def verifiers_wanted(self) -> tuple[str, ...]:
        """Names of the verifiers that the node needs from the host with these settings."""
        return ()

    @property
    def asks_person(self) -> bool:
        """Whether the node asks a person, or may do so, with these settings."""
        return False

    @property
    def needs(self) -> frozenset[Capability]:
        """Capabilities that the model needs beyond text, with these settings."""
        return frozenset()

    @property
    def model_roles(self) -> tuple[str, ...]:
        """Roles of the models that the node may ask, by its settings ``models`` or ``model``."""
        named = getattr(self, "models", ()) or (getattr(self, "model", None),)
        return tuple(role for role in named if isinstance(role, str))

    @property
    def writes_answer(self) -> bool:
        """Whether the node generates a single text, which is the answer if the run ends after it.

        Such a text can be streamed as the answer.
        """
        return False

    @abstractmethod
    async def run(self, state: State, step: Step) -> Update:
        """Run the node once."""

    def cost(self, before: PopulationBounds) -> Cost:
        """Upper bound of the cost of one run; without an override, the plan is incomplete."""
        return Cost(before, exact=False, known=False)

    def settings(self) -> dict[str, Any]:
        """The settings that were set explicitly, as plain data."""
        return self.model_dump(mode="json", exclude_unset=True)

    def bound(self, params: dict[str, Any]) -> Self:
        """A copy of the node in which references are replaced by the values of the params.

        Raises:
            ValidationError: a setting doesn't allow the value of its param.
        """
        return type(self).model_validate(bind(self.settings(), params))
