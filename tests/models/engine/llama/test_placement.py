"""How many layers and cells fit: by simulated devices, and against what llama.cpp allocates."""

import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.models.engine.llama import devices as device_module
from thinkgraph.models.engine.llama import native
from thinkgraph.models.engine.llama.devices import Device, devices
from thinkgraph.models.engine.llama.gguf_file import GgufHeader, check_model
from thinkgraph.models.engine.llama.placement import MARGIN, _Model, place
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.errors import ModelError

GIB, MIB = 1 << 30, 1 << 20
LAYERS, WEIGHTS, EXPERTS = 32, 140 * MIB, 300 * MIB
CPU = Device("CPU", 64 * GIB, 64 * GIB, is_gpu=False)


def header(*, experts=0, trained=131072, tied=False):
    """A model as large as Llama 3.1 8B in Q4_K_M, or with experts in every layer."""
    about = {
        "block_count": LAYERS,
        "context_length": trained,
        "embedding_length": 4096,
        "feed_forward_length": 14336,
        "attention.head_count": 32,
        "attention.head_count_kv": 8,
        "vocab_size": 128256,
    }
    weights = {"token_embd.weight": 280 * MIB, "output_norm.weight": 16384}
    if not tied:
        weights["output.weight"] = 410 * MIB
    for layer in range(LAYERS):
        weights[f"blk.{layer}.ffn_up.weight"] = WEIGHTS
        if experts:
            weights[f"blk.{layer}.ffn_up_exps.weight"] = experts
    metadata = {"general.architecture": "llama"} | {f"llama.{k}": v for k, v in about.items()}
    return GgufHeader(None, 3, metadata, len(weights), 0, weights)


def gpus(*free):
    return [Device(f"CUDA{n}", int(f * GIB), int(f * GIB)) for n, f in enumerate(free)]


def placed(*free, model=None, **settings):
    return place(model or header(), EngineSettings(**settings), [*gpus(*free), CPU])


def test_all_layers_fit_on_a_large_gpu_and_the_cache_takes_what_is_left():
    found = placed(24)
    assert (found.gpu_layers, found.layers) == (33, 33)
    used = sum((found.weights[0], found.cache[0]))
    assert 20 * GIB < used <= 24 * GIB - MARGIN
    assert found.context == 131072 < found.cells  # what it was trained on
    assert str(found).startswith("33 of 33 layers on CUDA0")


def test_a_cache_is_no_longer_than_all_sequences_can_use():
    found = placed(80, model=header(trained=8192), sequences=4)
    assert (found.cells, found.context) == (4 * 8192, 8192)


def test_an_integrated_gpu_is_used_and_its_memory_counted_once():
    memory = CPU._replace(free=16 * GIB)
    gpu = Device("Vulkan0", 16 * GIB, 64 * GIB, shares_memory=True)
    found = place(header(), EngineSettings(), [gpu, memory])
    assert (found.gpu_layers, found.gpus, found.shared) == (33, ("Vulkan0",), True)
    half = (16 * GIB - sum(found.weights)) / 2
    assert half / 2 < sum(found.cache) <= half  # the other half is for other programs
    assert place(header(), EngineSettings(), [gpu, gpu, memory]).cache == found.cache
    assert place(header(trained=8192), EngineSettings(), [gpu, memory]).cells == 8192


@pytest.mark.parametrize("devices", [[CPU], [*gpus(24), CPU]])
def test_layers_that_are_set_are_refused_without_a_gpu(devices):
    split = "0,1" if len(devices) > 1 else ""
    with pytest.raises(ModelError, match="gpu_layers is 99, and there is no GPU"):
        place(header(), EngineSettings(gpu_layers=99, tensor_split=split or ()), devices)


