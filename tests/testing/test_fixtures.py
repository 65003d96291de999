"""The fixtures for users: what each gives to any kind of test, and what the markers change."""

from __future__ import annotations

import asyncio
import poplib
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from htpoort import AGS, DMS, Correlation, DeclarationSystem, InputError, Reason, Router, State, Submission, build
from htpoort.agent import Agent, Outbox, Pop3Inbox
from htpoort.ledger import Ledger, Reply as StoredReply
from htpoort.simulator import (
    ClientCertificate,
    Declarant,
    FaultAction,
    ReplyFault,
    ReplyKind,
    Scenario,
    Script,
    ScriptedReply,
    SmtpFault,
    SmtpStep,
)
from htpoort.testing import RunningClock, RunningGateway, RunningReceiver, _fixtures
from htpoort.testing.handles import Background
from htpoort.transport import Incoming, Pop3Mailbox, Receiver, Security, SmtpServer, send

PARTY, MAILBOX, PASSWORD = "NL123456789.02.05", "edi@forwarder.example", "geheim"
DAY = timedelta(days=1)


def declared(reference: str = "1", *, system: DeclarationSystem = DMS, mailbox: str = MAILBOX) -> Submission:
    """Build a declaration."""
    return build(
        system=system,
        party=PARTY,
        mailbox=mailbox,
        reference=reference,
        payload=b"<MetaData/>",
        date=datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC),
        message_id=f"<{reference}@forwarder.example>",
    )


def submit(gateway: RunningGateway, declaration: Submission, *, login: bool = False) -> None:
    """Send a declaration like synchronous software."""
    with smtplib.SMTP(gateway.host, gateway.smtp_port, "forwarder.example", 30) as client:
        if login:
            client.login(MAILBOX, PASSWORD)
        client.sendmail(declaration.mail_from, [declaration.rcpt_to], declaration.data)


@pytest.fixture(autouse=True)  # ruff: ignore[pytest-fixture-autouse]
def no_thread_is_left() -> Iterator[None]:
    """Fail a test whose fixtures leave a thread; this one ends after them."""
    yield
    assert "htpoort.testing" not in {thread.name for thread in threading.enumerate()}


class TestPushed:
    """With a receiver, replies are pushed to it, as on the MTA interface."""

    @pytest.mark.htp_scenario(replies=(ScriptedReply(), ScriptedReply(kind=ReplyKind.RELEASE, after=3 * DAY)))
    def test_three_days(
        self, htp_gateway: RunningGateway, htp_receiver: RunningReceiver, htp_clock: RunningClock
    ) -> None:
        """A synchronous test plays three days, and sees each reply where it belongs."""
        began = htp_clock()
        submit(htp_gateway, declared("22096222734662"))
        htp_gateway.play(2 * DAY)
        assert (1, 2 * DAY) == (len(htp_receiver.replies), htp_clock() - began)

        htp_gateway.play()
        assert (3 * DAY, None) == (htp_clock() - began, htp_gateway.next_moment)
        assert [("DMS", PARTY, "22096222734662", Correlation.MATCHED)] * 2 == [
            (one.system.name, str(one.party), one.reference, one.correlation) for one in htp_receiver.routed
        ]
        assert ["22096222734662"] == [taken.envelope.reference for taken in htp_gateway.received]
        assert [ReplyKind.ACCEPTANCE, ReplyKind.RELEASE] == [sent.scripted.kind for sent in htp_gateway.sent]
        assert ("dms@htpoort.nl", MAILBOX) == (
            htp_receiver.replies[0].incoming.mail_from,
            htp_receiver.replies[0].incoming.rcpt_to,
        )

    @pytest.mark.htp_scenario(
        replies=(ScriptedReply(fault=ReplyFault.OTHER_SYSTEM), ScriptedReply(fault=ReplyFault.OTHER_PARTY))
    )
    def test_what_belongs_nowhere(self, htp_gateway: RunningGateway, htp_receiver: RunningReceiver) -> None:
        """The receiver knows what the gateway accepted, so it quarantines a reply of the other system."""
        submit(htp_gateway, declared())
        htp_gateway.play()
        assert ((), [Reason.OTHER_SYSTEM, Reason.UNKNOWN_ADDRESSEE]) == (
            htp_receiver.routed,
            [verdict.reason for verdict in htp_receiver.quarantined],
        )

    def test_a_forged_message(self, htp_gateway: RunningGateway, htp_receiver: RunningReceiver) -> None:
        """A test can push any message."""
        forged = b"From: ags@htpoort.nl <somebody@trader.example>\r\nSubject: x\r\n\r\nx\r\n"
        htp_gateway.push(attrs.evolve(declared(), mail_from="ags@htpoort.nl", rcpt_to=MAILBOX, data=forged))
        assert [Reason.AMBIGUOUS_FROM] == [verdict.reason for verdict in htp_receiver.quarantined]

    def test_a_receiver_alone(self, htp_receiver: RunningReceiver) -> None:
        """A receiver works without a gateway; it then does not know what was sent."""
        reply = f"From: dms@htpoort.nl\r\nSubject: [V=DMS4.NL][A={PARTY}][K=1][S=0]\r\n\r\n<Response/>\r\n"
        with smtplib.SMTP(htp_receiver.host, htp_receiver.port, "customs.example", 30) as client:
            client.sendmail("dms@htpoort.nl", [MAILBOX], reply)
        assert [Correlation.NOT_CHECKED] == [verdict.correlation for verdict in htp_receiver.routed]

    def test_a_server_of_its_own(self, htp_gateway: RunningGateway, htp_receiver: RunningReceiver) -> None:
        """Replies to a registered server that does not listen are retried and given up."""
        submit(htp_gateway, declared())
        htp_gateway.play()
        with socket.socket() as bound:
            bound.bind((htp_gateway.host, 0))
            nowhere = SmtpServer(host=htp_gateway.host, port=bound.getsockname()[1], security=Security.PLAIN)
            htp_gateway.register(MAILBOX, nowhere)
            submit(htp_gateway, declared("2"))
            htp_gateway.play()
        assert (1, 1) == (len(htp_receiver.replies), len(htp_gateway.undelivered))


