"""`htpoort demo`: the whole exchange on loopback; declarations out, replies in, and what is kept out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, final

import attrs
import typer

from htpoort import _clock
from htpoort.cli import _input, _output, _show
from htpoort.cli._facts import Facts
from htpoort.cli._input import Json
from htpoort.core.directory import AGS, DMS, DeclarationSystem
from htpoort.core.envelope import RoutingEnvelope
from htpoort.core.message import Submission, build
from htpoort.core.routing import Quarantined, Routed, Router, SentRecord
from htpoort.simulator import Gateway
from htpoort.transport import Incoming, Receiver, Security, SmtpServer, send

app = _input.group()

_MAILBOX: Final = "edi@forwarder.example"
_PARTY: Final = "NL123456789.02.05"  # of the official example
_CLIENT: Final = "NL123456789.03.05"  # a second declarant of the same forwarder
_STRANGER: Final = "NL123456789.99.05"

_SHORT: Final = "22096222734662"  # the K of the official example
_LONG: Final = "0f8fad5bd9cb469fa16570867728950e"  # 32 characters, as software in the field writes it
_OTHER: Final = "22096222734663"

_PLAN: Final[tuple[tuple[DeclarationSystem, str, str, bytes], ...]] = (
    (AGS, _PARTY, _SHORT, b"UNB+UNOC:3+NL123456789+DMS.NL+261102:0905+1'\r\n"),
    (DMS, _PARTY, _LONG, b'<MetaData xmlns="urn:wco:datamodel:WCO:DMS.Declaration:1"/>\r\n'),
    (DMS, _CLIENT, _OTHER, b'<MetaData xmlns="urn:wco:datamodel:WCO:DMS.Declaration:1"/>\r\n'),
)

# The expected result, typed and not computed: a demonstration that only agrees with itself proves nothing.
_REPLIES: Final = {
    ("AGS", "ags@htpoort.nl", "DMS.NL", _PARTY, _SHORT, "AGS process of NL123456789.02.05", "matched"),
    ("DMS", "dms@htpoort.nl", "DMS4.NL", _PARTY, _LONG, "DMS process of NL123456789.02.05", "matched"),
    ("DMS", "dms@htpoort.nl", "DMS4.NL", _CLIENT, _OTHER, "DMS process of NL123456789.03.05", "matched"),
}
_SUBJECTS: Final = [
    f"[V={_PARTY}][A=DMS.NL][K={_SHORT}][S=0]",
    f"[V={_PARTY}][A=DMS4.NL][K={_LONG}][S=0]",
    f"[V={_CLIENT}][A=DMS4.NL][K={_OTHER}][S=0]",
]

_INTRUDERS: Final = (
    ("forged sender", "ags@htpoort.nl <evil@x>", AGS, _PARTY, _SHORT, "ambiguous-from"),
    ("the wrong system answers", "dms@htpoort.nl", DMS, _PARTY, _SHORT, "other-system"),
    ("for a stranger's party", "ags@htpoort.nl", AGS, _STRANGER, _SHORT, "unknown-addressee"),
)


@app.command()
def demo(*, json: Json = False) -> None:
    """Show the whole exchange on loopback, offline; exit code 1 if a message went to the wrong process."""
    result = asyncio.run(play(lambda text: None if json else _show.line(text)))
    if json:
        _show.as_json(result.facts())
    else:
        result.show()
    if not result.right:
        raise typer.Exit(_output.FAILED)


@final
@attrs.frozen(kw_only=True)
class DemoResult:
    """
    The result of the demonstration.

    Args:
        subjects: The Subject of each declaration as the gateway received it.
        replies: System, mailbox, process ID, party, K, process, and correlation of each reply.
        intruders: What arrived, its From, and the reason and the sentence why it is in quarantine.
    """

    subjects: list[str]
    replies: list[tuple[str, str, str, str, str, str, str]]
    intruders: list[tuple[str, str, str, str]]

    @property
    def right(self) -> bool:
        """Whether everything went where it belongs, and nothing else was routed."""
        reasons = [(what, reason) for what, _, reason, _ in self.intruders]
        return (
            self.subjects == _SUBJECTS
            and len(self.replies) == len(_REPLIES)
            and set(self.replies) == _REPLIES
            and reasons == [(what, reason) for what, *_, reason in _INTRUDERS]
        )

    def facts(self) -> Facts:
        """Describe it for `--json`."""
        columns = ("system", "mailbox", "process_id", "party", "reference", "went_to", "correlation")
        return {
            "right": self.right,
            "subjects": self.subjects,
            "replies": [dict(zip(columns, reply, strict=True)) for reply in self.replies],
            "quarantined": [
                {"what": what, "from": sender, "reason": reason, "message": message}
                for what, sender, reason, message in self.intruders
            ],
        }

    def show(self) -> None:
        """Print it as tables."""
        columns = ("system", "mailbox", "process ID", "party", "K", "the reply went to", "correlation")
        _show.table("Replies", columns, self.replies)
        _show.table("In quarantine", ("what came", "From", "reason", "why"), self.intruders)
        _show.line("Everything went where it belongs." if self.right else "SOMETHING WENT ELSEWHERE; see above.")


@final
class _Processes:
    """Pass each reply to the process of its system and party, and quarantine the rest."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.replies: dict[str, list[Routed]] = {}
        self.quarantine: list[Quarantined] = []

    async def take(self, incoming: Incoming) -> None:
        found = self.router.route_message(incoming.raw, incoming.mail_from)
        if isinstance(found, Quarantined):
            self.quarantine.append(found)
        else:
            self.replies.setdefault(f"{found.system.name} process of {found.party}", []).append(found)

    def rows(self) -> list[tuple[str, str, str, str, str, str, str]]:
        return [
            (
                reply.system.name,
                reply.mailbox,
                reply.envelope.sender,
                str(reply.party),
                reply.reference,
                process,
                reply.correlation.value,
            )
            for process, replies in self.replies.items()
            for reply in replies
        ]


