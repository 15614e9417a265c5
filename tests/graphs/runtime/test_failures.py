"""What fails: one sample of several, one candidate of several, a node that is tried again."""

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

import thinkgraph as tg
from thinkgraph.graphs.checker.check import check
from thinkgraph.graphs.language.document import Document
from thinkgraph.graphs.language.problem import SpecError
from thinkgraph.graphs.runtime.node import retry_policy
from thinkgraph.graphs.runtime.state import total_usage
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ModelError, PromptTooLong
from thinkgraph.view import report

DOWN = ModelError("the endpoint answered with status 500")
QUESTION = "What is 2 + 3?"


def graph(**nodes) -> tg.Graph:
    """Draft, then vote."""
    made = tg.Graph("failing")
    for name, node in nodes.items():
        made.add(**{name: tg.NodeSpec.model_validate(node)})
    made.edge(tg.START, "draft", "vote", tg.END)
    return made


def drafting(**beside) -> tg.Graph:
    return graph(draft={"kind": "generate", **beside}, vote={"kind": "vote"})


def waiting(**beside) -> dict[str, object]:
    return {"initial_interval": 0.01, "jitter": False, **beside}


def test_a_sample_that_fails_costs_only_itself():
    model = ScriptedModel(["It is 5.", DOWN, "It is 5.", "It is 6."])
    result = tg.load("self-consistency").run(QUESTION, model=model, samples=4)
    reasons = [candidate.finish_reason for candidate in result.candidates]
    assert reasons == ["stop", "error", "stop", "stop"]
    assert (result.answer.value, result.answer.votes) == ("5", 2)
    assert result.failures == {"sample.0": ("the endpoint answered with status 500",)}
    assert result.summary()["failures"] == result.failures


def test_who_reads_the_answer_sees_what_failed(capsys):
    model = ScriptedModel(["It is 5.", DOWN])
    result = tg.load("self-consistency").run(QUESTION, model=model, samples=2)
    said = "ailed in sample.0: the endpoint answered with status 500"
    assert said in result.to_html()
    report(result)
    assert said in capsys.readouterr().out
    app = tg.load("self-consistency").compile(model=ScriptedModel(["It is 5.", DOWN]), samples=2)
    told = app.invoke({"question": QUESTION})["messages"][-1].response_metadata
    assert told["failures"] == ["the endpoint answered with status 500"]


def test_a_run_whose_samples_all_fail_is_an_error():
    model = ScriptedModel([DOWN] * 3)
    with pytest.raises(ModelError, match="node 'sample': the endpoint answered with status 500"):
        tg.load("self-consistency").run(QUESTION, model=model, samples=3)


def test_a_fault_that_is_no_failure_of_the_model_is_raised():
    model = ScriptedModel(["It is 5.", ZeroDivisionError("a bug")])
    with pytest.raises(ZeroDivisionError):
        tg.load("self-consistency").run(QUESTION, model=model, samples=2)


@pytest.mark.parametrize("kind", ["revise", "critique"])
def test_a_candidate_whose_request_fails_costs_only_itself(kind):
    said = {"revise": "The answer is 7.", "critique": "Wrong. VERDICT: wrong"}[kind]
    replies = ["The answer is 5.", "The answer is 6.", DOWN, said]
    made = tg.Graph("pairs")
    made.add(draft=tg.Generate(samples=2))
    extra = {"verdict": "text"} if kind == "critique" else {}
    made.add(next=tg.NodeSpec.model_validate({"kind": kind, **extra}))
    made.edge(tg.START, "draft", "next", tg.END)
    result = made.run(QUESTION, model=ScriptedModel(replies))
    assert result.failures == {"next.0": (str(DOWN),)}
    if kind == "revise":
        live = [candidate.text for candidate in result.candidates if candidate.live]
        assert sorted(live) == ["The answer is 5.", "The answer is 7."]
    else:
        assert [review.candidate for review in result.critiques] == ["draft.0.1"]


def test_the_failures_of_a_graph_within_are_told():
    outer = tg.Graph("outer")
    outer.add(inner=tg.use("self-consistency", samples=2))
    outer.edge(tg.START, "inner", tg.END)
    result = outer.run(QUESTION, model=ScriptedModel(["5", DOWN]))
    assert result.failures == {"inner.0": (str(DOWN),)}


