"""select: what is kept, and what is dropped as not accepted."""

from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from typer.testing import CliRunner

import thinkgraph as tg
from thinkgraph.cli.app import app
from thinkgraph.models.backends.scripted import ScriptedModel

QUESTION = "What is 2 + 3?"


def even(answer: str) -> tuple[bool, str]:
    return int(answer) % 2 == 0, f"{answer} is odd." if int(answer) % 2 else ""


def graph(**settings: Any) -> tg.Graph:
    made = tg.Graph("sifted")
    made.add(
        draft=tg.Generate(samples=4),
        check=tg.Score(verifier="even"),
        keep=tg.Select(**settings),
    )
    made.edge(tg.START, "draft", "check", "keep", tg.END)
    return made


def run(numbers: list[int], **settings: Any) -> tg.Result:
    model = ScriptedModel([f"It is {n}." for n in numbers])
    return graph(**settings).run(QUESTION, model=model, seed=1, verifiers={"even": even})


def live(result: tg.Result) -> list[str | None]:
    return [c.answer for c in result.candidates if c.live]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"best": "all", "accepted": True}, ["2", "4"]),
        ({"best": 1, "accepted": True}, ["2"]),
        ({"best": "all", "at_least": 1}, ["2", "4"]),
        ({"best": "all", "at_least": 0}, ["1", "2", "3", "4"]),
        ({"best": 3}, ["1", "2", "4"]),
        ({"best": "all", "among": "all", "accepted": True}, ["2", "4"]),
    ],
)
def test_what_is_not_accepted_is_dropped(settings: dict[str, Any], kept: list[str]) -> None:
    result = run([1, 2, 3, 4], **settings)
    assert live(result) == kept
    rejected = [c.answer for c in result.candidates if c.rejected]
    assert rejected == (["1", "3"] if kept in (["2", "4"], ["2"]) else [])
    assert result.accepted is (live(result)[0] != "1") and not result.rejected


def test_a_text_that_the_budget_cut_ranks_after_whole_ones() -> None:
    long = "well " * 20 + "the answer is 4."
    model = ScriptedModel(["It is 7.", long], logprobs=[-0.9, -0.1])
    result = tg.load("best-of-n").run(
        QUESTION, model=model, seed=1, samples=2, budget={"tokens": 12}
    )
    assert [c.finish_reason for c in result.candidates] == ["stop", "budget"]
    assert live(result) == ["7"]


def test_a_run_that_ends_with_nothing_accepted_says_so() -> None:
    result = run([1, 3, 5, 7], accepted=True)
    note = "Nothing was accepted: all 4 candidates were rejected."
    assert (result.answer.value, result.answer.text, result.answer.note) == (None, "", note)
    assert result.rejected and result.accepted is False
    assert result.output_text == note
    assert result.summary()["rejected"] is True
    page = result.to_html()
    assert note in page and "1 is odd." in page


def test_so_does_the_message_in_langgraph() -> None:
    model = ScriptedModel([f"It is {n}." for n in (1, 3, 5, 7)])
    compiled = graph(accepted=True).compile(InMemorySaver(), model=model, verifiers={"even": even})
    values = compiled.invoke({"question": QUESTION}, {"configurable": {"thread_id": "1"}})
    assert values["messages"][-1].text.startswith("Nothing was accepted")
    assert values["answer"]["value"] is None


def test_an_output_with_a_schema_is_null_then() -> None:
    made = graph(accepted=True)
    spec = made.spec.plain | {"output": {"field": "answer", "json_schema": {"type": "integer"}}}
    model = ScriptedModel(["1", "3", "5", "7"])
    result = tg.Graph.of(tg.Spec.model_validate(spec)).run(
        QUESTION, model=model, seed=1, verifiers={"even": even}
    )
    assert result.output is None and result.rejected


def test_a_condition_can_try_again() -> None:
    made = tg.Graph("again")
    made.add(
        draft=tg.Generate(samples=2),
        hotter=tg.Generate(samples=2, temperature=1.5),
        check=tg.Critique(verifier="even"),
        keep=tg.Select(accepted=True, by="verdict"),
    )
    made.edge(tg.START, "draft", "check", "keep")
    made.edge("keep", "hotter", when="live == 0", at_most=1)
    made.edge("keep", tg.END)
    made.edge("hotter", "check")
    model = ScriptedModel(["It is 1.", "It is 3.", "It is 5.", "It is 8."])
    result = made.run(QUESTION, model=model, seed=1, verifiers={"even": even})
    assert (result.answer.value, result.rejected) == ("8", False)
    assert [c.rejected for c in result.candidates] == [True, True, True, False]


def test_the_command_line_tells_it_and_its_exit_status_is_3(tmp_path: Path) -> None:
    graph(accepted=True).save(tmp_path / "sifted.yaml")
    (tmp_path / "own.py").write_text("def even(text: str) -> bool:\n    return False\n")
    command = ["run", str(tmp_path / "sifted.yaml"), QUESTION, "-q", "--seed", "1"]
    command += ["--verifiers", str(tmp_path / "own.py"), "--budget", "20"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 3, done.output
    assert "Nothing was accepted: all 4 candidates were rejected." in done.output


@pytest.mark.parametrize("best", [0, -1])
def test_at_least_one_is_kept(best: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        tg.Select(best=best)
