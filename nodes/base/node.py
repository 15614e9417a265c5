"""The base class of node kinds: settings, channels, `run` and `cost`.

A kind is one class in one file of ``nodes/kinds/``. Its fields are its settings in a spec, with
the same words; its :meth:`Node.run` reads a :class:`State` and returns an :class:`Update`.
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
    """Base of the node kinds; a subclass that sets ``kind`` is one.

    Any setting may hold a reference to a param; :meth:`bound` replaces them before a run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    """The word that names the kind in a spec."""
    about: ClassVar[str]
    """One line that says what it does to the population."""
    input_channels: ClassVar[frozenset[str]] = frozenset({"question"})
    """The channels that must have been written before it runs."""
    output_channels: ClassVar[frozenset[str]] = frozenset()
    """The channels that it writes."""
    variables: ClassVar[frozenset[str]] = frozenset()
    """What its prompts may name, beyond the question, the params and the spec's own state."""

    waits: ClassVar[bool] = False
    """Whether it may wait for a person; see :func:`thinkgraph.nodes.person.ask_person`."""

    undemanding: ClassVar[Mapping[str, Any]] = {}
    """Settings with which it needs fewer capabilities of its model, such as ``verdict: text``.

    An error names them where the model lacks a capability.
    """
    input_settings: ClassVar[tuple[str, ...]] = ("reads", "each")
    """Its settings that name a field of the spec's state, or an input, that it reads."""
    output_settings: ClassVar[tuple[str, ...]] = ("writes", "into")
    """Its settings that name a field of the spec's state that it writes."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for field in cls.model_fields.values():
            if not any(isinstance(item, AllowsParam) for item in field.metadata):
                field.metadata.append(AllowsParam())
        cls.model_rebuild(force=True)

    @property
    def channels_read(self) -> frozenset[str]:
        """The channels that it needs with these settings, fields of the spec's state included."""
        return self.input_channels | self._named(*self.input_settings)

    @property
    def channels_written(self) -> frozenset[str]:
        """The channels that it writes with these settings, fields of the spec's state included."""
        return self.output_channels | self._named(*self.output_settings)

    def _named(self, *settings: str) -> frozenset[str]:
        values = (getattr(self, setting, None) for setting in settings)
        return frozenset(v for v in values if isinstance(v, str) and not is_reference(v))

    @property
    def field_types(self) -> dict[str, str]:
        """The type of what it writes to, or reads from, fields of the spec's state, where known.

        A type is one of the language's: `string`, `list`.
        """
        return {}

    @property
    def prompts_used(self) -> frozenset[str]:
        """The names of the built-in prompts that it takes with these settings."""
        return frozenset(prompt for _, prompt in prompts_in(self) if isinstance(prompt, str))

    @property
    def tools_wanted(self) -> tuple[str, ...]:
        """The names of the tools that it calls with these settings."""
        return ()

    @property
    def verifiers_wanted(self) -> tuple[str, ...]:
        """The names of the verifiers that it asks with these settings."""
        return ()

    @property
    def asks_person(self) -> bool:
        """Whether it asks a person, or may do so, with these settings."""
        return False

    @property
    def needs(self) -> frozenset[Capability]:
        """What its model has to give beyond text, with these settings."""
        return frozenset()

    @property
    def writes_answer(self) -> bool:
        """Whether it writes one text that is the answer, if the run ends after it.

        Then the text can be shown as the answer while it is written.
        """
        return False

    @abstractmethod
    async def run(self, state: State, step: Step) -> Update:
        """Do what the kind does, once."""

    def cost(self, before: PopulationBounds) -> Cost:
        """What one run may cost at most; a kind that doesn't say so makes a plan incomplete."""
        return Cost(before, exact=False, known=False)

    def settings(self) -> dict[str, Any]:
        """The settings that were given, as plain data."""
        return self.model_dump(mode="json", exclude_unset=True)

    def bound(self, params: dict[str, Any]) -> Self:
        """The same node with the params' values in place of their references.

        Raises:
            ValidationError: a param has a value that its setting doesn't allow.
        """
        return type(self).model_validate(bind(self.settings(), params))
