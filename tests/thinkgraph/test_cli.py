"""The command line: results on standard output, one line for a mistake, and the exit status."""

import asyncio
import io
import json
import shutil
import subprocess
import sys

import gguf
import pytest

from thinkgraph import Critique, Generate, Graph
from thinkgraph.cli import show
from thinkgraph.cli.options import command_line, tuned_line
from thinkgraph.models.model import ModelRequest, Sampling
from thinkgraph.models.tuning.findings import Finding, copies, keep
from thinkgraph.nodes.prompts.prompt import load_prompt
from thinkgraph.nodes.tools.python import is_installed

QUESTION = "A pen costs 3 dollars. How much do 7 pens cost?"


@pytest.mark.slow
def test_run_prints_the_result_alone_on_standard_output(cli):
    found = cli("run", "direct", QUESTION, "--seed", 1, "-p", "max_tokens=8", "--json")
    assert found.status == 0
    data = json.loads(found.out)
    assert data["seed"] == 1
    assert data["usage"]["completion_tokens"] <= 8
    assert found.err


def test_quiet_shows_no_progress(cli):
    found = cli("run", "direct", QUESTION, "-p", "max_tokens=4", "-q", "--json")
    assert found.status == 0
    assert found.err == ""


def test_the_question_can_come_from_a_pipe(cli, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(QUESTION))
    found = cli("run", "direct", "-", "-p", "max_tokens=4", "-q", "--json")
    assert found.status == 0


@pytest.mark.slow
def test_a_budget_holds(cli):
    words = ("run", "self-consistency", QUESTION, "-p", "samples=4", "--budget", 20, "--json")
    data = json.loads(cli(*words).out)
    assert data["usage"]["completion_tokens"] <= 24  # within one step of four samples
    assert "20 tokens" in data["cut"]


def test_a_role_has_a_model_file_of_its_own(cli, tiny, opened):
    draft = {"temperature": 0, "max_tokens": 12, "ignore_eos": True}
    graph = Graph("two-models")
    graph.add(draft=Generate(**draft), critic=Critique(model="critic", **draft))
    graph.edge("START", "draft", "critic", "END")
    graph.save(spec := tiny("llama").parent / "two-models.yaml")
    words = ("--model", tiny("llama"), "--role", f"critic={tiny('gemma2')}", "-q", "--json")
    data = json.loads(cli("run", spec, "hello", *words).out)
    text, review = data["candidates"][0]["text"], data["critiques"][0]["text"]
    sampling = Sampling(**draft)
    drafted = load_prompt("question").render({"question": "hello"}, ())
    reviewed = load_prompt("critique").render(
        {"question": "hello", "candidate": text, "answer": "", "verdicts": ()}, ()
    )
    assert text == said(opened("llama"), drafted, sampling)
    assert text != said(opened("gemma2"), drafted, sampling)
    assert review == said(opened("gemma2"), reviewed, sampling)
    assert review != said(opened("llama"), reviewed, sampling)


def said(model, messages, sampling):
    return asyncio.run(model.generate(ModelRequest(messages, sampling, [1])).completions())[0].text


