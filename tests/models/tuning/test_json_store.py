"""The file of what was measured: several write it, and nothing is lost."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from thinkgraph.models.tuning.json_store import JsonStore


def test_an_entry_is_set_and_taken_away(tmp_path):
    store = JsonStore(tmp_path / "new" / "store.json")
    assert store.read() == {}
    store.put("a", {"x": 1})
    store.put("b", [2])
    assert store.read() == {"a": {"x": 1}, "b": [2]}
    store.put("a", None)
    store.put("never there", None)
    assert store.read() == {"b": [2]}


def test_what_several_write_at_once_is_all_there(tmp_path):
    names = [str(number) for number in range(40)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda name: JsonStore(tmp_path / "store.json").put(name, 1), names))
    assert JsonStore(tmp_path / "store.json").read() == dict.fromkeys(names, 1)


@pytest.mark.parametrize("text", ["", '{"a": 1,', "[]", "\x00", "[" * 100_000])
def test_a_file_that_is_no_json_object_is_kept_aside(tmp_path, text):
    store = JsonStore(tmp_path / "store.json")
    store.file.write_text(text)
    assert store.read() == {}
    store.put("b", 2)
    assert store.read() == {"b": 2}
    assert (tmp_path / "store.json.broken").read_text() == text


def test_a_file_that_cannot_be_read_is_not_replaced(tmp_path, monkeypatch):
    store = JsonStore(tmp_path / "store.json")
    store.put("a", 1)

    def refuse(*_):
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(type(store.file), "read_text", refuse)
        assert store.read() == {}
        with pytest.raises(PermissionError):
            store.put("b", 2)
    assert store.read() == {"a": 1}
