"""review: a person chooses, edits or remarks; in LangGraph, in Python and in a terminal."""

import io
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command
from typer.testing import CliRunner

import thinkgraph as tg
from thinkgraph.cli.app import app
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.person import reply_to

QUESTION = "What is 2 + 3?"
THREAD = {"configurable": {"thread_id": "1"}}


def reviewed(drafts: int = 2) -> tg.Graph:
    graph = tg.Graph("reviewed")
    graph.add(draft=tg.Generate(samples=drafts), look=tg.Review(ask="Which is right?"))
    graph.edge(tg.START, "draft", "look", tg.END)
    return graph


def model() -> ScriptedModel:
    return ScriptedModel(["It is 5.", "It is 6.", "It is 7."])


def replied(reply: Any, drafts: int = 2) -> tg.Result:
    with pytest.raises(tg.Interrupted) as waiting:
        reviewed(drafts).run(QUESTION, model=model(), seed=1)
    return waiting.value.resume(reply)


def live(result: tg.Result) -> list[str]:
    return [c.text for c in result.candidates if c.live]


def test_the_run_waits_with_the_candidates() -> None:
    with pytest.raises(tg.Interrupted) as waiting:
        reviewed().run(QUESTION, model=model(), seed=1)
    (interrupt,) = waiting.value.interrupts
    assert interrupt.value["review"] == "look"
    assert interrupt.value["ask"] == "Which is right?"
    first = {"id": "draft.0.0", "text": "It is 5.", "answer": "5", "score": None, "critiques": []}
    assert interrupt.value["candidates"][0] == first


@pytest.mark.parametrize("reply", [2, "2", "draft.0.1", {"choose": 2}, {"choose": "draft.0.1"}])
def test_a_choice_keeps_one(reply: Any) -> None:
    result = replied(reply)
    assert live(result) == ["It is 6."]
    assert (result.answer.value, result.accepted) == ("6", True)


def test_an_edit_is_a_candidate_of_its_own() -> None:
    result = replied({"choose": 1, "edit": "It is 2 + 3 = 5, of course."})
    assert live(result) == ["It is 2 + 3 = 5, of course."]
    *_, edited = result.candidates
    assert (edited.node, edited.parents, edited.tokens) == ("look", ("draft.0.0",), 0)
    assert (result.answer.value, result.accepted) == ("5", True)


def test_a_remark_rejects_and_a_revision_sees_it() -> None:
    graph = tg.Graph("revised")
    graph.add(draft=tg.Generate(), look=tg.Review(), again=tg.Revise())
    graph.edge(tg.START, "draft", "look")
    graph.edge("look", "again", when="!accepted", at_most=3)
    graph.edge("look", tg.END)
    graph.edge("again", "look")
    with pytest.raises(tg.Interrupted) as first:
        graph.run(QUESTION, model=model(), seed=1)
    with pytest.raises(tg.Interrupted) as second:
        first.value.resume("Add the numbers once more.")
    assert second.value.interrupts[0].value["candidates"][0]["text"] == "It is 6."
    result = second.value.resume(True)
    assert (result.answer.value, result.accepted) == ("6", True)
    asked = [m.content for r in result.requests for m in r.messages]
    assert any("Add the numbers once more." in content for content in asked)


@pytest.mark.parametrize(("reply", "accepted"), [(True, True), (False, False)])
def test_all_can_be_accepted_or_rejected(reply: bool, accepted: bool) -> None:
    result = replied(reply)
    assert len(live(result)) == 2
    assert [c.accepted for c in result.critiques] == [accepted, accepted]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (3, "there is no candidate 3; there are 1 to 2: draft.0.0, draft.0.1"),
        ("draft.0.9", "there is no candidate 'draft.0.9'"),
        ({"choise": 1}, "choise"),
        ({"remark": None}, "the reply is empty"),
        ([1], "[1] is not a reply"),
        ({"edit": "Five."}, "an edit needs `choose`, since there are 2 candidates"),
    ],
)
def test_a_reply_that_is_none_is_asked_for_again(reply: Any, error: str) -> None:
    with pytest.raises(tg.Interrupted) as again:
        replied(reply)
    assert error in again.value.interrupts[0].value["error"]
    assert live(again.value.resume(1)) == ["It is 5."]


