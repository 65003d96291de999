"""
One published notice with three texts, asked for its five systems at six moments, by what was known at six moments.

The whole table is typed by hand from the facts of the notice; its words are not here.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from notice_builders import THREE_TEXTS

from htpoort.notices import (
    Access,
    Availability,
    Behaviour,
    EndKind,
    Fallback,
    Notice,
    NoticeKind,
    NoticeState,
    Recovery,
    Revision,
    ServiceWindow,
    read_notice,
)

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
local = datetime.fromisoformat
DMS = ("DMS Import", "DMS Eksport", "DMS Forsendelse")
FILE_ROWS = [(system, Behaviour.REJECTED, Recovery.RESUBMIT) for system in DMS]
FILE_ROWS += [("Import", Behaviour.QUEUED, Recovery.WAIT), ("Manifest", Behaviour.REJECTED, Recovery.UNSTATED)]


def at(text: str) -> datetime:
    """Give a local time of Copenhagen."""
    return local(text).replace(tzinfo=COPENHAGEN)


def text(known: str, state: NoticeState, start: str, end: str, end_kind: EndKind) -> Revision:
    """Make a text with all ten rows."""
    files = [
        ServiceWindow(
            system=system,
            access=Access.FILE,
            start=local(start),
            end=local(end),
            end_kind=end_kind,
            behaviour=behaviour,
            recovery=recovery,
            fallback=Fallback.ALLOWED,
        )
        for system, behaviour, recovery in FILE_ROWS
    ]
    pages = [
        ServiceWindow(
            system=system,
            access=Access.ONLINE,
            start=local(start),
            end=local(end),
            end_kind=end_kind,
            behaviour=Behaviour.UNAVAILABLE,
            recovery=Recovery.RESUBMIT if system in DMS else Recovery.UNSTATED,
            fallback=Fallback.ALLOWED,
        )
        for system, _, _ in FILE_ROWS
    ]
    return Revision(known=local(known), state=state, windows=(*files, *pages), complete=True)


NOTICE = Notice(
    authority="toldstyrelsen",
    language="en",
    kind=NoticeKind.PLANNED,
    zone="Europe/Copenhagen",
    references=("WO0000001421830",),
    revisions=(
        text("2025-05-25T12:15:48", NoticeState.ANNOUNCED, "2025-06-06T22:00", "2025-06-07T22:00", EndKind.FINAL),
        text("2025-06-02T11:08:44", NoticeState.ANNOUNCED, "2025-06-06T21:00", "2025-06-07T22:00", EndKind.FINAL),
        text("2025-06-07T21:31", NoticeState.DELAYED, "2025-06-06T21:00", "2025-06-07T23:59", EndKind.EXPECTED),
    ),
)

MOMENTS = (
    "2025-06-06T20:59",
    "2025-06-06T21:00",
    "2025-06-07T22:00",
    "2025-06-07T23:00",
    "2025-06-07T23:59",
    "2025-06-08T00:00",
)
# What was known, and the advice at each of the moments: "-" send, "22" affected until 7 June 22:00, "59" until the
# expected end at 23:59, "?" affected, and no notice says until when.
TABLE = {
    "2025-05-25T12:15:47": "-  -  -  -  -  -",
    "2025-05-25T12:15:48": "-  -  -  -  -  -",
    "2025-06-02T11:08:43": "-  -  -  -  -  -",
    "2025-06-02T11:08:44": "-  22 -  -  -  -",
    "2025-06-07T21:30:59": "-  22 -  -  -  -",
    "2025-06-07T21:31:00": "-  59 59 59 ?  ?",
}
UNTIL = {"22": "2025-06-07T22:00", "59": "2025-06-07T23:59", "?": None}
TEXT = {"22": "2025-06-02T11:08:44", "59": "2025-06-07T21:31", "?": "2025-06-07T21:31"}
# For each system: the advice while it is affected, and the recovery.
SYSTEMS = {
    "DMS Import": ("hold", "resubmit"),
    "DMS Eksport": ("hold", "resubmit"),
    "DMS Forsendelse": ("hold", "resubmit"),
    "Import": ("send-expect-late", "wait"),
    "Manifest": ("hold", "unstated"),
}


def expected_advice(system: str, known_at: str) -> list[tuple[object, ...]]:
    """Give what the table has for a system and what was known."""
    advice, recovery = SYSTEMS[system]
    return [
        ("send", None, "unstated", "unstated", "", None)
        if sign == "-"
        else (advice, UNTIL[sign] and at(UNTIL[sign]), recovery, "allowed", "WO0000001421830", local(TEXT[sign]))
        for sign in TABLE[known_at].split()
    ]


def given_advice(notice: Notice, system: str, known_at: str) -> list[tuple[object, ...]]:
    """Ask at each moment."""
    availability = Availability([notice])
    given = [availability.what_now(system, at=at(moment), known_at=at(known_at)) for moment in MOMENTS]
    return [
        (answer.advice, answer.until, answer.recovery, answer.fallback, answer.notice, answer.revision)
        for answer in given
    ]


@pytest.mark.parametrize("known_at", TABLE)
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_advice_follows_from_what_was_known(system: str, known_at: str) -> None:
    """For each system, moment and knowledge the advice, its end, its recovery and its source are those of the table."""
    assert expected_advice(system, known_at) == given_advice(NOTICE, system, known_at)


def published_texts() -> list[str]:
    """Give the text in our own words, and the published one where the corpus is there."""
    corpus = os.environ.get("HTPOORT_CORPUS")
    published = [] if corpus is None else [Path(corpus, "notices", "dk-seed.txt").read_text(encoding="utf-8")]
    return [THREE_TEXTS, *published]


@pytest.mark.parametrize("text", published_texts(), ids=["own words", "published"][: len(published_texts())])
def test_the_text_gives_the_same_advice(text: str) -> None:
    """What is read in the text leads to the same table, for all systems."""
    notice = read_notice(text)

    assert {system: [expected_advice(system, known_at) for known_at in TABLE] for system in SYSTEMS} == {
        system: [given_advice(notice, system, known_at) for known_at in TABLE] for system in SYSTEMS
    }


def test_the_first_text_holds_an_hour_later() -> None:
    """By the first text alone, the window opens at 22:00."""
    availability = Availability([NOTICE])
    known_at = at("2025-06-01T00:00")

    moments = ("2025-06-06T21:59", "2025-06-06T22:00", "2025-06-07T21:59")
    actual = [availability.what_now("Manifest", at=at(moment), known_at=known_at).advice for moment in moments]

    assert ["send", "hold", "hold"] == actual


def test_all_that_is_known_counts_if_no_knowledge_is_named() -> None:
    """Without known_at, the newest text stands."""
    advice = Availability([NOTICE]).what_now("Manifest", at=at("2025-06-07T22:30"))

    assert ("hold", at("2025-06-07T23:59")) == (advice.advice, advice.until)
