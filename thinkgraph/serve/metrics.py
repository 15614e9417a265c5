"""Prometheus metrics: requests, tokens and votes by strategy, and the engines' statistics."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from thinkgraph.models.engine.stats import Histogram as Latency
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Usage
from thinkgraph.serve.access.admission import Admission
from thinkgraph.serve.offer.models import Models

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
SHARES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
COUNTED = ("prompt_tokens", "cached_tokens", "completion_tokens", "cancelled_tokens")
"""Fields of `Usage` that are counted."""
ENGINE_COUNTERS = (
    *("requests", "steps", "prefilled_tokens", "cached_tokens", "completion_tokens"),
    *("cancelled_tokens", "preemptions", "evictions"),
)
ENGINE_SECONDS = {
    "native_s": "in llama.cpp's decoding",
    "sampling_s": "in drawing tokens",
    "step_s": "in steps altogether",
    "callers_s": "of waiting for callers' event loops",
}
ENGINE_LATENCIES = {
    "queue": "from a request's submission to its admission",
    "first_token": "from a request's submission to its first token",
    "total": "from a request's submission to its end",
}
ENGINE_GAUGES = ("running", "waiting", "cells", "cells_used", "cells_idle", "cells_peak")


class Metrics:
    """The metrics of a server.

    Args:
        models: the models whose engines' statistics are exported.
        admission: the admission whose load is exported.
    """

    def __init__(self, models: Models, admission: Admission) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "thinkgraph_requests",
            "Requests, by how they ended",
            ["api", "strategy", "end"],
            registry=registry,
        )
        self.seconds = Histogram(
            "thinkgraph_request_seconds",
            "Seconds from a request's admission to its end",
            ["strategy"],
            buckets=SECONDS,
            registry=registry,
        )
        self.first = Histogram(
            "thinkgraph_first_text_seconds",
            "Seconds from a request's admission to its first text, thoughts included",
            ["strategy"],
            buckets=SECONDS,
            registry=registry,
        )
        self.tokens = Counter(
            "thinkgraph_tokens",
            "Tokens, by what became of them",
            ["strategy", "kind"],
            registry=registry,
        )
        self.votes = Histogram(
            "thinkgraph_vote_share",
            "The winner's share of a vote",
            ["strategy"],
            buckets=SHARES,
            registry=registry,
        )
        registry.register(_Load(models, admission))

    def spent(self, strategy: str, usage: Usage) -> None:
        """Count the tokens of a request; of one without a result, only those that were sampled."""
        for kind in COUNTED:
            self.tokens.labels(strategy, kind.removesuffix("_tokens")).inc(getattr(usage, kind))

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._registry)


class _Load(Collector):
    """Collects the server's load and its engines' statistics at each scrape."""

    def __init__(self, models: Models, admission: Admission) -> None:
        self._models, self._admission = models, admission

    def collect(self) -> Iterator[Metric]:
        """The current metrics."""
        admission = self._admission
        yield GaugeMetricFamily(
            "thinkgraph_running_requests", "Requests that run", value=admission.running
        )
        yield GaugeMetricFamily(
            "thinkgraph_waiting_requests", "Requests that wait", value=admission.waiting
        )
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for field in ENGINE_COUNTERS:
            families[field] = CounterMetricFamily(
                f"thinkgraph_engine_{field}", f"The engine's {field}", labels=["model"]
            )
        for field in ENGINE_GAUGES:
            families[field] = GaugeMetricFamily(
                f"thinkgraph_engine_{field}", f"The engine's {field}, now", labels=["model"]
            )
        for field, what in ENGINE_SECONDS.items():
            families[field] = CounterMetricFamily(
                f"thinkgraph_engine_{field.removesuffix('_s')}_seconds",
                f"Seconds {what}",
                labels=["model"],
            )
        latencies = {
            field: HistogramMetricFamily(
                f"thinkgraph_engine_{field}_latency_seconds",
                f"Seconds {what}",
                labels=["model", "kind"],
            )
            for field, what in ENGINE_LATENCIES.items()
        }
        between = HistogramMetricFamily(
            "thinkgraph_engine_token_latency_seconds",
            "Seconds between two tokens of a sample",
            labels=["model"],
        )
        for name, model in self._models.opened.items():
            engine = getattr(model, "engine", None)
            if engine is None:
                continue
            try:
                stats = engine.stats
            except ModelError:
                continue  # the engine is being closed
            for field, family in families.items():
                family.add_metric([name], getattr(stats, field))
            for kind, found in stats.latencies.items():
                for field, histogram in latencies.items():
                    _add(histogram, [name, kind], getattr(found, field))
            _add(between, [name], stats.token_s)
        yield from (*families.values(), *latencies.values(), between)

    def describe(self) -> list[Metric]:
        """No fixed metrics, since models are opened and closed at run time."""
        return []


def _add(family: HistogramMetricFamily, labels: list[str], found: Latency) -> None:
    """Add a histogram of the engine, with cumulative buckets as Prometheus requires."""
    bounds = [*map(str, found.bounds), "+Inf"]
    buckets = list(zip(bounds, accumulate(found.counts), strict=True))
    family.add_metric(labels, buckets, found.sum)
