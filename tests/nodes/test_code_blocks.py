"""The code in a model's text."""

import pytest

from thinkgraph.nodes.code_blocks import code_of, last_block
from thinkgraph.nodes.kinds.calculate import program

CODE = "print(2 + 3)\n"


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


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{CODE}```",
        f"```Python\n{CODE}```",
        f"```python3\n{CODE}```",
        f'```PY title="a.py"\n{CODE}```',
        f"``` python\n{CODE}```",
        f"```tool_code\n{CODE}```",
        f"```\n{CODE}```",
        f"Here:\n\n```\n{CODE}",
        f"1. Run it: ```python\n{CODE}```\nIt prints 5.",
        f"1. Run it:\n\n   ```python\n   {CODE}   ```\n",
        f"```text\nWe add them.\n```\n```python\n{CODE}```",
        f"```python\n{CODE}```\nThe output is\n```\n7 apples\n```\n",
        f"```python\n{CODE}```output\n5\n```\nIt is 5.",
        f"```\n{CODE}```output\n5\n```",
        "```python\nprint(2 + 3)\n``` prints 5, and `x` is ```inline```.",
    ],
)
def test_the_code_is_what_stands_in_blocks_of_python(text: str) -> None:
    assert code_of(text).strip() == CODE.strip()


def test_several_blocks_are_one_program() -> None:
    assert code_of("```py\na = 1\n```\nand\n```python\nb = 2\n```") == "a = 1\n\nb = 2\n"
    assert code_of("```\na = 1\n```\nand\n```\nb = 2\n```") == "a = 1\n\nb = 2\n"


def test_fences_within_a_line_of_code_are_code() -> None:
    code = "print('```' + 'x')\n"
    assert code_of(f"```python\n{code}```") == code


@pytest.mark.parametrize("text", ["a = 1", "say ```a``` now", "```bash\nls\n```", "```", ""])
def test_a_text_without_such_a_block_is_all_code(text: str) -> None:
    assert code_of(text) == text


@pytest.mark.parametrize("end", ["", "```", "```\n", "  ```  \n\n"])
@pytest.mark.parametrize("label", ["python", "Python", "python3", "py", "tool_code"])
def test_a_text_may_end_with_a_block(label: str, end: str) -> None:
    found = last_block(f"```python\na\n```\n```output\n1\n```\nSo:\n```{label}\n{CODE}{end}")
    assert found and found["code"].strip() == CODE.strip()


def test_a_text_may_end_with_a_block_without_a_label() -> None:
    found = last_block(f"So:\n```\n{CODE}```\n")
    assert found and found["code"] == CODE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "```python\na\n```\nIt is 5",
        "```text\na\n```",
        "```python\na\n```\nSo:\n```\n5\n```",
        "```python\na\n```output\n1\n```\n",
    ],
)
def test_a_text_that_does_not_end_with_one(text: str) -> None:
    assert last_block(text) is None
