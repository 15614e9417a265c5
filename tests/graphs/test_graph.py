"""Composing, saving, compiling and running a strategy."""

import asyncio
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver

import thinkgraph as tg
from thinkgraph.graphs.catalogue import builtin_names
from thinkgraph.graphs.checker.check import check_spec
from thinkgraph.graphs.runtime.result import Finished
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import PromptTooLong, ThinkgraphError
from thinkgraph.nodes.event import AnswerReached, CandidateUpdated, NodeStarted, TextDelta


def refine() -> tg.Graph:
    graph = tg.Graph("my-refine", params={"rounds": 2})
    draft, critic, revise = graph.add(
        draft=tg.Generate(prompt="step-by-step"), critic=tg.Critique(), revise=tg.Revise()
    )
    graph.edge(tg.START, draft, critic)
    graph.edge(critic, revise, when="!accepted", at_most="$rounds")
    graph.edge(critic, tg.END)
    graph.edge(revise, critic)
    return graph


def test_a_vote_is_over_values_and_tells_its_classes():
    model = ScriptedModel(["The answer is 13", "it is 12", "13.0", "no idea"])
    result = tg.load("self-consistency").run("8 + 5?", model=model, samples=4, seed=1)
    assert (result.answer.value, result.answer.votes, result.answer.of) == ("13", 2, 4)
    assert result.votes == {"13": 2, "12": 1}
    assert [candidate.answer for candidate in result.candidates][3] is None


def test_a_graph_with_wrong_params_has_a_repr():
    assert "'a'" in repr(tg.Graph("a", params=["rounds"]))


def test_a_graph_that_can_not_be_saved_is_one_error(tmp_path):
    with pytest.raises(ThinkgraphError, match="can't be written: No such file or directory"):
        tg.load("direct").save(tmp_path / "nowhere" / "x.yaml")


def test_a_saved_graph_is_the_graph_that_was_composed(tmp_path):
    graph = refine()
    graph.save(tmp_path / "refine.yaml")
    assert tg.load(tmp_path / "refine.yaml").spec == graph.spec


@pytest.mark.parametrize(
    ("verdicts", "nodes"),
    [
        ([[9, 1]], ["draft", "critic", "conclude"]),
        ([[1, 9], [9, 1]], ["draft", "critic", "revise", "critic", "conclude"]),
        (
            [[1, 9]] * 3,
            ["draft", "critic", "revise", "critic", "revise", "critic", "conclude"],
        ),
    ],
    ids=["accepted at once", "accepted after a round", "never accepted"],
)
async def test_a_loop_goes_on_while_its_condition_holds_and_its_bound_allows(verdicts, nodes):
    model = ScriptedModel(lambda messages, seed: "4", choices=verdicts)
    events = [event async for event in refine().stream("2 + 2?", model=model)]
    assert [event.node for event in events if isinstance(event, NodeStarted)] == nodes


async def test_the_events_of_a_run_come_in_order_and_end_with_the_result():
    model = ScriptedModel(["a b 7"])
    events = [event async for event in tg.load("direct").stream("?", model=model)]
    kinds = [type(event) for event in events]
    assert kinds == [
        NodeStarted,
        TextDelta,
        TextDelta,
        TextDelta,
        CandidateUpdated,
        NodeStarted,
        AnswerReached,
        Finished,
    ]


def test_a_run_works_inside_a_running_event_loop():
    async def within() -> str | None:
        return tg.load("direct").run("?", model=ScriptedModel(["7"])).answer.value

    assert asyncio.run(within()) == "7"


def test_the_same_seed_gives_the_same_seeds_to_the_samples():
    graph = tg.load("self-consistency")
    models = [ScriptedModel(["1"] * 4) for _ in range(3)]
    for model, seed in zip(models, (5, 5, 6), strict=True):
        graph.run("?", model=model, samples=4, seed=seed)
    first, again, other = (model.calls[0].seeds for model in models)
    assert first == again
    assert len({*first, *other}) == 8


def test_a_compiled_graph_is_langgraphs_own_and_takes_a_conversation():
    app = tg.load("direct").compile(model=(model := ScriptedModel(["7"])))
    turns = [SystemMessage("Be brief."), HumanMessage("3 + 4?")]
    assert app.invoke({"messages": turns})["answer"]["value"] == "7"
    assert [(turn.role, turn.content) for turn in model.calls[0].messages] == [
        ("system", "Be brief."),
        ("user", "3 + 4?"),
    ]


def test_a_run_that_failed_goes_on_from_its_checkpoint():
    model = ScriptedModel(["first 4", RuntimeError("power cut"), "fine"], choices=[[9, 1]])
    app = refine().compile(InMemorySaver(), model=model)
    thread = {"configurable": {"thread_id": "1"}}
    with pytest.raises(RuntimeError, match="power cut"):
        app.invoke({"question": "2 + 2?"}, thread)
    values = app.invoke(None, thread)
    assert values["answer"]["value"] == "4"
    assert len(model.calls) == 3


def test_a_used_graph_works_on_the_population_and_its_cost_is_the_nodes():
    graph = tg.Graph("twice")
    graph.add(
        one=tg.use("self-consistency", samples=2), two=tg.use("chain-of-thought"), vote=tg.Vote()
    )
    graph.edge(tg.START, "one", "two", "vote", tg.END)
    result = graph.run("?", model=ScriptedModel(["5", "5", "6"]))
    assert result.votes == {"5": 2, "6": 1}
    assert result.usage.completion_tokens == 3
    assert result.candidates[0].id == "one.0/sample.0.0"


