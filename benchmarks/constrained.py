"""How much of JSON Schema is enforced, and what constrained decoding costs per step.

    python benchmarks/constrained.py schemas JSON-Schema-Test-Suite [--reasons]
    python benchmarks/constrained.py llama.cpp llama.cpp/tests [--reasons]
    python benchmarks/constrained.py speed MODEL.gguf

``schemas`` takes a checkout of https://github.com/json-schema-org/JSON-Schema-Test-Suite. It
compiles each schema of the drafts, and matches each instance of its tests byte by byte against the
grammar. A schema is *enforced* if all instances are classified correctly, *narrower* if some valid
instance is not allowed, *refused* if there is an error, and *wrong* if an invalid instance is
allowed. The same is measured for llama-cpp-python's converter to GBNF, which was used before, and
for xgrammar if it is installed.

``llama.cpp`` does the same with the schemas and texts of llama.cpp's own tests. jsonschema decides
which texts are valid, since those tests depend on llama.cpp's grammar and its white space.

``speed`` decodes a JSON text in sixteen samples. Each token is drawn from random logits in which
the right token is far ahead; in every eighth step, a token that isn't allowed is even further
ahead.
"""

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from llama_cpp.llama_grammar import json_schema_to_gbnf

from thinkgraph.models.backends.local import open_model
from thinkgraph.models.engine.llama.library import llama
from thinkgraph.models.engine.llama.vocabulary import Vocabulary
from thinkgraph.models.engine.sampling.constraint import Constraint, Grammars
from thinkgraph.models.engine.sampling.distribution import Distribution
from thinkgraph.models.engine.sampling.grammar import allows, check_constraint
from thinkgraph.models.engine.sampling.sampler import Candidates, Sampler
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Sampling

