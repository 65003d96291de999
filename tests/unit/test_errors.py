"""Every error: its text and its data, also after pickle and copy."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
from strategies import copies

import htpoort
from htpoort import (
    Directory,
    EnvelopeError,
    HtpoortError,
    InputError,
    LedgerError,
    Problem,
    SendError,
    SendFailure,
    UnknownError,
)

PROBLEM = Problem("envelope.value-empty", "The value of K is empty.", 3, 3, "DOMAIN")

SAMPLES: dict[type[HtpoortError], HtpoortError] = {
    EnvelopeError: EnvelopeError("[K=]", (PROBLEM,)),
    InputError: InputError("[K=]", (PROBLEM,)),
    UnknownError: UnknownError("system", "NCTS", "the directory", ("AGS", "DMS")),
    LedgerError: LedgerError("htpoort.db", "written", "Free some space on the disk.", True),  # noqa: FBT003 - pickled by position
    SendError: SendError("dms@htpoort.nl", SendFailure.DEFERRED, 451, "4.3.0 try again"),
}
SHOWN: dict[type[HtpoortError], str] = {
    EnvelopeError: "The value of K is empty.\n  [K=]\n     ^",
    InputError: "The value of K is empty.\n  [K=]\n     ^",
    UnknownError: "system 'NCTS' is not in the directory. Known: AGS, DMS.",
    LedgerError: "The ledger htpoort.db cannot be written. Free some space on the disk.",
    SendError: ("Not sent to dms@htpoort.nl (deferred): 451 4.3.0 try again. Send it again later with the same K."),
}
REPRS: dict[type[HtpoortError], str] = {
    EnvelopeError: f"EnvelopeError(problems=({PROBLEM!r},))",
    InputError: f"InputError(problems=({PROBLEM!r},))",
    UnknownError: "UnknownError(kind='system', key='NCTS', place='the directory', known=('AGS', 'DMS'))",
    LedgerError: (
        "LedgerError(location='htpoort.db', operation='written', advice='Free some space on the disk.', retryable=True)"
    ),
    SendError: (
        "SendError(recipient='dms@htpoort.nl', kind=<SendFailure.DEFERRED: 'deferred'>, code=451, "
        "reply='4.3.0 try again', is_server_trouble=False, retryable=True)"
    ),
}


def leaves(kind: type[HtpoortError]) -> Iterator[type[HtpoortError]]:
    """List the classes that are raised."""
    below = [child for child in kind.__subclasses__() if child.__module__ == "htpoort.core.errors"]
    for child in below:
        yield from leaves(child)
    if not below:
        yield kind


def test_every_class_is_walked() -> None:
    """Every error class of the package has a sample here, and is public."""
    assert set(leaves(HtpoortError)) == SAMPLES.keys() == SHOWN.keys() == REPRS.keys()
    assert {kind.__name__ for kind in SAMPLES} <= set(htpoort.__all__)


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)
def test_str_and_repr(kind: type[HtpoortError]) -> None:
    """`str` is for people, `repr` shows the data."""
    assert SHOWN[kind] == str(SAMPLES[kind])
    assert REPRS[kind] == repr(SAMPLES[kind])


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)
def test_pickle_and_copy(kind: type[HtpoortError]) -> None:
    """An error that crosses a process keeps its class, its data and its texts."""
    error = SAMPLES[kind]

    for other in copies(error):
        assert kind is type(other)
        assert other is not error
        assert vars(error) == vars(other)
        assert (str(error), repr(error), error.retryable) == (str(other), repr(other), other.retryable)


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)
def test_can_be_raised_from_and_noted(kind: type[HtpoortError]) -> None:
    """An error accepts a cause and notes, as every exception does."""
    error = copy.copy(SAMPLES[kind])
    error.add_note("while testing")
    with pytest.raises(kind) as caught:
        raise error from ValueError("cause")

    assert caught.value is error
    assert "cause" == str(error.__cause__)


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)
def test_is_itself_and_no_other(kind: type[HtpoortError]) -> None:
    """Two errors are two events, even with the same data: compared by identity, and hashable."""
    error = SAMPLES[kind]

    assert 4 == len({error, error, *copies(error)})


@pytest.mark.parametrize(
    ("kind", "builtin"), [(EnvelopeError, ValueError), (InputError, ValueError), (UnknownError, LookupError)]
)
def test_is_the_fitting_builtin_too(kind: type[HtpoortError], builtin: type[Exception]) -> None:
    """A caller that does not know this library catches its errors as the fitting builtin."""
    assert isinstance(SAMPLES[kind], builtin)


@pytest.mark.parametrize("kind", [EnvelopeError, InputError, UnknownError])
def test_bad_values_are_never_retryable(kind: type[HtpoortError]) -> None:
    """The same bad value fails again."""
    assert SAMPLES[kind].retryable is False
    assert HtpoortError.retryable is False


@pytest.mark.parametrize("retryable", [True, False])
def test_ledger_error_says_whether_it_may_pass(*, retryable: bool) -> None:
    """An error of the ledger is retryable where its raiser declares it so, and not by default."""
    assert retryable is LedgerError("a", "b", "c", retryable).retryable
    assert LedgerError("a", "b", "c").retryable is False


SENT = [
    (SendFailure.CONNECT, None, True),
    (SendFailure.CONNECT, 554, True),
    (SendFailure.TLS, None, False),
    (SendFailure.LOGIN, 535, False),
    (SendFailure.LOGIN, 454, True),
    (SendFailure.LOGIN, 400, True),
    (SendFailure.LOGIN, 499, True),
    (SendFailure.LOGIN, 500, False),
    (SendFailure.LOGIN, None, False),
    (SendFailure.REFUSED, 550, False),
    (SendFailure.DEFERRED, 451, True),
    (SendFailure.LOST, None, True),
    (SendFailure.UNKNOWN, None, False),
]


@pytest.mark.parametrize(("kind", "code", "expected"), SENT)
def test_send_error_says_whether_to_repeat(kind: SendFailure, code: int | None, *, expected: bool) -> None:
    """A retry makes sense after 4xx and before the final dot; never where the message may have been accepted."""
    assert expected is SendError("a@b.example", kind, code, "").retryable


ADVICE = [
    (SendFailure.CONNECT, "connect", "Check server name and port; try again later."),
    (SendFailure.TLS, "tls", "Check the TLS settings and the CA file; without a change, a retry fails again."),
    (SendFailure.LOGIN, "login", "Check user name and password."),
    (SendFailure.REFUSED, "refused", "Read the server's reply, and do not repeat the message unchanged."),
    (SendFailure.DEFERRED, "deferred", "Send it again later with the same K."),
    (SendFailure.LOST, "lost", "The server did not accept it; send it again with the same K."),
    (
        SendFailure.UNKNOWN,
        "unknown",
        "The server may have accepted it; do not send it again until a reply comes or you know that it did not.",
    ),
]


@pytest.mark.parametrize(("kind", "word", "advice"), ADVICE)
def test_send_error_advises(kind: SendFailure, word: str, advice: str) -> None:
    """Each way to fail has its own stable word and its own advice."""
    outcome = "It is not known whether the message was sent" if kind is SendFailure.UNKNOWN else "Not sent"
    assert f"{outcome} to a@b.example ({word}): no reply. {advice}" == str(SendError("a@b.example", kind, None, ""))


def test_send_failures_are_all_here() -> None:
    """The table above lists every way to fail."""
    assert list(SendFailure) == [kind for kind, _, _ in ADVICE]


@pytest.mark.parametrize(
    ("code", "reply", "said"),
    [
        (550, "", "550"),
        (None, "timed out", "timed out"),
        (550, "no", "550 no"),
        (550, "5.7.1 No.", "550 5.7.1 No"),
        (None, "", "no reply"),
    ],
)
def test_send_error_says_what_the_server_said(code: int | None, reply: str, said: str) -> None:
    """The reply is shown, if there is one."""
    assert (
        f"Not sent to a@b.example (refused): {said}. Read the server's reply, and do not repeat the message unchanged."
        == str(SendError("a@b.example", SendFailure.REFUSED, code, reply))
    )


def test_unknown_error_of_an_empty_directory() -> None:
    """If the directory is empty, the error reports that."""
    with pytest.raises(UnknownError) as caught:
        Directory(()).system("AGS")

    assert "system 'AGS' is not in the directory, which is empty." == str(caught.value)


def test_an_unknown_name_without_a_list() -> None:
    """Even without known names, the error has the kind of the name and the place where such names are defined."""
    assert "party 'Jansen BV' is not in htpoort.toml (parties)." == str(
        UnknownError("party", "Jansen BV", "htpoort.toml (parties)")
    )


@pytest.mark.parametrize(
    ("key", "known", "near"),
    [
        ("DSM", ("AGS", "DMS"), ("DMS",)),
        ("nl123456789.0205", ("NL123456789.02.05", "NL987654321"), ("NL123456789.02.05",)),
        ("DMS test", ("DMS TEST", "DMS TEST 2"), ("DMS TEST", "DMS TEST 2")),
        ("NCTS", ("AGS", "DMS"), ()),
        ("x", (), ()),
        ("A" * 257, ("A" * 256,), ()),
    ],
)
def test_names_that_are_near(key: str, known: tuple[str, ...], near: tuple[str, ...]) -> None:
    """The names that a slip may stand for come with the nearest first, in any case."""
    assert near == UnknownError("system", key, "the directory", known).near


def test_a_slip_is_answered_with_a_question() -> None:
    """The sentence suggests the near names, and lists all."""
    assert "system 'DSM' is not in the directory; did you mean DMS? Known: AGS, DMS." == str(
        UnknownError("system", "DSM", "the directory", ("AGS", "DMS"))
    )


def test_no_error_lists_very_many() -> None:
    """The sentence lists ten names, and counts the rest, including those that the error does not hold."""
    known = tuple(f"{number:02}" for number in range(12))
    named = "00, 01, 02, 03, 04, 05, 06, 07, 08, 09"
    start = "name 'x' is not in the list. Known:"

    assert f"{start} {named}." == str(UnknownError("name", "x", "the list", known[:10]))
    assert f"{start} {named} and 2 more." == str(UnknownError("name", "x", "the list", known))
    assert f"{start} {named} and 102 more." == str(UnknownError("name", "x", "the list", known, 100))
    assert 100 == UnknownError("name", "x", "the list", known, 100).more


POINTED = [
    # text, start, stop, the line, the caret
    ("abc", 0, 0, "abc", "^"),
    ("abc", 1, 3, "abc", " ^^"),
    ("abc", 3, 3, "abc", "   ^"),
    ("abc", 9, 12, "abc", "   ^"),
    ("abc", 2, 99, "abc", "  ^"),
    ("x" * 72, 71, 72, "x" * 72, " " * 71 + "^"),
    ("x" * 72, 0, 72, "x" * 72, "^" * 72),
    ("x" * 35 + "#" + "x" * 40, 35, 36, "x" * 35 + "#" + "x" * 36, " " * 35 + "^"),
    ("#" + "x" * 80, 0, 1, "#" + "x" * 71, "^"),
    ("x" * 36 + "#" + "x" * 36, 36, 37, "x" * 36 + "#" + "x" * 35, " " * 36 + "^"),
    ("x" * 37 + "#" + "x" * 36, 37, 38, "x" * 36 + "#" + "x" * 35, " " * 36 + "^"),
    ("x" * 100 + "#" + "x" * 100, 100, 101, "x" * 36 + "#" + "x" * 35, " " * 36 + "^"),
    ("x" * 100 + "#" * 50 + "x" * 9, 100, 150, "x" * 36 + "#" * 36, " " * 36 + "^" * 36),
    ("x" * 100, 100, 100, "x" * 36, " " * 36 + "^"),
    ("a\tb\r\n\u00e9\u200b", 5, 6, "a\ufffdb\ufffd\ufffd\ufffd\ufffd", "     ^"),
]


@pytest.mark.parametrize(("text", "start", "stop", "line", "caret"), POINTED)
def test_caret(text: str, start: int, stop: int, line: str, caret: str) -> None:
    """The caret is under the place, in a window of 72 columns, with one column for each character."""
    error = EnvelopeError(text, (Problem("a.b", "So it is.", start, stop),))

    assert f"So it is.\n  {line}\n  {caret}" == str(error)


def test_all_problems_are_shown() -> None:
    """Each problem has its own sentence and caret, in order."""
    error = InputError("ab", (Problem("a", "One.", 0, 1), Problem("b", "Two.", 1, 2)))

    assert "One.\n  ab\n  ^\nTwo.\n  ab\n   ^" == str(error)


def test_without_a_text_there_is_no_caret() -> None:
    """If no single text is concerned, only the sentences are shown."""
    assert "One.\nTwo." == str(InputError("", (Problem("a", "One."), Problem("b", "Two."))))


def test_problem_defaults() -> None:
    """A problem without a place has no offsets and no source."""
    assert Problem("a.b", "So.", 0, 0, "") == Problem("a.b", "So.")
