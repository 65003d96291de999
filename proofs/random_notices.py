"""
Read a million random texts as notices, and check that none raises an error and that each place lies in its text.

    python proofs/random_notices.py --texts 1000000 --workers 2 --json notices.json

Half of the texts are words, lines and signs of the notices of the tests in any order; the others are characters in any
order, changed notices, and notices cut anywhere. HTPOORT_CORPUS adds the notices of a folder.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from notice_texts import notice_texts, random_text

from htpoort.notices import notice_json, read_notice

_CHUNK: Final = 500
_SHOWN: Final = 20
_PROGRESS: Final = 50_000
_CHARACTERS: Final = "0123456789 .:-,/\n|•☒☐–abcIMNTædø()<>&;\u00a0\x00\ud800"


def _text(seed: int, texts: dict[str, str]) -> str:
    """Make one text."""
    source = random.Random(seed)  # noqa: S311
    text = texts[source.choice(sorted(texts))]
    place, stop = source.randrange(len(text)), source.randrange(len(text))
    match source.randrange(6):
        case 0:
            return "".join(source.choices(_CHARACTERS, k=source.randrange(400)))
        case 1:
            return text[min(place, stop) : max(place, stop)]
        case 2:
            return text[:place] + source.choice(_CHARACTERS) + text[place + 1 :]
        case _:
            return random_text(seed, texts)


def _faults(text: str) -> Iterator[str]:
    """Read one text, and list what is wrong with the result."""
    notice = read_notice(text)
    notice_json(notice)
    places = [(problem.start, problem.stop) for problem in notice.problems]
    places += [*notice.unread, *((revision.start, revision.stop) for revision in notice.revisions)]
    if notice.text != text:
        yield "the text was not kept"
    if any(not 0 <= start <= stop <= len(text) for start, stop in places):
        yield "a place lies outside of the text"
    if not notice.revisions and not notice.problems:
        yield "neither read nor reported"
    yield from ["complete"] if notice.complete else []


def _read(first: int, count: int) -> tuple[Counter[str], list[str]]:
    """Read so many texts."""
    texts = notice_texts()
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for seed in range(first, first + count):
        counts["texts"] += 1
        try:
            found = list(_faults(_text(seed, texts)))
        except Exception:  # noqa: BLE001 - any error is what this looks for
            found = [traceback.format_exc(limit=-3)]
        counts["complete"] += found.count("complete")
        wrong += [f"{seed}: {fault}" for fault in found if fault != "complete"]
    return counts, wrong


def main() -> int:
    """Read them all, and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    started = time.monotonic()
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    starts = range(options.seed, options.seed + options.texts, _CHUNK)
    sizes = [min(_CHUNK, options.seed + options.texts - start) for start in starts]
    with ProcessPoolExecutor(options.workers) as pool:
        for more, faults in pool.map(_read, starts, sizes):
            counts += more
            wrong += faults
            if counts["texts"] % _PROGRESS == 0:
                print(f"{counts['texts']:,} texts, {len(wrong)} faults", file=sys.stderr)
    figures: dict[str, Any] = {**counts, "wrong": wrong[:_SHOWN], "faults": len(wrong)}
    print(json.dumps({**figures, "seconds": round(time.monotonic() - started)}, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(figures), encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
