"""What a move changes, and how far it has come."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, date, datetime, timedelta

import pytest

from htpoort import AGS, DMS, HTPOORT, DeclarationSystem, Directory, PartyId, UnknownError
from htpoort.cutover import Change, Coming, CutoverPlan, Move, Stage, Standing, coming, progress

PARTY = PartyId.parse("NL123456789.02.05")
CLIENT = PartyId.parse("NL123456789.03.05")
DECEMBER = date(2026, 12, 1)
NOON = datetime(2026, 12, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PLAN = CutoverPlan(moves=[Move(party=PARTY, system="DMS", since=DECEMBER)])
OWN = Directory((
    DeclarationSystem(name="AGS", mailbox="ags@forwarder.example", process_id="DMS.NL"),
    DeclarationSystem(name="DMS", mailbox="dms@forwarder.example", process_id="DMS4.NL"),
))
BUSY = Standing(sent=9, open=2, oldest=datetime(2026, 11, 20, 9, tzinfo=UTC), replies=7, last_reply=NOON - 3 * DAY)


class TestComing:
    """A day is told with what it changes, leaves open and tries for the first time."""

    def test_a_move(self) -> None:
        """Mailbox and process ID change; what is open at the old system stays there."""
        (found,) = coming(PLAN, on=DECEMBER, parties=[PARTY, CLIENT], standings={("nl123456789.02.05", "AGS"): BUSY})
        assert found == Coming(
            party=PARTY,
            kind=None,
            before=AGS,
            after=DMS,
            left=BUSY,
            changes=(
                Change(what="mailbox", before="ags@htpoort.nl", after="dms@htpoort.nl"),
                Change(what="process ID", before="DMS.NL", after="DMS4.NL"),
                Change(what="replies as", before="DMS.NL", after="DMS4.NL"),
            ),
            untested=(
                "NL123456789.02.05 has never sent to DMS.",
                "NL123456789.02.05 has never had a reply of DMS.",
            ),
        )

    @pytest.mark.parametrize("on", [date(2026, 11, 30), date(2026, 12, 2), datetime(2026, 11, 30, 22, tzinfo=UTC)])
    def test_nothing_on_other_days(self, on: date) -> None:
        """Only the day of a move is told, in the days of Customs."""
        assert coming(PLAN, on=on, parties=[PARTY], standings={}) == ()

    def test_settings(self) -> None:
        """What a configuration says of both systems is compared too, and what the new one lacks is told."""

        def settings(system: DeclarationSystem) -> dict[str, str]:
            return {"mail server": "smtp.forwarder.example", "delivery": "replies/ags" if system is AGS else ""}

        tested = {("nl123456789.02.05", "DMS"): Standing(sent=1, replies=1)}
        moment = datetime(2026, 11, 30, 23, tzinfo=UTC)
        (found,) = coming(PLAN, on=moment, parties=[PARTY], standings=tested, settings=settings)
        assert found.changes[-1] == Change(what="delivery", before="replies/ags", after="")
        assert "mail server" not in [change.what for change in found.changes]
        assert found.untested == ("DMS has no delivery.",)
        assert found.left == Standing()

    def test_kinds_and_roll_backs(self) -> None:
        """Each kind that moves is told by itself; so is the way back."""
        plan = CutoverPlan(
            moves=[
                Move(party=PARTY, system="DMS", since=DECEMBER, kind="import"),
                Move(party=PARTY, system="AGS", since=DECEMBER + DAY, kind="import"),
            ]
        )
        found = [coming(plan, on=day, parties=[PARTY], standings={}) for day in (DECEMBER, DECEMBER + DAY)]
        assert [[(one.kind, one.before.name, one.after.name) for one in ones] for ones in found] == [
            [("import", "AGS", "DMS")],
            [("import", "DMS", "AGS")],
        ]


class TestProgress:
    """A system may be switched off when nothing goes there, nothing is open there, and it has been quiet."""

    def test_moving(self) -> None:
        """What is open, and a reply that came lately, each keep the old system."""
        (found,) = progress(PLAN, leaving=AGS, at=NOON, parties=[PARTY], standings={("nl123456789.02.05", "AGS"): BUSY})
        assert (found.stage, found.now, found.left) == (Stage.MOVING, {None: DMS}, BUSY)
        assert found.standings == {"AGS": BUSY, "DMS": Standing()}
        assert found.waits_for == (
            "2 of its declarations are open there, the oldest of 2026-11-20.",
            "The last reply of AGS came on 2026-12-07, less than 30 days ago.",
        )

    def test_not_yet(self) -> None:
        """Before its day a party has not begun, and neither has one without a move."""
        plan = CutoverPlan(moves=[Move(party=PARTY, system="DMS", since=date(2027, 1, 4))])
        for found in progress(plan, leaving=AGS, at=NOON, parties=[PARTY, CLIENT], standings={}):
            assert (found.stage, found.waits_for) == (Stage.NOT_YET, ("Declarations still go to AGS.",))

    @pytest.mark.parametrize(
        ("quiet", "stage"), [(timedelta(days=30), Stage.MOVED), (timedelta(days=30, microseconds=-1), Stage.MOVING)]
    )
    def test_quiet_days(self, quiet: timedelta, stage: Stage) -> None:
        """The days without a reply are over after exactly so many days."""
        left = Standing(sent=9, replies=9, last_reply=NOON - quiet)
        long_ago = CutoverPlan(moves=[Move(party=PARTY, system="DMS", since=date(2026, 1, 5))])
        (found,) = progress(
            long_ago, leaving=AGS, at=NOON, parties=[PARTY], standings={("nl123456789.02.05", "AGS"): left}
        )
        assert found.stage is stage
        assert bool(found.waits_for) is (stage is Stage.MOVING)

    @pytest.mark.parametrize(("today", "moved"), [(date(2026, 12, 30), False), (date(2026, 12, 31), True)])
    def test_quiet_days_after_the_last_kind(self, today: date, moved: object) -> None:
        """Silence counts from the day of the last kind that moved; before it, answers may be on their way."""
        plan = CutoverPlan(
            moves=[
                Move(party=PARTY, system="DMS", since=date(2026, 1, 5)),
                Move(party=PARTY, system="AGS", since=date(2026, 6, 1), kind="export"),
                Move(party=PARTY, system="DMS", since=DECEMBER, kind="export"),
                Move(party=PARTY, system="DMS", since=date.min, kind="transit"),
            ]
        )
        at = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
        (found,) = progress(plan, leaving=AGS, at=at, parties=[PARTY], standings={})
        told = "Its last move away from AGS was on 2026-12-01, less than 30 days ago."
        assert (found.stage, found.waits_for) == ((Stage.MOVED, ()) if moved else (Stage.MOVING, (told,)))

    def test_one_kind_first(self) -> None:
        """A party of which one kind has moved is moving, even if nothing is open."""
        plan = CutoverPlan(moves=[Move(party=PARTY, system="DMS", since=DECEMBER, kind="import")])
        (found,) = progress(plan, leaving=AGS, at=NOON, parties=[PARTY], standings={})
        assert (found.stage, found.waits_for) == (Stage.MOVING, ("Declarations still go to AGS.",))
        assert found.now == {None: AGS, "import": DMS}
        (other,) = progress(
            CutoverPlan(default="DMS", moves=[Move(party=PARTY, system="AGS", since=DECEMBER, kind="import")]),
            leaving=AGS,
            at=NOON,
            parties=[PARTY],
            standings={},
        )
        assert other.waits_for == ("Declarations of the kind import still go to AGS.",)

    def test_a_way_back_that_is_planned(self) -> None:
        """A system that will be used again is not switched off."""
        plan = CutoverPlan(
            moves=[
                Move(party=PARTY, system="DMS", since=date(2026, 1, 5)),
                Move(party=PARTY, system="ags", since=date(2027, 2, 1)),
            ]
        )
        (found,) = progress(plan, leaving=AGS, at=NOON, parties=[PARTY], standings={})
        assert (found.stage, found.waits_for) == (
            Stage.MOVING,
            ("Declarations go to AGS again from 2027-02-01.",),
        )

    def test_nothing_of_others(self) -> None:
        """What one party reads holds neither name nor number of another."""
        plan = CutoverPlan(moves=[Move(party=CLIENT, system="DMS", since=DECEMBER)])
        (found,) = progress(plan, leaving=AGS, at=NOON, parties=[PARTY], standings={("nl123456789.03.05", "AGS"): BUSY})
        assert str(CLIENT) not in repr(found)
        assert (found.left, found.standings) == (Standing(), {"AGS": Standing(), "DMS": Standing()})
        assert coming(plan, on=DECEMBER, parties=[PARTY], standings={}) == ()

    def test_any_directory(self) -> None:
        """Standings are told for each system of the plan's directory."""
        third = DeclarationSystem(name="EXIT", mailbox="exit@customs.example", process_id="EXIT.NL")
        plan = CutoverPlan(directory=HTPOORT.add(third), default="DMS")
        (found,) = progress(plan, leaving=AGS, at=NOON, parties=[PARTY], standings={})
        assert (found.stage, list(found.standings)) == (Stage.MOVED, ["AGS", "DMS", "EXIT"])

    @pytest.mark.parametrize(
        ("plan", "leaving"),
        [
            (copy.deepcopy(CutoverPlan()), AGS),
            (CutoverPlan(), pickle.loads(pickle.dumps(AGS))),  # noqa: S301 - our own octets
            (CutoverPlan(directory=OWN), AGS),
        ],
        ids=["copied plan", "pickled system", "own directory"],
    )
    def test_the_system_is_found_by_its_name(self, plan: CutoverPlan, leaving: DeclarationSystem) -> None:
        """A party that is wholly at AGS has not moved, whichever value stands for AGS."""
        (found,) = progress(plan, leaving=leaving, at=NOON, parties=[PARTY], standings={})
        assert (found.stage, found.waits_for) == (Stage.NOT_YET, ("Declarations still go to AGS.",))

    def test_a_system_that_the_plan_does_not_know(self) -> None:
        """Nobody is told to have left a system that the plan cannot name, not even where there is no party."""
        third = DeclarationSystem(name="EXIT", mailbox="exit@customs.example", process_id="EXIT.NL")
        with pytest.raises(UnknownError):
            progress(PLAN, leaving=third, at=NOON, parties=[], standings={})

    def test_any_number_of_days(self) -> None:
        """A number of days that no calendar holds is never over."""
        left = Standing(sent=9, replies=9, last_reply=NOON - 3 * DAY)
        standings = {("nl123456789.02.05", "AGS"): left}
        (found,) = progress(PLAN, leaving=AGS, at=NOON, parties=[PARTY], standings=standings, quiet_days=10**10)
        assert found.stage is Stage.MOVING
