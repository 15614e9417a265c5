"""Speed and memory of the engine, compared with llama.cpp's own tools and llama-cpp-python.

Every contestant runs in a separate process, on the same GGUF with the same threads, flash attention
and sampler, and draws the same number of tokens per sample, ignoring the end-of-sequence token.
They take turns within a round, so that other load on the machine affects all, forward and then in
reverse order, so that a drift of the machine's speed favours none. The report has medians of the
rounds and ratios within a round. Each run starts without a cached prefix. A rate is the number of
sampled tokens divided by the seconds from the request to the last token, including prompts.

    python benchmarks/engine.py --record benchmarks/engine.jsonl --output benchmarks/engine.md

Rounds are appended to the record, and the table covers the whole record, so that no run is left
out; ``--rounds 0`` only writes the table again.

llama-server and llama-batched-bench are built from llama-cpp-python's source on the first run
(``llama_cpp_tools.sh``; about twenty minutes on two cores). ``--without-tools`` leaves them out.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from thinkgraph.models.backends.local import open_model
from thinkgraph.models.catalogue import find
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.model import Message, ModelRequest, Sampling

HERE = Path(__file__).resolve().parent
TOKENS = 100
SYSTEM = "You are a careful assistant. You reason step by step and check each step. " * 8
QUESTION = "A baker sells 14 loaves in the morning and twice as many later. How many in all?"
WIDTHS = (1, 4, 16, 32)
SAMPLER = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05}
CELLS = 8192

Job = dict[str, object]
Result = dict[str, float]
Row = tuple[str, str, str, float | None]


def questions(count: int) -> list[str]:
    return [
        f"{QUESTION} Think of {7 + n} bakers, and say what number {n} does." for n in range(count)
    ]


# ---- workers: each reads one job per line and writes one result per line ----


def engine_worker(options: Job) -> Callable[[Job], Result]:
    model = open_model(
        str(options["model"]),
        settings=EngineSettings(
            threads=options["threads"],
            sequences=max(64, *options["widths"]),
            kv_cells=options["cells"],
            flash_attention="on",
            gpu_layers=options["gpu_layers"],
        ),
    )
    sampling = Sampling(max_tokens=options["tokens"], ignore_eos=True, **SAMPLER)

    def messages(question: str) -> list[Message]:
        return [Message(role="system", content=SYSTEM), Message(role="user", content=question)]

    async def draw(job: Job) -> Result:
        prompts, samples = [messages(q) for q in job["questions"]], int(job["samples"])
        if not job.get("warm"):
            model.engine.clear_cache()
        before, began = model.engine.stats, time.perf_counter()
        running = [model.generate(ModelRequest(p, sampling, range(samples))) for p in prompts]
        drawn = sum([c.tokens for g in running for c in await g.completions()])
        seconds = time.perf_counter() - began
        after = model.engine.stats
        rendered = [model.tokenize(p) for p in prompts]
        distinct = {tuple(t[: i + 1]) for t in rendered for i in range(len(t))}
        steps = after.step_s - before.step_s
        return {
            "rate": drawn / seconds,
            "prefilled": sum(g.usage.prefilled_tokens for g in running) / len(distinct),
            "python": 1 - (after.native_s - before.native_s) / steps,
            "shared": (drawn - len(prompts) * (samples - 1)) / (after.rows - before.rows),
            "prompt": len(rendered[0]),
        }

    return lambda job: asyncio.run(draw(job))


def llama_worker(options: Job) -> Callable[[Job], Result]:
    from llama_cpp import Llama  # noqa: PLC0415 - only its own worker needs it

    threads = options["threads"]
    llama = Llama(
        str(options["model"]),
        n_ctx=2048,
        n_threads=threads,
        n_threads_batch=threads,
        flash_attn=True,
        n_gpu_layers=options["gpu_layers"],
        verbose=False,
    )

    def draw(job: Job) -> Result:
        llama.reset()  # nothing is cached from an earlier run
        drawn, began = 0, time.perf_counter()
        for question in job["questions"]:
            tokens = llama.tokenize(prompt(question).encode(), add_bos=False, special=True)
            for _ in range(int(job["samples"])):
                for count, _token in enumerate(
                    llama.generate(tokens, temp=0.8, top_k=40, top_p=0.95, min_p=0.05), 1
                ):
                    if count == options["tokens"]:
                        drawn += count
                        break
        return {"rate": drawn / (time.perf_counter() - began)}

    return draw


def prompt(question: str) -> str:
    """The question in the chat format of the embedded model."""
    turns = [("system", SYSTEM), ("user", question)]
    return (
        "".join(f"<|im_start|>{r}\n{t}<|im_end|>\n" for r, t in turns) + "<|im_start|>assistant\n"
    )


def serve(kind: str, options: Job) -> None:
    draw = {"engine": engine_worker, "llama": llama_worker}[kind](options)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(draw(json.loads(line))), flush=True)


class Worker:
    """A contestant in a separate process."""

    def __init__(self, kind: str, options: Job) -> None:
        command = [sys.executable, __file__, "--worker", kind, json.dumps(options)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(f"the worker {kind} did not start")

    def __call__(self, asked: list[str], samples: int, **more: object) -> Result:
        job = {"questions": asked, "samples": samples, **more}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Server:
    """llama-server, accessed over HTTP."""

    def __init__(self, tools: Path, options: Job) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        threads, self.tokens = str(options["threads"]), int(options["tokens"])
        self.process = subprocess.Popen(
            [
                tools / "llama-server", "-m", options["model"], "-np", "16", "-kvu",
                "-c", str(options["cells"]), "-t", threads, "-tb", threads, "-fa", "on",
                "-ngl", str(options["gpu_layers"]), "--port", str(self.port), "--no-webui",
                "--cache-ram", "0", "--slot-save-path", "/tmp/",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(600):
            time.sleep(0.1)
            try:
                self._ask("/health")
                return
            except OSError:
                continue
        sys.exit("llama-server did not start")

    def __call__(self, asked: list[str], samples: int, *, at_once: bool) -> Result:
        body = {"n_predict": self.tokens, "ignore_eos": True, "cache_prompt": True, **SAMPLER}
        bodies = [
            {**body, "prompt": prompt(q), "seed": n, **({"n_cmpl": samples} if at_once else {})}
            for q in asked
            for n in range(1 if at_once else samples)
        ]
        began = time.perf_counter()
        with ThreadPoolExecutor(len(bodies)) as pool:
            answers = list(pool.map(lambda b: self._ask("/completion", b), bodies))
        seconds = time.perf_counter() - began
        each = [a for answer in answers for a in (answer if isinstance(answer, list) else [answer])]
        drawn = sum(answer["tokens_predicted"] for answer in each)
        if drawn != self.tokens * samples * len(asked):
            sys.exit(f"llama-server drew {drawn} tokens")
        for slot in range(16):
            self._ask(f"/slots/{slot}?action=erase", {})
        return {"rate": drawn / seconds}

    def _ask(self, path: str, body: object = None) -> object:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.loads(answer.read())

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def ceiling(tools: Path, options: Job, length: int, width: int) -> Result:
    """Tokens per second of llama-batched-bench, which decodes without sampling."""
    threads = str(options["threads"])
    found = subprocess.run(
        [
            tools / "llama-batched-bench", "-m", options["model"], "-pps", "-kvu",
            "-c", str(options["cells"]), "-b", "512", "-ub", "512", "-npp", str(length),
            "-ntg", str(options["tokens"]), "-npl", str(width), "-t", threads,
            "-tb", threads, "-fa", "on", "-ngl", str(options["gpu_layers"]),
            "--output-format", "jsonl",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout  # fmt: skip
    row = next(json.loads(line) for line in found.splitlines() if line.startswith("{"))
    return {"rate": row["pl"] * row["tg"] / row["t"]}


def peak_memory(pid: int) -> float:
    """Peak resident memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(x for x in status.splitlines() if x.startswith("VmHWM")).split()[1]) / 1024


