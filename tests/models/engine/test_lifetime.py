"""An engine's end: what is asked of a closed one, and of the parent's in a forked child."""

import asyncio
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from thinkgraph.models.backends import local
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
