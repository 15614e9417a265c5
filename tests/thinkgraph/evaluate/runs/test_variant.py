"""A strategy in a comparison: its label, its params, and what its rows depend on."""

import pytest

from thinkgraph.evaluate.runs.variant import parse_variants
from thinkgraph.fitted import Fitted
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.prompts.prompt import Prompt


def parsed(text, common=None, prompts=None):
    return parse_variants(text, common or {}, prompts or {})


def test_a_bare_number_is_another_number_of_samples():
    found = parsed("direct, self-consistency@1,4,16")
    assert [v.label for v in found] == [
        "direct",
        "self-consistency@1",
        "self-consistency@4",
        "self-consistency@16",
    ]
    assert [v.params.get("samples") for v in found] == [None, 1, 4, 16]


def test_params_may_follow_a_label():
    (found,) = parsed("best-of-n@4:scorer=judge:temperature=0.5")
    assert found.graph == "best-of-n"
    assert found.params == {"samples": 4, "scorer": "judge", "temperature": 0.5}


def test_params_go_on_to_the_next_number():
    found = parsed("self-consistency@2:stop=decided,4")
    assert [(v.params["samples"], v.params["stop"]) for v in found] == [
        (2, "decided"),
        (4, "decided"),
    ]


def test_common_params_go_to_those_who_have_them():
    found = parsed("direct,self-consistency@2", {"top_p": "0.9"})
    assert [v.params.get("top_p") for v in found] == [None, 0.9]


@pytest.mark.parametrize(
    ("text", "common", "says"),
    [
        ("", {}, "--graphs names no strategy"),
        ("direct,direct", {}, "--graphs names 'direct' twice"),
        ("dirct", {}, "direct"),
        ("direct@4", {}, "has no param 'samples'"),
        ("self-consistency@0", {}, "less than 1"),
        ("self-consistency@4:sampels=2", {}, "did you mean 'samples'"),
        (
            "direct,self-consistency@2",
            {"sampels": "2"},
            "-p sampels: none of the strategies has this param; did you mean 'samples'?",
        ),
        ("direct", {"x": "2"}, "they have .*max_tokens"),
        ("@4", {}, "write GRAPH"),
    ],
)
def test_what_is_wrong_is_said(text, common, says):
    with pytest.raises(ThinkgraphError, match=says.replace("[", r"\[")):
        parsed(text, common)


def test_two_params_files_of_one_strategy_have_labels_of_their_own():
    """By its label a row is found: one's would count for both."""
    files = [Fitted(strategy="direct", params={"max_tokens": n}) for n in (20, 40)]
    found = parse_variants("direct", {}, {}, files=files)
    assert [each.label for each in found] == ["direct", "direct (fitted)", "direct (fitted 2)"]
    with pytest.raises(ThinkgraphError, match=r"--params names 'direct \(fitted\)' twice"):
        parse_variants("direct", {}, {}, files=[files[0], files[0]])


def test_a_model_that_is_named_twice_is_refused():
    with pytest.raises(ThinkgraphError, match=r"--model names 'a\.gguf' twice"):
        parse_variants("direct", {}, {}, models=["a.gguf", "b.gguf", "a.gguf"])


def test_the_digest_depends_on_what_the_answers_depend_on(tmp_path):
    spec = tmp_path / "mine.yaml"
    lines = [
        "thinkgraph: 1",
        "name: mine",
        "about: {about}",
        "nodes:",
        "  draft: {{kind: generate, temperature: {temperature}}}",
        "edges: START -> draft -> END",
    ]

    def of(about="one", temperature=0.5, prompts=None, common=None):
        spec.write_text("\n".join(lines).format(about=about, temperature=temperature))
        return parsed(str(spec), common, prompts)[0].digest

    assert of() == of(about="two")
    assert of() != of(temperature=0.6)
    assert of() != of(prompts={"question": Prompt(user="Say: {{ question }}")})


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("self-consistency@1,4,8:temperature=0.4", [(1, 0.4), (4, 0.4), (8, 0.4)]),
        ("self-consistency@2:temperature=0.1,4", [(2, 0.1), (4, 0.1)]),
        ("self-consistency@2,4:temperature=0.1,8:temperature=0.2", [(2, 0.1), (4, 0.1), (8, 0.2)]),
    ],
)
def test_a_param_after_a_list_of_numbers_holds_for_all_of_them(text, labels):
    found = parsed(text)
    assert [(v.params["samples"], v.params["temperature"]) for v in found] == labels


def test_each_model_is_asked_by_each_strategy():
    found = parse_variants("direct,self-consistency@2", {}, {}, models=["a/x.gguf", "y"])
    assert [(v.label, v.model) for v in found] == [
        ("direct (x)", "a/x.gguf"),
        ("self-consistency@2 (x)", "a/x.gguf"),
        ("direct (y)", "y"),
        ("self-consistency@2 (y)", "y"),
    ]


def test_an_extractor_is_set_where_the_graph_sets_none():
    (found,) = parse_variants("direct", {}, {}, extract="text")
    assert found.load().spec.nodes["reply"].settings["extract"] == "text"
    assert found.digest != parsed("direct")[0].digest


@pytest.mark.parametrize(("own", "used"), [("auto", "text"), ("final", "final")])
def test_a_node_keeps_an_extractor_of_its_own_other_than_auto(own, used, tmp_path):
    spec = tmp_path / "mine.yaml"
    spec.write_text(
        "thinkgraph: 1\nname: mine\nnodes:\n"
        f"  draft: {{kind: generate, extract: {own}}}\nedges: START -> draft -> END\n"
    )
    (found,) = parsed(str(spec))
    assert found.load("text").spec.nodes["draft"].settings["extract"] == used


def test_the_graphs_that_a_graph_uses_find_answers_alike():
    (found,) = parsed("router")
    inner = found.load("yes-no").specs["self-consistency"].nodes
    assert [n.settings["extract"] for n in inner.values() if n.kind == "generate"] == ["yes-no"]
