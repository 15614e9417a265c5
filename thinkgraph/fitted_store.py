"""The store of fitted params on this machine, by strategy and model.

``thinkgraph fit --keep`` stores params. Only :func:`for_model` applies them: for `run`, `plan` and
the servers, but never for `compare`, `fit`, `distill` or ``load()``, which use the strategy's own
defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_config_path
from pydantic import ValidationError

from thinkgraph.fitted import Fitted
from thinkgraph.graphs.graph import Graph
from thinkgraph.models.catalogue import adapted, find
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.tuning.file_key import file_key
from thinkgraph.models.tuning.json_store import JsonStore


def for_model(graph: Graph, model: str) -> tuple[Graph, Fitted | None]:
    """The strategy with the params and prompts kept for a model as its defaults.

    Args:
        graph: a strategy with its own defaults.
        model: the name or path of a model, as in ``load_model()``.

    Returns:
        The new graph and the applied params; the same graph and None if nothing is kept for this
        file of the model, or the strategy has changed since.
    """
    fitted = kept(graph, model)
    if fitted is None or not fitted.is_current(graph):
        return graph, None
    try:
        return fitted.apply(graph), fitted
    except ThinkgraphError:  # a prompt or value no longer exists
        return graph, None


def kept(graph: Graph, model: str) -> Fitted | None:
    """The params kept for a strategy and a model, even if the strategy has changed since."""
    entries = store().read()
    if not any(key.endswith(f":{graph.name}") for key in entries):
        return None  # don't resolve the model, which may have to be downloaded
    try:
        return Fitted.model_validate(entries[_key(graph.name, model)])
    except (OSError, KeyError, ThinkgraphError, ValidationError):
        return None


def keep(fitted: Fitted) -> None:
    """Keep params for their model's file on this machine, replacing those kept before.

    Raises:
        ThinkgraphError: the model has no file here, or the store can't be written.
    """
    path = Path(fitted.model).expanduser()
    if path.is_file():  # runs may start in another folder
        fitted = fitted.model_copy(update={"model": str(path.resolve())})
    try:
        forget(fitted.graph, fitted.model)
        store().put(_key(fitted.graph, fitted.model), fitted.model_dump(mode="json"))
    except OSError as error:
        raise ThinkgraphError(f"{store().file} can't be written: {error}") from None


def forget(name: str, model: str) -> bool:
    """Remove the params kept for a strategy's name and a model; return whether there were any.

    Raises:
        ThinkgraphError: the store can't be written.
    """
    try:
        place = _place(_key(name, model))
    except (OSError, ThinkgraphError):  # its file is gone
        place = f"{Path(model).expanduser().resolve()}#:{name}"
    ours = [key for key in store().read() if _place(key) == place]
    try:
        for key in ours:
            store().put(key, None)
    except OSError as error:
        raise ThinkgraphError(f"{store().file} can't be written: {error}") from None
    return bool(ours)


def all_kept() -> Iterator[tuple[Fitted, bool]]:
    """All kept params, each with whether the model's file is unchanged since."""
    for key, entry in store().read().items():
        try:
            fitted = Fitted.model_validate(entry)
        except ValidationError:
            continue
        try:
            yield fitted, key == _key(fitted.graph, fitted.model)
        except (OSError, ThinkgraphError):
            yield fitted, False


def store() -> JsonStore:
    """The store: ``fitted.json`` in the user's configuration folder."""
    return JsonStore(user_config_path("thinkgraph") / "fitted.json")


def _place(key: str) -> str:
    """A key without the parts that distinguish versions of a file."""
    return re.sub(r"#[0-9a-f]{16}", "#", key)


def _key(name: str, model: str) -> str:
    """The key of a strategy with a model's file and adapter, in their current versions.

    Raises:
        ThinkgraphError: the model has no file here.
        OSError: the file is gone.
    """
    adapter = adapted(model)
    more = f"+{file_key(adapter.adapter)}:{adapter.scale:g}" if adapter else ""
    return f"{file_key(find(model).path)}{more}:{name}"
