"""Fitting a strategy: what is searched, what is kept of it, and how it is judged."""

import asyncio
import json
from itertools import count

import pytest

from thinkgraph.evaluate.fit.fit import Fitter
from thinkgraph.evaluate.fit.space import BUILT_IN, Space
from thinkgraph.evaluate.metrics.find import find_metric
from thinkgraph.evaluate.runs import config
from thinkgraph.evaluate.runs.config import Config
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.evaluate.tasks.task import Task
from thinkgraph.fitted import read_fitted
from thinkgraph.graphs.graph import Graph, load
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ModelError, ThinkgraphError
from thinkgraph.nodes.kinds.generate import Generate
from thinkgraph.nodes.kinds.score import Score
from thinkgraph.nodes.prompts.prompt import Prompt

RIGHT = "It is 7."


def task(size=40):
    questions = [Question(id=f"q{n}", text=f"Question {n}?", reference="7") for n in range(size)]
    return Task(name="sevens", questions=tuple(questions))


def knows(messages, seed):
    """Right where it is asked to explain; else wrong, in as many words."""
    return RIGHT if "step by step" in messages[-1].content else "It is 8."


def fitter(
    reply=knows, strategy="self-consistency", search=("prompt=question,step-by-step",), **more
):
    model = ScriptedModel(reply, name="scripted")
    questions = more.pop("task", task())
    space = Space.of(load(strategy), search, more.pop("prompts", ()))
    return Fitter(
        strategy, questions, find_metric("exact", questions.questions), space, Config(model), **more
    )


def fitted(tmp_path, **settings):
    return asyncio.run(fitter(**settings).fit(tmp_path / "fit"))


@pytest.mark.slow
def test_it_finds_the_prompt_that_helps_and_judges_it_on_other_questions(tmp_path):
    question = {"prompts": [("step-by-step", "plain", Prompt(user="{{ question }}"))]}
    found = fitted(tmp_path, strategy="chain-of-thought", search=(), **question)
    assert found.best.prompts == {"step-by-step": BUILT_IN}
    assert not found.found and "Nothing was gained" in found.sentence

    asks = {"prompts": [("question", "explain", Prompt(user="{{ question }} step by step"))]}
    found = fitted(tmp_path, strategy="direct", search=(), **asks)
    assert found.best.prompts == {"question": "explain"}
    assert found.gained and found.difference.points == 100
    assert [each.questions for each in found.held_out] == [20, 20]


@pytest.mark.slow
def test_the_default_is_tried_first_and_kept_where_nothing_beats_it(tmp_path):
    found = fitted(tmp_path)
    assert found.trials[0].params == {"prompt": "step-by-step"}
    assert found.best == found.default
    assert found.sentence.startswith("Nothing was gained: no setting")


def test_what_takes_too_many_tokens_is_given_up_however_right_it_is(tmp_path):
    def longer(messages, seed):
        return f"well well well {RIGHT}" if "step by step" in messages[-1].content else "It is 8."

    asks = {"prompts": [("question", "explain", Prompt(user="{{ question }} step by step"))]}
    found = fitted(tmp_path, reply=longer, strategy="direct", search=(), **asks)
    assert not found.found
    assert found.trials[1].ended == "too many tokens" and found.trials[1].questions < 20
    found = fitted(tmp_path, reply=longer, strategy="direct", search=(), tokens=6, **asks)
    assert found.gained


def asking(text):
    """Direct, with another prompt to try in place of its own."""
    return {"strategy": "direct", "search": (), "prompts": [("question", "x", Prompt(user=text))]}


def test_tokens_are_held_against_the_default_on_the_same_questions(tmp_path):
    """The first questions take three times as many tokens, with any prompt."""
    first, _ = fitter(**asking("{{ question }} step by step")).parts()
    long = [question.text for question in first[:5]]

    def reply(messages, seed):
        text = messages[-1].content
        answer = RIGHT if text.endswith("step by step") else "It is 8."
        return f"well well well well {answer}" if text.split(" step")[0] in long else answer

    found = fitted(tmp_path, reply=reply, **asking("{{ question }} step by step"))
    assert found.best.share == 1 and not found.best.ended


def test_a_default_over_the_budget_never_wins_and_that_is_said(tmp_path):
    def reply(messages, seed):
        brief = messages[-1].content.endswith("brief")
        return "It is 8." if brief else "Let me see. It is 7."

    found = fitted(tmp_path, reply=reply, tokens=4, **asking("{{ question }} brief"))
    assert found.best.prompts == {"question": "x"} and found.best.tokens <= 4
    assert found.kept and not found.gained
    assert "over the budget of 4" in found.sentence and "-100 points" in found.sentence
    found = fitted(tmp_path / "none", reply=reply, tokens=1, **asking("{{ question }} brief"))
    assert found.best == found.default
    assert "no setting that was tried fits the budget" in found.sentence


