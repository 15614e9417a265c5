"""A subprocess that decides whether two expressions are equal; `algebra` is its program.

An answer is untrusted text, and computer algebra is unbounded: `10^{10^{10}}` fills the memory, and
neither a signal (main thread only) nor a thread can stop a long integer power. So sympy runs in a
process that can be killed. It is started on the first request, reads one request per line from its
standard input, and ends when that is closed.
"""

import atexit
import json
import logging
import os
import re
import subprocess
import sys
import threading
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)
SECONDS = 3.0
"""Maximum time of one comparison."""
_START_SECONDS = 60.0
_PROGRAM = Path(__file__).with_name("algebra.py")


class Judge:
    """The subprocess, started on the first request and restarted after it had to be killed.

    Args:
        seconds: maximum time of one comparison.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def ask(self, one: str, other: str) -> bool | None:
        """Whether two LaTeX expressions are equal; None if that took too much time or memory."""
        reply = self._reply([one, other])
        return reply if isinstance(reply, bool) else None

    def size(self, latex: str) -> Fraction | None:
        """The value of a real constant to fifteen digits; None if it has none or took too long."""
        reply = self._reply([latex])
        return Fraction(reply) if isinstance(reply, str) else None

    def _reply(self, expressions: list[str]) -> Any:
        with self._lock:
            if self._process is None:
                self._start()
            return self._exchange(json.dumps(expressions), self._seconds)

    def close(self) -> None:
        """End the process; the next request starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 (our own file, by this interpreter)
                [sys.executable, "-P", str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C in a terminal should reach only the parent
            )
        except OSError as error:
            logger.warning("%s doesn't start: %s", sys.executable, error)
        if self._exchange(json.dumps(["1", "1"]), _START_SECONDS) is not True:
            logger.warning("sympy doesn't run; expressions are compared by their spelling")

    def _exchange(self, line: str, seconds: float) -> Any:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        watchdog = threading.Timer(seconds, process.kill)
        watchdog.start()
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            reply = process.stdout.readline()
        except OSError:
            reply = ""
        except BaseException:
            self.close()  # a late reply would be taken for that of the next request
            raise
        finally:
            watchdog.cancel()
        try:
            return json.loads(reply)
        except ValueError:  # killed, or out of memory
            self.close()
            return None


# Powers of powers, and exponents and factorials too large for any answer, are not evaluated.
_HUGE = re.compile(r"\^\{?-?\d{5,}|\^\{[^{}]*\d\^|\^-?\d+\^|\)\^\{?\d{3}|\d{4}!|!!!")
_judge = Judge()
atexit.register(_judge.close)
if hasattr(os, "register_at_fork"):  # a forked child would read the parent's replies
    os.register_at_fork(after_in_child=_judge.__init__)  # type: ignore[misc]
_hopeless: set[str] = set()


def same(one: str, other: str) -> bool:
    """Whether two LaTeX expressions are equal by value; False also if that can't be decided.

    An expression whose comparison had to be stopped is compared only by its spelling from then on,
    so that it delays a vote once, and not once for each of its rivals.
    """
    if one == other:
        return True
    if len(one) == len(other) == 1:
        return one.casefold() == other.casefold()
    return _same(*sorted([one, other]))


@lru_cache(maxsize=16384)
def _same(one: str, other: str) -> bool:
    if any(text in _hopeless or _HUGE.search(text) for text in (one, other)):
        return False
    verdict = _judge.ask(one, other)
    if verdict is None:
        if len(_hopeless) > 4096:
            _hopeless.clear()
        _hopeless.update(text for text in (one, other) if _judge.ask(text, "0") is None)
    return bool(verdict)


@lru_cache(maxsize=16384)
def size(latex: str) -> Fraction | None:
    """The value of a real constant to fifteen digits; None with symbols or without a value."""
    if latex in _hopeless or _HUGE.search(latex):
        return None
    return _judge.size(latex)
