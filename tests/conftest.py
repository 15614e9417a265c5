"""The real model, and tiny GGUFs of random weights written for the purpose."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import settings

from thinkgraph.models.backends.local import LocalModel, open_model
from thinkgraph.models.catalogue import find
from thinkgraph.models.engine.settings import EngineSettings

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")

EMBEDDING, HEADS, LAYERS, FEED, STATE, RANK, CONV = 64, 4, 2, 96, 8, 4, 4
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)

MODELS = {
    "adapters",
    "model",
    "opened",
    "real",
    "served",
    "smollm2",
    "smollm2_path",
    "split",
    "tiny",
}
"""Fixtures that load a model or write one."""


def pytest_configure() -> None:
    """Give each of several test processes its own cores, as an engine's threads wait actively."""
    process, count = (os.environ.get(f"PYTEST_XDIST_WORKER{n}") for n in ("", "_COUNT"))
    if process and count and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[int(process[2:]) :: int(count)] or cores)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a model, which `make quick` leaves out."""
    for item in items:
        if MODELS & set(getattr(item, "fixturenames", ())):
            item.add_marker("model")


def byte_spellings() -> list[str]:
    """How byte-level vocabularies (GPT-2's and its heirs') spell the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (chr(256 + n) for n in range(256))
    return [chr(b) if b in plain else next(others) for b in range(256)]


