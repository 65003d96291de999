"""The plan of a move: which system takes a party's declarations on which day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from htpoort import AGS, DMS, HTPOORT, DeclarationSystem, InputError, PartyId
from htpoort.cutover import CutoverPlan, Move

PARTY = "NL123456789.02.05"
CLIENT = "NL123456789.03.05"
DECEMBER = date(2026, 12, 1)
JANUARY = date(2027, 1, 4)


def move(party: str = PARTY, system: str = "DMS", since: date = DECEMBER, kind: str | None = None) -> Move:
    """Make a move."""
    return Move(party=party, system=system, since=since, kind=kind)


def problems(error: pytest.ExceptionInfo[InputError]) -> list[tuple[str, str]]:
    """Give codes and sentences."""
    return [(problem.code, problem.message) for problem in error.value.problems]


class TestSystemFor:
    """A move holds from the first moment of its day to the day of the next."""

    @pytest.mark.parametrize(
        ("on", "system"),
        [
            (date(2026, 11, 30), AGS),
            (date(2026, 12, 1), DMS),
            (date(2027, 1, 3), DMS),
            (date(2027, 1, 4), AGS),
            (date(9999, 12, 31), AGS),
        ],
    )
    def test_half_open(self, on: date, system: DeclarationSystem) -> None:
        """The day of a move belongs to the new system, the day of a roll-back to the old one again."""
        plan = CutoverPlan(moves=[move(), move(system="AGS", since=JANUARY)])
        assert plan.system_for(PARTY, on=on) is system

    @pytest.mark.parametrize(
        ("since", "last", "first"),
        [
            # 1 December 00:00 in Amsterdam is 30 November 23:00 UTC.
            (date(2026, 12, 1), "2026-11-30T22:59:59.999999", "2026-11-30T23:00:00"),
            # In summer two hours lie between.
            (date(2026, 7, 1), "2026-06-30T21:59:59.999999", "2026-06-30T22:00:00"),
            # The day on which summer time ends has 25 hours, the next begins at 23:00 UTC.
            (date(2026, 10, 25), "2026-10-24T21:59:59", "2026-10-24T22:00:00"),
            (date(2026, 10, 26), "2026-10-25T22:59:59", "2026-10-25T23:00:00"),
            # The day on which it begins has 23.
            (date(2027, 3, 28), "2027-03-27T22:59:59", "2027-03-27T23:00:00"),
            (date(2027, 3, 29), "2027-03-28T21:59:59", "2027-03-28T22:00:00"),
            # Leap day, and the day after it.
            (date(2028, 2, 29), "2028-02-28T22:59:59", "2028-02-28T23:00:00"),
            (date(2028, 3, 1), "2028-02-29T22:59:59", "2028-02-29T23:00:00"),
        ],
    )
    def test_days_are_those_of_customs(self, since: date, last: str, first: str) -> None:
        """A day begins at midnight in Amsterdam, whatever zone a moment is given in."""
        plan = CutoverPlan(moves=[move(since=since)])
        for zone in (UTC, timezone(timedelta(hours=-11)), timezone(timedelta(hours=14))):
            assert plan.system_for(PARTY, on=datetime.fromisoformat(f"{last}Z").astimezone(zone)) is AGS
            assert plan.system_for(PARTY, on=datetime.fromisoformat(f"{first}Z").astimezone(zone)) is DMS

    def test_the_hour_that_comes_twice(self) -> None:
        """Both hours of 02:00 to 03:00 on 25 October 2026 are of that day."""
        plan = CutoverPlan(moves=[move(since=date(2026, 10, 25)), move(system="AGS", since=date(2026, 10, 26))])
        for hour in (0, 1):
            assert plan.system_for(PARTY, on=datetime(2026, 10, 25, hour, 30, tzinfo=UTC)) is DMS

    def test_a_naive_moment_is_refused(self) -> None:
        """Without a zone nobody knows the day."""
        with pytest.raises(InputError) as error:
            CutoverPlan().system_for(PARTY, on=datetime(2026, 12, 1))  # noqa: DTZ001 - the mistake under test
        assert [code for code, _ in problems(error)] == ["cutover.day"]
        with pytest.raises(InputError):
            CutoverPlan().system_for(PARTY, on="2026-12-01")  # type: ignore[arg-type]

    def test_others_stay(self) -> None:
        """A move concerns its party only; everybody else has the default."""
        plan = CutoverPlan(moves=[move()])
        assert plan.system_for(CLIENT, on=DECEMBER) is AGS
        assert CutoverPlan(default="dms").system_for(CLIENT, on=DECEMBER) is DMS

    def test_party_in_any_case(self) -> None:
        """Party IDs compare without regard to the case of ASCII letters."""
        plan = CutoverPlan(moves=[move()])
        assert plan.system_for("nl123456789.02.05", on=DECEMBER) is DMS
        assert plan.system_for(PartyId.parse(PARTY), on=DECEMBER) is DMS

    def test_kinds(self) -> None:
        """A kind with a move of its own follows that from its day on, and before it the general ones."""
        plan = CutoverPlan(
            moves=[
                move(kind="import", since=date(2026, 11, 1)),
                move(since=DECEMBER),
                move(system="AGS", kind="export", since=JANUARY),
            ]
        )
        kinds = ("import", "export", "other", None)

        def on(day: date) -> list[str]:
            return [plan.system_for(PARTY, on=day, kind=kind).name for kind in kinds]

        assert on(date(2026, 10, 31)) == ["AGS", "AGS", "AGS", "AGS"]
        assert on(date(2026, 11, 1)) == ["DMS", "AGS", "AGS", "AGS"]
        assert on(date(2026, 12, 1)) == ["DMS", "DMS", "DMS", "DMS"]
        assert on(date(2027, 1, 4)) == ["DMS", "AGS", "DMS", "DMS"]
        assert plan.kinds_of(PARTY) == (None, "export", "import")

    def test_systems_of_a_user(self) -> None:
        """A plan works with any directory, a test environment for example."""
        test_dms = DeclarationSystem(name="TEST DMS", mailbox="dms@bto.example", process_id="DMS4.TEST")
        plan = CutoverPlan(directory=HTPOORT.add(test_dms), moves=[move(system="test dms")])
        assert plan.system_for(PARTY, on=DECEMBER) is test_dms


class TestProblems:
    """What contradicts is told all at once."""

    def test_contradictions(self) -> None:
        """Two systems, or one system twice, on one day of one party and kind; a system that there is not."""
        with pytest.raises(InputError) as error:
            CutoverPlan(
                default="EXIT",
                moves=[
                    move(),
                    move(party=PARTY.lower(), system="AGS"),
                    move(party=CLIENT),
                    move(party=CLIENT, system="dms"),
                    move(system="TRANSIT", since=JANUARY),
                    move(system="AGS", kind="import"),
                ],
            )
        assert problems(error) == [
            ("cutover.system", "default: 'EXIT' is no system of the directory; known: AGS, DMS."),
            (
                "cutover.contradiction",
                (
                    "nl123456789.02.05 uses AGS from 2026-12-01: contradicts "
                    "NL123456789.02.05 uses DMS from 2026-12-01. Keep one of them."
                ),
            ),
            ("cutover.twice", "NL123456789.03.05 uses dms from 2026-12-01: stands there twice."),
            (
                "cutover.system",
                (
                    "NL123456789.02.05 uses TRANSIT from 2027-01-04: 'TRANSIT' is no system of the directory; "
                    "known: AGS, DMS."
                ),
            ),
        ]

    def test_a_bad_move(self) -> None:
        """A move tells everything that is wrong with it."""
        with pytest.raises(InputError) as error:
            Move(party="NL", system="", since=datetime(2026, 12, 1, tzinfo=UTC), kind=" x", note=1)  # type: ignore[arg-type]
        assert [code for code, _ in problems(error)] == [
            "party.form",
            "cutover.system",
            "cutover.day",
            "cutover.kind",
            "input.type",
        ]

    def test_strangers(self) -> None:
        """A party that moves and is not among one's own is a slip of the pen."""
        plan = CutoverPlan(moves=[move(), move(party=CLIENT)])
        assert plan.checked([CLIENT, PARTY.lower()]) is plan
        with pytest.raises(InputError) as error:
            plan.checked([PARTY])
        assert problems(error) == [
            ("cutover.party", "NL123456789.03.05 moves, but is none of the parties; add it there, or leave it out.")
        ]


