"""The checker: reports, used graphs, graphs made in Python, and what it must not load."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from thinkgraph.graphs.catalogue import GraphNotFound, builtin_names, find
from thinkgraph.graphs.checker.check import check, check_files, check_spec, load, render
from thinkgraph.graphs.language.document import Document
from thinkgraph.graphs.language.problem import Location, Problem, SpecError
from thinkgraph.graphs.language.reference import COMMAND, errors, json_schema, language
from thinkgraph.graphs.language.rules import RULES, problem
from thinkgraph.graphs.language.spec import CHANNELS, Spec
from thinkgraph.graphs.runtime import state

ROOT = Path(__file__).parents[3]
GOOD = """\
thinkgraph: 1
name: good
nodes:
  sample: {kind: generate, samples: 8}
  vote: {kind: vote}
edges:
  - START -> sample -> vote -> END
"""


def found(text: str) -> list[Problem]:
    return check(Document.parse(text))


def codes(text: str) -> list[str]:
    return [each.code for each in found(text)]


@pytest.mark.parametrize("name", builtin_names())
def test_every_built_in_graph_has_no_problem(name: str):
    assert check(Document.read(find(name))) == []
    assert load(name).name == name


@pytest.mark.parametrize("code", [code for code, rule in RULES.items() if rule.bad])
def test_every_example_in_the_documentation_has_its_problem_and_the_mended_one_none(code: str):
    rule = RULES[code]
    assert set(codes(rule.file(rule.bad))) == {code}
    assert codes(rule.file(rule.good)) == []


def test_codes_are_only_those_that_are_documented():
    text = "".join(
        path.read_text() for path in (ROOT / "graphs").rglob("*.py") if path.name != "rules.py"
    )
    used = {word[:5] for word in text.split('"') if word[:2] == "TG" and word[2:5].isdigit()}
    assert used == RULES.keys()


@pytest.mark.parametrize(
    ("file", "text"),
    [("language.md", language), ("errors.md", errors), ("thinkgraph.schema.json", json_schema)],
)
def test_the_documentation_is_what_the_code_says(file: str, text):
    assert (ROOT / "docs" / file).read_text("utf-8") == text(), f"drifted; run {COMMAND}"


def test_the_channels_that_names_are_checked_against_are_those_of_the_state():
    assert CHANNELS >= state.CHANNELS


def test_load_raises_the_whole_report_and_takes_warnings(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(GOOD.replace("samples: 8", "smples: 8, temperature: hot"))
    with pytest.raises(SpecError) as error:
        load(path)
    assert [each.code for each in error.value.problems] == ["TG101", "TG103"]
    assert f"{path}:4:28" in str(error.value)
    assert "2 errors" in str(error.value)
    path.write_text("params: {n: 2}\n" + GOOD)
    assert [each.severity for each in check_files([path])] == ["warning"]
    assert load(path).name == "good"


def test_load_says_what_there_is_for_a_name_that_isnt_there(tmp_path):
    with pytest.raises(GraphNotFound, match="did you mean 'self-refine'"):
        load("self-refin")
    with pytest.raises(GraphNotFound, match="no file"):
        load("./nowhere.yaml")
    (tmp_path / "my-refine.yaml").write_text(GOOD)
    with pytest.raises(GraphNotFound, match=r"did you mean '.*my-refine\.yaml'"):
        load(tmp_path / "my-refin.yaml")


def test_a_file_that_isnt_there_is_a_problem_of_its_own():
    first, second = check_files(["nowhere.yaml", "self-refin"])
    assert (first.code, second.code) == ("TG001", "TG001")
    assert second.hint == "did you mean 'self-refine'?"


def test_json_is_checked_as_yaml_is():
    data = Document.parse(GOOD).data
    assert codes(json.dumps(data)) == []
    data["nodes"]["sample"]["smples"] = 3
    (only,) = found(json.dumps(data, indent=1))
    assert (only.code, only.line) == ("TG101", 8)


# Reports


def test_the_report_as_json_has_every_field_and_the_counts():
    report = json.loads(render(found(GOOD.replace("vote}", "voting}")), "json"))
    assert (report["errors"], report["warnings"]) == (1, 0)
    (only,) = report["problems"]
    assert (only["code"], only["line"], only["column"], only["end_column"]) == ("TG201", 5, 16, 22)
    assert only["hint"] == "did you mean `vote`?"


def test_the_report_as_sarif_has_rules_and_regions():
    report = json.loads(
        render(found("params: {n: 2}\n" + GOOD.replace("> vote", "> vot")), "sarif")
    )
    assert report["version"] == "2.1.0"
    (run,) = report["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["TG205", "TG212"]
    levels = {result["ruleId"]: result["level"] for result in run["results"]}
    assert levels == {"TG205": "error", "TG212": "warning"}
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        region = result["locations"][0]["physicalLocation"]["region"]
        assert region["endColumn"] > region["startColumn"]


def test_another_format_is_refused():
    with pytest.raises(ValueError, match="'xml' is not one of text, json, sarif"):
        render([], "xml")


def test_no_problems_are_told_too():
    assert render([]) == "no problems"


def test_the_mark_stands_under_wide_characters_and_tabs():
    location = Location("f", 1, 4, 1, 6, "日\t本ab c")
    lines = str(problem("TG101", "no", location)).split("\n")
    assert lines[2] == "    |   \t  ^^"


def test_a_long_line_is_shown_around_the_mark():
    source = "x" * 500 + "WRONG" + "y" * 500
    lines = str(problem("TG101", "no", Location("f", 1, 501, 1, 506, source))).split("\n")
    assert len(lines[1]) < 140
    assert lines[1][lines[2].index("^") :].startswith("WRONG")


# Used graphs


@pytest.fixture
def files(tmp_path):
    def write(**texts: str) -> Path:
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(textwrap.dedent(text))
        return tmp_path

    return write


OUTER = """\
thinkgraph: 1
name: outer
nodes:
  inner: {use: inner.yaml}
