"""Checking a configuration: everything that it names is tried, all findings are reported, and nothing is sent."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from agents import MAILBOX, PARTY, declaration, reply
from disk import failing_disk
from wall_clock import in_amsterdam

from htpoort import DMS, Objection, Outcome, PartyId, Router
from htpoort.config import AgentConfig, Finding, Verdict, check, read_agent_in_part
from htpoort.config.disk_checks import free_space, other_owner
from htpoort.ledger import Ledger
from htpoort.simulator import Declarant, Gateway, GatewayTls

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
BASE = f'parties = ["{PARTY}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'
NOTHING_SENT = ("warning", "outbox", "missing", "There is no [[outbox]], so nothing is sent.")
NOTHING_IN = ("warning", "pop3", "missing", "There is neither [[pop3]] nor [[smtp]], so no reply comes in.")

Read = Callable[..., AgentConfig]


def short(findings: tuple[Finding, ...]) -> list[tuple[str, str, str, str]]:
    """Return verdict, part, check and message of each finding."""
    return [(one.verdict.value, one.part, one.check, one.message) for one in findings]


def only(findings: tuple[Finding, ...], part: str, which: str) -> Finding:
    """Return the one finding of a check."""
    (found,) = (one for one in findings if (one.part, one.check) == (part, which))
    return found


@pytest.fixture
def ledger(folder: Path) -> Ledger:
    """Create the ledger of the configuration."""
    return Ledger.open(f"sqlite:///{folder / 'htpoort.db'}")


def sent(ledger: Ledger, reference: str, *, at: datetime) -> None:
    """Queue a declaration, and record that the mail server accepted it."""
    ledger.exchanges.queue(declaration(reference), at=at)
    claims = ledger.exchanges.claim_soon(["DMS"], owner="a", most=1, at=at, lease=timedelta(minutes=2))
    for claimed in claims.result():
        ledger.exchanges.settle_soon(claimed, Outcome.ACCEPTED, at=at).result()


async def checked_in_part(environ: dict[str, str]) -> tuple[Finding, ...]:
    """Check a file of which a part may be missing."""
    read = read_agent_in_part("htpoort.toml", environ=environ)
    return await check(read.config, at=NOW, missing=read.missing)


class TestTheWhole:
    """One configuration with everything."""

    async def test_all_is_well(self, folder: Path, read: Read) -> None:
        """Every part is there with its checks, in the order of the file; the gateway gets no message."""
        tls = GatewayTls.made(folder)
        Ledger.open(f"sqlite:///{folder / 'htpoort.db'}").close()
        (folder / "out").mkdir()
        async with Gateway(tls=tls, declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as gateway:
            config = read(
                f'{BASE}[[outbox]]\nserver = "localhost"\nport = {gateway.smtp_port}\nca_file = "{tls.ca_file}"\n'
                f'username = "{MAILBOX}"\npassword_env = "SECRET"\nsystems = ["DMS"]\n'
                f'[[pop3]]\nserver = "localhost"\nport = {gateway.pop3s_port}\nca_file = "{tls.ca_file}"\n'
                f'username = "{MAILBOX}"\npassword_env = "SECRET"\n'
                f'[[smtp]]\nhostname = "forwarder.example"\nmailboxes = ["{MAILBOX}"]\nport = 0\n'
                '[[delivery]]\nsystem = "DMS"\ndirectory = "replies/{system}/{party}"\n'
                f'[[folder]]\npath = "out"\nmailbox = "{MAILBOX}"\npattern = "{{party}}/{{reference}}.xml"\n',
                {"SECRET": "geheim"},
            )
            reported: list[Finding] = []
            findings = await check(config, at=NOW, report=reported.append)
            received, waiting = gateway.received, gateway.refused

        assert {Verdict.OK} == {one.verdict for one in findings}, short(findings)
        assert [
            ("ledger", "open"),
            ("ledger", "clock"),
            ("ledger", "traffic"),
            ("disk", "space"),
            *(("outbox[0]", step) for step in ("resolve", "connect", "tls", "login", "answer")),
            *(("pop3[0]", step) for step in ("resolve", "connect", "tls", "login", "answer")),
            ("smtp[0]", "listen"),
            ("delivery DMS", "write"),
            ("folder[0]", "write"),
        ] == [(one.part, one.check) for one in findings]
        assert reported == list(findings)
        assert ([], []) == (received, waiting)
        assert [] == [name for _, _, names in os.walk(folder) for name in names if "self-test" in name]

    async def test_nothing_is_there(self, read: Read) -> None:
        """Only what is needed: the ledger is created by the first run, and is not created here."""
        config = read(BASE)
        findings = await check(config, at=NOW)
        folder = Path.cwd()

        assert [
            ("warning", "ledger", "open", f"The ledger {folder / 'htpoort.db'} does not exist."),
            only(findings, "disk", "space").verdict.value,
            NOTHING_SENT,
            NOTHING_IN,
        ] == [one if one[1] != "disk" else one[0] for one in short(findings)]
        assert not (folder / "htpoort.db").exists()
        assert (
            "htpoort run creates an empty one. If there should be one, [ledger] of htpoort.toml has the wrong url."
            == findings[0].advice
        )

    async def test_all_that_is_wrong_is_found_at_once(self, folder: Path, ledger: Ledger, read: Read) -> None:
        """A server, a delivery and a folder that do not work hide nothing of each other."""
        ledger.close()
        (folder / "out").mkdir()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            config = read(
                f'{BASE}[[outbox]]\nserver = "127.0.0.1"\nport = {port}\nsecurity = "plain"\n'
                '[[delivery]]\nsystem = "DMS"\nmaildir = "replies"\n'
                f'[[folder]]\npath = "out"\nmailbox = "{MAILBOX}"\nparty = "{PARTY}"\n'
            )
            (folder / "replies").write_text("a file in its place")
            (folder / "out" / "bad").write_text("a file in its place")
            findings = await check(config, at=NOW)

        assert [
            ("outbox[0]", "connect", f"127.0.0.1:{port}: Connection refused."),
            (
                "delivery DMS",
                "write",
                f"Replies of DMS cannot be delivered to {folder / 'replies'}: File exists.",
            ),
            ("folder[0]", "write", f"{folder / 'out' / 'bad'}: File exists."),
        ] == [(one.part, one.check, one.message) for one in findings if one.verdict is Verdict.WRONG]
        assert (
            "warning",
            "delivery AGS",
            "missing",
            "Declarations to AGS are sent, but its replies are only stored: it has no [[delivery]].",
        ) in short(findings)

    async def test_without_the_passwords(self, folder: Path, ledger: Ledger) -> None:
        """If they could not be read, servers are tried up to the login, and no stand-in is ever sent."""
        ledger.close()
        async with Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as gateway:
            (folder / "htpoort.toml").write_text(
                f'{BASE}[[outbox]]\nserver = "127.0.0.1"\nport = {gateway.smtp_port}\nsecurity = "plain"\n'
                f'username = "{MAILBOX}"\npassword_env = "SECRET"\nsystems = ["DMS"]\n'
                f'[[pop3]]\nserver = "127.0.0.1"\nport = {gateway.pop3_port}\nsecurity = "plain"\n'
                f'username = "{MAILBOX}"\npassword_env = "SECRET"\n'
                '[[delivery]]\nsystem = "DMS"\ndirectory = "replies"\n'
            )
            findings = await checked_in_part({})
            failed = gateway.failed_logins

        assert [
            ("outbox[0]", "login", "The login was not tried."),
            ("pop3[0]", "login", "The login was not tried."),
        ] == [(one.part, one.check, one.message) for one in findings if one.verdict is not Verdict.OK]
        assert [] == failed

    async def test_one_password_is_missing(self, folder: Path, ledger: Ledger) -> None:
        """Every server whose password is there gets its login, whatever is missing elsewhere in the file."""
        ledger.close()
        account = f'server = "127.0.0.1"\nsecurity = "plain"\nusername = "{MAILBOX}"\n'
        (folder / "empty").touch()
        async with Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as gateway:
            smtp, pop3 = f"port = {gateway.smtp_port}\n", f"port = {gateway.pop3_port}\n"
            (folder / "htpoort.toml").write_text(
                f'{BASE}[[outbox]]\n{account}{smtp}password_env = "SECRET"\nsystems = ["DMS"]\n'
                f'[[outbox]]\n{account}{smtp}password_file = "gone"\nsystems = ["AGS"]\n'
                f'[[pop3]]\n{account.replace(MAILBOX, "other")}{pop3}password_file = "empty"\n'
                f'[[pop3]]\n{account}{pop3}password_env = "SECRET"\n'
                '[[delivery]]\nsystem = "DMS"\ncommand = ["./gone.sh"]\n'
                '[[delivery]]\nsystem = "AGS"\ndirectory = "replies"\n'
                f'[[folder]]\npath = "out"\nmailbox = "{MAILBOX}"\nparty = "{PARTY}"\n'
            )
            read = read_agent_in_part("htpoort.toml", environ={"SECRET": "geheim"})
            findings = await checked_in_part({"SECRET": "geheim"})
            failed = gateway.failed_logins

        assert [
            f"htpoort.toml:16: outbox[1].password_file: {folder / 'gone'} cannot be read: No such file or directory.",
            f"htpoort.toml:23: pop3[0].password_file: {folder / 'empty'} is empty; write the password into it.",
        ] == [problem.message for problem in read.problems]
        assert [
            ("outbox[0]", "login", "ok", f"logged in as {MAILBOX}."),
            ("outbox[1]", "login", "warning", "The login was not tried."),
            ("pop3[0]", "login", "warning", "The login was not tried."),
            ("pop3[1]", "login", "ok", f"logged in as {MAILBOX}."),
        ] == [(one.part, one.check, one.verdict.value, one.message) for one in findings if one.check == "login"]
        assert [] == failed
        # What is tried is not looked for before: it has one finding.
        assert [("delivery DMS", "write"), ("folder[0]", "write")] == [
            (one.part, one.check) for one in findings if one.verdict is Verdict.WRONG
        ]
        found = only(findings, "folder[0]", "write")
        assert (f"The folder {folder / 'out'} does not exist.", "Create it.") == (found.message, found.advice)

    async def test_one_certificate_is_missing(self, folder: Path, ledger: Ledger) -> None:
        """A server is tried up to TLS without its files, and others in full; a file has one finding."""
        ledger.close()
        tls = GatewayTls.made(folder)
        async with Gateway(tls=tls, declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as gateway:
            account = f'server = "localhost"\nusername = "{MAILBOX}"\npassword_env = "SECRET"\n'
            (folder / "htpoort.toml").write_text(
                f'{BASE}[[outbox]]\n{account}port = {gateway.smtp_port}\nca_file = "gone.pem"\nsystems = ["DMS"]\n'
                f'[[pop3]]\n{account}port = {gateway.pop3s_port}\nca_file = "{tls.ca_file}"\n'
                f'[[smtp]]\nhostname = "forwarder.example"\nmailboxes = ["{MAILBOX}"]\nport = 0\n'
                'certificate = "own.pem"\n'
                '[[delivery]]\nsystem = "DMS"\ndirectory = "replies"\n'
            )
            read = read_agent_in_part("htpoort.toml", environ={"SECRET": "geheim"})
            findings = await checked_in_part({"SECRET": "geheim"})

        assert ["outbox[0].ca_file", "smtp[0].certificate"] == [problem.message.split()[1] for problem in read.problems]
        assert [
            ("outbox[0]", "resolve", "ok"),
            ("outbox[0]", "connect", "ok"),
            ("outbox[0]", "tls", "warning"),
            *(("pop3[0]", step, "ok") for step in ("resolve", "connect", "tls", "login", "answer")),
            ("smtp[0]", "listen", "ok"),
        ] == [(one.part, one.check, one.verdict.value) for one in findings if one.part[-1] == "]"]


class TestReporting:
    """Findings are reported one by one, as soon as they are there."""

    async def test_a_report_that_fails(self, read: Read) -> None:
        """What the reporter raises, as when the reader of a pipe has enough, ends the check as itself."""

        def gone(_: Finding) -> None:
            raise BrokenPipeError

        with pytest.raises(BrokenPipeError):
            await check(read(BASE), at=NOW, report=gone)


class TestTheLedger:
    """What only the ledger knows."""

    async def test_it_cannot_be_written(self, ledger: Ledger, read: Read) -> None:
        """A disk that refuses writes is found before an agent needs it."""
        ledger.close()
        config = read(BASE)
        with failing_disk():
            findings = await check(config, at=NOW)

        assert (Verdict.WRONG, "open") == (findings[0].verdict, findings[0].check)
        assert findings[0].advice

    async def test_it_is_of_another_program(self, folder: Path, read: Read) -> None:
        """A file that is no ledger is left alone."""
        (folder / "htpoort.db").write_text("something else, longer than the header of a database file" * 9)
        findings = await check(read(BASE), at=NOW)

        assert (Verdict.WRONG, "ledger", "open") == (findings[0].verdict, findings[0].part, findings[0].check)
        assert findings[0].message.endswith("cannot be opened.")

    @pytest.mark.parametrize(("ahead", "verdict"), [(timedelta(minutes=1), "ok"), (timedelta(hours=1), "wrong")])
    async def test_the_clock(self, ledger: Ledger, read: Read, ahead: timedelta, verdict: str) -> None:
        """A record from the future means that a clock is, or was, wrong."""
        with ledger:
            ledger.exchanges.queue(declaration("K1"), at=NOW + ahead)
        found = only(await check(read(BASE), at=NOW), "ledger", "clock")

        assert verdict == found.verdict.value
        assert f"newest record of the ledger is from {(NOW + ahead).isoformat(' ')}." in found.message

    @pytest.mark.parametrize(
        ("answered", "verdict", "message"),
        [
            (
                None,
                "warning",
                f"Nothing came in for 24 hours, though K1 of {PARTY} has waited for a reply since 2026-11-01 11:59:00",
            ),
            (NOW - timedelta(hours=25), "warning", ""),
            (NOW - timedelta(hours=1), "ok", "The last message came in at 2026-11-02 11:00:00+00:00."),
        ],
    )
    async def test_silence(
        self, ledger: Ledger, read: Read, answered: datetime | None, verdict: str, message: str
    ) -> None:
        """Nothing at all came in for a day, while a declaration has waited for longer."""
        with ledger:
            sent(ledger, "K1", at=NOW - timedelta(hours=24, minutes=1))
            if answered is not None:
                # A reply to something else, or a message that nobody can route: it shows that the way is open.
                ledger.replies.take_in(Router(parties=[PARTY]), reply("K2"), mail_from=None, at=answered)
        found = only(await check(read(BASE), at=NOW), "ledger", "traffic")

        assert verdict == found.verdict.value
        assert message in found.message

    async def test_a_release_is_nothing_that_came(self, ledger: Ledger, read: Read) -> None:
        """A person who releases what came long ago does not show that messages still come in."""
        with ledger:
            sent(ledger, "K1", at=NOW - timedelta(hours=30))
            strange = reply("K2").replace(PARTY.encode(), b"NL123456789.03.05")
            stored = ledger.replies.take_in(
                Router(parties=[PARTY]), strange, mail_from=None, at=NOW - timedelta(hours=29)
            )
            ledger.quarantine.release(
                stored.key,
                system=DMS,
                party=PartyId.parse(PARTY),
                at=NOW - timedelta(hours=1),
                reference="K2",
                despite=[Objection.OTHER_PARTY],
                reason="ours",
            )
        found = only(await check(read(BASE), at=NOW), "ledger", "traffic")

        assert Verdict.WARNING is found.verdict

    async def test_times_are_local(self, ledger: Ledger, read: Read) -> None:
        """A person reads the clock on the wall, with its distance from UTC."""
        with in_amsterdam(), ledger:
            ledger.servers.record_pause("SMTP mail.example:25", since=NOW, next_try=NOW, why="535 no.")
            findings = await check(read(BASE), at=NOW)

        assert "It is 2026-11-02 13:00:00+01:00." == only(findings, "ledger", "clock").message
        paused = only(findings, "ledger", "paused").message
        assert "SMTP mail.example:25 has been paused since 2026-11-02 13:00:00+01:00: 535 no." == paused

    async def test_silence_is_a_matter_of_hours(self, ledger: Ledger, read: Read) -> None:
        """What is too short for one office is long for another."""
        with ledger:
            sent(ledger, "K1", at=NOW - timedelta(hours=3))
        quiet = await check(read(BASE), at=NOW, silence=timedelta(hours=4))
        long = await check(read(BASE), at=NOW, silence=timedelta(hours=2))

        assert "No declaration has waited 4 hours for a reply." == only(quiet, "ledger", "traffic").message
        assert Verdict.WARNING is only(long, "ledger", "traffic").verdict

    async def test_a_server_that_the_agent_leaves_alone(self, ledger: Ledger, read: Read) -> None:
        """The reason is the agent's, and the command that ends the pause is named."""
        with ledger:
            ledger.servers.record_pause("SMTP mail.example:25", since=NOW, next_try=NOW, why="535 no.")
        found = only(await check(read(BASE), at=NOW), "ledger", "paused")

        assert Verdict.WARNING is found.verdict
        assert "SMTP mail.example:25 has been paused since 2026-11-02 12:00:00+00:00: 535 no." == found.message
        advice = "When the cause is mended, htpoort resume 'SMTP mail.example:25' lets it be tried at once."
        assert advice == found.advice


