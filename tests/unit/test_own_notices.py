"""Notices of one's own, in TOML: the words of published ones, and every problem with its line."""

from __future__ import annotations

import subprocess  # noqa: S404 - a program as users start it
import sys
from datetime import datetime

import pytest
from notice_builders import utc

from htpoort import InputError
from htpoort.core.notices._authorities import AUTHORITIES
from htpoort.core.notices.own import ZONES
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
    read_own_notice,
)

local = datetime.fromisoformat

WHOLE = """\
authority = "douane"
language = "nl"
kind = "incident"
references = ["D1", "D2"]
revisions = ["2026-11-30T20:15:30"]
state = "in-force"

[[windows]]
system = "DMS"
access = "file"
messages = ["IE015"]
start = 2026-11-30T21:00:00
end = "2026-11-30T23:00"
end_kind = "expected"
behaviour = "rejected"
recovery = "same-reference"
fallback = "as-needed"

[[windows]]
system = "AGS"
behaviour = "queued"
"""


TIME = 'give a local date and time such as "2026-11-30T21:00", without an offset.'
ZONE_IS_MISSING = 'give authority or zone, such as zone = "Europe/Amsterdam": without it, no time can be placed.'
STATES = "announced, delayed, moved, cancelled, in-force, ended, unclear"
NO_ZONE = "this zone is not known; give one such as Europe/Amsterdam, whose rule for summer time is known."
NO_AUTHORITY = (
    "this authority is not known; did you mean douane? Known: douane, toldstyrelsen. For another one, give zone"
)
SKIPPED = "2026-03-29 02:30:00 does not occur in Europe/Amsterdam: the clock is put forward then. Give another time."
SECONDS = (
    "toml.value own.toml:5: windows[0].start: 2026-11-30 21:00:30 has seconds; give minutes, such as "
    '"2026-11-30T21:00".|'
    "toml.value own.toml:6: windows[0].end: 2026-11-30 23:00:00.500000 has seconds; give minutes, such as "
    '"2026-11-30T23:00".'
)
ROW = 'authority = "douane"\n[[windows]]\nsystem = "DMS"\nbehaviour = "queued"\n'


def line_of(problem: str) -> tuple[int, str]:
    """Give the line of a problem, and its code."""
    return int(problem.split(":")[1]), problem.split(maxsplit=1)[0]


def problems(text: str) -> list[str]:
    """Read a text that is wrong."""
    with pytest.raises(InputError) as refused:
        read_own_notice(text, name="own.toml")
    return [f"{problem.code} {problem.message}" for problem in refused.value.problems]


def test_every_word_is_read() -> None:
    """Each key has the word of a published notice, and the notice is complete."""
    expected = Notice(
        text=WHOLE,
        authority="douane",
        language="nl",
        kind=NoticeKind.INCIDENT,
        zone="Europe/Amsterdam",
        references=("D1", "D2"),
        revisions=(
            Revision(
                known=local("2026-11-30T20:15:30"),
                stamp="2026-11-30T20:15:30",
                start=0,
                stop=len(WHOLE),
                state=NoticeState.IN_FORCE,
                complete=True,
                windows=(
                    ServiceWindow(
                        system="DMS",
                        access=Access.FILE,
                        messages=("IE015",),
                        start=local("2026-11-30T21:00"),
                        end=local("2026-11-30T23:00"),
                        end_kind=EndKind.EXPECTED,
                        behaviour=Behaviour.REJECTED,
                        recovery=Recovery.SAME_REFERENCE,
                        fallback=Fallback.AS_NEEDED,
                    ),
                    ServiceWindow(system="AGS", behaviour=Behaviour.QUEUED),
                ),
            ),
        ),
        typed=True,
    )

    assert expected == read_own_notice(WHOLE)
    assert expected == read_own_notice(WHOLE.encode())


def test_an_own_notice_needs_little() -> None:
    """A zone, and a system with a start and a behaviour, are enough; an end that is given is final."""
    short = """\
zone = "Europe/Brussels"
[[windows]]
system = "DMS"
behaviour = "rejected"
start = "2026-11-30T21:00"
end = "2026-11-30T23:00"
"""
    notice = read_own_notice(short)

    assert (None, "Europe/Brussels", NoticeKind.PLANNED, NoticeState.ANNOUNCED, EndKind.FINAL, True) == (
        notice.authority,
        notice.zone,
        notice.kind,
        notice.state,
        notice.windows[0].end_kind,
        notice.complete,
    )
    assert "hold" == Availability([notice]).what_now("DMS", at=utc("2026-11-30T20:00")).advice


