"""The page of a comparison: all of it is there, nothing of it is obeyed, nothing else is loaded."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from thinkgraph.evaluate.results.page import to_data, to_html
from thinkgraph.models.model import Message

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
OPENER = """
const open = () => document.querySelectorAll("details:not([open])").forEach((x) => (x.open = true));
let left = 8; const timer = setInterval(() => { open(); if (!--left) clearInterval(timer); }, 20);
"""


class Page(HTMLParser):
    """Every element with its attributes, its scripts, and the text that a reader sees."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.scripts, self.inside, self.text = [], [], None, ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside = tag if tag in {"script", "style"} else None
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = None
        self.text += " "

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] += data
        elif not self.inside:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def seen(self):
        return " ".join(self.text.split())

    @property
    def data(self):
        return json.loads(self.scripts[0])


@pytest.fixture(scope="session")
def page(made):
    return Page(to_html(*made))


@pytest.fixture(scope="session")
def attacked(hostile):
    return Page(to_html(*hostile))


def rendered(page, tmp_path, *, script="", fragment=""):
    """What a real browser makes of it; a script of the test's is let in by lifting the policy."""
    if script:
        page = re.sub(r'<meta http-equiv="Content-Security[^>]*>', "", page)
        page = page.replace("</body>", f"<script>{script}</script></body>")
    file = tmp_path / "page.html"
    file.write_text(page, encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu"]
    command += ["--virtual-time-budget=2000", "--dump-dom", file.as_uri() + fragment]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return Page(found.stdout)


needs_browser = pytest.mark.skipif(not BROWSER, reason="no Chromium here")


def test_tells_the_sentences_and_every_strategy_without_the_script(made, page):
    for said in (*made.summary.sentences, *made.summary.equal_budget):
        assert said in page.seen
    for strategy in made.summary.strategies:
        assert f"{strategy.label} {100 * strategy.share:.1f}%" in page.seen
    assert len(page.all("svg")) == 2


def test_shows_examples_of_overthinking_without_the_script(made, page):
    label, lost = next(iter(made.summary.overthought.items()))
    assert f"{label} {len(lost)} of {len(made.comparison.questions)} questions" in page.seen
    rows = {(row.question, row.strategy): row for row in made.comparison.rows}
    assert all(rows[question, label].text in page.seen for question in lost[:3])


def test_every_answer_vote_and_draft_can_be_found_in_its_data(made, page):
    data = page.data
    labels = [variant.label for variant in made.comparison.variants]
    assert data["strategies"] == labels
    rows = {(row.question, row.strategy): row for row in made.comparison.rows}
    for question in data["questions"]:
        for label, found in zip(labels, question["rows"], strict=True):
            row = rows[question["id"], label]
            assert found["right"] is made.correct[question["id"], label]
            assert data["texts"][found["text"]] == row.text
            assert dict(found.get("votes", [])) == row.votes
            drafts = [data["drafts"][place] for place in found["drafts"]]
            assert [data["texts"][draft[1]] for draft in drafts] == [d.text for d in row.drafts]


def test_equal_drafts_stand_once(made, page):
    drafts = [draft for row in made.comparison.rows for draft in row.drafts]
    assert len(page.data["drafts"]) <= 16 * len(made.comparison.questions) < len(drafts) / 2
    assert len(set(page.data["texts"])) == len(page.data["texts"])


@pytest.mark.slow
def test_two_hundred_questions_stay_small(large):
    texts = sum(len(draft.text) for row in large.comparison.rows for draft in row.drafts)
    assert len(to_html(*large)) < texts / 2


def test_what_was_not_run_is_null_and_what_is_not_judged_too(made):
    rows = tuple(row for row in made.comparison.rows if row.strategy != "direct")
    data = to_data(made.comparison.model_copy(update={"rows": rows}), made.summary, {})
    assert data["questions"][0]["rows"][0] is None
    assert data["questions"][0]["rows"][1]["right"] is None


def test_a_conversation_and_its_options_are_shown(made):
    asked = made.comparison.questions[0].model_copy(
        update={"messages": (Message(role="system", content="Be brief."),), "choices": ("a", "b")}
    )
    comparison = made.comparison.model_copy(update={"questions": (asked,)})
    found = to_data(comparison, made.summary, {})["questions"][0]
    assert (found["messages"], found["choices"]) == ([("system", "Be brief.")], ("a", "b"))


def test_nothing_else_is_loaded(page):
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "object", "img", "base", "form"}
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)


def test_the_policy_lets_only_the_pages_own_script_run(page, attacked):
    for found in (page, attacked):
        policy = next(m["content"] for m in found.all("meta") if "http-equiv" in m)
        digest = base64.b64encode(hashlib.sha256(found.scripts[1].encode()).digest()).decode()
        assert policy.startswith("default-src 'none'") and f"script-src 'sha256-{digest}'" in policy


