"""Speed of sampling with a model of negligible cost, compared with llama-server.

    bash benchmarks/llama_cpp_tools.sh benchmarks/.tools python   # builds llama-server, once
    python benchmarks/sampling.py --tools benchmarks/.tools/build-*/bin [--rounds 3]
    python benchmarks/sampling.py --threads 1,2,16   # the sampling threads alone, without a model

The model is a tiny random GGUF with as many tokens as Qwen2.5's vocabulary, 151,936, so that its
logits cost little to compute, as on a GPU. Each sampling configuration is timed with 64 concurrent
samples, in the engine and in llama-server with 64 slots, which samples on one thread; they take
turns.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import httpx
import numpy as np

from thinkgraph.models.backends.local import open_model
from thinkgraph.models.engine.sampling.pool import Draw, SamplingPool
from thinkgraph.models.engine.sampling.sampler import Sampler
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.model import Message, ModelRequest, Sampling

VOCABULARY, WIDTH = 151_936, 64
SAMPLES, TOKENS = 64, 48
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0},
    "default": {},
    "top_k=0, top_p=0.95": {"top_k": 0, "top_p": 0.95, "min_p": 0},
    "repeat penalty 1.1": {"repeat_penalty": 1.1},
}
OURS = {"confidence": {"confidence": True}, "5 logprobs": {"top_logprobs": 5}}
"""Configurations that llama-server doesn't have, timed with 32 samples against the default."""


def write_model(path: Path) -> None:
    """Write a one-layer llama with random weights, whose logits are as peaked as a real model's."""
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spellings = [chr(n) for n in plain] + [chr(256 + n) for n in range(256 - len(plain))]
    tokens = [*spellings, *(f"w{n}" for n in range(VOCABULARY - 257)), "<|end|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * (VOCABULARY - 1) + [3])
    writer.add_token_merges(["w 0"])
    writer.add_eos_token_id(VOCABULARY - 1)
    writer.add_chat_template("{% for m in messages %}{{ m.content }}{% endfor %}")
    writer.add_tensor(
        "token_embd.weight", random.standard_normal((VOCABULARY, WIDTH)).astype(np.float16)
    )
    output = 0.4 * random.standard_normal((VOCABULARY, WIDTH))
    writer.add_tensor("output.weight", output.astype(np.float16))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        weight = random.standard_normal((WIDTH, WIDTH)).astype(np.float32) / 8
        writer.add_tensor(f"blk.0.{name}.weight", weight)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@contextlib.contextmanager
def served(tools: Path, model: Path) -> Iterator[str]:
    """Run llama-server with a slot for each sample, and yield its URL."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [str(tools / "llama-server"), "-m", str(model), "--port", str(port)]
    command += ["-np", str(SAMPLES), "-c", str(128 * SAMPLES), "--no-webui"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                with contextlib.suppress(httpx.HTTPError):
                    if httpx.get(f"{url}/health").status_code == 200:
                        break
                time.sleep(0.1)
            yield url
        finally:
            server.terminate()


async def by_server(url: str, way: dict[str, Any]) -> float:
    """Tokens per second of llama-server."""
    names = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05} | way
    body = names | {"prompt": "abc", "n_predict": TOKENS, "ignore_eos": True}
    limits = httpx.Limits(max_connections=SAMPLES)
    async with httpx.AsyncClient(timeout=600, limits=limits) as client:
        began = time.perf_counter()
        asked = [client.post(f"{url}/completion", json={**body, "seed": n}) for n in range(SAMPLES)]
        answers = await asyncio.gather(*asked)
        took = time.perf_counter() - began
    return sum(answer.json()["tokens_predicted"] for answer in answers) / took


async def by_engine(model: Any, way: dict[str, Any], samples: int = SAMPLES) -> float:
    """Tokens per second of the engine."""
    sampling = Sampling(max_tokens=TOKENS, ignore_eos=True, **way)
    request = ModelRequest([Message(role="user", content="abc")], sampling, range(samples))
    began = time.perf_counter()
    found = await model.generate(request).completions()
    return sum(completion.tokens for completion in found) / (time.perf_counter() - began)


def by_threads(threads: int, rounds: int, *, confidence: bool) -> list[float]:
    """Milliseconds that a number of sampling threads takes for a step of random logits."""
    random = np.random.default_rng(0)
    logits = 3 * random.standard_normal((SAMPLES, VOCABULARY)).astype(np.float32)
    sampling, took = Sampling(confidence=confidence), []
    vocabulary: Any = SimpleNamespace(size=VOCABULARY, ends=())
    samplers = [Sampler(vocabulary, sampling, number, None) for number in range(SAMPLES)]
    sequence: Any = SimpleNamespace(request=SimpleNamespace(sampling=sampling))
    pool = SamplingPool(VOCABULARY, threads)
    for _ in range(rounds + 1):
        rows = [[Draw(sequence, sampler)] for sampler in samplers]
        began = time.perf_counter()
        pool.run(rows, logits)
        took.append(1000 * (time.perf_counter() - began))
    pool.close()
    return took[1:]


def middle(values: list[float], form: str = "{:,.0f}") -> str:
    """The median with the minimum and maximum, as text."""
    low, high = form.format(min(values)), form.format(max(values))
    return f"{form.format(statistics.median(values))} ({low} to {high})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tools", type=Path, help="where llama-server is")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", help="measure so many sampling threads alone: 1,2,16")
    given = parser.parse_args()
    if given.threads:
        print(
            f"| threads | ms a step of {SAMPLES} rows | with confidence |\n| ---: | ---: | ---: |"
        )
        for count in map(int, given.threads.split(",")):
            plain, full = (
                middle(by_threads(count, 3 * given.rounds, confidence=each), "{:.1f}")
                for each in (False, True)
            )
            print(f"| {count} | {plain} | {full} |")
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder) / "vocabulary.gguf"
        write_model(path)
        model = open_model(path, settings=EngineSettings(context=128, sequences=SAMPLES))
        url = stack.enter_context(served(given.tools, path)) if given.tools else None
        ours: dict[str, list[float]] = {way: [] for way in WAYS}
        theirs: dict[str, list[float]] = {way: [] for way in WAYS}
        extra: dict[str, list[float]] = {way: [] for way in OURS}
        for number in range(given.rounds + 1):
            for name, way in WAYS.items():
                found = asyncio.run(by_engine(model, way))
                other = asyncio.run(by_server(url, way)) if url else 0.0
                if number:  # the first round warms up
                    ours[name].append(found)
                    theirs[name].append(other)
            for name, way in OURS.items():
                plain = asyncio.run(by_engine(model, {}, 32))
                found = asyncio.run(by_engine(model, way, 32))
                if number:
                    extra[name].append(plain / found)
        print(f"64 samples of {TOKENS} tokens, vocabulary of {VOCABULARY:,}, tokens a second\n")
        print("| sampling | engine | llama-server | ratio |\n| --- | ---: | ---: | ---: |")
        for name in WAYS:
            pairs = zip(ours[name], theirs[name], strict=True)
            ratio = middle([a / b for a, b in pairs], "{:.2f}") if url else "–"
            print(f"| {name} | {middle(ours[name])} | {middle(theirs[name])} | {ratio} |")
        print("\n| 32 samples, time over that of the default | ratio |\n| --- | ---: |")
        for name, found in extra.items():
            print(f"| {name} | {middle(found, '{:.2f}')} |")
        model.close()


if __name__ == "__main__":
    main()
