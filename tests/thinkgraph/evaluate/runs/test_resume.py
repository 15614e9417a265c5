"""A comparison killed at any moment goes on where it was, and ends as one that ran through."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing

import pytest

PROGRAM = """
import asyncio, json, sys
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.evaluate.runs.runner import Runner
from thinkgraph.evaluate.runs.store import Store
from thinkgraph.evaluate.runs.variant import parse_variants
from thinkgraph.models.backends.scripted import ScriptedModel

class Logged(ScriptedModel):
    def generate(self, request):
        with open(sys.argv[2], "a") as log:
            log.writelines(f"{seed}\\n" for seed in request.seeds)
        return super().generate(request)

def speak(messages, seed):
    asked = sum(map(ord, messages[-1].content))
    return "well " * (seed % 40) + f"The answer is {(asked + seed % 3) % 5}."

questions = [Question(id=f"q{n}", text=f"What is {n} + 1?", reference=str(n)) for n in range(40)]
variants = parse_variants("direct,self-consistency@2,8,adaptive-consistency@8", {}, {})
with Store(sys.argv[1], "killed") as store:
    runner = Runner(Logged(speak), store, at_once=5)
    rows = asyncio.run(runner.run(questions, variants))
print(json.dumps(sorted(row.model_dump_json() for row in rows)))
"""


def command(folder, name):
    return [sys.executable, "-c", PROGRAM, str(folder / f"{name}.sqlite"), str(folder / name)]


def finished(folder, name):
    done = subprocess.run(command(folder, name), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def stored(path):
    """The seeds of the samples that are in a database, as another process sees it."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'samples'").fetchone():
            return []
        return [
            json.loads(c)["seed"] for (c,) in database.execute("SELECT completion FROM samples")
        ]


def asked(folder, name):
    log = folder / name
    return log.read_text().split() if log.exists() else []


@pytest.mark.slow
def test_killed_at_three_random_moments_it_ends_with_the_rows_of_one_that_ran_through(tmp_path):
    began = time.perf_counter()
    whole = finished(tmp_path, "whole")
    length, killed = time.perf_counter() - began, 0
    moments = random.Random(3)
    database = tmp_path / "killed.sqlite"
    for _ in range(3):
        before, had = len(asked(tmp_path, "killed")), set(map(str, stored(database)))
        process = subprocess.Popen(command(tmp_path, "killed"), stdout=subprocess.DEVNULL)
        while len(asked(tmp_path, "killed")) == before and process.poll() is None:
            time.sleep(0.01)  # it is killed at work, not while it starts
        time.sleep(moments.uniform(0, length / 5))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        assert had.isdisjoint(asked(tmp_path, "killed")[before:]), "drawn again"
    assert killed >= 2, "it was over before it could be killed: give it more to do"
    had = set(map(str, stored(database)))
    before = len(asked(tmp_path, "killed"))
    assert had
    assert finished(tmp_path, "killed") == whole
    assert had.isdisjoint(asked(tmp_path, "killed")[before:])
    assert Counter(stored(database)) == Counter(stored(tmp_path / "whole.sqlite"))


def compared(out, *more):
    words = ["--data", "word-problems:12", "--graphs", "direct,self-consistency@2,4"]
    rest = ["-p", "max_tokens=40", "--out", str(out), "--json", "--quiet", *more]
    return [sys.executable, "-m", "thinkgraph", "compare", *words, *rest]


LOG = "comparison.sqlite-wal"
"""What SQLite has written since the last checkpoint; a start begins a new one."""
WRITTEN = 30_000


def size(file):
    return file.stat().st_size if file.exists() else 0


@pytest.mark.slow
def test_the_real_model_draws_no_sample_again_after_a_kill(tmp_path):
    database, log = tmp_path / "out" / "comparison.sqlite", tmp_path / "out" / LOG
    moments, kept, killed = random.Random(5), [], 0
    for _ in range(3):
        process = subprocess.Popen(compared(tmp_path / "out"), stdout=subprocess.DEVNULL)
        while size(log) < WRITTEN and process.poll() is None:
            time.sleep(0.02)  # it is killed at work, not while it loads the model
        time.sleep(moments.uniform(0, 0.6))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        now = stored(database)
        assert set(kept) <= set(now)
        kept = now
    assert killed >= 2, "it was over before it could be killed: give it more to do"
    assert kept
    done = subprocess.run(compared(tmp_path / "out"), capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)["comparison"]["rows"]
    assert len({(row["question"], row["strategy"]) for row in rows}) == len(rows) == 12 * 3
    assert not any(row["failure"] for row in rows)
    # For each question a greedy answer, and four samples for both votes.
    assert len(stored(database)) == len(set(stored(database))) == 12 * (1 + 4)