def there_and_back(turns: dict[str, Callable[[], Result]], times: int) -> dict[str, Result]:
    """The harmonic means of each contestant's turns, which run in order and then in reverse."""
    found: dict[str, list[Result]] = {name: [] for name in turns}
    for name in [*turns, *reversed(turns)] * times:
        found[name].append(turns[name]())
    return {
        name: {key: statistics.harmonic_mean([r[key] for r in each]) for key in each[0]}
        for name, each in found.items()
    }


def measure(
    options: Job, rounds: int, tools: Path | None, tell: Callable[[Result, Result], None]
) -> None:
    """Run the rounds; ``tell`` is called with the result of each, and the peak memory so far."""
    engine = Worker("engine", options)
    llamas = {"": options, " default": {**options, "threads": None}} if options["llama"] else {}
    llama = {name: Worker("llama", settings) for name, settings in llamas.items()}
    server = Server(tools, options) if tools else None
    one, many = [QUESTION], questions(16)
    length = int(engine(one, 1)["prompt"])
    for contestant in llama.values():
        contestant(one, 1)
    for number in range(rounds):
        result: Result = {}
        for width in options["widths"]:
            turns = {f"engine {width}": partial(engine, one, width)}
            if tools:
                turns[f"ceiling {width}"] = partial(ceiling, tools, options, length, width)
            if server and width == 16:
                turns["server 16"] = partial(server, one, 16, at_once=False)
                turns["server n=16"] = partial(server, one, 16, at_once=True)
            if width in (1, 16):
                turns |= {f"llama{n} {width}": partial(c, one, width) for n, c in llama.items()}
            means = there_and_back(turns, 2 if width < 16 else 1)
            result |= {name: mean["rate"] for name, mean in means.items()}
            if width == 16:
                result |= {key: means["engine 16"][key] for key in ("python", "shared")}
        run = engine(many, 1)
        result["engine parted"], result["prefilled"] = run["rate"], run["prefilled"]
        if server:
            result["server parted"] = server(many, 1, at_once=False)["rate"]
        if llama:
            result["llama parted"] = llama[""](many, 1)["rate"]
        result["engine warm"] = engine(many, 1, warm=True)["rate"]
        print(f"round {number + 1}:", {k: round(v, 3) for k, v in result.items()}, file=sys.stderr)
        processes = {"engine": engine}
        processes |= {"Llama": llama[""]} if llama else {}
        processes |= {"llama-server": server} if server else {}
        tell(result, {name: peak_memory(c.process.pid) for name, c in processes.items()})
    for contestant in (engine, *llama.values(), *([server] if server else [])):
        contestant.close()


