"""A strategy inside an app of LangGraph and LangChain: subgraph, chain, tool, resumable run."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command

import thinkgraph as tg
from thinkgraph.graphs.runtime.result import Result
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ModelError

EXAMPLES = Path(__file__).parents[3] / "examples"
QUESTION = "What is 2 + 3?"
THREAD: Any = {"configurable": {"thread_id": "one"}}


class App(TypedDict, total=False):
    question: str
    answer: dict[str, Any]
    reply: str


def refine() -> tg.Graph:
    """A draft, a critique, and a rewriting of what was not accepted."""
    graph = tg.Graph("refine", "Draft, criticise, rewrite.", params={"rounds": 1})
    graph.add(draft=tg.Generate(), critic=tg.Critique(), revise=tg.Revise())
    graph.edge(tg.START, "draft", "critic")
    graph.edge("critic", "revise", when="!accepted", at_most="$rounds")
    graph.edge("critic", tg.END)
    graph.edge("revise", "critic")
    return graph


def refining(*replies: str | Exception) -> ScriptedModel:
    """A model whose critic rejects once, then accepts."""
    said = replies or ("The answer is 6.", "One too many.", "The answer is 5.", "Right.")
    return ScriptedModel(said, choices=[[0.1, 0.9], [0.9, 0.1]])


def prompts(model: ScriptedModel) -> list[str]:
    return [call.messages[-1].content for call in model.calls]


def app_around(strategy: Any, **settings: Any) -> Any:
    graph = StateGraph(App, **settings)
    graph.add_node("solve", strategy)
    graph.add_node("write", lambda state: {"reply": f"It is {state['answer']['value']}."})
    graph.add_edge(START, "solve")
    graph.add_edge("solve", "write")
    graph.add_edge("write", END)
    return graph


def test_a_subgraph_shares_the_question_and_the_answer_and_nothing_else() -> None:
    app = app_around(refine().compile(model=refining())).compile()
    values = app.invoke({"question": QUESTION})
    assert values["reply"] == "It is 5."
    assert values.keys() == {"question", "answer", "reply"}


class Talk(MessagesState, total=False):
    question: str


def talk(*replies: str) -> tuple[Any, ScriptedModel]:
    """A parent with both a question and messages, and a strategy as its only node."""
    model = ScriptedModel(replies)
    graph = StateGraph(Talk)
    graph.add_node("solve", tg.load("direct").compile(model=model))
    graph.add_edge(START, "solve")
    return graph.compile(checkpointer=InMemorySaver()), model


def test_a_second_turn_by_messages_asks_its_message_and_not_the_question_of_the_first() -> None:
    app, model = talk("5", "9")
    app.invoke({"question": QUESTION}, THREAD)
    values = app.invoke({"messages": [("user", "And 4 + 5?")]}, THREAD)
    assert prompts(model)[-1].endswith("And 4 + 5?")
    assert [m.text for m in values["messages"]] == [QUESTION, "5", "And 4 + 5?", "9"]


def test_a_question_may_be_asked_again_on_a_thread() -> None:
    app, _ = talk("5", "five")
    app.invoke({"question": QUESTION}, THREAD)
    values = app.invoke({"question": QUESTION}, THREAD)
    assert [m.text for m in values["messages"]] == [QUESTION, "5", QUESTION, "five"]


def test_a_question_that_a_parent_made_of_the_message_is_asked() -> None:
    app, _ = talk("5", "9")
    app.invoke({"question": QUESTION}, THREAD)
    made = {"question": "What is 4 + 5?", "messages": [("user", "And 4 + 5?")]}
    values = app.invoke(made, THREAD)
    assert values["messages"][-2].text == "What is 4 + 5?"


async def test_a_subgraph_runs_in_an_asynchronous_app() -> None:
    app = app_around(refine().compile(model=refining())).compile()
    assert (await app.ainvoke({"question": QUESTION}))["reply"] == "It is 5."


@dataclass
class Tenant:
    """A context of the app's own."""

    name: str


