"""Faults as values: which there are, and what cannot be told of one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from htpoort import InputError
from htpoort.simulator.faults import Action, AnswerFault, At, Pop3Fault, SmtpFault


def test_the_places_are_those_of_the_dialogue() -> None:
    """A fault can show at every verb of SMTP, before the first, within the content and after the final dot."""
    expected = ["greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "content", "dot", "quit"]

    assert expected == [at.value for at in At]


def test_every_known_fault_of_an_answer_is_there() -> None:
    """Each fault that an answer of the gateway can have has a name."""
    expected = (
        "duplicate out-of-order wrong-mailbox other-system wrong-process-id other-party other-k no-k"
        " lower-case folded encoded-words forged-from bounce large"
    )

    assert expected.split() == [fault.value for fault in AnswerFault]


@pytest.mark.parametrize("at", [at for at in At if at is not At.CONTENT])
@pytest.mark.parametrize(("action", "first"), [(Action.REFUSE, 5), (Action.DEFER, 4)])
def test_there_is_a_usual_reply_everywhere(at: At, action: Action, first: int) -> None:
    """At each place where a server says something, it can say no and not now, with a code of that kind."""
    code, text = SmtpFault(at=at, action=action).reply

    assert first == code // 100
    assert text


def test_a_reply_of_its_own() -> None:
    """A code and a text that were given go before the usual ones."""
    assert (552, "Too much") == SmtpFault(at=At.DOT, action=Action.REFUSE, code=552, text="Too much").reply


def test_greylisting_says_not_now() -> None:
    """Greylisting is a 451 for five minutes, where nothing else is said."""
    fault = SmtpFault(at=At.RCPT, action=Action.GREYLIST)

    assert (451, timedelta(minutes=5)) == (fault.reply[0], fault.after)


@pytest.mark.parametrize("action", [Action.DROP, Action.STALL, Action.TRICKLE])
def test_silence_has_no_reply(action: Action) -> None:
    """Who drops, stalls or trickles says nothing of its own."""
    assert (0, "") == SmtpFault(at=At.DOT, action=action).reply


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"at": At.DOT, "action": Action.DROP}, True),
        ({"at": At.DOT, "action": Action.DROP, "taken": False}, False),
        ({"at": At.DOT, "action": Action.STALL}, True),
        ({"at": At.DOT, "action": Action.TRICKLE}, True),
        ({"at": At.DOT, "action": Action.REFUSE}, False),
        ({"at": At.DOT, "action": Action.DEFER}, False),
        ({"at": At.CONTENT, "action": Action.DROP}, False),
    ],
)
def test_what_is_taken(settings: dict[str, Any], expected: bool) -> None:  # noqa: FBT001 - a table
    """Only after the final dot a declaration can be taken, and never one that was refused or deferred."""
    assert expected == SmtpFault(**settings).is_taken


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"times": 0}, "times is 0; give at least 1, or None (in TOML always = true) for ever."),
        ({"text": "two\r\nlines"}, "text cannot be said; give one line of at most 500 printable ASCII characters."),
        ({"text": "x" * 501}, "text cannot be said; give one line of at most 500 printable ASCII characters."),
        ({"code": 250}, "code is 250; to refuse, give 500 to 599."),
        ({"action": Action.DEFER, "code": 550}, "code is 550; to defer, give 400 to 499."),
        ({"action": Action.DROP, "code": 550}, "code and text are not said by drop; leave them out."),
        ({"action": Action.STALL, "text": "no"}, "code and text are not said by stall; leave them out."),
        ({"at": At.MAIL, "taken": False}, "taken is said at mail; only at dot there is something to take."),
        (
            {"action": Action.TRICKLE, "taken": False},
            "taken is False with trickle, which says 250 to a declaration that is lost then; leave it out.",
        ),
        ({"after": timedelta(hours=1)}, "after is said of refuse; only greylist has it."),
        (
            {"at": At.RCPT, "action": Action.GREYLIST, "after": timedelta(0)},
            "after is 0:00:00; give a time above 0.",
        ),
        (
            {"at": At.MAIL, "action": Action.GREYLIST},
            "action is greylist at mail; it is at rcpt, where both mailboxes are known.",
        ),
        (
            {"at": At.CONTENT, "action": Action.REFUSE},
            "action is refuse at content, where a server says nothing; give drop or stall.",
        ),
        (
            {"at": At.CONTENT, "action": Action.TRICKLE},
            "action is trickle at content, where a server says nothing; give drop or stall.",
        ),
        (
            {"at": "helo"},
            (
                "at is 'helo'; give one of At.GREETING, At.EHLO, At.STARTTLS, At.AUTH, At.MAIL, At.RCPT, At.DATA,"
                " At.CONTENT, At.DOT, At.QUIT."
            ),
        ),
        (
            {"action": "explode"},
            (
                "action is 'explode'; give one of Action.REFUSE, Action.DEFER, Action.GREYLIST, Action.DROP,"
                " Action.STALL, Action.TRICKLE."
            ),
        ),
    ],
)
def test_refuses_a_fault_that_means_nothing(settings: dict[str, Any], expected: str) -> None:
    """What a server cannot do is told in a sentence that begins with the field."""
    with pytest.raises(InputError) as caught:
        SmtpFault(**{"at": At.DOT, "action": Action.REFUSE} | settings)

    assert [("simulator.smtp-fault", expected)] == [(one.code, one.message) for one in caught.value.problems]


def test_refuses_everything_at_once() -> None:
    """Every problem of a fault is told."""
    with pytest.raises(InputError) as caught:
        SmtpFault(at=At.MAIL, action=Action.DROP, times=0, code=550, taken=False)

    assert ["times", "code", "taken"] == [one.message.split()[0] for one in caught.value.problems]


def test_a_command_of_pop3_comes_in_any_case() -> None:
    """The commands of POP3 have no case; they are kept as the standard writes them."""
    assert "RETR" == Pop3Fault(command="retr", action=Action.DROP).command


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"command": "LAST"},
            (
                "command is 'LAST'; give one of GREETING, CAPA, STLS, USER, PASS, STAT, LIST, UIDL, TOP, RETR, DELE,"
                " NOOP, RSET, QUIT."
            ),
        ),
        (
            {"action": Action.GREYLIST},
            "action is greylist, which POP3 has not; give one of refuse, drop, stall, trickle.",
        ),
        ({"action": Action.DEFER}, "action is defer, which POP3 has not; give one of refuse, drop, stall, trickle."),
        (
            {"action": "explode"},
            (
                "action is 'explode'; give one of Action.REFUSE, Action.DEFER, Action.GREYLIST, Action.DROP,"
                " Action.STALL, Action.TRICKLE."
            ),
        ),
        ({"times": 0}, "times is 0; give at least 1, or None (in TOML always = true) for ever."),
        ({"command": "DELE", "done": True}, "done is said at DELE; only QUIT deletes."),
    ],
)
def test_refuses_a_pop3_fault_that_means_nothing(settings: dict[str, Any], expected: str) -> None:
    """What a POP3 server cannot do is told in a sentence that begins with the field."""
    with pytest.raises(InputError) as caught:
        Pop3Fault(**{"command": "QUIT", "action": Action.DROP} | settings)

    assert [("simulator.pop3-fault", expected)] == [(one.code, one.message) for one in caught.value.problems]
