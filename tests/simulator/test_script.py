"""Scripts from TOML files: the value of a good one, and every problem of a bad one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from htpoort import InputError
from htpoort.simulator import (
    BackendAway,
    Behaviour,
    FaultAction,
    FileScenario,
    FileScript,
    FtpsFault,
    FtpsStep,
    Kept,
    NameReuse,
    OutKind,
    Pop3Fault,
    PutOut,
    RepeatedK,
    ReplyFault,
    ReplyForm,
    ReplyKind,
    Scenario,
    Script,
    ScriptedReply,
    SmtpFault,
    SmtpStep,
    Window,
)

EXAMPLES = Path(__file__).parents[2] / "examples/scenarios"
DELAY = 'a time such as "0s", "30s", "5m" or "1h30m"'
TIMES = 'a time above 0 such as "30s", "5m" or "1h30m"'
MOMENT = "a moment with its offset from UTC, such as 2026-11-02T18:00:00+01:00"

WHOLE = """
per_hour = 100
repeated = "ignore"
form = "base64"

[[scenario]]
name = "first"
system = "DMS"
party = "NL123456789.02.05"
reference = "22096222734662"
times = 2

[[scenario.reply]]
kind = "control"
after = "1d2h"
fault = "duplicate"
form = "attachment-base64"

[[scenario.reply]]
kind = "release"
after = "3d"
body_file = "own.xml"

[[scenario]]
reply = []

[[scenario]]

[[fault]]
at = "rcpt"
action = "greylist"
times = 3
code = 450
text = "Come again"
after = "1m"

[[fault]]
at = "dot"
action = "drop"
accepted = false
always = true

[[fault]]
at = "quit"
action = "stall"
always = false

[[pop3_fault]]
command = "quit"
action = "drop"
deleted = true
times = 2

