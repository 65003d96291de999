"""Any text can be read as a notice; the whole proof has a million texts and its own session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Shown = Callable[..., dict[str, Any]]


def test_no_text_raises(shown: Shown) -> None:
    """Random texts give a notice each: no error, and no place outside of the text."""
    figures = shown("random_notices.py", "--texts", "2000", "--seed", "7")

    assert ([], 2000) == (figures["wrong"], figures["texts"])