def test_an_event_is_ended_in_three_lines() -> None:
    """What ended or was cancelled needs a reference and no window."""
    notice = read_own_notice('authority = "douane"\nreferences = ["D1"]\nstate = "ended"\n')

    assert (NoticeState.ENDED, ()) == (notice.state, notice.windows)


def test_every_problem_has_its_line() -> None:
    """All problems of a notice are reported at once, each with its line and what to give."""
    wrong = """\
kind = "foreseen"
references = "D1"
revisions = ["2026-11-30"]
state = "over"
colour = "red"

[[windows]]
system = "DMS"
start = "2026-11-30T23:00"
end = "2026-11-30T21:00"
behaviour = "broken"
recovery = "again"
fallback = "maybe"
access = "fax"

[[windows]]
system = " "
behaviour = "queued"
start = 2026-11-30T21:00:00+01:00
end = 2026-03-29
end_kind = "unknown"

[[windows]]
behaviour = "queued"
end_kind = "final"
"""
    behaviours = "rejected, queued, delayed, unavailable, limited, unstable, normal, unstated"
    recoveries = "wait, resubmit, resend-same-reference-optional, same-reference, new-reference, report-list"
    fallbacks = "allowed, as-needed, only-if-necessary, required, no-longer, unstated"
    keys = "authority, kind, language, references, revisions, state, windows, zone"
    assert [
        f"toml.missing own.toml:1: zone: {ZONE_IS_MISSING}",
        "toml.value own.toml:1: kind: give one of planned, incident, recovery, security-change, other.",
        "toml.type own.toml:2: references: give an array of strings.",
        f"toml.value own.toml:3: revisions[0]: this is a day without an hour; {TIME}",
        f"toml.value own.toml:4: state: give one of {STATES}; did you mean ended?",
        f"toml.unknown-key own.toml:5: colour: there is no such setting. Known: {keys}.",
        "toml.value own.toml:10: windows[0].end: 2026-11-30 21:00:00 is not after start, 2026-11-30 23:00:00.",
        f"toml.value own.toml:11: windows[0].behaviour: give one of {behaviours}.",
        f"toml.value own.toml:12: windows[0].recovery: give one of {recoveries}, invalidate-and-new, unstated.",
        f"toml.value own.toml:13: windows[0].fallback: give one of {fallbacks}.",
        "toml.value own.toml:14: windows[0].access: give one of file, online, any.",
        "toml.value own.toml:17: windows[1].system: give the name of the system.",
        f"toml.value own.toml:19: windows[1].start: {TIME}",
        f"toml.value own.toml:20: windows[1].end: this is a day without an hour; {TIME}",
        "toml.missing own.toml:23: windows[2].system: this setting is needed.",
        'toml.missing own.toml:23: windows[2].start: this setting is needed, unless state is "in-force".',
        "toml.value own.toml:25: windows[2].end_kind: leave it out, or give end.",
    ] == sorted(problems(wrong), key=line_of)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'authority = "duane"\nstate = "ended"\nreferences = ["D1"]\n',
            f"toml.value own.toml:1: authority: {NO_AUTHORITY} alone.",
        ),
        (
            'authority = "douane"\nzone = "Europe/London"\nstate = "ended"\nreferences = ["D1"]\n',
            "toml.value own.toml:2: zone: douane has Europe/Amsterdam; leave zone out.",
        ),
        (
            'zone = "Europe"\nstate = "ended"\nreferences = ["D1"]\n',
            f"toml.value own.toml:1: zone: {NO_ZONE}",
        ),
        (
            'zone = "../UTC"\nstate = "ended"\nreferences = ["D1"]\n',
            f"toml.value own.toml:1: zone: {NO_ZONE}",
        ),
        (
            'authority = "douane"\nstate = "cancelled"\n',
            "toml.missing own.toml:1: references: give the reference of the notice that is cancelled, or nothing is.",
        ),
        (
            'authority = "douane"\n',
            "toml.missing own.toml:1: windows: add a [[windows]] for each system that is affected.",
        ),
        (
            'authority = "douane"\nrevisions = []\nstate = "ended"\nreferences = ["D1"]\n',
            "toml.value own.toml:2: revisions: give the time of this text alone, as an array of one time.",
        ),
        (
            'authority = "douane"\nrevisions = ["2026-03-29T02:30"]\nstate = "ended"\nreferences = ["D1"]\n',
            f"toml.value own.toml:2: revisions[0]: {SKIPPED}",
        ),
        (
            'authority = "douane"\nrevisions = ["0026-03-29T02:30"]\nstate = "ended"\nreferences = ["D1"]\n',
            "toml.value own.toml:2: revisions[0]: give a year from 1900 to 2999.",
        ),
        (
            'authority = "douane"\nrevisions = ["soon"]\nstate = "ended"\nreferences = ["D1"]\n',
            f"toml.value own.toml:2: revisions[0]: {TIME}",
        ),
        (
            f'{ROW}start = "2026-11-30T21:00:30"\nend = 2026-11-30T23:00:00.5\n',
            SECONDS,
        ),
        (
            f'{ROW}start = "2026-11-30T21:00"\nend = "2026-11-30T23:00"\nend_kind = "unknown"\n',
            "toml.value own.toml:7: windows[0].end_kind: give final or expected, or leave end out.",
        ),
    ],
)
def test_a_single_problem_is_explained(text: str, expected: str) -> None:
    """What cannot be stored is reported with its line, and with what to give instead."""
    assert expected.split("|") == problems(text)


