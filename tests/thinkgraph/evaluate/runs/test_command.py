"""``thinkgraph compare``: a table, its files, a second start, and every bad input in one line."""

import csv
import json
import re
import sys
from pathlib import Path

import pytest

from thinkgraph.evaluate.runs import config
from thinkgraph.models.backends.scripted import ScriptedModel

from .conftest import speak

MCP_SERVER = Path(__file__).parents[3] / "nodes" / "tools" / "mcp_server.py"
GRAPHS = "direct,self-consistency@1,4"


@pytest.fixture
def data(tmp_path):
    file = tmp_path / "task.jsonl"
    lines = [{"id": f"q{n}", "question": f"What is {n} + 1?", "answer": n + 1} for n in range(5)]
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


@pytest.fixture
def fixed(monkeypatch):
    """The texts of a scripted model, in place of the embedded one's."""
    model = ScriptedModel(speak, name="smollm2")
    monkeypatch.setattr(config, "load", lambda name, **settings: model)
    return model


@pytest.mark.slow
def test_it_prints_a_table_and_writes_what_it_found(cli, data, fixed, tmp_path):
    out = tmp_path / "out"
    found = cli("compare", "--data", data, "--graphs", GRAPHS, "--out", out, "--seed", 1)
    assert found.status == 0
    for label in ("direct", "self-consistency@1", "self-consistency@4"):
        assert label in found.out
    said = " ".join(found.out.split())
    assert "self-consistency@4 and direct do alike on 5 questions: no difference to be seen" in said
    assert "self-consistency@1 can't be told from direct on 5 questions: +20 points" in said
    names = {file.name for file in out.iterdir()}
    assert {"comparison.sqlite", "index.html", "results.csv", "results.json"} <= names
    with (out / "results.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 5 * 3


@pytest.mark.slow
def test_the_model_is_opened_with_variables_of_its_chat_template(cli, data, tmp_path, monkeypatch):
    given = []

    def load(name, **settings):
        given.append(settings)
        return ScriptedModel(speak, name=name)

    monkeypatch.setattr(config, "load", load)
    words = ("--template", "enable_thinking=false", "--engine", "threads=1", "-q")
    cli("compare", "--data", data, "--graphs", "direct", "--out", tmp_path / "out", *words)
    ((template, threads),) = [(each["template"], each["threads"]) for each in given]
    assert template == {"enable_thinking": False} and threads == "1"


@pytest.mark.slow
def test_json_is_all_there_is_on_standard_output(cli, data, fixed, tmp_path):
    words = ("--graphs", GRAPHS, "--out", tmp_path / "out", "--json", "-q")
    found = cli("compare", "--data", data, *words)
    assert len(json.loads(found.out)["comparison"]["rows"]) == 15


@pytest.mark.slow
def test_so_far_reports_what_was_answered_and_asks_nothing(cli, data, fixed, tmp_path):
    words = ("compare", "--data", data, "--out", tmp_path / "out", "--json")
    cli(*words, "--graphs", "direct", "--limit", 3)
    asked = len(fixed.calls)
    found = cli(*words, "--graphs", "direct,chain-of-thought", "--so-far")
    assert found.status == 0 and len(fixed.calls) == asked
    rows = json.loads(found.out)["comparison"]["rows"]
    assert [row["strategy"] for row in rows] == ["direct"] * 3


@pytest.mark.slow
def test_so_far_keeps_the_machine_that_has_computed_it(cli, data, fixed, tmp_path):
    words = ("compare", "--data", data, "--graphs", "direct", "--out", tmp_path / "out", "-q")
    cli(*words)
    file = tmp_path / "out" / "results.json"
    here = results(tmp_path / "out")["comparison"]["provenance"]["machine"]
    file.write_text(file.read_text().replace(json.dumps(here)[1:-1], "another machine"))
    cli(*words, "--so-far")
    assert results(tmp_path / "out")["comparison"]["provenance"]["machine"] == "another machine"


@pytest.mark.slow
def test_a_second_start_asks_nothing_and_says_the_same(cli, data, fixed, tmp_path):
    words = ("compare", "--data", data, "--graphs", GRAPHS, "--out", tmp_path / "out", "--json")
    first, asked = cli(*words), len(fixed.calls)
    again = cli(*words)
    assert len(fixed.calls) == asked
    assert "15 runs were kept from before" in again.err
    rows = [
        sorted(map(json.dumps, json.loads(found.out)["comparison"]["rows"]))
        for found in (first, again)
    ]
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_another_metric_needs_no_new_run(cli, data, fixed, tmp_path):
    words = ("compare", "--data", data, "--graphs", GRAPHS, "--out", tmp_path / "out")
    cli(*words)
    asked = len(fixed.calls)
    found = cli(*words, "--metric", "estimate:50%")
    assert found.status == 0
    assert "mae" in found.out.lower()
    assert len(fixed.calls) == asked


@pytest.mark.slow
def test_the_embedded_model_is_compared_on_its_own_task(cli, tmp_path):
    words = ("--graphs", "direct,arithmetic,self-consistency@2", "-p", "max_tokens=24")
    found = cli("compare", "--data", "word-problems:3", *words, "--out", tmp_path / "out", "--json")
    rows = json.loads(found.out)["comparison"]["rows"]
    assert len(rows) == 9
    assert all(row["tokens"] > 0 and row["failure"] is None for row in rows)


def test_runs_that_fail_are_told_after_the_table(cli, data, fixed, tmp_path):
    fixed.context_length = 6
    found = cli("compare", "--data", data, "--graphs", "direct,debate", "--out", tmp_path / "out")
    assert found.status == 0
    assert "failed, and counted as wrong: 5 of 10 runs" in found.err
    assert "The same command tries them again" in found.err


BROKEN = '{"question": "a", "answer": "1"}\n{"question": "b", \n{"question": "c", "answer": "3"}\n'
NO_ANSWER = '{"question": "a", "answer": "1"}\n{"question": "b"}\n'
TWICE = '{"id": 7, "question": "a", "answer": "1"}\n{"id": 7, "question": "b", "answer": "2"}\n'


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (BROKEN, r"line 2\b"),
        (NO_ANSWER, r"'answer'.*line 2\b"),
        (TWICE, r"'7' at line 1, line 2"),
        ("", "empty|no question"),
        ("\n \n", "empty|no question"),
    ],
    ids=["a broken line", "a missing field", "an id twice", "an empty file", "blank lines"],
)
def test_bad_data_is_one_message_before_anything_runs(cli, fixed, tmp_path, content, says):
    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    found = cli("compare", "--data", file, "--graphs", GRAPHS, "--out", tmp_path / "out")
    assert found.status == 2
    assert found.out == ""
    assert "bad.jsonl" in found.err
    assert re.search(says, found.err)
    assert "Traceback" not in found.err
    assert fixed.calls == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--data", "none.jsonl", "--graphs", "direct"), "none.jsonl"),
        (("--data", "word-problems:2", "--graphs", "direct,dirct"), "dirct"),
        (("--data", "word-problems:2", "--graphs", "direct,direct"), "twice"),
        (("--data", "word-problems:2", "--graphs", "direct", "--metric", "exct"), "exact"),
        (("--data", "word-problems:2", "--graphs", "direct", "-p", "sampels=3"), "sampels"),
        (("--data", "word-problems:2", "--graphs", "direct", "--metric", "choice"), "options"),
        (("--data", "word-problems:2", "--graphs", "direct", "-m", "smolm2"), "smollm2"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(cli, tmp_path, words, says):
    found = cli("compare", *words, "--out", tmp_path / "out", "-q")
    assert found.status == 2
    assert found.out == ""
    assert says in found.err
    assert len(found.err.strip().splitlines()) == 1


def test_a_folder_that_can_not_be_made_is_said(cli, data, fixed, tmp_path):
    (tmp_path / "file").write_text("")
    words = ("--graphs", GRAPHS, "--out", tmp_path / "file", "-q")
    found = cli("compare", "--data", data, *words)
    assert found.status == 2
    assert "can't make the folder" in found.err


@pytest.fixture
def support(tmp_path):
    file = tmp_path / "support.csv"
    file.write_text(
        "Question,Answer,Topic,Author\nIs it open?,Yes,hours,Ann\nIs it free?,no,price,Bob\n"
        "What is 1 + 1?,2,price,Ann\nWhat is the opposite of open?,closed,hours,Bob\n"
    )
    return file


def results(out):
    return json.loads((out / "results.json").read_text("utf-8"))


@pytest.mark.slow
def test_the_page_tells_all_that_it_can_be_repeated_from(cli, support, fixed, tmp_path):
    out = tmp_path / "out"
    words = ("--data", support, "--graphs", "direct", "--out", out, "-p", "max_tokens=9", "-q")
    assert cli("compare", *words).status == 0
    made = results(out)["comparison"]["provenance"]
    assert made["command"].startswith("thinkgraph compare --data") and "--seed 0" in made["command"]
    assert made["versions"].keys() >= {"thinkgraph", "llama-cpp-python", "python"}
    assert len(made["data"]["sha256"]) == len(made["models"]["smollm2"]["sha256"]) == 64
    assert made["machine"] and made["date"]
    page = (out / "index.html").read_text("utf-8")
    assert made["command"].replace("'", "&#39;") in page and made["data"]["sha256"] in page
    assert "max_tokens = 9" in page and "1 strategy on 4 questions" in page


def test_unused_fields_and_what_is_looked_for_are_told(cli, support, fixed, tmp_path):
    words = ("--data", support, "--graphs", "direct", "--out", tmp_path / "out", "-q")
    said = cli("compare", *words).err
    assert "not used: Topic, Author" in said
    assert "yes or no (2), numbers (1), texts (1)" in said and "--extract" in said


def test_results_are_broken_down_by_a_field(cli, support, fixed, tmp_path):
    out = tmp_path / "out"
    words = ("--data", support, "--graphs", "direct", "--by", "Topic", "--out", out, "-q")
    found = cli("compare", *words)
    assert re.search(r"(?m)^hours +2 ", found.out) and re.search(r"(?m)^price +2 ", found.out)
    assert {row["group"] for row in csv.DictReader((out / "results.csv").open())} == {
        "hours",
        "price",
    }


def test_several_models_stand_in_one_table(cli, data, tiny, tmp_path):
    models = f"{tiny('llama')},{tiny('gemma2')}"
    words = ("--data", data, "--graphs", "direct", "-p", "max_tokens=4", "--limit", 2, "-q")
    found = cli("compare", *words, "-m", models, "--out", tmp_path / "out")
    assert found.status == 0, found.err
    labels = [v["label"] for v in results(tmp_path / "out")["comparison"]["variants"]]
    assert labels == [f"direct ({name})" for name in (tiny("llama").stem, tiny("gemma2").stem)]
    assert len(results(tmp_path / "out")["comparison"]["provenance"]["models"]) == 2
    paces = results(tmp_path / "out")["comparison"]["paces"]
    assert len(set(paces.values())) == 2
    for row in results(tmp_path / "out")["summary"]["strategies"]:
        model = next(name for name in paces if Path(name).stem in row["label"])
        assert row["seconds"] == pytest.approx(row["tokens"] * paces[model])


def test_engine_settings_that_change_logits_share_no_samples(cli, data, tiny, tmp_path):
    words = ("--data", data, "--graphs", "direct", "-p", "max_tokens=4", "--limit", 2, "-q")
    out = ("-m", tiny("llama"), "--out", tmp_path / "out", "--json")
    spent = []
    for more in ((), ("-e", "rope_freq_base=5000"), ("-e", "type_k=f16"), ("-e", "threads=1")):
        found = cli("compare", *words, *out, *more)
        spent.append(json.loads(found.out)["comparison"]["spent"]["completion_tokens"])
    assert spent[1] == 2 * spent[0] and spent[2] == spent[3] == spent[1]


@pytest.mark.slow
def test_another_comparison_is_not_overwritten_unasked(cli, data, support, fixed, tmp_path):
    out = ("--out", tmp_path / "out", "-q")
    assert cli("compare", "--data", data, "--graphs", "direct", *out).status == 0
    before = results(tmp_path / "out")
    other = ("compare", "--data", support, "--graphs", "direct", *out)
    found = cli(*other)
    assert found.status == 2 and "another comparison (data task)" in found.err
    assert "--replace" in found.err and results(tmp_path / "out") == before
    more = cli("compare", "--data", data, "--graphs", "direct,self-consistency@2", *out)
    assert more.status == 0
    fewer = cli("compare", "--data", data, "--graphs", "direct", *out)
    assert fewer.status == 2 and "self-consistency@2" in fewer.err
    assert cli(*other, "--replace").status == 0


def test_an_extractor_holds_for_all(cli, support, fixed, tmp_path):
    words = ("--data", support, "--graphs", "direct", "--out", tmp_path / "out", "-q")
    assert cli("compare", *words, "--extract", "text").status == 0
    rows = results(tmp_path / "out")["comparison"]["rows"]
    assert all(row["answer"] == row["text"].strip() for row in rows)
    assert "did you mean" in cli("compare", *words, "--extract", "txt", "--replace").err


SHORT = {
    "yes-no": [
        ("Is shipping free?", "no", "no, shipping is not free"),
        ("Is it open on 24 December?", "yes", "Yes, until 2 pm on 24 December."),
        ("May I return it after 30 days?", "No", "No."),
    ],
    "texts": [
        ("Where is the shop?", "Paris", "Paris"),
        ("Where is the office?", "St. Louis", "St. Louis."),
        ("Who is the manager?", "Ann Lee", "Ann Lee"),
    ],
    "numbers": [
        ("How many days does it take?", "14", "14"),
        ("How many shops are there?", "1,200", "There are 1200 shops"),
        ("What does it cost in $?", "5", "It costs $5."),
    ],
    "letters": [
        ("Which? (A) red (B) green (C) blue", "B", "B"),
        ("Which? (A) sun (B) moon (C) star", "A", "(A) sun"),
        ("Which? (A) up (B) down (C) left", "C", "C."),
    ],
    "labels": [
        (f"What is the mood of message {n}?", mood, f"The message is {mood}.")
        for n, mood in enumerate(["Positive", "negative", "neutral", "positive"] * 3)
    ],
}


def short_answers(questions):
    """Speaks as models do: briefly to a question alone, with a marker after steps."""
    said = {question: text for question, _, text in questions}

    def answer(messages, seed):
        asked = next(q for q in said if q.splitlines()[0] in messages[-1].content)
        steps = "step" in "".join(m.content for m in messages)
        return f"Let me see, 1 or 2.\nThe answer is {said[asked]}" if steps else said[asked]

    return answer


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHORT)
def test_brief_and_reasoned_answers_are_judged_alike(cli, kind, tmp_path, monkeypatch):
    model = ScriptedModel(short_answers(SHORT[kind]), name="smollm2")
    monkeypatch.setattr(config, "load", lambda name, **settings: model)
    file, out = tmp_path / "support.csv", tmp_path / "out"
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([("question", "answer"), *(row[:2] for row in SHORT[kind])])
    words = ("--data", file, "--graphs", "direct,chain-of-thought", "--out", out)
    found = cli("compare", *words)
    assert found.status == 0 and "answers are looked for by the kind of the right ones" in found.err
    made = results(out)
    assert len(made["comparison"]["rows"]) == 2 * len(SHORT[kind])
    assert [each["right"] for each in made["summary"]["strategies"]] == [len(SHORT[kind])] * 2
    assert "answers are looked for by the kind of the right ones" in (out / "index.html").read_text(
        "utf-8"
    )


