"""What is refused before native code sees it, and with what words."""

import os
import shutil
import struct

import gguf
import numpy as np
import pytest

from thinkgraph.models.backends.local import open_model
from thinkgraph.models.engine.llama.gguf_file import _BLOCKS, check_gguf
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.errors import ModelError


@pytest.fixture
def whole(tiny):
    return tiny("llama").read_bytes()


@pytest.fixture
def refused(tmp_path):
    def message(data: bytes) -> str:
        path = tmp_path / "model.gguf"
        path.write_bytes(data)
        with pytest.raises(ModelError) as error:
            open_model(path)
        assert str(path) in str(error.value)
        return str(error.value)

    return message


def test_a_whole_file_tells_of_its_model(tiny):
    header = check_gguf(tiny("llama"))
    assert header.architecture == "llama"
    assert header.about("block_count") == 2
    assert header.about("context_length") == 2048
    assert header.metadata["tokenizer.ggml.model"] == "gpt2"


def test_the_real_model_is_whole(smollm2_path):
    assert check_gguf(smollm2_path).about("context_length") == 8192


def test_nothing_there(tmp_path):
    with pytest.raises(ModelError, match="there is no file"):
        open_model(tmp_path / "none.gguf")


def test_a_directory(tmp_path):
    with pytest.raises(ModelError, match="is a directory"):
        open_model(tmp_path)


@pytest.mark.parametrize("data", [b"", b"GG", b"ggml" * 20, b"<html>not found</html>"])
def test_another_kind_of_file(refused, data):
    assert "is not a GGUF file" in refused(data)


def test_a_download_that_broke_off(refused, whole):
    for part in (5, 24, 100, 1000, len(whole) // 2, len(whole) - 1):
        assert "is not a whole GGUF file" in refused(whole[:part])


def test_another_version(refused, whole):
    assert "version 9" in refused(whole[:4] + struct.pack("<I", 9) + whole[8:])
    assert "little-endian" in refused(whole[:4] + struct.pack(">I", 3) + whole[8:])


@pytest.mark.parametrize("at", [8, 16, 24])  # tensors, keys, length of the first key
def test_lengths_that_are_no_lengths(refused, whole, at):
    for number in (2**63, 2**64 - 1, 2**40):
        data = whole[:at] + struct.pack("<Q", number) + whole[at + 8 :]
        assert "is not a whole GGUF file" in refused(data)


def test_a_header_with_any_byte_changed_is_read_or_refused(tmp_path, whole):
    path = tmp_path / "model.gguf"
    for at in range(4, 3000, 13):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            check_gguf(path)
        except ModelError:
            continue


def test_a_gguf_that_is_no_model_for_text(tmp_path, adapters):
    with pytest.raises(ModelError, match="can't load"):
        open_model(adapters["left"])


@pytest.mark.parametrize(
    ("architecture", "causal"), [("bert", False), ("nomic-bert", None), ("llama", False)]
)
def test_a_model_that_only_embeds_is_refused(tmp_path, architecture, causal):
    writer = gguf.GGUFWriter(tmp_path / "embedder.gguf", architecture)
    writer.add_context_length(512)
    if causal is not None:
        writer.add_causal_attention(causal)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match=r"embedder.gguf .* makes embeddings"):
        open_model(tmp_path / "embedder.gguf")


def test_a_path_that_is_no_text_is_opened(tmp_path, tiny, adapters):
    odd = tmp_path / os.fsdecode(b"\xff")
    odd.mkdir()
    model, adapter = (shutil.copy(file, odd) for file in (tiny("llama"), adapters["left"]))
    opened = open_model(model, settings=EngineSettings(adapters={"left": adapter}))
    try:
        assert opened.engine.native.adapters.keys() == {"left"}
    finally:
        opened.close()


@pytest.mark.parametrize("kind", gguf.GGMLQuantizationType)
def test_the_size_of_every_type_is_known(kind):
    assert _BLOCKS[kind] == gguf.GGML_QUANT_SIZES[kind]


def test_a_tensor_of_an_unknown_type_ends_where_the_next_begins(tmp_path):
    """Counted as nothing, all layers of such a model would fit on any GPU."""
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for name, size in (("first", 64), ("second", 96), ("third", 32)):
        writer.add_tensor(name, np.zeros(size, np.int8))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    data, kind = path.read_bytes(), struct.pack("<I", gguf.GGMLQuantizationType.I8)
    for name in (b"second", b"third"):
        at = data.index(name) + len(name) + 4 + 8  # behind its shape
        assert data[at : at + 4] == kind
        data = data[:at] + struct.pack("<I", 99) + data[at + 4 :]
    path.write_bytes(data)
    assert check_gguf(path).weights == {"first": 64, "second": 96, "third": 32}