def test_a_hostile_text_stays_a_text(hostile, attacked):
    assert [a.get("type") for a in attacked.all("script")] == ["application/json", None]
    assert not attacked.all("img")
    assert not any(name.startswith("on") for _, found in attacked.elements for name in found)
    text = hostile.comparison.task
    assert attacked.data["texts"] == [text]
    assert attacked.data["questions"][0]["rows"][0]["votes"] == [[text, 2], ["__proto__", 1]]
    assert "{{ 7 * 7 }}" in attacked.text and "49" not in attacked.seen.split()


def test_a_score_that_is_no_number_leaves_the_data_readable(attacked):
    assert attacked.data["drafts"][0][6] is None


def test_nothing_answered_yet_is_a_page_too(made):
    empty = made.comparison.model_copy(update={"rows": ()})
    told = made.summary.model_copy(
        update={"strategies": (), "differences": (), "overthought": {}, "sentences": ()}
    )
    assert "Answers still missing" in Page(to_html(empty, told, {})).seen


@pytest.mark.slow
@needs_browser
def test_a_browser_lists_the_questions_under_the_policy_and_follows_a_link(made, tmp_path):
    found = rendered(to_html(*made), tmp_path, fragment="#q-3")
    listed = [a for a in found.all("details") if a.get("class") == "question"]
    assert len(listed) == len(made.comparison.questions)
    assert [a["id"] for a in listed if "open" in a] == ["q-3"]
    assert len([a for a in found.all("details") if a.get("class") == "strategy"]) == 11


@pytest.mark.slow
@needs_browser
def test_a_browser_sorts_the_table_and_filters_the_questions(made, tmp_path):
    script = """
    [...document.querySelectorAll("th button")].find((x) => x.textContent === "tokens").click();
    document.querySelector("[data-filter=nobody]").click();
    """
    asked, labels = made.comparison.questions, [s.label for s in made.summary.strategies]
    correct = made.correct | dict.fromkeys(((asked[2].id, label) for label in labels), False)
    found = rendered(to_html(made.comparison, made.summary, correct), tmp_path, script=script)
    tokens = {s.label: s.tokens for s in made.summary.strategies}
    order = [tokens[a["title"]] for a in found.all("td") if a.get("title") in tokens]
    assert order == sorted(tokens.values(), reverse=True) != list(tokens.values())
    nobody = [i for i, q in enumerate(asked) if not any(correct[q.id, x] for x in labels)]
    listed = [a for a in found.all("details") if a.get("class") == "question"]
    assert [a["id"] for a in listed if "hidden" not in a] == [f"q-{i}" for i in nobody] != []
    assert f"{len(nobody)} of {len(asked)} questions" in found.seen


@pytest.mark.slow
@needs_browser
def test_a_browser_opens_a_question_to_its_candidates_and_remarks(made, tmp_path):
    one = made.comparison.questions[0]
    rows = tuple(row for row in made.comparison.rows if row.question == one.id)
    comparison = made.comparison.model_copy(update={"questions": (one,), "rows": rows})
    told = made.summary.model_copy(update={"overthought": {}})
    seen = rendered(to_html(comparison, told, made.correct), tmp_path, script=OPENER).seen
    for row in rows:
        assert f"{row.strategy} {row.answer} {row.tokens} tokens" in seen
        assert all(" ".join(draft.text.split()) in seen for draft in row.drafts)
    assert "A critic on draft:0: accepted The sum is right." in seen


@pytest.mark.slow
@needs_browser
def test_a_browser_obeys_no_hostile_text(hostile, tmp_path):
    found = rendered(to_html(*hostile), tmp_path, script=OPENER)
    assert not found.all("img") and len(found.scripts) == 3
    assert found.text.count("onerror=alert(2)") > 10


def in_latex(made):
    """A comparison of one question, whose answers are LaTeX."""
    one = made.comparison.questions[0].model_copy(update={"reference": r"\frac{1}{2}"})
    rows = tuple(
        row.model_copy(update={"answer": r"$\sqrt{2}$", "votes": {r"$\sqrt{2}$": 2, "7": 1}})
        for row in made.comparison.rows
        if row.question == one.id
    )
    told = made.summary.model_copy(update={"overthought": {}})
    return made.comparison.model_copy(update={"questions": (one,), "rows": rows}), told, {}


def test_answers_in_latex_are_set_as_mathematics(made):
    formulas = Page(to_html(*in_latex(made))).data["formulas"]
    assert set(formulas) == {r"\frac{1}{2}", r"$\sqrt{2}$"}
    assert all(found.startswith("<math") for found in formulas.values())


@pytest.mark.slow
@needs_browser
def test_a_browser_shows_answers_and_votes_as_mathematics(made, tmp_path):
    found = rendered(to_html(*in_latex(made)), tmp_path, script=OPENER)
    assert len(found.all("mfrac")) == 1
    assert len(found.all("msqrt")) >= 2 * len({row.strategy for row in made.comparison.rows})
