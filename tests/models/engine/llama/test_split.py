"""Models in several files, as llama.cpp splits them."""

import shutil

import pytest

from thinkgraph.models.backends.local import open_model
from thinkgraph.models.catalogue import find
from thinkgraph.models.engine.llama.gguf_file import check_model, split_names
from thinkgraph.models.engine.sequence import Request
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Sampling


def greedy(path):
    model = open_model(path)
    request = Request([1, 2, 3], Sampling(temperature=0, max_tokens=8, ignore_eos=True), [1])
    model.engine.submit(request)
    request.done.result()
    model.close()
    return request.completions[0].text


def test_a_split_model_answers_as_the_whole_one(split, tiny):
    header = check_model(split)
    assert header.tensors == check_model(tiny("llama")).tensors
    assert header.weights == check_model(tiny("llama")).weights
    assert greedy(split) == greedy(tiny("llama"))


def test_a_part_that_is_missing_is_named(split, tmp_path):
    shutil.copy(split, tmp_path)
    with pytest.raises(ModelError, match=r"there is no file .*-00002-of-"):
        open_model(tmp_path / split.name)


def test_a_later_part_names_the_first(split):
    second = split_names(split.name)[1]
    with pytest.raises(ModelError, match=f"open the first, {split.name}"):
        open_model(split.with_name(second))


def test_a_part_of_another_name_is_refused(split, tmp_path):
    shutil.copy(split, tmp_path / "model.gguf")
    with pytest.raises(ModelError, match="must be named"):
        open_model(tmp_path / "model.gguf")


def test_all_parts_of_a_model_of_the_hub_are_downloaded(split, monkeypatch):
    asked = []

    def download(repo, file):
        asked.append((repo, file))
        return split.with_name(file.rpartition("/")[2])

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    names = split_names(split.name)
    found = find(f"hf:me/models/q4/{split.name}")
    assert found.path == split
    assert asked == [("me/models", f"q4/{name}") for name in names]
