"""Tuning: what it tries, what it keeps, and that the next opening picks it up."""

import math

import pytest

from thinkgraph.models.backends.local import open_model
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.errors import ModelError
from thinkgraph.models.tuning import measure
from thinkgraph.models.tuning import tune as tuning
from thinkgraph.models.tuning.findings import (
    Finding,
    config_file,
    copies,
    finding,
    forget,
    keep,
    trial_copy,
    tuned,
    unused_copies,
)
from thinkgraph.models.tuning.tune import _busy


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "ROUNDS", 1)
    short = measure.SAMPLING.model_copy(update={"max_tokens": 4})
    monkeypatch.setattr(measure, "SAMPLING", short)
    monkeypatch.setattr(tuning, "_busy", lambda: False)
    return tmp_path


@pytest.fixture
def whatever(monkeypatch):
    """Whatever is tried is kept."""
    monkeypatch.setattr(tuning, "WORTH_IT", 0.0)
    monkeypatch.setattr(tuning, "LOSSLESS", 10.0)


def test_what_was_found_is_used_by_the_next_opening(tiny, whatever):
    told = []
    found = tuning.tune(tiny("llama"), lossy=True, tell=told.append)
    assert tuple(told) == found.trials
    assert {"as it is", "flash_attention off", "Q8_0"} <= {t.name for t in told}
    assert found.use != tiny("llama")
    assert found.use.is_file()
    assert found.gain > 0
    model = open_model(tiny("llama"), name="mine")
    try:
        assert model.engine.native.header.path == found.use
        assert model.engine.settings.flash_attention == "off"
        assert model.name == "mine"
    finally:
        model.close()


def test_a_copy_is_told_before_it_is_made_and_stays_only_if_it_is_used(tiny, whatever):
    seen = []

    def tell(trial):
        if "makes a copy of about" in trial.name:
            seen.append([*copies().glob("*")])

    found = tuning.tune(tiny("llama"), lossy=True, tell=tell)
    assert seen[0] == []
    assert [*copies().iterdir()] == [found.use]


def test_a_copy_that_gains_nothing_does_not_stay(tiny, monkeypatch):
    monkeypatch.setattr(tuning, "WORTH_IT", 1e9)
    assert tuning.tune(tiny("llama"), lossy=True).use == tiny("llama")
    assert [*copies().iterdir()] == []


def test_one_engine_is_open_at_a_time(tiny, monkeypatch):
    opened, engine = [], tuning.Engine

    def open_one(*args):
        assert all(other.closed for other in opened)
        opened.append(engine(*args))
        return opened[-1]

    monkeypatch.setattr(tuning, "Engine", open_one)
    tuning.tune(tiny("llama"))
    assert len(opened) > 4
    assert all(other.closed for other in opened)


@pytest.mark.parametrize("by", ["load", "rounds"])
def test_on_a_busy_machine_nothing_is_kept(tiny, whatever, monkeypatch, by):
    if by == "load":
        monkeypatch.setattr(tuning, "_busy", lambda: True)
    else:
        monkeypatch.setattr(tuning, "UNSTEADY", 0.5)
    assert tuning.tune(tiny("llama"), lossy=True).busy
    assert finding(tiny("llama")) is None
    assert [*copies().iterdir()] == []


def test_tuning_is_undone_with_its_copy(tiny, whatever):
    found = tuning.tune(tiny("llama"), lossy=True)
    assert [undone.use for undone in forget(tiny("llama"))] == [found.use]
    assert not found.use.exists()
    assert tuned(tiny("llama"), EngineSettings()) == (tiny("llama"), EngineSettings())
    assert forget(tiny("llama")) == []