class TestTooLate:
    """A receiver that a test requests after its gateway would wait in vain, and raises an error."""

    def test_behind_a_gateway(self, htp_gateway: RunningGateway, request: pytest.FixtureRequest) -> None:
        """A gateway that started without a receiver pushes nothing to one, so requesting one is a usage error."""
        with pytest.raises(pytest.UsageError, match="name htp_receiver among the test's arguments"):
            request.getfixturevalue("htp_receiver")
        assert htp_gateway.declarant.password == PASSWORD

    def test_behind_a_gateway_that_was_asked_for_so(self, request: pytest.FixtureRequest) -> None:
        """The same holds if both are requested in the middle of a test."""
        request.getfixturevalue("htp_gateway")
        with pytest.raises(pytest.UsageError, match="htp_gateway already runs"):
            request.getfixturevalue("htp_receiver")

    def test_before_a_gateway(self, htp_receiver: RunningReceiver, request: pytest.FixtureRequest) -> None:
        """A gateway that is requested in the middle of a test pushes to the receiver of the test."""
        gateway: RunningGateway = request.getfixturevalue("htp_gateway")
        submit(gateway, declared())
        gateway.play()
        assert 1 == len(htp_receiver.routed)
        assert htp_receiver is request.getfixturevalue("htp_receiver")


