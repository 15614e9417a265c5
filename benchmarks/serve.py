"""Throughput of the server with many clients against the engine alone, and a soak test.

    python benchmarks/serve.py                       # 64 clients, strategies and bare chat mixed
    python benchmarks/serve.py --soak                # 2,000 requests, a third of them aborted
    python benchmarks/serve.py --llama-server PATH   # bare chat only, against llama-server

Each side runs in a separate process, and they take turns, so that other load on the machine affects
both. The numbers are sampled tokens per second; the first round of each side is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx

import thinkgraph as tg
from thinkgraph.models.catalogue import find
from thinkgraph.models.model import ModelRequest

QUESTIONS = [
    "Ben has 4 bags with 6 marbles in each bag. How many marbles does Ben have in all?",
    "A train goes 60 km in an hour. How far does it go in three hours?",
    "Ann buys 3 pens for 2 dollars each and pays with a 10. What does she get back?",
    "There are 12 eggs in a box. How many eggs are in five boxes?",
]
WARM_TOKENS = 8
PATIENCE_S = 120
"""Maximum seconds for a server to start, and for the soak test's load to end."""
MIX = ("model", "direct", "self-consistency@4", "model", "best-of-n@4", "model", "self-refine")


def requests(count: int, tokens: int, names: tuple[str, ...] = MIX) -> list[dict]:
    """A number of requests, the same each time."""
    return [
        {
            "model": names[i % len(names)],
            "messages": [
                {"role": "user", "content": f"{QUESTIONS[i % len(QUESTIONS)]} (case {i})"}
            ],
            "max_tokens": tokens,
            "seed": i,
        }
        for i in range(count)
    ]


def warm_up(names: tuple[str, ...] = MIX) -> list[dict]:
    """One short request for each name, to send before the timed ones."""
    return requests(len(names), WARM_TOKENS, names)


# ---- the engine alone ----


async def alone(model: str, asked: list[dict], clients: int) -> dict:
    """Run the requests with the Python API, on an engine in this process."""
    opened = tg.load_model(model)
    # Both sides compile their graphs and fill their caches before the timed requests.
    graphs = {name: tg.load(name.partition("@")[0]) for name in MIX if name != "model"}
    slots = asyncio.Semaphore(clients)

    async def one(ask: dict) -> int:
        name, question = ask["model"], ask["messages"][0]["content"]
        async with slots:
            if name == "model":
                message = tg.Message(role="user", content=question)
                sampling = tg.Sampling(max_tokens=ask["max_tokens"])
                generation = opened.generate(ModelRequest([message], sampling, [ask["seed"]]))
                await generation.completions()
                return generation.usage.completion_tokens
            count = name.partition("@")[2]
            graph = graphs[name]
            params = {"samples": count} if count else {}
            if "max_tokens" in graph.spec.params:
                params["max_tokens"] = ask["max_tokens"]
            result = await graph.arun(question, model=opened, seed=ask["seed"], **params)
            return result.usage.completion_tokens

    await asyncio.gather(*map(one, warm_up()))
    began = time.perf_counter()
    counts = await asyncio.gather(*map(one, asked))
    took = time.perf_counter() - began
    return {"tokens": sum(counts), "seconds": took}


# ---- the server ----


