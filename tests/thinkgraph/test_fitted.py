"""Fitted params: for which strategy and model they are, what is kept of them, and who is told."""

import json
from pathlib import Path

import pytest

from thinkgraph.cli.options import NONE
from thinkgraph.cli.serve import _service
from thinkgraph.evaluate.runs import config
from thinkgraph.evaluate.runs.provenance import file_digest
from thinkgraph.fitted import Fitted, model_digest, read_fitted, spec_digest
from thinkgraph.fitted_store import for_model, keep, store
from thinkgraph.graphs.graph import load
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.serve.mcp.tools import input_model
from thinkgraph.serve.offer.models import Models
from thinkgraph.serve.offer.strategies import Strategies

SPEC = """
thinkgraph: 1
name: mine
params:
  heat: {default: 0.5, minimum: 0, fit: [0, 1]}
nodes: {draft: {kind: generate, temperature: $heat}}
edges: START -> draft -> END
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def scripted(monkeypatch):
    """Right at temperature 0 alone; in place of any model that a run or a search opens."""

    def right_if_greedy(messages, seed):
        return "It is 7." if model.calls[-1].sampling.temperature == 0 else "It is 8."

    model = ScriptedModel(right_if_greedy, name="scripted")
    monkeypatch.setattr(config, "load", lambda name, **settings: model)
    monkeypatch.setattr("thinkgraph.cli.run.load_model", lambda *given: model)
    return model


@pytest.fixture
def spec(tmp_path):
    file = tmp_path / "v2.yaml"
    file.write_text(SPEC)
    return file


@pytest.fixture
def data(tmp_path):
    file = tmp_path / "task.jsonl"
    lines = [{"id": f"q{n}", "question": f"Question {n}?", "answer": 7} for n in range(24)]
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


@pytest.fixture
def heat(cli, scripted):
    """The temperature of a run, and what was said on standard error."""

    def asked(*words):
        found = cli("run", *words)
        assert found.status == 0, found.err
        return scripted.calls[-1].sampling.temperature, found.err

    return asked


def test_what_was_found_is_kept_used_shown_and_forgotten(
    cli, heat, spec, data, tiny, tmp_path, scripted
):
    model = str(tiny("llama"))
    words = ("fit", spec, "--data", data, "-m", model, "--keep", "-q")
    found = cli(*words)
    assert "Gained: +100 points" in found.out and f"kept for {model} in {store().file}" in found.err
    file = read_fitted("fitted.yaml")
    assert (file.name, file.params, file.questions) == ("mine", {"heat": 0.0}, 12)
    assert file.sha256 == model_digest(model) and file.points[0] == 100

    undo = f"undo: thinkgraph fit mine --undo --model {model}"
    gain = f"on {file.date}, +100 points [+57, +100] on 12 questions"
    told = f"mine as fitted for {model} {gain}: heat 0.0 ({undo})"
    assert cli("models").out.splitlines()[-1] == f"fitted: {told}"
    temperature, err = heat(spec, "Hi?", "-m", model)
    assert temperature == 0 and told in err
    assert heat(spec, "Hi?", "-m", model, "-p", "heat=0.7")[0] == 0.7
    assert heat(spec, "Hi?", "-m", model, "--params", NONE)[0] == 0.5

    shown = cli("plan", spec, "-m", model).out.splitlines()[-2]
    assert shown == f"heat 0.0  fitted for this model {gain}; {undo}"
    assert json.loads(cli("plan", spec, "-m", model, "--json").out)["fitted"]["params"]["heat"] == 0

    assert "mine has its own defaults again" in cli("fit", "mine", "--undo", "-m", model).out
    assert "nothing is kept for mine" in cli("fit", spec, "--undo", "-m", model).out
    assert heat(spec, "Hi?", "-m", model)[0] == 0.5
    shown = cli("plan", spec, "-m", model).out
    assert "heat 0.5  the strategy's default; `thinkgraph fit` searches" in shown


@pytest.fixture
def kept(spec, tiny):
    """The spec at temperature 0 for a model."""
    model, graph = str(tiny("llama")), load(spec)
    keep(
        Fitted(
            strategy=str(spec),
            name="mine",
            spec=spec_digest(graph),
            params={"heat": 0.0},
            model=model,
            sha256=model_digest(model),
        )
    )
    return model


def test_a_strategy_that_has_changed_does_not_get_them_and_that_is_told(kept, spec, heat, cli):
    spec.write_text(SPEC.replace("default: 0.5", "default: 0.6"))
    assert heat(spec, "Hi?", "-m", kept)[0] == 0  # another default is no other strategy
    spec.write_text(SPEC.replace("$heat}", "$heat, max_tokens: 9}"))
    temperature, err = heat(spec, "Hi?", "-m", kept)
    assert temperature == 0.5 and "isn't used, as mine has changed since" in err
    assert "as mine has changed since" in cli("plan", spec, "-m", kept).err


def test_another_model_and_a_changed_file_of_it_do_not_get_them(cli, kept, spec, tiny, tmp_path):
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(tiny("llama").read_bytes())
    graph = load(spec)
    assert for_model(graph, str(copy)) == (graph, None)
    assert for_model(graph, kept)[1].params == {"heat": 0.0}
    keep(for_model(graph, kept)[1].model_copy(update={"model": str(copy)}))
    assert for_model(graph, str(copy))[1]
    copy.write_bytes(copy.read_bytes() + b"0")
    assert for_model(graph, str(copy)) == (graph, None)
    copy.unlink()
    assert for_model(graph, str(copy)) == (graph, None)
    first, second = cli("models").out.splitlines()[-2:]
    assert "no longer used" not in first and "no longer used, since a file changed" in second
    assert cli("fit", "mine", "--undo", "-m", copy).out.startswith("mine has its own defaults")
    assert "no longer used" not in cli("models").out


@pytest.mark.parametrize("entry", [[], {"strategy": "mine", "params": {"heat": -1}}, {"fitted": 9}])
def test_a_spoilt_entry_is_as_none(kept, spec, entry, cli):
    (key,) = store().read()
    store().put(key, entry)
    graph = load(spec)
    assert for_model(graph, kept) == (graph, None)
    assert cli("models").status == 0


def test_a_server_gives_them_to_the_model_that_they_are_for(kept, spec):
    other = ScriptedModel(["It is 7."])
    models = Models({"open": other, "tiny": kept, "served": "openai:m@http://127.0.0.1:9/v1"})
    offered = Strategies.load([str(spec)], kept=True)

    def default(name, strategies=offered):
        return strategies.find(name, models).graph.spec.params["heat"].default

    assert [default("mine"), default("tiny/mine"), default("served/mine")] == [0.5, 0, 0.5]
    assert offered.find("tiny/mine", models).graph is offered.find("tiny/mine", models).graph
    assert default("tiny/mine", Strategies.load([str(spec)])) == 0.5
    given = Fitted(strategy=str(spec), name="mine", params={"heat": 0.3})
    assert default("tiny/mine", Strategies.load([str(spec)], None, [given], kept=True)) == 0.3


@pytest.mark.parametrize(("params", "heat"), [(None, 0.0), ([NONE], 0.5)])
def test_the_command_serves_them_unless_it_is_told_not_to(kept, spec, params, heat):
    service = _service([str(spec)], params, [kept], None, None, None, {})
    graph = service.strategies.find("mine", service.models).graph
    assert graph.spec.params["heat"].default == heat


def test_a_tool_of_an_agent_has_them_as_its_defaults(kept, spec):
    offered = Strategies.load([str(spec)], kept=True)
    graph = offered.for_model("mine", "tiny", Models({"tiny": kept}))
    assert input_model(graph).model_json_schema()["properties"]["heat"]["default"] == 0


def test_nothing_is_kept_for_an_endpoint_or_without_a_sure_gain(cli, spec, data, tiny, scripted):
    words = ("fit", spec, "--data", data, "--keep", "-q", "-m")
    found = cli(*words, "openai:m@http://127.0.0.1:9/v1")
    assert "Gained" in found.out and "nothing is kept for an endpoint" in found.err
    found = cli(*words, tiny("llama"), "--search", "heat=0.4")
    assert "Nothing was gained" in found.out and "the gain isn't significant" in found.err
    assert store().read() == {}
    assert "--data FILE" in cli("fit", spec).err


@pytest.mark.parametrize(
    "options", [["--template", "enable_thinking=false"], ["--role", "judge=openai:m@http://h/v1"]]
)
def test_nothing_is_kept_that_was_found_with_options_that_later_runs_may_not_have(
    cli, spec, data, tiny, scripted, options
):
    found = cli("fit", spec, "--data", data, "--keep", "-q", "-m", tiny("llama"), *options)
    assert "Gained" in found.out
    assert f"since later runs may not have this {options[0]}; use --params fitted" in found.err
    assert store().read() == {}


def test_a_file_is_its_strategys_by_the_name_in_the_spec(cli, heat, spec, tmp_path, tiny):
    """Whatever the file of the spec is called, and not another spec's in a file of that name."""
    file = tmp_path / "fitted.yaml"
    Fitted(strategy=str(spec), name="mine", params={"heat": 0.0}).save(file)
    assert heat(spec, "Hi?", "--params", file)[0] == 0
    assert heat(spec.rename(tmp_path / "v3.yaml"), "Hi?", "--params", file)[0] == 0
    spec.write_text(SPEC.replace("name: mine", "name: v2"))
    assert "is for 'mine', not for 'v2'" in cli("run", spec, "Hi?", "--params", file).err


