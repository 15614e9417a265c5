"""The history of runs: in order, whole after a kill, and shared by servers."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from thinkgraph.serve.page.history import SILENT_S, Asked, History, HistoryError

ASKED = Asked(question="How many?", strategy="direct", params={"k": 3})


def begun(history: History, question: str = "How many?") -> str:
    return history.begin(ASKED.model_copy(update={"question": question}), "direct", "smollm2")


def test_a_run_is_under_way_until_it_has_ended_with_its_report(tmp_path: Path) -> None:
    history = History(tmp_path / "runs.sqlite3")
    id = begun(history)
    assert history.run(id).status == "running"
    assert history.report(id) is None
    history.end(id, "done", "<p>é</p>", answer="7", seed=1, tokens=5)
    found = History(tmp_path / "runs.sqlite3").run(id)
    assert (found.status, found.answer, found.asked) == ("done", "7", ASKED)
    assert history.report(id) == "<p>é</p>"


def test_runs_are_told_the_newest_first_and_page_by_page() -> None:
    history = History(None)
    ids = []
    for i in range(5):
        ids.append(begun(history, f"question {i}"))
        time.sleep(0.002)
    assert [run.id for run in history.runs(most=3)] == ids[:1:-1]
    assert [run.id for run in history.runs(before=ids[2])] == ids[1::-1]
    assert [run.question for run in history.runs("N 3")] == ["question 3"]
    assert history.forget(ids[3])
    assert not history.runs("question 3")


def test_a_run_of_a_server_that_is_silent_is_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite3"
    history, other = History(path), History(path)
    id = begun(history)
    assert other.run(id).status == "running"
    with sqlite3.connect(path) as file:
        file.execute("update runs set seen = seen - ?", (SILENT_S + 1,))
    assert other.run(id).status == "interrupted"
    assert history.run(id).status == "running"  # who runs it knows better
    history.go_on()
    assert other.run(id).status == "running"


WRITER = """
import sys
from thinkgraph.serve.page.history import Asked, History
history = History(__import__("pathlib").Path(sys.argv[1]))
while True:
    id = history.begin(Asked(question="q" * 1000), "direct", "m")
    history.end(id, "done", "<p>" + "word " * 50_000, answer="7", tokens=1)
    print(id, flush=True)
"""


def test_a_kill_in_the_middle_leaves_the_history_whole(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite3"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True
    ) as writer:
        told = [writer.stdout.readline().strip() for _ in range(20)]
        os.kill(writer.pid, signal.SIGKILL)
    history = History(path)
    with sqlite3.connect(path) as file:
        assert file.execute("pragma integrity_check").fetchone() == ("ok",)
    runs = history.runs(most=10_000)
    assert {run.id for run in runs} >= set(told)
    for run in runs:
        report = history.report(run.id)
        assert (run.status == "done") == (report is not None)
        assert report is None or len(report) == 3 + 5 * 50_000
    assert begun(history)


def test_a_row_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite3"
    history = History(path)
    unreadable, id = begun(history), begun(history)
    with sqlite3.connect(path) as file:
        file.execute(
            "update runs set asked = ? where id = ?", ('{"question": "q", "new": 1}', unreadable)
        )
    assert {run.id for run in history.runs()} == {id, unreadable}
    assert history.run(unreadable).asked is None
    assert history.run(id).asked is not None


@pytest.mark.slow
def test_a_server_that_is_killed_in_a_run_leaves_its_history_whole(
    tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    path = tmp_path / "runs.sqlite3"
    with serving(tiny("llama"), path) as (server, client):
        done = client.post("/page/runs", json={"question": "q", "strategy": "direct"}).json()["id"]
        assert '"end"' in client.get(f"/page/runs/{done}/events").text
        report = client.get(f"/page/runs/{done}/report").text
        asked = {"question": "q", "strategy": "direct", "params": {"max_tokens": 1900}}
        killed = client.post("/page/runs", json=asked).json()["id"]
        with client.stream("GET", f"/page/runs/{killed}/events") as told:
            assert any('"delta"' in line for line in told.iter_lines())
            server.kill()
    with sqlite3.connect(path) as file:
        assert file.execute("pragma integrity_check").fetchone() == ("ok",)
        file.execute("update runs set seen = seen - ?", (SILENT_S,))  # as if so long ago
    with serving(tiny("llama"), path) as (_, client):
        found = client.get("/page/runs").json()["runs"]
        assert [(run["id"], run["status"]) for run in found] == [
            (killed, "interrupted"),
            (done, "done"),
        ]
        assert client.get(f"/page/runs/{done}/report").text == report
        assert client.get(f"/page/runs/{killed}/report").status_code == 404
        again = client.post("/page/runs", json=found[0]["asked"] | {"params": {}})
        assert again.status_code == 201


@contextmanager
def serving(model: Path, history: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """A server in a process of its own."""
    command = [sys.executable, "-m", "thinkgraph", "serve", "--port", "0", "--token", "secret"]
    with subprocess.Popen(
        [*command, "--model", str(model), "--history", str(history)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            addresses = (re.search(r"page is at (http\S+?)/\?", line) for line in server.stdout)
            url = next(found[1] for found in addresses if found)
            with httpx.Client(
                base_url=url, headers={"authorization": "Bearer secret"}, timeout=60
            ) as client:
                yield server, client
        finally:
            server.kill()


def test_a_file_that_is_no_history_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite3"
    path.write_text("something else" * 100)
    with pytest.raises(HistoryError, match=r"can't be opened.*name another file by --history"):
        History(path)
    with sqlite3.connect(tmp_path / "newer.sqlite3") as file:
        file.execute("pragma user_version = 99")
    with pytest.raises(HistoryError, match="newer thinkgraph"):
        History(tmp_path / "newer.sqlite3")


def test_a_history_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    history = History(tmp_path / "runs.sqlite3")
    history._file.execute("pragma query_only = on")
    with pytest.raises(HistoryError, match=r"can't be read or written: .*readonly"):
        begun(history)


def test_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    History(tmp_path / "folder" / "runs.sqlite3")
    assert (tmp_path / "folder" / "runs.sqlite3").stat().st_mode & 0o077 == 0
