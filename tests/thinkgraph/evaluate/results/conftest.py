"""A comparison as large as a real one, made up: what tables, plots and pages are tried on."""

import random
from typing import NamedTuple

import pytest

from thinkgraph.evaluate.analysis.statistics import wilson
from thinkgraph.evaluate.analysis.summary import Difference, StrategySummary, Summary
from thinkgraph.evaluate.runs.comparison import Comparison
from thinkgraph.evaluate.runs.row import Draft, Remark, Row
from thinkgraph.evaluate.runs.variant import Variant
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.models.model import Usage

STRATEGIES = {  # label: chance to be right, tokens, calls, drafts
    "direct": (0.25, 62, 1, 1),
    "chain-of-thought": (0.22, 121, 1, 1),
    "self-consistency@1": (0.24, 118, 1, 1),
    "self-consistency@2": (0.26, 236, 1, 2),
    "self-consistency@4": (0.33, 472, 1, 4),
    "self-consistency@8": (0.39, 944, 1, 8),
    "self-consistency@16": (0.49, 1888, 1, 16),
    "deepconf@8": (0.41, 944, 1, 8),
    "best-of-n": (0.31, 1010, 9, 8),
    "self-refine": (0.20, 655, 5, 3),
    "arithmetic": (0.36, 92, 1, 1),
}
REASONS = "First there are {a} of them. Then {b} more come, so we add. {a} + {b} = {c}.\n\n"


class Made(NamedTuple):
    """A comparison, its summary and its correct."""

    comparison: Comparison
    summary: Summary
    correct: dict[tuple[str, str], bool | None]


def make(
    questions: int = 40, strategies: dict[str, tuple[float, int, int, int]] = STRATEGIES
) -> Made:
    """A comparison whose self-consistency draws from one pool of samples a question."""
    dice = random.Random(5)
    asked = [problem(dice, i) for i in range(questions)]
    correct: dict[tuple[str, str], bool | None] = {}
    rows = []
    for question in asked:
        pool = [draft(dice, question, i) for i in range(16)]
        for label, (chance, tokens, calls, drafts) in strategies.items():
            right = dice.random() < chance
            correct[question.id, label] = right
            rows.append(row(question, label, right, tokens, calls, pool[:drafts]))
    comparison = Comparison(
        task="word-problems",
        model="smollm2",
        seed=7,
        metric="exact",
        variants=tuple(Variant(label=label, graph=label.split("@")[0]) for label in strategies),
        questions=tuple(asked),
        rows=tuple(rows),
        spent=Usage(completion_tokens=4000 * questions),
        seconds=3.0 * questions,
    )
    return Made(comparison, summary(comparison, correct), correct)


def problem(dice: random.Random, number: int) -> Question:
    a, b = dice.randint(2, 60), dice.randint(2, 40)
    text = f"Ada has {a} marbles and buys {b} more at the fair. How many marbles has she now?"
    return Question(id=f"wp-{number:03}", text=text, reference=str(a + b))


def draft(dice: random.Random, question: Question, number: int) -> Draft:
    answer = str(int(question.reference) + dice.choice([0, 0, 0, 1, -1, 10, 2]))
    text = REASONS.format(a=dice.randint(2, 60), b=dice.randint(2, 40), c=answer) * 6
    return Draft(
        id=f"draft:{number}",
        text=f"{text}The answer is {answer}.",
        answer=answer,
        tokens=118,
        live=True,
        finish_reason="stop",
        score=None,
    )


def row(
    question: Question, label: str, right: bool, tokens: int, calls: int, drafts: list[Draft]
) -> Row:
    answer = question.reference if right else str(int(question.reference) + 1)
    votes: dict[str, int] = {}
    for found in drafts:
        votes[found.answer or ""] = votes.get(found.answer or "", 0) + 1
    votes = {answer: max(votes.values()), **{a: n for a, n in votes.items() if a != answer}}
    return Row(
        question=question.id,
        strategy=label,
        answer=answer,
        text=f"So the answer is {answer}.",
        tokens=tokens,
        prompt_tokens=60 * calls,
        calls=calls,
        votes=votes if len(drafts) > 1 else {},
        drafts=tuple(drafts),
        remarks=(Remark(draft="draft:0", text="The sum is right.", accepted=True),)
        if label == "self-refine"
        else (),
    )


