"""Pages of HTML: one way to make their templates, for whatever a run or a comparison shows."""

from __future__ import annotations

from functools import cache

from jinja2 import PackageLoader, StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment


@cache
def page_template(package: str, name: str) -> Template:
    """The template ``name`` of a package: escaping, strict about names, in Jinja's sandbox."""
    environment = ImmutableSandboxedEnvironment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}".replace(",", "\u202f")
    environment.policies["json.dumps_kwargs"] = {
        "ensure_ascii": False,
        "allow_nan": False,
        "separators": (",", ":"),
    }
    return environment.get_template(name)
