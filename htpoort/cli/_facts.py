"""
Turn values into plain facts, the same for a person and for `--json`.

Never does: print.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from htpoort.envelope import RoutingEnvelope
from htpoort.errors import EnvelopeError, HtpoortError, InputError, Problem, SendError
from htpoort.message import Submission
from htpoort.routing import Quarantined, Routed

Facts = dict[str, Any]

_LABELS: Final = {"sender": "V", "addressee": "A", "reference": "K", "s": "S"}


def problems(found: Iterable[Problem]) -> list[Facts]:
    """List problems."""
    return [
        {"code": problem.code, "message": problem.message, "start": problem.start, "stop": problem.stop}
        for problem in found
    ]


def envelope(found: RoutingEnvelope) -> Facts:
    """Tell an envelope."""
    values: Facts = {name: getattr(found, name) for name in _LABELS}
    return {**values, "canonical": found.render(), "notes": problems(found.notes)}


def submission(built: Submission) -> Facts:
    """Tell a message that was built; its data are ASCII."""
    return {
        "system": built.system,
        "mail_from": built.mail_from,
        "rcpt_to": built.rcpt_to,
        "subject": built.envelope.render(),
        "message_id": built.message_id,
        "data": built.data.decode("ascii"),
    }


def routing(found: Routed | Quarantined) -> Facts:
    """Tell where a reply belongs, or why that cannot be told."""
    if isinstance(found, Routed):
        return {
            "result": "routed",
            "system": found.system.name,
            "party": str(found.party),
            "reference": found.reference,
            "correlation": found.correlation.value,
            "mailbox": found.mailbox,
            "notes": problems(found.envelope.notes),
        }
    return {
        "result": "quarantined",
        "reason": found.reason.value,
        "mailbox": found.mailbox,
        "subject": None if found.envelope is None else found.envelope.render(),
        "problems": problems(found.problems),
    }


def failure(error: HtpoortError) -> Facts:
    """Tell an error."""
    facts: Facts = {"error": type(error).__name__, "message": str(error), "retryable": error.retryable}
    if isinstance(error, InputError | EnvelopeError):
        facts["problems"] = problems(error.problems)
    if isinstance(error, SendError):
        facts |= {"recipient": error.recipient, "kind": error.kind.value, "code": error.code, "reply": error.reply}
    return facts