class Ggml:
    """What ggml tells of devices that aren't there: each a type and a backend."""

    def __init__(self, *kinds):
        self.kinds = [(0, 0), *kinds]

    def __getattr__(self, name):
        return {
            "count": lambda: len(self.kinds),
            "get": lambda index: index,
            "by_type": lambda _: 0,
            "type": lambda device: self.kinds[device][0],
            "backend_reg": lambda device: self.kinds[device][1],
            "name": lambda device: f"device{device}".encode(),
            "memory": self.memory,
        }[name.removeprefix("ggml_backend_dev_")]

    def memory(self, device, free, total):
        free._obj.value = total._obj.value = 24 * GIB


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        ([], []),
        ([(1, 1), (2, 2), (1, 1)], [("device1", 24 * GIB, False), ("device3", 24 * GIB, False)]),
        ([(2, 1)], [("device1", 4 * GIB, True)]),
        ([(3, 3), (2, 1), (2, 1)], [("device2", 4 * GIB, True), ("device3", 4 * GIB, True)]),
        ([(2, 1), (2, 2)], [("device1", 4 * GIB, True)]),  # the same, by a second backend
    ],
)
def test_an_integrated_gpu_counts_where_there_is_no_other(monkeypatch, kinds, found):
    monkeypatch.setattr(device_module, "_ggml", lambda: Ggml(*kinds))
    monkeypatch.setattr(device_module, "available_memory", lambda: 4 * GIB)
    *gpu, cpu = devices()
    assert [(device.name, device.free, device.shares_memory) for device in gpu] == found
    assert (cpu.name, cpu.free, cpu.is_gpu) == ("device0", 4 * GIB, False)


def recurrent(**about):
    """A header as large as Mamba 2.8B's."""
    about = {
        "block_count": 64,
        "context_length": 1 << 20,
        "embedding_length": 2560,
        "feed_forward_length": 0,
        "attention.head_count": 0,
        "ssm.conv_kernel": 4,
        "ssm.inner_size": 5120,
        "ssm.state_size": 16,
        "vocab_size": 50280,
    } | about
    weights = {"token_embd.weight": 250 * MIB}
    weights |= {f"blk.{layer}.ssm_in.weight": 80 * MIB for layer in range(64)}
    metadata = {"general.architecture": "mamba"} | {f"mamba.{k}": v for k, v in about.items()}
    return GgufHeader(None, 3, metadata, len(weights), 0, weights)


@pytest.mark.parametrize("heads", [0, 40])
@pytest.mark.parametrize("free", [[], gpus(8)])
def test_a_recurrent_model_has_a_state_and_no_cache(heads, free):
    model = recurrent(**{"attention.head_count": heads})
    found = place(model, EngineSettings(), [*free, CPU._replace(free=16 * GIB)])
    assert (found.context, found.cells) == (1 << 20, 16 << 20)
    state = 64 * 16 * 4 * (3 * 5120 + 5120 * 16)
    assert (found.cache, found.state) == ((0, 0), (state, 0) if free else (0, state))
    assert "recurrent state 380 MiB, context 1,048,576 tokens" in str(found)


def test_the_state_of_many_sequences_costs_layers():
    assert placed(8, model=recurrent()).gpu_layers == 65
    assert placed(8, model=recurrent(), sequences=256).gpu_layers < 65


def test_as_many_layers_as_fit_on_a_small_gpu():
    found = placed(4)
    assert 10 < found.gpu_layers < 33
    assert found.cells >= 4096
    one_more = _Model(header(), EngineSettings()).gpu_bytes(found.gpu_layers + 1, 0, 4096)
    assert one_more > 4 * GIB - MARGIN


def test_a_long_context_that_is_set_costs_layers():
    assert placed(8, context=65536).gpu_layers < placed(8).gpu_layers == 33


def test_a_smaller_type_of_cache_holds_more():
    half = placed(16)
    eighth = placed(16, type_k="q8_0", type_v="q8_0", sequences=64)
    assert eighth.cells > 1.7 * half.cells


def test_nothing_fits_on_a_gpu_without_room():
    found = placed(1)
    assert (found.gpu_layers, found.gpus) == (0, ())
    assert str(found).startswith("all 33 layers on the CPU")


def test_two_gpus_are_one_of_both_sizes():
    found = placed(4, 4)
    assert placed(4).gpu_layers < found.gpu_layers == 33
    assert found.gpus == ("CUDA0", "CUDA1")


def test_a_split_is_limited_by_the_gpu_that_is_full_first():
    assert placed(4, 4, tensor_split=(9, 1)).gpu_layers < placed(4, 4).gpu_layers
    assert placed(4, 24, tensor_split="0,1").gpus == ("CUDA1",)


def test_one_gpu_is_used_if_nothing_is_split():
    found = placed(4, 24, split_mode="none", main_gpu=1)
    assert (found.gpu_layers, found.gpus) == (33, ("CUDA1",))
    with pytest.raises(ModelError, match="main_gpu is 2"):
        placed(4, 24, split_mode="none", main_gpu=2)


