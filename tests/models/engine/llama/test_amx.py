"""llama.cpp's code for AMX is tried in a child process, and left out if it ends that process."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from llama_cpp._ggml import libggml

from thinkgraph.models.backends.local import open_model
from thinkgraph.models.engine.llama import amx, native
from thinkgraph.models.engine.llama.library import llama
from thinkgraph.models.engine.settings import EngineSettings


@pytest.fixture
def tried_anew(monkeypatch):
    """The trial is made again, on a llama.cpp that has code for AMX."""
    monkeypatch.setattr(amx, "amx_works", amx.amx_works.__wrapped__)
    monkeypatch.setattr(llama, "llama_print_system_info", lambda: b"CPU : AMX_INT8 = 1 | ")


def program(folder: Path, text: str) -> Path:
    file = folder / "trial.py"
    file.write_text(text, "utf-8")
    return file


def test_the_trial_does_not_crash_with_what_is_installed_here():
    assert not amx.crashes(libggml._name)


def test_an_illegal_instruction_is_a_crash(tmp_path):
    killed = program(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGILL)")
    assert amx.crashes(libggml._name, killed)


@pytest.mark.parametrize("text", ["raise ValueError", "import os; os.abort()"])
def test_a_trial_that_fails_in_another_way_says_nothing_of_amx(tmp_path, text):
    assert not amx.crashes(libggml._name, program(tmp_path, text))


def test_without_an_interpreter_nothing_is_tried(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(amx.sys, "executable", str(tmp_path / "python"))
    assert not amx.crashes(libggml._name)
    assert "doesn't run" in caplog.text


def test_without_code_for_amx_nothing_is_tried(tried_anew, monkeypatch):
    monkeypatch.setattr(llama, "llama_print_system_info", lambda: b"CPU : AVX2 = 1 | ")
    monkeypatch.setattr(amx, "crashes", lambda library: pytest.fail("tried"))
    assert amx.amx_works()


@pytest.mark.usefixtures("tried_anew")
def test_code_that_crashes_is_left_out_and_a_warning_says_how_to_compile_it(monkeypatch, caplog):
    monkeypatch.setattr(amx, "crashes", lambda library: True)
    with caplog.at_level(logging.WARNING, "thinkgraph"):
        assert not amx.amx_works()
    assert amx.FLAGS in caplog.text and "without AMX" in caplog.text


def test_what_compiles_llama_cpp_here_sets_the_flags_that_the_warning_names():
    assert f"CXXFLAGS += {amx.FLAGS}" in Path("Makefile").read_text("utf-8")
    script = Path("benchmarks/llama_cpp_tools.sh").read_text("utf-8")
    assert f'CXXFLAGS="${{CXXFLAGS:-}} {amx.FLAGS}"' in script


def test_a_model_answers_without_amx(smollm2_path, monkeypatch):
    loaded = []
    load = llama.llama_model_load_from_file

    def kept(path, params):
        loaded.append(params.use_extra_bufts)
        return load(path, params)

    monkeypatch.setattr(llama, "llama_model_load_from_file", kept)
    monkeypatch.setattr(native, "amx_works", lambda: False)
    open_model(smollm2_path, settings=EngineSettings(kv_cells=256)).close()
    assert loaded == [False]