@pytest.mark.parametrize("compiled", [False, True])
def test_a_node_is_run_again_as_often_as_its_retry_allows(compiled):
    model = ScriptedModel([DOWN, DOWN, "It is 5."])
    made = drafting(retry=waiting(max_attempts=3))
    if compiled:
        values = made.compile(InMemorySaver(), model=model).invoke(
            {"question": QUESTION}, {"configurable": {"thread_id": "1"}}
        )
        assert values["answer"]["value"] == "5"
    else:
        assert made.run(QUESTION, model=model).answer.value == "5"
    assert len(model.calls) == 3


class Breaks(FakeListChatModel):
    """A chat model whose first stream breaks after 9 of its 16 pieces, each of one token."""

    broke: bool = False

    async def _astream(self, *args, **kwargs):
        pieces = [piece async for piece in super()._astream(*args, **kwargs)]
        breaks, self.broke = not self.broke, True
        for piece in pieces[:9] if breaks else pieces:
            yield piece
        if breaks:
            raise OSError("reset")


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("falls_back", [False, True])
def test_the_usage_of_a_failed_attempt_counts(falls_back, compiled):
    made = drafting(**({"fallback": "other"} if falls_back else {"retry": waiting()}))
    if falls_back:
        made.add(other=tg.Generate())
    model = Breaks(responses=["The answer is 5."])
    if compiled:
        usage = total_usage(made.compile(model=model).invoke({"question": QUESTION}))
    else:
        result = made.run(QUESTION, model=model)
        usage = result.usage
        assert [request.usage.completion_tokens for request in result.requests] == [9, 16]
    assert (usage.completion_tokens, usage.model_calls) == (25, 2)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("beside", "tokens", "calls"), [({"retry": waiting()}, 9, 4), ({"fallback": "other"}, 6, 3)]
)
def test_the_usage_of_a_failed_attempt_of_a_used_graph_counts(beside, tokens, calls, compiled):
    """Its first call succeeds, and the second one fails the attempt."""
    made = tg.Graph("outer")
    made.add(think=tg.NodeSpec.model_validate({"use": "step-back", **beside}))
    if "fallback" in beside:
        made.add(other=tg.use("direct"))
    made.edge(tg.START, "think", tg.END)
    model = ScriptedModel(["Add them up.", DOWN, *["It is 5."] * (calls - 2)])
    if compiled:
        app = made.compile(InMemorySaver(), model=model)
        usage = total_usage(
            app.invoke({"question": QUESTION}, {"configurable": {"thread_id": "1"}})
        )
    else:
        usage = made.run(QUESTION, model=model).usage
    assert (usage.completion_tokens, usage.model_calls) == (tokens, calls)


@pytest.mark.parametrize("levels", [1, 2])
def test_a_used_graph_that_is_resumed_after_it_failed_counts_each_call_once(tmp_path, levels):
    """Its first call is in its checkpoint, and isn't made again."""
    used = "step-back"
    for level in range(levels):
        nodes = f"nodes: {{think: {{use: {used}}}}}\nedges: START -> think -> END\n"
        used = f"outer{level}.yaml"
        (tmp_path / used).write_text(f"thinkgraph: 1\nname: outer{level}\n{nodes}")
    made = tg.load(tmp_path / used)
    model = ScriptedModel(["Add them up.", DOWN, "It is 5."])
    app = made.compile(InMemorySaver(), model=model)
    config = {"configurable": {"thread_id": "1"}}
    with pytest.raises(ModelError):
        app.invoke({"question": QUESTION}, config)
    usage = total_usage(app.invoke(None, config))
    assert (usage.completion_tokens, usage.model_calls) == (6, 3)


ASKING = """
thinkgraph: 1
name: asking
nodes: {draft: {kind: generate}, look: {kind: review}, last: {kind: generate}}
edges: START -> draft -> look -> last -> END
"""


def test_a_used_graph_that_asked_a_person_and_then_failed_counts_beside_its_fallback(tmp_path):
    (tmp_path / "asking.yaml").write_text(ASKING)
    outer = tmp_path / "outer.yaml"
    nodes = "nodes: {think: {use: asking.yaml, fallback: other}, other: {use: direct}}"
    outer.write_text(f"thinkgraph: 1\nname: outer\n{nodes}\nedges: START -> think -> END\n")
    model = ScriptedModel(["Add them up.", DOWN, "It is 5."])
    app = tg.load(outer).compile(InMemorySaver(), model=model)
    config = {"configurable": {"thread_id": "1"}}
    app.invoke({"question": QUESTION}, config)
    usage = total_usage(app.invoke(Command(resume=1), config))
    assert (usage.completion_tokens, usage.model_calls) == (6, 3)


def test_a_node_that_keeps_failing_is_an_error():
    model = ScriptedModel([DOWN] * 5)
    with pytest.raises(ModelError, match="status 500"):
        drafting(retry=waiting(max_attempts=2)).run(QUESTION, model=model)
    assert len(model.calls) == 2