def test_a_subgraph_ignores_a_context_that_is_its_parents_own() -> None:
    app = app_around(refine().compile(model=refining()), context_schema=Tenant).compile()
    assert app.invoke({"question": QUESTION}, context=Tenant("a"))["reply"] == "It is 5."


def test_a_subgraph_resumes_within_by_its_parents_checkpointer() -> None:
    saver = InMemorySaver()
    breaks = refining("The answer is 5.", ModelError("out of memory"))
    app = app_around(refine().compile(model=breaks)).compile(saver)
    with pytest.raises(ModelError):
        app.invoke({"question": QUESTION}, THREAD)
    works = ScriptedModel(["Right."], choices=[[0.9, 0.1]])
    app = app_around(refine().compile(model=works)).compile(saver)
    assert app.invoke(None, THREAD)["reply"] == "It is 5."
    assert len(works.calls) == 1  # the critic's; the draft was kept


def test_a_chain_fills_in_a_prompt_and_parses_the_answer() -> None:
    model = ScriptedModel(["The answer is 5."])
    prompt = ChatPromptTemplate.from_messages([("user", "What is {a} + {b}?")])
    strategy = tg.load("direct").compile(model=model)
    answer = strategy | itemgetter("answer") | itemgetter("text") | StrOutputParser()
    chain: Any = {"messages": prompt} | answer
    assert chain.invoke({"a": 2, "b": 3}) == "The answer is 5."
    assert prompts(model) == ["What is 2 + 3?"]


def test_a_chains_earlier_turns_are_the_conversation_before_the_question() -> None:
    model = ScriptedModel(["The answer is 5."])
    turns = [("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi"), ("user", QUESTION)]
    prompt = ChatPromptTemplate.from_messages(turns)
    chain: Any = {"messages": prompt} | tg.load("direct").compile(model=model)
    assert chain.invoke({})["answer"]["value"] == "5"
    assert [m.role for m in model.calls[0].messages] == ["system", "user", "assistant", "user"]


class TestTool:
    def test_names_and_describes_itself_by_the_graph(self) -> None:
        tool = refine().as_tool(model=refining())
        assert (tool.name, tool.description) == ("refine", "Draft, criticise, rewrite.")
        assert list(tool.args) == ["question"]

    def test_offers_the_params_it_is_told_to_with_their_types_and_ranges(self) -> None:
        rounds = tg.load("self-refine").as_tool(params=["rounds"]).args["rounds"]
        assert (rounds["type"], rounds["default"], rounds["minimum"]) == ("integer", 2, 0)
        assert rounds["description"] == "how often the draft may be rewritten"

    def test_offers_the_choices_of_a_param(self) -> None:
        keep = tg.load("self-refine").as_tool(params=["keep"]).args["keep"]
        assert keep["enum"] == ["always", "better", "both"]

    def test_answers_with_the_value_and_carries_the_result(self) -> None:
        tool = refine().as_tool(model=refining())
        call = {"name": tool.name, "args": {"question": QUESTION}, "id": "1", "type": "tool_call"}
        message = tool.invoke(call)
        assert message.content == "5"
        assert isinstance(message.artifact, Result)
        assert message.artifact.counts["revise"] == 1

    async def test_answers_asynchronously(self) -> None:
        assert await refine().as_tool(model=refining()).ainvoke({"question": QUESTION}) == "5"

    def test_runs_with_the_params_that_the_agent_sets(self) -> None:
        model = refining()
        tool = refine().as_tool(model=model, params=["rounds"])
        assert tool.invoke({"question": QUESTION, "rounds": 0}) == "6"
        assert len(model.calls) == 2

    def test_tells_the_agent_what_went_wrong(self) -> None:
        tool = refine().as_tool(model=refining(), params=["rounds"])
        assert "the question is empty" in tool.invoke({"question": " "})
        assert "rounds" in tool.invoke({"question": QUESTION, "rounds": "many"})
        broken = refine().as_tool(model=refining(ModelError("out of memory")))
        assert broken.invoke({"question": QUESTION}) == "node 'draft': out of memory"

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"params": ["round"]}, "no param 'round'"),
            ({"params": ["rounds"], "rounds": 1}, "set already"),
            ({"round": 1}, "did you mean 'rounds'"),
            ({"rounds": "many"}, "'many' is not an integer"),
        ],
    )
    def test_tells_the_programmer_at_once(self, settings: Any, message: str) -> None:
        with pytest.raises(tg.ThinkgraphError, match=message):
            refine().as_tool(**settings)


