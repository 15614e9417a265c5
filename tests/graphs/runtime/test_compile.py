"""What compile() takes and gives: LangGraph's own options, any parent's context, JSON schemas."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_store
from langgraph.graph import START, StateGraph
from langgraph.store.memory import InMemoryStore
from typing_extensions import TypedDict

import thinkgraph as tg
from thinkgraph.graphs.runtime.context import Context
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.model import Budget
from thinkgraph.nodes.event import NodeStarted
from thinkgraph.nodes.registry import _registered

QUESTION = {"question": "What is 2 + 3?"}
THREAD = {"configurable": {"thread_id": "1"}}


def says(text: str = "It is 5.") -> ScriptedModel:
    return ScriptedModel(lambda messages, seed: text)


def votes(**settings: Any) -> Any:
    return tg.load("self-consistency").compile(model=says(), samples=2, **settings)


class TestOptions:
    @pytest.mark.parametrize(
        ("option", "before"), [("interrupt_before", "vote"), ("interrupt_after", "sample")]
    )
    def test_a_run_stops_where_it_is_told_to_and_goes_on(self, option: str, before: str) -> None:
        nodes = ["vote"] if option == "interrupt_before" else ["sample"]
        app = votes(checkpointer=InMemorySaver(), **{option: nodes})
        assert not app.invoke(QUESTION, THREAD).get("answer")
        assert app.get_state(THREAD).next == ("vote",)
        assert app.invoke(None, THREAD)["answer"]["value"] == "5"

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (
                {"interrupt_before": ["vot"]},
                "interrupt_before: .* no node 'vot'; did you mean 'vote'",
            ),
            ({"interrupt_after": "vote"}, "interrupt_after is .* a list of nodes, not 'vote'"),
            ({"seed": "one"}, "a seed is an integer, not 'one'"),
        ],
    )
    def test_a_wrong_one_is_told_when_it_is_compiled(self, options: Any, said: str) -> None:
        with pytest.raises(tg.ThinkgraphError, match=said):
            votes(**options)

    def test_a_config_of_a_run_is_a_mapping(self) -> None:
        with pytest.raises(tg.ThinkgraphError, match="a config is such as"):
            tg.load("direct").run("?", model=says(), config=[1])

    def test_a_store_reaches_kinds_of_ones_own(self) -> None:
        @tg.node_kind("remember", output_channels={"candidates"})
        def remember(state: tg.State, step: Any) -> tg.Update:
            "question → nothing, and a note in the store"
            get_store().put(("seen",), "question", {"text": state.question})
            return tg.Update()

        try:
            graph = tg.Graph("remembers")
            graph.add(note=remember(), draft=tg.Generate())
            graph.edge(tg.START, "note", "draft", tg.END)
            store = InMemoryStore()
            graph.compile(model=says(), store=store).invoke(QUESTION)
        finally:
            _registered.pop("remember", None)
        assert store.get(("seen",), "question").value == {"text": QUESTION["question"]}

    def test_name_cache_and_debug_reach_langgraph(self, capsys: pytest.CaptureFixture[str]) -> None:
        cache = InMemoryCache()
        app = votes(name="mine", cache=cache, debug=True)
        assert (app.name, app.cache, app.debug) == ("mine", cache, True)
        assert votes().name == "self-consistency"
        assert tg.load("direct").compile(model=says()).debug is False

    def test_a_param_may_be_named_as_an_argument(self) -> None:
        graph = tg.Graph("clash", params={"name": "x", "debug": 1, "config": 2, "params": 3})
        graph.add(draft=tg.Generate(prompt=tg.Prompt(user="{{ name }} {{ debug }} {{ params }}")))
        graph.edge(tg.START, "draft", tg.END)
        values = {"name": "y", "debug": 4, "params": 5}
        model = says()
        graph.run("?", model=model, params=values)
        app = graph.compile(model=model, name="mine", params=values)
        app.invoke(QUESTION)
        graph.as_tool(name="tool", model=model, fixed=values).invoke(QUESTION)
        assert [call.messages[-1].content for call in model.calls] == ["y 4 5"] * 3

    def test_callbacks_tags_and_metadata_of_a_run_reach_its_nodes(self) -> None:
        seen = []

        @tg.node_kind("look", output_channels={"candidates"})
        def look(state: tg.State, step: Any) -> tg.Update:
            "question → nothing, and a look at the config"
            from langgraph.config import get_config  # noqa: PLC0415

            seen.append((get_config()["tags"], get_config()["metadata"]["user"]))
            return tg.Update()

        try:
            graph = tg.Graph("looks")
            graph.add(look=look(), draft=tg.Generate())
            graph.edge(tg.START, "look", "draft", tg.END)
            graph.run("?", model=says(), config={"tags": ["night"], "metadata": {"user": "Ann"}})
        finally:
            _registered.pop("look", None)
        assert [("night" in tags, user) for tags, user in seen] == [(True, "Ann")]


class TestContext:
    def test_an_invocation_has_its_own_seed_model_and_budget(self) -> None:
        model = says("a b c d 7")
        values = votes().invoke(
            QUESTION, context={"seed": 9, "model": model, "budget": {"tokens": 3}}
        )
        assert values["messages"][-1].response_metadata["cut"] == "the budget of 3 tokens is spent"
        again = votes(seed=9).invoke(QUESTION)
        seeds = [[c["seed"] for c in v["candidates"].values()] for v in (values, again)]
        assert seeds[0] == seeds[1]

    def test_a_budget_of_the_callers_own_is_spent(self) -> None:
        budget = Budget(tokens=100)
        votes().invoke(QUESTION, context=Context(budget=budget))
        assert budget.tokens_left == 94

    @pytest.mark.parametrize(
        "context", [{"budget": 5}, {"seeds": 5}, {"seed": "many"}, {"budget": {"token": 5}}]
    )
    def test_a_wrong_one_is_told(self, context: Any) -> None:
        with pytest.raises(tg.ThinkgraphError, match=r"^context\.(budget|seed)"):
            votes().invoke(QUESTION, context=context)

    @pytest.mark.parametrize(
        "context",
        [
            {"budget": 5},
            {"model": "gpt-9", "models": 3, "seed": "x"},
            {"emit": 1, "scope": 2},
            [1],
            object(),
            dataclass(type("Tenant", (), {"__annotations__": {"seed": str}}))("x"),
        ],
    )
    def test_a_parents_does_no_harm(self, context: Any) -> None:
        class Parent(TypedDict, total=False):
            question: str
            answer: dict[str, Any]

        parent = StateGraph(Parent)
        parent.add_node("solve", votes())
        parent.add_edge(START, "solve")
        assert parent.compile().invoke(QUESTION, context=context)["answer"]["value"] == "5"


class TestSchemas:
    def test_input_output_and_context_have_json_schemas(self) -> None:
        app = tg.load("least-to-most").compile(model=says())
        given, made, context = (
            app.get_input_jsonschema(),
            app.get_output_jsonschema(),
            app.get_context_jsonschema(),
        )
        assert list(given["properties"]) == ["question", "messages"]
        assert {"answer", "messages", "plan"} <= made["properties"].keys()
        assert "question" not in made["properties"]
        assert list(context["properties"]) == ["seed", "model", "models", "budget"]
        json.dumps([given, made, context])

    @pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
    def test_langchains_own_tool_asks_a_question(self) -> None:
        tool = votes().as_tool(name="think", description="Thinks.")
        assert tool.invoke(QUESTION)["answer"]["value"] == "5"
        assert tool.get_input_jsonschema().get("required") is None


def test_a_vote_that_is_followed_by_what_leaves_the_population_alone_stands() -> None:
    graph = tg.Graph("median", state={"plan": tg.StateField(type="string")})
    graph.add(
        draft=tg.Generate(samples=4),
        vote=tg.Vote(combine="median"),
        after=tg.Ask(prompt="sub-questions", into="plan"),
    )
    graph.edge(tg.START, "draft", "vote", "after", tg.END)
    texts = ["It is 9.", "It is 9.", "It is 4.", "It is 5.", "Next?"]
    result = graph.run("?", model=ScriptedModel(texts))
    assert (result.answer.value, result.counts.get("conclude")) == ("5", None)


def test_a_population_that_has_changed_since_the_vote_is_voted_on_again() -> None:
    graph = tg.Graph("again")
    graph.add(draft=tg.Generate(), vote=tg.Vote(), more=tg.Generate(samples=2))
    graph.edge(tg.START, "draft", "vote", "more", tg.END)
    result = graph.run("?", model=ScriptedModel(["It is 4.", "It is 5.", "It is 5."]))
    assert (result.answer.value, result.counts["conclude"]) == ("5", 1)


async def test_paths_that_end_at_different_times_are_concluded_once() -> None:
    graph = tg.Graph("uneven")
    graph.add(short=tg.Generate(), long=tg.Generate(), longer=tg.Generate())
    graph.edge(tg.START, "short", tg.END).edge(tg.START, "long", "longer", tg.END)
    app = graph.compile(model=says())
    events = [event async for event in app.astream(QUESTION, stream_mode="custom")]
    values = await app.ainvoke(QUESTION)
    assert [e.node for e in events if isinstance(e, NodeStarted)].count("conclude") == 1
    assert [message.type for message in values["messages"]] == ["human", "ai"]
    assert values["answer"]["of"] == 3


def test_a_graph_that_a_nodes_own_code_runs_has_its_own_model_and_budget() -> None:
    inner = tg.load("direct").compile(model=says("It is 7."))

    @tg.node_kind("delegate", output_channels={"answer"})
    async def delegate(state: tg.State, step: Any) -> tg.Update:
        "question → another graph's answer"
        values = await inner.ainvoke({"question": state.question})
        return tg.Update(answer=tg.Answer.model_validate(values["answer"]))

    try:
        outer = tg.Graph("outer")
        outer.add(ask=delegate())
        outer.edge(tg.START, "ask", tg.END)
        model = says("It is 1.")
        result = outer.run("?", model=model, budget={"calls": 1})
        values = outer.compile(model=model).invoke(QUESTION)
    finally:
        _registered.pop("delegate", None)
    assert (result.answer.value, values["answer"]["value"]) == ("7", "7")
    assert not model.calls
