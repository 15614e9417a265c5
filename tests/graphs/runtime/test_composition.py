"""Graphs in graphs: names both ways, a node for each item of a list, joins that decide."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

import thinkgraph as tg
from thinkgraph.graphs.language.spec import Spec
from thinkgraph.graphs.planning.plan import plan
from thinkgraph.models.backends.scripted import ScriptedModel

ASK = tg.Prompt(user="{{ question }}|{{ topic }}|{{ fact }}")
INNER = """\
thinkgraph: 1
name: facts
inputs:
  topic: {default: nothing}
  fact: {default: none}
state:
  outline: {type: string, default: ""}
params:
  many: 1
nodes:
  plan: {kind: ask, prompt: {user: "plan {{ topic }}"}, into: outline}
  draft: {kind: generate, samples: $many, prompt: {user: "{{ question }}|{{ topic }}|{{ fact }}"}}
  vote: {kind: vote}
edges: START -> plan -> draft -> vote -> END
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "facts.yaml").write_text(INNER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def using(node: tg.NodeSpec, **state: tg.StateField) -> tg.Graph:
    """Facts first, then a draft that shows them."""
    declared = {"fact": tg.StateField(default="?"), "topic": tg.StateField(default="owls"), **state}
    graph = tg.Graph("outer", state=declared)
    graph.add(facts=node, draft=tg.Generate(prompt=ASK))
    graph.edge(tg.START, "facts", "draft", tg.END)
    return graph


def asked(model: ScriptedModel) -> list[str]:
    return [call.messages[-1].content for call in model.calls]


def test_only_what_is_named_goes_in_and_comes_back(folder: Path):
    node = tg.use("facts.yaml", inputs={"topic": "topic"}, into={"fact": "text"})
    model = ScriptedModel(["a plan", "It is 5.", "It is 7."])
    result = using(node).run("q", model=model)
    # the outer field `fact` is no input: the inner one has its default
    assert asked(model) == ["plan owls", "q|owls|none", "q|owls|It is 5."]
    assert [candidate.text for candidate in result.candidates] == ["It is 7."]
    assert result.usage.model_calls == 3


def test_the_short_form_is_given_every_field_of_its_names(folder: Path):
    model = ScriptedModel(["a plan", "It is 5.", "It is 7."])
    result = using(tg.use("facts.yaml")).run("q", model=model)
    assert asked(model) == ["plan owls", "q|owls|?", "q|owls|?"]
    assert len(result.candidates) == 2


def test_with_inputs_alone_the_population_comes_back(folder: Path):
    model = ScriptedModel(["a plan", "It is 5.", "It is 7."])
    result = using(tg.use("facts.yaml", inputs={})).run("q", model=model)
    assert asked(model)[:2] == ["plan nothing", "q|nothing|none"]
    assert [candidate.node for candidate in result.candidates] == ["facts.0/draft", "draft"]


def test_a_field_of_the_used_graphs_state_comes_back(folder: Path):
    node = tg.use("facts.yaml", inputs={}, into={"fact": "outline", "all": "candidates"}, many=2)
    model = ScriptedModel(["a plan", "It is 5.", "It is 6.", "It is 7."])
    graph = using(node, all=tg.StateField(type="list", default=[]))
    values = graph.compile(model=model).invoke({"question": "q"})
    assert values["fact"] == "a plan"
    assert values["all"] == ["It is 5.", "It is 6."]
    assert len(values["candidates"]) == 1


def test_another_question_begins_without_candidates_and_conversation(folder: Path):
    graph = tg.Graph("outer", state={"fact": tg.StateField(default="why?")})
    graph.add(
        draft=tg.Generate(),
        facts=tg.use("direct", inputs={"question": "fact"}, into={"fact": "answer"}),
    )
    graph.add(again=tg.Generate(prompt=tg.Prompt(user="{{ question }}|{{ fact }}"), samples=1))
    graph.add(vote=tg.Vote())
    graph.edge(tg.START, "draft", "facts", "again", "vote", tg.END)
    model = ScriptedModel(["It is 5.", "It is 6.", "It is 7."])
    history = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi"},
        {"role": "user", "content": "q"},
    ]
    result = graph.run(history, model=model)
    assert [len(call.messages) for call in model.calls][1] == 1
    assert asked(model)[1:] == ["why?", "q|6"]
    assert [candidate.node for candidate in result.candidates] == ["draft", "again"]


