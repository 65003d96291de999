"""DeclarationSystem and Directory: look-ups, clashes, and the TOML table."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from email_validator import validate_email
from strategies import copies

from htpoort import (
    AGS,
    DMS,
    HTPOORT,
    DeclarationSystem,
    Directory,
    InputError,
    Mark,
    Quarantined,
    Reason,
    Router,
    UnknownError,
)
from htpoort.core.directory import read_systems

NCTS = DeclarationSystem(
    name="NCTS",
    mailbox="transit@customs.example",
    process_id="NCTS.NL",
    reply_ids=frozenset({"DVA.NL"}),
    mark=Mark.FIELD,
)
KELVIN = "\N{KELVIN SIGN}"


def problems_of(caught: pytest.ExceptionInfo[InputError]) -> list[tuple[str, str]]:
    """Return code and sentence of every problem."""
    return [(problem.code, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize("mailbox", ["ags@htpoort.nl", "dms@htpoort.nl"])
def test_published_mailboxes_are_mailboxes(mailbox: str) -> None:
    """email-validator accepts the two published mailboxes, which are not checked at import."""
    found = validate_email(mailbox, allow_smtputf8=False, check_deliverability=False)

    assert mailbox == found.normalized == HTPOORT.by_mailbox(mailbox).mailbox


def test_reply_ids_default_to_the_process_id() -> None:
    """A system replies under the process ID that it is addressed by, unless other reply IDs are given."""
    system = DeclarationSystem(name="EXIT", mailbox="exit@customs.example", process_id="EXIT.NL")

    assert frozenset({"EXIT.NL"}) == system.reply_ids
    assert ("", "", Mark.UNKNOWN) == (system.title, system.source, system.mark)


@pytest.mark.parametrize("name", ["DMS", "dms", "Dms"])
def test_by_name(name: str) -> None:
    """A name is found in any case."""
    assert DMS is HTPOORT.system(name)


@pytest.mark.parametrize("mailbox", ["dms@htpoort.nl", "DMS@HTPOORT.NL"])
def test_by_mailbox(mailbox: str) -> None:
    """A mailbox is found in any case."""
    assert DMS is HTPOORT.by_mailbox(mailbox)
    assert DMS is HTPOORT.answering_from(mailbox)


@pytest.mark.parametrize(
    ("process_id", "system"), [("DMS.NL", AGS), ("dms.nl", AGS), ("DMS4.NL", DMS), ("dms4.nl", DMS)]
)
def test_by_process_id(process_id: str, system: DeclarationSystem) -> None:
    """A process ID is found in any case, and DMS.NL belongs to AGS."""
    assert system is HTPOORT.by_process_id(process_id)
    assert system is HTPOORT.answering_as(process_id)


def test_a_system_may_answer_under_another_id() -> None:
    """A system addressed as NCTS.NL that replies as DVA.NL is found by both, but replies only under the second."""
    directory = HTPOORT.add(NCTS)

    assert NCTS is directory.by_process_id("NCTS.NL")
    assert NCTS is directory.by_process_id("dva.nl")
    assert NCTS is directory.answering_as("dva.nl")
    assert directory.answering_as("NCTS.NL") is None


LOOK_UPS = [
    ("system", "NCTS", ("AGS", "DMS")),
    ("system", "D" + KELVIN, ("AGS", "DMS")),
    ("system", " DMS", ("AGS", "DMS")),
    ("by_mailbox", "ncts@htpoort.nl", ("ags@htpoort.nl", "dms@htpoort.nl")),
    ("by_mailbox", "DMS <dms@htpoort.nl>", ("ags@htpoort.nl", "dms@htpoort.nl")),
    ("by_process_id", "DMS", ("DMS.NL", "DMS4.NL")),
    ("by_process_id", "DMS5.NL", ("DMS.NL", "DMS4.NL")),
    ("by_process_id", "", ("DMS.NL", "DMS4.NL")),
]


@pytest.mark.parametrize(("method", "key", "known"), LOOK_UPS)
def test_unknown(method: str, key: str, known: tuple[str, ...]) -> None:
    """An unknown name raises an error with the name and the known names, sorted."""
    with pytest.raises(UnknownError) as caught:
        getattr(HTPOORT, method)(key)

    assert (key, known) == (caught.value.key, caught.value.known)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("system", "system is NoneType; give a str."),
        ("by_mailbox", "mailbox is NoneType; give a str."),
        ("by_process_id", "process ID is NoneType; give a str."),
    ],
)
def test_not_text(method: str, expected: str) -> None:
    """A name that is not text is refused, and not looked up."""
    with pytest.raises(InputError) as caught:
        getattr(HTPOORT, method)(None)

    assert [("input.type", expected)] == problems_of(caught)


def test_known_process_ids_include_those_of_replies() -> None:
    """The error lists the IDs of both directions."""
    with pytest.raises(UnknownError) as caught:
        Directory((NCTS,)).by_process_id("X")

    assert ("DVA.NL", "NCTS.NL") == caught.value.known


@pytest.mark.parametrize("text", ["", "dms", f"d{KELVIN}@htpoort.nl", "dms@htpoort.nl ", "<dms@htpoort.nl>", "\ud800"])
def test_peers_text_finds_nothing(text: str) -> None:
    """Look-ups of text from a peer return None and never raise."""
    assert HTPOORT.answering_from(text) is None
    assert HTPOORT.answering_as(text) is None


def test_only_ascii_has_two_cases() -> None:
    """A Kelvin sign is not a k, in any key of the directory."""
    directory = Directory((DeclarationSystem(name="KK", mailbox="kk@customs.example", process_id="KK.NL"),))

    assert "KK" == directory.system("kk").name
    assert directory.answering_from(f"{KELVIN}{KELVIN}@customs.example") is None
    assert directory.answering_as(f"{KELVIN}{KELVIN}.NL") is None
    with pytest.raises(UnknownError):
        directory.system(KELVIN * 2)


BAD = [
    (
        {"name": ""},
        [("input.system-name", "name is ''; give 1 to 64 letters, digits, blanks, dots, hyphens or underscores.")],
    ),
    (
        {"name": 5},
        [("input.system-name", "name is 5; give 1 to 64 letters, digits, blanks, dots, hyphens or underscores.")],
    ),
    (
        {"name": "A\r\nB"},
        [
            (
                "input.system-name",
                r"name is 'A\r\nB'; give 1 to 64 letters, digits, blanks, dots, hyphens or underscores.",
            )
        ],
    ),
    (
        {"process_id": "DMS 4"},
        [
            (
                "input.process-id",
                "process_id is 'DMS 4'; a process ID has 1 to 35 letters, digits, dots, hyphens or underscores.",
            )
        ],
    ),
    (
        {"reply_ids": frozenset({"A.NL", "x]", "\n"})},
        [
            (
                "input.process-id",
                r"reply_ids is '\n'; a process ID has 1 to 35 letters, digits, dots, hyphens or underscores.",
            ),
            (
                "input.process-id",
                "reply_ids is 'x]'; a process ID has 1 to 35 letters, digits, dots, hyphens or underscores.",
            ),
        ],
    ),
    (
        {"reply_ids": frozenset()},
        [("input.reply-ids", "reply_ids is frozenset(); give a frozenset of at least one process ID.")],
    ),
    (
        {"reply_ids": ["X"]},
        [("input.reply-ids", "reply_ids is ['X']; give a frozenset of at least one process ID.")],
    ),
    (
        {"reply_ids": frozenset({5})},
        [
            (
                "input.process-id",
                "reply_ids is 5; a process ID has 1 to 35 letters, digits, dots, hyphens or underscores.",
            )
        ],
    ),
    ({"mailbox": 5}, [("input.type", "mailbox is int; give a str.")]),
    ({"mailbox": ["x"]}, [("input.type", "mailbox is list; give a str.")]),
    (
        {"mailbox": "d\u043cs@htpoort.nl"},
        [("input.mailbox", "mailbox holds U+043C, which makes it another mailbox; write it in ASCII.")],
    ),
    ({"title": 5}, [("input.type", "title is int; give a str.")]),
    ({"source": None}, [("input.type", "source is NoneType; give a str.")]),
    ({"mark": "official"}, [("input.type", "mark is str; give a Mark.")]),
    ({"closed": "2024-12-01"}, [("input.date", "closed is str; give a date without a time, or None.")]),
    (
        {"closed": datetime(2024, 12, 1, tzinfo=UTC)},
        [("input.date", "closed is datetime; give a date without a time, or None.")],
    ),
]


@pytest.mark.parametrize(("values", "expected"), BAD)
def test_bad_values(values: dict[str, object], expected: list[tuple[str, str]]) -> None:
    """A value that cannot be sent or compared is refused, with the name of the field."""
    given = {"name": "X", "mailbox": "x@customs.example", "process_id": "X.NL", **values}
    with pytest.raises(InputError) as caught:
        DeclarationSystem(**given)  # type: ignore[arg-type]

    assert expected == problems_of(caught)


def test_bad_values_all_at_once() -> None:
    """All fields are checked at once."""
    with pytest.raises(InputError) as caught:
        DeclarationSystem(name="", mailbox="x", process_id=[], title=1, mark=2)  # type: ignore[arg-type]

    assert [
        "input.system-name",
        "input.mailbox",
        "input.process-id",
        "input.reply-ids",
        "input.type",
        "input.type",
    ] == [code for code, _ in problems_of(caught)]


@pytest.mark.parametrize("process_id", ["A", "a" * 35, "A-b_C.9"])
def test_process_ids_that_are_sent(process_id: str) -> None:
    """A process ID has 1 to 35 letters, digits, dots, hyphens or underscores."""
    assert process_id == DeclarationSystem(name="X", mailbox="x@customs.example", process_id=process_id).process_id


@pytest.mark.parametrize("process_id", ["", "a" * 36, "A+", "\u212a", "A\n", "[A]"])
def test_process_ids_that_are_not_sent(process_id: str) -> None:
    """Nothing else is one."""
    with pytest.raises(InputError) as caught:
        DeclarationSystem(name="X", mailbox="x@customs.example", process_id=process_id)

    assert ["input.process-id"] == [code for code, _ in problems_of(caught)]


@pytest.mark.parametrize("name", ["A", "9", "Exit 2 (BTO)"[:6], "a" * 64, "A.b-c_d e"])
def test_names(name: str) -> None:
    """A name has 1 to 64 characters, begins with a letter or digit and does not end in a blank."""
    assert name == DeclarationSystem(name=name, mailbox="x@customs.example", process_id="X").name


@pytest.mark.parametrize("name", [" A", "A ", "-A", "a" * 65, "A\n", "A\u00e9", "A[B"])
def test_no_names(name: str) -> None:
    """Nothing else is one."""
    with pytest.raises(InputError) as caught:
        DeclarationSystem(name=name, mailbox="x@customs.example", process_id="X")

    assert ["input.system-name"] == [code for code, _ in problems_of(caught)]


MAILBOXES = [
    "a@b.example",
    *("edi@mail.local", "edi@localhost", "edi@mail.internal", "edi@mail.lan", "edi@mail.test", "EDI@MAIL.LOCAL"),
    *("edi@mail.invalid", "edi@mail.arpa", "edi@mail.onion", "edi@mail.home.arpa"),
    "edi.in+dms@forwarder.example",
    "EDI@Forwarder.example",
    "a@vpn-host",
    "x" * 64 + "@forwarder.example",
    "a@xn--bcher-kva.example",
]


@pytest.mark.parametrize("mailbox", MAILBOXES)
def test_mailboxes(mailbox: str) -> None:
    """A plain ASCII mailbox is accepted, also one at a host behind the VPN."""
    assert mailbox == DeclarationSystem(name="X", mailbox=mailbox, process_id="X").mailbox


NO_MAILBOXES = [
    ("", 0, 0),
    ("a", 0, 1),
    ("a@", 0, 2),
    ("@b.example", 0, 10),
    ("a@b.example\n", 0, 12),
    ("a@b.example\r\nBcc: c@d.example", 0, 29),
    ("a b@c.example", 0, 13),
    ("A <a@b.example>", 0, 15),
    ("<a@b.example>", 0, 13),
    ('"a"@b.example', 0, 13),
    ("a@[127.0.0.1]", 0, 13),
    ("a@b.example,c@d.example", 0, 23),
    ("a..b@c.example", 0, 14),
    ("a@b..example", 0, 12),
    ("x" * 245 + "@b.example", 0, 255),
    ("a@b_c.example", 0, 13),
    ("a(b)@c.example", 0, 14),
    ("\u0430gs@htpoort.nl", 0, 1),
    ("ags@htp\u043e\u043ert.nl", 7, 8),
    ("ags@htpoort.n\u212a", 13, 14),
    ("ags\uff20htpoort.nl", 3, 4),
    ("ags@htpoort.nl\u200b", 14, 15),
]


@pytest.mark.parametrize(("mailbox", "start", "stop"), NO_MAILBOXES)
def test_no_mailboxes(mailbox: str, start: int, stop: int) -> None:
    """Anything else is refused, with the offsets of a look-alike character."""
    with pytest.raises(InputError) as caught:
        DeclarationSystem(name="X", mailbox=mailbox, process_id="X")

    assert [("input.mailbox", start, stop)] == [(p.code, p.start, p.stop) for p in caught.value.problems]


@pytest.mark.parametrize("mailbox", ["", "x", "a@b_c.example", "a@b.example.", "A <a@b.example>", "a@b.example\n"])
def test_mailbox_of_another_form(mailbox: str) -> None:
    """A text that is not name@domain is refused in our own words, whatever email-validator would report."""
    with pytest.raises(InputError) as caught:
        DeclarationSystem(name="X", mailbox=mailbox, process_id="X")

    assert [("input.mailbox", f"mailbox is {mailbox!r}, not a plain mailbox, name@domain.")] == problems_of(caught)


@pytest.mark.parametrize("mailbox", ["a@-b.example", "a@" + "b" * 64 + ".example", "x" * 245 + "@b.example"])
def test_mailbox_that_cannot_be(mailbox: str) -> None:
    """A text of that form that breaks the standards' limits is refused with the reason of email-validator."""
    with pytest.raises(InputError) as caught:
        DeclarationSystem(name="X", mailbox=mailbox, process_id="X")

    ((code, message),) = problems_of(caught)
    start = f"mailbox is '{mailbox}', not a mailbox: "
    assert ("input.mailbox", True) == (code, message.startswith(start))
    assert message[len(start)].isupper()
    assert "." == message[-1]


