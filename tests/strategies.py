"""
What several test modules draw from in addition to `htpoort.testing.strategies`.

The sets of characters are typed by hand from the limits of the writer and the reader.
"""

from __future__ import annotations

import copy
import pickle
import string
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from random import Random
from typing import Any, TypeVar

from hypothesis import Phase, find, settings, strategies as st

from htpoort import AGS, DMS, HTPOORT, DeclarationSystem, SentRecord
from htpoort.testing.strategies import RouterSetup

T = TypeVar("T")

PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
INSIDE = PRINTABLE.replace("[", "").replace("]", "")
LETTERS_DIGITS = string.ascii_letters + string.digits

values = st.text(INSIDE, min_size=1, max_size=256).map(lambda text: text.strip(" ")).filter(bool)
"""What a value of an envelope may be for the reader."""

writer_ids = st.text(LETTERS_DIGITS + "._-", min_size=1, max_size=35)
"""V and A as the writer allows them."""

digits = st.sampled_from(string.digits)
"""S as the writer allows it."""

parties = st.builds(
    "NL{}.{}.05".format,
    st.text(string.digits, min_size=9, max_size=9),
    st.text(string.digits, min_size=2, max_size=2),
)
"""Party IDs in the form of the official example."""

systems = st.sampled_from([AGS, DMS])
"""The published systems."""

NOON = datetime(2026, 11, 2, 12, 0, 0, tzinfo=UTC)
"""A moment for messages whose moment does not matter."""

PARTY, OTHER = "NL123456789.02.05", "NL123456789.03.05"
NCTS = DeclarationSystem(
    name="NCTS", mailbox="ncts@customs.example", process_id="NCTS.NL", reply_ids=frozenset({"DVA.NL"})
)
SETUP = RouterSetup(
    directory=HTPOORT.add(NCTS),
    parties=[PARTY, OTHER],
    sent=[
        SentRecord(system="DMS", party=PARTY, reference="K1"),
        SentRecord(system="AGS", party=OTHER, reference="K2"),
    ],
    size_limit=200_000,
)
"""A setup in which a reply can be quarantined for every reason."""

hostile = st.sampled_from([
    *("[", "]", "[V=", "[A=", "[K=", "[S=0]", "V", "=", " ", "\t", "\r", "\n", "\r\n", "\r\n ", "\n\n", "\r\n\r\n"),
    *("\0", "\u00e9", "\u212a", "\ud800", "=?utf-8?q?", "=?utf-8?b?W1Y9?=", "?=", "=3D", "From: ", "Subject: "),
    *("@", "<", ">", ",", ";", ":", '"', "(", ")", "\\", "dms@htpoort.nl", "DMS4.NL", "NL123456789.02.05"),
    *("From: dms@htpoort.nl\r\n", "x", "-", "."),
])
"""Pieces that mean something to one reader or another."""

hostile_texts = st.lists(hostile | st.text(max_size=8), max_size=40).map("".join)
"""Texts that look like something."""


def reply(
    system: DeclarationSystem = DMS,
    *,
    mailbox: str = "",
    party: str = "NL123456789.02.05",
    reference: str = "22096222734662",
    body: bytes = b"<MetaData/>",
) -> bytes:
    """Write a reply as Customs would send it, with the blanks of the official example."""
    subject = f"[V= {system.process_id}][A= {party}][K={reference}][S=0]"
    head = f"From: {mailbox or system.mailbox}\r\nTo: edi@forwarder.example\r\nSubject: {subject}\r\n\r\n"
    return head.encode() + body


def copies(value: T) -> list[T]:
    """Give what pickle and copy make of a value."""
    return [pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)]  # noqa: S301 - our own


def simplest(strategy: st.SearchStrategy[T], condition: Callable[[T], bool] = lambda _: True, *phases: Phase) -> T:
    """Draw the simplest value that meets a condition, the same each time; one that is not shrunk with other phases."""
    chosen = settings(max_examples=3_000, database=None, deadline=None, phases=phases or (Phase.generate, Phase.shrink))
    return find(strategy, condition, settings=chosen, random=Random(2))  # noqa: S311 - not a secret


def draws_exactly(strategy: st.SearchStrategy[T], show: Callable[[T], Iterable[object]], expected: set[Any]) -> bool:
    """Return whether the drawn values show everything expected, and nothing else."""
    seen: set[object] = set()

    def complete(value: T) -> bool:
        seen.update(show(value))
        return seen >= expected

    simplest(strategy, complete, Phase.generate)
    return seen == expected