CEILING = "the ceiling (llama-batched-bench), N = "
ROWS: list[Row] = [
    ("`Llama`, same threads, N = 16", "engine 16", "llama 16", 1.8),
    ("`Llama`, its defaults, N = 16", "engine 16", "llama default 16", 2.2),
    ("`Llama`, same threads, N = 1", "engine 1", "llama 1", 0.95),
    ("`Llama`, its defaults, N = 1", "engine 1", "llama default 1", None),
    ("llama-server, 16 concurrent", "engine 16", "server 16", 1.2),
    ("llama-server, n = 16", "engine 16", "server n=16", 0.95),
    ("llama-server, 16 prompts with one beginning", "engine parted", "server parted", None),
    ("`Llama`, 16 prompts with one beginning", "engine parted", "llama parted", None),
]  # fmt: skip


def settings_of(options: Job, *, tools: bool) -> Job:
    """The settings that all rounds of one table must share."""
    names = [x for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x]
    # Values that older records imply.
    usual = {"widths": list(WIDTHS), "cells": CELLS, "llama": True}
    return {
        **{name: value for name, value in options.items() if usual.get(name) != value},
        "model": Path(str(options["model"])).name,
        "cores": os.cpu_count(),
        "cpu": names[0].split(":")[1].strip() if names else platform.machine(),
        "llama-cpp-python": importlib.metadata.version("llama-cpp-python"),
        "GOMP_SPINCOUNT": os.environ["GOMP_SPINCOUNT"],
        "tools": tools,
    }


class Record:
    """The rounds of all runs with the same settings, stored in a file if one is given."""

    def __init__(self, file: Path | None, settings: Job) -> None:
        self.file, self.settings = file, settings
        self.run = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        kept = file.read_text().splitlines() if file and file.is_file() else []
        self.rounds: list[dict[str, Any]] = [json.loads(line) for line in kept]
        if strange := [r["settings"] for r in self.rounds if r["settings"] != settings]:
            sys.exit(f"{file} has rounds of other settings, {strange[0]}; name another file")

    def add(self, result: Result, memory: Result) -> None:
        facts = {"run": self.run, "settings": self.settings, "load": os.getloadavg()[2]}
        self.rounds.append({**facts, "memory": memory, "result": result})
        if self.file:
            with self.file.open("a") as file:
                file.write(json.dumps(self.rounds[-1]) + "\n")

    @property
    def runs(self) -> dict[str, list[Result]]:
        """The results of each run's rounds, by the time when the run began."""
        runs: dict[str, list[Result]] = {}
        for one in self.rounds:
            runs.setdefault(one["run"], []).append(one["result"])
        return runs


def ratios(found: list[Result], ours: str, theirs: str) -> list[float]:
    return [r[ours] / r[theirs] for r in found]