def test_experts_stay_with_the_cpu_before_layers_do():
    found = placed(12, model=header(experts=EXPERTS))
    assert found.gpu_layers == 33
    assert 0 < found.cpu_experts < LAYERS
    assert "the experts of" in str(found)
    assert placed(40, model=header(experts=EXPERTS)).cpu_experts == 0
    assert placed(40, model=header(experts=EXPERTS), cpu_experts=5).cpu_experts == 5


def test_what_is_set_is_kept():
    found = placed(4, gpu_layers=99, kv_cells=1000, context=500)
    assert (found.gpu_layers, found.cells, found.context) == (33, 1024, 500)
    assert placed(24, gpu_layers=0).gpu_layers == 0


def test_a_cpu_keeps_half_of_its_memory_for_others():
    small = CPU._replace(free=8 * GIB)
    found = place(header(), EngineSettings(), [small])
    assert found.cache[1] <= (8 * GIB - found.weights[1]) / 2 + 64 * MIB
    assert found.context == found.cells
    assert place(header(trained=8192), EngineSettings(), [CPU]).context == 8192


@given(
    free=st.lists(st.floats(0, 100), max_size=3),
    experts=st.sampled_from([0, EXPERTS]),
    tied=st.booleans(),
    context=st.none() | st.integers(8, 50_000),
    kv=st.sampled_from(["f16", "q8_0", "q4_0"]),
)
def test_what_is_worked_out_fits(free, experts, tied, context, kv):
    model = header(experts=experts, tied=tied)
    settings = EngineSettings(context=context, type_k=kv, type_v=kv)
    found = place(model, settings, [*gpus(*free), CPU])
    room = sum(max(0, gpu.free - MARGIN) for gpu in gpus(*free))
    needed = _Model(model, settings).gpu_bytes(found.gpu_layers, found.cpu_experts, found.cells)
    assert needed <= room + 256 * _Model(model, settings).mask * 100
    assert found.cells >= found.context >= min(context or 4096, 4096)
    assert sum(found.weights) >= sum(model.weights.values())


def told(caplog, kind):
    """MiB of a kind of buffer on all devices together, as llama.cpp logs them."""
    found = re.findall(rf"(\S+) {kind} buffer size = +([\d.]+) MiB", caplog.text)
    return sum(map(float, dict(found).values()))  # a line may be logged twice


@pytest.mark.parametrize("kind", ["f16", "q8_0", "q4_0"])
def test_a_cache_takes_what_was_worked_out(smollm2_path, caplog, monkeypatch, kind):
    monkeypatch.setattr(logging.getLogger("thinkgraph.llama_cpp"), "propagate", True)
    monkeypatch.setattr(native, "amx_works", lambda: False)  # copies are in addition to the file
    caplog.set_level(logging.DEBUG, "thinkgraph.llama_cpp")
    opened = native.NativeModel(smollm2_path, EngineSettings(type_k=kind, type_v=kind))
    try:
        placement = opened.placement
        assert told(caplog, "KV") == pytest.approx(sum(placement.cache) / MIB, abs=0.05)
        assert told(caplog, "model") == pytest.approx(sum(placement.weights) / MIB, rel=0.01)
        assert opened.settings.context == 8192  # what it was trained on
    finally:
        opened.close()


@pytest.mark.parametrize("architecture", ["mamba", "jamba"])
def test_a_state_takes_what_was_worked_out(tiny, caplog, monkeypatch, architecture):
    monkeypatch.setattr(logging.getLogger("thinkgraph.llama_cpp"), "propagate", True)
    monkeypatch.setattr(native, "amx_works", lambda: False)  # copies are in addition to the file
    caplog.set_level(logging.DEBUG, "thinkgraph.llama_cpp")
    opened = native.NativeModel(tiny(architecture), EngineSettings())
    try:
        placement = opened.placement
        assert told(caplog, "KV") == pytest.approx(sum(placement.cache) / MIB, abs=0.02)
        assert told(caplog, "RS") == pytest.approx(sum(placement.state) / MIB, abs=0.02)
        assert opened.settings.context == 2048
    finally:
        opened.close()


@pytest.mark.parametrize("number", [-1, 0, 2**63])
def test_a_header_without_layers_is_placed(number):
    strange = header()
    strange.metadata["llama.block_count"] = number
    assert place(strange, EngineSettings(), [*gpus(24), CPU]).layers >= 1


