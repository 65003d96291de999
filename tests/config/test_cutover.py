"""The `[cutover]` table of htpoort.toml: which parties move, and when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from htpoort import AGS, DMS
from htpoort.config import AgentConfig

Read = Callable[..., AgentConfig]
Refuse = Callable[..., list[str]]

SMALL = 'parties = ["NL123456789.02.05", "NL123456789.03.05"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'
MOVE = '[[cutover.move]]\nparty = "NL123456789.02.05"\nsystem = "DMS"\nsince = 2026-12-01\n'


def test_without_a_plan(read: Read) -> None:
    """A file without `[cutover]` has no plan."""
    assert read(SMALL).ledger.cutover is None


def test_everything(read: Read, folder: Path) -> None:
    """Moves are in the file, in a CSV file beside it, or in both; systems are named in any case."""
    (folder / "moves.csv").write_text(
        "\N{ZERO WIDTH NO-BREAK SPACE}party;system;since;kind\nNL123456789.03.05;dms;04-01-2027;import\n",
        encoding="utf-8",
    )
    config = read(
        f'{SMALL}[cutover]\ndefault = "ags"\nleaving = "ags"\nquiet_days = 14\nmode = "shadow"\n'
        f'shadow_system = "dms"\nmoves = "moves.csv"\n{MOVE}note = "as agreed"\n'
    ).ledger.cutover
    assert config is not None
    assert [str(move) for move in config.plan.moves] == [
        "NL123456789.02.05 uses DMS from 2026-12-01",
        "NL123456789.03.05 uses dms for import from 2027-01-04",
    ]
    assert (config.leaving, config.quiet_days, config.shadow) == (AGS, 14, DMS)
    assert config.plan.system_for("NL123456789.03.05", on=date(2027, 1, 4), kind="import") is DMS
    assert config.plan.moves[0].note == "as agreed"


def test_defaults(read: Read) -> None:
    """By default, the parties leave AGS, the quiet time is 150 days, and there is no shadow."""
    config = read(f"{SMALL}[cutover]\n").ledger.cutover
    assert config is not None
    assert (config.plan.default, config.leaving, config.quiet_days, config.shadow) == ("AGS", AGS, 150, None)


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("cutover = 1\n", ["1: cutover: give a table."]),
        (
            '[cutover]\ndefault = "EXIT"\nleaving = "GAS"\nquiet_days = -1\n',
            [
                "5: cutover.default: system 'EXIT' is neither published nor in [systems.NAME]. Known: AGS, DMS.",
                (
                    "6: cutover.leaving: system 'GAS' is neither published nor in [systems.NAME]; did you mean AGS? "
                    "Known: AGS, DMS."
                ),
                "7: cutover.quiet_days: give a number of days, 0 to 36525.",
            ],
        ),
        ("[cutover]\nquiet_days = 36526\n", ["5: cutover.quiet_days: give a number of days, 0 to 36525."]),
        ('[cutover]\nmode = "both"\n', ["5: cutover.mode: give one of live, shadow."]),
        (
            '[cutover]\nmode = "shadow"\n',
            ['4: cutover.shadow_system: mode = "shadow" needs it; give the name of a system.'],
        ),
        (
            '[cutover]\nshadow_system = "DMS"\n',
            ['5: cutover.shadow_system: only mode = "shadow" uses it; set that mode, or leave it out.'],
        ),
        (
            '[cutover]\nmode = "shadow"\nshadow_system = "EXIT"\n',
            ["6: cutover.shadow_system: system 'EXIT' is neither published nor in [systems.NAME]. Known: AGS, DMS."],
        ),
        ("[cutover]\nmove = 1\n", ["5: cutover.move: write [[cutover.move]]; there may be several."]),
        ("[cutover]\nmove = [1]\n", ["5: cutover.move[0]: give a table."]),
        (
            '[[cutover.move]]\nparty = "NL"\nsystem = "DMS"\nsince = 2026-12-01\n',
            [
                (
                    "5: cutover.move[0].party is 'NL'; write two letters, digits and groups after dots, "
                    "as in NL123456789.02.05."
                )
            ],
        ),
        (
            '[[cutover.move]]\nparty = "NL123456789.02.05"\nsince = 2026-12-01T00:00:00\nkinds = "x"\n',
            [
                "4: cutover.move[0].system: this setting is needed.",
                "6: cutover.move[0].since: give a day such as 2026-12-01.",
                (
                    "7: cutover.move[0].kinds: there is no such setting; did you mean kind? "
                    "Known: kind, note, party, since, system."
                ),
            ],
        ),
        (
            (
                f'{MOVE}{MOVE.replace("DMS", "AGS")}[[cutover.move]]\nparty = "NL123456789.09.05"\nsystem = "DMS"\n'
                'since = "01-12-2026"\n'
            ),
            [
                (
                    "8: cutover.move[1]: NL123456789.02.05 uses AGS from 2026-12-01, "
                    "but by cutover.move[0] it uses DMS from that day. Keep one of them."
                ),
                (
                    "12: cutover.move[2]: NL123456789.09.05 moves, but is not one of the parties; "
                    "add it there, or leave it out."
                ),
            ],
        ),
        (
            MOVE.replace("02.05", "09.05"),
            [
                (
                    "4: cutover.move[0]: NL123456789.09.05 moves, but is not one of the parties; "
                    "add it there, or leave it out."
                )
            ],
        ),
        (
            '[cutover]\nmoves = "none.csv"\n',
            ["5: cutover.moves: FOLDER/none.csv cannot be read: No such file or directory."],
        ),
        ('[cutover]\nmoves = "a\\u0000b"\n', ["5: cutover.moves: 'FOLDER/a\\x00b' is not a path."]),
        ('[cutover]\nmoves = "binary"\n', ["5: cutover.moves: FOLDER/binary is not UTF-8; save it as CSV UTF-8."]),
        (
            '[cutover]\nmoves = "bad.csv"\n',
            [
                "5: cutover.moves: bad.csv, line 2: system is empty.",
                "5: cutover.moves: bad.csv, line 2: since is 'soon'; give a day such as 2026-12-01 or 01-12-2026.",
            ],
        ),
        (
            f'[cutover]\ndefault = "EXIT"\nmoves = "many.csv"\n{MOVE}',
            [
                "5: cutover.default: system 'EXIT' is neither published nor in [systems.NAME]. Known: AGS, DMS.",
                "6: cutover.moves: many.csv, line 3: system is empty.",
                (
                    "6: cutover.moves: many.csv, line 2: NL123456789.02.05 uses AGS from 2026-12-01, "
                    "but by cutover.move[0] it uses DMS from that day. Keep one of them."
                ),
                (
                    "6: cutover.moves: many.csv, line 4: NL123456789.09.05 uses GAS from 2026-12-01: "
                    "system 'GAS' is not in the directory; did you mean AGS? Known: AGS, DMS."
                ),
                (
                    "6: cutover.moves: many.csv, line 4: NL123456789.09.05 moves, but is not one of the parties; "
                    "add it there, or leave it out."
                ),
            ],
        ),
    ],
)
def test_each_mistake(folder: Path, refused: Refuse, added: str, expected: list[str]) -> None:
    """Every mistake is reported at once, with its line and its path."""
    (folder / "binary").write_bytes(b"\xff")
    (folder / "bad.csv").write_text("party,system,since\nNL123456789.02.05,,soon\n", encoding="utf-8")
    (folder / "many.csv").write_text(
        "party;system;since\nNL123456789.02.05;AGS;1-12-2026\nNL123456789.03.05;;1-12-2026\n"
        "NL123456789.09.05;GAS;1-12-2026\n",
        encoding="utf-8",
    )
    text = added + SMALL if added.startswith("cutover") else SMALL + added
    assert [f"htpoort.toml:{one.replace('FOLDER', str(folder))}" for one in expected] == refused(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SMALL.replace("NL123456789.03.05", "x") + MOVE.replace("02.05", "03.05"), "1: parties[1]"),
        (
            f'{SMALL}[systems.EXIT]\nmailbox = 1\nprocess_id = "EXIT.NL"\n{MOVE.replace("DMS", "exit")}',
            "5: systems.EXIT.mailbox",
        ),
        (
            f'{SMALL}[cutover]\ndefault = "EXIT"\n[systems.EXIT]\nmailbox = 1\nprocess_id = "EXIT.NL"\n',
            "7: systems.EXIT.mailbox",
        ),
        (f'systems = 1\n{SMALL}[cutover]\ndefault = "EXIT"\n', "1: systems"),
    ],
)
def test_nothing_false_follows_from_a_mistake(refused: Refuse, text: str, expected: str) -> None:
    """A party or a system that is wrong where it is defined is not reported as unknown where it is used."""
    (message,) = refused(text)

    assert message.startswith(f"htpoort.toml:{expected}: ")


@pytest.mark.parametrize(
    ("ledger", "quiet", "expected"),
    [
        ("retention_days = 149", "", ["4: ledger.retention_days: give at least 150"]),
        ("retention_days = 13", "quiet_days = 14", ["4: ledger.retention_days: give at least 14"]),
        # The line of the table, where the setting has none.
        ("", "quiet_days = 2558", ["2: ledger.retention_days: give at least 2558"]),
        ("retention_days = -1", "", ["4: ledger.retention_days: give a number of days, 0 or more."]),
    ],
)
def test_what_is_pruned_cannot_keep_a_system(refused: Refuse, ledger: str, quiet: str, expected: list[str]) -> None:
    """If the ledger deleted a reply within the quiet days, AGS could be switched off too early."""
    found = refused(f"{SMALL}{ledger}\n[cutover]\n{quiet}\n")
    assert [f"htpoort.toml:{one}" for one in expected] == [
        one.removesuffix(", the days of cutover.quiet_days: replies count until then.") for one in found
    ]


@pytest.mark.parametrize("ledger", ["retention_days = 150\n[cutover]\n", "retention_days = 5\n", "[cutover]\n"])
def test_what_is_kept_long_enough(read: Read, ledger: str) -> None:
    """Keeping replies for just the quiet days is enough; without moves, any number of days is."""
    assert read(f"{SMALL}{ledger}").ledger.retention_days in {5, 150, 2557}


def test_the_settings_of_each_system(read: Read) -> None:
    """The settings of two systems can be compared; a missing setting is an empty text."""
    config = read(
        f'{SMALL}[[outbox]]\nserver = "smtp.forwarder.example"\nusername = "edi"\npassword_env = "SECRET"\n'
        'systems = ["AGS"]\n[[delivery]]\nsystem = "AGS"\nmaildir = "ags"\n'
        '[[delivery]]\nsystem = "DMS"\ncommand = ["/bin/cat", "x"]\n',
        {"SECRET": "geheim"},
    )
    old, new = config.settings_of(AGS), config.settings_of(DMS)
    assert old["mail server"] == "smtp.forwarder.example:587"
    assert (old["security"], old["user name"], old["own certificate"]) == ("starttls", "edi", "none")
    assert old["trusted authorities"] == "those of the system"
    assert old["TLS policy"] == "production, from 2025-05-20"
    assert old["delivery"].endswith("/ags")
    assert (new["mail server"], new["delivery"]) == ("", "command /bin/cat")
    assert "geheim" not in str(old)
