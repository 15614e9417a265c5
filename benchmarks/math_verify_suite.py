"""How well does equality by value agree with the test suite of Math-Verify?

    git clone https://github.com/huggingface/Math-Verify
    python benchmarks/math_verify_suite.py Math-Verify/tests

Reads every parametrized case (right answer, model's text, verdict) of the suite's files without
running them, extracts the answers from both texts as `compare` does, and compares them. Prints the
agreement, and each case with a different verdict.
"""

import argparse
import ast
import re
from pathlib import Path
from typing import Any

from thinkgraph.nodes.answers import equal, extract

FILES = ["all", "boxed", "numina_cases", "open_thoughts", "strict", "yujianll"]


def pairs(path: Path) -> list[tuple[str, str, bool]]:
    """The cases of one file as `(gold, pred, expected)`, whatever their order there."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "parametrize"):
            continue
        names = [name.strip() for name in ast.literal_eval(node.args[0]).split(",")]
        for case in getattr(node.args[1], "elts", []):
            try:
                values: dict[str, Any] = dict(zip(names, map(constant, case.elts), strict=True))
            except (ValueError, AttributeError):
                continue
            verdict = values.get("expected", values.get("result"))
            if verdict is not None and values.get("strict", True):
                found.append((values["gold"], values["pred"], bool(verdict)))
    return found


def constant(node: ast.expr) -> Any:
    """The value of a literal; raises for f-strings, whose value isn't known without running."""
    return ast.literal_eval(node)


def answer(text: str) -> str:
    """The answer in a text; a right answer between dollars is taken whole."""
    bare = re.fullmatch(r"\s*(?:\${1,2}[^$]*\${1,2}|[^a-z]*)\s*", text)
    return text if bare and "\\boxed" not in text else extract(text) or ""


def main() -> None:
    """Print the agreement and the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tests", type=Path, help="the folder of Math-Verify's tests")
    arguments = parser.parse_args()
    every = [pair for name in FILES for pair in pairs(arguments.tests / f"test_{name}.py")]
    differing = [
        (gold, text, wanted)
        for gold, text, wanted in every
        if equal(answer(gold), answer(text)) != wanted
    ]
    agreeing = len(every) - len(differing)
    print(f"{agreeing} of {len(every)} pairs agree ({agreeing / len(every):.1%}); differing:")
    for gold, text, wanted in differing:
        print(f"- wanted {wanted}: {answer(gold)!r} and {answer(text)!r}")


if __name__ == "__main__":
    main()