class TestDisks:
    """The space that is left."""

    def test_verdicts(self, tmp_path: Path) -> None:
        """Scarce is a warning, full is wrong."""
        many = 2**62

        assert Verdict.OK is free_space(["ledger"], tmp_path, scarce=0, full=0).verdict
        assert Verdict.WARNING is free_space(["ledger"], tmp_path, scarce=many, full=0).verdict
        assert Verdict.WRONG is free_space(["ledger"], tmp_path, scarce=many, full=many).verdict

    def test_what_is_there_is_named(self, tmp_path: Path) -> None:
        """The folder, and what is written there."""
        message = free_space(["ledger", "delivery DMS"], tmp_path).message

        assert message.endswith(f" GiB are free on the disk of {tmp_path} (ledger, delivery DMS).")

    def test_a_folder_that_is_gone(self, tmp_path: Path) -> None:
        """A disk that is not mounted."""
        found = free_space(["ledger"], tmp_path / "gone")

        assert (Verdict.WRONG, f"{tmp_path / 'gone'} (ledger): No such file or directory.") == (
            found.verdict,
            found.message,
        )


class TestListening:
    """Where an agent would listen."""

    @staticmethod
    def text(port: int, host: str = "127.0.0.1", more: str = "") -> str:
        return (
            f'{BASE}[[smtp]]\nhostname = "forwarder.example"\nmailboxes = ["{MAILBOX}"]\nport = {port}\n'
            f'host = "{host}"\n{more}'
        )

    async def test_the_agent_runs(self, ledger: Ledger, read: Read) -> None:
        """A port that is in use by the agent of this configuration is as it should be."""
        with ledger:
            running = read(self.text(0)).agent(ledger)
            async with running:
                found = only(await check(read(self.text(running.ports[0])), at=NOW), "smtp[0]", "listen")

        assert (Verdict.OK, f"An agent listens at 127.0.0.1:{running.ports[0]}.") == (found.verdict, found.message)

    async def test_another_program_listens(self, read: Read) -> None:
        """It is named as another; it may still be an agent that does not talk to this machine."""

        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 somebody.example ESMTP\r\n")
            writer.close()

        async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            found = only(await check(read(self.text(port)), at=NOW), "smtp[0]", "listen")

        assert (Verdict.WARNING, f"Another program listens at 127.0.0.1:{port}.") == (found.verdict, found.message)
        assert "If that is not the agent of this configuration, stop it, or give another port." == found.advice

    async def test_an_address_of_another_machine(self, read: Read) -> None:
        """It cannot be listened on."""
        found = only(await check(read(self.text(2525, host="192.0.2.1")), at=NOW), "smtp[0]", "listen")

        assert (
            Verdict.WRONG,
            "192.0.2.1:2525: Cannot assign requested address.",
            "Give an address of this machine.",
        ) == (
            found.verdict,
            found.message,
            found.advice,
        )


