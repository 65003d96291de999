"""The plan of a move: which system takes a party's declarations on which day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from htpoort import AGS, DMS, HTPOORT, CutoverPlan, DeclarationSystem, Directory, InputError, Move, PartyId

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
        """A moment without a time zone has no day, so it is refused."""
        with pytest.raises(InputError) as error:
            CutoverPlan().system_for(PARTY, on=datetime(2026, 12, 1))  # noqa: DTZ001 - the mistake under test
        assert [code for code, _ in problems(error)] == ["cutover.day"]
        with pytest.raises(InputError):
            CutoverPlan().system_for(PARTY, on="2026-12-01")  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "moment", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))]
    )
    def test_a_moment_past_the_calendar_is_refused(self, moment: datetime) -> None:
        """Where the day in Amsterdam is past the last one, or before the first, it is the caller's mistake."""
        with pytest.raises(InputError) as error:
            CutoverPlan().system_for(PARTY, on=moment)
        assert [code for code, _ in problems(error)] == ["cutover.day"]

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
        """A kind with its own move follows that move from its day on, and the general moves before."""
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

    def test_kinds_in_any_case(self) -> None:
        """A label is the same in any case, as party and system are; it is shown as it was first written."""
        plan = CutoverPlan(
            moves=[
                move(kind="Import É"),
                move(system="AGS", kind="import é", since=JANUARY),
                move(kind="export"),
            ]
        )
        for kind in ("Import É", "import é", "IMPORT É"):
            assert plan.system_for(PARTY, on=DECEMBER, kind=kind) is DMS
            assert plan.system_for(PARTY, on=JANUARY, kind=kind) is AGS
        assert plan.kinds_of(PARTY) == (None, "export", "Import É")
        assert [True, True, False] == [plan.names_kind(kind) for kind in ("IMPORT é", "Export", "imprt")]
        assert str(plan.moves[1]) == "NL123456789.02.05 uses AGS for import é from 2027-01-04"

    @pytest.mark.parametrize("kind", ["", " ", "import ", "\timport", "im\nport", "x" * 65, 1])
    def test_what_is_no_kind_is_refused(self, kind: str) -> None:
        """What no move can have is a slip of the pen, and does not fall to the moves of all kinds."""
        with pytest.raises(InputError) as error:
            CutoverPlan(moves=[move(kind="import")]).system_for(PARTY, on=DECEMBER, kind=kind)
        assert problems(error) == [
            (
                "cutover.kind",
                f"kind is {kind!r}; give 1 to 64 printable characters, no blank at either end, or leave it out.",
            )
        ]

    def test_systems_of_a_user(self) -> None:
        """A plan works with any directory, a test environment for example."""
        test_dms = DeclarationSystem(name="TEST DMS", mailbox="dms@bto.example", process_id="DMS4.TEST")
        plan = CutoverPlan(directory=HTPOORT.add(test_dms), moves=[move(system="test dms")])
        assert plan.system_for(PARTY, on=DECEMBER) is test_dms