def system(name: str, mailbox: str, process_id: str, *reply_ids: str) -> DeclarationSystem:
    """Make a system from its keys."""
    ids = frozenset(reply_ids) or frozenset({process_id})
    return DeclarationSystem(name=name, mailbox=mailbox, process_id=process_id, reply_ids=ids)


CLASHES = [
    (
        [system("dms", "x@customs.example", "X")],
        ["The systems DMS and dms share the name dms; a reply could come from either."],
    ),
    (
        [system("X", "DMS@htpoort.nl", "X")],
        ["The systems DMS and X share the mailbox DMS@htpoort.nl; a reply could come from either."],
    ),
    (
        [system("X", "x@customs.example", "dms4.NL")],
        ["The systems DMS and X share the process ID dms4.NL; a reply could come from either."],
    ),
    (
        [system("X", "x@customs.example", "X", "X", "DMS.NL")],
        ["The systems AGS and X share the process ID DMS.NL; a reply could come from either."],
    ),
    (
        [system("X", "x@customs.example", "DMS.NL", "X")],
        ["The systems AGS and X share the process ID DMS.NL; a reply could come from either."],
    ),
    (
        [NCTS, system("X", "x@customs.example", "X", "ncts.nl")],
        ["The systems NCTS and X share the process ID ncts.nl; a reply could come from either."],
    ),
    (
        [AGS],
        [
            "The systems AGS and AGS share the name AGS; a reply could come from either.",
            "The systems AGS and AGS share the mailbox ags@htpoort.nl; a reply could come from either.",
            "The systems AGS and AGS share the process ID DMS.NL; a reply could come from either.",
        ],
    ),
    (
        [system("BTO", "ags@htpoort.nl", "DMS4.NL")],
        [
            "The systems AGS and BTO share the mailbox ags@htpoort.nl; a reply could come from either.",
            "The systems DMS and BTO share the process ID DMS4.NL; a reply could come from either.",
        ],
    ),
]


