"""The search: which candidate of the tree is grown next."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.nodes.kinds.search import Search, Tree
from thinkgraph.nodes.population import Candidate, State
from thinkgraph.nodes.step import Step


def grown(*tree):
    """A state of candidates given as (id, parent or None, score)."""
    candidates = {
        name: Candidate(
            id=name,
            node="n",
            round=0,
            text=name,
            parents=(parent,) if parent else (),
            score=score,
            live=False,
            seed=0,
            tokens=1,
            finish_reason="stop",
        )
        for name, parent, score in tree
    }
    return State(question="?", candidates=candidates)


def chosen(state, seed=1, **settings):
    step = Step("pick", 0, seed, {}, models=lambda role: None)
    update = asyncio.run(Search(**settings).run(state, step))
    live = [c.id for c in update.candidates if c.live]
    return live[0] if live else None


def test_an_empty_tree_grows_at_the_root():
    assert chosen(grown()) is None
    assert chosen(grown(), rule="thompson") is None


def test_uct_goes_to_the_best_leaf_without_exploration():
    state = grown(("a", None, 0.9), ("b", None, 0.5), ("c", "a", 0.8), ("d", "a", 0.95))
    assert chosen(state, exploration=0) == "d"


def test_uct_prefers_what_was_seldom_tried_with_much_exploration():
    state = grown(("a", None, 0.9), ("b", None, 0.5), ("c", "a", 0.8), ("d", "a", 0.95))
    assert chosen(state, exploration=50) == "b"


def test_thompson_is_drawn_from_the_seed_alone():
    state = grown(("a", None, 0.9), ("b", None, 0.1), ("c", "a", 0.8))
    draws = {seed: chosen(state, seed, rule="thompson") for seed in range(40)}
    assert draws == {seed: chosen(state, seed, rule="thompson") for seed in range(40)}
    assert len(set(draws.values())) > 1


def test_thompson_goes_deeper_where_rewriting_has_paid():
    good = [(f"g{i}", "a", 1.0) for i in range(12)]
    bad = [(f"b{i}", None, 0.0) for i in range(12)]
    state = grown(("a", None, 1.0), *bad, *good)
    draws = [chosen(state, seed, rule="thompson") for seed in range(30)]
    assert sum(draw is not None and draw[0] in "ag" for draw in draws) > 25


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=8))
def test_rewards_lie_between_zero_and_one_in_the_order_of_the_scores(scores):
    tree = Tree(grown(*((str(i), None, score) for i, score in enumerate(scores))))
    rewards = [tree.reward[str(i)] for i in range(len(scores))]
    assert all(0 <= reward <= 1 for reward in rewards)
    ranked = [reward for _, reward in sorted(zip(scores, rewards, strict=True))]
    assert ranked == sorted(ranked)


@given(st.lists(st.one_of(st.none(), st.floats(-50, 50)), min_size=1, max_size=8))
def test_an_unknown_score_has_the_least_reward(scores):
    tree = Tree(grown(*((str(i), None, score) for i, score in enumerate(scores))))
    unknown = [tree.reward[str(i)] for i, score in enumerate(scores) if score is None]
    assert all(reward == min(tree.reward.values()) for reward in unknown)


def test_a_chosen_candidate_alone_is_live():
    state = grown(("a", None, 0.9), ("b", None, 0.5))
    alive = {k: c.model_copy(update={"live": True}) for k, c in state.candidates.items()}
    step = Step("pick", 0, 1, {}, models=lambda role: None)
    update = asyncio.run(
        Search(exploration=0).run(state.model_copy(update={"candidates": alive}), step)
    )
    assert [(c.id, c.live) for c in update.candidates] == [("b", False)]


def ended(state, *names):
    changed = {n: state.candidates[n].model_copy(update={"terminal": True}) for n in names}
    return state.model_copy(update={"candidates": {**state.candidates, **changed}})


def test_uct_passes_over_what_has_nothing_to_grow():
    state = grown(("a", None, 0.9), ("b", None, 0.5), ("c", "a", 0.8), ("d", "a", 0.95))
    assert chosen(ended(state, "d"), exploration=0) == "c"
    assert chosen(ended(state, "c", "d"), exploration=0) == "b"


def test_uct_grows_wider_where_every_leaf_has_ended():
    state = grown(("a", None, 0.9), ("b", None, 0.5), ("c", "a", 0.8))
    assert chosen(ended(state, "b", "c")) is None
