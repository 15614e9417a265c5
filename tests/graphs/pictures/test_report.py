"""The page of a run: all of it is there, nothing of it is obeyed, nothing else is loaded."""

from html.parser import HTMLParser
from typing import Any

import pytest

import thinkgraph as tg
from thinkgraph.graphs.pictures.report import reproduce, to_html
from thinkgraph.graphs.runtime.result import Result
from thinkgraph.models.backends.scripted import ScriptedModel

HOSTILE = "</pre></details><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 7 }}"
VOID = {"meta", "input", "rect", "path", "link", "br", "img"}


class Page(HTMLParser):
    """Every element with its attributes, and the text that a reader sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.open = "", []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def seen(self) -> str:
        return " ".join(self.text.split())


def refined(*, first: str = "The answer is 6.", review: str = "One too many.") -> Result:
    graph = tg.Graph("refine", params={"rounds": 2})
    graph.add(draft=tg.Generate(), critic=tg.Critique(), revise=tg.Revise())
    graph.edge(tg.START, "draft", "critic")
    graph.edge("critic", "revise", when="!accepted", at_most="$rounds")
    graph.edge("critic", tg.END)
    graph.edge("revise", "critic")
    replies = [first, review, "The answer is 5.", "Right."]
    model = ScriptedModel(replies, choices=[[0.1, 0.9], [0.9, 0.1]])
    return graph.run("What is 2 + 3?", model=model, seed=1)


def voted(*answers: str, **settings: Any) -> Result:
    replies = [f"The answer is {answer}." if answer else "I can't tell." for answer in answers]
    model = ScriptedModel(replies)
    vote = tg.load("self-consistency")
    return vote.run("How many?", model=model, seed=7, samples=len(replies), **settings)


def cards_of(page: Page) -> list[dict[str, str | None]]:
    """The folded cards of the candidates, without those of the requests."""
    return [found for found in page.all("details") if found["class"] != "request"]


def test_tells_the_question_the_answer_and_the_cost() -> None:
    result = refined()
    seen = Page(to_html(result)).seen
    for words in ("What is 2 + 3?", "Answer 5", "seed 1", "scripted", "Model calls 6"):
        assert words in seen
    assert f"Sampled tokens {result.usage.completion_tokens}" in seen


def test_shows_the_vote_as_bars() -> None:
    page = Page(to_html(voted("13", "13", "13", "12", "")))
    bars = [a["style"] for a in page.all("span") if a.get("class") == "bar" and a["style"]]
    assert bars[:2] == ["width: 100.0%", "width: 33.3%"]
    assert "13 3 12 1 no answer 1" in page.seen
    assert "3 of 5 candidates agree" in page.seen


def test_marks_the_answer_that_was_taken_where_it_is_not_the_commonest() -> None:
    page = to_html(voted("1", "1", "7", "8", "9", combine="median"))
    (winner,) = [line for line in page.splitlines() if 'class="what wins"' in line]
    assert ">7<" in winner


def test_tells_what_votes_weigh_where_they_are_not_equal() -> None:
    result = voted("13", "13", "12")
    first, *rest = result.answer.tally.classes
    tally = result.answer.tally.model_copy(
        update={"classes": (first.model_copy(update={"weight": 1.25}), *rest)}
    )
    answer = result.answer.model_copy(update={"tally": tally})
    assert "2 (1.25)" in Page(to_html(result.model_copy(update={"answer": answer}))).seen


def test_a_candidate_has_its_parent_its_critique_and_its_facts() -> None:
    result = refined()
    page = Page(to_html(result))
    seen = page.seen
    draft, revision = result.candidates
    assert "written from draft.0.0" in seen
    assert "led to revise.0.0" in seen
    assert "critic.0.0 rejected p = 0.10" in seen
    assert f"seed {draft.seed}" in seen
    assert f"tokens {revision.tokens}" in seen
    links = {a["href"] for a in page.all("a")}
    assert links == {"#c0", "#c1"}
    assert {a["id"] for a in cards_of(page)} == {"c0", "c1"}


def test_opens_the_candidate_that_gave_the_answer_alone() -> None:
    cards = cards_of(Page(to_html(refined())))
    assert ["open" in card for card in cards] == [False, True]


def test_every_filter_picks_the_candidates_that_it_counts() -> None:
    page = Page(to_html(voted("13", "13", "12", "", "12")))
    style = to_html(voted("13", "13", "12", "", "12"))
    classes = [set((card["class"] or "").split()) for card in cards_of(page)]
    for name, count in {"mute": 1, "bar0": 2, "bar1": 2, "bar2": 1}.items():
        assert sum(name in found for found in classes) == count
        assert f"body:has(#f-{name}:checked) details:not(.{name})" in style
        assert any(a["id"] == f"f-{name}" for a in page.all("input"))
    assert "all 5 no answer 1" in page.seen


def test_draws_the_path_with_its_counts() -> None:
    page = to_html(refined())
    drawing = page[page.index("<svg") : page.index("</svg>")]
    assert "×2" in drawing
    assert "at most 2" in drawing
    assert "edge taken" in drawing


def test_tells_what_each_run_of_a_node_spent() -> None:
    result = refined()
    seen = Page(to_html(result)).seen
    for name, usage in result.nodes.items():
        assert f"{name} {usage.model_calls} {usage.prompt_tokens}" in seen


def test_tells_that_a_run_was_cut_short() -> None:
    assert "Cut short" not in Page(to_html(voted("13", "13"))).seen
    result = voted("13", "13", "13", budget={"tokens": 5})
    assert result.cut
    assert f"Cut short: {result.cut}" in Page(to_html(result)).seen


def test_shows_the_text_where_there_is_no_answer() -> None:
    page = Page(to_html(voted("")))
    assert "No comparable answer was found; the text is I can't tell." in page.seen


@pytest.mark.parametrize("result", [refined(first=HOSTILE), refined(review=HOSTILE)])
def test_what_a_model_wrote_is_text_and_nothing_else(result: Result) -> None:
    page = Page(to_html(result))
    assert HOSTILE in page.seen
    assert "49" not in page.seen
    assert not page.all("script")
    assert not page.all("img")
    assert not any(name.startswith("on") for _, found in page.elements for name in found)
    assert len(cards_of(page)) == 2


def test_what_a_user_wrote_is_text_and_nothing_else() -> None:
    question = f"{HOSTILE}\" onmouseover='x'"
    replies = ["The answer is \\boxed{</style><script>}"]
    result = tg.load("direct").run(question, model=ScriptedModel(replies), seed=1)
    page = Page(to_html(result))
    assert question in page.seen
    assert not page.all("script")
    assert not any(name.startswith("on") for _, found in page.elements for name in found)


def test_loads_nothing_and_allows_nothing_to_be_loaded() -> None:
    page = to_html(refined())
    found = Page(page)
    assert not [a for _, a in found.elements if "src" in a or "srcset" in a]
    assert all((a["href"] or "").startswith("#") for a in found.all("a"))
    assert not found.all("link")
    assert "url(" not in page
    policy = [a["content"] for a in found.all("meta") if "http-equiv" in a]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_a_stored_result_gives_the_same_page() -> None:
    result = refined()
    assert to_html(Result.model_validate_json(result.model_dump_json())) == to_html(result)


def test_a_result_without_its_spec_has_a_page_without_a_drawing() -> None:
    page = to_html(refined().model_copy(update={"spec": None}))
    assert "<svg" not in page
    assert "draft.0.0" in page


class TestReproduce:
    def test_names_what_differs_from_the_defaults(self) -> None:
        assert reproduce(voted("13", "13")) == (
            "thinkgraph run self-consistency 'How many?' --model scripted --seed 7 -p samples=2"
        )

    def test_a_question_is_never_taken_for_an_option(self) -> None:
        result = tg.load("direct").run("-2 + 3?", model=ScriptedModel(["1"]), seed=1)
        assert reproduce(result) == "thinkgraph run direct --model scripted --seed 1 -- '-2 + 3?'"

    def test_names_models_by_role_and_inputs(self) -> None:
        graph = tg.Graph("told", inputs={"style": tg.Input(default=""), "strict": tg.Input()})
        graph.add(draft=tg.Generate(), critic=tg.Critique(model="critic"))
        graph.edge(tg.START, "draft", "critic", tg.END)
        critic = ScriptedModel(["Fine."], choices=[[9, 1]], name="judge")
        draft, models = ScriptedModel(["5"]), {"critic": critic}
        result = graph.run("?", model=draft, models=models, seed=1, strict=True, style="brief")
        assert reproduce(result) == (
            "thinkgraph run told.yaml '?' --model scripted --seed 1 --role critic=judge "
            "-p style=brief -p strict=true"
        )

    def test_quotes_for_a_shell(self) -> None:
        result = tg.load("direct").run("It's $5; rm -rf", model=ScriptedModel(["5"]), seed=1)
        assert "'It'\"'\"'s $5; rm -rf'" in reproduce(result)
