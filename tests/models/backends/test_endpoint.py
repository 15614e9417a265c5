"""A model behind an OpenAI-compatible endpoint: real servers, and one for what they can't do."""

import asyncio
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from thinkgraph.evaluate.runs.identity import identity
from thinkgraph.graphs.graph import load as load_graph
from thinkgraph.models.backends import endpoint
from thinkgraph.models.backends.endpoint import INSTALL, KEY, Endpoint
from thinkgraph.models.catalogue import find, load
from thinkgraph.models.errors import ModelBusy, ModelError, PromptTooLong
from thinkgraph.models.model import Message, ModelRequest, Sampling, continued

ASKED = [Message(role="user", content="How much is 3 times 7?")]
TOO_LONG = [Message(role="user", content="word " * 600)]
GREEDY = Sampling(temperature=0, max_tokens=12)
LLAMA_SERVER = os.environ.get("THINKGRAPH_LLAMA_SERVER") or shutil.which("llama-server")

needs_llama_server = pytest.mark.skipif(
    LLAMA_SERVER is None, reason="needs llama-server, which benchmarks/llama_cpp_tools.sh builds"
)


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv(KEY, raising=False)


async def ask(model, sampling=GREEDY, seeds=(1,), asked=ASKED):
    generation = model.generate(ModelRequest(asked, sampling, seeds))
    return await generation.completions(), generation.usage


class TestName:
    @pytest.mark.parametrize(
        ("name", "model", "url"),
        [
            ("openai:m@http://h:8080/v1", "m", "http://h:8080/v1"),
            ("openai:Qwen/Qwen3-4B@https://h/v1/", "Qwen/Qwen3-4B", "https://h/v1"),
            ("openai:a@b@http://h", "a@b", "http://h"),
        ],
    )
    def test_it_is_a_model_and_a_url(self, name, model, url):
        assert Endpoint.parse(name) == (model, url)

    @pytest.mark.parametrize(
        "name",
        [
            "openai:",
            "openai:m",
            "openai:@http://h",
            "openai:m@h:80",
            "openai:m@http://",
            "openai:m@file:///x",
        ],
    )
    def test_another_form_says_what_the_form_is(self, name):
        with pytest.raises(ModelError, match=r"is not openai:MODEL@URL, for example"):
            load(name)

    def test_a_password_in_the_url_is_refused_and_not_repeated(self):
        with pytest.raises(ModelError, match=f"put the key into {KEY}") as raised:
            load("openai:m@http://me:hunter2@h/v1")
        assert "hunter2" not in str(raised.value)

    def test_settings_of_the_engine_are_refused(self):
        with pytest.raises(ModelError, match="at its server, so 'gpu_layers' can't be set"):
            load("openai:m@http://h/v1", gpu_layers=0)

    def test_it_has_no_file(self):
        with pytest.raises(ModelError, match="no file on this machine"):
            find("openai:m@http://h/v1")

    def test_without_langchain_openai_it_says_how_to_install_it(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "langchain_openai.chat_models.base", None)
        with pytest.raises(ModelError) as raised:
            load("openai:m@http://h/v1")
        assert str(raised.value) == INSTALL


class Scripted(BaseHTTPRequestHandler):
    """Answers as it is told, for what a real server can't be made to do."""

    def answer(self):
        server = self.server
        length = int(self.headers.get("Content-Length") or 0)
        server.seen.append((self.path, self.headers, self.rfile.read(length)))
        status, body = server.replies[self.path.rpartition("/")[2]].pop(0)
        self.send_response(status)
        kinds = {"<": "text/html", "d": "text/event-stream"}
        if status == 429:
            self.send_header("Retry-After", "7")
        self.send_header("Content-Type", kinds.get(body[0], "application/json"))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = answer

    def log_message(self, *arguments):
        pass


MODELS = (200, json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}))
WORD = {"choices": [{"index": 0, "delta": {"content": "Yes"}, "finish_reason": None}]}
END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def stream(*chunks):
    known = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    lines = [f"data: {json.dumps(known | chunk)}\n\n" for chunk in chunks]
    return 200, "".join([*lines, "data: [DONE]\n\n"])


def failing(status, **error):
    return status, json.dumps({"error": {"message": "no", **error}})


