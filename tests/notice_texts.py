"""The texts of published notices that tests read: our own, and foreign ones from the folder HTPOORT_CORPUS."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from pathlib import Path

OWN = Path(__file__).parent / "unit" / "notices"
FOREIGN = Path(os.environ["HTPOORT_CORPUS"]) / "notices" if "HTPOORT_CORPUS" in os.environ else None


def notice_texts() -> dict[str, str]:
    """Return each text by its name."""
    folders = [OWN, *([FOREIGN] if FOREIGN is not None else [])]
    return {path.stem: path.read_text(encoding="utf-8") for folder in folders for path in sorted(folder.glob("*.txt"))}


SIGNS = (
    " ",
    "\n",
    "\n\n",
    ". ",
    ": ",
    " - ",
    " – ",
    " | ",
    "• ",
    "☒ ",
    "☐ ",
    "(",
    ")",
    "<p>",
    "</p>",
    "<del>",
    "&amp;",
    "2100",
    "24:00",
)


def random_text(seed: int, texts: Mapping[str, str]) -> str:
    """Put words, lines and halves of notices, and signs, together in any order."""
    source = random.Random(seed)  # noqa: S311
    pieces: list[str] = []
    for _ in range(source.randint(0, 20)):
        text = texts[source.choice(sorted(texts))]
        start = source.randrange(len(text))
        kind = source.randrange(4)
        if kind == 0:
            pieces.append(source.choice(SIGNS))
        elif kind == 1:
            pieces.append(source.choice(text.split()) + source.choice(SIGNS))
        elif kind == 2:
            pieces.append(source.choice(text.splitlines()) + "\n")
        else:
            pieces.append(text[start : start + source.randint(0, 200)])
    return "".join(pieces)