class TestOwnCertificates:
    """Our own certificate ends on a day that nobody remembers."""

    @pytest.mark.parametrize(
        ("end", "verdict"),
        [
            (datetime(2099, 1, 31, tzinfo=UTC), "ok"),
            (datetime(2026, 11, 20, tzinfo=UTC), "warning"),
            (datetime(2026, 11, 1, tzinfo=UTC), "wrong"),
        ],
    )
    async def test_days(self, folder: Path, read: Read, end: datetime, verdict: str) -> None:
        """Of an outbox and of a listener, by the files that the configuration names."""
        issued = trustme.CA().issue_cert("forwarder.example", not_after=end, key_type=trustme.KeyType.RSA)
        issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "own.pem"))
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            findings = await check(
                read(
                    TestListening.text(0, more='certificate = "own.pem"\n')
                    + f'[[outbox]]\nserver = "127.0.0.1"\nport = {unused.getsockname()[1]}\ncertificate = "own.pem"\n'
                ),
                at=NOW,
            )
        found = only(findings, "outbox[0]", "certificate"), only(findings, "smtp[0]", "certificate")

        assert [verdict, verdict] == [one.verdict.value for one in found]
        shown = "is valid until 2099-01-31." if end.year == 2099 else end.isoformat(" ")
        assert all(shown in one.message for one in found)

    async def test_the_certificate_of_a_server(self, folder: Path, read: Read) -> None:
        """Ten days are left of that of a server; the names and the days are in the finding."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        issued = authority.issue_cert(
            "localhost", not_after=datetime(2099, 1, 31, tzinfo=UTC), key_type=trustme.KeyType.RSA
        )
        issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        tls = GatewayTls(certificate=folder / "server.pem", ca_file=folder / "ca.pem")
        async with Gateway(tls=tls) as gateway:
            config = read(f'{BASE}[[outbox]]\nserver = "localhost"\nport = {gateway.smtp_port}\nca_file = "ca.pem"\n')
            found = only(await check(config, at=datetime(2099, 1, 21, tzinfo=UTC)), "outbox[0]", "tls")

        assert Verdict.WARNING is found.verdict
        assert (
            "TLSv1.3, with a certificate for localhost, 10 days left, until 2099-01-31 00:00:00+00:00." == found.message
        )


class TestFolders:
    """Folders of declarations."""

    async def test_refused_files(self, folder: Path, read: Read) -> None:
        """What was refused waits for a person."""
        (folder / "out" / "bad").mkdir(parents=True)
        (folder / "out" / "bad" / "K 1.xml").write_text("<a/>")
        (folder / "out" / "bad" / "K 1.xml.reason.txt").write_text("no")
        (folder / "out" / "K2.xml").write_text("<a/>")
        findings = await check(
            read(f'{BASE}[[folder]]\npath = "out"\nmailbox = "{MAILBOX}"\nparty = "{PARTY}"\n'), at=NOW
        )

        assert (
            f"{folder / 'out'} can be used; files that wait in it: 1. "
            f"The agent creates sent in {folder / 'out'} when it starts."
        ) == only(findings, "folder[0]", "write").message
        found = only(findings, "folder[0]", "refused")
        assert (Verdict.WARNING, f"Files that were refused, and are in {folder / 'out' / 'bad'}: 1.") == (
            found.verdict,
            found.message,
        )

    async def test_files_of_another_form(self, folder: Path, read: Read) -> None:
        """What is never sent is named, also if it has only just been written."""
        (folder / "out").mkdir()
        (folder / "out" / "K9.XML").write_text("<a/>")
        findings = await check(
            read(f'{BASE}[[folder]]\npath = "out"\nmailbox = "{MAILBOX}"\nparty = "{PARTY}"\n'), at=NOW
        )

        found = only(findings, "folder[0]", "left-alone")
        why = "only files of the form {reference}.xml are sent; upper and lower case differ."
        assert (Verdict.WARNING, f"K9.XML in {folder / 'out'} is left alone: {why}") == (found.verdict, found.message)
        assert "Rename what is to be sent, and move everything else away." == found.advice


class TestNothingIsLeftBehind:
    """A check may run as any user at any time, and changes nothing."""

    CONFIG = (
        f'{BASE}[[folder]]\npath = "out"\nmailbox = "{MAILBOX}"\nparty = "{PARTY}"\n'
        '[[delivery]]\nsystem = "DMS"\ndirectory = "replies/{system}/{party}"\n'
        '[[delivery]]\nsystem = "AGS"\nmaildir = "mail/ags"\n'
    )

    async def test_what_is_missing_is_named(self, folder: Path, ledger: Ledger, read: Read) -> None:
        """No folder is created that stays; each that an agent will create is named with its parent."""
        ledger.close()
        (folder / "out").mkdir()
        config = read(self.CONFIG)
        before = list(os.walk(folder))
        findings = await check(config, at=NOW)

        assert before == list(os.walk(folder))
        replies, mail, out = folder / "replies" / "{system}" / "{party}", folder / "mail" / "ags", folder / "out"
        assert [
            f"Replies can be delivered: directory {replies}. The agent creates replies/DMS in {folder} when it starts.",
            f"Replies can be delivered: Maildir {mail}. The agent creates mail/ags in {folder} when it starts.",
            f"{out} can be used; files that wait in it: 0. The agent creates sent and bad in {out} when it starts.",
        ] == [one.message for one in findings if one.check == "write"]

    async def test_a_part_of_a_maildir_is_missing(self, folder: Path, read: Read) -> None:
        """Only what is missing is named, and it is tried with what is there."""
        (folder / "mail" / "ags" / "new").mkdir(parents=True)
        findings = await check(read(f'{BASE}[[delivery]]\nsystem = "AGS"\nmaildir = "mail/ags"\n'), at=NOW)

        mail = folder / "mail" / "ags"
        assert (
            f"Replies can be delivered: Maildir {mail}. The agent creates tmp and cur in {mail} when it starts."
            == only(findings, "delivery AGS", "write").message
        )
        assert [(str(mail), ["new"], []), (str(mail / "new"), [], [])] == list(os.walk(mail))

    async def test_a_parent_that_is_a_file(self, folder: Path, read: Read) -> None:
        """What is in the way is named, and not passed over for a parent further up."""
        config = read(f'{BASE}[[delivery]]\nsystem = "DMS"\ndirectory = "replies/{{system}}"\n')
        (folder / "replies").write_text("a file in its place")
        found = only(await check(config, at=NOW), "delivery DMS", "write")

        message = f"Replies of DMS cannot be delivered to {folder}/replies/DMS: {folder}/replies: File exists."
        assert (Verdict.WRONG, message) == (found.verdict, found.message)

    def test_the_ledger_of_another_user(self, folder: Path, ledger: Ledger, read: Read) -> None:
        """A user who is not the one of the agent may write more, or less, than the agent."""
        ledger.close()
        config, owner = read(BASE), pwd.getpwuid(os.geteuid()).pw_name
        (other,) = other_owner(config, user=123456, writes_all=False)

        assert [] == other_owner(config, user=os.geteuid(), writes_all=True)
        assert (
            Verdict.WARNING,
            f"This runs as #123456, but {folder / 'htpoort.db'} belongs to {owner}.",
            f"Check with sudo -u {owner} htpoort check, as the user that the agent runs as.",
        ) == (other.verdict, other.message, other.advice)

    def test_the_folder_of_another_user(self, folder: Path, read: Read) -> None:
        """Root can write every folder, so that a success there proves nothing; for another user it proves enough."""
        (folder / "out").mkdir()
        config, owner = read(self.CONFIG), pwd.getpwuid(os.geteuid()).pw_name
        (other,) = other_owner(config, user=123456, writes_all=True)

        assert [] == other_owner(config, user=123456, writes_all=False)
        assert f"This runs as #123456, but {folder / 'out'} belongs to {owner}." == other.message


class TestClosedSystems:
    """A system that takes no new declarations is named wherever the configuration would send to it."""

    SERVER = '[[outbox]]\nserver = "127.0.0.1"\nport = 1\nsecurity = "plain"\n'

    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            (f'{SERVER}systems = ["AGS", "DMS"]\n', ["outbox[0]"]),
            (
                f'{SERVER}[[folder]]\npath = "out"\nmailbox = "{MAILBOX}"\nparty = "{PARTY}"\nsystem = "ags"\n',
                ["folder[0]"],
            ),
            (f"{SERVER}[cutover]\n", ["cutover"]),
            (f'{SERVER}[[cutover.move]]\nparty = "{PARTY}"\nsystem = "DMS"\nsince = 2026-11-02\n', []),
            # An outbox without names serves every system, so that late retries and archives have one.
            (f'{SERVER}[[folder]]\npath = "out"\nmailbox = "{MAILBOX}"\nparty = "{PARTY}"\nsystem = "DMS"\n', []),
        ],
    )
    async def test_where(self, folder: Path, read: Read, text: str, parts: list[str]) -> None:
        """Each part that names AGS for new declarations today has a warning, and no other part."""
        (folder / "out").mkdir()
        found = [one for one in await check(read(f"{BASE}{text}"), at=NOW) if one.check == "closed"]

        assert [
            (
                Verdict.WARNING,
                part,
                f"{part} sends to AGS, which takes no new declarations since 2024-12-01.",
                "Send to its successor, unless this is a test or an archive.",
            )
            for part in parts
        ] == [(one.verdict, one.part, one.message, one.advice) for one in found]

    async def test_before_the_day(self, read: Read) -> None:
        """Until the day itself nothing is reported."""
        config = read(f'{BASE}{self.SERVER}systems = ["AGS"]\n')
        days = [datetime(2024, 11, 30, 12, tzinfo=UTC), datetime(2024, 12, 1, 12, tzinfo=UTC)]
        found = [[one.part for one in await check(config, at=day) if one.check == "closed"] for day in days]

        assert [[], ["outbox[0]"]] == found


class TestDeliveries:
    """Deliveries of parties, and programs."""

    async def test_of_one_party(self, folder: Path, read: Read) -> None:
        """With a delivery for each party, none is missing for the system."""
        program = folder / "take.sh"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o700)
        config = read(
            f'{BASE}[[outbox]]\nserver = "127.0.0.1"\nport = 1\nsecurity = "plain"\nsystems = ["DMS"]\n'
            f'[[delivery]]\nsystem = "DMS"\nparty = "{PARTY}"\ncommand = ["./take.sh"]\n'
        )
        findings = await check(config, at=NOW)
        program.unlink()
        later = await check(config, at=NOW)

        assert Verdict.OK is only(findings, f"delivery DMS for {PARTY}", "write").verdict
        assert [] == [one for one in findings if one.check == "missing" and one.part.startswith("delivery")]
        assert Verdict.WRONG is only(later, f"delivery DMS for {PARTY}", "write").verdict
