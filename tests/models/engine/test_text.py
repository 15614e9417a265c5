"""Text is never broken: neither within a character, nor at a stop string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.models.engine.text import TextStream


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]


@given(st.text(), st.lists(st.integers(1, 5)))
def test_characters_come_out_whole_however_their_bytes_are_cut(text, sizes):
    stream, seen = TextStream(), ""
    for piece in cut(text.encode(), sizes):
        stream.add(piece)
        seen += stream.take().text
        assert text.startswith(seen)
    stream.close()
    assert seen + stream.take().text == stream.text == text


def test_an_unfinished_character_at_the_end_is_dropped():
    stream = TextStream()
    stream.add(b"ok " + "😀".encode()[:2])
    stream.close()
    assert stream.text == "ok "


@given(
    st.text("abx", max_size=30),
    st.lists(st.text("abx", min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.integers(1, 4)),
)
def test_text_ends_before_the_first_stop_string_that_is_complete(text, stops, sizes):
    stream, seen, given_so_far = TextStream(tuple(stops)), "", ""
    for piece in cut(text.encode(), sizes):
        given_so_far += piece.decode()
        stream.add(piece)
        seen += stream.take().text
        if stream.stopped:
            break
    stream.close()
    seen += stream.take().text
    found = [given_so_far.find(s) for s in stops if s in given_so_far]
    assert stream.stopped == bool(found)
    assert seen == stream.text == (given_so_far[: min(found)] if found else text)


@pytest.mark.parametrize(("stop", "held"), [("END", "EN"), ("\n\n", "\n"), ("aab", "aa")])
def test_what_may_begin_a_stop_string_is_held_back(stop, held):
    stream = TextStream((stop,))
    stream.add(("text" + held).encode())
    assert stream.take().text == "text"
    stream.add(b"!")
    assert stream.take().text == held + "!"


def test_an_empty_stop_string_is_none():
    stream = TextStream(("",))
    stream.add(b"text")
    assert stream.text == "text"
    assert not stream.stopped


@given(st.text("ab\n ", max_size=20), st.lists(st.integers(1, 3)))
def test_a_stop_string_after_text_ends_no_blank_line(text, sizes):
    stream = TextStream(("\n",), after_text=True)
    for piece in cut(text.encode(), sizes):
        stream.add(piece)
        if stream.stopped:
            break
    stream.close()
    said = text.lstrip()
    blank = text[: len(text) - len(said)]
    assert stream.stop_text == ("\n" if "\n" in said else "")
    assert stream.text == blank + said.partition("\n")[0]
