"""An adapter says in llama.cpp what it says in peft, and comes back as it was."""

import json
import re

import gguf
import numpy as np
import pytest

from tests.thinkgraph.train.conftest import HEADS, write_family
from thinkgraph.models.backends.local import open_model
from thinkgraph.models.catalogue import find, load
from thinkgraph.models.engine.llama.gguf_file import check_model
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Message, ModelRequest, Sampling, continued
from thinkgraph.train.errors import TrainError
from thinkgraph.train.weights.adapter import (
    Adapter,
    Pair,
    from_gguf,
    heads_of,
    read_gguf,
    read_peft,
    to_gguf,
    write_gguf,
)
from thinkgraph.train.weights.base import load_base
from thinkgraph.train.weights.merge import merge

torch = pytest.importorskip("torch", reason="needs thinkgraph[train]")
pytest.importorskip("peft", reason="needs thinkgraph[train]")

FAMILIES = ["llama", "qwen2", "qwen3"]
ASKED = [Message(role="user", content="How many apples?")]
SAID = "Twelve apples, and a pear"


def by_torch(model, tokens, begin):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokens])).logits[0].float()
    table = torch.log_softmax(logits, -1)
    return [float(table[at - 1, tokens[at]]) for at in range(begin, len(tokens))]


async def by_engine(model):
    found, _ = await model.score(ModelRequest(ASKED, Sampling(), []), SAID)
    return [each.logprob for each in found]


@pytest.mark.model
@pytest.mark.parametrize("name", FAMILIES)
async def test_an_adapter_says_the_same_in_both(name, family, peft_model, tmp_path):
    path = family(name)
    model = peft_model(path, alpha=6)
    model.save_pretrained(tmp_path)
    to_gguf(tmp_path, path, tmp_path / "adapter.gguf")
    opened = open_model(path)
    tokens = opened.tokenize(continued(ASKED, SAID))
    begin = len(tokens) - len(SAID)  # a token is a byte

    wanted = by_torch(model, tokens, begin)
    found = await by_engine(opened.with_adapter(tmp_path / "adapter.gguf"))
    assert np.allclose(found, wanted, atol=0.1)  # the KV cache is of 16 bits

    with model.disable_adapter():
        bare = by_torch(model, tokens, begin)
    assert np.allclose(await by_engine(opened), bare, atol=0.1)
    assert not np.allclose(wanted, bare, atol=1)


@pytest.mark.model
@pytest.mark.parametrize("name", FAMILIES)
def test_an_adapter_comes_back_as_it_was(name, family, peft_model, tmp_path):
    peft_model(family(name), alpha=6).save_pretrained(tmp_path / "one")
    to_gguf(tmp_path / "one", family(name), tmp_path / "a.gguf")
    from_gguf(tmp_path / "a.gguf", family(name), tmp_path / "two")
    one, two = read_peft(tmp_path / "one"), read_peft(tmp_path / "two")
    assert one.pairs.keys() == two.pairs.keys()
    for module, (a, b) in one.pairs.items():
        back = two.pairs[module]
        assert np.allclose(one.scales[module] * b @ a, two.scales[module] * back.b @ back.a)


@pytest.mark.model
def test_ranks_and_alphas_may_differ_by_weight(family, peft_model, tmp_path):
    random = np.random.default_rng(0)
    pairs = {
        f"model.layers.{n}.self_attn.v_proj": Pair(
            random.normal(size=(n + 1, 64)).astype("float32"),
            random.normal(size=(32, n + 1)).astype("float32"),
        )
        for n in range(2)
    }
    scales = dict(zip(pairs, (0.5, 3.0), strict=True))
    write_gguf(Adapter(pairs, scales), family("llama"), tmp_path / "a.gguf")
    back = read_gguf(tmp_path / "a.gguf", family("llama"))
    for name, (a, b) in pairs.items():
        own = back.pairs[name]
        assert np.allclose(scales[name] * b @ a, back.scales[name] * own.b @ own.a, atol=1e-5)


@pytest.mark.model
async def test_an_adapter_is_loaded_while_the_model_runs(family, peft_model, tmp_path):
    path = family("llama")
    peft_model(path).save_pretrained(tmp_path)
    opened = open_model(path)
    request = ModelRequest(ASKED, Sampling(temperature=0, max_tokens=200, top_p=1.0), [1])
    running = opened.generate(request)
    to_gguf(tmp_path, path, tmp_path / "hot.gguf")
    adapted = load(f"{path}+{tmp_path / 'hot.gguf'}")
    assert adapted.engine is opened.engine
    assert load(f"{path}+{tmp_path / 'hot.gguf'}:0.5").scale == 0.5
    (with_it,) = await adapted.generate(request).completions()
    (without,) = await running.completions()
    assert with_it.text != without.text
    (again,) = await opened.generate(request).completions()
    assert again.text == without.text