edges: START -> inner -> END
"""


def test_the_problems_of_a_used_file_are_reported_too(files):
    folder = files(outer=OUTER, inner=GOOD.replace("vote}", "voting}"))
    problems = check_files([folder / "outer.yaml"])
    assert [(each.code, Path(each.file).name) for each in problems] == [
        ("TG506", "outer.yaml"),
        ("TG201", "inner.yaml"),
    ]


def test_a_used_file_is_looked_for_beside_the_one_that_uses_it(files, monkeypatch):
    folder = files(outer=OUTER, inner=GOOD)
    monkeypatch.chdir("/")
    assert check_files([folder / "outer.yaml"]) == []


def test_graphs_that_use_each_other_are_refused(files):
    folder = files(outer=OUTER, inner=OUTER.replace("inner.yaml", "outer.yaml"))
    problems = check_files([folder / "outer.yaml"])
    assert [each.code for each in problems] == ["TG506", "TG502"]


def test_a_param_that_a_used_graph_needs_is_missed(files):
    inner = "params: {n: {type: integer, minimum: 1}}\n" + GOOD.replace("samples: 8", "samples: $n")
    folder = files(outer=OUTER, inner=inner)
    (only,) = check_files([folder / "outer.yaml"])
    assert only.code == "TG505"
    files(outer=OUTER.replace("inner.yaml}", "inner.yaml, params: {n: 3}}"))
    assert check_files([folder / "outer.yaml"]) == []


def test_the_param_of_a_used_graph_may_be_a_param(files):
    outer = "params: {n: 0}\n" + OUTER.replace(
        "inner.yaml}", "self-consistency, params: {samples: $n}}"
    )
    folder = files(outer=outer)
    assert [each.code for each in check_files([folder / "outer.yaml"])] == ["TG504"]
    files(outer=outer.replace("n: 0", "n: 4"))
    assert check_files([folder / "outer.yaml"]) == []


@pytest.mark.parametrize(
    "use", ["/etc/passwd.yaml", "../x.yaml", "https://a.b/c.yaml", "C:\\x.yaml", "a/../../x.yaml"]
)
def test_a_spec_cant_reach_files_outside_its_folder(files, use: str):
    folder = files(outer=OUTER.replace("inner.yaml", f"'{use}'"))
    assert [each.code for each in check_files([folder / "outer.yaml"])] == ["TG501"]


def test_a_link_out_of_the_folder_is_refused(files, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x.yaml"
    elsewhere.write_text(GOOD)
    folder = files(outer=OUTER)
    (folder / "inner.yaml").symlink_to(elsewhere)
    assert [each.code for each in check_files([folder / "outer.yaml"])] == ["TG501"]


# Graphs made in Python


def test_a_graph_made_in_python_gets_the_same_checks_at_its_lines():
    data = Document.parse(GOOD).data
    data["nodes"]["vote"]["kind"] = "voting"
    here = Path(__file__).read_text().splitlines()
    line = next(i for i, text in enumerate(here, 1) if "this very line" in text)
    locations = {("nodes", "vote"): (__file__, line)}
    (only,) = check_spec(data, locations)
    assert (only.code, only.file, only.line) == ("TG201", __file__, line)
    assert "this very line" in only.source
    assert "this very line" in str(only)


def test_a_graph_made_in_python_is_named_where_no_line_is_known():
    spec = Spec.model_validate({**Document.parse(GOOD).data, "edges": ["START -> sample -> END"]})
    (only,) = check_spec(spec)
    assert (only.code, only.file) == ("TG401", "<graph good>")


# More rules than one example shows


@pytest.mark.parametrize("name", ["Start", "END", "conclude", "candidates", "usage"])
def test_names_of_nodes_that_are_taken(name: str):
    assert "TG207" in codes(GOOD.replace("sample", name))


@pytest.mark.parametrize("name", ["loop", "class", "round", "score", "question", "checkpointer"])
def test_names_of_params_that_are_taken(name: str):
    assert "TG208" in codes(f"params: {{{name}: 2}}\n" + GOOD)


def test_one_name_in_two_sections_is_refused():
    text = "params: {hint: 2}\ninputs: {hint: {}}\n" + GOOD
    assert "TG208" in codes(text)


def test_a_template_may_name_params_inputs_state_and_what_the_kind_supplies():
    prompt = "{{ question }} {{ round }} {{ p }} {{ i }} {{ s }} {{ candidate }}"
    head = "params: {p: 1}\ninputs: {i: {}}\nstate: {s: {default: 0}}\n"
    one = GOOD.replace("samples: 8", "samples: 1")
    text = head + one.replace("{kind: vote}", f"{{kind: critique, prompt: {{user: '{prompt}'}}}}")
    assert codes(text) == []


def test_the_choices_of_a_param_that_is_a_prompt_are_all_looked_at():
    param = "params: {p: {default: question, choices: [question, revise]}}\n"
    (only,) = found(param + GOOD.replace("samples: 8", "prompt: $p"))
    assert only.code == "TG209"
    assert "`revise`" in only.message


def test_a_prompt_that_may_be_left_out_is_looked_at_too():
    one = GOOD.replace("samples: 8", "samples: 1")
    text = one.replace("{kind: vote}", "{kind: critique, meta: {user: '{{ critiq }}'}}")
    assert codes(text) == ["TG209"]


def test_a_default_that_names_no_prompt_is_found():
    assert codes("params: {p: qestion}\n" + GOOD.replace("samples: 8", "prompt: $p")) == ["TG210"]


def test_a_bound_that_isnt_whole_is_found():
    text = "params: {n: 1.5}\n" + GOOD.replace(
        "  - START", "  - sample -> sample: {at_most: $n}\n  - START"
    )
    assert codes(text) == ["TG210"]


def test_a_loop_with_one_bounded_edge_is_fine():
    edges = "  - sample -> sample: {when: agreement < 0.5, at_most: 2}\n  - START"
    assert codes(GOOD.replace("  - START", edges)) == []


def test_a_loop_may_be_bounded_by_what_is_repeated():
    edges = "  - sample -> sample: {when: agreement < 0.5, repeat: $n}\n  - START"
    assert codes("params: {n: 2}\n" + GOOD.replace("  - START", edges)) == []
    assert codes("params: {n: 1.5}\n" + GOOD.replace("  - START", edges)) == ["TG210"]


@pytest.mark.parametrize(
    ("nodes", "edges", "hint"),
    [
        ("a: {kind: generate, samples: 2}", "START -> a -> END", "`a -> vote -> END`"),
        (
            "a: {kind: generate}\n  b: {kind: generate}",
            "START -> [a, b] -> END",
            "`[a, b] -> vote -> END`",
        ),
        (
            "vote: {kind: generate, samples: 2}\n  c: {kind: critique}",
            "START -> vote -> c -> END",
            "`last-vote: {kind: vote}` and `c -> last-vote -> END`",
        ),
        (
            "v: {kind: vote}\n  a: {kind: generate, samples: 2}\n  r: {kind: revise}",
            "START -> a -> v -> r -> END",
            "`r -> vote -> END`",
        ),
    ],
)
def test_a_vote_that_the_spec_does_not_say_is_told_with_the_vote(nodes: str, edges: str, hint: str):
    text = f"thinkgraph: 1\nname: x\nnodes:\n  {nodes}\nedges: {edges}\n"
    (only,) = found(text)
    assert (only.code, only.severity) == ("TG415", "warning")
    assert hint in only.hint


@pytest.mark.parametrize(
    ("nodes", "edges"),
    [
        ("a: {kind: generate}", "START -> a -> END"),
        ("a: {kind: generate, samples: 2}\n  c: {kind: choose}", "START -> a -> c -> END"),
        ("a: {kind: generate, samples: 2}\n  s: {kind: synthesize}", "START -> a -> s -> END"),
        (
            "a: {kind: generate, samples: 2}\n  s: {kind: score}\n  b: {kind: select}",
            "START -> a -> s -> b -> END",
        ),
        (
            "a: {kind: generate, samples: 2}\n  v: {kind: vote}\n  c: {kind: critique}",
            "START -> a -> v -> c -> END",
        ),
        ("a: {use: self-consistency}", "START -> a -> END"),
    ],
)
def test_a_run_that_ends_with_one_answer_needs_no_vote(nodes: str, edges: str):
    assert codes(f"thinkgraph: 1\nname: x\nnodes:\n  {nodes}\nedges: {edges}\n") == []


def test_two_loops_need_two_bounds():
    edges = """\
  - sample -> sample: {at_most: 2}
  - sample -> vote
  - vote -> sample: {when: agreement < 0.5}
  - vote -> END
  - START -> sample
