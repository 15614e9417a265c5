"""Constraints along a text: where they begin and end, and beside what else the engine does."""

import asyncio
import json
import re
import threading
import time

import numpy as np
import pytest

from thinkgraph.models.engine.sampling.constraint import Constraint, Grammars
from thinkgraph.models.engine.sampling.grammar import check_constraint
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Message, ModelRequest, Sampling, Tagged

ASK = [Message(role="user", content="Tell me of a person.")]
NUMBER = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
LIST = {"type": "array", "items": {"type": "boolean"}, "maxItems": 2}


def call(name, schema, **more):
    return Tagged(begin=f'<call>{{"name": "{name}", "args": ', json_schema=schema, end="}", **more)


CALLS = (call("count", NUMBER), call("flags", LIST))
ANSWER = Tagged(begin="", json_schema=NUMBER, end="")
COUNT, FLAGS = '<call>{"name": "count", "args": {"n":1}}', '<call>{"name": "flags", "args": [true]}'


class Walk:
    """A constraint that is led along a text, token by token."""

    def __init__(self, model, sampling):
        grammars = Grammars(model.engine.vocabulary)
        self.vocabulary = model.engine.vocabulary
        self.constraint = Constraint(grammars, grammars.plan(sampling))

    def takes(self, text, special=False):
        """Whether every token of a text is allowed; it ends at the first that isn't."""
        return all(self.takes_token(t) for t in self.vocabulary.tokenize(text, special=special))

    def takes_token(self, token):
        allowed = self.constraint.allowed()
        return (allowed is None or bool(allowed[token])) and self.constraint.accept(token)

    @property
    def may_end(self):
        allowed = self.constraint.allowed()
        return allowed is None or bool(allowed[list(self.vocabulary.ends)].any())


def test_a_text_may_end_only_where_the_grammar_does(smollm2):
    walk = Walk(smollm2, Sampling(grammar='root ::= "a" [0-9]+ "."?'))
    assert not walk.may_end
    assert walk.takes("a")
    assert not walk.may_end
    assert walk.takes("12")
    assert walk.may_end
    assert not walk.constraint.finished
    assert walk.takes(".")
    assert walk.constraint.finished


def test_of_triggers_that_end_alike_the_longest_counts(smollm2):
    tags = [
        Tagged(begin=b, json_schema=LIST, end=e, trigger=b) for b, e in (("[=", ";"), ("[[=", ";;"))
    ]
    walk = Walk(smollm2, Sampling(tagged=tuple(tags), tagged_parallel=True))
    assert walk.takes("so [[=[true];")
    assert not walk.may_end
    assert walk.takes(";")
    assert walk.may_end


def test_a_mask_has_all_tokens_that_fit_and_no_control_token(smollm2):
    walk = Walk(smollm2, Sampling(grammar='root ::= "yes" | "no"'))
    allowed = np.flatnonzero(walk.constraint.allowed())
    pieces = {walk.vocabulary.piece(int(token)) for token in allowed}
    assert pieces == {b"y", b"ye", b"yes", b"n", b"no"}


def test_a_schema_holds_from_behind_a_text(smollm2):
    walk = Walk(smollm2, Sampling(json_schema=NUMBER, constrain_after="</think>"))
    assert walk.takes("I think [1, 2 </thin")
    assert not walk.may_end  # what was asked for is yet to come
    assert walk.takes("k>")
    assert not walk.takes("free")
    assert walk.takes('\n\n{"n": 12}')
    assert walk.constraint.finished


def test_a_token_that_ends_free_text_must_go_on_as_the_schema_does(opened):
    walk = Walk(opened("llama"), Sampling(grammar='root ::= "g!"', constrain_after="i"))
    tokens = {walk.vocabulary.piece(t): t for t in range(walk.vocabulary.size)}
    assert not walk.takes_token(tokens[b"in"])  # the piece `in` has the i, and an n behind it
    assert walk.takes_token(tokens[b"x"])
    assert walk.takes_token(tokens[b"i"])
    assert not walk.takes_token(tokens[b"in"])
    assert walk.takes("g!")
    walk = Walk(opened("llama"), Sampling(grammar='root ::= "ng!"', constrain_after="i"))
    assert walk.takes_token(tokens[b"in"])
    assert walk.takes("g!")
    assert walk.constraint.finished


def test_a_constraint_may_begin_behind_a_control_token(opened):
    walk = Walk(opened("llama"), Sampling(grammar='root ::= "x"', constrain_after="<|im_start|>"))
    assert walk.takes("free <|im_start|>", special=True)
    assert not walk.takes("y")
    assert walk.takes("x")