[[window]]
system = "AGS"
behaviour = "delay"
begins = 2026-11-02T18:00:00+01:00
ends = 2026-11-02T22:00:00Z
delay = "2h"
"""

Read = Callable[[str], Script]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Read a text, in a folder with the body own.xml."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.xml").write_bytes(b"<Own/>")
    (tmp_path / "empty.xml").touch()

    def run(text: str) -> Script:
        Path("script.toml").write_text(text, encoding="utf-8")
        return Script.read("script.toml")

    return run


@pytest.fixture
def refused(read: Read) -> Callable[[str], list[str]]:
    """List the problems of a text, without the name of the file."""

    def run(text: str) -> list[str]:
        with pytest.raises(InputError) as caught:
            read(text)
        assert all(problem.message.startswith("script.toml:") for problem in caught.value.problems)
        return [problem.message.removeprefix("script.toml:") for problem in caught.value.problems]

    return run


@pytest.mark.parametrize("zero", ["0s", "0d", "00ms"])
def test_an_answer_at_once(read: Read, zero: str) -> None:
    """A time of zero means the same as no time."""
    script = read(f'[[scenario]]\n[[scenario.reply]]\nkind = "control"\nafter = "{zero}"\n')

    assert (ScriptedReply(kind=ReplyKind.CONTROL, after=timedelta(0)),) == script.scenarios[0].replies


def test_everything_that_can_be_said(read: Read) -> None:
    """Each key of the file is an argument of its value, with the same default as in Python."""
    expected = Script(
        scenarios=(
            Scenario(
                name="first",
                system="DMS",
                party="NL123456789.02.05",
                reference="22096222734662",
                times=2,
                replies=(
                    ScriptedReply(
                        kind=ReplyKind.CONTROL,
                        after=timedelta(days=1, hours=2),
                        fault=ReplyFault.DUPLICATE,
                        form=ReplyForm.ATTACHMENT_BASE64,
                    ),
                    ScriptedReply(kind=ReplyKind.RELEASE, after=timedelta(days=3), body=b"<Own/>"),
                ),
            ),
            Scenario(replies=()),
            Scenario(),
        ),
        faults=(
            SmtpFault(
                at=SmtpStep.RCPT,
                action=FaultAction.GREYLIST,
                times=3,
                code=450,
                text="Come again",
                after=timedelta(minutes=1),
            ),
            SmtpFault(at=SmtpStep.DOT, action=FaultAction.DROP, accepted=False, times=None),
            SmtpFault(at=SmtpStep.QUIT, action=FaultAction.STALL),
        ),
        pop3_faults=(Pop3Fault(command="QUIT", action=FaultAction.DROP, deleted=True, times=2),),
        windows=(
            Window(
                system="AGS",
                behaviour=Behaviour.DELAY,
                begins=datetime(2026, 11, 2, 17, tzinfo=UTC),
                ends=datetime(2026, 11, 2, 22, tzinfo=UTC),
                delay=timedelta(hours=2),
            ),
        ),
        per_hour=100,
        repeated=RepeatedK.IGNORE,
        form=ReplyForm.BASE64,
    )

    assert expected == read(WHOLE)


def test_an_empty_file_is_the_usual_script(read: Read) -> None:
    """An empty file is the script that accepts everything."""
    assert Script() == read("")


def test_no_scenario_is_no_answer(read: Read) -> None:
    """An empty array of scenarios means that there are no replies."""
    assert () == read("scenario = []").scenarios


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples(path: Path) -> None:
    """Each example can be read, and is not the default."""
    assert Script() != Script.read(path)


def test_the_examples_show_every_fault_of_an_answer() -> None:
    """Every fault and every kind of reply is in an example."""
    answers = [
        answer
        for path in EXAMPLES.glob("*.toml")
        for scenario in Script.read(path).scenarios
        for answer in scenario.replies
    ]

    assert {*ReplyFault, None} == {answer.fault for answer in answers}
    assert {*ReplyKind} == {answer.kind for answer in answers}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("per_hour = 0", "1: per_hour is 0; give at least 1, or leave it out for any number."),
        ("per_hour = true", "1: per_hour: give a whole number."),
        ('repeated = "maybe"', "1: repeated: give one of accept, refuse, ignore."),
        (
            "colour = 1",
            (
                "1: colour: there is no such setting. "
                "Known: fault, files, form, per_hour, pop3_fault, repeated, scenario, window."
            ),
        ),
        ("\nscenario = 1", "2: scenario: write [[scenario]]; there may be several."),
        ("scenario = [1]", "1: scenario[0]: give a table."),
        ("[fault]", "1: fault: write [[fault]]; there may be several."),
        # scenarios
        (
            "[[scenario]]\ntimes = 0",
            "2: scenario[0].times is 0; give at least 1, or leave it out for any number.",
        ),
        (
            '[[scenario]]\nparty = ""',
            "2: scenario[0].party is empty; give a value, or leave it out for any party.",
        ),
        (
            "[[scenario]]\nanswer = []",
            ("2: scenario[0].answer: there is no such setting. Known: name, party, reference, reply, system, times."),
        ),
        ("[[scenario]]\nreply = 1", "2: scenario[0].reply: write [[scenario.reply]]; there may be several."),
        ("[[scenario]]\nreply = [1]", "2: scenario[0].reply[0]: give a table."),
        (
            '[[scenario]]\n[[scenario.reply]]\nfault = "out-of-order"',
            "2: scenario[0].reply ends with one that is out of order; add a reply that it can follow.",
        ),
        # answers
        (
            '[[scenario]]\n[[scenario]]\n[[scenario.reply]]\n[[scenario.reply]]\nkind = "maybe"',
            ("5: scenario[1].reply[1].kind: give one of acceptance, release, control, rejection, technical-error."),
        ),
        (
            '[[scenario]]\n[[scenario.reply]]\nfault = "lost"',
            (
                "3: scenario[0].reply[0].fault: give one of duplicate, out-of-order, wrong-mailbox, other-system,"
                " wrong-process-id, other-party, other-k, no-k, lower-case, folded, encoded-words, forged-from, bounce,"
                " large."
            ),
        ),
        ('[[scenario]]\n[[scenario.reply]]\nafter = "soon"', f"3: scenario[0].reply[0].after: give {DELAY}."),
        ('[[scenario]]\n[[scenario.reply]]\nafter = "-1s"', f"3: scenario[0].reply[0].after: give {DELAY}."),
        ("[[scenario]]\n[[scenario.reply]]\nafter = 0", f"3: scenario[0].reply[0].after: give {DELAY}."),
        (
            '[[fault]]\nat = "rcpt"\naction = "greylist"\nafter = "0s"',
            f"4: fault[0].after: give {TIMES}.",
        ),
        (
            '[[scenario]]\n[[scenario.reply]]\nbody_file = "absent.xml"',
            "3: scenario[0].reply[0].body_file: 'absent.xml' cannot be read: No such file or directory.",
        ),
        (
            '[[scenario]]\n[[scenario.reply]]\nbody_file = "a\\u0000b"',
            "3: scenario[0].reply[0].body_file: 'a\\x00b' cannot be read: embedded null byte.",
        ),
        (
            '[[scenario]]\n[[scenario.reply]]\nbody_file = "empty.xml"',
            "3: scenario[0].reply[0].body_file is empty; give a body, or leave it out for a synthetic one.",
        ),
        (
            '[[scenario]]\n[[scenario.reply]]\nfault = "bounce"\nbody_file = "own.xml"',
            ("4: scenario[0].reply[0].body_file is given, but bounce has its own body; leave one of them out."),
        ),
        # faults
        ('[[fault]]\nat = "dot"', "1: fault[0].action: this setting is needed."),
        (
            '[[fault]]\nat = "helo"\naction = "drop"',
            (
                "2: fault[0].at: give one of greeting, ehlo, starttls, auth, mail, rcpt, data, content, dot, quit; "
                "did you mean ehlo?"
            ),
        ),
        (
            '[[fault]]\nat = "mail"\naction = "drop"\naccepted = false',
            "4: fault[0].accepted is set at mail; it applies at dot only, so leave it out.",
        ),
        (
            '[[fault]]\nat = "mail"\naction = "drop"\ntimes = 2\nalways = true',
            "5: fault[0].always: give times or always, not both.",
        ),
        (
            '[[fault]]\nat = "mail"\naction = "defer"\ncode = 550',
            "4: fault[0].code is 550; to defer, give 400 to 499.",
        ),
        ('[[pop3_fault]]\naction = "drop"', "1: pop3_fault[0].command: this setting is needed."),
        (
            '[[pop3_fault]]\ncommand = "RETR"\naction = "drop"\ndeleted = true',
            "4: pop3_fault[0].deleted is set at RETR; only QUIT deletes, so leave it out.",
        ),
        # windows
        (
            (
                '[[window]]\nsystem = "DMS"\nbehaviour = "queue"\nbegins = 2026-11-02T18:00:00\n'
                "ends = 2026-11-02T19:00:00Z"
            ),
            f"4: window[0].begins: give {MOMENT}.",
        ),
        (
            '[[window]]\nsystem = "DMS"\nbehaviour = "queue"\nbegins = "today"\nends = 2026-11-02T19:00:00Z',
            f"4: window[0].begins: give {MOMENT}.",
        ),
        (
            (
                '[[window]]\nsystem = "DMS"\nbehaviour = "queue"\nbegins = 2026-11-02T19:00:00+01:00\n'
                "ends = 2026-11-02T18:00:00Z"
            ),
            (
                "5: window[0].ends is 2026-11-02T18:00:00+00:00; give a moment after the beginning,"
                " 2026-11-02T19:00:00+01:00."
            ),
        ),
        (
            (
                '[[window]]\nsystem = "DMS"\nbehaviour = "rest"\nbegins = 2026-11-02T18:00:00Z\n'
                "ends = 2026-11-02T19:00:00Z"
            ),
            "3: window[0].behaviour: give one of reject, lose, queue, delay.",
        ),
    ],
)
def test_each_mistake(refused: Callable[[str], list[str]], text: str, expected: str) -> None:
    """A mistake gives one sentence with its line, its path and what to give."""
    assert [expected] == refused(f"{text}\n")


def test_everything_at_once(refused: Callable[[str], list[str]]) -> None:
    """One error has all mistakes of a file, in the order of its lines."""
    text = (
        "per_hour = 0\n"
        "[[window]]\n"
        'system = "DMS"\n'
        "[[scenario]]\n"
        "times = 0\n"
        "[[scenario.reply]]\n"
        'kind = "maybe"\n'
        'after = "soon"\n'
        "[[fault]]\n"
        'at = "mail"\n'
        'action = "greylist"\n'
        "times = 0\n"
        "[[pop3_fault]]\n"
        'command = "LAST"\n'
        'action = "drop"\n'
    )
    found = [re.split(r": | is ", message)[:2] for message in refused(text)]

    assert [
        ["1", "per_hour"],
        ["2", "window[0].behaviour"],
        ["2", "window[0].begins"],
        ["2", "window[0].ends"],
        ["5", "scenario[0].times"],
        ["7", "scenario[0].reply[0].kind"],
        ["8", "scenario[0].reply[0].after"],
        ["11", "fault[0].action"],
        ["12", "fault[0].times"],
        ["14", "pop3_fault[0].command"],
    ] == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[[fault]]\nat = "nowhere"\naction = "defer"\ntimes = 0\ncode = 999\ntext = ""\n', ["at", "times"]),
        ('[[fault]]\nat = "rcpt"\naction = "sulk"\ntimes = 0\ncode = 450\nafter = "1m"\n', ["action", "times"]),
        ('[[fault]]\nat = "rcpt"\ntext = "\\u0007"\naccepted = false\n', ["action", "text"]),
        ('[[pop3_fault]]\ncommand = "SING"\naction = "sulk"\ntimes = 0\n', ["action", "command", "times"]),
        ('[[pop3_fault]]\naction = "drop"\ntimes = 0\ndeleted = true\n', ["command", "times"]),
        (
            '[[window]]\nsystem = ""\nbehaviour = "sleep"\nbegins = 2026-11-02T18:00:00+01:00\nends = "late"\n',
            ["behaviour", "ends", "system"],
        ),
    ],
)
def test_a_wrong_word_hides_no_other_mistake(
    refused: Callable[[str], list[str]], text: str, expected: list[str]
) -> None:
    """If a required setting is missing or wrong, the others of its table are still checked."""
    found = sorted(re.findall(r"^\d+: \w+\[0\]\.(\w+)(?::| )", "\n".join(refused(text)), re.MULTILINE))
    assert expected == found


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The error about a missing file, or one that is not TOML, has its name."""
    with pytest.raises(InputError) as caught:
        Script.read(tmp_path / "absent.toml")

    assert f"{tmp_path}/absent.toml cannot be read: No such file or directory." == str(caught.value)