class TestToml:
    """A plan from TOML."""

    def test_everything(self) -> None:
        """Days may be TOML's own or text; default, kind and note are taken over."""
        plan = CutoverPlan.from_toml("""
            default = "AGS"
            [[move]]
            party = "NL123456789.02.05"
            system = "DMS"
            since = 2026-12-01
            note = "as agreed"
            [[move]]
            party = "NL123456789.03.05"
            system = "DMS"
            since = "04-01-2027"
            kind = "import"
        """)
        assert plan.default == "AGS"
        assert [str(one) for one in plan.moves] == [
            "NL123456789.02.05 uses DMS from 2026-12-01",
            "NL123456789.03.05 uses DMS for import from 2027-01-04",
        ]
        assert plan.moves[0].note == "as agreed"
        assert [str(party) for party in plan.parties()] == [PARTY, CLIENT]
        assert CutoverPlan.from_toml("").system_for(PARTY, on=DECEMBER) is AGS

    def test_all_problems(self) -> None:
        """Every problem comes with its path."""
        with pytest.raises(InputError) as error:
            CutoverPlan.from_toml("""
                defualt = "AGS"
                default = 4
                [[move]]
                party = "NL123456789.02.05"
                since = 2026-12-01T00:00:00
                kinds = "x"
                [[move]]
                party = 1
                system = "DMS"
                since = "2026-13-01"
                [[move]]
                party = "NL"
                system = "DMS"
                since = 2026-12-01
            """)
        assert [(code, message.partition(";")[0]) for code, message in problems(error)] == [
            ("toml.unknown-key", "defualt: there is no such setting"),
            ("toml.type", "default: give a string."),
            ("toml.unknown-key", "move[0]: kinds: there is no such setting"),
            ("toml.missing", "move[0]: system: this setting is needed."),
            ("toml.value", "move[0]: since: give a day, as 2026-12-01."),
            ("toml.type", "move[1]: party: give a string."),
            ("toml.value", "move[1]: since: give a day, as 2026-12-01."),
            ("party.form", "move[2]: party is 'NL'"),
        ]

    @pytest.mark.parametrize(
        ("text", "code"), [("move = 1", "toml.type"), ("move = [1]", "toml.type"), ("move", "toml.syntax")]
    )
    def test_shapes(self, text: str, code: str) -> None:
        """What is no plan is told, and nothing is guessed."""
        with pytest.raises(InputError) as error:
            CutoverPlan.from_toml(text)
        assert [found for found, _ in problems(error)] == [code]