def test_tagged_parts_are_held_and_the_rest_is_free(smollm2):
    walk = Walk(smollm2, Sampling(tagged=CALLS))
    assert walk.takes("Well, [1, {free}: ")
    assert walk.may_end
    assert walk.takes(COUNT)
    assert walk.may_end
    assert walk.takes(" and ")
    assert walk.takes(FLAGS)
    assert walk.takes(" done")


@pytest.mark.parametrize(
    "text",
    [
        '<call>{"name": "other", "args": {}}',
        '<call>{"name": "count", "args": {"n": 1.5}}',
        '<call>{"name": "flags", "args": {"n": 1}}',
        '<call>{"name": "count", "args": {"n": 1}]',
    ],
)
def test_a_tagged_part_that_has_begun_fits_one_of_the_schemas(smollm2, text):
    assert not Walk(smollm2, Sampling(tagged=CALLS)).takes(text)
    assert not Walk(smollm2, Sampling(tagged=CALLS, tagged_required=True)).takes(text)


def test_a_text_begins_with_a_tagged_part_where_it_must(smollm2):
    walk = Walk(smollm2, Sampling(tagged=CALLS, tagged_required=True))
    assert not walk.may_end
    assert not walk.takes("Well")
    assert walk.takes(FLAGS)
    assert walk.may_end
    assert walk.takes(" and " + COUNT)


def test_only_one_tagged_part_comes_where_they_are_not_parallel(smollm2):
    for required in (True, False):
        one = Sampling(tagged=CALLS, tagged_required=required, tagged_parallel=False)
        walk = Walk(smollm2, one)
        assert walk.takes(COUNT + " and ")
        assert not walk.takes(FLAGS)


def test_calls_in_a_thought_are_text(smollm2):
    walk = Walk(smollm2, Sampling(tagged=CALLS, constrain_after="</think>"))
    assert walk.takes("Perhaps <call> it? ")
    assert walk.may_end
    assert walk.takes("</think>\n" + COUNT)
    assert not walk.takes("<call>x")


def test_a_call_may_be_required_after_the_thought(smollm2):
    sampling = Sampling(tagged=CALLS, tagged_required=True, constrain_after="</think>")
    walk = Walk(smollm2, sampling)
    assert walk.takes("Perhaps <call> it? ")
    assert not walk.may_end
    assert walk.takes("</think>")
    assert not walk.takes("Well")
    assert walk.takes("\n\n" + COUNT + " and " + FLAGS)


@pytest.mark.parametrize("after", [None, "</think>"])
def test_an_answer_may_come_instead_of_a_call_and_ends_the_text(smollm2, after):
    sampling = Sampling(tagged=(ANSWER, *CALLS), tagged_required=True, constrain_after=after)
    for text, ends in [('{"n": 1}', True), (COUNT, False)]:
        walk = Walk(smollm2, sampling)
        assert walk.takes(after or "")
        assert not walk.takes("free")
        assert walk.takes(text)
        assert walk.constraint.finished is ends


def test_a_marker_of_its_own_begins_a_tagged_part_whatever_follows(opened):
    tag = Tagged(begin="<|im_start|>call ", json_schema=NUMBER, end="<|im_end|>")
    walk = Walk(opened("llama"), Sampling(tagged=(tag,)))
    assert walk.takes("text <|im_start|>", special=True)
    assert not walk.takes("other")
    assert walk.takes('call {"n": 1}')
    assert walk.constraint.finished  # with the token of its end, the text ends
    tag = Tagged(begin="say: ", json_schema=LIST, end="", trigger="say")
    walk = Walk(opened("llama"), Sampling(tagged=(tag,)))
    assert not walk.takes("I say no")


async def test_samples_with_tagged_parts_keep_to_them(smollm2):
    sampling = Sampling(
        tagged=CALLS, tagged_required=True, temperature=1.5, top_k=0, min_p=0, max_tokens=60
    )
    request = ModelRequest(ASK, sampling, range(4))
    for sample in await smollm2.generate(request).completions():
        call = r'<call>\{"name": "(count", "args": *\{|flags", "args": *\[)'
        assert re.match(call, sample.text)  # a number may be as long as the text
        assert Walk(smollm2, sampling).takes(sample.text)


