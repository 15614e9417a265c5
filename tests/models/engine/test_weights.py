"""Where the weights are: by the settings, by the memory there is, and with the same text."""

import sys
from pathlib import Path

import pytest

from thinkgraph.models.engine import weights
from thinkgraph.models.engine.engine import Engine
from thinkgraph.models.engine.gguf_file import check_gguf
from thinkgraph.models.engine.sequence import Request
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.model import Sampling

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def completed(path, **settings):
    engine = Engine(path, EngineSettings(gpu_layers=0, **settings))
    try:
        request = Request([5, 6, 7], Sampling(temperature=0, max_tokens=24, ignore_eos=True), [0])
        engine.submit(request)
        request.done.result()
        return engine.settings.weights, request.sequences[0].tokens
    finally:
        engine.close()


def test_loaded_weights_give_the_text_of_mapped_ones(tiny):
    mapped, loaded = (completed(tiny("llama"), weights=w) for w in ("mapped", "loaded"))
    assert (mapped[0], loaded[0]) == ("mapped", "loaded")
    assert mapped[1] == loaded[1]


@linux
@pytest.mark.parametrize("given", ["mapped", "loaded"])
def test_only_mapped_weights_are_pages_of_the_file(tiny, given, tmp_path):
    own = tmp_path / "own.gguf"
    own.write_bytes(tiny("llama").read_bytes())
    engine = Engine(own, EngineSettings(gpu_layers=0, weights=given))
    try:
        assert (str(own) in Path("/proc/self/maps").read_text()) == (given == "mapped")
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("times", "where"), [(weights.SHARE, "loaded"), (1, "mapped"), (0, "mapped")]
)
def test_unasked_weights_are_loaded_where_memory_is_ample(tiny, monkeypatch, times, where):
    header = check_gguf(tiny("llama"))
    monkeypatch.setattr(weights, "available_memory", lambda: times * header.size)
    assert weights.place(header, EngineSettings(gpu_layers=0)) == where


def test_all_files_of_a_split_model_count(tiny, monkeypatch):
    header = check_gguf(tiny("llama"))
    monkeypatch.setattr(weights, "available_memory", lambda: weights.SHARE * header.size)
    parted = header._replace(metadata=header.metadata | {"split.count": 2})
    assert weights.place(parted, EngineSettings(gpu_layers=0)) == "mapped"


def test_weights_for_a_gpu_are_mapped(tiny, monkeypatch):
    monkeypatch.setattr(weights.llama, "llama_supports_gpu_offload", lambda: True)
    header = check_gguf(tiny("llama"))
    assert weights.place(header, EngineSettings()) == "mapped"
    assert weights.place(header, EngineSettings(gpu_layers=0, weights="loaded")) == "loaded"


@linux
def test_a_containers_limit_bounds_the_memory_available(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(weights, "_LIMITS", (tmp_path / "none", limit))
    limit.write_text("max\n")
    assert weights.available_memory() > 1 << 20
    limit.write_text("1048576\n")
    assert weights.available_memory() == 1 << 20
