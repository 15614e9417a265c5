"""Placement of a model: how many layers fit on the GPUs, and how large a KV cache beside them.

llama.cpp fits models to the available memory in its own programs, but not in its library. This
module does the same from the file's header: it sums up the sizes of each layer's weights and KV
cells. The memory of the computation is estimated, and 1 GiB of each GPU is left free, as in
llama.cpp. An integrated GPU uses the CPU's memory, which is counted once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from thinkgraph.models.cached_property import cached_property
from thinkgraph.models.engine.llama.devices import Device
from thinkgraph.models.engine.llama.gguf_file import GgufHeader
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.errors import ModelError

MARGIN = 1 << 30  # bytes of a GPU that stay free
LEAST_CONTEXT = 4096  # tokens for which room is made before another layer goes on the GPU
KV_BYTES = 256 << 20  # what the KV cache may take on a CPU, whatever the context
BLOCK = 256  # llama.cpp pads the cells of a cache to this
MOST_CELLS = 2**31 - BLOCK  # llama.cpp's positions have 32 bits
RECURRENT_SEQUENCES = 16  # default limit: each sequence has its whole state in memory

_CELL_BYTES = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
_LAYER = re.compile(r"blk\.(\d{1,9})\.")
_EXPERTS = re.compile(r"\.ffn_(up|down|gate|gate_up)_(ch)?exps\.")
_RECURRENT = re.compile(r"blk\.\d+\.(ssm_|time_mix_|shortconv\.)")
_KEYS = re.compile(r"blk\.\d+\.attn_k\.")
EXPERTS_OF_LAYER = r"blk\.{}\.ffn_(up|down|gate|gate_up)_(ch|)exps"
"""Pattern of the names of a layer's experts, for llama.cpp's tensor overrides."""


@dataclass(frozen=True)
class Placement:
    """The placement of a model on the GPUs and in the CPU's memory.

    Attributes:
        layers: number of layers of the model, including the output layer.
        gpu_layers: number of layers on the GPUs.
        cpu_experts: number of layers, from the first, whose experts stay in the CPU's memory even
            if the layers are on the GPUs.
        cells: number of cells of the KV cache.
        context: maximum number of tokens of a prompt and its completion together.
        weights: bytes of weights on the GPUs, and in the CPU's memory.
        cache: bytes of the KV cache on the GPUs, and in the CPU's memory.
        state: bytes of the state of recurrent layers, likewise.
        gpus: names of the GPUs used.
        shared: whether these GPUs are integrated, so that their memory is the CPU's.
    """

    layers: int
    gpu_layers: int
    cpu_experts: int
    cells: int
    context: int
    weights: tuple[int, int]
    cache: tuple[int, int]
    state: tuple[int, int]
    gpus: tuple[str, ...]
    shared: bool

    def __str__(self) -> str:
        where = "the CPU"
        if self.gpu_layers:
            used = self.weights[0] + self.cache[0] + self.state[0]
            where = f"{' and '.join(self.gpus)} ({_size(used)})"
        fits = f"{self.gpu_layers} of {self.layers} layers on {where}"
        if not self.gpu_layers:
            fits = f"all {self.layers} layers on {where}"
        elif self.cpu_experts:
            fits += f", the experts of {self.cpu_experts} layers in the CPU's memory"
        parts = [f"weights {_size(sum(self.weights))}"]
        if any(self.cache):
            parts.append(f"KV cache {_size(sum(self.cache))} of {self.cells:,} cells")
        if any(self.state):
            parts.append(f"recurrent state {_size(sum(self.state))}")
        return f"{fits}; {', '.join(parts)}, context {self.context:,} tokens"


def place(header: GgufHeader, settings: EngineSettings, devices: Sequence[Device]) -> Placement:
    """Find the most layers that fit on the GPUs, and the KV cache that fits beside them.

    Explicit settings are kept, whether they fit or not. The others follow from the free memory: as
    many layers are put on the GPUs as leave room for a context of :data:`LEAST_CONTEXT` tokens, or
    for the one that is set, and the cache takes the rest, up to the trained context of every
    sequence. In the CPU's memory, which other programs need too, it takes one trained context or
    half of the free memory, whichever is less, but at least :data:`KV_BYTES`.

    Raises:
        ModelError: the settings require a GPU that doesn't exist.
    """
    model = _Model(header, settings)
    gpus = _used(devices, settings)
    trained = model.trained or LEAST_CONTEXT
    wanted = settings.kv_cells or settings.context or min(trained, LEAST_CONTEXT)
    experts = settings.cpu_experts
    if not gpus:
        if settings.gpu_layers > 0:
            raise ModelError(
                f"gpu_layers is {settings.gpu_layers}, and there is no GPU for them; "
                "leave it out, or install a llama-cpp-python that is built for this machine's GPU"
            )
        layers, experts = 0, 0
    elif settings.gpu_layers >= 0:
        layers, experts = min(settings.gpu_layers, model.layers), experts or 0
    else:
        room = _room(gpus, settings)
        layers, experts = _most_layers(model, room, wanted)
    cells = settings.kv_cells or _cells(model, layers, experts, devices)
    context = settings.context or min(trained, cells)
    cells = -(-max(cells, context) // BLOCK) * BLOCK
    return Placement(
        layers=model.layers,
        gpu_layers=layers,
        cpu_experts=experts,
        cells=cells,
        context=context,
        weights=(
            model.gpu_weights(layers, experts),
            model.cpu_weights(layers, experts),
        ),
        cache=(
            int(model.gpu_cell(layers) * cells),
            int((model.gpu_cell(model.layers) - model.gpu_cell(layers)) * cells),
        ),
        state=(
            model.gpu_state(layers),
            model.gpu_state(model.layers) - model.gpu_state(layers),
        ),
        gpus=tuple(gpu.name for gpu in gpus) if layers else (),
        shared=bool(layers) and _shared(gpus),
    )


class _Model:
    """The sizes of a model's parts."""

    def __init__(self, header: GgufHeader, settings: EngineSettings) -> None:
        self.header, self.settings = header, settings
        # Each layer has at least one tensor: no number in a file is trusted.
        self.blocks = max(0, min(self._number("block_count", 1), header.tensors))
        self.layers = self.blocks + 1  # with the output layer
        self.trained = self._number("context_length", 0)
        self.vocabulary = self._number("vocab_size", 0)
        self.width = self._number("embedding_length", 1)
        self.dense, self.experts = [0] * self.blocks, [0] * self.blocks
        self.recurrent: set[int] = set()  # layers that have a state
        self.keyed: set[int] = set()  # layers that certainly have a KV cache
        rest: dict[str, int] = {}
        for name, size in header.weights.items():
            found = _LAYER.match(name)
            if not found or int(found[1]) >= self.blocks:
                rest[name] = size
                continue
            layer = int(found[1])
            (self.experts if _EXPERTS.search(name) else self.dense)[layer] += size
            if _RECURRENT.match(name):
                self.recurrent.add(layer)
            elif _KEYS.match(name):
                self.keyed.add(layer)
        embedding = rest.get("token_embd.weight", 0)  # always in the CPU's memory
        # A model whose output layer is its embedding has it in both memories.
        self.copied = 0 if "output.weight" in rest else embedding
        self.output = sum(rest.values()) - embedding + self.copied
        self.weights = sum(header.weights.values())
        self.sequences = settings.sequences
        if self.recurrent and "sequences" not in settings.model_fields_set:
            self.sequences = min(settings.sequences, RECURRENT_SEQUENCES)

    @cached_property
    def cell_bytes(self) -> list[float]:
        """Bytes of one cell of the KV cache in each layer; 0 in a recurrent layer."""
        heads = self._per_layer("attention.head_count", 1)
        pairs = self._per_layer("attention.head_count_kv", 0) if self._has_kv_heads else heads
        size = self.width // max([*heads, 1])
        keys = self._number("attention.key_length", size)
        values = self._number("attention.value_length", size)
        settings = self.settings
        each = keys * _CELL_BYTES[settings.type_k] + values * _CELL_BYTES[settings.type_v]
        without = self.recurrent - self.keyed  # Falcon-H1 has both in every layer
        return [0.0 if layer in without else count * each for layer, count in enumerate(pairs)]

    @cached_property
    def state_bytes(self) -> list[int]:
        """Bytes of the state of all sequences in each layer, as 32-bit floats."""
        each = 4 * self._state() * self.sequences
        return [each if layer in self.recurrent else 0 for layer in range(self.blocks)]

    def _state(self) -> int:
        """Number of floats in a layer's state of one sequence, as llama.cpp lays it out."""
        if head := self._number("wkv.head_size", 0):  # RWKV
            return self.width * (self._number("token_shift_count", 2) + head)
        if length := self._number("shortconv.l_cache", 0):  # LFM2
            return self.width * (length - 1)
        if head := self._number("kda.head_dim", 0):  # Kimi Linear
            convolved = 3 * (self._number("ssm.conv_kernel", 4) - 1)
            return self._number("attention.head_count", 1) * head * (convolved + head)
        inner, state = self._number("ssm.inner_size", 0), self._number("ssm.state_size", 0)
        convolved = inner + 2 * self._number("ssm.group_count", 0) * state
        return max(0, self._number("ssm.conv_kernel", 1) - 1) * convolved + inner * state

    def gpu_weights(self, layers: int, experts: int) -> int:
        """Bytes of the last ``layers``, without the experts of the first ``experts`` layers."""
        if not layers:
            return 0
        first = self.layers - layers
        dense = sum(self.dense[first:])
        return dense + sum(self.experts[max(first, experts) :]) + self.output

    def cpu_weights(self, layers: int, experts: int) -> int:
        """Bytes of the weights that are not on the GPUs."""
        return self.weights - self.gpu_weights(layers, experts) + (self.copied if layers else 0)

    def gpu_cell(self, layers: int) -> float:
        """Bytes of one cell in the last ``layers``, of which the output layer has none."""
        return sum(self.cell_bytes[self.layers - layers :]) if layers else 0.0

    def gpu_state(self, layers: int) -> int:
        """Bytes of recurrent state in the last ``layers``."""
        return sum(self.state_bytes[self.layers - layers :]) if layers else 0

    def gpu_bytes(self, layers: int, experts: int, cells: int) -> float:
        """Total bytes on the GPUs."""
        if not layers:
            return 0.0
        cell = self.gpu_cell(layers) + self.mask
        fixed = self.gpu_weights(layers, experts) + self.gpu_state(layers) + self.compute
        return fixed + cells * cell

    @property
    def mask(self) -> float:
        """Bytes per cell in a step for the attention mask and, without flash attention, scores."""
        if not any(self.cell_bytes):
            return 0.0
        tokens = min(self.settings.micro_batch, self.settings.batch)
        without_flash = self._number("attention.head_count", 1) * 4
        return tokens * (2 if self.settings.flash_attention != "off" else 4 + without_flash)

    @property
    def compute(self) -> int:
        """Rough estimate of the bytes of a step's activations and logits."""
        settings = self.settings
        tokens = min(settings.micro_batch, settings.batch)
        rows = min(tokens, self.sequences + 64)
        wide = max(self._number("feed_forward_length", 0), 4 * self.width)
        return 4 * (rows * self.vocabulary + tokens * (2 * wide + 4 * self.width))

    @property
    def _has_kv_heads(self) -> bool:
        return self.header.about("attention.head_count_kv") is not None

    def _number(self, key: str, default: int) -> int:
        value = self.header.about(key)
        if isinstance(value, list):
            return max(value, default=default)
        return value if isinstance(value, int) else default

    def _per_layer(self, key: str, default: int) -> list[int]:
        value = self.header.about(key)
        if isinstance(value, list) and len(value) >= self.blocks:
            return value[: self.blocks]
        return [self._number(key, default)] * self.blocks


