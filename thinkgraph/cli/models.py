"""``thinkgraph models`` and ``tune``: the named models, and the fastest settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from thinkgraph.terminal import reader, say

if TYPE_CHECKING:
    from thinkgraph.models.tuning.tune import Trial


def models() -> None:
    """List the named models, and whether they are installed."""
    from thinkgraph.models.catalogue import known

    with reader():
        for entry in known():
            here = f"{entry.path} ({entry.size / 1e6:.0f} MB)" if entry.size else entry.install
            print(f"{entry.name:12} {entry.about}")
            print(f"{'':12} {here}")
        print("A path to a .gguf file, hf:OWNER/REPO/FILE and openai:MODEL@URL are models too.")


def tune(
    model: Annotated[
        str, typer.Argument(help="A model name, a .gguf file, or hf:OWNER/REPO/FILE.")
    ],
    lossy: Annotated[
        bool, typer.Option("--lossy", help="Also try quantizations that change the model's output.")
    ] = False,
) -> None:
    """Find the fastest settings of a model on this machine, and use them in later runs."""
    from thinkgraph.models.catalogue import find
    from thinkgraph.models.tuning.tune import config_file
    from thinkgraph.models.tuning.tune import tune as search

    def tell(trial: Trial) -> None:
        ratio = f", {trial.ratio:.2f} × the best so far" if trial.ratio else ""
        lost = f", perplexity {trial.perplexity:.2f}" if trial.perplexity else ""
        say(f"{trial.name}: {trial.tokens_per_s:.0f} tokens a second{ratio}{lost}")

    found = search(find(model).path, lossy=lossy, tell=tell)
    print(f"{found.after:.0f} tokens a second, {found.gain:.2f} × the {found.before:.0f} before")
    if found.busy:
        say("other programs kept the machine busy; tune again when it is quiet")
    print(f"file      {found.use}")
    for name, value in found.settings.items():
        print(f"{name:9} {value}")
    print(f"kept in   {config_file()}")
