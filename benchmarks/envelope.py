r"""
Read and write the envelope, against bare regular expressions and code by hand (part A).

The reference is the *bare tolerant fullmatch*: one pattern, letters in any case, blanks around brackets,
keys and values, four groups, values of printable ASCII without blanks and brackets. It finds the same four
values and does nothing else: no object, no note of what was forgiven, no limit, no reason where it fails.
It is as fast as we could make it: possessive repeats, `[Vv]` instead of IGNORECASE (20 % faster),
ASCII ranges instead of negated classes (15 % faster) and of `\w` (40 %).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import attrs
from harness import Case, Goal, arguments, in_rounds, is_child, one_round, ratios, report

from htpoort import EnvelopeError, RoutingEnvelope
from htpoort.core import _headers, _lenient, grammar  # noqa: PLC2701 - the patterns are tried alone, too

REQUEST: Final = "[V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]"
REPLY: Final = "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]"
FORWARDED: Final = "Fw: [EXTERN] [v= DMS4.NL] [a= NL123456789.02.05] [k=22096222734662] [s=0]"
OTHER: Final = "Out of office: back on Monday, please call the desk at 9"
BRACKETS: Final = "[EXTERN] [Ticket#2311] Out of office: back on Monday, 9h"

STRICT: Final = re.compile("".join(rf"\[{key}=([A-Za-z0-9._-]{{1,35}}+)\]" for key in "VAKS"))
TOLERANT: Final = re.compile(
    "".join(rf" *+\[ *+[{key}{key.lower()}] *+= *+([!-Z\\^-~]++) *+\]" for key in "VAKS") + " *+"
)
LOOSE: Final = re.compile("".join(rf" *+\[ *+[{key}{key.lower()}] *+= *+([^]]++)\]" for key in "VAKS") + " *+")


@attrs.frozen
class Four:
    """Hold four values, as a user without this library would."""

    v: str
    a: str
    k: str
    s: str


def by_regex(line: str) -> Four | None:
    """Read by the tolerant pattern into a small object."""
    matched = TOLERANT.fullmatch(line)
    return Four(*matched.groups()) if matched else None


def by_hand(line: str) -> Four | None:
    """Read by split and partition, as tolerant as the pattern; loops and dictionaries are slower."""
    pieces = line.split("]")
    if len(pieces) != 5 or pieces[4].strip(" "):
        return None
    v_key, _, v = pieces[0].partition("=")
    a_key, _, a = pieces[1].partition("=")
    k_key, _, k = pieces[2].partition("=")
    s_key, _, s = pieces[3].partition("=")
    if (v_key + a_key + k_key + s_key).replace(" ", "").upper() != "[V[A[K[S":
        return None
    return Four(v.strip(" "), a.strip(" "), k.strip(" "), s.strip(" "))


def raising(line: str) -> EnvelopeError | None:
    """Read a line that holds no envelope."""
    try:
        RoutingEnvelope.parse(line)
    except EnvelopeError as error:
        return error
    return None


BARE: Final = "bare tolerant fullmatch, canonical line"
BARE_REPLY: Final = "bare tolerant fullmatch, reply line"
BARE_NONE: Final = "bare tolerant search, no match"
CASES: Final = (
    Case("bare strict fullmatch, canonical line", "strict(request)", "bare"),
    Case(BARE, "tolerant(request)", "bare"),
    Case(BARE_REPLY, "tolerant(reply)", "bare"),
    Case("bare fullmatch, values unchecked ([^]]+)", "loose(request)", "bare"),
    Case(BARE_NONE, "search(other)", "bare"),
    Case("tolerant fullmatch + groups + attrs object", "by_regex(request)", "by hand"),
    Case("split and partition + attrs object", "by_hand(request)", "by hand"),
    Case("parse, canonical line", "parse(request)", "htpoort", ours=True),
    Case("parse, official reply form with its note", "parse(reply)", "htpoort", ours=True),
    Case("parse, forwarded: text, case, blanks, notes", "parse(forwarded)", "htpoort", ours=True),
    Case("find, no envelope", "find(other)", "htpoort", ours=True),
    Case("find, no envelope but brackets", "find(brackets)", "htpoort", ours=True),
    Case("parse raises, no envelope", "raising(other)", "htpoort", ours=True),
    Case("f-string alone", 'f"[V={v}][A={a}][K={k}][S={s}]"', "bare"),
    Case("render", "render()", "htpoort", ours=True),
    Case("constructor, validating", "make(sender=v, addressee=a, reference=k, s=s)", "htpoort", ours=True),
)
GOALS: Final = (
    Goal("pattern + groups + attrs object / bare", "tolerant fullmatch + groups + attrs object", BARE),
    Goal("split and partition + attrs object / bare", "split and partition + attrs object", BARE),
    Goal(
        "parse of a forwarded line / bare", "parse, forwarded: text, case, blanks, notes", BARE, None, "a note for each"
    ),
    Goal("parse that raises / bare", "parse raises, no envelope", BARE, None, "with its problems; find does not raise"),
    Goal("find, no envelope / bare search in the same text", "find, no envelope", BARE_NONE),
    Goal("find, no envelope but brackets / bare", "find, no envelope but brackets", BARE, 0.6),
    Goal("find, no envelope / bare", "find, no envelope", BARE, 0.6),
    Goal("render / bare", "render", BARE, 1.0),
    Goal(
        "parse, official reply form with its note / bare", "parse, official reply form with its note", BARE_REPLY, 4.0
    ),
    Goal("parse, canonical line / bare", "parse, canonical line", BARE, 3.0),
)


def names() -> dict[str, object]:
    """Give what the statements use."""
    envelope = RoutingEnvelope.parse(REQUEST)
    return {
        "request": REQUEST, "reply": REPLY, "forwarded": FORWARDED, "other": OTHER, "brackets": BRACKETS,
        "strict": STRICT.fullmatch, "tolerant": TOLERANT.fullmatch, "loose": LOOSE.fullmatch,
        "search": TOLERANT.search, "by_regex": by_regex, "by_hand": by_hand, "raising": raising,
        "parse": RoutingEnvelope.parse, "find": RoutingEnvelope.find, "render": envelope.render,
        "make": RoutingEnvelope, "v": envelope.sender, "a": envelope.addressee, "k": envelope.reference, "s": "0",
    }  # fmt: skip


def check() -> None:
    """Make sure that each one finds the right thing: a figure of a wrong result is worth nothing."""
    request = ("NL123456789.02.05", "DMS4.NL", "22096222734662", "0")
    reply = ("DMS4.NL", "NL123456789.02.05", "22096222734662", "0")
    for line, values in ((REQUEST, request), (REPLY, reply)):
        envelope = RoutingEnvelope.parse(line)
        matched = TOLERANT.fullmatch(line)
        assert values == (envelope.sender, envelope.addressee, envelope.reference, envelope.s)
        assert values == attrs.astuple(by_hand(line) or Four("", "", "", "")) == (matched and matched.groups())
        assert by_hand(line) == by_regex(line)
        assert (line == REPLY) == bool(envelope.notes)
    assert RoutingEnvelope.parse(FORWARDED) == RoutingEnvelope.parse(REPLY)
    assert RoutingEnvelope.parse(REQUEST).render() == REQUEST
    assert not any(RoutingEnvelope.find(text) for text in (OTHER, BRACKETS))
    assert TOLERANT.search(OTHER) is None
    error = raising(OTHER)
    assert error is not None
    assert [problem.code for problem in error.problems] == ["envelope.absent"]
    assert STRICT.fullmatch(REQUEST)
    assert LOOSE.fullmatch(REQUEST)


HOSTILE: Final[dict[str, Callable[[int], str]]] = {
    "[ [ [ …": lambda size: "[" * size,
    "[V=[V=[V= …": lambda size: "[V=" * (size // 3),
    "[V=] [V=] …": lambda size: "[V=]" * (size // 4),
    "[V=a a a a …": lambda size: "[V=" + "a " * (size // 2),
    "[V=a, blanks": lambda size: "[V=a" + " " * size,
    "blanks, no ]": lambda size: "[V=a][A=b][K=c][S=" + " " * size,
    "[ blanks and tabs": lambda size: "[" + " \t" * (size // 2),
    "[VVVV …": lambda size: "[" + "V" * size,
    "[X=1] unknown keys": lambda size: "[V=a][A=b][K=c][S=0]" + "[X=1]" * (size // 5),
    "folds": lambda size: "\r\n " * (size // 3),
    "=?utf-8?q? open": lambda size: "=?utf-8?q?" * (size // 10),
    "=?utf-8?q?a?= …": lambda size: "=?utf-8?q?a?= " * (size // 14),
}
SIZES: Final = (4_000, 64_000, 1_000_000)


@contextmanager
def without_limit() -> Generator[None]:
    """Lift the limit of 4,096 characters, so that the patterns themselves are tried."""
    limit = grammar.TEXT_LIMIT
    grammar.TEXT_LIMIT = 1 << 30  # type: ignore[misc]
    try:
        yield
    finally:
        grammar.TEXT_LIMIT = limit  # type: ignore[misc]


def fullmatches(text: str) -> object:
    """Try every pattern that meets a whole Subject or From."""
    return (
        grammar.COMMON.fullmatch(text), grammar.CANONICAL.fullmatch(text), grammar.VALUE.fullmatch(text),
        _headers.mailbox_of(text), _headers.decode(text),
    )  # fmt: skip


def nanoseconds_per_character(function: Callable[[str], object], text: str) -> float:
    """Take the best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter_ns()
        function(text)
        best = min(best, time.perf_counter_ns() - start)
    return best / len(text)