META = {
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
COLUMNS = ("enforced", "narrower", "refused", "wrong")
ROWS, REFUSED_EVERY = 16, 8

Allows = Callable[[Any, bytes], bool]


def by_llguidance(schema: Any, text: bytes) -> bool:
    return allows(Sampling(json_schema=schema), text)


def by_converter(schema: Any, text: bytes) -> bool:
    return allows(Sampling(grammar=json_schema_to_gbnf(json.dumps(schema))), text)


def by_xgrammar(schema: Any, text: bytes) -> bool:
    from xgrammar import Grammar  # noqa: PLC0415
    from xgrammar.testing import _is_grammar_accept_string  # noqa: PLC0415

    # By default, xgrammar allows no properties beyond those in the schema.
    grammar = Grammar.from_json_schema(json.dumps(schema), strict_mode=False)
    return bool(_is_grammar_accept_string(grammar, text.decode()))


def outcome(case: dict[str, Any], allows_text: Allows) -> tuple[str, str]:
    """Classify one schema by its instances; also return why it was refused or is wrong."""
    missed = False
    for test in case["tests"]:
        text = json.dumps(test["data"], ensure_ascii=False).encode("utf-8", "replace")
        try:
            allowed = allows_text(case["schema"], text)
        except Exception as error:
            return "refused", str(error) if isinstance(error, ModelError) else type(error).__name__
        if allowed and not test["valid"]:
            return "wrong", f"{case['description']}: {test['description']}"
        missed |= test["valid"] and not allowed
    return ("narrower" if missed else "enforced"), ""


def schemas(suite: Path, *, reasons: bool) -> None:
    contestants: dict[str, Allows] = {"llguidance": by_llguidance, "GBNF": by_converter}
    try:
        import xgrammar  # noqa: F401, PLC0415

        contestants["xgrammar"] = by_xgrammar
    except ImportError:
        print("xgrammar is not installed")
    print("| draft | by | schemas | enforced | narrower | refused | wrong |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    details: Counter[str] = Counter()
    for draft, meta in META.items():
        files = sorted((suite / "tests" / draft).glob("*.json"))
        cases = [case for file in files for case in json.loads(file.read_text(encoding="utf-8"))]
        # Skip the schemas `true` and `false`: json_schema must be a mapping.
        cases = [case for case in cases if isinstance(case["schema"], dict)]
        for case in cases:
            case["schema"].setdefault("$schema", meta)
        for name, contestant in contestants.items():
            found = [outcome(case, contestant) for case in cases]
            count = Counter(kind for kind, _ in found)
            row = [draft, name, len(cases), *(count[k] for k in COLUMNS)]
            print("| " + " | ".join(map(str, row)) + " |", flush=True)
            if name == "llguidance":
                details.update(f"{kind}: {why}" for kind, why in found if why)
    if reasons:
        for why, number in details.most_common():
            print(f"{number:4} {why}")


TEXTS = re.compile(r'R"""\((.*?)\)"""|"((?:[^"\\\n]|\\.)*)"', re.DOTALL)
"""Matches C++ string literals, raw and quoted."""


def texts(source: str) -> list[str]:
    return [raw or json.loads(f'"{quoted}"') for raw, quoted in TEXTS.findall(source)]


def llama_cpp(folder: Path, *, reasons: bool) -> None:
    """Classify the schemas of llama.cpp's own tests, with jsonschema as the reference."""
    files = ("test-grammar-integration.cpp", "test-json-schema-to-grammar.cpp")
    calls = ("test_schema(", "test({")
    print("| llama.cpp's tests | schemas | " + " | ".join(COLUMNS) + " |")
    print("| --- | ---: " + "| ---: " * len(COLUMNS) + "|")
    found: dict[str, list[list[str]]] = {}
    for name, call in zip(files, calls, strict=True):
        source = re.sub(r"(?<!:)//[^\n]*", "", (folder / name).read_text(encoding="utf-8"))
        parts = [
            part.partition("\n    );" if name == files[0] else "\n    });")[0]
            for part in source.split(f"    {call}\n")[1:]
        ]
        found[name] = [texts(part) for part in parts]
    common = {text for case in found[files[0]] for text in case[2:]}
    details: Counter[str] = Counter()
    for name in files:
        kinds: Counter[str] = Counter()
        for title, source, *own in found[name]:
            known = own if name == files[0] else sorted(common)
            kind, why = judged(title, source, known)
            kinds[kind] += 1
            details.update([f"{kind}: {why}"] if why else [])
        row = [f"`{name}`", kinds.total(), *(kinds[kind] for kind in COLUMNS)]
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
    if reasons:
        for why, number in details.most_common():
            print(f"{number:4} {why}")


def judged(title: str, source: str, instances: list[str]) -> tuple[str, str]:
    """Classify one of llama.cpp's schemas."""
    from jsonschema import Draft7Validator, SchemaError  # noqa: PLC0415
    from jsonschema.validators import validator_for  # noqa: PLC0415

    try:
        schema = json.loads(source)
        check_constraint(Sampling(json_schema=schema))
    except (ModelError, ValueError) as error:
        return "refused", str(error)
    kind, missed = validator_for(schema), False
    try:
        kind.check_schema(schema)
    except SchemaError:  # the schema is of an older draft without declaring it
        kind = Draft7Validator
    validator = kind(schema)
    for text in instances:
        try:
            valid = validator.is_valid(json.loads(text))
        except ValueError:
            valid = False
        allowed = by_llguidance(schema, text.encode())
        if allowed and not valid:
            return "wrong", f"{title}: {text}"
        missed |= valid and not allowed
    return ("narrower" if missed else "enforced"), ""


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"enum": ["old", "new"]}},
        "about": {"type": "string", "maxLength": 200},
    },
    "required": ["name", "age", "tags", "about"],
    "additionalProperties": False,
}
TEXT = json.dumps(
    {"name": "Ada", "age": 36, "tags": ["old", "new"], "about": "She wrote the first program. " * 3}
)