@pytest.mark.model
def test_an_adapter_of_another_model_is_refused(family, peft_model, tmp_path):
    peft_model(family("llama")).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    other = write_family(tmp_path / "other.gguf", "qwen2")
    to_gguf(tmp_path, family("llama"), tmp_path / "a.gguf")
    with pytest.raises(TrainError, match="another family"):
        from_gguf(tmp_path / "a.gguf", other, tmp_path / "back")
    with pytest.raises(ModelError, match="not a LoRA of this model"):
        open_model(other).with_adapter(tmp_path / "a.gguf")
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"use_dora": True}))
    with pytest.raises(TrainError, match="use_dora"):
        to_gguf(tmp_path, family("llama"), tmp_path / "b.gguf")
    assert not (tmp_path / "b.gguf").exists()


@pytest.mark.model
def test_a_missing_adapter_is_named(family, tmp_path):
    with pytest.raises(ModelError, match="there is no adapter"):
        load(f"{family('llama')}+{tmp_path / 'none.gguf'}")


@pytest.mark.model
def test_a_full_disk_leaves_no_half_of_a_file(family, peft_model, tmp_path, monkeypatch):
    peft_model(family("llama")).save_pretrained(tmp_path)
    out = tmp_path / "a.gguf"
    out.write_bytes(b"earlier")

    def full(self, **rest):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensors_to_file", full)
    with pytest.raises(TrainError, match="No space left on device"):
        to_gguf(tmp_path, family("llama"), out)
    assert out.read_bytes() == b"earlier"
    assert [each.name for each in tmp_path.glob("*.part")] == []


@pytest.mark.model
def test_no_output_replaces_what_is_read(cli, family, peft_model, tmp_path):
    model, adapter = tmp_path / "m.gguf", tmp_path / "a.gguf"
    model.write_bytes(family("llama").read_bytes())
    (tmp_path / "link.gguf").symlink_to(model)
    peft_model(model).save_pretrained(tmp_path / "peft")
    to_gguf(tmp_path / "peft", model, adapter)
    data = tmp_path / "d.jsonl"
    data.write_text("".join(f'{{"question": "q{n}", "answer": "a"}}\n' for n in range(20)))
    files = {each: each.read_bytes() for each in (model, adapter, data)}
    train = ("train", "--data", data, "-m", model, "-s", "steps=1")
    for words in (
        ("adapter", tmp_path / "peft", "-m", model, "--out", model),
        ("adapter", tmp_path / "peft", "-m", model, "--out", tmp_path / "link.gguf"),
        ("adapter", adapter, "--merge", "-m", model, "--out", adapter),
        (*train, "--out", model),
        (*train, "--out", tmp_path / "new.gguf", "--merge", tmp_path / "." / "new.gguf"),
        (*train, "--out", tmp_path / "new.gguf", "--merge", data),
        ("distill", "direct", "--data", data, "-m", model, "--out", model, "--test", "8"),
    ):
        ended = cli(*words)
        assert (ended.status, ended.err.count("\n")) == (2, 1), words
        assert "would replace" in ended.err
    for words in (
        ("adapter", tmp_path / "peft", "-m", model, "--out", tmp_path / "new"),
        (*train, "--out", tmp_path / "new.gguf", "--merge", tmp_path / "new"),
    ):
        ended = cli(*words)
        assert (ended.status, ended.err.count("\n")) == (2, 1), words
        assert "must end in .gguf" in ended.err
    assert {each: each.read_bytes() for each in files} == files
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "new.gguf").exists()