def test_a_param_may_be_given_as_an_input(folder: Path):
    graph = tg.Graph("outer", params={"about": "bees"}, state={"fact": tg.StateField(default="")})
    graph.add(facts=tg.use("facts.yaml", inputs={"topic": "$about"}, into={"fact": "text"}))
    graph.add(draft=tg.Generate(prompt=tg.Prompt(user="{{ fact }}")))
    graph.edge(tg.START, "facts", "draft", tg.END)
    model = ScriptedModel(["a plan", "It is 5.", "7"])
    graph.run("q", model=model, about="wasps")
    assert asked(model)[0] == "plan wasps"


def test_both_forms_are_saved_and_loaded_as_they_are(folder: Path):
    for node in (
        tg.use("facts.yaml"),
        tg.use("facts.yaml", many=2),
        tg.use("facts.yaml", inputs={"topic": "topic"}, into={"fact": "answer"}),
        tg.use("facts.yaml", inputs={}, params={"many": 3}),
        tg.use("facts.yaml", into={"candidates": "candidates", "fact": "outline"}),
    ):
        graph = using(node)
        graph.save("outer.yaml")
        again = tg.load("outer.yaml")
        assert again.spec.nodes["facts"] == graph.spec.nodes["facts"] == node
        assert again.yaml == graph.yaml


EACH = """\
thinkgraph: 1
name: each
state:
  parts: {type: list, default: []}
  found: {type: list, reducer: append, default: []}
nodes:
  split: {kind: ask, prompt: {user: "split {{ question }}"}, into: parts, lines: true, most: 12}
  solve: NODE
  reply: {kind: generate, prompt: {user: "{{ found | join(',') }}"}}
edges:
  - START -> split
  - split -> solve: {each: parts}
  - split -> reply
  - solve -> reply -> END
"""
TWELVE = "\n".join(f"part {number}" for number in range(12))


@pytest.mark.parametrize(
    "node",
    [
        '{kind: ask, prompt: {user: "solve {{ item }}"}, into: found}',
        "{use: {graph: direct, inputs: {question: item}, into: {found: text}}}",
    ],
)
def test_a_node_runs_once_for_each_item_of_a_list_in_its_order(tmp_path: Path, node: str):
    (tmp_path / "each.yaml").write_text(EACH.replace("NODE", node))
    graph = tg.load(tmp_path / "each.yaml")
    model = ScriptedModel([TWELVE, *(f"text {n}" for n in range(12)), "The answer is 3."])
    result = graph.run("q", model=model)
    assert [text.rpartition(" ")[2] for text in asked(model)[1:-1]] == [str(n) for n in range(12)]
    assert asked(model)[-1] == ",".join(f"text {n}" for n in range(12))
    assert result.answer.value == "3"
    assert result.counts["solve"] == 1
    found = plan(graph)
    assert found.total.calls >= result.usage.model_calls
    assert found.nodes["solve"].calls == 12


def test_an_empty_list_is_not_gone_through(tmp_path: Path):
    node = '{kind: ask, prompt: {user: "{{ item }}"}, into: found}'
    (tmp_path / "each.yaml").write_text(EACH.replace("NODE", node))
    model = ScriptedModel(["", "The answer is 3."])
    result = tg.load(tmp_path / "each.yaml").run("q", model=model)
    assert "solve" not in result.counts


