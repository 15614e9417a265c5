"""A LoRA adapter for each node: real files, and texts that show which one wrote them."""

import asyncio
import math

import pytest

import thinkgraph as tg
from thinkgraph.graphs.graph import load
from thinkgraph.models.model import Message, ModelRequest, Sampling, continued
from thinkgraph.nodes.prompts.prompt import load_prompt

QUESTION = "hello"
GREEDY = {"temperature": 0, "max_tokens": 12, "ignore_eos": True}
SPEC = """\
thinkgraph: 1
name: two-adapters
params: {adapter: right}
nodes:
  first: {kind: generate, adapter: left, temperature: 0, max_tokens: 12, ignore_eos: true}
  second: {kind: generate, adapter: $adapter, temperature: 0, max_tokens: 12, ignore_eos: true}
  plain: {kind: generate, temperature: 0, max_tokens: 12, ignore_eos: true}
  again: {kind: generate, adapter: left, temperature: 0, max_tokens: 12, ignore_eos: true}
edges: EDGES
"""
CHAIN = "START -> first -> second -> plain -> again -> END"
ABREAST = "START -> [first, second, plain, again] -> END"
ADAPTERS = {"first": "left", "second": "right", "plain": None, "again": "left"}


def user(text):
    return [Message(role="user", content=text)]


def written(model, messages, adapter=None):
    """What a model writes with an adapter when it is asked nothing else."""
    generation = model.generate(ModelRequest(messages, Sampling(**GREEDY, adapter=adapter), [1]))
    return asyncio.run(generation.completions())[0].text


def accepting(model, messages, review, adapter=None):
    """The log-probability of a critic's acceptance after its review."""
    verdicts, lead = [" correct", " wrong"], f"{review}\n\nVerdict:"
    found = asyncio.run(
        model.choose(ModelRequest(continued(messages, lead), Sampling(adapter=adapter)), verdicts)
    )
    return math.log(found[0][0])


@pytest.fixture
def spec(tmp_path):
    def saved(edges):
        path = tmp_path / "two-adapters.yaml"
        path.write_text(SPEC.replace("EDGES", edges))
        return path

    return saved


@pytest.fixture
def alone(opened, adapters):
    """The text of each adapter by a model that has no other."""
    paths = {None: {}} | {name: {name: path} for name, path in adapters.items()}
    return {
        name: written(opened("llama", adapters=only, context=512), user(QUESTION), name)
        for name, only in paths.items()
    }


@pytest.mark.parametrize("edges", [CHAIN, ABREAST])
def test_each_node_writes_as_its_adapter_does_alone(spec, opened, adapters, alone, edges):
    assert len(set(alone.values())) == 3
    graph, model = load(spec(edges)), opened("llama", adapters=adapters)
    for _ in range(2):  # the second time all prompts are in the cache
        texts = {c.node: c.text for c in graph.run(QUESTION, model=model).candidates}
        assert texts == {node: alone[adapter] for node, adapter in ADAPTERS.items()}


def test_a_prompt_is_in_the_cache_for_its_own_adapter_only(spec, opened, adapters):
    model = opened("llama", adapters=adapters)
    usage = load(spec(CHAIN)).run(QUESTION, model=model).nodes
    assert {name: usage[f"{name}.0"].cached_tokens > 0 for name in ADAPTERS} == {
        "first": False,
        "second": False,
        "plain": False,
        "again": True,
    }


def test_a_critic_may_be_an_adapter_at_half_its_strength(opened, adapters):
    graph = tg.Graph("reviewed")
    graph.add(
        draft=tg.Generate(adapter="left", **GREEDY),
        critic=tg.Critique(adapter="right:0.5", **GREEDY),
    )
    graph.edge(tg.START, "draft", "critic", tg.END)
    model = opened("llama", adapters=adapters)
    result = graph.run(QUESTION, model=model)
    (draft,), (critique,) = result.candidates, result.critiques
    asked = load_prompt("critique").render(
        {
            "question": QUESTION,
            "candidate": draft.text,
            "answer": draft.answer or "",
            "verdicts": (),
        },
        (),
    )
    model.engine.clear_cache()
    assert draft.text == written(model, user(QUESTION), "left")
    assert critique.text == written(model, asked, "right:0.5")
    assert critique.text not in (written(model, asked), written(model, asked, "right"))
    said = math.log(critique.probability)
    assert said == pytest.approx(accepting(model, asked, critique.text, "right:0.5"), abs=0.1)
    assert abs(said - accepting(model, asked, critique.text)) > 1


def test_an_unknown_adapter_is_one_error_with_its_node_and_those_there_are(spec, opened, adapters):
    graph, model = load(spec(CHAIN)), opened("llama", adapters=adapters)
    with pytest.raises(tg.ThinkgraphError) as error:
        graph.run(QUESTION, model=model, adapter="middle")
    assert str(error.value) == (
        "node 'second': there is no adapter 'middle'; the model was opened with left, right"
    )
    with pytest.raises(tg.ThinkgraphError, match=r"'first': .* 'left'; .* opened with none"):
        graph.run(QUESTION, model=opened("llama"))