def hostile() -> dict[str, object]:
    """Time hostile texts of growing size; a time for each character that grows would be quadratic."""
    print("\nhostile texts, ns for each character; the growth is from the middle size to the largest")
    print("in use nothing over 4,096 characters is read; here the limit is lifted, to see the patterns alone\n")
    header = "".join(f"{f'{size:,}':>10}" for size in SIZES)
    print(f"  {'':20}{'reader':>10}{header[10:]}{'growth':>8}   {'patterns':>10}{header[10:]}{'growth':>8}   in use")
    found: dict[str, object] = {}
    worst = 0.0
    with without_limit():
        table = {
            shape: [
                [nanoseconds_per_character(function, make(size)) for size in SIZES]
                for function in (_lenient.read, fullmatches)
            ]
            for shape, make in HOSTILE.items()
        }
    for shape, columns in table.items():
        guarded = nanoseconds_per_character(raising_or_not, HOSTILE[shape](SIZES[-1]))
        line = f"  {shape:20}"
        for column in columns:
            growth = column[-1] / column[-2]
            worst = max(worst, growth)
            line += "".join(f"{value:10.1f}" for value in column) + f"{growth:8.2f}   "
        print(f"{line}{guarded:.4f}")
        found[shape] = {"reader": columns[0], "patterns": columns[1], "in_use_1e6": guarded}
    # Lists of a million problems cost the allocator more for each; quadratic would be 16.
    ok = worst < 4
    print(f"\n{worst:6.2f} x  worst growth for 16 times the size  goal: linear: {'reached' if ok else 'missed'}")
    return {"sizes": SIZES, "ns_per_character": found, "worst_growth": round(worst, 2), "linear": ok}


def raising_or_not(text: str) -> object:
    """Read as users do, with the limit, and look for one too."""
    return raising(text), RoutingEnvelope.find(text)


def main() -> None:
    """Measure, compare, print."""
    if is_child():
        one_round(CASES, names())
        return
    options = arguments(__doc__ or "")
    check()
    times = in_rounds(25 if options.rigorous else 5)
    growth = hostile()
    report(
        "A. Envelope",
        times,
        ratios(times, GOALS),
        packages=("htpoort", "attrs", "pyperf"),
        cases=CASES,
        more={"hostile": growth},
        path=options.json,
    )


if __name__ == "__main__":
    main()