class TestProblems:
    """All contradictions are reported at once."""

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
            ("cutover.system", "default: system 'EXIT' is not in the directory. Known: AGS, DMS."),
            (
                "cutover.contradiction",
                (
                    "nl123456789.02.05 uses AGS from 2026-12-01, but by another move it uses DMS "
                    "from that day. Keep one of them."
                ),
            ),
            ("cutover.twice", "NL123456789.03.05 uses dms from 2026-12-01 is written twice; leave one out."),
            (
                "cutover.system",
                (
                    "NL123456789.02.05 uses TRANSIT from 2027-01-04: system 'TRANSIT' is not in the directory. "
                    "Known: AGS, DMS."
                ),
            ),
        ]

    def test_kinds_that_differ_in_case_only(self) -> None:
        """They are one kind, so two of them on one day contradict each other, or are repeated."""
        with pytest.raises(InputError) as error:
            CutoverPlan(
                moves=[move(kind="Import"), move(system="AGS", kind="import"), move(kind="IMPORT"), move(kind="export")]
            )
        assert problems(error) == [
            (
                "cutover.contradiction",
                (
                    "NL123456789.02.05 uses AGS for import from 2026-12-01, but by another move it uses DMS "
                    "from that day. Keep one of them."
                ),
            ),
            ("cutover.twice", "NL123456789.02.05 uses DMS for IMPORT from 2026-12-01 is written twice; leave one out."),
        ]

    def test_a_bad_move(self) -> None:
        """A move reports everything that is wrong with it."""
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
            ("cutover.party", "NL123456789.03.05 moves, but is not one of the parties; add it there, or leave it out.")
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
        form = "write two letters, digits and groups after dots, as in NL123456789.02.05."
        assert problems(error) == [
            ("toml.unknown-key", "defualt: there is no such setting; did you mean default? Known: default, move."),
            ("toml.type", "default: give a string."),
            ("toml.missing", "move[0].system: this setting is needed."),
            ("toml.value", "move[0].since: give a day such as 2026-12-01."),
            (
                "toml.unknown-key",
                "move[0].kinds: there is no such setting; did you mean kind? Known: kind, note, party, since, system.",
            ),
            ("toml.type", "move[1].party: give a string."),
            ("toml.value", "move[1].since: give a day such as 2026-12-01."),
            ("party.form", f"move[2].party is 'NL'; {form}"),
        ]

    def test_several_mistakes_in_one_move_and_in_the_whole(self) -> None:
        """A wrong day hides nothing: party, system, kind, note, default and contradictions are reported too."""
        with pytest.raises(InputError) as error:
            CutoverPlan.from_toml("""
                default = "GAS"
                [[move]]
                party = "NL"
                system = "EXIT"
                since = "2026-13-01"
                kind = " import"
                note = 1
                [[move]]
                party = "NL123456789.02.05"
                system = "DMS"
                since = 2026-12-01
                [[move]]
                party = "NL123456789.02.05"
                system = "AGS"
                since = 2026-12-01
                [[move]]
                party = "NL123456789.03.05"
                system = "EXIT"
                since = 2026-12-01
            """)
        form = "write two letters, digits and groups after dots, as in NL123456789.02.05."
        assert problems(error) == [
            ("party.form", f"move[0].party is 'NL'; {form}"),
            ("cutover.system", "move[0].system: system 'EXIT' is not in the directory. Known: AGS, DMS."),
            ("toml.value", "move[0].since: give a day such as 2026-12-01."),
            (
                "cutover.kind",
                (
                    "move[0].kind is ' import'; give 1 to 64 printable characters, no blank at either end, or "
                    "leave it out."
                ),
            ),
            ("toml.type", "move[0].note: give a string."),
            ("cutover.system", "default: system 'GAS' is not in the directory; did you mean AGS? Known: AGS, DMS."),
            (
                "cutover.contradiction",
                (
                    "move[2]: NL123456789.02.05 uses AGS from 2026-12-01, but by move[1] it uses "
                    "DMS from that day. Keep one of them."
                ),
            ),
            (
                "cutover.system",
                (
                    "move[3]: NL123456789.03.05 uses EXIT from 2026-12-01: system 'EXIT' is not in the directory. "
                    "Known: AGS, DMS."
                ),
            ),
        ]

    def test_a_default_that_is_no_text(self) -> None:
        """Moves are still checked, and the stand-in for the default causes no further error."""
        directory = Directory((DMS,))
        with pytest.raises(InputError) as error:
            CutoverPlan.from_toml(
                'default = 4\n[[move]]\nparty = "NL1"\nsystem = "AGS"\nsince = 2026-12-01\n', directory=directory
            )
        assert problems(error) == [
            ("toml.type", "default: give a string."),
            (
                "cutover.system",
                "move[0]: NL1 uses AGS from 2026-12-01: system 'AGS' is not in the directory. Known: DMS.",
            ),
        ]

    def test_contradictions_say_where(self) -> None:
        """Moves that contradict each other are reported with their places."""
        entry = '[[move]]\nparty = "NL123456789.02.05"\nsystem = "{}"\nsince = 2026-12-01\n'
        with pytest.raises(InputError) as error:
            CutoverPlan.from_toml(entry.format("DMS") + entry.format("AGS"))
        assert problems(error) == [
            (
                "cutover.contradiction",
                (
                    "move[1]: NL123456789.02.05 uses AGS from 2026-12-01, but by move[0] it uses "
                    "DMS from that day. Keep one of them."
                ),
            )
        ]

    @pytest.mark.parametrize(
        ("text", "code"), [("move = 1", "toml.type"), ("move = [1]", "toml.type"), ("move", "toml.syntax")]
    )
    def test_shapes(self, text: str, code: str) -> None:
        """Text that is not a plan is reported, and nothing is guessed."""
        with pytest.raises(InputError) as error:
            CutoverPlan.from_toml(text)
        assert [found for found, _ in problems(error)] == [code]


