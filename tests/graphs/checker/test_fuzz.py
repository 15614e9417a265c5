"""Whatever a file holds, the checker reports it, in a bounded time and memory."""

from __future__ import annotations

import random
import string
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thinkgraph.graphs.catalogue import builtin_names, find
from thinkgraph.graphs.checker.check import check, render
from thinkgraph.graphs.language.document import MAX_BYTES, Document
from thinkgraph.graphs.language.dump import dump
from thinkgraph.graphs.language.json_schema import schema
from thinkgraph.graphs.language.problem import Problem
from thinkgraph.graphs.language.rules import RULES
from thinkgraph.graphs.language.spec import Spec

SCHEMA = schema()
SLOW = settings(deadline=2000, suppress_health_check=list(HealthCheck), max_examples=150)


pytestmark = pytest.mark.slow


def checked(text: str) -> list[Problem]:
    """The problems of a text; each must be one that can be shown, at a place in the text."""
    document = Document.parse(text)
    problems = check(document)
    for each in problems:
        assert each.code in RULES
        assert 1 <= each.line <= len(document.lines)
        assert 1 <= each.column <= len(document.lines[each.line - 1]) + 2
    for form in ("text", "json", "sarif"):
        assert render(problems, form)
    if document.data is not None and not any(each.severity == "error" for each in problems):
        spec = Spec.model_validate(document.data)
        assert Spec.model_validate(Document.parse(dump(spec.plain)).data) == spec
    return problems


