"""HTML pages: the Jinja environment for the templates of reports and comparisons."""

from __future__ import annotations

from functools import cache

from jinja2 import PackageLoader, StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from thinkgraph.graphs.pictures.prose import formula, is_plain, prose


@cache
def page_template(package: str, name: str) -> Template:
    """The template ``name`` of a package, with autoescape and strict names, in Jinja's sandbox."""
    environment = ImmutableSandboxedEnvironment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}".replace(",", "\u202f")
    environment.filters |= {"prose": prose, "formula": formula}
    environment.tests["plain"] = is_plain
    environment.policies["json.dumps_kwargs"] = {
        "ensure_ascii": False,
        "allow_nan": False,
        "separators": (",", ":"),
    }
    return environment.get_template(name)
