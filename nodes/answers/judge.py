"""A second process that decides whether two expressions are equal, by math-verify.

An answer is untrusted text, and computer algebra has no bound: `10^{10^{10}}` fills the memory,
and neither a signal (main thread only) nor a thread can stop a long integer power. So sympy runs
in a process that can be killed. It starts with the first question that needs it, takes one pair
a line on its standard input, and ends when that closes. Run as a script, this file is that
process; it imports nothing of thinkgraph.
"""

import atexit
import json
import logging
import os
import re
import subprocess
import sys
import threading
from functools import lru_cache
from typing import Any

logger = logging.getLogger(__name__)
SECONDS = 3.0
"""The longest that one comparison may take."""
_START_SECONDS = 60.0
_MEMORY = 1 << 30


class Judge:
    """The process, started when first asked and again after it had to be killed.

    Args:
        seconds: the longest that one comparison may take.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def ask(self, one: str, other: str) -> bool | None:
        """Whether two LaTeX expressions are equal; None when that took too long or too much."""
        with self._lock:
            if self._process is None:
                self._start()
            reply = self._exchange(json.dumps([one, other]), self._seconds)
        return reply if isinstance(reply, bool) else None

    def close(self) -> None:
        """End the process; the next question starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 (this file, by this interpreter)
                [sys.executable, "-P", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C in a terminal is for the parent alone
            )
        except OSError as error:
            logger.warning("%s doesn't start: %s", sys.executable, error)
        if self._exchange(json.dumps(["1", "1"]), _START_SECONDS) is not True:
            logger.warning("math-verify doesn't run; expressions are compared by their spelling")

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
            self.close()  # a reply may be under way, and would be taken for the next one's
            raise
        finally:
            watchdog.cancel()
        try:
            return json.loads(reply)
        except ValueError:  # killed, or out of memory
            self.close()
            return None


# Powers of powers, and exponents and factorials beyond all answers: no need to try them.
_HUGE = re.compile(r"\^\{?-?\d{5,}|\^\{[^{}]*\d\^|\^-?\d+\^|\)\^\{?\d{3}|\d{4}!|!!!")
_judge = Judge()
atexit.register(_judge.close)
if hasattr(os, "register_at_fork"):  # a forked child would read the parent's replies
    os.register_at_fork(after_in_child=_judge.__init__)  # type: ignore[misc]
_hopeless: set[str] = set()


def same(one: str, other: str) -> bool:
    """Whether two LaTeX expressions are equal by value; False also when it can't be found out.

    An expression whose comparison had to be stopped is compared only by its spelling from then
    on, so that a vote can be held up once by it, and not once for each of its rivals.
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


def _limit_memory() -> None:
    try:
        import resource  # noqa: PLC0415 (not on Windows)
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def serve() -> None:
    """Answer pairs of expressions, one JSON line each, until standard input ends."""
    _limit_memory()
    for line in sys.stdin:
        one, other = json.loads(line)
        print(json.dumps(_verify(one, other)), flush=True)


def _verify(one: str, other: str) -> bool:
    from math_verify import verify  # type: ignore[import-untyped]  # noqa: PLC0415 (slow to load)

    try:
        left, right = _parse(one), _parse(other)
        if _differ(_size(one), _size(other)):
            return False
        # math-verify takes the first for the truth and isn't symmetric; equality is.
        return bool(left and right) and (
            verify(left, right, timeout_seconds=None) or verify(right, left, timeout_seconds=None)
        )
    except (Exception, RecursionError, MemoryError):
        return False


@lru_cache(maxsize=1024)
def _parse(latex: str) -> Any:
    from latex2sympy2_extended import (  # type: ignore[import-untyped]  # noqa: PLC0415
        NormalizationConfig,
    )
    from math_verify import LatexExtractionConfig, parse  # noqa: PLC0415

    # Its unit removal would drop the m of 2k + 3m.
    spelling = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none"
    )
    config = LatexExtractionConfig(boxed_match_priority=-1, normalization_config=spelling)
    return parse(f"${latex}$", [config], fallback_mode="no_fallback", parsing_timeout=None)


@lru_cache(maxsize=1024)
def _size(latex: str) -> complex | None:
    """A constant's size; None for what has symbols, or no size."""
    expression = (_parse(latex) or [None])[0]
    if expression is None or getattr(expression, "free_symbols", True):
        return None
    try:
        return complex(expression.evalf(15))
    except (TypeError, ValueError, AttributeError):
        return None


def _differ(one: complex | None, other: complex | None) -> bool:
    """Whether two constants differ beyond all rounding, which spares the symbolic comparison."""
    if one is None or other is None:
        return False
    return abs(one - other) > 1e-6 * max(abs(one), abs(other))


if __name__ == "__main__":
    serve()