def test_what_would_fail_again_is_not_tried_again():
    model = ScriptedModel([PromptTooLong(9, 8, 8)] * 3)
    with pytest.raises(PromptTooLong):
        drafting(retry=waiting()).run(QUESTION, model=model)
    assert len(model.calls) == 1


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_fallback_does_the_work_in_place_of_a_node_that_failed(asynchronous):
    made = graph(
        draft={"kind": "generate", "retry": waiting(max_attempts=2), "fallback": "small"},
        small={"kind": "generate", "model": "small", "samples": 2},
        vote={"kind": "vote"},
    )
    large, small = ScriptedModel([DOWN] * 2), ScriptedModel(["It is 5.", "It is 5."])
    given = {"model": large, "models": {"small": small}}
    result = await made.arun(QUESTION, **given) if asynchronous else made.run(QUESTION, **given)
    assert (result.answer.value, result.answer.votes) == ("5", 2)
    assert [candidate.node for candidate in result.candidates] == ["small", "small"]
    assert result.failures == {"small.0": (f"node 'draft': {DOWN}",)}
    assert len(large.calls) == 2


def test_a_fallback_goes_on_along_the_edges_of_the_node_it_stands_in_for():
    made = tg.Graph("deciding")
    fails = {"kind": "generate", "model": "broken", "fallback": "other"}
    made.add(draft=tg.NodeSpec.model_validate(fails), other=tg.Generate())
    made.add(more=tg.Generate(), vote=tg.Vote())
    made.edge(tg.START, "draft").edge("draft", "more", when="live < 2", at_most=1)
    made.edge("draft", "vote").edge("more", "vote", tg.END)
    broken, whole = ScriptedModel([DOWN]), ScriptedModel(["It is 5."] * 2)
    result = made.run(QUESTION, model=whole, models={"broken": broken})
    assert [candidate.node for candidate in result.candidates] == ["other", "more"]


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ({"draft": {"kind": "generate", "fallback": "smal"}}, "there is no node `smal`"),
        ({"draft": {"kind": "generate", "fallback": "vote"}}, "`vote` doesn't write candidates"),
        ({"draft": {"kind": "generate", "fallback": "draft"}}, "can't be its own fallback"),
    ],
)
def test_the_checker_tells_a_retry_or_fallback_that_cannot_be(nodes, said):
    made = graph(**nodes, vote={"kind": "vote"})
    with pytest.raises(SpecError, match=said):
        _ = made.spec


@pytest.mark.parametrize("retry", ["0", "often", "{attempts: 3}", "{max_attempts: 0}"])
def test_the_checker_tells_a_retry_that_cannot_be(retry):
    spec = f"""
thinkgraph: 1
name: failing
nodes:
  draft: {{kind: generate, retry: {retry}}}
edges: [START -> draft -> END]
"""
    (problem,) = check(Document.parse(spec))
    assert (problem.severity, problem.line) == ("error", 5)
    assert problem.column >= spec.splitlines()[4].index("retry")


def test_retry_and_fallback_are_saved_and_read_again():
    made = graph(
        draft={"kind": "generate", "retry": 3, "fallback": "small"},
        small={"kind": "generate"},
        vote={"kind": "vote"},
    )
    again = tg.Graph.of(made.spec)
    assert again.spec.nodes["draft"].retry.max_attempts == 3
    assert "fallback: small" in made.yaml


def test_retry_is_langgraphs_policy():
    spec = drafting(retry={"max_attempts": 4, "backoff_factor": 3, "max_interval": 2}).spec
    policy = retry_policy(spec.nodes["draft"].retry)
    assert (policy.max_attempts, policy.backoff_factor, policy.max_interval) == (4, 3, 2)
    assert policy.retry_on(DOWN)
    assert not policy.retry_on(ValueError("a bug"))


def test_a_repeated_node_that_another_stands_in_for_is_bounded_too():
    made = tg.Graph("repeating")
    fails = {"kind": "generate", "model": "broken", "fallback": "other"}
    made.add(draft=tg.NodeSpec.model_validate(fails), other=tg.Generate(), vote=tg.Vote())
    made.edge(tg.START, "draft").edge("draft", "draft", repeat=3)
    made.edge("draft", "vote", tg.END)
    broken, whole = ScriptedModel([DOWN] * 9), ScriptedModel(["It is 5."] * 9)
    result = made.run(QUESTION, model=whole, models={"broken": broken})
    assert result.counts["draft -> draft"] == 3