async def test_log_probabilities_are_the_models_own(smollm2):
    sampling = Sampling(grammar='root ::= "xyz"', top_logprobs=3, temperature=0)
    [sample] = await smollm2.generate(ModelRequest(ASK, sampling, [1])).completions()
    first = sample.logprobs[0]
    assert first.logprob < -1  # of all tokens, and not of the few that are allowed
    assert first.token not in [token for token, _ in first.top]
    assert sample.confidence.min_logprob <= first.logprob


async def test_a_stop_string_ends_constrained_text_too(smollm2):
    sampling = Sampling(grammar='root ::= "one" " two" " three"', stop=(" th",))
    [sample] = await smollm2.generate(ModelRequest(ASK, sampling, [1])).completions()
    assert sample.text == "one two"
    assert sample.finish_reason == "stop"


async def test_samples_that_were_preempted_still_fit(opened):
    schema = {"type": "array", "items": {"type": "integer", "maximum": 99}, "minItems": 30}
    sampling = Sampling(json_schema=schema, max_tokens=200, temperature=2, top_k=0)
    model = opened("llama", context=256, kv_cells=512)
    prompts = [[Message(role="user", content=f"{n} words")] for n in range(6)]
    generations = [model.generate(ModelRequest(p, sampling, range(3))) for p in prompts]
    found = await asyncio.gather(*(g.completions() for g in generations))
    assert model.engine.stats.preemptions > 0
    for sample in [sample for samples in found for sample in samples]:
        body = sample.text.rstrip("]").rpartition(",")[0].lstrip("[ \n\t")  # of whole items
        assert all(int(item) <= 99 for item in body.split(",") if item.strip())
        assert sample.finish_reason == "length" or len(json.loads(sample.text)) >= 30


async def test_one_bad_constraint_leaves_its_neighbours_alone(smollm2):
    fine = smollm2.generate(ModelRequest(ASK, Sampling(max_tokens=20), range(2)))
    with pytest.raises(ModelError, match="no text at all"):
        smollm2.generate(ModelRequest(ASK, Sampling(grammar="root ::= root"), [1]))
    assert len(await fine.completions()) == 2


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"grammar": 'root ::= "a"', "json_schema": {}}, "one of grammar"),
        ({"json_schema": {}, "tagged": CALLS}, "one of grammar"),
        ({"grammar": 'root ::= "a"', "ignore_eos": True}, "ignore_eos"),
        ({"constrain_after": "</think>"}, "needs a grammar"),
        ({"constrain_after": "", "json_schema": {}}, "at least one character"),
        ({"tagged_required": True}, "needs tagged parts"),
        ({"tagged": (ANSWER,)}, "at least one character"),
        ({"tagged": (ANSWER, ANSWER), "tagged_required": True}, "only one"),
        ({"tagged": (Tagged(begin="x", json_schema={}, end="", trigger="y"),)}, "begins with"),
        ({"tagged": (Tagged(begin="x", json_schema={"not": {}}, end=""),)}, "not (at #)"),
    ],
)
def test_what_can_not_be_meant_is_refused(settings, reason):
    with pytest.raises(ModelError) as refused:
        check_constraint(Sampling(**settings))
    assert reason in str(refused.value)


GRAMMAR = Sampling(grammar='root ::= "yes" | "no"', max_tokens=8)


def test_the_first_constraint_of_a_model_is_compiled_beside_the_event_loop(opened, monkeypatch):
    built, began = Grammars.compile, threading.Event()

    def slow(self, plan):
        began.set()
        time.sleep(0.3)
        return built(self, plan)

    monkeypatch.setattr(Grammars, "compile", slow)

    async def run(model):
        asked = time.perf_counter()
        first, other = (model.generate(ModelRequest(ASK, GRAMMAR, [s])) for s in (1, 2))
        waited = time.perf_counter() - asked
        await asyncio.to_thread(began.wait)
        other.cancel()
        return waited, await first.completions(), await other.completions()

    waited, first, other = asyncio.run(run(opened()))
    assert waited < 0.2
    assert first[0].text in ("yes", "no")
    assert other[0].finish_reason == "cancelled"


def test_a_fault_of_the_first_constraint_fails_its_request(opened, monkeypatch):
    def fails(self, plan):
        raise ModelError("it can't be compiled")

    monkeypatch.setattr(Grammars, "compile", fails)

    async def run(model):
        return await model.generate(ModelRequest(ASK, GRAMMAR, [1])).completions()

    with pytest.raises(ModelError, match="can't be compiled"):
        asyncio.run(run(opened()))