@pytest.mark.slow
def test_other_right_answers_are_judged_anew_from_kept_samples(cli, fixed, tmp_path):
    file, out = tmp_path / "support.csv", tmp_path / "out"
    words = ("compare", "--data", file, "--graphs", "direct", "--out", out, "-q")
    file.write_text("question,answer\nIs it free?,no\n")
    assert cli(*words).status == 0
    asked = len(fixed.calls)
    assert results(out)["comparison"]["rows"][0]["answer"] is None
    file.write_text("question,answer\nIs it free?,0\n")
    assert cli(*words).status == 0
    assert len(fixed.calls) == asked
    assert results(out)["comparison"]["rows"][0]["answer"] is not None


ADD = "def add(a: int, b: int) -> int:\n    'Add two numbers.'\n    return a + b\n"
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 20, "b": 1}}\n</tool_call>'


def calls_then_answers(messages, seed):
    """A call of the tool `add`, then its result as the answer."""
    last = messages[-1]
    return f"The answer is {last.content}" if last.role == "tool" else CALL


@pytest.mark.slow
def test_tools_are_bound_from_a_file_and_from_mcp_servers(cli, data, tmp_path, monkeypatch):
    pytest.importorskip("mcp.server.mcpserver")
    model = ScriptedModel(calls_then_answers, name="smollm2")
    monkeypatch.setattr(config, "load", lambda name, **settings: model)
    (tmp_path / "own.py").write_text(ADD)
    server = {"command": sys.executable, "args": [str(MCP_SERVER)]}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"tests": server}}))
    words = ("compare", "--data", data, "--graphs", "react:tool=add", "--limit", 2, "--json")
    for bound in (("--tools", tmp_path / "own.py"), ("--mcp", tmp_path / "mcp.json")):
        found = cli(*words, *bound, "--out", tmp_path / bound[0][2:])
        assert found.status == 0, found.err
        rows = json.loads(found.out)["comparison"]["rows"]
        assert [row["answer"] for row in rows] == ["21", "21"]


def test_a_tool_that_nothing_binds_is_told_before_a_model_is_loaded(cli, data, tmp_path):
    words = ("compare", "--data", data, "--out", tmp_path / "out", "-q")
    found = cli(*words, "--graphs", "react:tool=add", "-m", "smollm2")
    assert found.status == 2
    assert "needs the tool 'add', which is not bound" in found.err
    assert not (tmp_path / "out").exists()
    found = cli(*words, "--graphs", "direct", "--mcp", tmp_path / "no.json")
    assert found.status == 2
    assert "no.json can't be read" in found.err.splitlines()[-1]