def of(found: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Data of which a schema says that its form is right."""
    if "$ref" in found:
        return of(SCHEMA["$defs"][found["$ref"].rpartition("/")[2]], depth)
    if "const" in found:
        return st.just(found["const"])
    if "enum" in found:
        return st.sampled_from(found["enum"])
    if "anyOf" in found:
        return st.one_of([of(each, depth) for each in found["anyOf"]])
    kinds = found.get("type", "string")
    if isinstance(kinds, list):
        return st.one_of([of({"type": kind}) for kind in kinds])
    return _TYPES[kinds](found, depth)


def mapping(found: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    if "patternProperties" in found:
        ((pattern, value),) = found["patternProperties"].items()
        least, most = found.get("minProperties", 0), found.get("maxProperties", 4)
        keys = st.from_regex(pattern, fullmatch=True) if "->" in pattern else NAMES
        return st.dictionaries(keys, of(value, depth + 1), min_size=least, max_size=min(most, 4))
    properties = found.get("properties", {})
    required = {name: of(properties[name], depth + 1) for name in found.get("required", ())}
    optional = {n: of(each, depth + 1) for n, each in properties.items() if n not in required}
    chosen = st.sets(st.sampled_from(sorted(optional)), max_size=3) if optional else st.just(set())
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries(required | {n: optional[n] for n in sorted(names)})
    )


def sequence(found: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    items = of(found.get("items", {"type": "string"}), depth + 1)
    return st.lists(items, min_size=found.get("minItems", 0), max_size=4)


def number(found: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    least = found.get("minimum", found.get("exclusiveMinimum", -5))
    most = found.get("maximum", found.get("exclusiveMaximum", max(least, 0) + 50))
    if found["type"] == "integer":
        return st.integers(int(least), int(most))
    return st.floats(
        least,
        most,
        exclude_min="exclusiveMinimum" in found,
        exclude_max="exclusiveMaximum" in found,
    )


NAMES = st.sampled_from(["a", "b", "draft", "vote", "n", "rounds"])
CHAINS = st.lists(
    st.sampled_from(["START", "END", "a", "b", "draft", "vote", "[a, b]", "[]", "[a", ""]),
    min_size=2,
    max_size=5,
).map(" -> ".join)


def text(found: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    pattern = found.get("pattern", "")
    if "->" in pattern:
        return CHAINS
    if pattern.startswith("^\\$"):
        return st.sampled_from(["$n", "$rounds", "$a"])
    if pattern:
        return NAMES
    return st.sampled_from(["x", "!accepted", "live > 1", "{{ question }}", "{{ n }}", "direct"])


_TYPES = {
    "object": mapping,
    "array": sequence,
    "integer": number,
    "number": number,
    "string": text,
    "boolean": lambda found, depth: st.booleans(),
    "null": lambda found, depth: st.none(),
}
SPECS = of(SCHEMA)


@SLOW
@given(SPECS)
def test_specs_made_from_the_schema_are_checked(data: Any):
    checked(dump(data))


@SLOW
@given(SPECS, st.randoms(use_true_random=False))
def test_specs_made_from_the_schema_and_damaged_are_checked(data: Any, chance: random.Random):
    for _ in range(chance.randint(1, 3)):
        data = damaged(data, chance)
    checked(dump(data))


def damaged(data: Any, chance: random.Random) -> Any:
    """The data with one thing in it renamed, dropped, doubled or replaced."""
    odd = chance.choice(
        [None, True, -1, 1e300, "", "$", "$x", "->", [], {}, [[[]]], {"a": {}}, "é"]
    )
    if not isinstance(data, dict | list) or not data or chance.random() < 0.2:
        return odd
    if isinstance(data, list):
        at = chance.randrange(len(data))
        return [damaged(item, chance) if i == at else item for i, item in enumerate(data)]
    key = chance.choice(list(data))
    rest = {name: value for name, value in data.items() if name != key}
    if chance.random() < 0.2:
        return rest
    name = key[:-1] + "x" if chance.random() < 0.2 else key
    return {**rest, name: damaged(data[key], chance)}


BUILT_IN = [find(name).read_text("utf-8") for name in builtin_names()]


@SLOW
@given(st.sampled_from(BUILT_IN), st.randoms(use_true_random=False))
def test_built_in_graphs_with_damaged_text_are_checked(source: str, chance: random.Random):
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(source))
        piece = chance.choice([*"{}[]:,&*!|>-'\"#%@`\t\n $?", "\x85", "\u2028", "<<: ", "- ", "é"])
        cut = chance.choice([0, 1, 1, 5, 40])
        source = source[:at] + piece * chance.choice([0, 1, 1, 30]) + source[at + cut :]
    checked(source)


@SLOW
@given(st.text(max_size=400))
def test_any_text_is_checked(source: str):
    checked(source)


@SLOW
@given(st.binary(max_size=400))
def test_any_bytes_are_checked(content: bytes):
    document = Document("bytes")
    document._decode(content)
    check(document)


yaml_like = st.text(alphabet=[*"ab:-[]{},&*!|>'\"#%@? \n", "\t"], max_size=200)


@SLOW
@given(yaml_like)
def test_any_text_of_the_signs_of_yaml_is_checked(source: str):
    checked(source)


def bombs() -> dict[str, str]:
    """Texts as long as are read (and one that is longer), made to be costly."""
    chance = random.Random(1)
    names = [f"n{i}" for i in range(128)]
    nodes = "".join(f"  {name}: {{kind: generate}}\n" for name in names)
    head = "thinkgraph: 1\nname: x\n"
    every = ", ".join(names[:60])
    aliases = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 900))
    return {
        "aliases": "a0: &a0 [x]\n" + aliases,
        "depth": "[" * MAX_BYTES,
        "mappings": "{a: " * (MAX_BYTES // 5),
        "indentation": "".join(" " * i + "a:\n" for i in range(500)),
        "question marks": "? " * (MAX_BYTES // 2 - 1),
        "unknown fields": "".join(f"k{i}: 1\n" for i in range(MAX_BYTES // 12)),
        "unknown settings": head
        + "nodes:\n  a: {kind: generate, "
        + ", ".join(f"k{i}: 1" for i in range(9000))
        + "}\nedges: START -> a -> END\n",
        "the same key": "a: 1\n" * (MAX_BYTES // 5 - 1),
        "one line": "a: " + "b " * (MAX_BYTES // 2 - 2),
        "quotes": "a: '" + "''" * (MAX_BYTES // 2 - 4) + "'",
        "digits": "a: " + "9" * (MAX_BYTES - 10),
        "edges": head + f"nodes:\n{nodes}edges:\n" + f"  - '[{every}] -> [{every}]'\n" * 200,
        "unknown nodes": head
        + f"nodes:\n{nodes}edges:\n"
        + "".join(f"  - q{i} -> r{i} -> s{i}\n" for i in range(500)),
        "a dense graph": head
        + f"nodes:\n{nodes}edges:\n"
        + "".join(f"  - {chance.choice(names)} -> {chance.choice(names)}\n" for i in range(500)),
        "a wide fork": head
        + f"nodes:\n{nodes.replace('generate', 'vote')}edges:\n"
        + "".join(f"  - START -> {name} -> END\n" for name in names),
        "conditions": head
        + f"nodes:\n{nodes}edges:\n"
        + "".join(f"  - a -> b: {{when: 'live > {i} && acepted{i}'}}\n" for i in range(500)),
        "templates": head
        + "nodes:\n"
        + "".join(
            f"  t{i}: {{kind: generate, prompt: {{user: '{i} {'{{ x }}' * 90}'}}}}\n"
            for i in range(120)
        )
        + "edges: START -> t1 -> END\n",
        "a template of brackets": head
        + "nodes:\n  a: {kind: generate, prompt: {user: '{{ "
        + "(" * 50_000
        + "'}}\nedges: START -> a -> END\n",
        "a megabyte": "a: 1\n" * 200_000,
        "random letters": "".join(chance.choices(string.printable, k=MAX_BYTES - 100)),
    }


@pytest.mark.parametrize("name", bombs())
def test_no_text_takes_long(name: str, tmp_path):
    """In a process of its own, whose memory is limited to 200 MB above what it has loaded.

    The bound on time is ten times what is promised, so that a busy machine doesn't fail it;
    ``pytest -rP -k no_text_takes_long`` shows what each text took.
    """
    path = tmp_path / "bomb.yaml"
    path.write_text(bombs()[name], encoding="utf-8")
    code = """
        import resource, sys, time
        from thinkgraph.graphs.checker.check import check_files, render
        check_files(["self-refine"])  # everything is loaded now
        pages = int(open("/proc/self/statm").read().split()[0])
        most = pages * resource.getpagesize() + 200_000_000
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
        began = time.process_time()
        report = render(problems := check_files([sys.argv[1]]))
        took = time.process_time() - began
        print(f"{took:.2f} s, {len(problems)} problems, {len(report)} characters")
        assert problems and len(problems) <= 101
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    print(name, done.stdout)
