"""The plots of a comparison: true to the numbers, readable, the same each time."""

import random
import xml.etree.ElementTree as ET

import matplotlib.pyplot as plt
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from thinkgraph.evaluate.results.labels import Mark, place
from thinkgraph.evaluate.results.plot import differences, files, to_png, to_svg, tradeoff


def boxes(figure):
    """Where each label stands, in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    notes = [child for child in figure.axes[0].get_children() if isinstance(child, Annotation)]
    return {note: note.get_bbox_patch().get_window_extent(renderer) for note in notes}


def overlaps(found):
    placed = list(found.items())
    return [
        (a.get_text(), b.get_text())
        for i, (a, one) in enumerate(placed)
        for b, other in placed[i + 1 :]
        if min(one.x1, other.x1) - max(one.x0, other.x0) > 2
        and min(one.y1, other.y1) - max(one.y0, other.y0) > 2
    ]


def points(figure):
    return {
        line.get_xydata()[0][1] for line in figure.axes[0].get_lines() if line.get_marker() == "o"
    }


def test_every_strategy_is_a_point_at_its_share(made):
    assert points(tradeoff(made.summary)) == {s.share for s in made.summary.strategies}


def test_its_title_tells_what_the_shares_measure(made):
    def title(measure):
        summary = made.summary.model_copy(update={"measure": measure})
        return tradeoff(summary).texts[0].get_text()

    assert title("right").startswith("Right answers")
    assert title("within").startswith("Share within the tolerance")
    assert title("score").startswith("Mean scores")


def test_a_family_is_named_once_and_joined(made):
    texts = [note.get_text() for note in boxes(tradeoff(made.summary))]
    assert {"@1", "@2", "@4", "@8", "self-consistency@16"} < set(texts)
    joined = [
        line for line in tradeoff(made.summary).axes[0].get_lines() if len(line.get_xdata()) == 5
    ]
    assert len(joined) == 1


def test_labels_hide_neither_each_other_nor_leave_the_picture(made):
    figure = tradeoff(made.summary)
    found = boxes(figure)
    assert len(found) == len(made.summary.strategies)
    assert overlaps(found) == []
    frame = figure.bbox
    assert all(
        b.x0 >= 0 and b.x1 <= frame.x1 and b.y0 >= 0 and b.y1 <= frame.y1 for b in found.values()
    )


@pytest.mark.parametrize("seed", range(4))
def test_crowded_labels_stand_apart(seed):
    dice = random.Random(seed)
    figure = Figure(figsize=(8, 5), dpi=100)
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    spots = [(dice.uniform(0.2, 0.8), dice.uniform(0.3, 0.7)) for _ in range(14)]
    place(
        axes,
        [Mark(f"strategy-{i}", (x, y), "k") for i, (x, y) in enumerate(spots)],
    )
    assert overlaps(boxes(figure)) == []


def test_those_that_cost_the_same_stand_side_by_side(made):
    lines = tradeoff(made.summary).axes[0].get_lines()
    xs = [line.get_xdata()[0] for line in lines if line.get_marker() == "o"]
    assert len(set(xs)) == len(made.summary.strategies)


def test_only_sure_differences_are_filled(made):
    figure = differences(made.summary)
    dots = [line for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    filled = [dot.get_markerfacecolor() == dot.get_color() for dot in dots]
    assert filled == [found.sure for found in made.summary.differences]
    assert any(filled) and not all(filled)


@pytest.mark.slow
def test_the_same_summary_gives_the_same_bytes(made):
    assert dict(files(made.summary)) == dict(files(made.summary))


@pytest.mark.slow
def test_files_are_what_their_names_say(made):
    assert {name.rpartition(".")[2] for name, _ in files(made.summary)} == {"svg", "png"}
    for name, content in files(made.summary):
        if name.endswith("svg"):
            assert ET.fromstring(content).tag.endswith("svg")
            assert b"<!--" not in content and b"<dc:date" not in content
        else:
            assert content.startswith(b"\x89PNG")


def test_a_label_is_drawn_as_it_is_and_never_obeyed(hostile):
    for figure in (tradeoff(hostile.summary), differences(hostile.summary)):
        drawn = to_svg(figure)
        ET.fromstring(drawn)
        assert "script" not in drawn and "onerror" not in drawn
        assert to_png(figure)


@pytest.mark.filterwarnings("error")
def test_nothing_answered_yet_is_a_picture_too(made):
    told = made.summary.model_copy(update={"strategies": (), "differences": ()})
    assert all(content for _, content in files(told))


def test_no_global_state_is_left(made):
    before = dict(plt.rcParams)
    list(files(made.summary))
    assert dict(plt.rcParams) == before and plt.get_fignums() == []
