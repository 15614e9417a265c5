"""The tool `python`: what code may do, and what ends in an error instead of harm."""

from __future__ import annotations

import os
import threading
import time
from functools import cache
from itertools import pairwise

import pytest
from langchain_core.tools import ToolException

from thinkgraph.graphs.graph import load
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.tools import python as room
from thinkgraph.nodes.tools.python import PythonSession, SandboxUnavailable
from thinkgraph.nodes.tools.tool import all_tools

pytest.importorskip("pydantic_monty")


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(room, "SECONDS", 0.5)
    session = PythonSession()

    def run(code: str) -> str:
        try:
            return session.run(code)
        except ToolException as error:
            return f"! {error}"

    return run


def test_what_is_printed_and_the_value_of_the_last_line_come_back(run):
    assert run("x = 3\nprint('x is', x)\nx * 2") == "x is 3\n6"


def test_variables_and_functions_stay_for_the_next_run_of_the_same_session(run):
    run("def double(n):\n    return 2 * n\nx = 21")
    assert run("double(x)") == "42"
    with pytest.raises(ToolException, match="NameError"):
        PythonSession().run("x")


def test_code_that_prints_nothing_has_no_result(run):
    assert run("x = 1") == ""


def test_an_error_is_told_behind_what_was_printed_and_the_session_goes_on(run):
    assert run("y = 5\nprint('a')\n1 / 0") == "! a\nZeroDivisionError: division by zero"
    assert run("y") == "5"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("while True: pass", "TimeoutError"),
        ("x = 2\nwhile True: x = x * x", "MemoryError"),
        ("2 ** 10 ** 10", "MemoryError"),
        ("def f(): return f()\nf()", "RecursionError"),
        ("while True: print('a' * 1000)", "MemoryError"),
        ("open('/etc/passwd').read()", "PermissionError"),
        ("import os\nos.listdir('/')", "PermissionError"),
        ("import os\nos.environ['HOME']", "Error"),
        ("import socket", "ModuleNotFoundError"),
        ("import subprocess", "ModuleNotFoundError"),
        ("__import__('os').system('true')", "Error"),
        ("().__class__.__bases__[0].__subclasses__()", "Error"),
        ("if", "SyntaxError"),
    ],
)
def test_hostile_code_ends_in_an_error_within_its_limits(run, code, said):
    run("kept = 7")
    began = time.monotonic()
    assert run(code).startswith("! ")
    assert said in run(code)
    assert time.monotonic() - began < 60
    assert run("kept") == "7"  # what was there before is still there


def test_sessions_side_by_side_keep_their_variables_apart():
    sessions = [PythonSession() for _ in range(6)]
    found: dict[int, str] = {}

    def work(number: int) -> None:
        sessions[number].run(f"x = {number}")
        found[number] = sessions[number].run("x")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: str(i) for i in range(6)}


def test_each_trajectory_has_a_session_of_its_own():
    one, two = all_tools({})["python"].open(), all_tools({})["python"].open()
    one.invoke({"code": "x = 1"})
    with pytest.raises(ToolException, match="NameError"):
        two.invoke({"code": "x"})


def test_without_the_package_the_way_out_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pydantic_monty", None)
    room._pool.cache_clear()
    room.is_installed.cache_clear()
    with pytest.raises(SandboxUnavailable, match=r"pip install .*thinkgraph\[python\]"):
        PythonSession().run("1")
    room._pool.cache_clear()
    with pytest.raises(ThinkgraphError, match=r"tool 'python', .* pip install .*thinkgraph"):
        load("program-aided").run("How many?", model=ScriptedModel([]))
    room.is_installed.cache_clear()


def test_threads_that_ask_at_once_share_the_processes(monkeypatch):
    real, made = room._pool.__wrapped__, []

    def slow():
        made.append(1)
        time.sleep(0.1)
        return real()

    monkeypatch.setattr(room, "_pool", cache(slow))
    threads = [threading.Thread(target=PythonSession().run, args=("1",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_no_thread_waits_while_many_calls_of_others_are_served():
    served: list[int] = []

    def use(number: int) -> None:
        session = PythonSession()
        for _ in range(100):
            session.run("1")
            served.append(number)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    places = {each: [i for i, one in enumerate(served) if one == each] for each in range(16)}
    assert max(b - a for each in places.values() for a, b in pairwise(each)) < 100


@pytest.mark.parametrize("strategy", ["program-aided", "tool-integrated"])
def test_without_its_program_a_run_ends_and_no_candidate_abstains(monkeypatch, strategy):
    pytest.importorskip("pydantic_monty")

    def no_program(**_):
        raise FileNotFoundError("could not locate the `monty` binary")

    monkeypatch.setattr("pydantic_monty.Monty", no_program)
    room._pool.cache_clear()
    model = ScriptedModel(["```python\nprint(2)\n```"] * 3)
    with pytest.raises(ThinkgraphError, match="MONTY_BIN"):
        load(strategy).run("How many?", model=model)
    room._pool.cache_clear()


def test_nothing_sleeps(run):
    began = time.monotonic()
    assert run("import time\ntime.sleep(3600)\nprint('awake')") == "awake"
    assert time.monotonic() - began < 60


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_is_told_that_it_cant_run_code():
    assert PythonSession().run("1 + 1") == "2"
    child = os.fork()
    if not child:
        try:
            PythonSession().run("1 + 1")
        except ThinkgraphError as error:
            os._exit(0 if "forked" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert PythonSession().run("2 + 2") == "4"
