"""The page in a real browser: watched, stopped, edited, remembered, by keyboard and on a phone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import thinkgraph as tg
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.model import Message
from thinkgraph.serve.page.history import Asked

expect = pytest.importorskip("playwright.sync_api").expect
QUESTION = "Sam has 3 apples and buys 4 more. How many?"
HOSTILE = "<img src=x onerror=document.title='pwned'><script>document.title='pwned'</script>"
PHONE = {"width": 400, "height": 800}


def reply(messages: Sequence[Message], seed: int) -> str:
    """Most say 7, in HTML that a careless page would run."""
    found = 8 if seed % 16 == 0 else 7
    return f"<think>{HOSTILE} Let me see</think>{HOSTILE} So the answer is {found}."


def reviewed() -> tg.Graph:
    """Drafts, of which a person chooses one or has one revised."""
    graph = tg.Graph("reviewed")
    graph.add(
        draft=tg.Generate(samples=3),
        look=tg.Review(ask="Which is right?"),
        again=tg.Revise(),
    )
    graph.edge(tg.START, "draft", "look")
    graph.edge("look", "again", when="!accepted", at_most=3)
    graph.edge("look", tg.END)
    graph.edge("again", "look")
    return graph


def approving() -> tg.Graph:
    graph = tg.Graph("approving")
    graph.add(work=tg.Act(tools=("pay",), approve=True))
    graph.edge(tg.START, "work", tg.END)
    return graph


def pay(amount: int, to: list[str] | None = None) -> str:
    """Pay an amount."""
    return f"paid {amount}"


def payer(messages: Sequence[Message], seed: int) -> str:
    """Calls the tool once, and tells what came of it."""
    if messages[-1].role == "tool":
        return f"The tool said: {messages[-1].content}"
    return '<tool_call>\n{"name": "pay", "arguments": {"amount": 5, "to": ["Ann"]}}\n</tool_call>'


@pytest.fixture(scope="module")
def served(tiny: Callable[[str], Path], serving: Callable[..., Any]) -> Iterator[Any]:
    models = {
        "scripted": ScriptedModel(reply),
        "programmer": ScriptedModel(lambda messages, seed: "```python\nprint(3 + 4)\n```"),
        "payer": ScriptedModel(payer),
        "tiny": str(tiny("llama")),
    }
    with serving(models, more=[reviewed(), approving()], tools=[pay]) as found:
        yield found


def ask(page, strategy: str = "self-consistency", question: str = QUESTION) -> None:
    page.select_option(".strategy", strategy)
    page.fill("#question", question)
    page.click("#go")


def answered(page) -> str:
    page.wait_for_selector(".answer:not([hidden])")
    return page.inner_text(".answer")


def test_a_run_is_watched_to_its_end(served, open_page):
    page = open_page(served.url)
    ask(page)
    answered(page)
    assert page.inner_text(".answer .value") == "7"
    assert page.locator(".card").count() == 16
    assert page.inner_text(".vote .leads .what") == "7"
    assert page.locator(".card.wins").count() == 1
    assert page.locator("[data-node=sample] .runs").text_content() == "×1"
    assert "Tokens" in page.inner_text(".figures")
    page.locator(".vote li").first.focus()
    assert page.locator(".card.voter").count() == int(page.inner_text(".vote li .votes >> nth=0"))
    thought = page.locator(".thought").first
    assert not thought.locator(".text").is_visible()  # folded
    thought.locator("summary").press("Enter")
    assert thought.locator(".text").inner_text() == f"{HOSTILE} Let me see"
    assert page.title() == "thinkgraph"  # what a model wrote is text


def test_what_was_sent_is_a_click_away(served, open_page):
    page = open_page(served.url)
    ask(page, question=f"What is {HOSTILE}?")
    answered(page)
    page.locator(".card .link").first.click()
    page.wait_for_selector("dialog[open]")
    assert HOSTILE in page.inner_text("dialog .requests")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")


def test_a_stop_gives_the_best_answer_so_far(served, open_page):
    page = open_page(served.url)
    page.select_option("#model", "tiny")
    page.locator(".params > summary").click()
    page.fill("input[name=samples]", "2")
    page.fill("input[name=max_tokens]", "1900")
    page.fill("#question", QUESTION)
    page.click("#go")
    page.wait_for_selector(".card .body > .text:not([hidden])")
    assert page.locator(".at-work[data-node=sample]").count() == 1
    page.wait_for_selector(".figures >> text=KV cells")
    page.click("#stop")
    assert "Stopped; the best answer so far" in answered(page)
    assert "cut short" in page.inner_text(".card >> nth=0")
    (newest,) = served.history.runs(most=1)
    assert newest.status == "stopped"


def test_the_steps_of_a_tree_fold(served, open_page):
    page = open_page(served.url)
    page.select_option("#model", "tiny")
    page.select_option(".strategy", "tree-of-thoughts")
    page.locator(".params > summary").click()
    page.select_option("select[name=by]", "logprob")
    page.fill("input[name=max_tokens]", "8")
    page.fill("#question", QUESTION)
    page.click("#go")
    answered(page)
    fold = page.locator(".fold").first
    assert fold.get_attribute("aria-expanded") == "true"
    branch = page.locator(".children").first
    assert branch.is_visible()
    fold.press("Enter")
    assert not branch.is_visible()
    assert fold.get_attribute("aria-expanded") == "false"


def test_two_strategies_answer_one_question_beside_each_other(served, open_page):
    page = open_page(served.url, viewport={"width": 1400, "height": 900})
    page.click("#compare")
    first, second = page.locator(".pane").all()
    page.fill("#question", QUESTION)
    page.click("#go")
    for pane in (first, second):
        pane.locator(".answer:not([hidden])").wait_for()
    assert first.bounding_box()["y"] == second.bounding_box()["y"]
    assert {run.strategy for run in served.history.runs(most=2)} == {
        "self-consistency",
        "chain-of-thought",
    }


def test_a_tools_call_unfolds(served, open_page):
    page = open_page(served.url)
    page.select_option("#model", "programmer")
    ask(page, "program-aided")
    answered(page)
    call = page.locator(".card .thought:visible").first
    call.locator("summary").click()
    assert "code = print(3 + 4)" in call.inner_text()


def test_a_person_chooses_a_candidate(served, open_page):
    page = open_page(served.url)
    ask(page, "reviewed")
    page.wait_for_selector(".turn")
    assert page.title() == "waits for you · thinkgraph"
    assert page.inner_text(".turn h3") == "Which is right?"
    assert page.locator(".option").count() == 4  # three, and all of them
    page.reload()
    page.wait_for_selector(".turn")
    page.locator(".option").nth(1).click()
    page.click(".turn >> text=Send")
    answered(page)
    assert page.locator(".turn").count() == 0
    assert page.locator(".card.wins").get_attribute("class")
    assert page.locator(".step[aria-label=draft] .card.retired").count() == 2


def test_a_persons_edit_is_the_answer(served, open_page):
    page = open_page(served.url)
    ask(page, "reviewed")
    page.get_by_label("2: ").check()
    page.get_by_label("Edit it").check()
    text = page.locator(".turn textarea")
    assert HOSTILE in text.input_value()  # what it begins with
    text.fill("The answer is 5.")
    page.click(".turn >> text=Send")
    answered(page)
    assert page.inner_text(".answer .value") == "5"


def test_a_person_reviews_by_keyboard(served, open_page):
    page = open_page(served.url)
    page.select_option(".strategy", "reviewed")
    page.focus("#question")
    page.keyboard.type(QUESTION)
    page.keyboard.press("Control+Enter")
    expect(page.locator(".turn h3")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowUp")  # the last one: all of them
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Make a remark")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.type("Count once more.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".step[aria-label=again]")
    page.wait_for_selector(".turn")
    assert "Count once more." in page.locator(".step[aria-label=look]").first.inner_text()
    page.locator(".option").first.click()
    page.click(".turn >> text=Send")
    answered(page)


def test_a_run_that_waits_for_a_person_can_be_stopped(served, open_page):
    page = open_page(served.url)
    ask(page, "reviewed")
    page.wait_for_selector(".turn")
    page.click("#stop")
    assert "Stopped; the best answer so far" in answered(page)
    assert page.locator(".turn").count() == 0


@pytest.mark.parametrize(
    ("way", "text", "said"),
    [
        ("Make the call", None, "paid 5"),
        ("Make it with other arguments", '{"amount": 3}', "paid 3"),
        ("Refuse it with a remark", "yes", "yes"),
    ],
)
def test_a_person_approves_a_tools_call(served, open_page, way, text, said):
    page = open_page(served.url)
    page.select_option("#model", "payer")
    ask(page, "approving")
    page.wait_for_selector(".turn")
    assert page.inner_text(".turn h3") == "May pay be called?"
    assert "amount = 5" in page.inner_text(".turn .text")
    page.get_by_label(way, exact=True).check()
    if text is not None:
        page.fill(".turn textarea", text)
    page.click(".turn >> text=Send")
    answered(page)
    written = page.locator(".card .body > .text").inner_text()
    assert written.startswith("The tool said:")
    assert said in written
    assert ("paid" in written) == (way != "Refuse it with a remark")
    if way == "Make the call":
        assert 'to = ["Ann"]' in page.locator(".card .thought").all_text_contents()[-1]


def test_the_editor_shows_the_checkers_errors_and_completes(served, open_page):
    page = open_page(served.url)
    page.click(".edit")
    page.wait_for_selector(".cm-content")
    page.click(".cm-content")
    page.keyboard.press("Control+End")
    page.keyboard.type("\nnodez: 3")
    page.wait_for_selector(".problems li.error")
    assert "did you mean `nodes`?" in page.inner_text(".problems")
    page.wait_for_selector(".cm-lint-marker-error")
    page.fill("#question", QUESTION)
    page.click("#go")
    assert "mend 1 error" in page.inner_text("#problem")
    page.click(".reset")
    page.wait_for_selector(".problems li", state="detached")
    page.keyboard.press("Control+End")
    page.keyboard.type("\nbudg")
    page.locator(".cm-tooltip-autocomplete").wait_for()
    page.wait_for_timeout(100)  # a completion that has just opened takes no Enter
    page.keyboard.press("Enter")
    expect(page.locator(".cm-content")).to_contain_text("budget: ")


def test_a_strategy_of_the_editor_is_run_and_can_be_asked_again(served, open_page):
    page = open_page(served.url)
    page.select_option(".strategy", "direct")
    page.click(".edit")
    page.wait_for_selector(".cm-content")
    text = (
        "thinkgraph: 1\nname: mine\nparams: {k: 3}\nnodes:\n  a: {kind: generate, samples: $k}\n"
        "edges: START -> a -> END\n"
    )
    page.locator(".cm-content").fill(text)
    page.wait_for_selector("input[name=k]", state="attached")
    page.wait_for_selector("[data-node=a]")
    page.fill("#question", QUESTION)
    page.click("#go")
    answered(page)
    assert page.locator(".card").count() == 3
    page.click("text=Report")
    page.click("text=Ask again")
    page.wait_for_selector(".cm-content")
    assert "name: mine" in page.inner_text(".cm-content")
    assert page.input_value("#question") == QUESTION
    assert page.input_value("#seed") == str(served.history.runs(most=1)[0].seed)


EDITED = """\
thinkgraph: 1
name: mine
params: {k: 3}
nodes:
  a: {kind: generate, samples: $k}
  look: {kind: review}
