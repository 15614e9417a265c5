"""Documents: data with locations, dangerous YAML refused."""

from __future__ import annotations

import json
import os

import pytest

from thinkgraph.graphs.language.document import MAX_BYTES, Document


def codes(document: Document) -> list[str]:
    return [found.code for found in document.problems]


def test_every_value_and_key_has_its_place():
    document = Document.parse("name: x\nnodes:\n  draft: {kind: generate, stop: [a, bc]}\n")
    location = document.locate(("nodes", "draft", "stop", 1))
    assert (location.line, location.column, location.end_column) == (3, 37, 39)
    key = document.locate(("nodes", "draft", "kind"), key=True)
    assert (key.line, key.column, key.end_column) == (3, 11, 15)


def test_the_place_of_what_isnt_there_is_what_would_hold_it():
    document = Document.parse("nodes:\n  draft: {kind: generate}\n")
    assert document.locate(("nodes", "draft", "prompt", "user")).line == 2


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("when: abc def\n", 1, 11),
        ("when: 'abc def'\n", 1, 12),
        ("when: |\n  first\n  abc def\n", 3, 7),
        ("when: >\n  abc def\n", 1, 7),  # folded: the whole
    ],
)
def test_a_part_of_a_text_has_its_place(text: str, line: int, column: int):
    document = Document.parse(text)
    lines = document.data["when"].split("\n")
    number = next(i for i, each in enumerate(lines) if "def" in each)
    location = document.locate_within(("when",), number + 1, lines[number].index("def") + 1, 3)
    assert (location.line, location.column) == (line, column)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("0o17", 15),
        ("0xff", 255),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("true", True),
        ("~", None),
        ("yes", "yes"),
        ("'1'", "1"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("$rounds", "$rounds"),
        ('"\\ud83d\\ude00"', "😀"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object):
    document = Document.parse(f"a: {text}\n")
    assert document.data["a"] == value
    assert type(document.data["a"]) is type(value)


def test_json_with_tabs_is_read_with_places():
    text = json.dumps({"name": "x", "nodes": {"a": {"kind": "generate"}}}, indent="\t")
    document = Document.parse(text)
    assert document.problems == []
    assert document.data == json.loads(text)
    assert document.locate(("nodes", "a", "kind")).line == 5


def test_a_byte_order_mark_is_left_out():
    document = Document.parse("\ufeffname: x\n")
    assert document.data == {"name": "x"}
    assert document.locate(("name",)).column == 7


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_with_every_line_end(line_end: str):
    document = Document.parse(line_end.join(["name: x", "about: y", "nodes: 3"]))
    location = document.locate(("nodes",))
    assert (location.line, location.source) == (3, "nodes: 3")


def test_a_file_that_isnt_text_is_refused(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"name: x\nabout: \xff\xfe\n")
    document = Document.read(path)
    assert codes(document) == ["TG003"]
    assert document.problems[0].line == 2


def test_a_control_character_is_refused_at_its_line():
    document = Document.parse("name: x\nabout: a\x01b\n")
    assert codes(document) == ["TG004"]
    assert document.problems[0].line == 2


def test_half_of_a_surrogate_pair_is_refused():
    document = Document.parse('{"name": "\\ud800"}')
    assert codes(document) == ["TG004"]
    assert "surrogate" in document.problems[0].message


def test_a_long_file_is_refused_unread(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("about: " + "a" * MAX_BYTES)
    assert codes(Document.read(path)) == ["TG002"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    assert codes(Document.read(tmp_path / "pipe.yaml")) == ["TG001"]


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert codes(Document.read(tmp_path / "no.yaml")) == ["TG001"]
    assert codes(Document.read(tmp_path)) == ["TG001"]


def test_what_follows_a_repeated_key_is_still_read():
    document = Document.parse("name: x\nname: y\nedges: &a 3\n")
    assert codes(document) == ["TG007", "TG008"]