def test_a_comparison_on_the_questions_of_the_search_says_so(cli, spec, data, tiny, tmp_path):
    file, other = tmp_path / "fitted.yaml", tmp_path / "other.jsonl"
    found = {"data": {"path": str(data), "sha256": file_digest(Path(data))}}
    Fitted(strategy=str(spec), name="mine", params={"heat": 0.0}, found=found).save(file)
    other.write_text(Path(data).read_text() + "\n")
    words = ("--graphs", spec, "--params", file, "--out", tmp_path / "out", "-m", tiny("llama"))
    said = "the params of mine were fitted on questions of this data"
    assert said in cli("compare", "--data", data, *words).err
    assert said not in cli("compare", "--data", other, *words, "--replace").err


@pytest.mark.parametrize(
    ("fitted_on", "data", "seed", "seen"),
    [
        ("word-problems:50", "word-problems:9", 1, True),
        ("word-problems:50", "word-problems", 1, True),
        ("word-problems:50", "word-problems:9", 2, False),
        ("reasoning-gym:syllogism:50", "reasoning-gym:syllogism:50", 2, True),
        ("reasoning-gym:syllogism:50", "reasoning-gym:syllogism:50", 51, False),
        ("reasoning-gym:syllogism:50", "reasoning-gym:chain_sum:50", 1, False),
        ("reasoning-gym:syllogism", "reasoning-gym:syllogism", 200, True),  # 200 by default
        ("reasoning-gym:syllogism", "reasoning-gym:syllogism", 201, False),
    ],
)
def test_a_built_in_task_may_have_questions_of_the_search(fitted_on, data, seed, seen):
    found = {"data": fitted_on, "seed": 1}
    doubts = [*Fitted(strategy="direct", found=found).doubts(load("direct"), "m", data, seed)]
    assert bool(doubts) is seen


