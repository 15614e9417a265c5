"""critique: the verdict that is read from a review's text."""

import pytest

from thinkgraph.nodes.kinds.critique import Critique


@pytest.mark.parametrize(
    ("review", "accepts"),
    [
        ("It is correct.", True),
        ("This is not correct.", False),
        ("It isn't correct.", False),
        ("The sum is not wrong.", True),
        ("At first wrong, in the end correct", True),
        ("I can't say.", False),
    ],
)
def test_a_negated_verdict_is_the_other(review, accepts):
    assert Critique(verdict="text")._says_accept(review) is accepts