edges: START -> a -> look -> END
"""


def test_a_run_of_edited_yaml_is_watched_on_with_its_own_graph_and_params(served, open_page):
    page = open_page(served.url)
    page.click(".edit")
    page.locator(".cm-content").fill(EDITED)
    page.wait_for_selector("input[name=k]", state="attached")
    page.locator(".params > summary").click()
    page.fill("input[name=k]", "2")
    page.fill("#question", QUESTION)
    page.click("#go")
    page.wait_for_selector(".turn")
    page.reload()
    page.wait_for_selector(".turn")
    page.wait_for_selector(".at-work[data-node=look]")
    expect(page.locator(".params input[name=k]")).to_have_value("2")
    page.click("#stop")
    answered(page)


def test_undo_brings_edited_yaml_back_after_another_strategy_was_chosen(served, open_page):
    page = open_page(served.url)
    page.click(".edit")
    page.locator(".cm-content").fill(EDITED)
    page.wait_for_selector("[data-node=look]")
    page.select_option(".strategy", "direct")
    expect(page.locator(".cm-content")).to_contain_text("name: direct")
    page.locator(".cm-content").press("Control+z")
    expect(page.locator(".cm-content")).to_contain_text("name: mine")
    page.wait_for_selector("[data-node=look]")


def test_what_the_history_refuses_is_said_there(served, open_page):
    page = open_page(served.url)
    ask(page, "reviewed", question="Is it refused?")
    page.wait_for_selector(".turn")
    page.click("nav >> text=History")
    page.fill("#search", "Is it refused?")
    expect(page.locator("#history li")).to_have_count(1)
    page.click("#history >> text=Delete")
    expect(page.locator("#problem")).to_contain_text("this run is under way; stop it first")
    assert not page.locator("#ask-view").is_visible()
    page.click("nav >> text=Ask")
    page.click("#stop")
    answered(page)


def test_a_run_of_a_model_that_is_gone_is_not_asked_of_another(served, open_page):
    gone = Asked(question=QUESTION, strategy="direct", model="gone")
    id = served.history.begin(gone, "direct", "gone")
    served.history.end(id, "failed", error="out of memory")
    page = open_page(f"{served.url}/#/run/{id}")
    page.click("text=Ask again")
    expect(page.locator("#problem")).to_contain_text("doesn't offer the model 'gone'")


@pytest.fixture
def faulty(served, browser):
    """The page in a browser where requests may fail, of which the console tells."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(served.url)
    yield page
    context.close()


