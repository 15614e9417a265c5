"""Evaluate the price task: the compared strategies beside the mean and a regression.

    python examples/prices/evaluate.py computer_prices.csv same comparison/results.json

Reads what `thinkgraph compare` wrote for one of the test files of `prepare.py`, and prints a
Markdown table: mean absolute error, share within 10 and 20 %, root mean squared log error, and the
mean cost to a seller, to whom a price that is a dollar too high costs OVER dollars (lost sales) and
one that is a dollar too low costs UNDER. All have 95 % intervals. Beside them stand the mean of the
prices that were trained on, and a regression of the logarithm of the price on the columns of the
table, which a language model never sees as columns. With `--picture FILE.svg`, the predicted
against the true prices.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from prepare import Row, describe, divide, read, rounded

from thinkgraph.evaluate.analysis.statistics import mean_interval, wilson
from thinkgraph.evaluate.metrics.number import estimated_number
from thinkgraph.evaluate.results.export import Results
from thinkgraph.evaluate.results.plot import BLUE, GREEN, LINE, MUTED, ORANGE, PAPER, STYLE

Guesses = Mapping[str, float | None]
"""A price for each description; None where a model named none."""


def regression(rows: Sequence[Row], asked: Sequence[Row]) -> dict[str, float | None]:
    """Least squares of log(price) on the columns: speed, disk and memory by their logarithms."""

    def features(row: Row) -> list[float]:
        logs = [math.log(float(row[name])) for name in ("speed", "hd", "ram")]
        flags = [float(row[name] == "yes") for name in ("cd", "multi", "premium")]
        return [1.0, *logs, float(row["screen"]), float(row["trend"]), *flags]

    table = np.array([features(row) for row in rows])
    prices = np.log([float(row["price"]) for row in rows])
    weights, *_ = np.linalg.lstsq(table, prices, rcond=None)
    return {describe(row): float(np.exp(np.array(features(row)) @ weights)) for row in asked}


def answers(results: Results) -> dict[str, dict[str, float | None]]:
    """The prices that each strategy named, by its label."""
    texts = {each.id: each.text for each in results.comparison.questions}
    found: dict[str, dict[str, float | None]] = {}
    for row in results.comparison.rows:
        number = estimated_number(row.answer or "")
        price = None if number is None else float(number)
        found.setdefault(row.strategy, {})[texts[row.question]] = price
    return found


def line(name: str, guesses: Guesses, truth: Mapping[str, float], over: float, under: float) -> str:
    """A line of the table. A description without a price is within nothing and has no error."""
    pairs = [(guesses[each], truth[each]) for each in truth if each in guesses]
    told = [(guess, true) for guess, true in pairs if guess is not None]
    if not told:
        return f"| {name} | – | – | – | – | – | {len(pairs)} |"
    off = [guess - true for guess, true in told]
    errors = [abs(each) for each in off]
    costs = [max(each * over, -each * under) for each in off]
    logs = [(math.log1p(max(guess, 0)) - math.log1p(true)) ** 2 for guess, true in told]
    shares = []
    for tolerance in (0.1, 0.2):
        near = sum(abs(guess - true) <= tolerance * true for guess, true in told)
        low, high = wilson(near, len(pairs))
        shares.append(f"{near / len(pairs):.0%} [{100 * low:.0f}, {100 * high:.0f}]")
    low, high = mean_interval(logs)
    rmsle = f"{math.sqrt(np.mean(logs)):.3f} [{math.sqrt(low):.3f}, {math.sqrt(high):.3f}]"
    silent = len(pairs) - len(told)
    cells = [dollars(errors), *shares, rmsle, dollars(costs), str(silent)]
    return f"| {name} | {' | '.join(cells)} |"


def dollars(values: Sequence[float]) -> str:
    """A mean with its interval."""
    low, high = mean_interval(values)
    return f"{np.mean(values):.0f} [{low:.0f}, {high:.0f}]"


def picture(shown: Mapping[str, Guesses], truth: Mapping[str, float]) -> Figure:
    """Predicted against true prices, a panel for each."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.0 * len(shown), 4.2), dpi=100, facecolor=PAPER)
        panels = figure.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
        top = max(truth.values()) * 1.05
        for axes, (name, guesses), colour in zip(
            panels, shown.items(), (BLUE, GREEN, ORANGE), strict=False
        ):
            told = [(truth[each], g) for each in truth if (g := guesses.get(each)) is not None]
            axes.plot([0, top], [0, top], color=MUTED, linewidth=1)
            axes.fill_between([0, top], [0, 0.8 * top], [0, 1.2 * top], color=LINE, zorder=0)
            axes.scatter(*zip(*told, strict=True), s=9, color=colour, alpha=0.6, linewidths=0)
            axes.set_title(name.partition(":")[0], loc="left", fontsize=10)
            axes.set_xlabel("true price in $ (grey: within 20 %)")
            axes.set_xlim(0, top)
            axes.set_ylim(0, top)
        panels[0].set_ylabel("predicted price in $")
        figure.tight_layout()
        return figure


def main() -> None:
    """Print the table, and draw the picture where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("part", choices=("same", "later"))
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--over", type=float, default=0.5)
    parser.add_argument("--under", type=float, default=1.0)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    parts = divide(read(given.table))
    train, asked = parts["train"], parts[given.part]
    truth = {describe(row): float(rounded(row["price"])) for row in asked}
    mean = float(np.mean([float(row["price"]) for row in train]))
    simple: dict[str, Guesses] = {
        "mean of the prices": dict.fromkeys(truth, mean),
        "log-linear regression": regression(train, asked),
    }
    models: dict[str, Guesses] = {}
    for file in given.results:
        for name, guesses in answers(Results.model_validate_json(file.read_text("utf-8"))).items():
            models[f"{name} of {file.parent}" if len(given.results) > 1 else name] = guesses
    print(f"{len(truth)} computers; too high costs {given.over}, too low {given.under} a dollar\n")
    print("| | MAE in $ | within 10 % | within 20 % | RMSLE | cost in $ | silent |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, guesses in (simple | models).items():
        print(line(name, guesses, truth, given.over, given.under))
    if given.picture:
        shown = {name: each for name, each in models.items() if None not in each.values()}
        last = dict(list(shown.items())[-2:])
        figure = picture(last | {"log-linear regression": simple["log-linear regression"]}, truth)
        figure.savefig(given.picture, metadata={"Date": None})


if __name__ == "__main__":
    main()
