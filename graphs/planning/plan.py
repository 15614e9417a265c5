"""The plan: what a run may cost, exact where possible and an upper bound elsewhere.

Calls and samples follow from the graph, the params and the loops' bounds; tokens are bounded by
``max_tokens``. With a model and a question, prompts are rendered and their tokens counted too; a
text that isn't generated yet counts as its maximum number of tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pydantic import Field

from thinkgraph.graphs.checker.given import check_inputs
from thinkgraph.graphs.language.spec import Scalar
from thinkgraph.graphs.planning.cost_model import CostModel, Overflow
from thinkgraph.graphs.planning.dry_run import DryRun, text_bound
from thinkgraph.graphs.planning.spent import Spent
from thinkgraph.graphs.requirements import incapable
from thinkgraph.graphs.runtime.models import REWARDS, AnyModel, lacking
from thinkgraph.models.capabilities import Capability
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Frozen, Model
from thinkgraph.nodes.base.cost import PopulationBounds
from thinkgraph.nodes.tools.tool import Tools, all_tools, bind_tools
from thinkgraph.nodes.tools.verifier import Verifier, all_verifiers, bind_verifiers

if TYPE_CHECKING:
    from thinkgraph.graphs.graph import Graph
    from thinkgraph.models.tuning.speed import Speed


class TooLarge(ThinkgraphError):
    """A prompt and its completion can't fit in the model's context."""


class Plan(Frozen):
    """Upper bounds of the cost of a run."""

    graph: str
    params: dict[str, Scalar]
    model: str | None = None
    nodes: dict[str, Spent]
    total: Spent
    unknown: tuple[str, ...] = Field((), description="nodes whose kinds don't define their cost")
    context: int | None = Field(
        None,
        description="maximum number of tokens of a prompt and its completion together; None "
        "without a model",
    )
    longest: int | None = Field(
        None,
        description="tokens of the longest prompt with its completion; None without a model and "
        "a question",
    )
    incapable: tuple[str, ...] = Field(
        (), description="messages about the capabilities that the nodes need and the models lack"
    )
    cells: int | None = Field(None, description="KV cells of the model's engine; None if unknown")
    overflows: tuple[Overflow, ...] = ()
    unbound: tuple[str, ...] = Field(
        (),
        description="messages about the tools and verifiers that the graph needs and that aren't "
        "given",
    )
    remedies: dict[str, Scalar] = Field(
        default_factory=dict,
        description="by param: the highest value that makes the prompts fit if only this param "
        "is lowered",
    )

    @property
    def fits(self) -> bool:
        """Whether the run can fit in the model's context."""
        return not any(overflow.certain for overflow in self.overflows)

    def check(self) -> None:
        """Check that the run can fit in the model's context.

        Raises:
            TooLarge: it can't; the message names the param to lower, if there is one.
        """
        if not self.fits:
            raise TooLarge(self.warning)

    @property
    def warning(self) -> str:
        """What can't fit, or may not fit, in one line; empty if everything fits."""
        if not self.overflows:
            return ""
        worst = max(self.overflows, key=attrgetter("rank"))
        verb = "can't fit" if worst.certain else "may not fit"
        said = (
            f"the node {worst.node!r} {verb}: its prompt has "
            f"{'' if worst.certain else 'up to '}{worst.prompt} tokens and up to {worst.written} "
            f"follow, in a context of {self.context}"
        )
        lower = " or ".join(f"{name} to {value}" for name, value in self.remedies.items())
        return f"{said}; lower {lower}" if lower else f"{said}; open the model with a longer one"


def plan(
    graph: Graph,
    params: Mapping[str, Any] | None = None,
    model: Model | None = None,
    question: str | None = None,
    speed: Speed | None = None,
    *,
    models: Mapping[str, AnyModel] | None = None,
    tools: Tools | None = None,
    verifiers: Mapping[str, Verifier] | None = None,
) -> Plan:
    """Compute upper bounds of the cost of a run.

    Args:
        graph: the strategy.
        params: values of its params and additional inputs; the others have their defaults.
        model: the model of every role; its context is checked and, with a question, prompts are
            counted.
        models: other models by role; the plan only reports the capabilities that they lack.
        question: the question that would be asked.
        speed: the speed of the model on this machine, for an estimate of the time.
        tools: the tools that the run would be given; the plan reports missing ones.
        verifiers: the verifiers that the run would be given; the plan reports missing ones.

    Raises:
        ThinkgraphError: the graph has errors, a param or role is unknown, or a value is invalid.
    """
    graph.check_roles(models or {})
    spec, given = graph.spec, dict(params or {})
    inputs = check_inputs(spec, {name: given.pop(name) for name in spec.inputs if name in given})
    used = graph.specs.__getitem__
    known = all_tools(bind_tools(tools)), all_verifiers(bind_verifiers(verifiers))

    def planned(values: Mapping[str, Any]) -> Plan:
        cost_model = CostModel(model, question, speed)
        dry_run = DryRun(spec, graph.bind(values), used, cost_model.price)
        fields = {name: text_bound(value) for name, value in inputs.items()}
        end = dry_run.run(PopulationBounds(fields=fields))
        return Plan(
            graph=spec.name,
            params=graph.bind(values),
            model=model.name if model else None,
            nodes=dict(end.nodes),
            total=end.total,
            unknown=tuple(sorted(name for name, spent in end.nodes.items() if not spent.known)),
            context=model.context_length if model else None,
            longest=cost_model.longest if model and question else None,
            cells=_cells(model),
            overflows=tuple(cost_model.overflows.values()),
            incapable=_incapable(graph, values, {"": model, **(models or {})}),
            unbound=tuple(graph.required(values).unbound(*known)),
        )

    found = planned(given)
    if not found.overflows:
        return found
    return found.model_copy(update={"remedies": dict(_remedies(graph, given, found, planned))})


def _remedies(
    graph: Graph,
    given: Mapping[str, Any],
    found: Plan,
    planned: Callable[[Mapping[str, Any]], Plan],
) -> Iterator[tuple[str, int]]:
    """The params that make everything fit if lowered alone, each with the highest such value.

    If something certainly can't fit, only that has to fit; the rest may still be too long.
    """

    def good(name: str, value: int) -> bool:
        trial = planned({**given, name: value})
        if not trial.total.bounded:  # it stopped before all prompts were counted
            return False
        return trial.fits if not found.fits else not trial.overflows

    for name, param in graph.spec.params.items():
        value = found.params[name]
        if param.kind != "integer" or isinstance(value, bool | str) or param.choices:
            continue
        low, high = int(param.minimum if param.minimum is not None else 1), int(value)
        if low >= high or not good(name, low):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if good(name, middle) else (low, middle)
        yield name, low


def _incapable(
    graph: Graph, values: Mapping[str, Any], models: Mapping[str, AnyModel | None]
) -> tuple[str, ...]:
    known = {role: lacking(model) for role, model in models.items()}

    def lacks(role: str) -> frozenset[Capability]:
        # A role that isn't given a model here may have a reward model in the run.
        return known[role] if role in known else known[""] - REWARDS

    found = graph.required(values)
    used = graph.specs.__getitem__
    return tuple(incapable(graph.spec, graph.bind(values), used, lacks, found))


def _cells(model: Model | None) -> int | None:
    """The number of KV cells, if the model runs on an engine of this process."""
    settings = getattr(getattr(model, "engine", None), "settings", None)
    return getattr(settings, "kv_cells", None)