def test_it_works_with_any_checkpointer_and_across_processes(tmp_path: Path) -> None:
    path = str(tmp_path / "runs.sqlite")
    with SqliteSaver.from_conn_string(path) as saver:
        waiting = reviewed().compile(saver, model=model()).invoke({"question": QUESTION}, THREAD)
        assert "__interrupt__" in waiting
    with SqliteSaver.from_conn_string(path) as saver:
        compiled = reviewed().compile(saver, model=ScriptedModel([]))
        still = compiled.invoke(None, THREAD)  # nothing is lost by going on without a reply
        assert still["__interrupt__"][0].value["review"] == "look"
        values = compiled.invoke(Command(resume=2), THREAD)
    assert values["answer"]["value"] == "6"


async def test_it_works_in_an_event_loop() -> None:
    compiled = reviewed().compile(InMemorySaver(), model=model())
    await compiled.ainvoke({"question": QUESTION}, THREAD)
    values = await compiled.ainvoke(Command(resume={"choose": 1}), THREAD)
    assert values["answer"]["value"] == "5"


def test_with_no_candidate_there_is_nothing_to_ask() -> None:
    graph = tg.Graph("empty")
    graph.add(
        draft=tg.Generate(),
        check=tg.Critique(verifier="no"),
        drop=tg.Select(accepted=True, by="verdict"),
        look=tg.Review(),
    )
    graph.edge(tg.START, "draft", "check", "drop", "look", tg.END)
    result = graph.run(QUESTION, model=model(), seed=1, verifiers={"no": lambda: False})
    assert result.rejected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        ("2\n", None),
        ("9\n2\n", "there is no candidate 9"),
        ("\n2\n", "not understood: answer with one of\n  NUMBER"),
        ("2: It is 11.\n", None),
    ],
)
def test_a_terminal_shows_the_candidates_and_asks(
    tmp_path: Path, lines: str, shown: str | None
) -> None:
    path = tmp_path / "reviewed.yaml"
    reviewed().save(path)
    command = ["run", str(path), QUESTION, "--seed", "1", "--budget", "60", "--json", "-q"]
    done = CliRunner().invoke(app, command, input=lines)
    assert done.exit_code == 0, done.output
    assert "Which is right?" in done.stderr and "draft.0.1" in done.stderr
    if shown:
        assert shown in done.stderr
    answer = "11" if "11" in lines else None
    assert '"draft.0.1"' in done.stdout
    assert answer is None or f'"value": "{answer}"' in done.stdout


@pytest.mark.slow
def test_a_pipe_that_has_ended_is_told(tmp_path: Path) -> None:
    path = tmp_path / "reviewed.yaml"
    reviewed().save(path)
    done = CliRunner().invoke(app, ["run", str(path), QUESTION, "--budget", "20", "-q"], input="")
    assert done.exit_code != 0
    assert "waits for a person, and standard input has ended" in str(done.exception or done.stderr)


def test_other_requests_take_yes_or_no_or_a_text_or_json(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(
        "sys.stdin", io.StringIO('\ny\nNo\nnot now\n{"arguments": {"q": "y"}}\n{"a": 1}\nwords\n')
    )
    request = {"approve": "search", "arguments": {"q": "\x1b[2Jx"}}
    assert [reply_to(request) for _ in range(4)] == [
        True,
        False,
        "not now",
        {"arguments": {"q": "y"}},
    ]
    assert reply_to({"draft": 1}) == {"a": 1}
    assert reply_to({"draft": 1}) == "words"
    assert "\x1b" not in capsys.readouterr().err
