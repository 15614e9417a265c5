"""Drawings of a graph: everything is in them, nothing lies on anything else."""

import functools
import sys
import unicodedata
from collections.abc import Iterator
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thinkgraph as tg
from thinkgraph.graphs.catalogue import builtin_names
from thinkgraph.graphs.language.spec import Spec
from thinkgraph.graphs.pictures.drawing import DrawingError, mermaid, png, svg, terminal
from thinkgraph.graphs.pictures.drawing.diagram import diagram

SVG = "{http://www.w3.org/2000/svg}"
CHAIN = {"nodes": {"a": {"kind": "generate"}}, "edges": ["START -> a -> END"]}
LOOP = {
    "params": {"rounds": 2},
    "nodes": {
        "draft": {"kind": "generate", "prompt": "question"},
        "critic": {"kind": "critique"},
        "revise": {"kind": "revise"},
    },
    "edges": [
        "START -> draft -> critic",
        {"critic -> revise": {"when": "!accepted", "at_most": "$rounds"}},
        "critic -> END",
        "revise -> critic",
    ],
}
FAN = {
    "nodes": {name: {"kind": "generate"} for name in "abc"} | {"vote": {"kind": "vote"}},
    "edges": ["START -> [a, b, c] -> vote -> END"],
}


def spec(parts: dict[str, Any]) -> Spec:
    return Spec.model_validate({"thinkgraph": 1, "name": "drawn", **parts})


def drawn(text: str) -> str:
    """A drawing as it stands in a test, without the indentation."""
    lines = text.strip("\n").split("\n")
    left = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return "\n".join([*(line[left:].rstrip() for line in lines[:-1]), ""])


def trimmed(text: str) -> str:
    return "\n".join([*(line.rstrip() for line in text.split("\n")[:-1]), ""])


class TestTerminal:
    def test_draws_a_chain(self) -> None:
        expected = """
             ╭───────╮
             │ START │
             ╰───┬───╯
                 ▼
           ┌───────────┐
           │     a     │
           │ generate  │
           └─────┬─────┘
                 ▼
              ╭─────╮
              │ END │
              ╰─────╯
        """
        assert terminal(spec(CHAIN)) == drawn(expected)

    def test_draws_a_loop_with_its_condition_and_bound(self) -> None:
        expected = """
                          ╭───────╮
                          │ START │
                          ╰───┬───╯
                              ▼
                    ┌───────────────────┐
                    │       draft       │
                    │     generate      │
                    │ prompt: question  │
                    └─────────┬─────────┘
                              ▼
                        ┌───────────┐
                        │  critic   │
                        │ critique  │
                        └─────┬─────┘
                          ▲   │
            ┌─────────────┘   │
            │           ┌─────┴───────┐
            │           │             │
            │       !accepted     otherwise
            │    at most $rounds      │
            └───────┐  │              │
                    │  ▼              ▼
                  ┌─┴───────┐      ╭─────╮
                  │ revise  │      │ END │
                  └─────────┘      ╰─────╯
        """
        assert terminal(spec(LOOP)) == drawn(expected)

    def test_draws_a_fan_out_and_its_join(self) -> None:
        lines = terminal(spec(FAN)).splitlines()
        assert "▼" in lines[4]
        assert lines[4].count("▼") == 3
        assert [lines[row].count("┼") for row in (3, 9)] == [1, 1]

    def test_draws_a_loop_of_one_node(self) -> None:
        looped = spec(CHAIN | {"edges": ["START -> a -> END", {"a -> a": {"at_most": 3}}]})
        text = terminal(looped)
        assert "at most 3" in text
        assert (text.count("▲"), text.count("▼")) == (1, 2)

    def test_shows_the_values_of_params_when_they_are_given(self) -> None:
        assert "at most 5" in terminal(spec(LOOP), params={"rounds": 5})

    @pytest.mark.parametrize("width", [80, 60])
    @pytest.mark.parametrize("name", builtin_names())
    def test_fits_the_width(self, name: str, width: int) -> None:
        lines = terminal(tg.load(name).spec, width).splitlines()
        is_list = "→" in lines[0]  # of the arrows, where a drawing would be too wide
        assert not (is_list and width == 80)
        assert is_list or max(map(len, lines)) <= width

    @pytest.mark.parametrize("name", builtin_names())
    def test_draws_every_strategy_within_eighty_cells(self, name: str) -> None:
        assert "→" not in terminal(tg.load(name).spec, 80)

    def test_lists_the_edges_of_a_graph_that_is_too_wide(self) -> None:
        assert terminal(spec(LOOP), width=20).splitlines()[:3] == [
            "START → draft",
            "draft → critic",
            "critic → revise  (!accepted, at most $rounds)",
        ]

    def test_wide_letters_keep_the_boxes_straight(self) -> None:
        edges = ["START -> a", {"a -> END": {"when": "question == '答案答案'"}}]
        lines = terminal(spec(CHAIN | {"edges": edges})).splitlines()
        (label,) = [line for line in lines if "答案" in line]
        wide = sum(unicodedata.east_asian_width(char) == "W" for char in label)
        middle = lines[0].index("─") + 3
        start = len(label) - len(label.lstrip())
        assert abs(start + (len(label.strip()) + wide) / 2 - middle) <= 2


