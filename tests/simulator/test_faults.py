"""Faults as values: which exist, and which values are refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from htpoort import InputError
from htpoort.simulator import FaultAction, Pop3Fault, ReplyFault, SmtpFault, SmtpStep


def test_the_places_are_those_of_the_dialogue() -> None:
    """A fault can be shown at every SMTP verb, at the greeting, in the content and after the final dot."""
    expected = ["greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "content", "dot", "quit"]

    assert expected == [at.value for at in SmtpStep]


def test_every_known_fault_of_an_answer_is_there() -> None:
    """Each fault of a reply has a name."""
    expected = (
        "duplicate out-of-order wrong-mailbox other-system wrong-process-id other-party other-k no-k"
        " lower-case folded encoded-words forged-from bounce large"
    )

    assert expected.split() == [fault.value for fault in ReplyFault]


@pytest.mark.parametrize("at", [at for at in SmtpStep if at is not SmtpStep.CONTENT])
@pytest.mark.parametrize(("action", "first"), [(FaultAction.REFUSE, 5), (FaultAction.DEFER, 4)])
def test_there_is_a_usual_reply_everywhere(at: SmtpStep, action: FaultAction, first: int) -> None:
    """At each step with a response, the server can refuse and defer, with a code of that kind."""
    code, text = SmtpFault(at=at, action=action).reply

    assert first == code // 100
    assert text


def test_a_reply_of_its_own() -> None:
    """A given code and text replace the usual ones."""
    assert (552, "Too much") == SmtpFault(at=SmtpStep.DOT, action=FaultAction.REFUSE, code=552, text="Too much").reply


def test_greylisting_says_not_now() -> None:
    """By default greylisting sends 451 for five minutes."""
    fault = SmtpFault(at=SmtpStep.RCPT, action=FaultAction.GREYLIST)

    assert (451, timedelta(minutes=5)) == (fault.reply[0], fault.after)


@pytest.mark.parametrize("action", [FaultAction.DROP, FaultAction.STALL, FaultAction.TRICKLE])
def test_silence_has_no_reply(action: FaultAction) -> None:
    """DROP, STALL and TRICKLE have no response of their own."""
    assert (0, "") == SmtpFault(at=SmtpStep.DOT, action=action).reply


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"at": SmtpStep.DOT, "action": FaultAction.DROP}, True),
        ({"at": SmtpStep.DOT, "action": FaultAction.DROP, "accepted": False}, False),
        ({"at": SmtpStep.DOT, "action": FaultAction.STALL}, True),
        ({"at": SmtpStep.DOT, "action": FaultAction.TRICKLE}, True),
        ({"at": SmtpStep.DOT, "action": FaultAction.REFUSE}, False),
        ({"at": SmtpStep.DOT, "action": FaultAction.DEFER}, False),
        ({"at": SmtpStep.CONTENT, "action": FaultAction.DROP}, False),
    ],
)
def test_what_is_taken(settings: dict[str, Any], expected: bool) -> None:  # noqa: FBT001 - a table
    """A declaration can only be accepted after the final dot, and never when it is refused or deferred."""
    assert expected == SmtpFault(**settings).accepts_declaration


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"times": 0}, "times is 0; give at least 1, or always = true in a file, None in Python."),
        (
            {"text": "two\r\nlines"},
            "text is not one line of at most 500 printable ASCII characters; shorten or change it.",
        ),
        ({"text": "x" * 501}, "text is not one line of at most 500 printable ASCII characters; shorten or change it."),
        ({"code": 250}, "code is 250; to refuse, give 500 to 599."),
        ({"action": FaultAction.DEFER, "code": 550}, "code is 550; to defer, give 400 to 499."),
        ({"action": FaultAction.DROP, "code": 550}, "code and text do not go with drop; leave them out."),
        ({"action": FaultAction.STALL, "text": "no"}, "code and text do not go with stall; leave them out."),
        ({"at": SmtpStep.MAIL, "accepted": False}, "accepted is set at mail; it applies at dot only, so leave it out."),
        (
            {"action": FaultAction.TRICKLE, "accepted": False},
            "accepted is false with trickle, which sends 250: the declaration would be lost; leave it out.",
        ),
        ({"after": timedelta(hours=1)}, "after is set for refuse; it applies to greylist only, so leave it out."),
        (
            {"at": SmtpStep.RCPT, "action": FaultAction.GREYLIST, "after": timedelta(0)},
            "after is 0:00:00; give a time above 0.",
        ),
        (
            {"at": SmtpStep.MAIL, "action": FaultAction.GREYLIST},
            "action is greylist at mail; greylist works at rcpt only, where both mailboxes are known.",
        ),
        (
            {"at": SmtpStep.CONTENT, "action": FaultAction.REFUSE},
            "action is refuse at content, where a server sends no response; give drop or stall.",
        ),
        (
            {"at": SmtpStep.CONTENT, "action": FaultAction.TRICKLE},
            "action is trickle at content, where a server sends no response; give drop or stall.",
        ),
        (
            {"at": "helo"},
            ("at is 'helo'; give one of greeting, ehlo, starttls, auth, mail, rcpt, data, content, dot, quit."),
        ),
        (
            {"action": "explode"},
            ("action is 'explode'; give one of refuse, defer, greylist, drop, stall, trickle."),
        ),
    ],
)
def test_refuses_a_fault_that_means_nothing(settings: dict[str, Any], expected: str) -> None:
    """Impossible values give a sentence that begins with the field."""
    with pytest.raises(InputError) as caught:
        SmtpFault(**{"at": SmtpStep.DOT, "action": FaultAction.REFUSE} | settings)

    assert [("simulator.smtp-fault", expected)] == [(one.code, one.message) for one in caught.value.problems]


def test_refuses_everything_at_once() -> None:
    """An error has every problem of a fault."""
    with pytest.raises(InputError) as caught:
        SmtpFault(at=SmtpStep.MAIL, action=FaultAction.DROP, times=0, code=550, accepted=False)

    assert ["times", "code", "accepted"] == [one.message.split()[0] for one in caught.value.problems]


def test_a_command_of_pop3_comes_in_any_case() -> None:
    """POP3 commands are case-insensitive; they are stored in upper case, as in the standard."""
    assert "RETR" == Pop3Fault(command="retr", action=FaultAction.DROP).command


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
            {"action": FaultAction.GREYLIST},
            "action is greylist, which POP3 does not have; give one of refuse, drop, stall, trickle.",
        ),
        (
            {"action": FaultAction.DEFER},
            "action is defer, which POP3 does not have; give one of refuse, drop, stall, trickle.",
        ),
        (
            {"action": "explode"},
            ("action is 'explode'; give one of refuse, defer, greylist, drop, stall, trickle."),
        ),
        ({"times": 0}, "times is 0; give at least 1, or always = true in a file, None in Python."),
        ({"command": "DELE", "deleted": True}, "deleted is set at DELE; only QUIT deletes, so leave it out."),
    ],
)
def test_refuses_a_pop3_fault_that_means_nothing(settings: dict[str, Any], expected: str) -> None:
    """Impossible values of a POP3 fault give a sentence that begins with the field."""
    with pytest.raises(InputError) as caught:
        Pop3Fault(**{"command": "QUIT", "action": FaultAction.DROP} | settings)

    assert [("simulator.pop3-fault", expected)] == [(one.code, one.message) for one in caught.value.problems]