def test_a_file_for_another_model_or_an_older_strategy_is_applied_and_told(
    cli, heat, spec, tmp_path, tiny, data, scripted
):
    file, model = tmp_path / "fitted.yaml", str(tiny("llama"))
    fitted = Fitted(strategy=str(spec), name="mine", params={"heat": 0.0}, model=model)
    fitted.model_copy(update={"sha256": model_digest(model)}).save(file)
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(tiny("llama").read_bytes())
    assert heat(spec, "Hi?", "--params", file, "-m", copy) == heat(
        spec, "Hi?", "--params", file, "-m", model
    )  # the same content under another name
    copy.write_bytes(copy.read_bytes() + b"0")
    said = f"the params were fitted for the model {model}, and not for {copy}"
    temperature, err = heat(spec, "Hi?", "--params", file, "-m", copy)
    assert temperature == 0 and said in err
    found = cli("plan", spec, "--params", file, "-m", model)
    assert f"heat 0.0  from {file}" in found.out and said not in found.err
    words = ("--graphs", spec, "--params", file, "--out", tmp_path / "comparison", "-m", copy)
    assert said in cli("compare", "--data", data, *words).err

    fitted.model_copy(update={"spec": "another"}).save(file)
    _, err = heat(spec, "Hi?", "--params", file, "-m", model)
    assert "the strategy mine has changed since its params were fitted" in err
