"""Notices: each text is kept as it was read, with the time at which it was learned, and read again from there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from htpoort import InputError, UnknownError
from htpoort.ledger import Ledger, LedgerEvent, NoticeForm, StoredNotice

Clock = Callable[..., datetime]

OWN = """
authority = "douane"
kind = "planned"
references = ["{reference}"]
state = "announced"

[[windows]]
system = "DMS"
access = "file"
start = 2026-11-02T20:00:00
end = 2026-11-02T{end}:00
end_kind = "final"
behaviour = "rejected"
"""


def own(reference: str = "N1", end: str = "23:00") -> str:
    """Write a notice of one's own."""
    return OWN.format(reference=reference, end=end)


def test_a_notice_is_kept_as_it_was_read(ledger: Ledger, clock: Clock) -> None:
    """A stored notice has its text, its form, its source and the moment at which it was learned."""
    stored = ledger.notices.add(own(), at=clock(), form=NoticeForm.OWN, source="dms.toml")

    assert [stored] == list(ledger.notices.listed())
    assert (own(), NoticeForm.OWN, None, "dms.toml", None, clock(), False) == (
        stored.text,
        stored.form,
        stored.authority,
        stored.source,
        stored.replaces,
        stored.learned,
        stored.repeated,
    )
    assert (("N1",), "DMS", datetime(2026, 11, 2, 20, 0)) == (  # noqa: DTZ001 - as printed
        stored.notice.references,
        stored.notice.windows[0].system,
        stored.notice.windows[0].start,
    )


def test_the_same_text_twice_is_one_notice(ledger: Ledger, clock: Clock) -> None:
    """A text that is stored keeps its number and the moment at which it was first learned."""
    first = ledger.notices.add(own(), at=clock(), form=NoticeForm.OWN)
    second = ledger.notices.add_soon(own(), at=clock(5), form=NoticeForm.OWN, source="elsewhere").result()

    assert (first, True, False) == (second, second.repeated, first.repeated)
    assert [first] == list(ledger.notices.listed())


def test_a_later_text_is_later_knowledge(ledger: Ledger, clock: Clock) -> None:
    """Texts with the same reference are kept, each with its moment, under one key."""
    for minute, end in enumerate(("23:00", "22:00")):
        ledger.notices.add(own(end=end), at=clock(minute), form=NoticeForm.OWN)
    ledger.notices.add(own("N2"), at=clock(2), form=NoticeForm.OWN)

    known = ledger.notices.known()
    assert [("N1", clock(0)), ("N1", clock(1)), ("N2", clock(2))] == [(each.key, each.learned) for each in known]


def test_a_reference_is_that_of_its_authority(ledger: Ledger, clock: Clock) -> None:
    """A notice of another authority with the same reference ends nothing, is an event of its own, and this is said."""
    ended = 'authority = "{}"\nreferences = ["{}"]\nstate = "ended"\n'
    inside = datetime(2026, 11, 2, 20, 0, tzinfo=UTC)

    def add(text: str, minute: int) -> StoredNotice:
        return ledger.notices.add(text, at=clock(minute), form=NoticeForm.OWN)

    def seen() -> tuple[str, list[str]]:
        availability = ledger.notices.availability()
        return availability.what_now("DMS", at=inside).advice.value, [each.key for each in ledger.notices.known()]

    first, other = add(own("INC43"), 0), add(ended.format("toldstyrelsen", "INC43"), 1)

    assert ("hold", ["INC43", "2"]) == seen()
    assert (
        "Notice 2 is of toldstyrelsen, but INC43 is a reference of douane (notice 1), so it changes and ends nothing "
        'of that; if it is about the same, store it with authority = "douane"'
    ) == ledger.notices.of_another_authority(other.key)
    assert not ledger.notices.of_another_authority(first.key)
    assert (other,) == ledger.notices.find("2")
    with pytest.raises(InputError, match=r"give the number of one: 1 \(douane\), 2 \(toldstyrelsen\)\."):
        ledger.notices.find("inc43")

    over = add(ended.format("douane", "INC43"), 2)

    assert ("send", ["INC43", "2", "INC43"]) == seen()
    assert not ledger.notices.of_another_authority(over.key)


def test_a_notice_without_a_known_authority(ledger: Ledger, clock: Clock) -> None:
    """A notice that has a zone alone ends nothing of an authority, nor the other way round."""
    for minute, whose in enumerate((
        'authority = "douane"',
        'zone = "Europe/Amsterdam"',
        'authority = "toldstyrelsen"',
    )):
        text = f'{whose}\nreferences = ["{minute % 2}"]\nstate = "ended"\n'
        ledger.notices.add(text, at=clock(minute), form=NoticeForm.OWN)
    ledger.notices.add(
        'zone = "Europe/Lisbon"\nreferences = ["0"]\nstate = "ended"\n', at=clock(3), form=NoticeForm.OWN
    )

    assert ["0", "1", "3", "4"] == [each.key for each in ledger.notices.known()]
    assert (
        "Notice 4 is of no known authority, but 0 is a reference of toldstyrelsen (notice 3), so it changes and ends "
        'nothing of that; if it is about the same, store it with authority = "toldstyrelsen"'
    ) == ledger.notices.of_another_authority(4)
    assert not ledger.notices.of_another_authority(9)