def test_llama_cpp_is_given_what_was_worked_out(tiny, monkeypatch):
    """With a GPU that isn't there, which llama.cpp then does without."""
    monkeypatch.setattr(native, "devices", lambda: [*gpus(24), CPU])
    given, load = [], native.llama.llama_model_load_from_file
    monkeypatch.setattr(
        native.llama,
        "llama_model_load_from_file",
        lambda path, params: given.append(params.n_gpu_layers) or load(path, params),
    )
    native.NativeModel(tiny("llama"), EngineSettings()).close()
    native.NativeModel(tiny("llama"), EngineSettings(gpu_layers=1)).close()
    native.NativeModel(tiny("llama"), EngineSettings(cpu_experts=2)).close()
    assert given == [3, 1, 3]


def test_a_cache_that_memory_cannot_hold_is_refused(smollm2_path):
    """Linux would promise the memory, and kill the process that uses it."""
    with pytest.raises(ModelError, match="GiB of memory, and"):
        native.NativeModel(smollm2_path, EngineSettings(kv_cells=400_000_000, gpu_layers=0))


@pytest.mark.parametrize(("spare", "copied"), [(64 * 2**20, True), (-1, False)])
def test_weights_are_copied_for_matrix_instructions_only_if_memory_holds_them(
    smollm2_path, monkeypatch, spare, copied
):
    loaded = []
    load = native.llama.llama_model_load_from_file
    held = native.NativeModel(smollm2_path, EngineSettings(kv_cells=256))
    held.close()
    weights, cache = held.placement.weights[1], held.placement.cache[1]
    free = weights + cache + held.placement.state[1] + spare
    here = [Device("CPU", free, free, is_gpu=False)]
    monkeypatch.setattr(native, "devices", lambda: here)
    monkeypatch.setattr(
        native.llama,
        "llama_model_load_from_file",
        lambda path, params: (loaded.append(params.use_extra_bufts), load(path, params))[1],
    )
    native.NativeModel(smollm2_path, EngineSettings(kv_cells=256)).close()
    assert loaded == [copied]


@pytest.mark.parametrize("settings", [{"mmap": False}, {"mlock": True}])
def test_weights_that_stay_in_memory_count(smollm2_path, monkeypatch, settings):
    memory = CPU._replace(free=80 * MIB)  # for 92 MiB of weights and a small cache
    monkeypatch.setattr(native, "devices", lambda: [memory])
    small = {"kv_cells": 256, "context": 256}
    native.NativeModel(smollm2_path, EngineSettings(**small)).close()
    with pytest.raises(ModelError, match="the weights and a KV cache of 256 cells take"):
        native.NativeModel(smollm2_path, EngineSettings(**small, **settings))


def test_an_integrated_gpu_takes_the_memory_too(smollm2_path, monkeypatch):
    gpu = Device("Vulkan0", 80 * MIB, GIB, shares_memory=True)
    monkeypatch.setattr(native, "devices", lambda: [gpu, CPU._replace(free=80 * MIB)])
    with pytest.raises(ModelError, match=r"the weights and a KV .* set fewer gpu_layers"):
        native.NativeModel(smollm2_path, EngineSettings(gpu_layers=99, context=256))


def test_this_machine_has_memory():
    assert devices()[-1].name == "CPU"
    assert 0 < devices()[-1].free <= devices()[-1].total


@pytest.mark.parametrize(
    "settings",
    [
        {"mmap": False},
        {"mmap": True},
        {"mlock": True},
        {"rope_scaling": "yarn", "rope_freq_scale": 0.5, "yarn_orig_ctx": 2048, "context": 4000},
        {"rope_scaling": "linear", "rope_freq_base": 20000},
        {"split_mode": "row", "tensor_split": "1,2", "main_gpu": 1},
    ],
)
def test_what_a_large_model_needs_is_taken_by_a_small_one(opened, settings):
    if settings.get("split_mode") == "row" and any(each.is_gpu for each in devices()):
        pytest.skip("llama.cpp refuses rows on some GPUs")
    assert opened("llama", **settings).context_length == settings.get("context", 2048)


def test_a_header_tells_what_its_weights_take(smollm2_path):
    found = check_model(smollm2_path)
    assert sum(found.weights.values()) == pytest.approx(found.size, rel=0.05)