@pytest.mark.model
def test_an_adapter_of_other_sizes_is_refused(family, peft_model, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.thinkgraph.train.conftest.FEED", 64)
    other = write_family(tmp_path / "other.gguf", "llama")
    peft_model(other).save_pretrained(tmp_path / "peft")
    to_gguf(tmp_path / "peft", other, tmp_path / "a.gguf")
    for write in (from_gguf, merge):
        with pytest.raises(TrainError, match="changes a weight of"):
            write(tmp_path / "a.gguf", family("llama"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.model
def test_an_adapter_without_alpha_is_not_scaled(family, tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    pair = Pair(*(random.normal(size=each).astype("float32") for each in ((2, 64), (32, 2))))
    name = "model.layers.0.self_attn.v_proj"
    monkeypatch.setattr(gguf.GGUFWriter, "add_float32", lambda self, key, value: None)
    write_gguf(Adapter({name: pair}, {name: 1.0}), family("llama"), tmp_path / "a.gguf")
    assert read_gguf(tmp_path / "a.gguf", family("llama")).scales == {name: 1.0}


@pytest.mark.model
def test_a_second_adapter_is_refused_and_a_folder_may_have_a_plus(family, peft_model, tmp_path):
    path, folder = family("llama"), tmp_path / "c++"
    folder.mkdir()
    peft_model(path).save_pretrained(tmp_path)
    to_gguf(tmp_path, path, folder / "a.gguf")
    name = f"{path}+{folder / 'a.gguf'}"
    assert load(f"{name}:0.5").scale == 0.5
    with pytest.raises(ModelError, match="two adapters"):
        find(f"{name}+{folder / 'a.gguf'}")
    missing = folder / "b.gguf"
    with pytest.raises(ModelError, match=re.escape(f"there is no adapter {missing}")):
        find(f"{path}+{missing}")
    with pytest.raises(ModelError, match="there is no file"):
        find(f"{folder / 'm.gguf'}")


class Writer(gguf.GGUFWriter):
    """Writes an empty array, too, as other tools do."""

    def _pack_val(self, val, vtype, add_vtype, sub_type=None):
        if vtype == gguf.GGUFValueType.ARRAY and len(val) == 0:
            kinds = [vtype, gguf.GGUFValueType.STRING] if add_vtype else [gguf.GGUFValueType.STRING]
            return b"".join(self._pack("I", each) for each in kinds) + self._pack("Q", 0)
        return super()._pack_val(val, vtype, add_vtype, sub_type)


def copied(path, out, kinds=None, *, without=(), more=(), alignment=None):
    """Copy a GGUF, with other types of tensors, without some keys, with more keys or tensors."""
    reader, writer = gguf.GGUFReader(path), Writer(out, "llama")
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name not in (
            "general.architecture", *without
        ):  # fmt: skip
            own, *of = field.types
            writer.add_key_value(field.name, field.contents(), own, sub_type=of[-1] if of else None)
    for name, value in more:
        if name.endswith(".weight"):
            writer.add_tensor(name, value)
        else:
            writer.add_key_value(name, value, gguf.GGUFValueType.get_type(value))
    if alignment:
        writer.add_custom_alignment(alignment)
    for each in reader.tensors:
        kind = (kinds or {}).get(each.name)
        data = gguf.quantize(each.data, kind) if kind is not None else each.data
        writer.add_tensor(each.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


@pytest.mark.model
@pytest.mark.parametrize("kind", ["F32", "BF16", "F16", "Q8_0", "Q4_1"])
def test_a_merged_weight_keeps_its_type(kind, family, tmp_path):
    """A model whose file_type says F32, and one weight of which has another type."""
    path, wanted = family("llama"), gguf.GGMLQuantizationType[kind]
    name, module = "blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj"
    random = np.random.default_rng(0)
    pair = Pair(*(random.normal(size=each).astype("float32") for each in ((2, 64), (32, 2))))
    mixed, out = copied(path, tmp_path / "mixed.gguf", {name: wanted}), tmp_path / "out.gguf"
    write_gguf(Adapter({module: pair}, {module: 1.0}), mixed, tmp_path / "a.gguf")

    merge(tmp_path / "a.gguf", mixed, out)
    before, after = ({t.name: t for t in gguf.GGUFReader(p).tensors} for p in (mixed, out))
    assert {n: t.tensor_type for n, t in before.items()} == {
        n: t.tensor_type for n, t in after.items()
    }
    wished = gguf.dequantize(before[name].data, wanted) + pair.b @ pair.a
    found = gguf.dequantize(after[name].data, wanted)
    assert np.abs(found - wished).max() < {"Q4_1": 1.0, "Q8_0": 0.1}.get(kind, 0.1)
    open_model(out).close()


def one_pair(seed=0):
    random = np.random.default_rng(seed)
    pair = Pair(*(random.normal(size=each).astype("float32") for each in ((2, 64), (32, 2))))
    name = "model.layers.0.self_attn.v_proj"
    return Adapter({name: pair}, {name: 1.0})


@pytest.mark.model
def test_a_model_with_another_alignment_and_an_empty_array_is_merged(family, tmp_path):
    path = copied(family("llama"), tmp_path / "m.gguf", more=[("general.tags", [])], alignment=64)
    write_gguf(one_pair(), path, tmp_path / "a.gguf")
    merge(tmp_path / "a.gguf", path, tmp_path / "out.gguf")
    before, after = (
        {each.name: each.data for each in gguf.GGUFReader(tmp_path / name).tensors}
        for name in ("m.gguf", "out.gguf")
    )
    changed = [name for name, data in before.items() if not np.array_equal(data, after[name])]
    assert changed == ["blk.0.attn_v.weight"]
    open_model(tmp_path / "out.gguf").close()


@pytest.mark.model
def test_a_merged_model_that_is_broken_replaces_nothing(family, tmp_path, monkeypatch):
    def broken(path):
        raise ModelError(f"{path} is not a whole GGUF file")

    write_gguf(one_pair(), family("llama"), tmp_path / "a.gguf")
    out = tmp_path / "out.gguf"
    out.write_bytes(b"earlier")
    monkeypatch.setattr("thinkgraph.train.weights.merge.check_gguf", broken)
    with pytest.raises(TrainError, match="the merged model is broken"):
        merge(tmp_path / "a.gguf", family("llama"), out)
    assert out.read_bytes() == b"earlier"
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.model
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"more": [("llama.rope.scaling.type", "yarn")]}, "rope.scaling.type"),
        ({"more": [("llama.rope.scaling.factor", 4.0)]}, "rope.scaling.factor"),
        ({"more": [("rope_freqs.weight", np.ones(8, np.float32))]}, "rope_freqs.weight"),
        ({"without": ["llama.attention.head_count_kv"]}, "attention.head_count_kv"),
    ],
)
def test_a_model_that_transformers_would_read_as_another_needs_its_base(
    family, tmp_path, changes, reason
):
    path = copied(family("llama"), tmp_path / "m.gguf", **changes)
    with pytest.raises(TrainError, match=f"{reason}.*--base FOLDER"):
        load_base(path, None, precision="float32")


@pytest.mark.model
def test_a_model_without_a_number_of_key_heads_has_as_many_as_of_queries(family, tmp_path):
    path = copied(family("llama"), tmp_path / "m.gguf", without=["llama.attention.head_count_kv"])
    assert heads_of(check_model(path), "model.layers.0.self_attn.k_proj") == HEADS


@pytest.mark.model
def test_a_folder_that_is_not_empty_is_kept(cli, family, tmp_path):
    write_gguf(one_pair(), family("llama"), tmp_path / "a.gguf")
    (tmp_path / "peft").mkdir()
    (tmp_path / "peft" / "adapter_config.json").write_text("earlier")
    for out, reason in (("peft", "isn't an empty folder"), ("b.gguf", "did you mean --merge?")):
        ended = cli("adapter", tmp_path / "a.gguf", "-m", family("llama"), "--out", tmp_path / out)
        assert (ended.status, ended.err.count("\n")) == (2, 1)
        assert reason in ended.err
    assert (tmp_path / "peft" / "adapter_config.json").read_text() == "earlier"
    assert not (tmp_path / "b.gguf").exists()
    (tmp_path / "empty").mkdir()
    from_gguf(tmp_path / "a.gguf", family("llama"), tmp_path / "empty")
    assert read_peft(tmp_path / "empty").pairs.keys() == one_pair().pairs.keys()


@pytest.mark.model
def test_a_full_disk_leaves_no_half_of_a_folder(family, tmp_path, monkeypatch):
    def full(*given, **more):
        raise OSError(28, "No space left on device")

    write_gguf(one_pair(), family("llama"), tmp_path / "a.gguf")
    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(TrainError, match="No space left on device"):
        from_gguf(tmp_path / "a.gguf", family("llama"), tmp_path / "peft")
    assert [each.name for each in tmp_path.iterdir()] == ["a.gguf"]


@pytest.mark.model
def test_an_alpha_of_its_own_is_found_by_a_regular_expression(family, peft_model, tmp_path):
    peft_model(family("llama"), alpha=8).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    patterns = {"oj": 64, r"layers\.[01]\.self_attn\.q_proj": 16}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"alpha_pattern": patterns}))
    for module, scale in read_peft(tmp_path).scales.items():
        assert scale == (4 if module.endswith("q_proj") else 2)
    broken = json.dumps(config | {"alpha_pattern": {"(": 1}})
    (tmp_path / "adapter_config.json").write_text(broken)
    with pytest.raises(TrainError, match="no regular expression"):
        read_peft(tmp_path)
