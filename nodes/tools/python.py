"""The tool ``python``: runs code that a model wrote, in a sandbox.

The sandbox is Monty (pydantic-monty), an interpreter of a subset of Python. It runs in worker
processes, so that the code can't crash this one. It has no files, no network, no environment and no
packages, and it limits time, memory and output.
"""

from __future__ import annotations

import atexit
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from thinkgraph.models.errors import ThinkgraphError

if TYPE_CHECKING:
    from pydantic_monty import Monty, MontyError, MontySession

SECONDS = 5.0
"""Maximum computing time of one call."""
MEMORY = 128 << 20
"""Maximum memory of the code, in bytes."""
OUTPUT = 1 << 18
"""Maximum size of the printed output, in bytes."""
STATE = 16 << 20
"""Maximum size of all variables of a session between two runs, in bytes."""
BROKEN = ("MemoryError", "TimeoutError")
"""Errors after which the variables may be in any state."""
POLICY = {"sleep": "zero", "random_start": {"seed": 0}}
"""``sleep`` returns at once, and random numbers are the same in each run."""
NO_PROGRAM = (
    "the tool python finds no program `monty`, which comes with pydantic-monty; reinstall that, or "
    "name the program in the environment variable MONTY_BIN"
)
INSTALL = 'the tool python needs pydantic-monty; run: pip install "thinkgraph[python]"'
FORKED = (
    "the tool python can't run in a process that was forked after it was used: its threads don't "
    "survive a fork; start processes with the method spawn or forkserver"
)
ABOUT = """Runs Python code and returns what it prints. What a call defines is there in later ones.
The standard math, re, datetime, itertools, collections and random modules can be imported; there
are no files, no network and no other packages."""


class SandboxUnavailable(ThinkgraphError):
    """No code can be run on this machine: an error for the host to fix, not for the model."""


@cache
def is_installed() -> bool:
    """Whether the package of the sandbox is installed; cached, since every run asks."""
    return find_spec("pydantic_monty") is not None


class PythonSession:
    """A sequence of runs that share their variables: the ``python`` of one trajectory.

    Between two runs the variables are kept as bytes, so that only running code occupies a process.
    Code that exceeds a limit leaves the variables as they were before it.
    """

    def __init__(self) -> None:
        self._state = b""

    def run(self, code: str) -> str:
        """Run code to its end.

        Returns:
            The printed output, and the value of the last line if that is an expression; it may be
            empty.

        Raises:
            ToolException: the code failed; the message is the printed output and the error.
            SandboxUnavailable: pydantic-monty is not installed, or this process was forked.
        """
        with _starting:  # with `cache` alone, concurrent first calls would each start a pool
            pool, queue, process = _pool()
        if process != os.getpid():
            raise SandboxUnavailable(FORKED)
        return queue.submit(self._run, code, pool).result()

    def _run(self, code: str, pool: Monty) -> str:
        from langchain_core.tools import ToolException  # noqa: PLC0415 (slow to import)
        from pydantic_monty import CollectString, MontyError  # noqa: PLC0415 (optional)

        printed = CollectString(max_bytes=OUTPUT)
        limits = {"max_feed_duration_secs": SECONDS, "max_memory": MEMORY}
        try:
            with pool.checkout(limits=limits, os_policy=POLICY) as session:  # type: ignore[arg-type]
                if self._state:
                    session.load_session(self._state)
                try:
                    value = session.feed_run(code, print_callback=printed)
                except MontyError as error:
                    if not _told(error).startswith(BROKEN):
                        self._keep(session)
                    raise
                self._keep(session)
        except MontyError as error:
            said = _told(error)
            raise ToolException("\n".join(filter(None, [printed.output.rstrip(), said]))) from error
        shown = "" if value is None else str(value)
        return "\n".join(filter(None, [printed.output.rstrip(), shown]))

    def _keep(self, session: MontySession) -> None:
        state = session.dump()
        if len(state) > STATE:
            from langchain_core.tools import ToolException  # noqa: PLC0415

            raise ToolException(f"MemoryError: variables may take {STATE >> 20} MiB between runs")
        self._state = state


def _told(error: MontyError) -> str:
    """An error of the code in one line, with its type, as Python shows it."""
    display = getattr(error, "display", None)
    said = str(display(format="type-msg") if display else error)
    return " ".join(said.split()) or type(error).__name__


@cache
def _pool() -> tuple[Monty, ThreadPoolExecutor, int]:
    """The pool of worker processes, the queue before it, and the id of the owning process.

    There is at most one process per core, and a thread for each. Calls wait in the queue of the
    threads, which is first in, first out: the pool itself can let a call wait for seconds while
    later ones are served (1.4.0).
    """
    try:
        # Not AsyncMonty: with it, interpreters abort now and then when they exit (1.4.0).
        from pydantic_monty import Monty  # noqa: PLC0415 (optional)
    except ImportError as error:
        raise SandboxUnavailable(INSTALL) from error
    most = os.cpu_count() or 2
    try:
        pool = Monty(min_processes=0, max_processes=most)
        pool.__enter__()
    except FileNotFoundError as error:
        raise SandboxUnavailable(NO_PROGRAM) from error
    process = os.getpid()
    queue = ThreadPoolExecutor(most, thread_name_prefix="python-tool")

    def close() -> None:
        if os.getpid() == process:
            pool.__exit__(None, None, None)

    atexit.register(close)
    return pool, queue, process


_starting = threading.Lock()


def make() -> object:
    """Runs Python code in a sandbox, with variables of its own for each trajectory."""
    session = PythonSession()

    def python(code: str) -> str:
        return session.run(code)

    python.__doc__ = ABOUT
    return python
