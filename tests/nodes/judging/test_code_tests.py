"""The verifier `tests`: a candidate's code in the sandbox, and the tests that it must pass."""

from typing import Any

import pytest

import thinkgraph as tg
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ThinkgraphError

pytestmark = pytest.mark.slow

pytest.importorskip("pydantic_monty")
pytest.importorskip("thinkgraph.nodes.tools.python")

GOOD = "Here it is:\n\n```python\ndef add(a, b):\n    return a + b\n```\nIt adds."
BAD = "```\ndef add(a, b):\n    return a - b\n```"
BROKEN = "def add(a, b) return"
NOSY = "```python\nopen('/etc/passwd').read()\ndef add(a, b): return a + b\n```"
TESTS = "x = 2\nassert add(x, 0) == 2\nassert add(1, 2) == 3"


def checked(replies: list[str], tests: Any = TESTS, **rest: Any) -> tg.Result:
    graph = tg.Graph("coded", inputs={"tests": tg.Input(type="list", default=[])})
    if isinstance(tests, str):
        graph = tg.Graph("coded", inputs={"tests": tg.Input(type="string", default="")})
    graph.add(
        draft=tg.Generate(samples=len(replies), extract="text"),
        check=tg.Score(verifier="tests", **rest),
        keep=tg.Select(accepted=True),
    )
    graph.edge(tg.START, "draft", "check", "keep", tg.END)
    model = ScriptedModel(replies)
    return graph.run("Write add(a, b).", model=model, seed=1, tests=tests)


def test_the_score_is_the_share_of_the_tests_that_pass() -> None:
    result = checked([BAD, GOOD, BROKEN, NOSY])
    assert not result.usage.failures
    assert [c.score for c in result.candidates] == [0.5, 1, 0, 0]
    assert [c.accepted for c in result.critiques] == [False, True, False, False]
    assert result.answer.text == GOOD
    half, all_, broken, nosy = (c.text for c in result.critiques)
    assert half.startswith("1 of 2 tests pass.") and "assert add(1, 2) == 3" in half
    assert all_ == "2 of 2 tests pass."
    assert broken.startswith("The code fails: ") and nosy.startswith("The code fails: ")


def test_tests_may_be_a_list() -> None:
    result = checked([GOOD], ["assert add(1, 1) == 2", "assert add(0, 0) == 1"])
    assert [c.score for c in result.candidates] == [0.5]
    assert result.rejected


def test_code_that_never_ends_is_ended_and_told() -> None:
    endless = "```python\ndef add(a, b):\n    while True:\n        pass\n```"
    result = checked([endless, GOOD], "assert add(1, 2) == 3", timeout=30)
    assert [c.score for c in result.candidates] == [0, 1]
    assert result.answer.text == GOOD


@pytest.mark.parametrize("tests", ["", "x = 1", "assert ("])
def test_a_spec_without_tests_is_told(tests: str) -> None:
    with pytest.raises(ThinkgraphError, match="field `tests`"):
        checked([GOOD], tests)


@pytest.mark.parametrize(
    "tricks",
    [
        "def sorted(x): return [1, 2, 3]\ndef len(x): return 3",
        "sorted = len = lambda x: x and [1, 2, 3] or 3",
        "from math import floor as sorted",
        "class sorted: pass",
        "def f(x):\n    global sorted\n    for sorted in [f]: pass\n    return x",
    ],
)
def test_code_cannot_redefine_what_the_tests_use(tricks: str) -> None:
    code = f"def f(x): return x\n{tricks}"
    result = checked([code], "assert sorted(f([3, 1, 2])) == [1, 2, 3]\nassert len(f([1])) == 3")
    assert result.rejected
    assert "The code redefines" in result.critiques[0].text
    assert "sorted, which the tests use" in result.critiques[0].text.replace("len, ", "")


def test_code_may_redefine_what_the_tests_do_not_use() -> None:
    assert not checked(["sum = 0\n\ndef add(a, b):\n    return a + b"]).rejected


@pytest.mark.parametrize(
    "trick",
    [
        "def sorted(x): return [1, 2, 3]",
        "sorted = lambda x: [1, 2, 3]",
        "eval('(sorted := lambda x: [1, 2, 3])')",
        "def f(x):\n    global sorted\n    sorted = lambda x: [1, 2, 3]",
        "def callable(x): return True",  # the sandbox has none
    ],
)
def test_code_that_redefines_what_the_tests_use_is_rejected(trick: str) -> None:
    tests = "assert sorted(f([3, 1, 2])) == [1, 2, 3]\nassert sorted([1]) == [1] or callable(f)"
    code = f"def f(x): return 0\n{trick}"
    result = checked([f"```python\n{code}\n```"], tests)
    assert [c.score for c in result.candidates] == [0]
    assert "redefines " in result.critiques[0].text


def test_a_name_may_be_redefined_that_the_tests_do_not_use_or_define_themselves() -> None:
    code = "def max(a): return a\ndef min(a): return 1\ndef add(a, b): return max(a) + b"
    tests = "def max(a): return a\nassert add(1, max(2)) == 3"
    assert [c.score for c in checked([code], tests).candidates] == [1]


def test_a_function_may_have_names_of_its_own() -> None:
    code = "def add(a, b):\n    max = a\n    return max + b"
    assert not checked([code], "assert max([add(1, 2)]) == 3").rejected