def test_a_setting_may_take_the_whole_budget(tmp_path):
    """The limit on a part is scaled by the default's tokens: 6 * 6.35 / 6.35 is below 6."""
    first, _ = fitter(**asking("{{ question }} brief")).parts()
    long = [question.text for question in first[:7]]

    def reply(messages, seed):
        text = messages[-1].content
        if text.endswith("brief"):
            return f"I think that {RIGHT}"
        return f"I think that {'well ' * (text in long)}it is 8."

    found = fitted(tmp_path, reply=reply, tokens=6, **asking("{{ question }} brief"))
    assert found.default.tokens == 6.35
    assert found.best.tokens == 6 and not found.best.ended


def test_each_beginning_of_the_searched_questions_is_a_sample_of_all_levels():
    """In a file that is sorted by level, too: trials are given up on the first ones."""
    questions = [
        Question(id=f"q{n}", text=f"{n}?", reference="7", group=str(n // 10)) for n in range(40)
    ]
    search, rest = fitter(task=Task(name="levels", questions=tuple(questions))).parts()
    assert {each.group for each in search[:5]} == {each.group for each in rest} == set("0123")
    assert sorted([*search, *rest], key=questions.index) == questions


def test_a_repeated_question_is_never_in_both_parts():
    """Else the held-out part would judge on questions that the search has seen."""
    questions = [
        Question(id=f"q{n}", text=f"What is  {n % 20}?"[n // 20 :], reference="7")
        for n in range(40)
    ]
    questions += [Question(id=f"r{n}", text=f"WHAT is {n}?", reference="7") for n in range(20)]
    search, rest = fitter(task=Task(name="twice", questions=tuple(questions))).parts()
    assert rest and not {each.key for each in search} & {each.key for each in rest}


def test_each_question_counts_once_however_often_the_data_repeats_it():
    """Else few are left to judge on, and their repetitions count as more evidence than they are."""
    questions = [Question(id=f"q{n}", text=f"{n % 40}?", reference="7") for n in range(400)]
    search, rest = fitter(task=Task(name="tenfold", questions=tuple(questions))).parts()
    assert len(search) == len(rest) == 20
    assert len({each.key for each in (*search, *rest)}) == 40


def test_as_many_different_settings_are_tried_as_there_are(tmp_path):
    """Optuna proposes a setting more than once; that one counts once."""
    questions = {"task": task(8), "tokens": 100, "trials": 12}
    found = fitted(tmp_path, search=("temperature=0,0.2,0.4,0.6", "samples=1,2"), **questions)
    assert len(found.trials) == 4 * 3
    assert len({str(each.params) for each in found.trials}) == 4 * 3


def test_a_gain_that_the_other_questions_do_not_show_is_said_to_be_none(tmp_path):
    """The prompt is right on the searched questions alone: chance, as far as one can know."""
    plain = fitter(
        strategy="direct", search=(), prompts=[("question", "x", Prompt(user="{{ question }} x"))]
    )
    searched, _ = plain.parts()
    lucky = {question.text for question in searched}

    def luck(messages, seed):
        text = messages[-1].content
        return RIGHT if text.endswith(" x") and text[:-2] in lucky else "It is 8."

    asks = {"prompts": [("question", "x", Prompt(user="{{ question }} x"))]}
    found = fitted(tmp_path, reply=luck, strategy="direct", search=(), **asks)
    assert found.found and not found.gained and not found.kept
    assert found.sentence.startswith("Nothing was gained: +0 points")


@pytest.mark.slow
def test_trials_share_their_samples_and_a_second_start_asks_nothing(tmp_path):
    one = fitter(search=("samples=1,2,4",), tokens=100)
    asyncio.run(one.fit(tmp_path / "fit"))
    asked = sum(len(call.seeds) for call in one.config.model.calls)
    assert asked <= 40 * 16  # the default's samples are those of all votes
    again = fitter(search=("samples=1,2,4",), tokens=100)
    asyncio.run(again.fit(tmp_path / "fit"))
    assert again.config.model.calls == []


@pytest.mark.slow
def test_the_same_seed_tries_the_same_settings(tmp_path):
    draws = count()

    def noisy(messages, seed):
        next(draws)
        return f"It is {seed % 3 + 6}."

    settings = {"reply": noisy, "search": ("temperature=0.2,0.6,1.0", "samples=1,2,4"), "trials": 5}
    one = fitted(tmp_path / "a", **settings)
    two = fitted(tmp_path / "b", **settings)
    assert one.trials == two.trials and len(one.trials) <= 5


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("temperatur=1", "has no param 'temperatur'; did you mean 'temperature'?"),
        ("heat=1", "has no param 'heat'; it has samples"),
        ("samples=none", "'none' is not an integer"),
        ("samples", "write PARAM=VALUE"),
    ],
)
def test_a_search_that_cannot_be_is_one_clear_error(search, said):
    with pytest.raises(ThinkgraphError, match=f"--search {search}: .*{said}"):
        Space.of(load("self-consistency"), [search])


def prompted(name, text):
    return {"search": (), "prompts": [(name, "mine.yaml", Prompt(user=text))]}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"search": ("temperature=0",)}, "nothing to search: temperature has its default"),
        ({"search": ("temperature=0", "temperature=1")}, "names a param twice"),
        (prompted("plan", "{{ question }}"), "there is no prompt 'plan'"),
        (
            prompted("step-by-step", "{{ question }}"),
            "--prompt step-by-step=mine.yaml: direct doesn't use the prompt 'step-by-step'; "
            "it uses question",
        ),
        (
            prompted("question", "{{ questoin }}"),
            "--prompt question=mine.yaml: it needs 'questoin', which node 'reply' doesn't give; "
            "it gives item, max_tokens, question",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_before_a_model_is_loaded(settings, said):
    with pytest.raises(ThinkgraphError, match=said):
        fitter(strategy="direct", **settings)


@pytest.mark.parametrize("by", ["judge", "scale"])
def test_the_prompt_of_a_judge_is_one_that_its_score_asks(by):
    graph = Graph("judged")
    graph.add(draft=Generate(), rate=Score(by=by))
    graph.edge("START", "draft", "rate", "END")
    name = "rate" if by == "scale" else "judge"
    mine = Prompt(user="{{ question }} {{ candidate }}")
    assert set(Space.of(graph, [], [(name, "mine", mine)]).prompts) == {name}


def test_a_setting_whose_runs_all_fail_is_told_and_the_search_goes_on(tmp_path):
    def breaks(messages, seed):
        if "break" in messages[-1].content:
            raise ModelError("it is broken")
        return RIGHT

    asks = prompted("question", "{{ question }} break")
    found = fitted(tmp_path, reply=breaks, strategy="direct", **asks)
    assert found.best == found.default
    assert "every run failed: " in found.trials[1].ended
    assert "it is broken" in found.trials[1].ended


def test_runs_that_fail_make_no_setting_cheaper_and_are_told(tmp_path):
    questions = [Question(id=f"q{n}", text=f"Question {n}?", reference="7") for n in range(160)]

    def breaks(messages, seed):
        text = messages[-1].content
        if text.endswith("x"):
            return RIGHT
        if int(text.split()[1][:-1]) % 2:
            raise ModelError("it is broken")
        return "It is 8."

    asks = prompted("question", "{{ question }} x")
    found = fitted(
        tmp_path, reply=breaks, strategy="direct", task=Task(name="t", questions=questions), **asks
    )
    assert found.gained and found.default.tokens == found.best.tokens == 3
    assert f"{found.default.failures} of 80 runs failed" in str(found.default)
    failures = found.held_out[0].failures
    assert failures and f"(runs that failed count as wrong: default {failures})" in found.sentence


def test_a_default_whose_runs_all_fail_ends_the_search_with_the_reason(tmp_path):
    def breaks(messages, seed):
        raise ModelError("it is broken")

    said = r"every run with the default params failed: .*it is broken"
    with pytest.raises(ThinkgraphError, match=said):
        fitted(tmp_path, reply=breaks)


def test_no_setting_within_the_budget_is_behind_those_that_are_over_it(tmp_path):
    def thinks(messages, seed):
        """Right where it is asked to explain, at length; else short and wrong."""
        explains = "step by step" in messages[-1].content
        return "so " * 30 + RIGHT if explains else "It is 8."

    search = ("temperature=0.2,0.4,0.6,0.8", "prompt=question,step-by-step")
    found = fitted(tmp_path, reply=thinks, search=search, tokens=100)
    assert found.is_over and found.kept
    assert found.best.params["prompt"] == "question"
    ended = {(each.params["prompt"], each.ended) for each in found.trials}
    assert ended == {("question", ""), ("step-by-step", ""), ("step-by-step", "too many tokens")}


def test_too_few_questions_are_refused(tmp_path):
    with pytest.raises(ThinkgraphError, match="6 different questions are too few"):
        fitted(tmp_path, task=task(6))


def test_by_default_the_values_that_the_strategy_names_are_searched_with_its_defaults():
    space = Space.of(load("self-consistency"), [])
    assert set(space.params) == {"samples", "temperature", "top_p", "prompt"}
    assert set(space.params["samples"]) == {4, 8, 16}  # none that costs more than the default
    assert space.size == 3 * 5 * 3 * 4
    named = {"heat": {"default": 0.5, "fit": [0, 1]}, "tokens": 9}
    graph = Graph("own", params=named)
    graph.add(draft=Generate(temperature="$heat", max_tokens="$tokens"))
    graph.edge("START", "draft", "END")
    assert Space.of(graph, []).params == {"heat": (0.0, 1.0, 0.5)}


def test_a_param_may_be_fixed_and_is_not_searched():
    graph = load("self-consistency")
    searched = Space.of(graph, []).params
    space = Space.of(graph, [], fixed={"samples": "2", "temperature": 0.5})
    assert space.fixed == {"samples": 2, "temperature": 0.5}
    assert space.params and not space.params.keys() & space.fixed
    assert all(setting.items() >= space.fixed.items() for setting in space.single)
    with pytest.raises(ThinkgraphError, match="samples is set by -p and named by --search"):
        Space.of(graph, ["samples=2,4"], fixed={"samples": 2})
    with pytest.raises(ThinkgraphError, match="-p sets all; give others: --search"):
        Space.of(graph, [], fixed={name: graph.bind({})[name] for name in searched})


def test_a_strategy_that_names_no_values_is_told_how_to():
    graph = Graph("own", params={"heat": 0.5})
    graph.add(draft=Generate(temperature="$heat"))
    graph.edge("START", "draft", "END")
    with pytest.raises(ThinkgraphError, match=r"no param of own says what to try; write `fit: "):
        Space.of(graph, [])


@pytest.fixture
def data(tmp_path):
    file = tmp_path / "task.jsonl"
    lines = [{"id": f"q{n}", "question": f"Question {n}?", "answer": 7} for n in range(40)]
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


@pytest.fixture
def scripted(monkeypatch):
    model = ScriptedModel(knows, name="smollm2")
    monkeypatch.setattr(config, "load", lambda name, **settings: model)
    return model


def words_of(folder):
    file = folder / "brief.yaml"
    file.write_text("user: Say it.\n")
    return f"question={file}"


@pytest.mark.slow
def test_the_command_writes_a_file_that_compare_and_run_take(
    cli, data, scripted, tmp_path, monkeypatch
):
    prompt = tmp_path / "explain.yaml"
    prompt.write_text('user: "{{ question }} step by step"\n')
    out = tmp_path / "fitted.yaml"
    words = ("--prompt", f"question={prompt}", "--out", out, "--folder", tmp_path / "fit")
    found = cli("fit", "direct", "--data", data, *words)
    assert found.status == 0, found.err
    assert "Gained: +100 points" in found.out
    file = read_fitted(out)
    assert file.strategy == "direct" and list(file.prompts) == ["question"]
    assert file.found["gained"] and file.found["fitted"]["questions"] == 20

    folder = tmp_path / "comparison"
    words = ("--graphs", "direct", "--params", out, "--out", folder, "--json")
    found = cli("compare", "--data", data, *words)
    rows = json.loads(found.out)["comparison"]["rows"]
    right = {row["strategy"] for row in rows if row["answer"] == "7"}
    assert right == {"direct (fitted)"}

    monkeypatch.setattr("thinkgraph.cli.run.load_model", lambda *given: scripted)
    found = cli("run", "direct", "Question 1?", "--params", out, "-q")
    assert "7" in found.out and scripted.calls[-1].messages[-1].content.endswith("step by step")
    found = cli(
        "run", "direct", "Question 1?", "--params", out, "-q", "--prompt", words_of(tmp_path)
    )
    assert scripted.calls[-1].messages[-1].content == "Say it."
    found = cli("run", "chain-of-thought", "Question 1?", "--params", out)
    assert found.status == 2
    assert "the params file is for 'direct', not for 'chain-of-thought'" in found.err


@pytest.mark.slow
def test_fixed_params_are_those_of_every_run_and_of_the_file(cli, data, scripted, tmp_path):
    out = tmp_path / "fitted.yaml"
    words = ("--search", "prompt=question,step-by-step", "-p", "samples=3", "--json", "-q")
    words += ("--folder", tmp_path / "fit")
    found = cli("fit", "self-consistency", "--data", data, "--out", out, *words)
    told = json.loads(found.out)
    assert (told["gained"], told["kept"]) == (False, False)
    assert told["sentence"].startswith("Nothing was gained")
    assert read_fitted(out).params == {"samples": 3}
    assert {len(call.seeds) for call in scripted.calls} == {3}


def test_the_model_is_opened_with_variables_of_its_chat_template(cli, data, tmp_path, monkeypatch):
    given = []

    def load(name, **settings):
        given.append(settings["template"])
        return ScriptedModel(knows, name=name)

    monkeypatch.setattr(config, "load", load)
    words = (
        "--search",
        "prompt=question,step-by-step",
        "--template",
        "enable_thinking=false",
        "-q",
    )
    words += ("--out", tmp_path / "fitted.yaml", "--folder", tmp_path / "fit")
    cli("fit", "self-consistency", "--data", data, *words)
    assert given == [{"enable_thinking": False}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("direct", "-p", "no=1"), "no param 'no'"),
        (("direct", "--limit", 6), "6 different questions are too few"),
        (("direct", "--out", "no-such/fitted.yaml"), "can't be written: there is no folder"),
        (("direct", "--out", "."), "can't be written: it is a folder"),
        (("direct", "--prompt", "question=no.yaml"), "can't read the prompt 'no.yaml'"),
        (("direct", "--prompt", "no.yaml"), "--prompt no.yaml: write NAME=VALUE"),
        (("no-such",), "there is no graph 'no-such'"),
        (
            ("react", "--search", "tool=add,python", "-q"),
            "needs the tool 'add', which is not bound",
        ),
    ],
)
def test_a_mistake_is_one_line_before_anything_runs(
    cli, data, scripted, tmp_path, monkeypatch, words, said
):
    monkeypatch.chdir(tmp_path)
    found = cli("fit", words[0], "--data", data, *words[1:])
    assert found.status == 2
    assert said in found.err and found.err.count("\n") == 1
    assert scripted.calls == [] and not (tmp_path / "fit").exists()