def test_each_item_has_seeds_of_its_own():
    graph = tg.Graph("each", state={"parts": tg.StateField(type="list", default=["a", "b", "c"])})
    graph.add(first=tg.Generate(), solve=tg.Generate(prompt=tg.Prompt(user="{{ item }}")))
    graph.add(vote=tg.Vote())
    graph.edge(tg.START, "first").edge("first", "solve", each="parts").edge("first", "vote")
    graph.edge("solve", "vote", tg.END)
    model = ScriptedModel(["0", "1", "2", "3"])
    result = graph.run("q", model=model)
    assert asked(model)[1:] == ["a", "b", "c"]
    assert len({candidate.id for candidate in result.candidates}) == 4
    assert len({candidate.seed for candidate in result.candidates}) == 4


def test_the_schema_of_the_output_holds_within_a_used_graph():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    for node in (tg.use("self-consistency", samples=1), tg.use("direct", inputs={})):
        graph = tg.Graph("outer", output={"field": "answer", "json_schema": schema})
        graph.add(think=node)
        graph.edge(tg.START, "think", tg.END)
        model = ScriptedModel(['{"n": 5}'])
        assert graph.run("q", model=model).output == {"n": 5}
        assert model.calls[0].sampling.json_schema["required"] == ["n"]


def test_a_join_may_decide():
    graph = tg.Graph("joined")
    graph.add(a=tg.Generate(), b=tg.Generate(), meet=tg.Critique(verdict="text"))
    graph.add(more=tg.Generate(), vote=tg.Vote())
    graph.edge(tg.START, ["a", "b"], "meet")
    graph.edge("meet", "more", when="not accepted and live == 2", repeat=1)
    graph.edge("meet", "vote").edge("more", "vote", tg.END)
    replies = ["It is 5.", "It is 6.", "VERDICT: wrong", "VERDICT: wrong", "It is 5."]
    result = graph.run("q", model=ScriptedModel(replies))
    assert result.counts["meet"] == result.counts["more"] == 1
    assert (result.answer.value, result.answer.votes) == ("5", 2)


NAMES = st.sampled_from(["fact", "topic", "question", "$style"])
INTO = st.dictionaries(st.sampled_from(["fact", "topic"]), st.sampled_from(["answer", "text"]))
PARAMS = st.dictionaries(st.sampled_from(["max_tokens"]), st.integers(1, 99))


@pytest.mark.slow
@given(
    st.none() | st.dictionaries(st.just("question"), NAMES), st.none() | INTO, PARAMS, st.booleans()
)
def test_every_form_of_use_is_the_same_in_python_and_yaml(inputs, into, params, back: bool):
    if into is not None and back and not inputs:
        into = {**into, "candidates": "candidates"}
    node = tg.use("direct", inputs=inputs, into=into, params=params)
    fields = {name: tg.StateField(default="x") for name in ("fact", "topic")}
    graph = tg.Graph("outer", params={"style": "s"}, state=fields)
    graph.add(facts=node, draft=tg.Generate(prompt=tg.Prompt(user="{{ style }}")))
    graph.edge(tg.START, "facts", "draft", tg.END)
    if inputs and into is None:
        with pytest.raises(tg.ThinkgraphError, match="another question"):
            _ = graph.spec
        return
    plain = YAML(typ="safe").load(graph.yaml)
    assert Spec.model_validate(plain) == graph.spec
    assert Spec.model_validate(plain).nodes["facts"] == node
    assert (node.used.params, node.shares_fields) == (params, inputs is None and into is None)


def test_a_used_graph_that_accepts_nothing_is_told(folder: Path):
    inner = tg.Graph("strict")
    inner.add(
        draft=tg.Generate(),
        check=tg.Score(verifier="never"),
        keep=tg.Select(accepted=True),
    )
    inner.edge(tg.START, "draft", "check", "keep", tg.END)
    inner.save(folder / "strict.yaml")
    node = tg.use("strict.yaml", into={"fact": "answer"})
    model = ScriptedModel(["It is 5.", "It is 7."])
    result = using(node).run("q", model=model, verifiers={"never": lambda text: False})
    assert result.failures == {"facts.0": ("the graph 'strict' accepted nothing",)}
