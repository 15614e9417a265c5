"""What a person sees of a run: retired candidates and rejected answers look like what they are."""

import io
import shlex

from rich.console import Console

import thinkgraph as tg
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import Candidate
from thinkgraph.view import View, report

DRAFT = Candidate(
    id="draft.0.0", node="draft", round=0, text="It is 6.", answer="6", seed=1, tokens=4,
    finish_reason="stop",
)  # fmt: skip


def piped(*candidates):
    stream = io.StringIO()
    view = View("x", console=Console(file=stream, width=80))
    for candidate in candidates:
        view.show(CandidateUpdated(candidate=candidate))
    return stream.getvalue().splitlines()


def test_a_pipe_gets_a_text_once_and_then_what_changed():
    scored = DRAFT.model_copy(update={"score": 0.5})
    assert piped(DRAFT, scored, scored.retired()) == [
        "draft.0.0  [6]  It is 6.",
        "draft.0.0  [score 0.5]",
        "draft.0.0  [retired]",
    ]


def judged(choice):
    graph = tg.Graph("judged")
    graph.add(draft=tg.Generate(), critic=tg.Critique())
    graph.edge(tg.START, "draft", "critic", tg.END)
    model = ScriptedModel(["The answer is 6.", "Wrong."], choices=[choice])
    return graph.run("What is 2 + 3?", model=model, seed=1)


def test_a_rejected_answer_is_told_in_the_terminal_in_json_and_on_the_page():
    rejected, accepted = judged([0.1, 0.9]), judged([0.9, 0.1])
    shown = {}
    for name, result in (("rejected", rejected), ("accepted", accepted)):
        stream = io.StringIO()
        report(result, Console(file=stream, width=80))
        shown[name] = stream.getvalue()
    assert "not accepted" in shown["rejected"] and "not accepted" not in shown["accepted"]
    assert (rejected.summary()["accepted"], accepted.summary()["accepted"]) == (False, True)
    assert "Not accepted" in rejected.to_html() and "Not accepted" not in accepted.to_html()


def test_the_page_repeats_the_command_as_it_was():
    command = shlex.join(["thinkgraph", "run", "my.yaml", "why?", "--role", "critic=x.gguf"])
    assert "--role critic=x.gguf" in judged([0.9, 0.1]).to_html(command)
