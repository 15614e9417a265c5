"""An engine's end: what is asked of a closed one, and of the parent's in a forked child."""

import asyncio
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from thinkgraph.models.backends import local
from thinkgraph.models.engine import callers, switch_interval
from thinkgraph.models.engine.sampling.constraint import Grammars
from thinkgraph.models.engine.sequence import Request
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Message, ModelRequest, Sampling

GREEDY = Sampling(temperature=0, max_tokens=24, ignore_eos=True)


def ask(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


async def texts(model, messages, sampling, seeds) -> list[str]:
    request = ModelRequest(messages, sampling, seeds)
    return [completion.text for completion in await model.generate(request).completions()]


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.count_tokens(ask("x")),
        lambda model: model.tokenize(ask("x")),
        lambda model: model.generate(ModelRequest(ask("x"), GREEDY, [1])),
        lambda model: model.generate(ModelRequest(ask("x"), Sampling(grammar='root ::= "a"'), [1])),
        lambda model: asyncio.run(model.score(ModelRequest(ask("x")), "y")),
        lambda model: asyncio.run(model.choose(ModelRequest(ask("x")), ["y", "z"])),
        lambda model: model.engine.submit(Request([5], Sampling(), [1])),
        lambda model: model.engine.clear_cache(),
        lambda model: model.engine.stats,
    ],
)
def test_every_use_of_a_closed_model_is_an_error(opened, use):
    model = opened("llama")
    model.close()
    with pytest.raises(ModelError, match="closed; open it again"):
        use(model)
    model.engine.cancel(Request([5], Sampling(), [1]))  # nothing to stop
    assert model.context_length == 2048
    assert model.engine.native.recurrent is False


def test_closing_while_others_use_it_fails_them_and_nothing_else(opened):
    """Threads that tokenize, ask and look on while the model is closed: no crash, no hang."""
    model = opened("llama")
    begun = threading.Barrier(5)

    def use(work):
        begun.wait()
        try:
            while True:
                work()
        except ModelError as error:
            return str(error)

    work = [
        lambda: model.count_tokens(ask("some words to count")),
        lambda: model.engine.stats,
        model.engine.clear_cache,
        lambda: asyncio.run(texts(model, ask("x"), GREEDY, [1, 2])),
    ]
    with ThreadPoolExecutor(4) as threads:
        users = [threads.submit(use, one) for one in work]
        begun.wait()
        time.sleep(0.2)
        model.close()
        assert all("closed" in user.result(10) for user in users)


def test_an_engine_that_was_closed_is_not_kept(opened):
    model = opened("llama", context=768)
    assert model.engine in local._engines.values()
    model.close()
    assert model.engine not in local._engines.values()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_opens_an_engine_of_its_own(opened):
    model = opened("llama")
    (expected,) = asyncio.run(texts(model, ask("x"), GREEDY, [1]))
    generation = model.generate(ModelRequest(ask("y"), GREEDY, [1]))
    engine = model.engine
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            told = [asyncio.run(texts(model, ask("x"), GREEDY, [1]))[0]]
            for use in (
                lambda: engine.stats,
                lambda: engine.submit(Request([5], Sampling(), [1])),
                lambda: asyncio.run(generation.completions()),
            ):
                try:
                    use()
                except ModelError as error:
                    told.append(str(error))
            generation.cancel()
            engine.close()
            os.write(writing, json.dumps(told).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        text, *errors = json.loads(pipe.read())
    os.waitpid(child, 0)
    assert text == expected
    assert [("parent process" in error) for error in errors] == [True] * 3
    assert asyncio.run(texts(model, ask("x"), GREEDY, [1])) == [expected]


def test_requests_whose_grammar_is_being_compiled_fail_when_the_engine_is_closed(
    opened, monkeypatch
):
    model = opened("llama", context=640)
    compiling, go_on = threading.Event(), threading.Event()
    compile_it = Grammars.compile

    def slow(*args):
        compiling.set()
        go_on.wait(30)
        compile_it(*args)

    monkeypatch.setattr(Grammars, "compile", slow)
    held = [Request([5], Sampling(grammar=f'root ::= "{n}"'), [1]) for n in range(3)]
    for request in held:
        model.engine.submit(request)
    assert compiling.wait(30)
    assert model.engine.stats.running == 0  # neither others nor the worker are held up
    free = Request([5], GREEDY, [1])
    model.engine.submit(free)
    free.done.result(30)
    model.close()
    go_on.set()
    for request in held:
        with pytest.raises(ModelError, match="closed; open it again"):
            request.done.result(30)


@pytest.mark.parametrize("fault", [SystemExit, asyncio.CancelledError, BaseException])
def test_a_grammar_whose_compilation_fails_in_any_way_fails_its_request(opened, monkeypatch, fault):
    model = opened("llama", context=640)

    def fail(*_):
        raise fault("by the test")

    monkeypatch.setattr(Grammars, "compile", fail)
    request = Request([5], Sampling(grammar='root ::= "a"'), [1])
    model.engine.submit(request)
    with pytest.raises(ModelError, match="could not be prepared: by the test"):
        request.done.result(30)
    with pytest.raises(fault):
        model.engine._on_worker(fail)
    assert model.engine.stats.running == 0


def test_a_grammar_that_is_known_is_not_prepared_again(opened, monkeypatch):
    model = opened("llama", context=640)
    for sampling in (Sampling(grammar='root ::= "a"'), Sampling(dry_multiplier=1, max_tokens=2)):
        for again in (False, True):
            request = Request([5], sampling, [1])
            request.plan = model.engine._grammars.plan(sampling)
            assert model.engine._is_prepared(request) == again
            model.engine.submit(request)
            request.done.result(30)


def test_the_switch_interval_is_set_back_when_the_last_engine_is_closed(monkeypatch):
    monkeypatch.setattr(switch_interval, "_engines", 0)
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(0.004)
        switch_interval.lower()
        switch_interval.lower()
        switch_interval.restore()
        assert sys.getswitchinterval() == pytest.approx(switch_interval.SWITCH_S)
        switch_interval.restore()
        assert sys.getswitchinterval() == pytest.approx(0.004)
    finally:
        sys.setswitchinterval(before)


def test_one_caller_with_a_busy_loop_keeps_nobody_waiting(opened, monkeypatch):
    """Neither before its first request nor after its last one is computed."""
    monkeypatch.setattr(callers, "IDLE_LIMIT_S", 3600)
    model = opened("llama", context=640)
    asked, go_on = threading.Event(), threading.Event()

    async def ask_and_block():
        generation = model.generate(ModelRequest(ask("x"), GREEDY, [1]))
        asked.set()
        go_on.wait(60)  # as an app does that computes in its loop
        return await generation.completions()

    with ThreadPoolExecutor(1) as threads:
        busy = threads.submit(lambda: asyncio.run(ask_and_block()))
        assert asked.wait(30)
        for _ in range(2):
            other = Request([5], GREEDY, [1])
            model.engine.submit(other)
            other.done.result(30)
        go_on.set()
        assert len(busy.result(30)) == 1
