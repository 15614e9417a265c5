"""generate by several models: who samples what, and what a stopping rule can't do."""

from __future__ import annotations

import pytest

import thinkgraph as tg
from thinkgraph.graphs.planning.plan import plan
from thinkgraph.graphs.requirements import Incapable
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.capabilities import Capability

QUESTION = "What is 2 + 3?"


def graph(**settings: object) -> tg.Graph:
    made = tg.Graph("several")
    made.add(draft=tg.Generate.model_validate({"models": ["one", "two"], **settings}))
    made.add(vote=tg.Vote())
    made.edge(tg.START, "draft", "vote", tg.END)
    return made


@pytest.mark.parametrize(
    ("settings", "calls"), [({}, 2), ({"wave": 1}, 4), ({"thinking": {"tokens": 4}}, 8)]
)
def test_each_model_samples(settings: dict[str, object], calls: int) -> None:
    models = {name: ScriptedModel(lambda *_: "It is 5.", name=name) for name in ("one", "two")}
    made = graph(samples=2, **settings)
    result = made.run(QUESTION, models=models, model=ScriptedModel())
    assert [c.id for c in result.candidates] == [f"draft.0.{n}" for n in range(4)]
    assert [len(model.calls) for model in models.values()] == [calls // 2] * 2
    assert len({c.seed for c in result.candidates}) == 4
    assert plan(made).total.calls >= result.usage.model_calls == calls


@pytest.mark.parametrize("until", ["decided", "confident", "unanimous"])
def test_a_stopping_rule_is_for_one_model(until: str) -> None:
    with pytest.raises(ValueError, match=f"`until: {until}` can't go with several `models`"):
        tg.Generate(models=("one", "two"), until=until)


def test_each_model_has_to_give_what_the_node_needs() -> None:
    class Hosted(ScriptedModel):
        lacks: frozenset[Capability] = frozenset({"beginnings"})

    models = {"one": ScriptedModel(["It is 5."]), "two": Hosted(["It is 5."])}
    with pytest.raises(Incapable, match="the model of the role 'two' doesn't give"):
        graph(prefix="So").run(QUESTION, models=models, model=ScriptedModel())