def test_a_failed_run_goes_on_from_the_last_finished_node(tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "runs.sqlite")) as saver:
        breaks = refining("The answer is 6.", ModelError("out of memory"))
        app = refine().compile(saver, model=breaks)
        with pytest.raises(ModelError):
            app.invoke({"question": QUESTION}, THREAD)
        before = app.get_state(THREAD).values["candidates"]
        works = refining("One too many.", "The answer is 5.", "Right.")
        values = refine().compile(saver, model=works).invoke(None, THREAD)
    draft = {**before["draft.0.0"], "live": False}
    assert values["candidates"]["draft.0.0"] == draft
    assert (values["answer"]["value"], len(works.calls)) == ("5", 3)


async def test_an_asynchronous_run_goes_on_by_another_process_connection(tmp_path: Path) -> None:
    path = str(tmp_path / "runs.sqlite")
    async with AsyncSqliteSaver.from_conn_string(path) as saver:
        app = refine().compile(saver, model=refining())
        await app.ainvoke({"question": QUESTION}, THREAD, interrupt_after=["draft"])
    async with AsyncSqliteSaver.from_conn_string(path) as saver:
        model = refining("One too many.", "The answer is 5.", "Right.")
        values = await refine().compile(saver, model=model).ainvoke(None, THREAD)
    assert (values["answer"]["value"], len(model.calls)) == ("5", 3)


def test_a_waiting_run_is_edited_and_goes_on_with_a_named_node() -> None:
    model = refining("The answer is 6.", "One too many.", "The answer is 5.", "Right.")
    app = refine().compile(InMemorySaver(), model=model, interrupt_before=["revise"])
    app.invoke({"question": QUESTION}, THREAD)
    told = app.get_state(THREAD)
    (name, critique), *_ = told.values["critiques"].items()
    edited = {name: {**critique, "text": "Count them on your fingers."}}
    values = app.invoke(Command(update={"critiques": edited}, goto="revise"), THREAD)
    assert (told.next, values["answer"]["value"], len(model.calls)) == (("revise",), "5", 4)
    assert "on your fingers" in str(model.calls[2])


def stored(path: Path) -> dict[str, Any]:
    """What the checkpoints hold of the example's run."""
    with SqliteSaver.from_conn_string(str(path)) as saver:
        app = tg.load("self-refine").compile(saver)
        values: dict[str, Any] = app.get_state({"configurable": {"thread_id": "apples"}}).values
    return values


def example(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(EXAMPLES / "langgraph_resume.py"), str(path), "apples"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return (line.strip() for line in process.stdout)


@pytest.mark.slow
def test_a_run_killed_in_the_middle_goes_on_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    first = example(path)
    for line in lines(first):
        if line == "running critic":
            os.kill(first.pid, signal.SIGKILL)
            break
    assert first.wait() == -signal.SIGKILL
    killed = stored(path)
    assert list(killed["usage"]) == ["draft.0"]

    second = example(path)
    told = list(lines(second))
    assert second.wait() == 0
    assert told[:2] == ["resuming before critic", "running critic"]
    assert told[-1].startswith("answer: ")
    finished = stored(path)
    same = {"text", "seed", "tokens", "answer", "confidence"}
    draft, before = (v["candidates"]["draft.0.0"] for v in (finished, killed))
    assert {k: draft[k] for k in same} == {k: before[k] for k in same}
    assert finished["usage"]["draft.0"] == killed["usage"]["draft.0"]
    assert len([key for key in finished["usage"] if key.startswith("draft")]) == 1