def _used(devices: Sequence[Device], settings: EngineSettings) -> list[Device]:
    """The GPUs that the settings allow the model to use."""
    gpus = [device for device in devices if device.is_gpu]
    if settings.gpu_layers == 0:
        return []
    if settings.split_mode == "none":
        if gpus and settings.main_gpu >= len(gpus):
            names = ", ".join(gpu.name for gpu in gpus)
            raise ModelError(f"main_gpu is {settings.main_gpu}, and the GPUs from 0 are {names}")
        return gpus[settings.main_gpu : settings.main_gpu + 1]
    if settings.tensor_split:
        shares = [*settings.tensor_split, *[0.0] * len(gpus)]
        return [gpu for gpu, share in zip(gpus, shares, strict=False) if share]
    return gpus


def _shared(gpus: Sequence[Device]) -> bool:
    """Whether the GPUs share one memory, which is the CPU's."""
    return any(gpu.shares_memory for gpu in gpus)


def _room(gpus: Sequence[Device], settings: EngineSettings) -> float:
    """Bytes that the model may take on all of its GPUs together."""
    free = [max(0, gpu.free - MARGIN) for gpu in gpus]
    if _shared(gpus):
        return min(free)
    shares = [share for share in settings.tensor_split if share][: len(gpus)]
    if settings.split_mode == "none" or len(shares) < len(gpus):
        return sum(free)
    return min(left * sum(shares) / share for left, share in zip(free, shares, strict=True))