def test_a_search_that_is_broken_off_leaves_what_was_kept(tiny, whatever, monkeypatch):
    """A copy of the same name is tried again, and must not take the one that is used along."""
    kept = tuning.tune(tiny("llama"), lossy=True)
    content = kept.use.read_bytes()

    def stop(trial):
        if trial.name.startswith("Q4_0"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuning.tune(tiny("llama"), lossy=True, tell=stop)
    monkeypatch.setattr(tuning, "_busy", lambda: True)
    tuning.tune(tiny("llama"), lossy=True)
    assert finding(tiny("llama")) == Finding(use=kept.use, settings=kept.settings)
    assert kept.use.read_bytes() == content
    assert [*copies().iterdir()] == [kept.use]


def test_what_a_killed_search_leaves_is_listed_and_undone(tiny):
    trial = trial_copy(tiny("llama"), "Q8_0")
    part = trial.with_name(trial.name + ".part")
    other = trial_copy(tiny("gemma2"), "Q8_0")
    copies().mkdir(parents=True)
    for file in (trial, part, other):
        file.write_bytes(b"half a copy")
    assert unused_copies() == sorted([trial, part, other])
    assert {undone.use for undone in forget(tiny("llama"))} == {trial, part}
    assert unused_copies() == [other]


def test_tuning_is_undone_though_the_file_is_gone(tiny, home, whatever):
    model = home / "mine.gguf"
    model.write_bytes(tiny("llama").read_bytes())
    found = tuning.tune(model, lossy=True)
    model.unlink()
    assert [undone.use for undone in forget(model)] == [found.use]
    assert not found.use.exists()


def test_the_settings_of_a_copy_that_is_gone_are_not_used(tiny, whatever):
    tuning.tune(tiny("llama"), lossy=True).use.unlink()
    assert tuned(tiny("llama"), EngineSettings()) == (tiny("llama"), EngineSettings())


def test_a_model_among_the_copies_is_not_removed(tiny):
    copies().mkdir(parents=True)
    model = copies() / "mine.gguf"
    model.write_bytes(tiny("llama").read_bytes())
    keep(model, Finding(use=model, settings={"threads": 1}))
    assert forget(model)
    assert model.exists()


def test_a_model_whose_path_goes_on_with_another_keeps_its_finding(tiny, home):
    first, second = home / "a.gguf", home / "a.gguf#b.gguf"
    for model in (first, second):
        model.write_bytes(tiny("llama").read_bytes())
        keep(model, Finding(use=model, settings={"threads": 1}))
    forget(first)
    assert finding(first) is None
    assert finding(second) is not None


def test_only_copies_of_its_own_are_removed(tiny, home):
    other = home / "mine.gguf"
    other.write_bytes(b"not to be removed")
    keep(tiny("llama"), Finding(use=other))
    assert forget(tiny("llama"))
    assert other.exists()


def test_a_setting_that_is_given_outweighs_what_was_found(tiny, monkeypatch):
    monkeypatch.setattr(tuning, "WORTH_IT", 0.0)
    monkeypatch.setattr(tuning, "available_threads", lambda: 2)  # so that one thread is tried
    found = tuning.tune(tiny("llama"))
    assert {"flash_attention", "threads"} <= found.settings.keys()
    assert found.settings["flash_attention"] == "off"
    _, settings = tuned(tiny("llama"), EngineSettings(flash_attention="on", context=77))
    assert (settings.flash_attention, settings.context) == ("on", 77)
    assert settings.threads == found.settings["threads"]  # what isn't given is as it was found


def test_a_quantization_that_changes_the_model_is_not_chosen_unasked(tiny, monkeypatch):
    monkeypatch.setattr(tuning, "WORTH_IT", 0.0)
    monkeypatch.setattr(tuning, "LOSSLESS", -1.0)  # none is good enough
    assert tuning.tune(tiny("llama")).use == tiny("llama")


@pytest.mark.parametrize(
    ("copy", "lossy", "used"),
    [
        (math.nan, False, False),
        (math.nan, True, False),
        (math.inf, True, False),
        (20.0, False, False),
        (20.0, True, True),
        (30.1, False, True),
        (29.9, False, True),
    ],
)
def test_a_copy_whose_perplexity_is_another_is_used_only_if_asked(
    tiny, monkeypatch, copy, lossy, used
):
    monkeypatch.setattr(tuning, "WORTH_IT", 0.0)
    perplexities = iter([30.0])
    monkeypatch.setattr(tuning, "perplexity", lambda _: next(perplexities, copy))
    assert (tuning.tune(tiny("llama"), lossy=lossy).use != tiny("llama")) == used


def test_a_copy_that_cannot_be_made_is_not_used(tiny, monkeypatch):
    def refuse(*_):
        raise ModelError("llama.cpp can't")

    monkeypatch.setattr(tuning, "quantize", refuse)
    found = tuning.tune(tiny("llama"))
    assert found.use == tiny("llama")
    assert "Q8_0: not used; llama.cpp can't" in {trial.name for trial in found.trials}


@pytest.mark.parametrize(("load", "busy"), [(20, False), (40, True)])
def test_the_load_is_of_all_cores_whatever_the_quota(monkeypatch, load, busy):
    monkeypatch.setattr(tuning.os, "getloadavg", lambda: (load, 0, 0))
    monkeypatch.setattr(tuning.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(tuning, "available_threads", lambda: 4)
    assert _busy() is busy


def test_a_loss_of_perplexity_from_31_5_to_32_is_one():
    assert 31.5 * (1 + tuning.LOSSLESS) < 32.0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"x": 1}', "\x00"])
def test_a_broken_file_of_findings_is_as_none(tiny, text):
    config_file().parent.mkdir(parents=True)
    config_file().write_text(text)
    settings = EngineSettings(context=99)
    assert tuned(tiny("llama"), settings) == (tiny("llama"), settings)


def test_a_folder_that_cannot_be_written_is_an_error(tiny, home):
    (home / "config").write_text("a file where the folder should be")
    with pytest.raises(ModelError, match="can't be written"):
        tuning.tune(tiny("llama"))