@pytest.mark.parametrize(("systems", "expected"), CLASHES)
def test_clashes_name_both(systems: list[DeclarationSystem], expected: list[str]) -> None:
    """Two systems of one directory share no name, mailbox or process ID of either direction; the error names both."""
    with pytest.raises(InputError) as caught:
        HTPOORT.add(*systems)

    assert [("directory.shared", message) for message in expected] == problems_of(caught)


def test_a_system_does_not_clash_with_itself() -> None:
    """The IDs of one system may differ in case only."""
    own = system("X", "x@customs.example", "X.NL", "x.nl", "X.NL", "x.Nl")

    assert own is HTPOORT.add(own).answering_as("X.nL")


def test_add_makes_a_new_directory() -> None:
    """Adding systems does not change the directory."""
    more = HTPOORT.add(NCTS)

    assert [AGS, DMS, NCTS] == list(more)
    assert [AGS, DMS] == list(HTPOORT)
    assert (AGS, DMS, NCTS) == more.systems
    assert more != HTPOORT
    assert Directory((AGS, DMS)) == HTPOORT
    assert HTPOORT.add() == HTPOORT


def test_repr_shows_the_systems_only() -> None:
    """The look-up tables are not part of `repr` or of the comparison."""
    assert f"Directory(systems=({NCTS!r},))" == repr(Directory((NCTS,)))


