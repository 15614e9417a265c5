"""A comparison over a Ray cluster of two workers, one of which is killed on the way."""

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from thinkgraph.evaluate.runs.config import Config
from thinkgraph.evaluate.runs.variant import Variant, parse_variants
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.evaluate.tasks.word_problems import word_problems
from thinkgraph.models.errors import ModelError, ThinkgraphError
from thinkgraph.nodes.tools.host_files import HostFiles

ray = pytest.importorskip("ray")
from thinkgraph.evaluate.runs.cluster import spread  # noqa: E402 (needs Ray)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
    yield
    ray.shutdown()


QUESTIONS = [
    Question(id=str(n), text=problem.question, reference=problem.answer)
    for n, problem in enumerate(word_problems(10))
]


def variants():
    return parse_variants("direct,self-consistency@2,4", {"max_tokens": 12}, {})


def workers():
    """The processes of this cluster's workers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(b"ray::Worker"):
                found.append(int(folder.name))
        except OSError:
            pass
    return found


def contents(database):
    with closing(sqlite3.connect(database)) as opened:
        rows = opened.execute("SELECT count(*) FROM rows").fetchone()[0]
        samples = opened.execute("SELECT count(*) FROM samples").fetchone()[0]
    return rows, samples


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the workers in /proc")
async def test_a_killed_worker_costs_no_row_and_draws_no_sample_twice(tmp_path):
    database, killed = tmp_path / "c.sqlite", []

    def tell(row, kept):
        if not killed:
            killed.append(workers()[0])
            os.kill(killed[0], signal.SIGKILL)

    config = Config("smollm2")
    rows, spent, seconds = await spread(QUESTIONS, variants(), database, "x", config, tell=tell)
    assert killed
    assert len(rows) == len({(row.question, row.strategy) for row in rows}) == 30
    assert not any(row.failure for row in rows)
    # For each question a greedy answer, and four samples for both votes.
    assert contents(database) == (30, 10 * 5)
    assert spent.completion_tokens >= sum(r.tokens for r in rows if r.strategy.endswith("4"))
    assert seconds > 0
    again, kept = [], []
    again, _, _ = await spread(
        QUESTIONS, variants(), database, "x", config, tell=lambda row, old: kept.append(old)
    )
    assert all(kept)
    assert sorted(map(repr, again)) == sorted(map(repr, rows))


async def test_each_worker_has_the_tools_and_verifiers_of_the_files(tmp_path):
    spec, own = tmp_path / "sifted.yaml", tmp_path / "own.py"
    spec.write_text(
        "thinkgraph: 1\nname: sifted\n"
        "nodes: {draft: {kind: generate, max_tokens: 4}, sift: {kind: score, by: verifier, "
        "verifier: brief}}\nedges: START -> draft -> sift -> END\n"
    )
    own.write_text("def brief(text):\n    return len(text) < 999\n")
    variant = Variant.parse(str(spec), {}, {})
    config = Config("smollm2", host=HostFiles(verifiers=own))
    rows, _, _ = await spread(QUESTIONS[:2], [variant], tmp_path / "c.sqlite", "x", config)
    assert [row.failure for row in rows] == [None, None]
    gone = Config("smollm2", host=HostFiles(verifiers=tmp_path / "gone.py"))
    with pytest.raises(ThinkgraphError, match=r"--verifiers: there is no file .*gone\.py"):
        await spread(QUESTIONS[:1], [variant], tmp_path / "c.sqlite", "x", gone)


async def test_a_model_that_is_not_there_is_said_in_one_sentence(tmp_path):
    config = Config("no-such.gguf")
    with pytest.raises(ModelError, match=r"no-such\.gguf"):
        await spread(QUESTIONS, variants(), tmp_path / "c.sqlite", "x", config)


@pytest.mark.slow
async def test_more_workers_than_cores_are_refused(tmp_path):
    with pytest.raises(ThinkgraphError, match="give --workers 2 at most"):
        await spread(
            QUESTIONS, variants(), tmp_path / "c.sqlite", "x", Config("smollm2"), workers=9
        )