def test_a_stop_that_failed_can_be_tried_again(faulty):
    faulty.click("#compare")
    faulty.wait_for_selector(".pane >> nth=1")
    pane = faulty.locator(".pane").first
    faulty.select_option("#model", "tiny")
    pane.locator(".params > summary").click()
    pane.locator("input[name=max_tokens]").fill("1900")
    faulty.fill("#question", QUESTION)
    faulty.click("#go")
    pane.locator(".card").first.wait_for()
    faulty.route("**/stop", lambda route: route.abort())
    pane.locator(".stop").click()
    expect(faulty.locator("#problem")).to_contain_text("can't be reached")
    faulty.unroute("**/stop")
    pane.locator(".stop").click()
    pane.locator(".answer:not([hidden])").wait_for()
    assert "Stopped" in pane.locator(".answer").inner_text()
    faulty.click("#compare")


def test_a_broken_connection_is_told_until_it_is_back(faulty):
    is_away = True  # not `unroute`, which can lose a request that arrives meanwhile
    faulty.route("**/events", lambda route: route.abort() if is_away else route.continue_())
    faulty.fill("#question", QUESTION)
    faulty.click("#go")
    told = faulty.locator(".work > .problem")
    expect(told).to_contain_text("can't be reached; trying again")
    is_away = False
    answered(faulty)
    expect(told).to_be_hidden()


