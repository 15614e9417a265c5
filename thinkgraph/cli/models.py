"""``thinkgraph models`` and ``tune``: the named models, and the fastest settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thinkgraph.terminal import reader, say

if TYPE_CHECKING:
    from thinkgraph.models.tuning.tune import Trial


def models() -> None:
    """List the named models, whether they are installed, and what was tuned and fitted."""
    from thinkgraph.fitted_store import all_kept
    from thinkgraph.models.catalogue import known
    from thinkgraph.models.tuning.findings import finding, store, unused_copies

    with reader():
        for entry in known():
            here = f"{entry.path} ({entry.size / 1e6:.0f} MB)" if entry.size else entry.install
            print(f"{entry.name:12} {entry.about}")
            print(f"{'':12} {here}")
        print("A path to a .gguf file, hf:OWNER/REPO/FILE and openai:MODEL@URL are models too.")
        for key in store().read():
            path = Path(key.rpartition("#")[0])
            found = finding(path)
            told = found.tell(path) if found else "no longer used, since a file changed or is gone"
            print(f"tuned: {path}: {told}; undo: thinkgraph tune --undo {path}")
        for copy in unused_copies():
            print(f"unused copy: {copy}, of a tune that runs or was killed; it can be deleted")
        for fitted, is_used in all_kept():
            unused = "" if is_used else "; no longer used, since a file changed or is gone"
            print(f"fitted: {fitted.told}{unused}")


def tune(
    model: Annotated[
        str, typer.Argument(help="A model name, a .gguf file, or hf:OWNER/REPO/FILE.")
    ],
    lossy: Annotated[
        bool, typer.Option("--lossy", help="Also try quantizations that change the model's output.")
    ] = False,
    undo: Annotated[
        bool,
        typer.Option(
            "--undo", help="Discard the tuned settings, and delete the tuned copy of the model."
        ),
    ] = False,
) -> None:
    """Find the fastest settings of a model on this machine, and use them in later runs."""
    from thinkgraph.models.catalogue import find
    from thinkgraph.models.tuning.findings import config_file, copies, forget
    from thinkgraph.models.tuning.tune import tune as search

    if undo:
        # Try the path first, since its file may be gone.
        undone = forget(Path(model).expanduser()) or forget(find(model).path)
        gone = [str(each.use) for each in undone if each.use.parent == copies()]
        removed = f"; removed {', '.join(gone)}" if gone else ""
        print(f"{model} is as it was{removed}" if undone else "nothing was tuned")
        return
    found = search(find(model).path, lossy=lossy, tell=_tell)
    print(f"{found.after:.0f} tokens a second, {found.gain:.2f} × the {found.before:.0f} before")
    print(f"found     {found.tell(found.model)}")
    if found.busy:
        say("nothing was kept, for other programs kept the machine busy; tune it when it is quiet")
        return
    print(f"kept in   {config_file()}; undo: thinkgraph tune --undo {model}")


def _tell(trial: Trial) -> None:
    words = [] if trial.tokens_per_s is None else [f"{trial.tokens_per_s:.0f} tokens a second"]
    if trial.ratio:
        words.append(f"{trial.ratio:.2f} × the best so far")
    if trial.perplexity:
        words.append(f"perplexity {trial.perplexity:.2f}")
    say(f"{trial.name}: {', '.join(words)}" if words else trial.name)