@contextmanager
def serving(model: str, *options: str):
    """Run a server in a separate process; yield its address, its pid, and its log file."""
    log = Path(tempfile.mkdtemp()) / "log"
    command = [sys.executable, "-m", "thinkgraph", "serve", "--port", "0", "--no-page"]
    command += ["--running", "64"]
    with log.open("w") as file:
        process = subprocess.Popen([*command, "-m", f"model={model}", *options], stderr=file)
    try:
        limit = time.monotonic() + PATIENCE_S
        while not (found := re.search(r"serving at (\S+)/v1", log.read_text())):
            assert time.monotonic() < limit and process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield found[1], process.pid, log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def over_http(url: str, asked: list[dict], clients: int, *, streams: bool = True) -> dict:
    """Send the requests over HTTP; every second one streams."""
    slots, limits = asyncio.Semaphore(clients), httpx.Limits(max_connections=clients)

    async def one(number: int, ask: dict) -> int:
        async with slots:
            if streams and number % 2:
                body = {**ask, "stream": True, "stream_options": {"include_usage": True}}
                usage = None
                async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
                    assert answer.status_code == 200, await answer.aread()
                    async for line in answer.aiter_lines():
                        if line.startswith("data: {"):
                            usage = json.loads(line.removeprefix("data: ")).get("usage") or usage
                return usage["completion_tokens"]
            answer = await client.post(f"{url}/v1/chat/completions", json=ask)
            assert answer.status_code == 200, answer.text
            return answer.json()["usage"]["completion_tokens"]

    async with httpx.AsyncClient(timeout=600, limits=limits) as client:
        began = time.perf_counter()
        counts = await asyncio.gather(*(one(i, ask) for i, ask in enumerate(asked)))
        took = time.perf_counter() - began
    return {"tokens": sum(counts), "seconds": took}


def rate(found: dict) -> float:
    return found["tokens"] / found["seconds"]


def compare(options: argparse.Namespace) -> None:
    """Measure the server and the engine alone, in turn."""
    asked = requests(options.requests, options.tokens)
    here = [sys.executable, __file__, "--alone", "--model", options.model]
    numbers = ["--requests", str(options.requests), "--tokens", str(options.tokens)]
    rates: dict[str, list[float]] = {"server": [], "engine alone": []}
    for round_ in range(options.rounds + 1):
        with serving(options.model) as (url, *_):
            asyncio.run(over_http(url, warm_up(), options.clients))
            found = asyncio.run(over_http(url, asked, options.clients))
        told = subprocess.check_output([*here, *numbers, "--clients", str(options.clients)])
        other = json.loads(told)
        print(f"round {round_}: server {rate(found):.1f}, engine alone {rate(other):.1f} tokens/s")
        if round_:
            rates["server"].append(rate(found))
            rates["engine alone"].append(rate(other))
    server, engine = median(rates["server"]), median(rates["engine alone"])
    print(f"{options.clients} clients, {options.requests} requests, {options.tokens} tokens each")
    print(f"server {server:.1f} tokens/s, engine alone {engine:.1f}: ratio {server / engine:.3f}")