class TestMermaid:
    def test_writes_a_flowchart(self) -> None:
        assert mermaid(spec(LOOP)).splitlines()[:10] == [
            "flowchart TD",
            '    n0(["START"]):::is-end',
            '    n1["<b>draft</b><br/>generate<br/>prompt: question"]:::is-write',
            '    n2["<b>critic</b><br/>critique"]:::is-judge',
            '    n3["<b>revise</b>"]:::is-write',
            '    n4(["END"]):::is-end',
            "    n0 --> n1",
            "    n1 --> n2",
            '    n2 -->|"!accepted<br/>at most $rounds"| n3',
            '    n2 -->|"otherwise"| n4',
        ]

    def test_escapes_what_mermaid_would_read(self) -> None:
        edges = ["START -> a", {"a -> END": {"when": 'answer == "<b>|]"'}}]
        text = mermaid(spec(CHAIN | {"edges": edges}))
        assert "answer == #34;#60;b#62;#124;#93;#34;" in text


def elements(image: str, path: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(image).findall(path)


def boxes(image: str) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of every box."""
    found = elements(image, f".//{SVG}rect[@class='box']")
    sides = [[float(box.attrib[name]) for name in ("x", "y", "width", "height")] for box in found]
    return [(x, y, x + width, y + height) for x, y, width, height in sides]


def words(image: str) -> str:
    return " ".join(text.text or "" for text in elements(image, f".//{SVG}text"))


def apart(image: str) -> bool:
    return all(
        a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
        for a, b in combinations(boxes(image), 2)
    )


class TestSvg:
    @pytest.mark.parametrize("name", builtin_names())
    def test_has_every_node_and_every_word_on_an_edge(self, name: str) -> None:
        graph = tg.load(name).spec
        image = svg(graph)
        shown = words(image)
        for box in diagram(graph).boxes:
            assert box.name in shown
        for arrow in diagram(graph).arrows:
            for part in arrow.label or ():
                assert part in shown
        assert apart(image)

    @pytest.mark.parametrize("name", builtin_names())
    def test_has_one_arrowhead_for_each_edge(self, name: str) -> None:
        graph = tg.load(name).spec
        heads = elements(svg(graph), f".//{SVG}path[@class='head']")
        assert len(heads) == len(diagram(graph).arrows)

    def test_loads_nothing(self) -> None:
        image = svg(tg.load("self-refine").spec)
        assert image.count("http") == 1  # the name of the format
        assert not {"script", "image", "use", "a"} & {e.tag for e in ElementTree.fromstring(image)}
        assert "url(" not in image
        assert "@import" not in image

    def test_escapes_what_a_spec_says(self) -> None:
        edges = ["START -> a", {"a -> END": {"when": "answer == '<script>alert(1)</script>&'"}}]
        image = svg(spec(CHAIN | {"edges": edges}))
        assert "<script" not in image
        assert "'<script>alert(1)</script>&'" in words(image)

    def test_shows_control_characters_and_does_not_pass_them_on(self) -> None:
        edges = ["START -> a", {"a -> END": {"when": "answer == '\x1b[2J\x00\u202e'"}}]
        graph = spec(CHAIN | {"edges": edges})
        assert words(svg(graph)).count("\N{REPLACEMENT CHARACTER}") == 3
        assert "\x1b" not in terminal(graph)

    def test_marks_the_path_taken_with_its_counts(self) -> None:
        counts = {"draft": 1, "critic": 2, "critic -> revise !accepted": 1, "revise": 1}
        image = svg(spec(LOOP), {**counts, "critic -> END": 1})
        assert words(image).split().count("×1") == 4  # draft, revise, and two decided edges
        assert "×2" in words(image)
        assert "faded" not in image.partition("</style>")[2]

    def test_fades_what_was_not_reached(self) -> None:
        image = svg(spec(LOOP), {"draft": 1, "critic": 1, "critic -> END": 1})
        faded = elements(image, f".//{SVG}g[@class='edge faded']")
        assert len(faded) == 2  # to revise, and back
        assert len(elements(image, f".//{SVG}g[@class='write faded']")) == 1

    def test_follows_the_readers_scheme_unless_it_is_told(self) -> None:
        assert "prefers-color-scheme" in svg(spec(CHAIN))
        assert "prefers-color-scheme" not in svg(spec(CHAIN), theme="light")


class TestPng:
    def test_is_an_image_with_letters_and_without_a_network(self) -> None:
        pytest.importorskip("resvg_py")
        try:
            image = png(spec(LOOP), zoom=1)
        except DrawingError as error:
            pytest.skip(str(error))  # a machine without a font
        assert image.startswith(b"\x89PNG\r\n")
        wide, high = (int.from_bytes(image[at : at + 4]) for at in (16, 20))
        assert 200 < wide < high < 700

    def test_tells_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "resvg_py", None)
        with pytest.raises(DrawingError, match=r"pip install .*\[png\]"):
            png(spec(CHAIN))

    def test_tells_that_the_machine_has_no_font(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resvg = pytest.importorskip("resvg_py")
        bare = functools.partial(resvg.svg_to_bytes, skip_system_fonts=True)
        monkeypatch.setattr(resvg, "svg_to_bytes", bare)
        with pytest.raises(DrawingError, match="no font"):
            png(spec(CHAIN))


NAMES = [f"n{i}" for i in range(7)]


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Any graph, the wrong ones too: unreachable nodes, loops without a bound, two alike edges."""
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    sources, targets = st.sampled_from(["START", *names]), st.sampled_from([*names, "END"])
    conditions = st.none() | st.text(max_size=60) | st.just("score < 0.5 && round < 3")
    bounds = st.none() | st.integers(0, 9)

    def edges() -> Iterator[Any]:
        for _ in range(draw(st.integers(1, 14))):
            rest = {"when": draw(conditions), "at_most": draw(bounds)}
            given_ = {key: value for key, value in rest.items() if value is not None}
            yield {"path": f"{draw(sources)} -> {draw(targets)}", **given_}

    return spec({"nodes": {name: {"kind": "generate"} for name in names}, "edges": [*edges()]})


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(specs())
def test_any_graph_is_drawn_with_all_its_nodes_apart(graph: Spec) -> None:
    text = terminal(graph, width=200)
    image = svg(graph)
    for name in graph.nodes:
        assert name in text
        assert name in words(image)
    assert apart(image)
    assert mermaid(graph).count("-->") == len(diagram(graph).arrows)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(specs())
def test_a_drawing_is_the_same_each_time(graph: Spec) -> None:
    assert (terminal(graph), svg(graph)) == (terminal(graph), svg(graph))