def test_kinds_and_tools_of_files_are_fitted_too(cli, data, scripted, tmp_path, registered):
    (tmp_path / "kinds.py").write_text(
        "import thinkgraph as tg\n\n\n"
        "class Loud(tg.Generate):\n    kind = 'loud'\n    about = 'a loud draft'\n"
    )
    (tmp_path / "loud.yaml").write_text(
        "thinkgraph: 1\nname: loud\nparams: {heat: 0.0}\n"
        "nodes: {draft: {kind: loud, temperature: $heat}}\nedges: START -> draft -> END\n"
    )
    words = ("fit", tmp_path / "loud.yaml", "--data", data, "--search", "heat=0,1", "--limit", 8)
    words += ("--folder", tmp_path / "fit", "--out", tmp_path / "fitted.yaml", "-q")
    assert "loud" in cli(*words).err
    found = cli(*words, "--import", tmp_path / "kinds.py")
    assert found.status == 0, found.err
    assert "2 settings were tried" in found.out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strategy: direct\nprompts: {no: {user: a}}", "no"),
        ("just a text", "the file: "),
        ("strategy: [", "isn't YAML"),
        ("strategy: direct\ndate: 2026-13-45", "isn't YAML: month must be in 1..12"),
        ("params: {}", "strategy: Field required"),
        ("strategy: direct\nfitted: 9", "fitted: Input should be less than or equal to 1"),
        ("strategy: direct\nparams: {heat: 1}", "heat"),
    ],
)
def test_a_params_file_that_is_none_is_one_clear_error(cli, tmp_path, text, said):
    file = tmp_path / "fitted.yaml"
    file.write_text(text)
    found = cli("run", "direct", "Question?", "--params", file)
    assert found.status == 2 and said in found.err and found.err.count("\n") == 1


def test_a_real_engine_is_searched_too(tiny, tmp_path):
    """Random weights are never right: nothing is gained, and the default is kept."""
    questions = task(8)
    space = Space.of(load("direct"), ["temperature=0,1", "max_tokens=4"])
    one = Fitter(
        "direct", questions, find_metric("exact", questions.questions), space, Config(str(tiny()))
    )
    found = asyncio.run(one.fit(tmp_path / "fit"))
    assert len(found.trials) == 2 * 2
    assert all(trial.tokens <= 512 for trial in found.trials)
    assert not found.gained
