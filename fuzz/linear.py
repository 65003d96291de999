"""Measure how the time of each parser grows when its input becomes twice as long, for the shapes that are worst."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import operator
import time
from collections.abc import Callable, Collection
from typing import Any, Final

from fuzz.targets import REPLY
from htpoort import CutoverPlan, Directory, HtpoortError, Router, RoutingEnvelope, read, read_payload
from htpoort.files import StatusFile, entity, name_of, octets_of, read_report
from htpoort.notices import read_notice, read_own_notice

LONGEST: Final = 1 << 20  # characters
RATIO: Final = 2.3
FLOOR: Final = 0.002  # seconds of processor time below which a measurement is noise
_REPEATED: Final = {
    "envelope": (
        "[",
        "[V=",
        "[V= ",
        " ",
        "=?utf-8?q?=5B?= ",
        "=?",
        "\r\n ",
        "[K=1]",
        "]",
        "[V=[",
        "=?a?b?",
        "[X=1][V=",
    ),
    "message": (
        "A: b\r\n",
        "From: a@b.example\r\n",
        "\r",
        "\n",
        "a",
        " ",
        "--b\r\n",
        "--b\r\nA: b\r\n\r\n",
        "(",
        "=?",
        '"\\',
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
        "; a=b",
        "QQ",
        "=3D",
        "=\r\n",
        "<",
        ",",
        "--",
        " \r\n",
    ),
    "notice": (
        "a",
        " ",
        "\n",
        "12",
        "12:00 ",
        "12 maart 2026 ",
        "van 12:00 tot 14:00 ",
        "<",
        "<p>",
        "&amp;",
        "<!--",
        "DMS ",
        "en ",
        "- ",
        "- DMS\n",
        ".",
        "update ",
        "maandag 2 maart 2026 van 20:00 tot 22:00 uur DMS\n",
        "|a",
        "\t",
    ),
    "toml": (
        "a=1\n",
        "[a]\n",
        "[[a]]\n",
        "a.",
        "[",
        "'''",
        '"',
        "#\n",
        "[[move]]\n",
        "{",
        "\\",
        "a={b=1}\n",
        "a=[1,\n",
    ),
    "file": ("_", "a", "<a>", "&amp;", "<!--", "<a b='c'/>", "status_", "Manifest_", "val_", "%41", "]]>"),
}
_BEFORE: Final = {
    "envelope": ("", "=?utf-8?q?", REPLY, "[V="),
    "message": (
        "",
        f"From: dms@htpoort.nl\r\nSubject: {REPLY}\r\n",
        f"From: dms@htpoort.nl\r\nSubject: {REPLY}\r\n\r\n",
        "From: ",
        "Subject: ",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
        "Content-Type: ",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        "Content-Type: text/xml\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
    ),
    "notice": ("", "Storing DMS\n", "<html><body>"),
    "toml": ("", "a = ", "a = [", "a = '''", "systems."),
    "file": ("", "<status><file><service>", "status_Manifest_", "<!DOCTYPE a [", "Subject: "),
}


def _parsers() -> dict[str, dict[str, Callable[[str], object]]]:
    router = Router(parties=["NL123456789.02.05"])
    return {
        "envelope": {"parse": RoutingEnvelope.parse, "find": RoutingEnvelope.find},
        "message": {
            "read": lambda text: read(text.encode()),
            "payload": lambda text: read_payload(text.encode()),
            "route": lambda text: router.route_message(text.encode()),
        },
        "notice": {"read_notice": read_notice},
        "toml": {"directory": Directory.from_toml, "plan": CutoverPlan.from_toml, "own": read_own_notice},
        "file": {
            "status": lambda text: StatusFile.parse(text, ()),
            "report": lambda text: read_report(text.encode()),
            "entity": lambda text: (name_of(text.encode()), octets_of(text.encode())),
            "write": lambda text: entity("A1", text.encode()),
        },
    }


def seconds(parse: Callable[[str], object], text: str) -> float:
    """Return the least processor time of three runs, errors included."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        with contextlib.suppress(HtpoortError):
            parse(text)
        best = min(best, time.process_time() - start)
        if best > 1:
            break
    return best


def worst(parse: Callable[[str], object], before: str, unit: str) -> tuple[float, int, float]:
    """Return the greatest ratio of the time of one length to that of half of it, that length, and its time."""
    ratio, length, slowest, last = 0.0, 0, 0.0, None
    size = LONGEST >> 6
    while size <= LONGEST:
        text = before + unit * (size // len(unit))
        now = seconds(parse, text)
        if last is not None and last >= FLOOR and now / last > ratio:
            ratio, length = now / last, size
        slowest, last = max(slowest, now), now
        if now > 20:  # certainly not linear
            break
        size *= 2
    return ratio, length, slowest


def measure(names: Collection[str]) -> int:
    """Measure all parsers, or those of some targets; print the worst shapes of each; return 1 if one is not linear."""
    bad = 0
    gc.disable()
    for name, parsers in _parsers().items():
        if names and name not in names:
            continue
        for parser, parse in parsers.items():
            rows: list[dict[str, Any]] = []
            for before, unit in itertools.product(_BEFORE[name], _REPEATED[name]):
                ratio, length, slowest = worst(parse, before, unit)
                for _ in range(3):  # another program may have emptied the caches; what is not linear stays so
                    if ratio > RATIO:
                        ratio, length, slowest = min((ratio, length, slowest), worst(parse, before, unit))
                row = {"before": before, "unit": unit, "ratio": round(ratio, 2), "length": length}
                rows.append(row | {"seconds": round(slowest, 4)})
            rows.sort(key=lambda row: -row["ratio"])
            over = [row for row in rows if row["ratio"] > RATIO]
            bad += len(over)
            slowest_row = max(rows, key=operator.itemgetter("seconds"))
            shown = {"worst": rows[0], "slowest": slowest_row} | ({"over": over} if over else {})
            print(
                json.dumps({"target": name, "parser": parser, "shapes": len(rows), "limit": RATIO} | shown), flush=True
            )
    return 1 if bad else 0