def summary(comparison: Comparison, correct: dict[tuple[str, str], bool | None]) -> Summary:
    """What a real one says, with rough intervals of the differences."""
    labels = [variant.label for variant in comparison.variants]
    asked = [question.id for question in comparison.questions]
    rows = {(r.question, r.strategy): r for r in comparison.rows}
    right = {label: {q for q in asked if correct[q, label]} for label in labels}
    tokens = {label: sum(rows[q, label].tokens for q in asked) / len(asked) for label in labels}
    strategies = []
    for label in labels:
        low, high = wilson(len(right[label]), len(asked))
        strategies.append(
            StrategySummary(
                label=label,
                questions=len(asked),
                right=len(right[label]),
                share=len(right[label]) / len(asked),
                low=low,
                high=high,
                abstained=0,
                failures=0,
                tokens=tokens[label],
                prompt_tokens=rows[asked[0], label].prompt_tokens,
                calls=rows[asked[0], label].calls,
                seconds=tokens[label] * 0.0031,
                tokens_per_right=tokens[label] * len(asked) / len(right[label])
                if right[label]
                else None,
                on_front=not any(
                    (len(right[o]), -tokens[o]) != (len(right[label]), -tokens[label])
                    and len(right[o]) >= len(right[label])
                    and tokens[o] <= tokens[label]
                    for o in labels
                ),
            )
        )
    base = labels[0]
    differences = []
    for label in labels[1:]:
        gained, lost = right[label] - right[base], right[base] - right[label]
        points = 100 * (len(gained) - len(lost)) / len(asked)
        half = 196 * (len(gained) + len(lost)) ** 0.5 / len(asked)
        differences.append(
            Difference(
                label=label,
                baseline=base,
                points=points,
                low=points - half,
                high=points + half,
                p=0.001 if abs(points) > half else 0.4,
                p_adjusted=0.01 if abs(points) > half else 1.0,
                gained=tuple(sorted(gained)),
                lost=tuple(sorted(lost)),
                needed=400,
            )
        )
    return Summary(
        strategies=tuple(strategies),
        differences=tuple(differences),
        overthought={d.label: d.lost for d in differences if d.label != "arithmetic" and d.lost},
        equal_budget=("For the 472 tokens of self-consistency@4, direct could be asked 7 times.",),
        sentences=(
            "self-consistency@16 is better than direct by 21 points [12, 30].",
            "chain-of-thought can't be told from direct on 200 questions; about 400 would be "
            "needed to tell a difference of this size.",
            "2 questions are lost by thought: direct gets them right, chain-of-thought does not.",
        ),
    )


@pytest.fixture(scope="session")
def made() -> Made:
    return make()


HOSTILE = (
    "</script></pre><script>alert(1)</script><img src=x onerror=alert(2)><!-- {{ 7 * 7 }} $x^$"
)


@pytest.fixture(scope="session")
def hostile() -> Made:
    """Every text that a user or a model can write tries to become markup."""
    question = Question(
        id=HOSTILE, text=HOSTILE, reference=HOSTILE, choices=(HOSTILE,), messages=()
    )
    found = Draft(
        id=HOSTILE, text=HOSTILE, answer=HOSTILE, tokens=3, live=True, finish_reason="stop",
        score=float("nan"),
    )  # fmt: skip
    rows = tuple(
        Row(
            question=HOSTILE, strategy=label, answer=HOSTILE, text=HOSTILE, tokens=3,
            prompt_tokens=5, calls=1, votes={HOSTILE: 2, "__proto__": 1}, tie=True, cut=HOSTILE,
            failure=HOSTILE, drafts=(found, found),
            remarks=(Remark(draft=HOSTILE, text=HOSTILE, accepted=False),),
        )
        for label in ("direct", HOSTILE)
    )  # fmt: skip
    comparison = Comparison(
        task=HOSTILE, model=HOSTILE, seed=0, metric=HOSTILE, questions=(question,), rows=rows,
        variants=(Variant(label="direct", graph="direct"), Variant(label=HOSTILE, graph="x")),
    )  # fmt: skip
    correct: dict[tuple[str, str], bool | None] = {
        (HOSTILE, "direct"): True,
        (HOSTILE, HOSTILE): False,
    }
    told = summary(comparison, correct).model_copy(
        update={"sentences": (HOSTILE,), "equal_budget": (HOSTILE,)}
    )
    return Made(comparison, told, correct)


@pytest.fixture(scope="session")
def large() -> Made:
    return make(200)