class TestCsv:
    """A plan from a spreadsheet."""

    @pytest.mark.parametrize("divider", [",", ";", "\t"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
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
            ("csv.cells", "line 4: since is '1/12/2026'"),
            ("csv.cells", "line 5: there are 4 cells and 3 columns"),
            ("csv.cells", "line 6: party is empty."),
            ("csv.cells", "line 6: since is '2026-02-30'"),
        ]

    def test_several_mistakes_in_one_line(self) -> None:
        """A wrong day hides nothing: party, system and kind are reported beside it, each with its line."""
        with pytest.raises(InputError) as error:
            CutoverPlan.from_csv("party,system,since,kind\nNL,EXIT,1/12/2026,im\x01port\n,exit,,\n")
        form = "write two letters, digits and groups after dots, as in NL123456789.02.05."
        advice = "give 1 to 64 printable characters, no blank at either end, or leave it out."
        assert problems(error) == [
            ("csv.cells", "line 2: since is '1/12/2026'; give a day such as 2026-12-01 or 01-12-2026."),
            ("party.form", f"line 2: party is 'NL'; {form}"),
            ("cutover.kind", f"line 2: kind is 'im\\x01port'; {advice}"),
            ("cutover.system", "line 2: system 'EXIT' is not in the directory. Known: AGS, DMS."),
            ("csv.cells", "line 3: party is empty."),
            ("csv.cells", "line 3: since is empty."),
            ("cutover.system", "line 3: system 'exit' is not in the directory. Known: AGS, DMS."),
        ]

    def test_lines_are_read_below_wrong_columns(self) -> None:
        """A column that is missing or not known hides no mistake of the others."""
        with pytest.raises(InputError) as error:
            CutoverPlan.from_csv("party,systeem,since\nNL,DMS,2026-12-01\nNL1,DMS,2026-12-01\nNL1,DMS,1/12/2026\n")
        form = "write two letters, digits and groups after dots, as in NL123456789.02.05."
        known = "known: party, system, since, kind, note."
        assert problems(error) == [
            ("csv.column", "line 1: there is no column system; the first line names the columns."),
            ("csv.column", f"line 1: 'systeem' is not a column of a move, or appears twice; {known}"),
            ("party.form", f"line 2: party is 'NL'; {form}"),
            ("csv.cells", "line 4: since is '1/12/2026'; give a day such as 2026-12-01 or 01-12-2026."),
        ]

    def test_lines_are_read_above_what_is_no_csv(self) -> None:
        """A quote that is never closed hides no mistake above it."""
        with pytest.raises(InputError) as error:
            CutoverPlan.from_csv('party,system,since\nNL,DMS,2026-12-01\n"NL1,DMS,2026-12-01\n')
        assert [code for code, _ in problems(error)] == ["csv.syntax", "party.form"]

    def test_no_column_of_days(self) -> None:
        """A column that is missing is reported once, and not again for each line."""
        with pytest.raises(InputError) as error:
            CutoverPlan.from_csv(f"party,system\n{PARTY},DMS\n{CLIENT},DMS\n")
        assert [code for code, _ in problems(error)] == ["csv.column"]

    @pytest.mark.parametrize(
        ("text", "codes"),
        [
            ('"', ["csv.syntax"]),
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

    def test_contradictions_are_reported_with_the_rest(self) -> None:
        """What no line shows by itself is found too, with its lines, and beside what single lines have wrong."""
        rows = [
            "party,system,since",
            f"{PARTY},DMS,2026-12-01",
            "NL,DMS,2026-12-01",
            f"{PARTY},AGS,2026-12-01",
            f"{CLIENT},EXIT,2026-12-01",
            f"{PARTY},DMS,2026-12-01",
        ]
        with pytest.raises(InputError) as error:
            CutoverPlan.from_csv("\n".join(rows), default="GAS")
        form = "write two letters, digits and groups after dots, as in NL123456789.02.05."
        assert problems(error) == [
            ("party.form", f"line 3: party is 'NL'; {form}"),
            ("cutover.system", "default: system 'GAS' is not in the directory; did you mean AGS? Known: AGS, DMS."),
            (
                "cutover.contradiction",
                (
                    "line 4: NL123456789.02.05 uses AGS from 2026-12-01, but by line 2 it uses "
                    "DMS from that day. Keep one of them."
                ),
            ),
            (
                "cutover.system",
                (
                    "line 5: NL123456789.03.05 uses EXIT from 2026-12-01: system 'EXIT' is not in the directory. "
                    "Known: AGS, DMS."
                ),
            ),
            (
                "cutover.twice",
                "line 6: NL123456789.02.05 uses DMS from 2026-12-01 is written twice (first in line 2); leave one out.",
            ),
        ]

    def test_unknown_parties_are_reported_with_their_lines(self) -> None:
        """An unknown party is reported once, with its first line."""
        plan = CutoverPlan.from_csv(f"party,system,since\n{PARTY},DMS,2026-12-01\n{PARTY},AGS,2027-01-04\n")
        with pytest.raises(InputError) as error:
            plan.checked([CLIENT])
        assert problems(error) == [
            (
                "cutover.party",
                "line 2: NL123456789.02.05 moves, but is not one of the parties; add it there, or leave it out.",
            )
        ]

    def test_the_place_is_not_part_of_a_move(self) -> None:
        """A move is the same wherever it was read."""
        plan = CutoverPlan.from_csv(f"party,system,since\n{PARTY},DMS,2026-12-01\n")
        assert plan.moves == (move(),)
        assert repr(plan.moves[0]) == repr(move())

    @pytest.mark.parametrize(
        ("written", "since"),
        [
            ("1-12-2026", date(2026, 12, 1)),
            ("01-12-2026", date(2026, 12, 1)),
            ("4-1-2027", date(2027, 1, 4)),
            ("04-1-2027", date(2027, 1, 4)),
        ],
    )
    def test_dutch_days(self, written: str, since: date) -> None:
        """A spreadsheet in Dutch writes day and month without a zero before them."""
        plan = CutoverPlan.from_csv(f"party;system;since\n{PARTY};DMS;{written}\n")
        assert [one.since for one in plan.moves] == [since]

    @pytest.mark.parametrize("written", ["001-12-2026", "1-12-26", "1/12/2026", "\u0661-12-2026", "0-1-2027", "1-2"])
    def test_no_days(self, written: str) -> None:
        """A day in another form is not guessed."""
        with pytest.raises(InputError) as error:
            CutoverPlan.from_csv(f"party;system;since\n{PARTY};DMS;{written}\n")
        assert [found for found, _ in problems(error)] == ["csv.cells"]

    @pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1e", "\x85"])
    def test_only_line_ends_end_a_line(self, odd: str) -> None:
        """What Python takes for the end of a line, and CSV does not, stays in its cell."""
        plan = CutoverPlan.from_csv(f"party,system,since,note\n{PARTY},DMS,2026-12-01,as{odd}agreed\n")
        assert [one.note for one in plan.moves] == [f"as{odd}agreed"]

    def test_a_note_of_two_lines(self) -> None:
        """A cell in quotes may hold the end of a line; the lines behind it are counted as a person sees them."""
        with pytest.raises(InputError) as error:
            CutoverPlan.from_csv(
                f'party,system,since,note\r\n{PARTY},DMS,2026-12-01,"a\r\nb"\r\n{PARTY},,2027-01-04,\r\n'
            )
        assert problems(error) == [("csv.cells", "line 4: system is empty.")]