def _declarations(now: datetime) -> Iterable[Submission]:
    """Build the declarations of the plan."""
    for system, party, reference, payload in _PLAN:
        yield build(
            system=system,
            party=party,
            mailbox=_MAILBOX,
            reference=reference,
            payload=payload,
            date=now,
            message_id=_clock.message_id(_MAILBOX),
        )


def _intruder(sender: str, system: DeclarationSystem, party: str, reference: str) -> Submission:
    """Write a message that must be quarantined, with any From."""
    subject = f"[V= {system.process_id}][A= {party}][K={reference}][S=0]"
    return Submission(
        mail_from=system.mailbox,
        rcpt_to=_MAILBOX,
        envelope=RoutingEnvelope.parse(subject),
        system=system.name,
        message_id="",
        data=f"From: {sender}\r\nTo: {_MAILBOX}\r\nSubject: {subject}\r\n\r\nSynthetic.\r\n".encode(),
    )


async def play(show: Callable[[str], None]) -> DemoResult:
    """
    Play the demonstration.

    Args:
        show: Called with a line of text for each step.

    Returns:
        The result.

    Raises:
        SendError: A declaration or a message was not accepted.
    """
    sent: dict[str, SentRecord] = {}
    processes = _Processes(Router(parties=[_PARTY, _CLIENT], sent=sent.get))
    intruders: list[tuple[str, str, str, str]] = []
    async with Receiver(processes.take, hostname="forwarder.example", mailboxes=[_MAILBOX]) as receiver:
        own = SmtpServer(host="127.0.0.1", port=receiver.port, security=Security.PLAIN)
        async with Gateway(declarants={_MAILBOX: own}) as gateway:
            show(f"The gateway listens on 127.0.0.1:{gateway.smtp_port}, the receiver on 127.0.0.1:{receiver.port}.")
            htg = SmtpServer(host="127.0.0.1", port=gateway.smtp_port, security=Security.PLAIN)
            for declaration in _declarations(_clock.now()):
                envelope = declaration.envelope
                sent[envelope.reference] = SentRecord(
                    system=declaration.system, party=envelope.sender, reference=envelope.reference
                )
                await send(declaration, htg)
                show(f"Sent to {declaration.rcpt_to}: {gateway.received[-1].subject}")
            await gateway.wait_for_due_replies()
            for what, sender, system, party, reference, _ in _INTRUDERS:
                before = len(processes.quarantine)
                await gateway.push(_intruder(sender, system, party, reference))
                intruders += [
                    (what, sender, found.reason.value, found.problems[0].message)
                    for found in processes.quarantine[before:]
                ]
            subjects = [taken.subject for taken in gateway.received]
    return DemoResult(subjects=subjects, replies=processes.rows(), intruders=intruders)
