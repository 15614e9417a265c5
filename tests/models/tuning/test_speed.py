"""Speeds that were measured, and which engine each is of."""

from types import SimpleNamespace

import pytest

from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.tuning import speed as speeds


@pytest.fixture
def measured(tiny, tmp_path, monkeypatch):
    """The speed with some settings, and how often one has been measured."""
    count = []

    def measure(engine):
        count.append(engine)
        sequences = engine.settings.sequences
        return speeds.Speed(prefill=1, alone=1, many=1, sequences=sequences, measured="2026-01-01")

    def ask(**settings):
        native = SimpleNamespace(header=SimpleNamespace(path=tiny("llama")))
        engine = SimpleNamespace(native=native, settings=EngineSettings(**settings))
        return speeds.speed(engine, tmp_path / "speed.json"), len(count)

    monkeypatch.setattr(speeds, "measured", measure)
    return ask


@pytest.mark.parametrize(
    "change", [{"sequences": 4}, {"micro_batch": 64}, {"threads": 1}, {"type_k": "q8_0"}]
)
def test_a_speed_is_of_the_settings_that_change_it(measured, change):
    assert measured() == measured()
    found, count = measured(**change)
    assert (found.sequences, count) == (change.get("sequences", 64), 2)
    assert measured() == (measured()[0], 2)


def test_a_speed_is_known_however_much_memory_is_free(measured):
    assert measured(context=256, kv_cells=512) == measured(context=512, kv_cells=8192)
