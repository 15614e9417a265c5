"""The tool ``python``: runs code that a model wrote, in a sandbox of its own.

The sandbox is Monty (pydantic-monty), an interpreter of a subset of Python. It runs in worker
processes, so that nothing the code does can end this one; it has no files, no network, no
environment and no packages, and limits on time, memory and output.
"""

from __future__ import annotations

import atexit
import os
import threading
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from thinkgraph.models.errors import ThinkgraphError

if TYPE_CHECKING:
    from pydantic_monty import Monty, MontyError, MontySession

SECONDS = 5.0
"""Computing time of one call."""
MEMORY = 128 << 20
"""Bytes that the code may take."""
OUTPUT = 1 << 18
"""Bytes that it may print."""
STATE = 16 << 20
"""Bytes that all variables of a session may take between two runs."""
BROKEN = ("MemoryError", "TimeoutError")
"""Errors after which nothing is known of the variables."""
POLICY = {"sleep": "zero", "random_start": {"seed": 0}}
"""Nothing sleeps, and random numbers are the same in each run."""
QUEUE_S = 60.0
"""How long a call waits for a free process."""
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
    """No code can be run here; that is for the host to mend, not for the model."""


@cache
def is_installed() -> bool:
    """Whether the package of the sandbox is there; looked up once, for each run asks."""
    return find_spec("pydantic_monty") is not None


class PythonSession:
    """A sequence of runs that share their variables: the ``python`` of one trajectory.

    What has been defined is kept as bytes between two runs, so that only running code has a
    process. Code that breaks a limit leaves the variables as they were before it.
    """

    def __init__(self) -> None:
        self._state = b""

    def run(self, code: str) -> str:
        """Run code to its end.

        Returns:
            What it printed, and the value of its last line if that is an expression; it may be
            empty.

        Raises:
            ToolException: it failed; behind what it printed stands the error that ended it.
            SandboxUnavailable: pydantic-monty is not installed, or this process was forked.
        """
        with _starting:  # `cache` alone would start one for each thread that asks at first
            pool, process = _pool()
        if process != os.getpid():
            raise SandboxUnavailable(FORKED)
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
    """An error of code in one line, with its type, as Python tells it."""
    display = getattr(error, "display", None)
    said = str(display(format="type-msg") if display else error)
    return " ".join(said.split()) or type(error).__name__


@cache
def _pool() -> tuple[Monty, int]:
    """The processes that run code, as many as there are cores, and the process that has them."""
    try:
        # Not AsyncMonty: with it, interpreters abort now and then when they exit (1.4.0).
        from pydantic_monty import Monty  # noqa: PLC0415 (optional)
    except ImportError as error:
        raise SandboxUnavailable(INSTALL) from error
    most = os.cpu_count() or 2
    try:
        pool = Monty(min_processes=0, max_processes=most, checkout_timeout=QUEUE_S)
        pool.__enter__()
    except FileNotFoundError as error:
        raise SandboxUnavailable(NO_PROGRAM) from error
    process = os.getpid()

    def close() -> None:
        if os.getpid() == process:
            pool.__exit__(None, None, None)

    atexit.register(close)
    return pool, process


_starting = threading.Lock()


def make() -> object:
    """Runs Python code in a sandbox, with variables of its own for each trajectory."""
    session = PythonSession()

    def python(code: str) -> str:
        return session.run(code)

    python.__doc__ = ABOUT
    return python
