"""Word problems as a task of Inspect AI, whose model can be a strategy.

    pip install "thinkgraph[smollm2,inspect]"
    inspect eval examples/inspect_word_problems.py --model thinkgraph/self-consistency \
        -M llm=smollm2 -M samples=8 --max-tokens 100 --seed 1 --limit 10
    inspect view
"""

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import match
from inspect_ai.solver import generate

from thinkgraph.evaluate.tasks.word_problems import word_problems


@task
def word_problem(n: int = 64, seed: int = 0) -> Task:
    """One-step word problems; right is a text whose last number is the answer."""
    samples = [Sample(input=p.question, target=p.answer) for p in word_problems(n, seed)]
    return Task(dataset=samples, solver=generate(), scorer=match(numeric=True))
