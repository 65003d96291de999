"""Templates of HTML: what a value holds comes out as text."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from htpoort._pages import Pages


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pages:
    """Make a package with templates."""
    folder = tmp_path / "paper" / "templates"
    folder.mkdir(parents=True)
    (tmp_path / "paper" / "__init__.py").touch()
    (folder / "one.html").write_text("<p>{{ text }}{{ text | loud }}</p>\n", encoding="utf-8")
    (folder / "two.xml").write_text("<p>{{ text }}</p>", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return Pages("paper", filters={"loud": str.upper})


def test_markup_in_a_value_is_text(pages: Pages) -> None:
    """What a value holds is never markup, whatever a filter made of it and however the file is named."""
    assert "<p>&lt;b&gt;&lt;B&gt;</p>\n" == pages.render("one.html", text="<b>")
    assert "<p>&lt;b&gt;&#34;</p>" == pages.render("two.xml", text='<b>"')


def test_a_missing_value_is_an_error(pages: Pages) -> None:
    """A name that the template uses and that is not given stops the page."""
    with pytest.raises(jinja2.UndefinedError):
        pages.render("one.html")
