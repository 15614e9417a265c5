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
