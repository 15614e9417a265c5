"""The identity of a model: what keeps its samples apart from those of others."""

import pytest

from thinkgraph.evaluate.runs.identity import identity
from thinkgraph.models.backends.local import open_model
from thinkgraph.models.engine.settings import EngineSettings

SMALL = {"kv_cells": 256, "context": 256}


def identified(path, template=None, **settings):
    model = open_model(path, settings=EngineSettings(**SMALL, **settings), template=template)
    try:
        return identity(model)
    finally:
        model.close()


@pytest.mark.parametrize(
    "other",
    [
        {"template": {"enable_thinking": False}},
        {"template": {"enable_thinking": True}},
        {"template": {"strftime_now": print}},  # not representable in JSON
        {"rope_freq_base": 5000.0},
    ],
)
def test_what_changes_samples_changes_the_identity(tiny, other):
    path = tiny("llama")
    assert identified(path, **other) != identified(path)


@pytest.mark.parametrize("same", [{"template": {}}, {"threads": 1}, {"sequences": 2}])
def test_what_only_changes_speed_does_not(tiny, same):
    path = tiny("llama")
    assert identified(path, **same) == identified(path)


def test_template_variables_count_in_any_order(tiny):
    path = tiny("llama")
    first, second = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert identified(path, template=first) == identified(path, template=second)