class NativeGrammar:
    """Constrained sampling as it was before: llama.cpp's grammar sampler checks the drawn token,
    and if that isn't allowed, the whole vocabulary."""

    def __init__(self, vocabulary: Any, candidates: Candidates) -> None:
        self._candidates = candidates
        with vocabulary.open() as pointer:
            gbnf = json_schema_to_gbnf(json.dumps(SCHEMA))
            gbnf = gbnf.replace(r'[^"\\] |', r'[^"\\\x7F\x00-\x1F] |')  # as JSON requires
            self._grammar = llama.llama_sampler_init_grammar(pointer, gbnf.encode(), b"root")

    def draw(self, sampler: Sampler, distribution: Distribution) -> int:
        token = sampler.draw(distribution, self._candidates)
        for tokens in (np.array([token]), None):
            self._candidates.fill(distribution.logits, tokens)
            llama.llama_sampler_apply(self._grammar, self._candidates._reference)
            size = self._candidates._array.size
            logits = self._candidates._logits[:size]
            if np.isfinite(logits).any():
                token = int(self._candidates._ids[:size][logits.argmax()])
                llama.llama_sampler_accept(self._grammar, token)
                return token
        raise RuntimeError("no token is allowed")


def speed(path: Path) -> None:
    vocabulary = open_model(path).engine.vocabulary
    began = time.perf_counter()
    grammars = Grammars(vocabulary)
    sampling = Sampling(json_schema=SCHEMA)
    if plan := grammars.plan(sampling):
        grammars.compile(plan)
    first = time.perf_counter() - began
    began = time.perf_counter()
    if another := grammars.plan(Sampling(json_schema={**SCHEMA, "title": "another"})):
        grammars.compile(another)
    print(f"vocabulary of {vocabulary.size}: the first grammar {first:.2f} s,", end=" ")
    print(f"another one {1e3 * (time.perf_counter() - began):.1f} ms")
    candidates = Candidates(vocabulary.size)
    print(f"| {ROWS} rows a step | drawn token allowed, ms | refused, ms |")
    print("| --- | ---: | ---: |")

    def constraints() -> list[Any]:
        return [Constraint(grammars, plan) for _ in range(ROWS)] if plan else []

    ways: dict[str, Callable[[], list[Any]]] = {
        "free": lambda: [None] * ROWS,
        "llguidance": constraints,
        "llama.cpp": lambda: [NativeGrammar(vocabulary, candidates) for _ in range(ROWS)],
    }
    for name, made in ways.items():
        spent = led(vocabulary, made(), candidates)
        means = [1e3 * float(np.median(spent[refused])) for refused in (False, True)]
        print(f"| {name} | {means[0]:.2f} | {means[1]:.2f} |")


def led(
    vocabulary: Vocabulary, constraints: list[Any], candidates: Candidates
) -> dict[bool, list[float]]:
    """The seconds of each step of the text, by whether the most likely token is refused."""
    dice = np.random.default_rng(1)
    rows = 3 * dice.standard_normal((ROWS, vocabulary.size)).astype(np.float32)
    wrong = vocabulary.tokenize("\t")[0]  # allowed neither in a string nor between values
    held = [c if isinstance(c, Constraint) else None for c in constraints]
    samplers = [Sampler(vocabulary, Sampling(), 1, c) for c in held]
    spent: dict[bool, list[float]] = {False: [], True: []}
    for step, token in enumerate(vocabulary.tokenize(TEXT)):
        refused = step % REFUSED_EVERY == REFUSED_EVERY - 1
        rows[:, token], before = 40, rows[:, token].copy()
        rows[:, wrong] = 60 if refused else -40
        distributions = [Distribution(row) for row in rows]
        began = time.perf_counter()
        for sampler, constraint, distribution in zip(
            samplers, constraints, distributions, strict=True
        ):
            if isinstance(constraint, NativeGrammar):
                drawn = constraint.draw(sampler, distribution)
            else:
                drawn = sampler.draw(distribution, candidates)
            assert drawn == token or constraint is None, step
        spent[refused].append(time.perf_counter() - began)
        rows[:, token] = before
    for sampler in samplers:
        sampler.close()
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["schemas", "llama.cpp", "speed"])
    parser.add_argument("path", type=Path, help="of the tests, or of a GGUF file")
    parser.add_argument("--reasons", action="store_true", help="why schemas were refused")
    arguments = parser.parse_args()
    if arguments.what == "speed":
        speed(arguments.path)
    elif arguments.what == "llama.cpp":
        llama_cpp(arguments.path, reasons=arguments.reasons)
    else:
        schemas(arguments.path, reasons=arguments.reasons)


if __name__ == "__main__":
    main()
