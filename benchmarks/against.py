"""
Compare this tree with another one, such as the tree before a change: the statements of parts A and B in both, in turn.

Each round runs both trees in fresh processes. Every statement is timed many times for a few milliseconds, and its
lowest time over all rounds counts: what else the machine does can only make a time longer.
"""

from __future__ import annotations

import argparse
import json
import subprocess  # noqa: S404 - this script, once for each tree and round
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent.parent
REQUEST: Final = "[V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]"
REPLY: Final = "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]"
SUBJECTS: Final = {
    "canonical line": REQUEST,
    "official reply form": REPLY,
    "forwarded line": "Fw: [EXTERN] [v= DMS4.NL] [a= NL123456789.02.05] [k=22096222734662] [s=0]",
    "no envelope but brackets": "[EXTERN] [Ticket#2311] Out of office: back on Monday, 9h",
    "no envelope": "Out of office: back on Monday, please call the desk at 9",
}
SHORTEST: Final = 0.002  # seconds that one timing takes at least
TIMINGS: Final = 12


def message(hops: int, size: int) -> bytes:
    """Write a reply with some Received lines and an XML body."""
    received = "".join(
        f"Received: from mail{hop}.relay.example (mail{hop}.relay.example [192.0.2.{hop}])\r\n"
        f"\tby mx{hop}.forwarder.example (Postfix) with ESMTPS id 4Tx{hop}K0abcdef\r\n"
        f"\tfor <edi@forwarder.example>; Mon,  2 Nov 2026 09:05:0{hop} +0100 (CET)\r\n"
        for hop in range(hops)
    )
    head = f"{received}From: DMS <dms@htpoort.nl>\r\nSubject: {REPLY}\r\nContent-Type: text/xml; charset=UTF-8\r\n\r\n"
    return head.encode("ascii") + b"<Code>A</Code>\r\n" * (size // 16)


def statements() -> dict[str, Callable[[], object]]:
    """Name what is timed; only what both trees have."""
    from htpoort import EnvelopeError, Router, RoutingEnvelope  # noqa: PLC0415 - of the tree that the process is for

    envelope, router = RoutingEnvelope.parse(REQUEST), Router(parties=["NL123456789.02.05"])

    def parse(subject: str) -> RoutingEnvelope | EnvelopeError:
        try:
            return RoutingEnvelope.parse(subject)
        except EnvelopeError as error:
            return error

    timed: dict[str, Callable[[], object]] = {}
    for name, subject in SUBJECTS.items():
        timed[f"A. parse, {name}"] = lambda subject=subject: parse(subject)
        timed[f"A. find, {name}"] = lambda subject=subject: RoutingEnvelope.find(subject)
    timed["A. render"] = envelope.render
    timed["A. constructor"] = lambda: RoutingEnvelope(
        sender="NL123456789.02.05", addressee="DMS4.NL", reference="22096222734662", s="0"
    )
    timed["B. route, mailbox and Subject"] = lambda: router.route(mailbox="dms@htpoort.nl", subject=REPLY)
    for hops in (5, 8):
        for name, size in (("20 KB", 20_000), ("2 MB", 2_000_000)):
            raw = message(hops, size)
            timed[f"B. route_message, {hops} Received, {name}"] = lambda raw=raw: router.route_message(raw)
    return timed


def lowest(statement: Callable[[], object]) -> float:
    """Time a statement; return nanoseconds."""
    number, best = 1, float("inf")
    for _ in range(TIMINGS):
        while True:
            start = time.perf_counter()
            for _ in range(number):
                statement()
            passed = time.perf_counter() - start
            if passed >= SHORTEST:
                break
            number *= 2
        best = min(best, passed / number)
    return best * 1e9


def one_tree(tree: Path) -> dict[str, float]:
    """Time every statement in a fresh process of a tree."""
    command = [sys.executable, __file__, "--one-round", str(tree)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this script
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print a line for each statement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("tree", type=Path, metavar="TREE", help="folder that holds the other tree's htpoort/")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--one-round", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_round:
        sys.path.insert(0, str(options.tree))
        import htpoort  # noqa: PLC0415 - of that tree

        assert Path(htpoort.__file__).is_relative_to(options.tree), htpoort.__file__
        print(json.dumps({name: lowest(statement) for name, statement in statements().items()}))
        return
    other: dict[str, float] = {}
    ours: dict[str, float] = {}
    theirs_first: list[tuple[Path, dict[str, float]]] = [(options.tree.resolve(), other), (HERE, ours)]
    for number in range(options.rounds):
        for tree, found in theirs_first if number % 2 else reversed(theirs_first):
            for name, time_taken in one_tree(tree).items():
                found[name] = min(found.get(name, time_taken), time_taken)
    print(f"{'lowest of ' + str(options.rounds) + ' rounds, ns':48}{'other':>10}{'this':>10}  this / other")
    for name, theirs in other.items():
        print(f"{name:48}{theirs:>10,.0f}{ours[name]:>10,.0f}  {ours[name] / theirs:.3f}")


if __name__ == "__main__":
    main()