@pytest.fixture
def scripted() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    server.seen = []
    server.replies = {"models": [MODELS], "completions": []}
    server.model = f"openai:m@http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class TestRequest:
    async def test_it_carries_the_settings_that_were_changed(self, scripted):
        scripted.replies["completions"] = [stream(WORD, END)]
        schema = {"type": "object"}
        sampling = Sampling(temperature=0.5, top_k=3, min_p=0.05, stop=("\n",), json_schema=schema)
        await ask(load(scripted.model), sampling, seeds=[5])
        sent = json.loads(scripted.seen[-1][2])
        assert (sent["model"], sent["seed"], sent["temperature"]) == ("m", 5, 0.5)
        assert (sent["top_k"], sent["stop"]) == (3, ["\n"])
        assert "min_p" not in sent  # as it was given, it is the default
        assert sent["response_format"]["json_schema"]["schema"] == schema
        assert sent["stream_options"] == {"include_usage": True}

    async def test_a_nodes_defaults_ask_for_nothing_beside_openais_own_api(self, scripted):
        scripted.replies["completions"] = [stream(WORD, END)]
        await ask(load(scripted.model), Sampling(**Sampling().model_dump()))
        sent = json.loads(scripted.seen[-1][2])
        assert not {"top_k", "min_p", "typical_p", "grammar", "ignore_eos"} & sent.keys()
        assert (sent["temperature"], sent["max_tokens"]) == (0.8, 512)

    async def test_a_setting_that_servers_do_not_share_is_told(self, scripted):
        with pytest.raises(ModelError, match="endpoint and doesn't take repeat_penalty; it takes"):
            await ask(load(scripted.model), Sampling(repeat_penalty=1.1))

    async def test_the_key_is_the_environments(self, scripted, monkeypatch):
        monkeypatch.setenv(KEY, "secret")
        load(scripted.model)
        assert scripted.seen[0][1]["Authorization"] == "Bearer secret"

    @pytest.mark.slow
    async def test_a_server_that_was_busy_is_asked_again(self, scripted):
        scripted.replies["completions"] = [failing(503), stream(WORD, END)]
        completions, _ = await ask(load(scripted.model))
        assert [c.text for c in completions] == ["Yes"]

    def test_vllms_word_for_the_context_is_known_too(self, scripted):
        listed = {"object": "list", "data": [{"id": "m", "object": "model", "max_model_len": 99}]}
        scripted.replies["models"] = [(200, json.dumps(listed))]
        assert load(scripted.model).context_length == 99

    def test_another_model_of_the_same_name_is_told_by_its_weights(self, scripted):
        identities = []
        for more in ({}, {"meta": {"n_params": 7, "n_ctx": 9}}, {"root": "a"}, {"root": "b"}):
            listed = {"object": "list", "data": [{"id": "m", "object": "model", **more}]}
            scripted.replies["models"] = [(200, json.dumps(listed))]
            identities.append(identity(load(scripted.model)))
        assert len(set(identities)) == 4
        assert "n_ctx" not in identities[1]

    def test_a_context_that_nobody_tells_is_the_default(self, scripted):
        assert load(scripted.model).context_length == 8192