FILES = """
[files]
names = "stor"
lists_uploads = false

[[files.scenario]]
name = "first"
service = "Manifest"
file_name = "A1"
times = 2

[[files.scenario.out]]
kind = "handed-over"
after = "6h"

[[files.scenario.out]]
kind = "answered"
after = "2d"
body_file = "own.xml"

[[files.scenario]]
out = []

[[files.fault]]
at = "stor-content"
action = "drop"
always = true
kept = "part"

[[files.fault]]
at = "dele"
action = "defer"
code = 421
text = "Later"
deleted = true

[[files.away]]
begins = 2026-11-02T18:00:00+01:00
ends = 2026-11-02T20:00:00+01:00
"""


def test_the_part_for_files(tmp_path: Path) -> None:
    """Every setting of the file gateway can be written in the same file."""
    (tmp_path / "own.xml").write_bytes(b"<Answer/>")
    path = tmp_path / "script.toml"
    path.write_text(FILES)
    first = FileScenario(
        name="first",
        service="Manifest",
        file_name="A1",
        times=2,
        out=(
            PutOut(kind=OutKind.HANDED_OVER, after=timedelta(hours=6)),
            PutOut(kind=OutKind.ANSWERED, after=timedelta(days=2), body=b"<Answer/>"),
        ),
    )
    expected = FileScript(
        scenarios=(first, FileScenario(out=())),
        faults=(
            FtpsFault(at=FtpsStep.STOR_CONTENT, action=FaultAction.DROP, times=None, kept=Kept.PART),
            FtpsFault(at=FtpsStep.DELE, action=FaultAction.DEFER, code=421, text="Later", deleted=True),
        ),
        away=(BackendAway(begins=datetime(2026, 11, 2, 17, tzinfo=UTC), ends=datetime(2026, 11, 2, 19, tzinfo=UTC)),),
        names=NameReuse.STOR,
        lists_uploads=False,
    )

    assert Script(files=expected) == Script.read(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("files = 3", "script.toml:1: files: give a table."),
        ("[files]\nname = 3", "script.toml:2: files.name: there is no such setting; did you mean names?"),
        ('[files]\nnames = "never"', "script.toml:2: files.names: give one of status, stor, end."),
        ("[[files.fault]]", "script.toml:1: files.fault[0].at"),
        (
            '[[files.fault]]\nat = "stor"\naction = "drop"\nkept = "all"',
            "script.toml:4: files.fault[0].kept is set at stor",
        ),
        ("[[files.scenario]]\ntimes = 0", "script.toml:2: files.scenario[0].times is 0; give at least 1"),
        (
            '[[files.scenario]]\n[[files.scenario.out]]\nkind = "taken"\nbody_file = "own.xml"',
            "script.toml:4: files.scenario[0].out[0].body_file: 'own.xml' cannot be read",
        ),
        (
            "[[files.away]]\nbegins = 2026-11-02T18:00:00+01:00\nends = 2026-11-02T18:00:00+01:00",
            "script.toml:3: files.away[0].ends is 2026-11-02T18:00:00+01:00, not after",
        ),
    ],
)
def test_a_slip_in_the_part_for_files(tmp_path: Path, text: str, expected: str) -> None:
    """Each slip is shown with its place and line."""
    path = tmp_path / "script.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        Script.read(path)

    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: PutOut(kind="taken"), "kind is 'taken'; give one of handed-over, taken, "),  # type: ignore[arg-type]
        (
            lambda: PutOut(kind=OutKind.TAKEN, after=timedelta(-1)),
            "after is -1 day, 0:00:00; give a time",
        ),
        (
            lambda: PutOut(kind=OutKind.TAKEN, body=b"x"),
            "body does not go with taken; give it for answered",
        ),
        (lambda: FileScenario(times=0), "times is 0; give at least 1, or leave it out for any number."),
        (lambda: FileScript(names="stor"), "names is 'stor'; give one of status, stor, end."),  # type: ignore[arg-type]
        (
            lambda: BackendAway(begins=datetime(2026, 1, 1), ends=datetime(2026, 1, 2)),  # noqa: DTZ001 - it is refused
            "begins is 2026-01-01T00:00:00, without a time zone; give one.",
        ),
    ],
)
def test_values_for_files_that_are_refused(make: Callable[[], object], expected: str) -> None:
    """Each has its sentence."""
    with pytest.raises(InputError) as caught:
        make()

    assert expected in caught.value.problems[0].message
