"""What was sent to a model can be seen: in the result, as JSON, on the screen, in the report."""

import json
import subprocess
import sys

import pytest

import thinkgraph as tg
from thinkgraph.graphs.runtime.models import Roles
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Message, ModelRequest, Sampling, Tool, ToolUse
from thinkgraph.nodes.request import RequestRecord

QUESTION = "What is 2 + <3>?"


def refined(**settings):
    replies = ["The answer is 6.", "One too many.", "The answer is 5.", "Right."]
    model = ScriptedModel(replies, choices=[[0.1, 0.9], [0.9, 0.1]])
    return tg.load("self-refine").run(QUESTION, model=model, **settings), model


def test_every_request_is_in_the_result_as_it_was_sent():
    result, model = refined(seed=3)
    nodes = [request.node for request in result.requests]
    assert nodes == ["draft", "critic", "critic", "revise", "critic", "critic"]
    sampled = [request for request in result.requests if not request.options]
    for request, call in zip(sampled, model.calls, strict=True):
        assert list(request.messages) == call.messages
        assert request.sampling == call.sampling
        assert list(request.seeds) == call.seeds
    assert sampled[0].completions[0].text == "The answer is 6."
    verdict = result.requests[2]
    assert (verdict.options, verdict.probabilities) == ((" correct", " wrong"), (0.1, 0.9))
    assert verdict.messages[-1].content.endswith("Verdict:")


def test_the_requests_of_a_graph_within_and_those_that_failed_are_told():
    outer = tg.Graph("outer")
    outer.add(inner=tg.use("self-consistency", samples=1), more=tg.Generate(samples=2))
    outer.edge(tg.START, "inner", "more", tg.END)
    result = outer.run(QUESTION, model=ScriptedModel(["5", "5", ModelError("it broke")]))
    inner, more = result.requests
    assert inner.node == "inner.0/sample"
    assert [done.finish_reason for done in more.completions] == ["stop", "error"]


def test_the_rendered_text_and_its_tokens_come_on_request(smollm2):
    models = Roles(smollm2, None)
    result = tg.load("direct").run(QUESTION, model=smollm2, max_tokens=2)
    assert result.requests[0].rendered is None
    (request,) = result.with_rendered_prompts(models).requests
    assert request.rendered.endswith("<|im_start|>assistant\n")
    assert list(request.tokens) == smollm2.tokenize(request.messages)
    assert len(request.tokens) == result.usage.prompt_tokens


def test_the_rendered_text_has_the_tools_and_the_template_settings(smollm2):
    tool = Tool(name="look", description="look up a word", parameters={"type": "object"})
    messages = (Message(role="user", content=QUESTION),)
    record = RequestRecord(
        node="n", model="m", messages=messages, sampling=Sampling(), tools=(tool,)
    )
    result = tg.load("direct").run(QUESTION, model=ScriptedModel(["5"]))
    held = result.model_copy(update={"requests": (record,)})
    (request,) = held.with_rendered_prompts(Roles(smollm2, None)).requests
    assert "look up a word" in request.rendered
    prompt = smollm2.count(ModelRequest(messages, tools=ToolUse([tool])))
    assert len(request.tokens) == prompt


def test_json_has_them_on_request():
    result, _ = refined()
    assert "requests" not in result.summary()
    told = json.loads(json.dumps(result.summary(requests=True)))["requests"]
    last = told[0]["messages"][-1]
    assert (last["role"], last["content"]) == ("user", QUESTION)


def test_the_report_has_them_folded_and_escaped():
    page = refined()[0].to_html()
    assert page.count('<details class="request">') == 6
    assert "What is 2 + &lt;3&gt;?" in page


@pytest.mark.slow
def test_the_command_prints_them():
    command = [sys.executable, "-m", "thinkgraph", "run", "direct", "Say [red]hi[/red]", "-q"]
    command += ["--rendered", "--param", "max_tokens=2"]  # implies --show-prompts
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert "request 1: reply (round 0) to smollm2" in ran.stdout
    assert "[user] Say [red]hi[/red]" in ran.stdout
    assert "<|im_start|>user" in ran.stdout