"""
    text = GOOD.replace("  - START -> sample -> vote -> END\n", edges)
    assert codes(text) == ["TG403"]


def test_parallel_answers_that_a_later_vote_replaces_are_fine():
    text = """\
thinkgraph: 1
name: x
nodes:
  a: {use: direct}
  b: {use: chain-of-thought}
  vote: {kind: vote}
edges: START -> [a, b] -> vote -> END
"""
    assert codes(text) == []
    unvoted = text.replace(" -> vote -> END", " -> END").replace("  vote: {kind: vote}\n", "")
    assert codes(unvoted) == ["TG404"]


def test_a_join_has_what_either_of_its_nodes_writes():
    text = """\
thinkgraph: 1
name: x
state: {plan: {}}
nodes:
  plan-it: {kind: ask, prompt: question, into: plan}
  draft: {kind: generate}
  critic: {kind: critique, prompt: {user: "{{ candidate }} {{ plan }}"}}
edges: START -> [plan-it, draft] -> critic -> END
"""
    assert codes(text) == []
    apart = "\n  - START -> [plan-it, draft]\n  - plan-it -> critic\n  - draft -> critic -> END\n"
    split = text.replace(" START -> [plan-it, draft] -> critic -> END\n", apart)
    assert set(codes(split)) == {"TG405"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("extract: text", ["TG406"]),
        ("extract: text, max_tokens: 8", []),
        ("extract: text, grammar: 'root ::= \"a\"'", []),
        ("extract: [number, text]", []),
    ],
)
def test_a_vote_over_free_text_is_found_where_texts_are_free(settings: str, expected: list[str]):
    assert codes(GOOD.replace("samples: 8", settings)) == expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("grammar: 'root ::= \"a'", "line 1, column 10"),
        ("grammar: 'root ::= \"a\"', json_schema: {}", "give one of grammar"),
        ("json_schema: {type: strnig}", "strnig"),
        ("json_schema: {properties: {a: {uniqueItems: true}}}", "#/properties/a"),
        ("grammar: $form", "no rule named root"),
        ("tagged: [{begin: <call>, json_schema: {not: {}}, end: </call>}]", "not (at #)"),
        ("constrain_after: </think>", "constrain_after"),
    ],
)
def test_a_text_that_cannot_be_constrained_is_found(settings: str, said: str):
    params = "params: {form: 'start ::= \"a\"'}\nnodes:"
    text = GOOD.replace("samples: 8", settings).replace("nodes:", params)
    [problem] = [each for each in found(text) if each.code == "TG112"]
    assert said in problem.message
    assert settings in text.splitlines()[problem.line - 1]


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("{json_schema: {type: object}}", None),
        ("{field: answer, json_schema: {type: strnig}}", "TG112"),
        ("{json_schema: {type: array, uniqueItems: true}}", "TG112"),
        ("{field: critiques, json_schema: {type: object}}", "TG217"),
        ("{field: anwser, json_schema: {type: object}}", "TG206"),
        ("{schema: {type: object}}", "TG101"),
        ("{json_schema: 5}", "TG103"),
        ("5", "TG103"),
    ],
)
def test_the_schema_of_an_output_is_checked(output: str, code: str | None):
    assert codes(f"{GOOD}output: {output}\n") == ([code] if code else [])


def test_a_misspelt_node_doesnt_make_others_unreachable():
    assert codes(GOOD.replace("-> sample ->", "-> smaple ->")) == ["TG205"]


def test_problems_are_at_most_a_hundred():
    nodes = "".join(f"  n{i}: {{kind: generate, smaples: 3, tmperature: 2}}\n" for i in range(100))
    text = f"thinkgraph: 1\nname: x\nnodes:\n{nodes}edges: START -> n1 -> END\n"
    assert len(found(text)) == 100


# What a check costs


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_a_check_loads_neither_langgraph_nor_llama_cpp():
    code = """
import sys
from thinkgraph.graphs.checker.check import check_files
assert check_files(["self-consistency"]) == []
heavy = ("langgraph", "langchain_core", "llama_cpp", "torch")
print([name for name in heavy if name in sys.modules])
"""
    assert run(code) == "[]"


def test_a_loop_or_a_join_beside_an_edge_is_no_detour():
    nodes = "thinkgraph: 1\nname: x\nnodes:\n  a: {kind: generate}\n  b: {kind: revise}\n"
    nodes += "  c: {kind: revise}\n  v: {kind: vote}\nedges:\n"
    joined = "  - START -> a -> b\n  - '[a, b] -> c -> v -> END'\n"
    looped = "  - START -> a -> c\n  - c -> b: {repeat: 2}\n  - c -> v -> END\n  - b -> c\n"
    assert codes(nodes + joined) == codes(nodes + looped) == []
