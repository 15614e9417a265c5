"""The code in a model's text."""

import pytest

from thinkgraph.nodes.code_blocks import code_of
from thinkgraph.nodes.kinds.calculate import program


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Here:\n\n```python\nprint(1)\n```\nIt prints.", "print(1)\n"),
        ("```Python\nprint(1)\n```", "print(1)\n"),
        ("```python3\nprint(1)\n```", "print(1)\n"),
        ("```\nprint(1)\n```", "print(1)\n"),
        ("```py\na = 1\n```\nand\n```python\nb = 2\n```", "a = 1\n\nb = 2\n"),
        ("```text\nprose\n```\n```python\nprint(1)\n```", "print(1)\n"),
        ("```python\nprint(7)\n```\nThe output is\n```\n7 apples\n```\n", "print(7)\n"),
        ("```python\nprint(7)\n```output\n7\n```\n", "print(7)\n"),
        ("```python\nprint(7)\n", "print(7)\n"),
        ("Run ```python\nprint(7)```\nnow", "print(7)"),
        ("1. So:\n   ```python\n   if 1:\n       print(7)\n   ```", "if 1:\n    print(7)\n"),
        ("print(1)", "print(1)"),
    ],
)
def test_the_code_is_what_is_marked_as_python_or_else_what_is_fenced(text, code):
    assert code_of(text) == code
    assert program(text) == code
