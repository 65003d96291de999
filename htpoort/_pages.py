"""
Fill templates of HTML. The only module that imports Jinja2.

Never does: put a value into a page as markup. Whatever a peer sent comes out as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, final

import jinja2

__all__ = ["Pages"]

_FOLDER: Final = "templates"


@final
class Pages:
    """
    Fill the templates of one package.

    Args:
        package: The package; its templates are the files in its folder ``templates``.
        filters: Functions for its templates, by name.
        tests: The same, for what follows ``is``.
        show: Writes each value that a template puts into a page, before it is escaped; by default it stays as it is.
    """

    def __init__(
        self,
        package: str,
        *,
        filters: Mapping[str, Callable[..., Any]] | None = None,
        tests: Mapping[str, Callable[..., bool]] | None = None,
        show: Callable[[Any], Any] | None = None,
    ) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader(package, _FOLDER),
            autoescape=True,
            # A misspelt name is an error, and not an empty place in the page.
            undefined=jinja2.StrictUndefined,
            finalize=show,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._environment.filters.update(filters or {})
        self._environment.tests.update(tests or {})

    def render(self, template: str, **values: object) -> str:
        """
        Fill a template.

        Args:
            template: The name of its file.
            values: What it names. Texts are escaped.

        Returns:
            The page, or the part of one.

        Raises:
            jinja2.TemplateError: The template names a value that is not given, or is not there at all.
        """
        return self._environment.get_template(template).render(values)
