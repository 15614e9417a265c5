"""Lists that a model writes: bullets and numbers go, the numbers of a line stay."""

import pytest

from thinkgraph.nodes.kinds.ask import listed


@pytest.mark.parametrize(
    ("line", "item"),
    [
        ("1. What is 12.5% of 80?", "What is 12.5% of 80?"),
        ("12.5% of 80", "12.5% of 80"),
        ("3:30 pm is the start", "3:30 pm is the start"),
        ("-5 degrees", "-5 degrees"),
        ("- 5 apples", "5 apples"),
        ("Step 2: add", "add"),
        ("2)Then", "Then"),
        ("*important*", "*important*"),
        ("• first", "first"),
    ],
)
def test_a_line_keeps_its_own_numbers(line, item):
    assert listed(line) == [item]


@pytest.mark.parametrize(
    "text",
    [
        "Here are some short questions:\n\n1. Did 4 go?\n2. Was it 5?",
        "Sure! I would check this.\n- Did 4 go?\n- Was it 5?\n\nLet me know if you need more.",
        "Questions:\nDid 4 go?\nWas it 5?",
        "Did 4 go?\n\nWas it 5?\n",
        "1.\n1. Did 4 go?\n2. Was it 5?",
    ],
)
def test_what_is_said_around_a_list_is_no_item(text):
    assert listed(text) == ["Did 4 go?", "Was it 5?"]


@pytest.mark.parametrize(("text", "items"), [("", []), ("Nothing:", ["Nothing:"])])
def test_a_text_without_a_list_is_one_item_or_none(text, items):
    assert listed(text) == items
