"""
Write what the gateway answers: the reply form of the official page around a synthetic body.

Never does: claim to be a message of Customs; every body says that it is synthetic.
"""

from __future__ import annotations

from datetime import datetime

from htpoort import _mime
from htpoort.directory import DeclarationSystem
from htpoort.envelope import RoutingEnvelope
from htpoort.message import Submission

_RESPONSE = "urn:wco:datamodel:WCO:DMS.Response:1"


def reply_subject(request: RoutingEnvelope, answering_as: str) -> str:
    """
    Write the Subject of a reply as the official page prints it, with a blank after `V=` and `A=`.

    >>> asked = RoutingEnvelope(sender="NL123456789.02.05", addressee="DMS.NL", reference="22096222734662")
    >>> reply_subject(asked, "DMS.NL")
    '[V= DMS.NL][A= NL123456789.02.05][K=22096222734662][S=0]'

    Args:
        request: The envelope of the declaration.
        answering_as: The process ID that goes into V.

    Returns:
        One line. Whether the blanks are on the real wire is unknown.

    Source:
        Official page "Hoe bereid ik me voor op DMS?", examples of replies.
    """
    return f"[V= {answering_as}][A= {request.sender}][K={request.reference}][S={request.s}]"


def acceptance(request: RoutingEnvelope, payload: bytes) -> bytes:
    """
    Write a body that answers a declaration, in the syntax that the declaration was in.

    Args:
        request: The envelope of the declaration.
        payload: The declaration as it was sent.

    Returns:
        XML, or a text like an EDIFACT CUSRES; both say that they are synthetic.
    """
    if _mime.content_type_of(payload)[0] == "application/EDIFACT":
        segments = ("UNA:+.? ", f"UNB+UNOC:3+SYNTHETIC+{request.sender}++{request.reference}", "BGM+962:::SYNTHETIC")
        return "".join(f"{segment}'\r\n" for segment in segments).encode()
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\r\n'
        "<!-- Synthetic answer of a simulator, not of Customs. -->\r\n"
        f'<Response xmlns="{_RESPONSE}"><FunctionCode>synthetic</FunctionCode></Response>\r\n'
    ).encode()


def reply(  # noqa: PLR0913 - one argument for each thing a reply has
    *,
    system: DeclarationSystem,
    mailbox: str,
    request: RoutingEnvelope,
    payload: bytes,
    date: datetime,
    message_id: str,
) -> Submission:
    """
    Write the whole reply to a declaration.

    Args:
        system: The system that answers, from its own mailbox.
        mailbox: The declarant's mailbox.
        request: The envelope of the declaration.
        payload: The body of the reply.
        date: Aware.
        message_id: With its angle brackets.

    Returns:
        A message from the system's mailbox, V and A swapped, K and S kept.
    """
    answering_as = min(system.reply_ids)
    headers = [
        ("From", system.mailbox),
        ("To", mailbox),
        ("Subject", reply_subject(request, answering_as)),
        ("Date", _mime.rfc5322_date(date)),
        ("Message-ID", message_id),
    ]
    content_type, _ = _mime.content_type_of(payload)
    return Submission(
        mail_from=system.mailbox,
        rcpt_to=mailbox,
        envelope=RoutingEnvelope(
            sender=answering_as, addressee=request.sender, reference=request.reference, s=request.s
        ),
        system=system.name,
        message_id=message_id,
        data=_mime.render(headers, payload, content_type=content_type, layout="body", file_name=""),
    )