def _most_layers(model: _Model, room: float, cells: int) -> tuple[int, int]:
    """The most GPU layers that leave room for ``cells``, and the layers with experts on the CPU."""
    settings = model.settings
    most = model.blocks if settings.cpu_experts is None else settings.cpu_experts
    least = 0 if settings.cpu_experts is None else settings.cpu_experts
    if any(model.experts):
        for experts in range(least, most + 1):
            if model.gpu_bytes(model.layers, experts, cells) <= room:
                return model.layers, experts
    else:
        most = 0
    for layers in range(model.layers, 0, -1):
        if model.gpu_bytes(layers, most, cells) <= room:
            return layers, most if layers > 1 else 0
    return 0, 0


def _cells(model: _Model, layers: int, experts: int, devices: Sequence[Device]) -> int:
    """The number of KV cells that fit in the memory where their layers are."""
    settings = model.settings
    trained = model.trained or LEAST_CONTEXT
    wanted = settings.context or min(trained, LEAST_CONTEXT)
    useful = model.sequences * (settings.context or trained)
    limits = [float(min(useful, MOST_CELLS))]
    gpus = _used(devices, settings)
    gpu_cell, gpu_bytes = model.gpu_cell(layers), model.gpu_bytes(layers, experts, 0)
    if gpu_cell:
        limits.append((_room(gpus, settings) - gpu_bytes) / (gpu_cell + model.mask))
    cpu_cell, taken = model.gpu_cell(model.layers) - gpu_cell, model.cpu_weights(layers, experts)
    if layers and _shared(gpus):
        cpu_cell, taken = cpu_cell + gpu_cell, taken + int(gpu_bytes)
    if cpu_cell:
        free = sum(device.free for device in devices if not device.is_gpu)
        state = model.gpu_state(model.layers) - model.gpu_state(layers)
        half = (free - taken - state) / 2 / cpu_cell
        limits.append(max(KV_BYTES / cpu_cell, min(settings.context or trained, half)))
    return max(wanted, int(min(limits)) // BLOCK * BLOCK)


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
