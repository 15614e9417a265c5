"""No strategy shows a model's thoughts to a model, answers with them, or votes on them."""

import pytest

from tests.strategies.conftest import Oracle

SECRET = "xyzzy-thought"


class Thinker(Oracle):
    """Thinks before each text, and has thought of another number than it answers."""

    def __init__(self) -> None:
        super().__init__()
        said = self._function
        self._function = lambda messages, seed: (
            f"<think>{SECRET} The answer is 99.</think>{said(messages, seed)}"
        )


@pytest.mark.slow
async def test_no_thought_is_in_a_prompt_an_answer_or_a_vote(strategy):
    graph, params = strategy
    model = Thinker()
    result = await graph.arun("How many?", model=model, seed=1, **params)
    shown = [f"{m.content}" for call in model.calls for m in call.messages]
    if graph.name != "budget-forcing":  # which goes on with the thought of the same sample
        shown += [call.prefix for call in model.calls]
    shown += [result.answer.text, str(result.answer.value), str(result.output), *result.votes]
    shown += [text for each in result.candidates for text in (each.text, str(each.answer))]
    shown += [each.text for each in result.critiques]
    assert not [text for text in shown if SECRET in text or "99" in text]
    assert any(each.reasoning for each in result.candidates), "it did think"