def beside(options: argparse.Namespace) -> None:
    """Measure bare chat on both servers, in turn; they have the same default sampling settings."""
    asked = requests(options.requests, options.tokens, ("model",))
    path = find(options.model).path
    rates: dict[str, list[float]] = {"ours": [], "theirs": []}
    for round_ in range(options.rounds + 1):
        with serving(options.model) as (url, *_):
            asyncio.run(over_http(url, warm_up(("model",)), 4))
            ours = asyncio.run(over_http(url, asked, options.clients))
        port = free_port()
        command = [options.llama_server, "-m", str(path), "--port", str(port), "-c", "32768"]
        command += ["--parallel", "64", "--jinja"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}"
            limit = time.monotonic() + PATIENCE_S
            while not healthy(url):
                assert process.poll() is None, f"llama-server exited with {process.returncode}"
                assert time.monotonic() < limit, "llama-server isn't ready in time"
                time.sleep(0.2)
            asyncio.run(over_http(url, warm_up(("model",)), 4))
            theirs = asyncio.run(over_http(url, asked, options.clients))
        finally:
            process.terminate()
            process.wait(30)
        print(f"round {round_}: {rate(ours):.1f}, llama-server {rate(theirs):.1f} tokens/s")
        if round_:
            rates["ours"].append(rate(ours))
            rates["theirs"].append(rate(theirs))
    ours, theirs = median(rates["ours"]), median(rates["theirs"])
    print(f"bare chat, {options.clients} clients, {options.requests} requests")
    print(f"{ours:.1f} tokens/s, llama-server {theirs:.1f}: ratio {ours / theirs:.3f}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.HTTPError:
        return False


# ---- the soak ----


def resident(pid: int) -> float:
    """The resident memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def gauges(url: str) -> dict[str, float]:
    """The current metrics without labels other than the model, by name."""
    text = httpx.get(f"{url}/metrics", timeout=60).text
    found = re.findall(r"^thinkgraph_(\w+)(?:\{model=\"\w+\"\})? (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


LOAD = ("running_requests", "waiting_requests", "engine_running", "engine_waiting")


def idle(url: str) -> dict[str, float]:
    """Wait until nothing has run for a second, as strategies pause between nodes; the metrics."""
    quiet, limit = 0, time.monotonic() + PATIENCE_S
    while quiet < 5:
        found = gauges(url)
        assert time.monotonic() < limit, f"something still runs: {found}"
        quiet = 0 if any(found[name] for name in LOAD) else quiet + 1
        time.sleep(0.2)
    return found


async def soak_part(url: str, asked: list[dict], clients: int, random_: random.Random) -> dict:
    """Send requests, a third of which disconnect at a random time; the others must be answered."""
    counts = {"answered": 0, "left": 0, "lost": 0}
    slots = asyncio.Semaphore(clients)

    async def one(ask: dict, leaves: float | None, streams: bool) -> None:
        async with slots:
            try:
                async with asyncio.timeout(leaves):
                    body = {**ask, "stream": streams}
                    async with client.stream("POST", path, json=body) as answer:
                        text = "".join([part async for part in answer.aiter_text()])
                done = answer.status_code == 200
                whole = "data: [DONE]" in text if streams else '"finish_reason"' in text
                counts["answered" if done and whole and '"error"' not in text else "lost"] += 1
            except TimeoutError:
                counts["left"] += 1
            except httpx.HTTPError as error:
                counts["lost"] += 1
                print(f"lost: {error!r}", flush=True)

    path = f"{url}/v1/chat/completions"
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients // 2)
    async with httpx.AsyncClient(timeout=600, limits=limits) as client:
        plans = [
            (ask, random_.choice([None, None, random_.uniform(0, 3)]), random_.random() < 0.5)
            for ask in asked
        ]
        await asyncio.gather(*(one(*plan) for plan in plans))
    return counts


def soak(options: argparse.Namespace) -> None:
    """Run the soak test in ten parts, and measure the memory after each."""
    random_, held, total = random.Random(7), [], {"answered": 0, "left": 0, "lost": 0}
    asked = requests(options.requests, options.tokens)
    part = max(len(asked) // 10, 1)
    with serving(options.model, "--waiting", "1000") as (url, pid, log):
        for start in range(0, len(asked), part):
            these = asked[start : start + part]
            found = asyncio.run(soak_part(url, these, options.clients, random_))
            total = {name: total[name] + found[name] for name in total}
            after = idle(url)
            held.append(resident(pid))
            print(f"{start + len(these)}: {total}, {held[-1]:.0f} MiB", flush=True)
    noise = log.read_text()
    warm = held[len(held) // 5]
    print(f"memory {warm:.0f} -> {held[-1]:.0f} MiB: {held[-1] / warm - 1:+.1%} after the warm-up")
    kept = after["engine_cells_used"] - after["engine_cells_idle"]
    print(f"KV cells kept by nobody's request: {kept:.0f}")
    print(f"lost: {total['lost']}; tracebacks in the log: {noise.count('Traceback')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", action="store_true")
    parser.add_argument("--llama-server")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.requests = options.requests or (2000 if options.soak else 128)
    if options.alone:
        asked = requests(options.requests, options.tokens)
        print(json.dumps(asyncio.run(alone(options.model, asked, options.clients))))
    elif options.llama_server:
        beside(options)
    elif options.soak:
        soak(options)
    else:
        compare(options)


if __name__ == "__main__":
    main()
