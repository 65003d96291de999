"""
Pages as a browser shows them: each is opened at two widths, in light and dark.

Screenshots are kept in `.nox/looks`, so that a person can look at them too.
"""

from __future__ import annotations

import fcntl
import functools
import http.server
import os
import shutil
import subprocess  # noqa: S404 - Sphinx is a program
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

ROOT: Final = Path(__file__).parents[2]
SHOTS: Final = ROOT / ".nox/looks"
WIDTHS: Final = (390, 1_440)
SCHEMES: Final = ("light", "dark")

WIDER = """() => document.documentElement.scrollWidth - document.documentElement.clientWidth"""
CUT = """() => [...document.querySelectorAll('pre, code, .sig')].filter(each => {
    const style = getComputedStyle(each), hides = ['hidden', 'clip'].includes(style.overflowX);
    return hides && each.scrollWidth > each.clientWidth + 1;
}).map(each => each.textContent.slice(0, 60))"""
SCROLLS = """() => [...document.querySelectorAll('.content pre, article pre')]
    .filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.textContent.slice(0, 90))"""
NAMELESS = """() => [...document.querySelectorAll('img, svg[role=img], main svg:not([aria-hidden=true])')]
    .filter(each => !(
        each.hasAttribute('alt') || each.getAttribute('aria-label') || each.getAttribute('aria-labelledby')
        || each.querySelector('title') || each.closest('[aria-hidden=true], button, a[aria-label], label')))
    .map(each => each.outerHTML.slice(0, 120))"""


def chromium() -> str:
    """Find the browser; the session `looks` installs it."""
    found = shutil.which("chromium")
    assert found is not None, "Not installed: apt-get install chromium; or run as root: nox -s looks"
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        # Root has no sandbox; the pages are ours, from loopback.
        started = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@attrs.frozen
class Looks:
    """Opens pages as people do, and lists what is wrong with each."""

    browser: Browser

    @contextmanager
    def page(self, url: str, *, width: int, scheme: str, scripts: bool = True) -> Generator[Page]:
        """Open a page."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=scripts,  # type: ignore[arg-type]  # one of two
        )
        try:
            opened = context.new_page()
            opened.goto(url, wait_until="load")
            yield opened
        finally:
            context.close()

    def wrong(self, url: str, name: str, *, width: int, scheme: str, axe: bool = True) -> list[str]:
        """
        List what a page gets wrong.

        It may not scroll sideways, cut code or show a graphic without a name; with *axe*, it may not have a fault that
        axe finds either: contrast, labels, headings, keyboard. That and the screenshot that is kept then take longer
        than all the rest together.
        """
        with self.page(url, width=width, scheme=scheme) as page:
            found = [f"{page.evaluate(WIDER)} pixels too wide"] if page.evaluate(WIDER) > 0 else []
            found += [f"cut: {text}" for text in page.evaluate(CUT)]
            found += [f"without a name: {text}" for text in page.evaluate(NAMELESS)]
            if width == max(WIDTHS):  # a screen, on which no block of code needs to be scrolled
                found += [f"wider than the page: {text}" for text in page.evaluate(SCROLLS)]
            violations = Axe().run(page, options=AXE).response["violations"] if axe else []
            found += [f"{each['id']}: {node['html'][:120]}" for each in violations for node in each["nodes"]]
            found += self._unreachable(page)
            if axe:  # as PNG, a long page takes twice as long
                page.screenshot(path=SHOTS / f"{name}-{width}-{scheme}.jpeg", quality=70, full_page=True)
        return found

    @staticmethod
    def _unreachable(page: Page) -> list[str]:
        """Press Tab a few times: each time, something that can be seen has the focus."""
        wrong: list[str] = []
        for _ in range(4):
            page.keyboard.press("Tab")
            shown = page.evaluate("() => document.activeElement?.checkVisibility?.() ?? false")
            if not shown:
                wrong.append("Tab leads to what cannot be seen")
        return wrong


AXE: Final[dict[str, Any]] = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
"""The rules of WCAG 2.1, levels A and AA."""


@pytest.fixture(scope="session")
def looks(browser: Browser) -> Looks:
    """Look at pages."""
    return Looks(browser)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has there
        """Write nothing."""


@pytest.fixture(scope="session")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Build the documentation once for all processes, and serve it on loopback; gives its address."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "docs-as-published"
    with (shared / "docs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "searchindex.js").exists():
            command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", ROOT / "docs", folder]
            subprocess.run(command, check=True)  # noqa: S603 - our own documents
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


Wrong = Callable[..., list[str]]