class TestFailure:
    @pytest.mark.slow
    def test_nobody_listens(self):
        with pytest.raises(ModelError, match=r":9/v1 can't be reached \(.*\); is the server run"):
            load("openai:m@http://127.0.0.1:9/v1")

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("reply", "told"),
        [
            (failing(404), r"knows no such API, or no model 'm'; most such URLs end in /v1"),
            ((404, "<html>nginx</html>"), r"most such URLs end in /v1"),
            ((200, "<html>a page</html>"), r"lists no models; most such URLs end in /v1"),
            ((200, "[1, 2]"), r"lists no models; most such URLs end in /v1"),
            ((200, '{"data": [{"id": "a"}, {"id": "b"}]}'), r"has no model 'm'; it has a, b"),
            ((200, '{"data": []}'), r"has no model 'm'; it has none"),
            (failing(401), r"wants a key in OPENAI_API_KEY"),
        ],
    )
    def test_loading_tells_what_is_wrong_there(self, scripted, reply, told):
        scripted.replies["models"] = [reply]
        with pytest.raises(ModelError, match=told):
            load(scripted.model)

    def test_a_wrong_key_is_told_and_not_repeated(self, scripted, monkeypatch):
        monkeypatch.setenv(KEY, "hunter2")
        scripted.replies["models"] = [failing(401)]
        with pytest.raises(ModelError, match=r"refuses the key in OPENAI_API_KEY") as raised:
            load(scripted.model)
        assert "hunter2" not in str(raised.value)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("reply", "told"),
        [
            (
                failing(400, message="This model's maximum context length is 4 tokens."),
                r"finds the prompt too long \(.* 4 tokens\.\); shorten the question",
            ),
            (failing(400, message="bad top_k"), r"refuses the request with status 400: bad top_k"),
            (failing(404), r"no model 'm'"),
            (stream(WORD), r"ended an answer before it was finished"),
            (stream(), r"broke off an answer"),
            (stream(WORD, {"error": {"message": "out of memory"}}), r"broke off .*out of memory"),
            ((200, "data: {half"), r"broke off an answer"),
        ],
    )
    async def test_asking_tells_what_the_server_says(self, scripted, reply, told):
        scripted.replies["completions"] = [reply]
        with pytest.raises(ModelError, match=told):
            await ask(load(scripted.model))

    async def test_an_overflow_in_llama_servers_words_is_counted(self, scripted):
        body = {"type": "exceed_context_size_error", "n_prompt_tokens": 931, "n_ctx": 512}
        message = "request (931 tokens) exceeds the available context size (512 tokens)"
        scripted.replies["completions"] = [failing(400, message=message, **body)]
        with pytest.raises(PromptTooLong, match=r"931 tokens and the context holds 512: 420 too"):
            await ask(load(scripted.model))

    @pytest.mark.parametrize(
        "reply",
        [
            failing(400, message="too many tokens", code="context_length_exceeded"),
            failing(400, message="This model's maximum context length is 4 tokens."),
        ],
    )
    async def test_an_overflow_without_numbers_is_one_too(self, scripted, reply):
        scripted.replies["completions"] = [reply]
        with pytest.raises(PromptTooLong, match="finds the prompt too long") as raised:
            await ask(load(scripted.model))
        assert raised.value.tokens is None
        assert str(raised.value.at("node 'a'")).startswith("node 'a': http")

    async def test_a_server_that_stays_busy_says_when_to_come_back(self, scripted, monkeypatch):
        monkeypatch.setattr(endpoint, "RETRIES", 0)
        scripted.replies["completions"] = [failing(429, message="slow down")]
        with pytest.raises(ModelBusy, match="has too many requests: slow down") as raised:
            await ask(load(scripted.model))
        assert raised.value.retry_s == 7

    def test_what_it_cannot_be_given_is_told(self, scripted):
        model = load(scripted.model)
        with pytest.raises(ModelError, match=r"behind an OpenAI-compat.* given .* begins with"):
            model.generate(ModelRequest(continued(ASKED, "So"), GREEDY, [1]))
        with pytest.raises(ModelError, match=r"behind an OpenAI-compat.* doesn't take adapter"):
            model.generate(ModelRequest(ASKED, Sampling(adapter="x"), [1]))

    async def test_what_it_cannot_tell_is_told(self, scripted):
        model = load(scripted.model)
        with pytest.raises(ModelError, match=r"no entropies .*; use a GGUF model there"):
            model.generate(ModelRequest(ASKED, Sampling(confidence=True), [1]))
        with pytest.raises(ModelError, match="can't choose between options; use a GGUF model"):
            await model.choose(ModelRequest(ASKED), ["Yes", "No"])


class TestServed:
    """llama-cpp-python's own server, with the embedded model."""

    def test_a_strategy_runs_on_it(self, served):
        name = f"openai:smollm2@{served}"
        result = load_graph("self-consistency").run(
            ASKED[0].content, model=name, samples=2, max_tokens=8, seed=1
        )
        assert (result.model, len(result.candidates)) == (name, 2)
        assert result.usage.completion_tokens == sum(c.tokens for c in result.candidates) == 16

    def test_a_critic_on_it_says_its_verdict_in_words(self, served):
        graph, name = load_graph("self-refine"), f"openai:smollm2@{served}"
        with pytest.raises(ModelError, match="set -p verdict=text, or use a GGUF model"):
            graph.run(ASKED[0].content, model=name, max_tokens=8)
        result = graph.run(
            ASKED[0].content, model=name, max_tokens=8, verdict="text", rounds=1, seed=1
        )
        assert result.critiques and all(c.probability is None for c in result.critiques)

    async def test_an_answer_that_is_broken_off_is_no_answer(self, served):
        with pytest.raises(ModelError, match="broke off an answer"):
            await ask(load(f"openai:smollm2@{served}"), asked=TOO_LONG)

    def test_a_model_that_it_lacks_is_told_with_what_it_has(self, served):
        with pytest.raises(ModelError, match="has no model 'gone'; it has smollm2"):
            load(f"openai:gone@{served}")