def test_a_late_answer_of_the_history_is_not_shown(served, open_page):
    for question in ("One?", "Two?"):
        id = served.history.begin(Asked(question=question, strategy="direct"), "direct", "late")
        served.history.end(id, "done", answer="7")
    page = open_page(served.url)
    held = []
    page.route("**/page/runs?**", lambda route, request: held.append(route))
    with page.expect_request("**/page/runs?**"):
        page.click("nav >> text=History")
    with page.expect_request("**/page/runs?containing=Two**"):
        page.fill("#search", "Two?")
    while len(held) < 2:
        page.wait_for_timeout(10)
    for route in reversed(held):
        with page.expect_response(route.request.url):
            route.continue_()
    page.wait_for_function("fetch('/page/strategies').then(() => true)")  # it has been read
    assert page.locator("#history .question").all_inner_texts() == ["Two?"]


def test_a_finished_run_is_a_report_in_the_history(served, open_page):
    page = open_page(served.url)
    ask(page, question="What is the history for?")
    answered(page)
    page.click("nav >> text=History")
    page.fill("#search", "the history for")
    expect(page.locator("#history li")).to_have_count(1)
    page.click("#history a")
    report = page.frame_locator("iframe")
    assert report.locator("h1").inner_text() == "What is the history for?"
    assert page.locator("iframe").bounding_box()["height"] > 800  # all of it, without a bar
    with page.expect_download() as download:
        page.click("#run-view >> text=Download as one file")
    file = Path(download.value.path()).read_text("utf-8")
    assert "What is the history for?" in file
    assert not re.search(r"<script|<[^>]*\s(src|onerror)=", file)
    page.go_back()
    page.wait_for_selector("#history li")
    page.click("#history >> text=Delete")
    page.wait_for_selector("#history li", state="detached")
    assert not served.history.runs("the history for")