class TestFetched:
    """Without a receiver, the declarant logs in and fetches its replies, as on the MSA interface."""

    def test_by_poplib(self, htp_gateway: RunningGateway) -> None:
        """A synchronous test sends with a login, and reads the mailbox by a foreign client."""
        submit(htp_gateway, declared(), login=True)
        htp_gateway.play()
        client = poplib.POP3(htp_gateway.host, htp_gateway.pop3_port or 0)
        client.user(MAILBOX)
        client.pass_(PASSWORD)
        subjects = [line for line in client.retr(1)[1] if line.startswith(b"Subject: ")]
        client.dele(1)
        client.quit()
        assert [f"Subject: [V= DMS4.NL][A= {PARTY}][K=1][S=0]".encode()] == subjects
        assert ((), 1) == (htp_gateway.mailbox().messages, len(htp_gateway.mailbox(MAILBOX).fetched))

    def test_a_login_is_needed(self, htp_gateway: RunningGateway) -> None:
        """A declarant with a password cannot send without it."""
        with pytest.raises(smtplib.SMTPResponseException) as caught:
            submit(htp_gateway, declared())
        assert (530, ()) == (caught.value.smtp_code, htp_gateway.received)

    async def test_by_our_own_client(self, htp_gateway: RunningGateway) -> None:
        """An asynchronous test has both servers as values for htpoort.transport."""
        mails: list[bytes] = []

        async def keep(_uidl: str, raw: bytes) -> None:
            mails.append(raw)

        await send(declared(), htp_gateway.smtp_server)
        htp_gateway.play()
        await Pop3Mailbox(htp_gateway.pop3_server).fetch(keep)
        assert 1 == len(mails)

    async def test_by_an_agent(self, htp_gateway: RunningGateway, htp_ledger: Ledger, htp_clock: RunningClock) -> None:
        """An agent in the test's own loop uses the same clock, and keeps its record in the empty ledger."""
        came: asyncio.Queue[StoredReply] = asyncio.Queue()
        declaration = declared("22096222734662")
        htp_ledger.exchanges.queue(declaration, at=htp_clock())
        agent = Agent(
            ledger=htp_ledger,
            router=Router(parties=[PARTY], sent=htp_ledger.sent),
            outboxes=[Outbox(server=htp_gateway.smtp_server)],
            inboxes=[Pop3Inbox(server=htp_gateway.pop3_server, poll_interval=timedelta(milliseconds=20))],
            deliveries={"DMS": came.put},
            clock=htp_clock,
        )
        async with asyncio.timeout(60), agent:
            await asyncio.to_thread(htp_gateway.wait_for, lambda: htp_gateway.sent, timeout=60)
            reply = await came.get()
        (story,) = htp_ledger.story("22096222734662")
        assert ("22096222734662", State.ANSWERED) == (reply.reference, story.exchange.state)


class TestAsynchronous:
    """A test with an event loop waits in a thread for what runs in its loop."""

    async def test_a_receiver_of_its_own(self, htp_gateway: RunningGateway) -> None:
        """A server in the test's loop gets its replies while `play` waits in a thread."""
        came: list[Incoming] = []

        async def keep(incoming: Incoming) -> None:
            came.append(incoming)

        async with Receiver(keep, hostname="mx.forwarder.example", mailboxes=[MAILBOX]) as receiver:
            ours = SmtpServer(host="127.0.0.1", port=receiver.port, security=Security.PLAIN)
            htp_gateway.register(MAILBOX, ours)
            await send(declared(), htp_gateway.smtp_server)
            await asyncio.to_thread(htp_gateway.play)
        assert 1 == len(came)

    async def test_waiting_in_the_loop(self, htp_gateway: RunningGateway) -> None:
        """A test that blocks its own loop fails in time, and the error shows what to write."""

        async def never(_incoming: Incoming) -> None: ...

        async with Receiver(never, hostname="mx.forwarder.example", mailboxes=[MAILBOX]) as receiver:
            ours = SmtpServer(host="127.0.0.1", port=receiver.port, security=Security.PLAIN)
            htp_gateway.register(MAILBOX, ours)
            await send(declared(), htp_gateway.smtp_server)
            with pytest.raises(TimeoutError, match=r"await asyncio\.to_thread\(htp_gateway\.play\)"):
                htp_gateway.play(timeout=0.2)


class TestClock:
    """The clock stands still until the test moves it."""

    def test_stands_still(self, htp_clock: RunningClock) -> None:
        """Also without a gateway, it moves as far as the test says."""
        began = htp_clock()
        htp_clock.advance(3 * DAY)
        assert (3 * DAY, UTC) == (htp_clock() - began, began.tzinfo)

    @pytest.mark.htp_script(
        faults=(SmtpFault(at=SmtpStep.RCPT, action=FaultAction.GREYLIST, after=timedelta(minutes=5)),)
    )
    def test_is_the_gateways(
        self, htp_gateway: RunningGateway, htp_receiver: RunningReceiver, htp_clock: RunningClock
    ) -> None:
        """A greylisted sender is accepted when the clock has moved; then the replies start."""
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            submit(htp_gateway, declared())
        htp_clock.advance(timedelta(minutes=5))
        submit(htp_gateway, declared())
        htp_clock.advance(timedelta(0))
        assert 1 == len(htp_receiver.replies)