@pytest.mark.parametrize(
    ("key", "word", "meant"),
    [
        ("kind", "outage", "incident"),
        ("kind", "Storing", "incident"),
        ("kind", "maintenance", "planned"),
        ("state", "closed", "ended"),
        ("state", "active", "in-force"),
    ],
)
def test_another_word_is_recognised(key: str, word: str, meant: str) -> None:
    """For a word that people use for one of the known ones, that one is proposed, and not taken."""
    known = {"kind": "planned, incident, recovery, security-change, other", "state": STATES}[key]

    assert [f"toml.value own.toml:1: {key}: give one of {known}; did you mean {meant}?"] == problems(
        f'{key} = "{word}"\n{ROW}start = "2026-11-30T21:00"\n'
    )


def test_a_slip_in_a_word_is_recognised() -> None:
    """A word with a slip is followed by the one that it is near, as a key is."""
    text = f'kind = "incidnet"\n{ROW}start = "2026-11-30T21:00"\n'

    known = "planned, incident, recovery, security-change, other"

    assert [f"toml.value own.toml:1: kind: give one of {known}; did you mean incident?"] == problems(text)


def test_a_text_of_the_future_is_refused() -> None:
    """Where the present is known, a text that is to be published later has a problem; one of now has none."""
    text = f'revisions = ["2026-11-30T21:00"]\n{ROW}start = "2026-11-30T22:00"\n'
    advice = "give when this text was published, or leave revisions out; an end that is to come is the end of a window."

    assert local("2026-11-30T21:00") == read_own_notice(text, now=utc("2026-11-30T20:00")).newest.known
    with pytest.raises(InputError) as refused:
        read_own_notice(text, name="own.toml", now=utc("2026-11-30T19:59:59"))
    assert [f"own.toml:1: revisions[0]: 2026-11-30 21:00:00 is in the future; {advice}"] == [
        problem.message for problem in refused.value.problems
    ]


def test_a_window_is_a_table() -> None:
    """Something else in the array of windows is a problem, and no error of the program."""
    assert ["toml.type own.toml:2: windows[0]: give a table."] == problems(
        'zone = "UTC"\nwindows = [1]\nstate = "in-force"\n'
    )


def test_an_hour_that_occurs_twice_is_taken() -> None:
    """In autumn an hour occurs twice: it is taken, and placed so that the window is the longer one."""
    text = 'authority = "douane"\n[[windows]]\nsystem = "DMS"\nbehaviour = "rejected"\n'
    text += 'start = "2026-10-25T02:30"\nend = "2026-10-25T02:45"\n'

    (window,) = read_own_notice(text).windows

    assert (utc("2026-10-25T00:30"), utc("2026-10-25T01:45")) == (
        window.opens("Europe/Amsterdam"),
        window.closes("Europe/Amsterdam"),
    )


def test_the_authorities_are_those_that_are_read() -> None:
    """An own notice knows the same authorities, with the same zones, as the reader of published ones."""
    assert {key: authority.zone for key, authority in AUTHORITIES.items()} == ZONES


def test_a_program_that_reads_no_text_does_not_load_the_reader() -> None:
    """The rules of the reader are compiled when a text is read, and not by each command on a ledger."""
    program = """
import sys
import htpoort.ledger, htpoort.config
from htpoort.core import notices
before = "htpoort.core.notices.reading" in sys.modules
notices.read_notice("")
try:
    notices.nothing
except AttributeError as error:
    print(before, "htpoort.core.notices.reading" in sys.modules, "read_notice" in dir(notices), error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)  # noqa: S603

    assert "False True True module 'htpoort.core.notices' has no attribute 'nothing'\n" == done.stdout
