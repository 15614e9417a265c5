"""What comes out fits its stream: a terminal, a pipe, a reader that goes away, any encoding."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

QUESTION = "A pen costs 3 dollars. How much do 7 pens cost?"
RUN = ("run", "self-consistency", QUESTION, "-p", "samples=3", "-p", "max_tokens=12", "--seed", "1")


def program(*words):
    return [sys.executable, "-m", "thinkgraph", *map(str, words)]


def started(*words, **settings):
    env = os.environ | {"PYTHONUTF8": "0"} | settings.pop("env", {})
    return subprocess.run(
        program(*words), capture_output=True, check=False, env=env, timeout=200, **settings
    )


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_finished_run_is_printed_in_any_encoding(encoding):
    found = started(*RUN, env={"PYTHONIOENCODING": encoding})
    assert found.returncode == 0, found.stderr
    shown = found.stdout.decode(encoding)
    assert "votes" in shown and "#" in shown
    assert found.stderr.decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_json_loses_no_character(encoding):
    found = started("run", "direct", "Say “naïve” 数", "-p", "max_tokens=4", "--json", "-q",
                    env={"PYTHONIOENCODING": encoding})  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout.decode(encoding))["graph"] == "direct"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_printed_spec_is_one_that_check_takes(encoding, tmp_path):
    found = started("show", "debate", "--format", "yaml", env={"PYTHONIOENCODING": encoding})
    file = tmp_path / "mine.yaml"
    file.write_bytes(found.stdout)
    assert started("check", file).returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_drawing_is_printed_in_any_encoding(encoding):
    found = started("show", "debate", env={"PYTHONIOENCODING": encoding})
    assert found.returncode == 0, found.stderr
    assert "+---" in found.stdout.decode(encoding)


def test_a_reader_that_goes_away_costs_no_file(tmp_path):
    page = tmp_path / "run.html"
    read, write = os.pipe()
    os.close(read)
    found = subprocess.run(
        program(*RUN, "--report", page),
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=200,
        check=False,
    )
    os.close(write)
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert found.returncode == 0
    assert b"Traceback" not in found.stderr and b"Broken" not in found.stderr


def test_a_question_that_is_no_text_is_refused_before_the_model_is_loaded():
    found = started("run", "direct", "-", input=b"caf\xe9?")
    assert found.returncode == 2
    assert b"not UTF-8, at byte 4" in found.stderr
    argument = started("run", "direct", b"caf\xe9?".decode("utf-8", "surrogateescape"))
    assert argument.returncode == 2 and b"isn't valid UTF-8" in argument.stderr


def test_a_question_may_come_as_utf_16_by_its_mark():
    words = ("run", "direct", "-", "-p", "max_tokens=4", "-q", "--json")
    assert started(*words, input=QUESTION.encode("utf-16")).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_the_answer_comes_before_a_file_that_can_not_be_written():
    found = started(*RUN, "--report", "/dev/full")
    assert found.returncode == 2
    assert b"votes" in found.stdout
    assert b"can't be written" in found.stderr


def test_a_terminal_is_redrawn():
    controller, terminal = pty.openpty()
    run = subprocess.Popen(
        program(*RUN), stdout=terminal, stderr=terminal, env=os.environ | {"TERM": "xterm"}
    )
    os.close(terminal)
    seen = b""
    while True:
        try:
            piece = os.read(controller, 65536)
        except OSError:  # the program has closed its end
            break
        if not piece:
            break
        seen += piece
    assert run.wait(timeout=100) == 0
    assert b"\x1b[" in seen and b"votes" in seen and "█".encode() in seen


def test_versions_and_help_have_their_usual_options():
    assert started("--version").stdout.startswith(b"thinkgraph ")
    assert b"Usage" in started("run", "-h").stdout