def report(record: Record) -> str:
    if not record.rounds:
        sys.exit("there are no rounds yet; ask for some with --rounds")
    found = [one["result"] for one in record.rounds]
    widths = record.settings.get("widths", WIDTHS)
    ceilings = [(f"{CEILING}{n}", f"engine {n}", f"ceiling {n}", 0.95) for n in widths]
    rows = [row for row in [*ceilings, *ROWS] if row[2] in found[0]]
    peaks = {
        name: max(one["memory"][name] for one in record.rounds)
        for name in record.rounds[0]["memory"]
    }

    def median(key: str) -> float:
        return statistics.median(r[key] for r in found)

    settings, loads = record.settings, [one["load"] for one in record.rounds]
    lines = [
        "# The engine's speed",
        "",
        f"Measured by `python benchmarks/engine.py` on {settings['cores']} cores "
        f"({settings['cpu']}), llama-cpp-python {settings['llama-cpp-python']}, "
        f"{settings['model']}, {settings['tokens']} tokens a sample, {settings['threads']} "
        f"threads, flash attention on, {settings['gpu_layers']} GPU layers, GOMP_SPINCOUNT="
        f"{settings['GOMP_SPINCOUNT']} for all, load average {statistics.median(loads):.1f}. "
        f"Medians of {len(found)} interleaved rounds; tokens a second of all samples together, "
        "prompts included.",
        "",
        "| against | engine | other | ratio | least and most | to reach |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, ours, theirs, goal in rows:
        each = ratios(found, ours, theirs)
        lines.append(
            f"| {name} | {median(ours):.1f} | {median(theirs):.1f} | "
            f"{statistics.median(each):.2f} | {min(each):.2f} to {max(each):.2f} | {goal or ''} |"
        )
    lines += [
        "",
        f"Tokens prefilled ÷ distinct prefix tokens, 16 prompts: {median('prefilled'):.3f} "
        "(to reach: 1.02 at most).",
        f"Share of a step of 16 samples outside llama.cpp's decoding, samplers included: "
        f"{median('python'):.1%} (to reach: 5 % at most without the samplers).",
        f"Rows of 16 samples of one prompt ÷ rows computed: {median('shared'):.3f} (those that "
        "have drawn the same tokens share their rows; the other programs compute one for each).",
        f"The same 16 prompts again, with the cache full of earlier completions: "
        f"{median('engine warm'):.1f} tokens a second.",
        "",
        "Peak resident memory: "
        + ", ".join(f"{name} {size:.0f} MiB" for name, size in peaks.items())
        + f" (a KV cache of {settings.get('cells', CELLS)} cells"
        + ("; `Llama`: one context of 2048)." if settings.get("llama", True) else ")."),
        "",
    ]
    return "\n".join(lines + by_run(record.runs, rows))


def show(record: Record, output: Path | None) -> str:
    """The report, also written to ``output``, where later sections are preserved."""
    text = report(record)
    if output:
        earlier = output.read_text() if output.is_file() else ""
        _, heading, rest = earlier.partition("\n## ")
        output.write_text(text + heading + rest)
    return text


def by_run(runs: dict[str, list[Result]], rows: list[Row]) -> list[str]:
    """A table with the ratios of each run, to show how much they vary between runs."""
    if len(runs) == 1:
        return []
    titles = [f"{began}, {len(found)} rounds" for began, found in runs.items()]
    lines = [
        "The medians of each run, by when it began:",
        "",
        f"| against | {' | '.join(titles)} | to reach |",
        "| --- |" + " --- |" * (len(runs) + 1),
    ]
    for name, ours, theirs, goal in rows:
        each = [f"{statistics.median(ratios(r, ours, theirs)):.2f}" for r in runs.values()]
        lines.append(f"| {name} | {' | '.join(each)} | {goal or ''} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2", help="a short name, or a GGUF file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=TOKENS, help="drawn for each sample")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--gpu-layers", type=int, default=0)
    parser.add_argument(
        "--widths",
        default=",".join(map(str, WIDTHS)),
        help="how many samples are drawn at once; with 16 also by the other programs",
    )
    parser.add_argument("--cells", type=int, default=CELLS, help="of the KV cache")
    parser.add_argument("--tools", type=Path, default=HERE / ".tools", help="where they are built")
    parser.add_argument("--without-tools", action="store_true")
    parser.add_argument("--without-llama", action="store_true", help="one completion at a time")
    parser.add_argument("--record", type=Path, help="where rounds are kept, and added to")
    parser.add_argument("--output", type=Path, help="where to write the table")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    # The same OpenMP spin count for all, so that other load doesn't stall some more than others.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if arguments.worker:
        serve(arguments.worker[0], json.loads(arguments.worker[1]))
        return
    tools = None
    if arguments.rounds and not arguments.without_tools:
        build = [HERE / "llama_cpp_tools.sh", arguments.tools, sys.executable]
        tools = Path(
            subprocess.run(build, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        )
    options: Job = {
        "model": str(find(arguments.model).path),
        "threads": arguments.threads,
        "gpu_layers": arguments.gpu_layers,
        "tokens": arguments.tokens,
        "widths": [int(width) for width in arguments.widths.split(",")],
        "cells": arguments.cells,
        "llama": not arguments.without_llama,
    }
    record = Record(arguments.record, settings_of(options, tools=not arguments.without_tools))

    def tell(result: Result, memory: Result) -> None:
        record.add(result, memory)
        show(record, arguments.output)

    if arguments.rounds:
        measure(options, arguments.rounds, tools, tell)
    print(show(record, arguments.output))


if __name__ == "__main__":
    main()