def test_pickle_and_copy() -> None:
    """A directory survives pickle and copy, and finds the same systems."""
    directory = HTPOORT.add(NCTS)

    for other in copies(directory):
        assert directory == other
        assert NCTS == other.answering_as("DVA.NL")


TOML = """
[systems.NCTS]
mailbox = "transit@customs.example"
process_id = "NCTS.NL"
reply_ids = ["DVA.NL", "NCTS.NL"]
title = "Transit"
source = "our agreement"
mark = "field"

[systems."Exit 2"]
mailbox = "exit@customs.example"
process_id = "ECS.NL"
"""


def test_from_toml() -> None:
    """TOML gives the same directory as Python."""
    expected = Directory((
        DeclarationSystem(
            name="NCTS",
            mailbox="transit@customs.example",
            process_id="NCTS.NL",
            reply_ids=frozenset({"DVA.NL", "NCTS.NL"}),
            title="Transit",
            source="our agreement",
            mark=Mark.FIELD,
        ),
        DeclarationSystem(name="Exit 2", mailbox="exit@customs.example", process_id="ECS.NL"),
    ))

    assert expected == Directory.from_toml(TOML)
    assert ["AGS", "DMS", "NCTS", "Exit 2"] == [found.name for found in HTPOORT.add(*Directory.from_toml(TOML))]


