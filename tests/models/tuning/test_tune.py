"""Tuning: what it tries, what it keeps, and that the next opening picks it up."""

import pytest

from thinkgraph.models.backends.local import open_model
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.errors import ModelError
from thinkgraph.models.tuning import tune as tuning


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "ROUNDS", 1)
    short = tuning.SAMPLING.model_copy(update={"max_tokens": 4})
    monkeypatch.setattr(tuning, "SAMPLING", short)
    return tmp_path


def test_what_was_found_is_used_by_the_next_opening(tiny, monkeypatch):
    monkeypatch.setattr(tuning, "WORTH_IT", 0.0)  # whatever is tried last is kept
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


def test_a_setting_that_is_given_outweighs_what_was_found(tiny, monkeypatch):
    monkeypatch.setattr(tuning, "WORTH_IT", 0.0)
    monkeypatch.setattr(tuning, "available_threads", lambda: 2)  # so that one thread is tried
    found = tuning.tune(tiny("llama"))
    assert {"flash_attention", "threads"} <= found.settings.keys()
    assert found.settings["flash_attention"] == "off"
    _, settings = tuning.tuned(tiny("llama"), EngineSettings(flash_attention="on", context=77))
    assert (settings.flash_attention, settings.context) == ("on", 77)
    assert settings.threads == found.settings["threads"]  # what isn't given is as it was found


def test_a_quantization_that_changes_the_model_is_not_chosen_unasked(tiny, monkeypatch):
    monkeypatch.setattr(tuning, "WORTH_IT", 0.0)
    monkeypatch.setattr(tuning, "LOSSLESS", -1.0)  # none is good enough
    assert tuning.tune(tiny("llama")).use == tiny("llama")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"x": 1}', "\x00"])
def test_a_broken_file_of_findings_is_as_none(tiny, text):
    tuning.config_file().parent.mkdir(parents=True)
    tuning.config_file().write_text(text)
    settings = EngineSettings(context=99)
    assert tuning.tuned(tiny("llama"), settings) == (tiny("llama"), settings)


def test_a_folder_that_cannot_be_written_is_an_error(tiny, home):
    (home / "config").write_text("a file where the folder should be")
    with pytest.raises(ModelError, match="can't be written"):
        tuning.tune(tiny("llama"))