class TestCsv:
    """A plan from a spreadsheet."""

    @pytest.mark.parametrize("divider", [",", ";", "\t"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_dividers(self, divider: str, end: str) -> None:
        """Whatever program wrote it: dividers, line ends, a mark before it, empty lines, either form of a day."""
        rows = [
            ["Party", "System", "Since", "Note", "Kind"],
            [PARTY, "DMS", "01-12-2026", '"first; of many"', ""],
            ["", "", "", "", ""],
            [CLIENT, "DMS", "2027-01-04", "", "import"],
        ]
        text = "\N{ZERO WIDTH NO-BREAK SPACE}" + end.join(divider.join(row) for row in rows) + end
        plan = CutoverPlan.from_csv(text)
        assert [(str(one.party), one.system, one.since, one.kind, one.note) for one in plan.moves] == [
            (PARTY, "DMS", date(2026, 12, 1), None, "first; of many"),
            (CLIENT, "DMS", date(2027, 1, 4), "import", ""),
        ]

    def test_all_problems(self) -> None:
        """Every problem comes with the line that a person sees in the file."""
        with pytest.raises(InputError) as error:
            CutoverPlan.from_csv(
                "party,system,since\nNL,DMS,2026-12-01\n\nNL123456789.02.05,,1/12/2026\n"
                "NL123456789.02.05,DMS,2026-12-01,x\n,DMS,2026-02-30\n"
            )
        assert [(code, message.partition(";")[0]) for code, message in problems(error)] == [
            ("party.form", "line 2: party is 'NL'"),
            ("csv.cells", "line 4: system is empty."),
            ("csv.cells", "line 4: since: give a day, as 2026-12-01 or 01-12-2026."),
            ("csv.cells", "line 5: there are 4 cells and 3 columns"),
            ("csv.cells", "line 6: party is empty."),
            ("csv.cells", "line 6: since: give a day, as 2026-12-01 or 01-12-2026."),
        ]

    @pytest.mark.parametrize(
        ("text", "codes"),
        [
            ("", ["csv.column"] * 3),
            ("party,system\n", ["csv.column"]),
            ("party,system,since,party\n", ["csv.column"]),
            ("party,system,since,day\n", ["csv.column"]),
            ('party,system,since\n"NL\n', ["csv.syntax"]),
        ],
    )
    def test_columns(self, text: str, codes: list[str]) -> None:
        """The columns must be those of a move."""
        with pytest.raises(InputError) as error:
            CutoverPlan.from_csv(text)
        assert [found for found, _ in problems(error)] == codes

    def test_contradictions_are_told_of_the_whole(self) -> None:
        """What no line shows by itself is found too."""
        with pytest.raises(InputError) as error:
            CutoverPlan.from_csv(f"party,system,since\n{PARTY},DMS,2026-12-01\n{PARTY},AGS,2026-12-01\n")
        assert [found for found, _ in problems(error)] == ["cutover.contradiction"]