def test_closed() -> None:
    """A table may say since when a system takes nothing; without it, the system takes declarations."""
    text = '[systems.X]\nmailbox = "x@customs.example"\nprocess_id = "X"\n'
    found = [Directory.from_toml(text + more).system("X").closed for more in ("", "closed = 2024-12-01\n")]

    assert [None, date(2024, 12, 1)] == found


@pytest.mark.parametrize("mark", ["official", "field", "inferred", "unknown"])
def test_marks(mark: str) -> None:
    """A fact has one of the four marks of the domain."""
    text = f'[systems.X]\nmailbox = "x@customs.example"\nprocess_id = "X"\nmark = "{mark}"'

    assert mark == Directory.from_toml(text).system("X").mark.value


@pytest.mark.parametrize("text", ["", "[systems]"])
def test_empty_toml(text: str) -> None:
    """Without a table there is no system."""
    assert [] == list(Directory.from_toml(text))


TEST_ENVIRONMENT = """
published_systems = false

[systems.DMS]
mailbox = "dms@test.customs.example"
process_id = "DMS4.NL"
"""


def test_a_file_adds_to_what_is_published() -> None:
    """A file that says nothing of the published systems knows them too."""
    assert ["AGS", "DMS", "NCTS", "Exit 2"] == [found.name for found in read_systems(TOML)]
    assert HTPOORT == read_systems("published_systems = true\n")