def test_a_report_is_written(cli, tmp_path):
    page = tmp_path / "run.html"
    assert cli("run", "direct", QUESTION, "-p", "max_tokens=4", "--report", page).status == 0
    assert "<html" in page.read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "dirct", "?"), "direct"),
        (("run", "direct", " "), "the question is empty"),
        (("run", "direct", "?", "-p", "max_token=3"), "max_tokens"),
        (("run", "direct", "?", "-p", "max_tokens"), "write NAME=VALUE"),
        (("run", "direct", "?", "-m", "smolm2"), "did you mean smollm2"),
        (("run", "direct", "?", "-m", "none.gguf"), "there is no file none.gguf"),
        (("run", "direct", "?", "-e", "thread=3"), "thread"),
        (("run", "direct", "?", "--prompt", "question=none.yaml"), "none.yaml"),
        (("run", "direct", "?", "--role", "critic=smollm2"), "critic"),
        (("show", "dirct"), "direct"),
        (("show", "direct", "--format", "png"), "needs --out"),
        (("plan", "dirct"), "direct"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(cli, words, says):
    found = cli(*words)
    assert found.status == 2
    assert found.out == ""
    assert says in found.err
    assert found.err.startswith("thinkgraph: ")
    assert len(found.err.strip().splitlines()) == 1


def test_debug_may_stand_behind_the_command_but_not_behind_two_dashes():
    command = [sys.executable, "-m", "thinkgraph", "show", "dirct", "--debug"]
    assert (
        "Traceback" in subprocess.run(command, capture_output=True, text=True, check=False).stderr
    )
    command[4:] = ["--", "--debug"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert told.startswith("thinkgraph: there is no graph '--debug'")


def test_check_tells_errors_by_its_status(cli, tmp_path):
    good = tmp_path / "good.yaml"
    good.write_text(
        "thinkgraph: 1\nname: good\nnodes: {a: {kind: generate}}\nedges: START -> a -> END\n"
    )
    bad = tmp_path / "bad.yaml"
    bad.write_text(good.read_text().replace("generate", "generat"))
    assert cli("check", good).status == 0
    found = cli("check", bad)
    assert found.status == 2
    assert "generate" in found.out


def test_list_names_every_strategy(cli):
    found = cli("list")
    assert found.status == 0
    strategies, *tools, verifiers = found.out.split("\n\n")
    assert len(strategies.splitlines()) == 29
    assert "self-consistency" in strategies
    if is_installed():
        assert tools[0].startswith("Tools:\npython ")
        assert "(built in)" in tools[0]
    assert verifiers.startswith("Verifiers:\ntests ")


def test_in_a_terminal_descriptions_stand_beside_the_names(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", terminal)
    show._print_item("router", "word " * 40)
    name, *more = terminal.getvalue().splitlines()
    assert name.startswith("router  ") and more
    assert all(line.startswith(" " * 27 + "word") and len(line) <= 80 for line in more)


def test_a_report_that_can_not_be_written_is_said_before_the_run(cli, tmp_path):
    found = cli("run", "direct", QUESTION, "--report", tmp_path / "nowhere" / "x.html")
    assert found.status == 2 and found.out == ""
    assert "can't be written: there is no folder" in found.err


@pytest.mark.slow
def test_list_tells_what_each_strategy_needs(cli):
    lines = cli("list", "--needs").out.splitlines()
    told = dict(line.split(maxsplit=1) for line in lines)
    assert len(told) == 29
    assert told["direct"] == "nothing"
    assert told["program-aided"] == "the tool python"
    assert told["self-refine"].endswith("words; on an API endpoint: -p verdict=text")
    assert told["beam-search"].endswith("; not on an API endpoint")


def test_show_writes_a_drawing(cli, tmp_path):
    file = tmp_path / "debate.svg"
    assert cli("show", "debate", "--format", "svg", "--out", file).status == 0
    assert file.read_text("utf-8").startswith("<svg")


def test_plan_says_what_a_run_may_cost(cli):
    found = cli("plan", "self-consistency", QUESTION, "-p", "samples=3", "--json")
    assert found.status == 0
    assert json.loads(found.out)["total"]["samples"] == 3


def test_models_says_where_they_are(cli):
    found = cli("models")
    assert found.status == 0
    assert "smollm2" in found.out
    assert ".gguf" in found.out


@pytest.mark.slow
def test_what_does_not_load_says_why_and_debug_shows_the_log(tmp_path):
    """In a process of its own, since a log's handlers are the process's."""
    file = tmp_path / "strange.gguf"
    writer = gguf.GGUFWriter(file, "no-such-architecture")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    command = [sys.executable, "-m", "thinkgraph", "run", "direct", QUESTION, "-m", file]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    assert plain.returncode == 2
    assert "unknown model architecture: 'no-such-architecture'" in plain.stderr
    assert "pip install --upgrade llama-cpp-python" in plain.stderr
    assert plain.stderr.count("\n") <= 2
    command.append("--debug")  # behind the command, too
    debug = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "llama_model_loader: loaded meta data" in debug.stderr


def test_a_plan_says_what_fits(cli):
    found = cli("plan", "direct", QUESTION)
    assert "model: all 31 layers on the CPU; weights 92 MiB" in found.out
    data = json.loads(cli("plan", "direct", QUESTION, "--json").out)
    assert data["placement"]["context"] == 8192


def test_what_was_tuned_is_shown_and_undone(cli, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copies().mkdir(parents=True)
    copy = shutil.copy(tiny("llama"), copies() / "copy.gguf")
    keep(tiny("llama"), Finding(use=copy, settings={"threads": 1}))
    assert f"threads 1, the copy {copy} (" in cli("models").out
    words = ("run", "direct", "Hi?", "-m", tiny("llama"), "-p", "max_tokens=2")
    assert "as tuned: threads 1" in cli(*words).err.splitlines()[0]
    assert f"as tuned: the copy {copy}" in cli(*words, "--engine", "threads=2").err.splitlines()[0]
    assert "is as it was" in cli("tune", "--undo", tiny("llama")).out
    assert not copy.exists()
    assert "as tuned" not in cli(*words).err
    assert "nothing was tuned" in cli("tune", "--undo", tiny("llama")).out


def test_what_is_told_of_the_tuning_is_what_runs(cli, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    keep(tiny("llama"), Finding(use=tiny("llama"), settings={"flash_attention": "off"}))
    for given in ("type_v=q8_0", "flash_attention=on"):  # neither goes with it
        assert tuned_line(str(tiny("llama")), [given]) == (
            f"{tiny('llama')} not as tuned, for --engine sets it otherwise; "
            f"undo: thinkgraph tune --undo {tiny('llama')}"
        )
    assert "as tuned: flash_attention off;" in tuned_line(str(tiny("llama")), ["threads=1"])


def test_the_tuning_of_a_file_that_is_gone_is_shown_and_undone(cli, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copies().mkdir(parents=True)
    model = shutil.copy(tiny("llama"), tmp_path / "mine.gguf")
    copy = shutil.copy(tiny("llama"), copies() / "copy.gguf")
    keep(model, Finding(use=copy))
    model.unlink()
    assert f"tuned: {model}: no longer used" in cli("models").out
    assert f"is as it was; removed {copy}" in cli("tune", "--undo", model).out
    assert not copy.exists()
    assert str(model) not in cli("models").out


@pytest.mark.parametrize(
    ("question", "words"),
    [("2+2", "run direct 2+2 -q --seed 1"), ("-5+3", "run direct -q --seed 1 -- -5+3")],
)
def test_a_command_repeats_a_question_that_came_from_standard_input(monkeypatch, question, words):
    monkeypatch.setattr(sys, "argv", ["thinkgraph", "run", "direct", "-", "-q"])
    assert command_line(seed=1, question=question) == f"thinkgraph {words}"