@pytest.fixture(scope="module")
def llama_server(serving, smollm2_path, tmp_path_factory) -> Iterator[str]:
    """llama-server with four slots of 512 cells."""
    command = [str(LLAMA_SERVER), "-m", str(smollm2_path), "--alias", "smollm2", "-t", "2"]
    command += ["--port", "PORT", "--host", "127.0.0.1", "-c", "2048", "-np", "4"]
    with serving(command, tmp_path_factory.mktemp("llama-server") / "log") as url:
        yield url


@needs_llama_server
class TestLlamaServer:
    def test_it_tells_its_context(self, llama_server):
        assert load(f"openai:smollm2@{llama_server}").context_length == 512

    async def test_the_mean_log_probability_is_the_engines(self, llama_server, smollm2):
        (there,), _ = await ask(load(f"openai:smollm2@{llama_server}"))
        (here,), _ = await ask(smollm2)
        assert there.text == here.text
        assert there.confidence.mean_logprob == pytest.approx(
            here.confidence.mean_logprob, abs=0.01
        )
        assert there.confidence.min_logprob == pytest.approx(here.confidence.min_logprob, abs=0.01)

    async def test_it_batches_the_samples(self, llama_server):
        model = load(f"openai:smollm2@{llama_server}")
        running = asyncio.create_task(
            ask(model, Sampling(max_tokens=60, ignore_eos=True), range(4))
        )
        busy = []
        async with httpx.AsyncClient() as client:
            while not running.done():
                slots = (await client.get(f"{llama_server.removesuffix('/v1')}/slots")).json()
                busy.append(sum(slot["is_processing"] for slot in slots))
        completions, usage = await running
        assert [c.tokens for c in completions] == [60] * 4
        assert max(busy) == 4
        assert usage.completion_tokens == 240

    async def test_its_account_tells_what_it_found_in_its_cache(self, llama_server):
        model = load(f"openai:smollm2@{llama_server}")
        await ask(model)
        _, usage = await ask(model)
        assert usage.cached_tokens > usage.prefilled_tokens > 0

    async def test_a_schema_is_kept(self, llama_server):
        schema = {"type": "boolean"}
        (said,), _ = await ask(
            load(f"openai:smollm2@{llama_server}"), Sampling(max_tokens=12, json_schema=schema)
        )
        assert said.text in ("true", "false")

    async def test_a_prompt_that_does_not_fit_is_told_with_its_length(self, llama_server):
        with pytest.raises(PromptTooLong, match=r"the prompt has \d+ tokens and .* holds 512"):
            await ask(load(f"openai:smollm2@{llama_server}"), asked=TOO_LONG)

    def test_a_model_that_it_lacks_is_told(self, llama_server):
        with pytest.raises(ModelError, match="has no model 'gone'; it has smollm2"):
            load(f"openai:gone@{llama_server}")

    def test_a_url_without_an_api_is_told(self, llama_server):
        with pytest.raises(ModelError, match="most such URLs end in /v1"):
            load(f"openai:smollm2@{llama_server.replace('/v1', '/v2')}")

    def test_its_key_is_asked_for(self, serving, smollm2_path, tmp_path, monkeypatch):
        command = [str(LLAMA_SERVER), "-m", str(smollm2_path), "-c", "512", "--alias", "smollm2"]
        command += ["--port", "PORT", "--host", "127.0.0.1", "--api-key", "right"]
        with serving(command, tmp_path / "log") as url:
            name = f"openai:smollm2@{url}"
            with pytest.raises(ModelError, match="wants a key in OPENAI_API_KEY"):
                load(name)
            monkeypatch.setenv(KEY, "wrong")
            with pytest.raises(ModelError, match="refuses the key in OPENAI_API_KEY"):
                load(name)
            monkeypatch.setenv(KEY, "right")
            assert load(name).context_length == 512

    def test_a_strategy_that_weighs_by_log_probability_runs_on_it(self, llama_server):
        result = load_graph("self-consistency").run(
            ASKED[0].content,
            model=f"openai:smollm2@{llama_server}",
            samples=4,
            max_tokens=40,
            weigh="logprob",
            seed=1,
        )
        assert result.answer.tally.classes[0].weight != result.answer.votes
        assert "No logprob is known" not in result.answer.note
