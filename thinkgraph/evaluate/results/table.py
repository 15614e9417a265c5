"""The table of a comparison: as text for a terminal or a pipe, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from thinkgraph.evaluate.analysis.summary import Summary
from thinkgraph.evaluate.results.columns import Column, Line, accuracy, cost, lines
from thinkgraph.evaluate.runs.comparison import Comparison
from thinkgraph.terminal import console as make_console

BAR = 10
LEGEND = (
    "Intervals are of 95 %; points are percentage points. Tokens (sampled), prompt tokens, calls "
    "and seconds are of one question. ◆: no other is at least as right for fewer tokens. "
    "Silent: runs in whose text no answer could be read; they count as wrong."
)
STYLES = {"better": "bold green", "worse": "bold red", "not sure": "dim", "baseline": "dim"}


def report(comparison: Comparison, summary: Summary, console: Console | None = None) -> None:
    """Print the tables and conclusions to standard output.

    In a terminal that is too narrow for one table, accuracy and cost are two. A pipe gets a
    single table without colours, as wide as needed.
    """
    console = console or make_console()
    console.print(Text(title(comparison), style="bold"))
    good, price = accuracy(summary), cost(summary)
    whole = _table(summary, [*good, *price])
    width = console.measure(whole, options=console.options.update(max_width=10_000)).maximum
    if not console.is_terminal:  # in a pipe, one table with all columns is easier to parse
        console.width = max(console.width, width)
    if width <= console.width:
        tables = [whole]
    else:
        tables = [_table(summary, good), _table(summary, price, bar=False)]
    for table in tables:
        console.print()
        console.print(table)
    if summary.groups:
        console.print()
        console.print(_groups(summary))
    console.print()
    console.print(Text(LEGEND, style="dim"))
    for sentence in [*summary.sentences, *summary.equal_budget]:
        console.print(_item(sentence))


def group_rows(summary: Summary) -> list[list[str]]:
    """The breakdown by group: a line of names, and a line for each group."""
    labels = [strategy.label for strategy in summary.strategies]
    lines = [["group", "questions", *labels]]
    for group in summary.groups:
        shares = [group.shares.get(label) for label in labels]
        cells = [
            f"{100 * s[0]:.0f} % [{100 * s[1]:.0f}, {100 * s[2]:.0f}]" if s else "–" for s in shares
        ]
        lines.append([group.name, str(group.questions), *cells])
    return lines


def _groups(summary: Summary) -> Table:
    head, *lines = group_rows(summary)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for i, name in enumerate(head):
        table.add_column(_printable(name), justify="left" if i == 0 else "right", overflow="fold")
    for line in lines:
        table.add_row(*(Text(_printable(cell)) for cell in line))
    return table


def title(comparison: Comparison) -> str:
    """A one-line description of the comparison."""
    asked = len(comparison.questions)
    missing = asked * len(comparison.variants) - len(comparison.rows)
    parts = [
        comparison.task,
        f"{asked} questions",
        comparison.model,
        f"metric {comparison.metric}",
        f"seed {comparison.seed}",
        *([f"{missing} answers are still missing"] if missing else []),
    ]
    return _printable(" · ".join(parts))


def markdown(summary: Summary) -> str:
    """The table and conclusions as GitHub-flavoured Markdown, ending with a newline."""
    columns = [*accuracy(summary), *cost(summary)]
    rows = [["strategy", *(column.head for column in columns)], ["---"] * (len(columns) + 1)]
    for line in lines(summary):
        label = f"`{line.strategy.label.replace('`', '')}`"
        rows.append([label, *(column.cell(line) for column in columns)])
    table = [f"| {' | '.join(map(_escaped, row))} |" for row in rows]
    found = [f"- {_escaped(said)}" for said in [*summary.sentences, *summary.equal_budget]]
    if summary.groups:
        head, *lines_ = group_rows(summary)
        shown = [head, ["---"] * len(head), *lines_]
        table += ["", *(f"| {' | '.join(map(_escaped, row))} |" for row in shown)]
    return "\n".join([*table, "", LEGEND, *(["", *found] if found else []), ""])


def _table(summary: Summary, columns: Sequence[Column], *, bar: bool = True) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("strategy", overflow="fold", min_width=16)
    for i, column in enumerate(columns):
        if bar and i == 2:
            table.add_column("", no_wrap=True, width=BAR)
        table.add_column(
            column.head,
            justify="left" if column.head in {"claim", "front"} else "right",
            no_wrap=True,
        )
    for line in lines(summary):
        table.add_row(*_cells(line, columns, bar=bar))
    return table


def _cells(line: Line, columns: Sequence[Column], *, bar: bool) -> Iterator[Text]:
    yield Text(_printable(line.strategy.label), "bold" if line.strategy.on_front else "")
    for i, column in enumerate(columns):
        if bar and i == 2:
            yield Text("█" * round(BAR * line.strategy.share))
        text = column.cell(line)
        yield Text(text, STYLES.get(text, ""))


def _item(sentence: str) -> Table:
    """A sentence as a list item, with wrapped lines indented."""
    grid = Table.grid(padding=(0, 1))
    grid.add_row("-", Text(_printable(sentence)))
    return grid


def _printable(text: str) -> str:
    """A text without control characters, since labels and ids may come from a file."""
    return "".join(c if c.isprintable() else " " for c in text)


def _escaped(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|").replace("<", "&lt;")