def shapes(architecture: str, vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Tensor shapes, rows first, of a tiny model of one of four families."""
    inner, result = 2 * EMBEDDING, {}
    result["token_embd.weight"] = (vocabulary, EMBEDDING)
    result["output_norm.weight"] = (EMBEDDING,)
    ssm = {
        "ssm_in.weight": (2 * inner, EMBEDDING),
        "ssm_conv1d.weight": (inner, CONV),
        "ssm_conv1d.bias": (inner,),
        "ssm_x.weight": (RANK + 2 * STATE, inner),
        "ssm_dt.weight": (inner, RANK),
        "ssm_dt.bias": (inner,),
        "ssm_a": (inner, STATE),
        "ssm_d": (inner,),
        "ssm_out.weight": (EMBEDDING, inner),
    }
    attention = {f"attn_{k}.weight": (EMBEDDING, EMBEDDING) for k in ("q", "k", "v", "output")}
    feed = {
        "ffn_norm.weight": (EMBEDDING,),
        "ffn_gate.weight": (FEED, EMBEDDING),
        "ffn_up.weight": (FEED, EMBEDDING),
        "ffn_down.weight": (EMBEDDING, FEED),
    }
    after = {"post_attention_norm.weight": (EMBEDDING,), "post_ffw_norm.weight": (EMBEDDING,)}
    norms = {"ssm_dt_norm.weight": (RANK,), "ssm_b_norm.weight": (STATE,)}
    norms["ssm_c_norm.weight"] = (STATE,)
    for layer in range(LAYERS):
        parts = {
            "llama": attention | feed,
            "gemma2": attention | feed | after,
            "mamba": ssm,
            "jamba": (ssm | norms if layer % 2 == 0 else attention) | feed,
        }[architecture]
        parts = {"attn_norm.weight": (EMBEDDING,)} | parts
        result |= {f"blk.{layer}.{name}": shape for name, shape in parts.items()}
    return result


WORDS = ("▁", "▁correct", "correct", "▁wrong", "wrong", "▁Verdict", "Verdict", ":", "▁Yes", "Yes")


def write_vocabulary(writer: gguf.GGUFWriter, kind: str) -> int:
    """Write one of three vocabularies; gives its size.

    ``bytes`` is a byte-level one, ``turns`` the same with turn tokens that are user-defined, and
    ``sentencepiece`` one that puts a space in front of a text.
    """
    if kind == "sentencepiece":
        letters = [chr(c) for c in range(33, 127)]
        words = [word for word in WORDS if len(word) > 1 or word == "▁"]
        # Each beginning of a word is a piece, for pieces are merged out of two.
        starts = sorted({word[:n] for word in words for n in range(2, len(word))} - {*words})
        normal = [*words, *starts, *letters]
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), *normal]
        types = gguf.TokenType
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(tokens)
        writer.add_token_scores([0.0] * 259 + [float(len(piece)) for piece in normal])
        writer.add_token_types(
            [types.UNKNOWN, types.CONTROL, types.CONTROL]
            + [types.BYTE] * 256
            + [types.NORMAL] * len(normal)
        )
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
        writer.add_add_bos_token(True)
        writer.add_add_space_prefix(True)
        return len(tokens)
    tokens = [*byte_spellings(), "<|im_start|>", "<|im_end|>", "in", "ing"]
    turn = gguf.TokenType.USER_DEFINED if kind == "turns" else gguf.TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 256 + [turn, turn, 1, 1])
    writer.add_token_merges(["i n", "in g"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(257)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    return len(tokens)


def write_model(
    path: Path,
    architecture: str = "llama",
    *,
    window: int = 32,
    vocabulary: str = "bytes",
    tensors: int = 0,
) -> Path:
    """Write a tiny random model; a seed makes it the same each time.

    With ``tensors``, it is split into files of at most so many tensors.
    """
    writer = gguf.GGUFWriter(path, architecture, split_max_tensors=tensors)
    size = write_vocabulary(writer, vocabulary)
    writer.add_context_length(2048)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(0 if architecture == "mamba" else FEED)
    writer.add_head_count(0 if architecture == "mamba" else HEADS)
    if architecture == "jamba":
        writer.add_head_count_kv([0, HEADS])
    elif architecture != "mamba":
        writer.add_head_count_kv(HEADS)
    if architecture == "gemma2":
        writer.add_key_length(EMBEDDING // HEADS)
        writer.add_value_length(EMBEDDING // HEADS)
        writer.add_sliding_window(window)
    if architecture in ("mamba", "jamba"):
        writer.add_ssm_conv_kernel(CONV)
        writer.add_ssm_inner_size(2 * EMBEDDING)
        writer.add_ssm_state_size(STATE)
        writer.add_ssm_time_step_rank(RANK)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(EMBEDDING // HEADS)
    writer.add_vocab_size(size)
    random = np.random.default_rng(7)
    for name, shape in shapes(architecture, size).items():
        scale = 0.5 if name == "token_embd.weight" else 1.5 / np.sqrt(shape[-1])
        data = random.normal(0, scale, shape).astype(np.float32)
        if name.endswith("norm.weight") or name.endswith("ssm_d"):
            data = 1 + data / 10
        elif name.endswith("ssm_a"):
            data = -np.exp(data)
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_adapter(path: Path, seed: int, rank: int = 4) -> Path:
    """Write a LoRA of the tiny llama's query and feed-forward weights."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(rank))
    random = np.random.default_rng(seed)
    for layer in range(LAYERS):
        for name, rows, columns in [("attn_q", EMBEDDING, EMBEDDING), ("ffn_up", FEED, EMBEDDING)]:
            a = random.normal(0, 0.3, (rank, columns)).astype(np.float32)
            b = random.normal(0, 0.3, (rows, rank))[:, :].astype(np.float32)
            writer.add_tensor(f"blk.{layer}.{name}.weight.lora_a", a)
            writer.add_tensor(f"blk.{layer}.{name}.weight.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="session")
def gguf_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf")


@pytest.fixture(scope="session")
def tiny(gguf_folder: Path) -> Callable[[str], Path]:
    """The path of a tiny model of an architecture: llama, gemma2, mamba or jamba."""
    made: dict[str, Path] = {}

    def path(architecture: str = "llama") -> Path:
        if architecture not in made:
            file = gguf_folder / f"{architecture}.gguf"
            made[architecture] = write_model(file, architecture)
        return made[architecture]

    return path


@pytest.fixture(scope="session")
def split(gguf_folder: Path) -> Path:
    """The tiny llama in several files; the path of the first."""
    folder = gguf_folder / "split"
    folder.mkdir()
    write_model(folder / "tiny.gguf", tensors=8)
    return min(folder.iterdir())


@pytest.fixture(scope="session")
def sentencepiece(gguf_folder: Path) -> LocalModel:
    """A tiny model whose vocabulary puts a space in front of a text, as Llama 2's does."""
    path = gguf_folder / "sentencepiece.gguf"
    return open_model(write_model(path, vocabulary="sentencepiece"))


@pytest.fixture(scope="session")
def user_defined_turns(gguf_folder: Path) -> LocalModel:
    """A tiny model whose turn tokens are user-defined, and no control tokens."""
    return open_model(write_model(gguf_folder / "turns.gguf", vocabulary="turns"))


@pytest.fixture(scope="session")
def adapters(gguf_folder: Path) -> dict[str, Path]:
    """Two LoRA adapters of the tiny llama."""
    names = {"left": 1, "right": 2}
    return {n: write_adapter(gguf_folder / f"{n}.gguf", seed) for n, seed in names.items()}


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    return find("smollm2").path


@pytest.fixture(scope="session")
def smollm2(smollm2_path: Path) -> LocalModel:
    return open_model(smollm2_path, name="smollm2")


@pytest.fixture
def opened(tiny: Callable[[str], Path]) -> Iterator[Callable[..., LocalModel]]:
    """Opens tiny models with settings of one's own, and closes them after the test."""
    models: list[LocalModel] = []

    def open_one(architecture: str = "llama", **settings: object) -> LocalModel:
        model = open_model(tiny(architecture), settings=EngineSettings.model_validate(settings))
        models.append(model)
        return model

    yield open_one
    for model in models:
        model.close()
