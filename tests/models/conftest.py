"""Servers of the real model, to be asked as an endpoint is."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import httpx
import pytest


@contextmanager
def _serving(command: list[str], log: Path) -> Iterator[str]:
    """Run a server on a free port of the loopback; gives the URL of its API.

    ``PORT`` in the command is that port; its output goes to the file ``log``.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    filled = [word.replace("PORT", str(port)) for word in command]
    with log.open("wb") as out:
        server = subprocess.Popen(filled, stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(300):
            if server.poll() is not None:
                raise RuntimeError(f"the server ended: {log.read_text(errors='replace')[-2000:]}")
            try:
                if httpx.get(f"{url}/models").status_code != 503:  # it is still loading
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        yield url
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="session")
def serving() -> Callable[[list[str], Path], AbstractContextManager[str]]:
    """Runs a server: a context manager of its command and the file of its log."""
    return _serving


@pytest.fixture(scope="session")
def served(smollm2_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real OpenAI-compatible endpoint with the real model: llama-cpp-python's own server."""
    pytest.importorskip("uvicorn", reason="needs llama-cpp-python[server]")
    command = [sys.executable, "-m", "llama_cpp.server", "--port", "PORT", "--host", "127.0.0.1"]
    command += ["--model", str(smollm2_path), "--model_alias", "smollm2", "--n_ctx", "512"]
    # Else it breaks off an answer when another request comes.
    command += ["--interrupt_requests", "false"]
    # On a busy machine, several threads spend their time waiting for one another.
    command += ["--n_threads", "1", "--n_threads_batch", "1"]
    with _serving(command, tmp_path_factory.mktemp("served") / "log") as url:
        yield url