class TestWaiting:
    """A test can wait for software in the background."""

    def test_until_it_is_so(self, htp_gateway: RunningGateway, htp_receiver: RunningReceiver) -> None:
        """A test can wait for a declaration of another thread."""
        thread = threading.Thread(target=submit, args=(htp_gateway, declared()))
        thread.start()
        htp_gateway.wait_for(lambda: htp_receiver.replies, timeout=60)
        thread.join()
        assert 1 == len(htp_gateway.received)

    def test_in_vain(self, htp_gateway: RunningGateway) -> None:
        """If the condition stays false, the error says so, and what the gateway saw."""
        text = r"still false after 0\.05 seconds; the gateway has 0 accepted, 0 refused, 0 replies sent"
        with pytest.raises(TimeoutError, match=text):
            htp_gateway.wait_for(lambda: htp_gateway.received, timeout=0.05)

    def test_in_vain_while_time_stands_still(
        self, htp_gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same holds with a frozen time, as by freezegun: calls are counted, and no clock is read."""
        looks: list[None] = []

        def never() -> bool:
            looks.append(None)
            assert len(looks) < 1000
            return False

        with monkeypatch.context() as frozen:
            frozen.setattr(time, "monotonic", lambda: 0.0)
            with pytest.raises(TimeoutError, match="still false after"):
                htp_gateway.wait_for(never, timeout=0.05)

    def test_an_error_of_what_is_done(self) -> None:
        """An error in the loop reaches the test unchanged, also a TimeoutError."""

        async def late() -> None:
            message = "too late"
            raise TimeoutError(message)

        with Background() as background, pytest.raises(TimeoutError, match="too late"):
            background.call(late, timeout=60)


class TestMarkers:
    """Markers define what the gateway does."""

    @pytest.mark.htp_script(Script(scenarios=()))
    def test_a_script(self, htp_gateway: RunningGateway, htp_receiver: RunningReceiver) -> None:
        """A script as a value: there are no replies."""
        submit(htp_gateway, declared())
        htp_gateway.play()
        assert (1, ()) == (len(htp_gateway.received), htp_receiver.replies)

    @pytest.mark.htp_script("../../examples/scenarios/three-days.toml")
    def test_a_file(self, htp_gateway: RunningGateway, htp_receiver: RunningReceiver, htp_clock: RunningClock) -> None:
        """A script from a file, with its path from the test's own folder."""
        began = htp_clock()
        submit(htp_gateway, declared())
        htp_gateway.play()
        assert (3, 3 * DAY) == (len(htp_receiver.routed), htp_clock() - began)

    @pytest.mark.htp_script(Script(scenarios=(Scenario(replies=(ScriptedReply(kind=ReplyKind.CONTROL),)),)))
    @pytest.mark.htp_scenario(
        Scenario(reference="2", replies=()), Scenario(reference="3", replies=(ScriptedReply(),) * 2)
    )
    @pytest.mark.htp_scenario(system="AGS", replies=(ScriptedReply(kind=ReplyKind.REJECTION),))
    def test_scenarios_before_the_scripts_own(self, htp_gateway: RunningGateway, htp_receiver: RunningReceiver) -> None:
        """Scenarios of markers come first, then those of the script."""
        for declaration in (declared("1"), declared("2"), declared("3"), declared("4", system=AGS)):
            submit(htp_gateway, declaration)
        htp_gateway.play()
        kinds = {"1": [ReplyKind.CONTROL], "3": [ReplyKind.ACCEPTANCE] * 2, "4": [ReplyKind.REJECTION]}
        told = {
            reference: [
                sent.scripted.kind for sent in htp_gateway.sent if sent.declaration.envelope.reference == reference
            ]
            for reference in ("1", "2", "3", "4")
        }
        assert ({"2": []} | kinds, 4) == (told, len(htp_receiver.replies))

    @pytest.mark.htp_scenario(replies=(ScriptedReply(kind=ReplyKind.REJECTION),))
    def test_a_scenario_alone(self, htp_gateway: RunningGateway) -> None:
        """Without a script only the scenarios of the marker apply."""
        submit(htp_gateway, declared(), login=True)
        htp_gateway.play()
        assert [ReplyKind.REJECTION] == [sent.scripted.kind for sent in htp_gateway.sent]

    @pytest.mark.htp_tls
    def test_tls(self, htp_gateway: RunningGateway) -> None:
        """With TLS all four ports are open, and their certificate is of the given authority."""
        context = ssl.create_default_context(cafile=str(htp_gateway.ca_file))
        declaration = declared()
        with smtplib.SMTP_SSL(htp_gateway.host, htp_gateway.smtps_port or 0, context=context) as client:
            client.login(MAILBOX, PASSWORD)
            client.sendmail(declaration.mail_from, [declaration.rcpt_to], declaration.data)
        htp_gateway.play()
        plain = poplib.POP3(htp_gateway.host, htp_gateway.pop3_port or 0)
        plain.stls(context)
        safe = poplib.POP3_SSL(htp_gateway.host, htp_gateway.pop3s_port or 0, context=context)
        for mailbox in (plain, safe):
            mailbox.user(MAILBOX)
            mailbox.pass_(PASSWORD)
            assert 1 == mailbox.stat()[0]
            mailbox.quit()

    @pytest.mark.htp_tls(client=ClientCertificate.REQUIRED)
    async def test_tls_with_a_certificate_of_the_client(self, htp_gateway: RunningGateway) -> None:
        """The marker has the fields of GatewayTls; the server values have the certificate that a client must show."""
        await send(declared(), htp_gateway.smtp_server)
        assert (Security.STARTTLS, Security.STARTTLS) == (
            htp_gateway.smtp_server.security,
            htp_gateway.pop3_server.security,
        )
        assert 1 == len(htp_gateway.received)

    @pytest.mark.htp_tls
    def test_nothing_before_tls(self, htp_gateway: RunningGateway) -> None:
        """Software that forgets STARTTLS fails: no login is offered, and everything is refused."""
        with pytest.raises(smtplib.SMTPNotSupportedError, match="AUTH"):
            submit(htp_gateway, declared(), login=True)
        with pytest.raises(smtplib.SMTPResponseException) as caught:
            submit(htp_gateway, declared())
        assert (530, ()) == (caught.value.smtp_code, htp_gateway.received)

    @pytest.mark.htp_tls(require_tls=False)
    def test_tls_that_is_only_offered(self, htp_gateway: RunningGateway) -> None:
        """The marker can allow connections in the clear."""
        submit(htp_gateway, declared(), login=True)
        assert 1 == len(htp_gateway.received)

    def test_no_tls(self, htp_gateway: RunningGateway) -> None:
        """Without the marker there is no TLS, and no authority."""
        assert (None, None, None) == (htp_gateway.ca_file, htp_gateway.smtps_port, htp_gateway.pop3s_port)

    @pytest.mark.parametrize(
        ("marker", "text"),
        [
            (pytest.mark.htp_script(1), "The marker htp_script has 1; give a Script."),
            (
                pytest.mark.htp_script(Script(), Script()),
                "The marker htp_script takes one Script, or its fields by name.",
            ),
            (
                pytest.mark.htp_script("x.toml", per_hour=1),
                "The marker htp_script takes one Script, or its fields by name.",
            ),
        ],
    )
    def test_what_no_script_is(self, tmp_path: Path, marker: pytest.MarkDecorator, text: str) -> None:
        """The error about a wrong marker has its name."""
        with pytest.raises(InputError) as caught:
            _fixtures.script([marker.mark], [], tmp_path)
        assert text == str(caught.value).splitlines()[0]

    @pytest.mark.parametrize(
        ("marker", "text"),
        [
            (pytest.mark.htp_scenario("x"), "The marker htp_scenario has 'x'; give a Scenario."),
            (
                pytest.mark.htp_scenario(Scenario(), name="x"),
                "The marker htp_scenario takes Scenario values, or the fields of one by name, but not both.",
            ),
        ],
    )
    def test_what_no_scenario_is(self, tmp_path: Path, marker: pytest.MarkDecorator, text: str) -> None:
        """The same for a scenario."""
        with pytest.raises(InputError) as caught:
            _fixtures.script([], [marker.mark], tmp_path)
        assert text == str(caught.value).splitlines()[0]

    @pytest.mark.parametrize(
        ("marker", "field"),
        [
            (pytest.mark.htp_scenario(kynd=1), "kynd"),
            (pytest.mark.htp_scenario(replies=ScriptedReply()), "ScriptedReply"),
            (pytest.mark.htp_scenario(replies=(ScriptedReply(), "release")), "'str'"),
            (pytest.mark.htp_script(per_our=1), "per_our"),
            (pytest.mark.htp_script(per_hour="1"), "'str'"),
            (pytest.mark.htp_tls(polcy=3), "polcy"),
            (pytest.mark.htp_tls(certificate="x", polcy=3), "polcy"),
        ],
    )
    def test_what_no_field_is(self, tmp_path: Path, marker: pytest.MarkDecorator, field: str) -> None:
        """The error about an unknown field, or a value of a wrong type, has the name of the marker."""
        name, mark = marker.mark.name, marker.mark
        made = {
            "htp_script": lambda: _fixtures.script([mark], [], tmp_path),
            "htp_scenario": lambda: _fixtures.script([], [mark], tmp_path),
            "htp_tls": lambda: _fixtures.tls(mark, lambda: _fixtures.certificates(tmp_path)),
        }
        with pytest.raises(InputError, match=rf"^The marker {name} cannot be used: .*{field}") as caught:
            made[name]()
        assert ["testing.marker"] == [one.code for one in caught.value.problems]

    def test_certificates_of_ones_own(self, tmp_path: Path) -> None:
        """A GatewayTls, or its files by name, is used unchanged, and no certificate is made."""
        made = _fixtures.certificates(tmp_path)

        def never() -> None:
            raise AssertionError

        for marker in (pytest.mark.htp_tls(made), pytest.mark.htp_tls(**attrs.asdict(made, recurse=False))):
            assert made == _fixtures.tls(marker.mark, never)  # type: ignore[arg-type]


class TestDeclarants:
    """The user's own fixtures name other declarants and parties."""

    @pytest.fixture
    def htp_declarants(self) -> Sequence[Declarant]:
        """Name two declarants, one with a login."""
        return (Declarant(mailbox="ags@forwarder.example"), Declarant(mailbox=MAILBOX, password=PASSWORD))

    @pytest.fixture
    def htp_parties(self) -> Sequence[str]:
        """Name another party."""
        return ("NL123456789.03.05",)

    def test_are_known(self, htp_gateway: RunningGateway, htp_receiver: RunningReceiver) -> None:
        """Both get replies by push, one by POP3 too; a reply for another party is quarantined."""
        submit(htp_gateway, declared(mailbox="ags@forwarder.example"))
        submit(htp_gateway, declared("2"), login=True)
        htp_gateway.play()
        assert ["ags@forwarder.example", MAILBOX] == [reply.incoming.rcpt_to for reply in htp_receiver.replies]
        assert [Reason.UNKNOWN_ADDRESSEE] * 2 == [verdict.reason for verdict in htp_receiver.quarantined]
        assert 1 == len(htp_gateway.mailbox(MAILBOX).messages)
        with pytest.raises(LookupError, match=r"ags@forwarder\.example has no POP3 mailbox"):
            _ = htp_gateway.pop3_server

    @pytest.mark.htp_scenario(replies=(ScriptedReply(fault=ReplyFault.WRONG_MAILBOX),))
    def test_in_the_wrong_mailbox(self, htp_gateway: RunningGateway, htp_receiver: RunningReceiver) -> None:
        """A stray reply arrives for the other declarant, whose party it does not name."""
        submit(htp_gateway, declared(), login=True)
        htp_gateway.play()
        assert [("ags@forwarder.example", ())] == [
            (reply.incoming.rcpt_to, htp_gateway.mailbox(MAILBOX).messages) for reply in htp_receiver.replies
        ]
        assert [Reason.UNKNOWN_ADDRESSEE] == [verdict.reason for verdict in htp_receiver.quarantined]

    def test_are_needed(self, htp_clock: RunningClock) -> None:
        """A gateway without declarants is refused."""
        with (
            Background() as background,
            pytest.raises(InputError, match="htp_declarants is empty"),
            _fixtures.gateway(background, clock=htp_clock, declarants=(), receiver=None, script=Script(), tls=None),
        ):
            pass