def test_a_test_environment_is_a_file_of_its_own() -> None:
    """Without the published systems, one of a test environment may have their name and process ID."""
    directory = read_systems(TEST_ENVIRONMENT)
    production = Router(directory=directory, parties=["NL123456789.02.05"]).route(
        mailbox="dms@htpoort.nl", subject="[V=DMS4.NL][A=NL123456789.02.05][K=1][S=0]"
    )

    assert [("DMS", "dms@test.customs.example")] == [(found.name, found.mailbox) for found in directory]
    assert isinstance(production, Quarantined)
    assert Reason.UNKNOWN_MAILBOX is production.reason


BAD_FILES = [
    ("published_systems = 0", ["published_systems: give true or false."]),
    *(
        (text, ["published_systems: false leaves no system; add a table [systems.NAME] for each."])
        for text in ("published_systems = false", "published_systems = false\n[systems]")
    ),
    ("published_systems = false\nsystems = 1", ["systems: give a table for each system, [systems.NAME]."]),
    (
        "published = false",
        ["published: there is no such setting; did you mean published_systems? Known: published_systems, systems."],
    ),
    (
        TEST_ENVIRONMENT.replace("false", "true"),
        [
            f"systems.DMS: The systems DMS and DMS share the {what}; a reply could come from either."
            for what in ("name DMS", "process ID DMS4.NL")
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), BAD_FILES)
def test_a_bad_file_of_systems(text: str, expected: list[str]) -> None:
    """No file leaves a program without a system, or with two that a reply could come from."""
    with pytest.raises(InputError) as caught:
        read_systems(text)

    assert expected == [message for _, message in problems_of(caught)]


IDS = "a process ID has 1 to 35 letters, digits, dots, hyphens or underscores."
BAD_TOML = [
    # Several mistakes at once: none hides another, and two systems are compared even where a third is wrong.
    (
        '[systems."-"]\nmailbox = "x"\nprocess_id = "!"\nreply_ids = ["?"]\nmark = "sure"\ntitle = 1',
        [
            (
                "input.system-name",
                "systems.-: name is '-'; give 1 to 64 letters, digits, blanks, dots, hyphens or underscores.",
            ),
            ("input.mailbox", "systems.-.mailbox is 'x', not a plain mailbox, name@domain."),
            (
                "input.process-id",
                f"systems.-.process_id is '!'; {IDS}",
            ),
            (
                "input.process-id",
                f"systems.-.reply_ids is '?'; {IDS}",
            ),
            ("toml.value", "systems.-.mark: give one of official, field, inferred, unknown."),
            ("toml.type", "systems.-.title: give a string."),
        ],
    ),
    (
        (
            '[systems.A]\nmailbox = "a@b.example"\nprocess_id = "X"\n[systems.B]\nprocess_id = "!"\n'
            '[systems.C]\nmailbox = "a@b.example"\nprocess_id = "Y"'
        ),
        [
            ("toml.missing", "systems.B.mailbox: this setting is needed."),
            (
                "input.process-id",
                f"systems.B.process_id is '!'; {IDS}",
            ),
            (
                "directory.shared",
                "systems.C: The systems A and C share the mailbox a@b.example; a reply could come from either.",
            ),
        ],
    ),
    ("system = 1", [("toml.unknown-key", "system: there is no such setting; did you mean systems? Known: systems.")]),
    ("systems = 1", [("toml.type", "systems: give a table for each system, [systems.NAME].")]),
    ("[systems]\nX = 1", [("toml.type", "systems.X: give a table.")]),
    (
        "[systems.X]",
        [
            ("toml.missing", "systems.X.mailbox: this setting is needed."),
            ("toml.missing", "systems.X.process_id: this setting is needed."),
        ],
    ),
    (
        '[systems.X]\nmailbox = 1\nprocess_id = "X"\nreply_ids = "X"\nmark = "sure"\nport = 25',
        [
            ("toml.type", "systems.X.mailbox: give a string."),
            ("toml.type", "systems.X.reply_ids: give an array of strings."),
            ("toml.value", "systems.X.mark: give one of official, field, inferred, unknown."),
            (
                "toml.unknown-key",
                (
                    "systems.X.port: there is no such setting. Known: closed, mailbox, mark, process_id, reply_ids, "
                    "source, title."
                ),
            ),
        ],
    ),
    (
        '[systems.X]\nmailbox = "x@customs.example"\nprocess_id = 1\ntitle = 1\nsource = 1\nreply_ids = [1]\nmark = 1',
        [
            ("toml.type", "systems.X.process_id: give a string."),
            ("toml.type", "systems.X.title: give a string."),
            ("toml.type", "systems.X.source: give a string."),
            ("toml.type", "systems.X.reply_ids[0]: give a string."),
            ("toml.value", "systems.X.mark: give one of official, field, inferred, unknown."),
        ],
    ),
    (
        '[systems.X]\nmailbox = "x@customs.example"\nprocess_id = "X"\nreply_ids = ["X", true]',
        [("toml.type", "systems.X.reply_ids[1]: give a string.")],
    ),
    (
        '[systems.X]\nmailbox = "x@customs.example"\nprocess_id = "X"\nreply_ids = []',
        [("input.reply-ids", "systems.X.reply_ids: give at least one process ID, or leave it out.")],
    ),
    (
        (
            'top = 1\n[systems.A]\nmailbox = "\u0430@b.example"\nprocess_id = "!"\n'
            '[systems."-"]\nmailbox = "a@b.example"\nprocess_id = "B"'
        ),
        [
            ("toml.unknown-key", "top: there is no such setting. Known: systems."),
            (
                "input.mailbox",
                ("systems.A.mailbox holds U+0430, which makes it another mailbox; write it in ASCII."),
            ),
            (
                "input.process-id",
                f"systems.A.process_id is '!'; {IDS}",
            ),
            (
                "input.system-name",
                "systems.-: name is '-'; give 1 to 64 letters, digits, blanks, dots, hyphens or underscores.",
            ),
        ],
    ),
    (
        (
            '[systems.A]\nmailbox = "a@b.example"\nprocess_id = "X"\n'
            '[systems.a]\nmailbox = "A@b.example"\nprocess_id = "x"'
        ),
        [
            ("directory.shared", "systems.a: The systems A and a share the name a; a reply could come from either."),
            (
                "directory.shared",
                "systems.a: The systems A and a share the mailbox A@b.example; a reply could come from either.",
            ),
            (
                "directory.shared",
                "systems.a: The systems A and a share the process ID x; a reply could come from either.",
            ),
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), BAD_TOML)
def test_bad_toml(text: str, expected: list[tuple[str, str]]) -> None:
    """Every problem of a text comes at once, each with its path, in the order of the lines."""
    with pytest.raises(InputError) as caught:
        Directory.from_toml(text)

    assert expected == problems_of(caught)


def test_a_file_has_lines() -> None:
    """Where the text comes from a file, each problem begins with its name and the line."""
    with pytest.raises(InputError) as caught:
        Directory.from_toml('[systems.X]\nmailbox = "x@customs.example"\nprocess_id = 1\n', name="systems.toml")

    assert [("toml.type", "systems.toml:3: systems.X.process_id: give a string.")] == problems_of(caught)


@pytest.mark.parametrize(
    "text",
    ["[systems", "a = ", "a = 2026-02-30", "a = " + "1" * 5_000, "a = " + "[" * 100_000, "a = 1\rb = 2", "\0"],
    ids=lambda text: repr(text[:20]),
)
def test_no_toml(text: str) -> None:
    """Whatever the parser refuses becomes one error of our own."""
    with pytest.raises(InputError) as caught:
        Directory.from_toml(text)

    ((code, message),) = problems_of(caught)
    assert "toml.syntax" == code
    assert "This is not TOML: " == message[:18]
    assert message[18].isalpha()
    assert "." == message[-1]
    assert caught.value.__cause__ is None


def test_from_table() -> None:
    """A table that is already parsed is accepted as well."""
    table = {"systems": {"NCTS": {"mailbox": "transit@customs.example", "process_id": "NCTS.NL"}}}

    assert "NCTS.NL" == Directory.from_table(table).system("ncts").process_id