def test_a_number_is_no_reference(ledger: Ledger, clock: Clock) -> None:
    """A notice whose number is the reference of another one is another event."""
    for minute, reference in enumerate(("2", "2", "N1")):
        ledger.notices.add(own(reference, end=f"2{minute + 1}:00"), at=clock(minute), form=NoticeForm.OWN)
    without = own().replace('references = ["N1"]\n', "")
    ledger.notices.add(own("5"), at=clock(4), form=NoticeForm.OWN)
    ledger.notices.add(without, at=clock(5), form=NoticeForm.OWN)

    assert ["2", "2", "N1", "5", "notice 5"] == [each.key for each in ledger.notices.known()]


def test_a_person_names_the_notice_that_a_text_replaces(ledger: Ledger, clock: Clock) -> None:
    """A text without the reference of an earlier one gets its key by order; an unknown number stores nothing."""
    first = ledger.notices.add(own(), at=clock(), form=NoticeForm.OWN)
    second = ledger.notices.add(own("N2"), at=clock(1), form=NoticeForm.OWN, replaces=first.key)
    with pytest.raises(UnknownError, match="9"):
        ledger.notices.add(own("N3"), at=clock(2), form=NoticeForm.OWN, replaces=9)

    assert ["N1", "N1"] == [each.key for each in ledger.notices.known()]
    assert [None, first.key] == [each.replaces for each in ledger.notices.listed()]
    assert second.replaces == first.key


@pytest.mark.parametrize("text", ["", "Nothing of the kind.", "\0\x01\udcff"])
def test_a_text_without_a_notice(ledger: Ledger, clock: Clock, text: str) -> None:
    """A text of which nothing was read is refused, and not stored."""
    with pytest.raises(InputError) as refused:
        ledger.notices.add(text, at=clock())

    assert ["ledger.no-notice"] == [problem.code for problem in refused.value.problems]
    assert () == ledger.notices.listed()


def test_a_table_with_problems(ledger: Ledger, clock: Clock) -> None:
    """A notice of one's own that has problems is refused with all of them, and not stored."""
    with pytest.raises(InputError):
        ledger.notices.add(own(end="19:00"), at=clock(), form=NoticeForm.OWN)

    assert () == ledger.notices.listed()


def test_other_processes_see_a_notice(url: str, ledger: Ledger, clock: Clock) -> None:
    """A notice that another process stores is found at the next question, and one that was undone is forgotten."""
    assert () == ledger.notices.listed()
    with Ledger.open(url) as other:
        first = other.notices.add(own(), at=clock(), form=NoticeForm.OWN)
        assert [first] == list(ledger.notices.listed())
        second = other.notices.add(own("N2"), at=clock(1), form=NoticeForm.OWN)
        assert [first, second] == list(ledger.notices.listed())
        assert [first, second] == list(other.notices.listed())


def test_a_notice_that_was_undone(ledger: Ledger, clock: Clock) -> None:
    """What was seen in a transaction that did not happen does not stay in effect."""

    class UndoneError(Exception):
        """The transaction is undone."""

    def seen(connection: sa.Connection) -> None:
        connection.execute(
            sa.text(
                "INSERT INTO htpoort_notices (digest, form, text, authority, source, replaces, learned)"
                " SELECT 'other', form, text, authority, source, replaces, learned FROM htpoort_notices"
            )
        )
        assert len(ledger.notices._reader.knowledge(connection).stored) == 2
        raise UndoneError

    first = ledger.notices.add(own(), at=clock(), form=NoticeForm.OWN)
    with pytest.raises(UndoneError):
        ledger.write(seen)

    assert [first] == list(ledger.notices.listed())
    second = ledger.notices.add(own("N2"), at=clock(1), form=NoticeForm.OWN)
    assert [first, second] == list(ledger.notices.listed())


def test_the_log_has_each_notice(ledger: Ledger, clock: Clock) -> None:
    """That a notice was learned is an entry of the log."""
    ledger.notices.add(own(), at=clock(), form=NoticeForm.OWN)
    entry = ledger.newest_entry()

    assert entry is not None
    assert (LedgerEvent.NOTICE_LEARNED.value, clock(), "notice 1") == (entry.event, entry.at, entry.detail)


def test_a_record_shows_no_text() -> None:
    """The repr of a record leaves out the text, which may be long."""
    assert "text=" not in repr([field.name for field in StoredNotice.__attrs_attrs__ if field.repr])