def test_an_edge_may_run_its_target_once_for_each_candidate():
    graph = tg.Graph("each")
    graph.add(draft=tg.Generate(samples=3), check=tg.Critique(), vote=tg.Vote())
    graph.edge(tg.START, "draft").edge("draft", "check", each="candidates")
    graph.edge("draft", "vote").edge("check", "vote").edge("vote", tg.END)
    model = ScriptedModel(lambda messages, seed: "8", choices=[[1, 1]] * 3)
    result = graph.run("?", model=model)
    assert {c.candidate for c in result.critiques} == {c.id for c in result.candidates}
    assert len({c.id for c in result.critiques}) == 3
    assert result.answer.votes == 3


def test_parallel_nodes_join_before_the_next():
    graph = tg.Graph("panel")
    graph.add(a=tg.Generate(), b=tg.Generate(prompt="step-by-step"), vote=tg.Vote())
    graph.edge(tg.START, ["a", "b"], "vote", tg.END)
    result = graph.run("?", model=ScriptedModel(lambda messages, seed: "3"))
    assert (result.answer.votes, result.answer.of) == (2, 2)


def test_a_role_may_have_its_own_model():
    graph = tg.Graph("two-models")
    graph.add(draft=tg.Generate(), critic=tg.Critique(model="critic"))
    graph.edge(tg.START, "draft", "critic", tg.END)
    critic = ScriptedModel(["fine"], choices=[[1, 0]])
    result = graph.run("?", model=ScriptedModel(["4"]), models={"critic": critic})
    assert result.critiques[0].text == "fine"
    assert len(critic.calls) == 1


def test_a_model_for_a_role_that_the_graph_lacks_is_refused():
    with pytest.raises(tg.ThinkgraphError, match="no role 'critc'; did you mean 'critic'"):
        tg.load("self-refine").run("?", models={"critc": ScriptedModel()})


def test_what_a_model_refuses_is_told_with_the_node_and_stays_what_it_is():
    graph = tg.Graph("outer")
    graph.add(first=tg.use("direct"))
    graph.edge(tg.START, "first", tg.END)
    with pytest.raises(PromptTooLong, match=r"^node 'first\.0/reply': the prompt has") as error:
        graph.run("so " * 9000, model=ScriptedModel(["4"]))
    assert error.value.tokens == 9000


def test_a_budget_ends_a_run_with_the_best_answer_so_far():
    model = ScriptedModel(lambda messages, seed: "4", choices=[[1, 9]] * 9)
    result = refine().run("2 + 2?", model=model, rounds=9, budget={"tokens": 3})
    assert result.answer.value == "4"
    assert result.usage.completion_tokens <= 4
    assert result.cut


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"sample": 4}, "graph 'self-consistency' has no param 'sample'; did you mean 'samples'?"),
        ({"samples": 0}, "graph 'self-consistency', param samples: 0 is less than 1"),
        ({"samples": "many"}, "graph 'self-consistency', param samples: 'many' is not an integer"),
    ],
)
def test_a_param_that_cant_be_is_told_before_a_model_is_asked(params, message):
    with pytest.raises(tg.ThinkgraphError) as caught:
        tg.load("self-consistency").run("?", model=ScriptedModel(), **params)
    assert str(caught.value) == message


@pytest.mark.parametrize("question", ["", "  \n"])
def test_an_empty_question_is_refused(question):
    with pytest.raises(tg.ThinkgraphError, match="the question is empty"):
        tg.load("direct").run(question, model=ScriptedModel())


def test_an_unknown_graph_has_its_nearest_name_told():
    with pytest.raises(tg.ThinkgraphError, match="did you mean 'self-refine'"):
        tg.load("self-refin")


def test_a_mistake_in_python_is_reported_with_its_line():
    graph = tg.Graph("bad")
    graph.add(draft=tg.Generate())
    graph.edge(tg.START, "draft", "vot", tg.END)
    with pytest.raises(tg.ThinkgraphError) as caught:
        graph.save("never-written.yaml")
    assert "test_graph.py" in str(caught.value)
    assert 'graph.edge(tg.START, "draft", "vot", tg.END)' in str(caught.value)
    assert "unknown node `vot`" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", builtin_names())
def test_every_built_in_graph_is_the_same_after_yaml(name, tmp_path):
    graph = tg.load(name)
    graph.save(tmp_path / "again.yaml")
    assert tg.load(tmp_path / "again.yaml").spec == graph.spec


def test_the_output_is_the_answer_or_the_channel_that_the_spec_names():
    assert tg.load("direct").run("?", model=ScriptedModel(["so 7"])).output == "7"
    source = tg.load("least-to-most").spec
    field = next(iter(source.state))
    graph = tg.Graph.of(source.model_copy(update={"output": tg.Output(field=field)}))
    result = graph.run("?", model=ScriptedModel(lambda messages, seed: "1. One? 7"))
    assert result.output == result.summary()["output"]
    assert result.output
    assert isinstance(result.output, list)


def test_threads_that_share_a_new_graph_get_one_spec(monkeypatch):
    """A run knows its models by it: with another, it would take those of its graph's default."""
    numbers = itertools.count()

    def slow(*given):
        found = check_spec(*given)
        time.sleep(0.05 * next(numbers))  # others ask for the spec meanwhile, and end before
        return found

    monkeypatch.setattr("thinkgraph.graphs.graph.check_spec", slow)
    graph = refine()
    with ThreadPoolExecutor(4) as threads:
        found = [*threads.map(lambda _: (graph.spec, graph.specs[""]), range(4))]
    assert all(spec is graph.spec and used is graph.spec for spec, used in found)