def test_a_run_that_is_left_can_be_watched_on(served, open_page):
    page = open_page(served.url)
    page.select_option("#model", "tiny")
    page.locator(".params > summary").click()
    page.fill("input[name=samples]", "2")
    page.fill("input[name=max_tokens]", "1900")
    page.fill("#question", QUESTION)
    page.click("#go")
    page.wait_for_selector(".card")
    page.reload()
    page.wait_for_selector(".card")
    assert page.input_value("#question") == QUESTION
    page.click("#stop")
    assert "Stopped" in answered(page)


def test_a_wrong_param_is_refused_where_it_stands(served, open_page):
    page = open_page(served.url)
    page.locator(".params > summary").click()
    samples = page.locator("input[name=samples]")
    assert "1 to 256" in page.inner_text(f"#{samples.get_attribute('aria-describedby')}")
    samples.fill("0")
    page.locator(".params > summary").click()
    page.fill("#question", QUESTION)
    page.click("#go")
    assert samples.is_visible()  # its section opened
    assert samples.evaluate("field => field.matches(':invalid')")
    assert page.locator(".card").count() == 0


def test_a_keyboard_is_enough(served, open_page):
    page = open_page(served.url)
    page.wait_for_selector(".graph svg")
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Control+Enter")
    answered(page)
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate("(e => e.className || e.id || e.textContent)(document.activeElement)")
        reached.add(name.strip())
        if "Report" in reached and "link" in reached:
            break
    assert {"strategy", "plain edit", "Report", "link"} <= reached
    page.evaluate("document.querySelector('.edit').focus()")
    page.keyboard.press("Enter")
    expect(page.locator(".cm-content")).to_be_focused()
    page.keyboard.press("Tab")  # the editor lets it go
    expect(page.locator(".cm-content")).not_to_be_focused()


def test_everything_has_a_name(served, open_page):
    page = open_page(served.url)
    ask(page)
    answered(page)
    page.click(".edit")
    page.wait_for_selector(".cm-content")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, a, input, select, textarea, iframe, img')]
          .filter(e => e.checkVisibility() && !(e.labels?.length || e.ariaLabel || e.title
            || e.textContent.trim() || e.hasAttribute('alt')))
          .map(e => e.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_on_a_phone_by_day_and_night(served, open_page, scheme):
    page = open_page(served.url, viewport=PHONE, color_scheme=scheme)
    ask(page)
    answered(page)
    page.click(".edit")
    page.wait_for_selector(".cm-content")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    paper, ink = page.evaluate(
        "(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))"
    )
    lightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (paper, ink)]
    assert (lightness[0] < lightness[1]) == (scheme == "dark")
    page.click("nav >> text=History")
    page.wait_for_selector("#history li")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.click("nav >> text=Ask")
    page.locator(".edit").click()
    ask(page, "reviewed")
    page.locator(".option").first.click()
    page.get_by_label("Edit it").check()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    if folder := os.environ.get("THINKGRAPH_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/review-phone-{scheme}.png")


def test_the_page_asks_nobody_but_its_server(served, open_page):
    page = open_page("about:blank")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(served.url)
    ask(page)
    answered(page)
    page.click(".edit")
    page.wait_for_selector(".cm-content")
    assert all(url.startswith((served.url, "data:")) for url in asked)


@pytest.mark.slow
def test_the_token_leaves_the_address(serving, open_page):
    with serving({"scripted": ScriptedModel(reply)}, token="secret-token") as served:
        page = open_page(f"{served.url}/?token=secret-token#/history")
        page.wait_for_selector("#history li")
        assert page.url == f"{served.url}/#/history"
