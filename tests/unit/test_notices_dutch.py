"""Notices of the Dutch National Customs Helpdesk, in Dutch and English: what a careful person takes from each."""

from __future__ import annotations

import pytest

from htpoort.notices import (
    Access,
    Behaviour,
    EndKind,
    Fallback,
    Notice,
    NoticeKind,
    NoticeState,
    Recovery,
    ServiceWindow,
    read_notice,
)

PLANNED_ENGLISH = """Scheduled maintenance Movement of beer (BEERS)
Publication date 03-02-2027, 09:15
Necessary maintenance on the computers will be carried out from Saturday 13-02-2027 20:00
until (expected end-time) Sunday 14-02-2027 04:30.
Therefore the following customs processes are unavailable:
- Movement of beer (BEERS)
You may submit messages as usual, they are not processed but buffered.
Once the maintenance is over, all messages will be processed.
You can use the emergency procedure.
We recommend to use it only if the logistic process needs it.
We will inform you about the availability.
"""

PLANNED_DUTCH = """Gepland onderhoud Vervoer van bier (BIERS)
Publicatiedatum 03-02-2027, 09:15
Van zaterdag 13-02-2027 20:00
tot (geschatte eindtijd) zondag 14-02-2027 04:30
vindt er noodzakelijk onderhoud plaats aan de computers.
Daardoor zijn de volgende processen niet beschikbaar:
- Vervoer van bier (BIERS)
U kunt berichten zoals gebruikelijk aanleveren, deze worden niet verwerkt maar gebufferd.
Na het onderhoud worden alle berichten alsnog verwerkt.
U mag gebruik maken van de noodprocedure. Wij adviseren dit alleen te doen als het logistieke proces dat vereist.
U wordt op de hoogte gehouden.
"""


def window(system: str, behaviour: Behaviour, **more: object) -> dict[str, object]:
    """Return a row as values, those that are left out being what is not stated."""
    row: dict[str, object] = {
        "system": system,
        "access": Access.FILE,
        "messages": (),
        "start": None,
        "end": None,
        "end_kind": EndKind.UNKNOWN,
        "behaviour": behaviour,
        "recovery": Recovery.UNSTATED,
        "fallback": Fallback.UNSTATED,
    }
    return {**row, **more}


def values(row: ServiceWindow) -> dict[str, object]:
    """Return a row of a notice as values, its times as text."""
    return {
        "system": row.system,
        "access": row.access,
        "messages": row.messages,
        "start": row.start and row.start.isoformat(timespec="minutes"),
        "end": row.end and row.end.isoformat(timespec="minutes"),
        "end_kind": row.end_kind,
        "behaviour": row.behaviour,
        "recovery": row.recovery,
        "fallback": row.fallback,
    }


def rows(notice: Notice) -> list[dict[str, object]]:
    """Return the rows of a notice as values."""
    return [values(row) for row in notice.windows]


@pytest.mark.parametrize(
    ("text", "system", "language"),
    [(PLANNED_ENGLISH, "Movement of beer (BEERS)", "en"), (PLANNED_DUTCH, "Vervoer van bier (BIERS)", "nl")],
)
def test_planned(text: str, system: str, language: str) -> None:
    """Maintenance whose messages are buffered is a queue that one waits for; nothing of it is left unread."""
    notice = read_notice(text)

    assert ("douane", language, NoticeKind.PLANNED, "Europe/Amsterdam", NoticeState.ANNOUNCED) == (
        notice.authority,
        notice.language,
        notice.kind,
        notice.zone,
        notice.state,
    )
    assert ["03-02-2027, 09:15"] == [revision.stamp for revision in notice.revisions]
    assert [
        window(
            system,
            Behaviour.QUEUED,
            start="2027-02-13T20:00",
            end="2027-02-14T04:30",
            end_kind=EndKind.EXPECTED,
            recovery=Recovery.WAIT,
            fallback=Fallback.AS_NEEDED,
        )
    ] == rows(notice)
    assert [] == [notice.text[start:stop] for start, stop in notice.unread]
    assert (True, ()) == (notice.complete, notice.problems)
