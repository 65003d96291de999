"""Build the documentation: `sphinx-build -n -W -b html docs OUT`."""

from __future__ import annotations

import logging
import re
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "htpoort"
author = "The htpoort developers"
copyright = "The htpoort developers"  # noqa: A001 - Sphinx reads it by this name
release = version = version_of("htpoort")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_static_path = ["_static"]
html_title = f"htpoort {release}"
html_css_files = ["pages.css"]
html_js_files = ["pages.js"]

# What is copied is what one types: no prompt, and no output.
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
copybutton_line_continuation_character = "\\"

# Backticks in docstrings are code; they are written for `help()` too.
default_role = "code"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # a default as the source writes it, and not its repr
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "special-members": "__aenter__"}
autodoc_type_aliases = {"Layout": "Layout"}
add_module_names = False

napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Source", "returns_style")]

myst_heading_anchors = 3

# The build needs no network, so names of the standard library and of aliases stay without a link; each is listed.
nitpick_ignore = [
    ("py:class", name)
    for name in (
        "Authenticator",
        "concurrent.futures._base.Future",
        "contextlib.AbstractContextManager",
        "Handler",
        "Layout",
        "PayloadForm",
        "SentLookup",
        "TLSVersion",
        "htpoort.core.files.rules._ValueT",
        "collections.abc.Awaitable",
        "concurrent.futures.Future",
        "collections.abc.Callable",
        "collections.abc.Callable[[]",
        "collections.abc.Collection",
        "collections.abc.Generator",
        "collections.abc.Iterable",
        "collections.abc.Iterator",
        "collections.abc.Mapping",
        "collections.abc.Mapping[str",
        "collections.abc.Sequence",
        "date",
        "datetime",
        "datetime.date",
        "datetime.datetime",
        "datetime.timedelta",
        "datetime.tzinfo",
        "htpoort.ledger._connection.Connections",
        "htpoort.ledger._knowledge.NoticeReader",
        "Database",
        "htpoort.testing.handles.Background",
        "htpoort.ledger.ledger.T",
        "htpoort.ledger.reports.T",
        "hypothesis.strategies.SearchStrategy",
        "pathlib.Path",
        "prometheus_client.registry.CollectorRegistry",
        "sqlalchemy.engine.base.Engine",
        "sqlalchemy.engine.url.URL",
        "ssl.SSLContext",
        "ssl.TLSVersion",
        "st.SearchStrategy",
        "timedelta",
    )
]
nitpick_ignore.extend((("py:obj", "htpoort.delivery.contract.AnyReply"), ("py:exc", "InvalidArgument")))
nitpick_ignore.append(("py:obj", "typing.Literal['7bit'"))

logging.getLogger("alembic").setLevel(logging.WARNING)  # it lists its plugins at INFO, on standard error


def _sentence_only(_app: Sphinx, what: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
    """Keep napoleon from reading the text before a colon as a type, in the docstring of a constant."""
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]  # an empty comment


_REPR = re.compile(r"<\w+\.\w+: |[A-Z]\w+\(|datetime\.|frozenset\(")


def _without_reprs(_app: Sphinx, _domain: str, _kind: str, content: addnodes.desc_content) -> None:
    """Leave out of a signature what only a program can read: the repr of a value that is made of values."""
    for value in content.parent.findall(nodes.inline):
        if "default_value" in value["classes"] and _REPR.search(value.astext()):
            value.clear()
            value.append(nodes.Text("..."))
    for value in list(content.parent.findall(addnodes.desc_annotation)):
        if value.astext().startswith(" = ") and _REPR.search(value.astext()):
            value.parent.remove(value)


FOUND_BY = {
    "how-to/certificates": ("certificate",),
    "how-to/install": ("Windows",),
    "how-to/service-windows": ("service window",),
    "how-to/troubleshooting": ("wrong party",),
    "reference/glossary": ("LRN", "MRN"),
}
"""Words that people search for, and that other pages have in headings or names: the page that they mean comes first."""


def _index(app: Sphinx, tree: nodes.document) -> None:
    """Give a page its words in the index, which the search looks up first."""
    if words := FOUND_BY.get(app.env.docname):
        section = next(tree.findall(nodes.section))
        entries = [("single", word, section["ids"][0], "main", None) for word in words]
        section.insert(0, addnodes.index(entries=entries))


def _level_of_captions(
    _app: Sphinx, _page: str, _template: str, context: dict[str, Any], _tree: nodes.document | None
) -> None:
    """Say how deep the caption of a list of pages is; Sphinx calls it a heading, and gives no level."""
    if "body" in context:
        context["body"] = context["body"].replace(
            '<p class="caption" role="heading">', '<p class="caption" role="heading" aria-level="2">'
        )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what this file adds to Sphinx."""
    app.connect("autodoc-process-docstring", _sentence_only, priority=400)  # before napoleon
    app.connect("object-description-transform", _without_reprs)
    app.connect("doctree-read", _index)
    app.connect("html-page-context", _level_of_captions)
    return {"parallel_read_safe": True}
