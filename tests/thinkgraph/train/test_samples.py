"""Which samples are learnt from."""

from thinkgraph.evaluate.metrics.find import find_metric
from thinkgraph.evaluate.runs.row import Draft, Row
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.train.samples import Counts, Selection, select

QUESTION = Question(id="q", text="What is 2 + 2?", reference="4")


def row(*drafts, votes=None, answer=None, tie=False):
    made = tuple(
        Draft(id=str(n), text=text, answer=found, tokens=1, live=True, finish_reason=end)
        for n, (text, found, end) in enumerate(drafts)
    )
    return Row(
        question="q", strategy="s", answer=answer, text="", tokens=0, prompt_tokens=0, calls=1,
        votes=votes or {}, tie=tie, drafts=made,
    )  # fmt: skip


def said(conversations):
    return [each.messages[-1].content for each in conversations]


def chosen(found, **how):
    return select([found], [QUESTION], find_metric("exact"), Selection(**how))


def test_right_samples_are_learnt_the_shortest_first():
    found = row(
        ("two and two make four: 4", "4", "stop"), ("5", "5", "stop"), ("It is 4.", "4", "stop")
    )
    conversations, counts = chosen(found, per_question=1)
    assert said(conversations) == ["It is 4."]
    assert counts == Counts(samples=3, verified=2, copies=0, kept=1, questions=1)


def test_near_copies_and_texts_that_were_cut_are_dropped():
    found = row(
        ("The answer is 4.", "4", "stop"),
        ("the answer is  4", "4", "stop"),
        ("so 2 + 2 = 4, and this goes on", "4", "length"),
    )
    conversations, counts = chosen(found, order="first")
    assert said(conversations) == ["The answer is 4."]
    assert (counts.verified, counts.copies) == (2, 1)


def test_a_clear_vote_needs_no_right_answer():
    drafts = [("five", "5", "stop"), ("say 5", "5", "stop"), ("four", "4", "stop")]
    clear = row(*drafts, votes={"5": 2, "4": 1}, answer="5")
    assert said(chosen(clear, verify="vote", order="first")[0]) == ["five", "say 5"]
    assert chosen(clear, verify="vote", clear=0.9)[0] == []
    tie = row(*drafts[1:], votes={"5": 1, "4": 1}, answer="5", tie=True)
    assert chosen(tie, verify="vote", clear=0.5)[0] == []


def test_an_answer_may_be_learnt_alone_or_behind_its_text():
    found = row(("answer = 2 + 2", "4", "stop"))
    assert said(chosen(found, learn="answer")[0]) == ["4"]
    assert said(chosen(found, learn="both")[0]) == ["answer = 2 + 2\n4"]


def test_a_vote_of_a_few_samples_is_not_clear():
    drafts = [("five", "5", "stop"), ("say 5", "5", "stop")]
    found = row(*drafts, *[("hm", None, "stop")] * 6, votes={"5": 2}, answer="5")
    assert chosen(found, verify="vote", clear=0.6)[1].verified == 0
    assert chosen(found, verify="vote", clear=0.25)[1].verified == 2


def test_the_order_of_the_rows_does_not_matter():
    questions = [Question(id=str(n), text=f"What is {n}?", reference=str(n)) for n in range(9)]
    rows = [row((f"{n}", f"{n}", "stop")).model_copy(update={"question": str(n)}) for n in range(9)]
    in_order, shuffled = (
        select(each, questions, find_metric("exact"), Selection())[0]
        for each in (rows, [*rows[4:], *reversed(rows[:4])])
    )
    assert said(in_order) == [str(n) for n in range(9)]
    assert shuffled == in_order


def test_near_copies_are_judged_by_what_is_learnt():
    found = row(("two and two make 4", "4", "stop"), ("it is surely four: 4", "4", "stop"))
    assert len(chosen(found)[0]) == 2
    conversations, counts = chosen(found, learn="answer")
    assert said(conversations) == ["4"]
    assert counts.copies == 1
