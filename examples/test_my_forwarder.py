"""How your own tests may look: a small forwarder against the simulated gateway. Run it with pytest."""

import poplib
import smtplib
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from htpoort import DMS, Routed, Router, build
from htpoort.simulator import ReplyFault, ReplyKind, ScriptedReply
from htpoort.testing import RunningClock, RunningGateway

PARTY, MAILBOX, PASSWORD = "NL123456789.02.05", "edi@forwarder.example", "geheim"


class Forwarder:
    """Your software: it declares to DMS, and passes each reply to the process it belongs to."""

    def __init__(self, smtp_port: int, pop3_port: int | None, clock: Callable[[], datetime]) -> None:
        self.smtp_port, self.pop3_port, self.clock = smtp_port, pop3_port or 0, clock
        self.processes: dict[tuple[str, str], list[str]] = {}

    def declare(self, reference: str) -> None:
        """Build a declaration and submit it."""
        declaration = build(
            system=DMS,
            party=PARTY,
            mailbox=MAILBOX,
            reference=reference,  # K: new for each transmission
            payload=b'<MetaData xmlns="urn:wco:datamodel:WCO:DMS.Declaration:1"/>',
            date=self.clock(),
            message_id=f"<{reference}@forwarder.example>",
        )
        with smtplib.SMTP("127.0.0.1", self.smtp_port) as client:
            client.login(MAILBOX, PASSWORD)
            client.sendmail(declaration.mail_from, [declaration.rcpt_to], declaration.data)

    def fetch(self) -> None:
        """Empty the mailbox; keep each reply once."""
        router = Router(parties=[PARTY])
        client = poplib.POP3("127.0.0.1", self.pop3_port)
        client.user(MAILBOX)
        client.pass_(PASSWORD)
        for number in range(1, len(client.list()[1]) + 1):
            raw = b"\r\n".join(client.retr(number)[1])
            found = router.route_message(raw)
            if isinstance(found, Routed):
                replies = self.processes.setdefault((found.system.name, found.reference), [])
                payload = found.payload.octets
                if payload is not None and (reply := payload.decode()) not in replies:
                    replies.append(reply)
                client.dele(number)
        client.quit()


@pytest.mark.htp_scenario(
    replies=(
        ScriptedReply(kind=ReplyKind.ACCEPTANCE),
        ScriptedReply(kind=ReplyKind.RELEASE, after=timedelta(days=3), fault=ReplyFault.DUPLICATE),
    )
)
def test_released_after_three_days(htp_gateway: RunningGateway, htp_clock: RunningClock) -> None:
    """A declaration is accepted at once and released on the third day; the release that arrives twice counts once."""
    forwarder = Forwarder(htp_gateway.smtp_port, htp_gateway.pop3_port, htp_clock)
    forwarder.declare("22096222734662")
    htp_clock.advance(timedelta(days=2))
    forwarder.fetch()
    assert len(forwarder.processes["DMS", "22096222734662"]) == 1

    htp_gateway.play()  # until nothing more is due: one more day
    forwarder.fetch()
    accepted, released = forwarder.processes["DMS", "22096222734662"]
    assert "SYNTHETIC ACCEPTANCE" in accepted
    assert "SYNTHETIC RELEASE" in released
    assert htp_gateway.mailbox().messages == ()
