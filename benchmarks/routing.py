"""
Route whole messages by From and Subject, against fast-mail-parser and the standard library (part B).

The reference is fast-mail-parser (Rust) in metadata mode, which reads headers alone, followed by
`Router.route` on the From and Subject that it found: the same decision from another reader. Unlike
`route_message` it does not refuse bare CR, NUL, broken lines, or a second From or Subject; it decodes
more headers than two.
"""

from __future__ import annotations

import email
import email.policy
from email.parser import BytesHeaderParser
from email.utils import parseaddr
from typing import Final

import fast_mail_parser
from harness import Case, Goal, arguments, in_rounds, is_child, one_round, ratios, report

from htpoort import Correlation, Quarantined, Routed, Router

SUBJECT: Final = "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]"
ROUTER: Final = Router(parties=["NL123456789.02.05"])
HEADERS: Final = {"header 1.4 KB with 5 Received": (1_400, 5), "header 3.2 KB with 8 Received": (3_200, 8)}
SIZES: Final = {"2 KB": 2_000, "20 KB": 20_000, "200 KB": 200_000, "2 MB": 2_000_000}
SMALLEST: Final = 4_000  # of the messages with the long header, which leaves no body in 2 KB


def _received(number: int) -> str:
    return (
        f"Received: from mail{number}.relay.example (mail{number}.relay.example [192.0.2.{number}])\r\n"
        f"\tby mx{number}.forwarder.example (Postfix) with ESMTPS id 4Tx{number}K0abcdef\r\n"
        f"\tfor <edi@forwarder.example>; Mon,  2 Nov 2026 09:05:0{number} +0100 (CET)\r\n"
    )


def message(header: int, hops: int, total: int) -> bytes:
    """
    Make a reply with an XML body.

    Args:
        header: Octets of the header block, about.
        hops: Received lines.
        total: Octets of the whole message.
    """
    first = "Return-Path: <dms@htpoort.nl>\r\nDelivered-To: edi@forwarder.example\r\n"
    first += "".join(_received(number) for number in range(hops))
    last = (
        f"From: DMS <dms@htpoort.nl>\r\nTo: edi@forwarder.example\r\nSubject: {SUBJECT}\r\n"
        "Date: Mon, 02 Nov 2026 09:05:00 +0100\r\nMessage-ID: <20261102080500.1@htpoort.nl>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/xml; charset=UTF-8\r\nContent-Transfer-Encoding: 7bit\r\n"
    )
    while (missing := header - len(first) - len(last)) > 0:
        first += f"X-Relay-Check: {'v' * min(60, max(1, missing - 17))}\r\n"
    block = f"{first}{last}\r\n".encode("ascii")
    line = b"<Declaration><ID>22096222734662</ID><Code>A</Code></Declaration>\r\n"
    body = line * (total // len(line) + 1)
    return block + body[: total - len(block) - 2] + b"\r\n"


def by_fast_mail_parser(raw: bytes) -> Routed | Quarantined:
    """Read by fast-mail-parser, decide by the router."""
    found = fast_mail_parser.parse_email(raw, mode="metadata")
    assert found.from_ is not None
    return ROUTER.route(mailbox=found.from_.address, subject=found.subject)


def by_email_package(raw: bytes) -> tuple[str, str]:
    """Read by the modern parser of the standard library."""
    found = email.message_from_bytes(raw, policy=email.policy.default)
    return found["From"].addresses[0].addr_spec, found["Subject"]


def by_header_parser(raw: bytes) -> tuple[str, str]:
    """Read by the parser of the standard library that keeps the body as it is."""
    found = BytesHeaderParser(policy=email.policy.compat32).parsebytes(raw)
    return parseaddr(found["From"])[1], found["Subject"]


READERS: Final = {
    "Router.route_message": "route_message",
    "fast-mail-parser + Router.route": "by_fast_mail_parser",
    "fast-mail-parser alone": "fast",
    "email.message_from_bytes(policy=default)": "by_email_package",
    "BytesHeaderParser(compat32)": "by_header_parser",
}
OURS, REFERENCE, *SHOWN = READERS


def messages() -> dict[str, bytes]:
    """Make every message, named by its header and size."""
    made: dict[str, bytes] = {}
    for block, (header, hops) in HEADERS.items():
        for size, total in SIZES.items():
            short = total < SMALLEST < header * 2
            made[f"{'4 KB' if short else size}, {block}"] = message(header, hops, SMALLEST if short else total)
    return made


RAW: Final = messages()
# In this order, so that what is compared is measured close together.
CASES: Final = tuple(
    Case(f"{reader}: {name}", f"{function}(raw[{name!r}])", name, ours=reader == OURS, rough=reader in SHOWN)
    for block in HEADERS
    for reader, function in READERS.items()
    for name in RAW
    if name.endswith(block)
)


def goals() -> list[Goal]:
    """Compare with the reference, and each size with 20 KB."""
    found = [
        Goal(f"{reader} / {OURS}, {name}", f"{reader}: {name}", f"{OURS}: {name}")
        for reader in SHOWN
        for name in RAW
        if name.startswith(("20 KB", "2 MB"))
    ]
    found += [
        Goal(f"2 MB / 20 KB, {block}", f"{OURS}: 2 MB, {block}", f"{OURS}: 20 KB, {block}", 1.1) for block in HEADERS
    ]
    found += [Goal(f"{OURS} / {REFERENCE}, {name}", f"{OURS}: {name}", f"{REFERENCE}: {name}", 1.0) for name in RAW]
    return found


def fast(raw: bytes) -> object:
    """Read by fast-mail-parser without a decision."""
    return fast_mail_parser.parse_email(raw, mode="metadata")


def check() -> None:
    """Make sure that every reader finds the same: a figure of a wrong result is worth nothing."""
    for name, raw in RAW.items():
        header, hops = HEADERS[name.partition(", ")[2]]
        block = raw.partition(b"\r\n\r\n")[0]
        assert abs(len(block) - header) < 40, name
        assert block.count(b"\nReceived:") == hops
        found = ROUTER.route_message(raw)
        assert isinstance(found, Routed), found
        assert (found.system.name, found.reference, str(found.party), found.correlation) == (
            "DMS", "22096222734662", "NL123456789.02.05", Correlation.NOT_CHECKED,
        )  # fmt: skip
        assert by_fast_mail_parser(raw) == found
        assert by_email_package(raw) == by_header_parser(raw) == ("dms@htpoort.nl", SUBJECT)


def main() -> None:
    """Measure, compare, print."""
    if is_child():
        functions = (by_fast_mail_parser, by_email_package, by_header_parser, fast)
        named = {function.__name__: function for function in functions}
        one_round(CASES, {**named, "route_message": ROUTER.route_message, "raw": RAW})
        return
    options = arguments(__doc__ or "")
    check()
    times = in_rounds(25 if options.rigorous else 5)
    report(
        "B. Raw message to routing decision",
        times,
        ratios(times, goals()),
        packages=("htpoort", "attrs", "fast-mail-parser", "pyperf"),
        cases=CASES,
        more={},
        path=options.json,
    )


if __name__ == "__main__":
    main()
