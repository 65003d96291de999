"""`queue`, `fetch` and `run`: a declaration queued by one process is sent, and answered, through another."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import signal
import socket
import sys
import urllib.request
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Self

import pytest
from command_options import build_options
from pop3_server import PASSWORD, Pop3Box
from wall_clock import in_amsterdam

from htpoort import AGS, DMS, DeclarationSystem, Outcome, RoutingEnvelope, Submission, build
from htpoort._clock import now
from htpoort._log import event
from htpoort.cli._log_lines import Lines
from htpoort.ledger import Ledger
from htpoort.simulator import FaultAction, Gateway, Script, SmtpFault, SmtpStep
from htpoort.transport import Security, SmtpServer

Run = Callable[..., Any]

PARTY, CLIENT = "NL123456789.02.05", "NL123456789.03.05"
MAILBOX = "edi@forwarder.example"
CONFIG = f'parties = ["{PARTY}", "{CLIENT}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'
INBOX = f'[[smtp]]\nhostname = "forwarder.example"\nmailboxes = ["{MAILBOX}"]\nport = 0\n'
MAILDIRS = '[[delivery]]\nsystem = "AGS"\nmaildir = "mail/ags"\n[[delivery]]\nsystem = "DMS"\nmaildir = "mail/dms"\n'
QUICK = '[timing]\npoll = "20ms"\ngrace = "10s"\n'


def fetched(url: str) -> str:
    """Fetch a page from loopback."""
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - the address that the command printed
        return answer.read().decode()


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with a configuration, where every command looks for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    (tmp_path / "htpoort.toml").write_text(CONFIG)
    return tmp_path


def outbox(port: int) -> str:
    """Send to a server on loopback."""
    return f'[[outbox]]\nserver = "127.0.0.1"\nport = {port}\nsecurity = "plain"\n'


def options(reference: str, system: str = "DMS") -> list[str]:
    """Give the options of `queue` that a declaration needs."""
    return build_options(reference=reference, system=system, **{"message-id": f"<{reference}@forwarder.example>"})


class TestQueue:
    """`htpoort queue` puts a declaration into the ledger; it is committed when the command ends."""

    def test_what_is_put_in(self, htpoort: Run, office: Path) -> None:
        """The message is that of `build`; K, state and the declarant's own reference are printed."""
        result = htpoort("queue", *options("K1"), "--business-reference", "LRN1", "--json", stdin=b"<MetaData/>\r\n")
        made = htpoort("build", *options("K1"), stdin=b"<MetaData/>\r\n").out
        with Ledger.open(f"sqlite:///{office}/htpoort.db") as ledger:
            (claimed,) = ledger.exchanges.claim_soon(["DMS"], owner="a", most=9, at=now(), lease=now() - now()).result()

        assert (0, "DMS", PARTY, "K1", "LRN1", "queued") == (
            result.code,
            *(result.facts[name] for name in ("system", "party", "reference", "business_reference", "state")),
        )
        assert (made, MAILBOX, "dms@htpoort.nl") == (claimed.raw, claimed.mail_from, claimed.rcpt_to)

    def test_an_lrn_that_another_declaration_has(self, htpoort: Run, office: Path) -> None:
        """It is queued with a warning, because a notice may say so; the same declaration again is no other."""
        del office
        lrn = ("--business-reference", "LRN1")
        first = htpoort("queue", *options("K1"), *lrn, stdin=b"<MetaData/>")
        again = htpoort("queue", *options("K1"), *lrn, stdin=b"<MetaData/>")
        second = htpoort("queue", *options("K2"), *lrn, "--json", stdin=b"<MetaData>2</MetaData>")

        assert (0, "", 0, "", 0) == (first.code, first.err, again.code, again.err, second.code)
        assert "queued" == second.facts["state"]
        assert 0 == htpoort("resolve", "K2", "--party", PARTY, "--close").code
        assert second.err == (
            "htpoort: LRN1 is also the LRN of K1, which is queued. A second declaration with a known LRN is rejected, "
            "unless a notice says to send it again. K2 is queued; if it is not to be sent: "
            f"htpoort resolve K2 --party {PARTY} --close\n"
        )

    def test_the_same_again_is_the_same(self, htpoort: Run, office: Path) -> None:
        """An interrupted caller may repeat its message, and is informed; for another message the K is used."""
        del office
        first, again = (htpoort("queue", *options("K1"), stdin=b"<MetaData/>") for _ in range(2))
        other = htpoort("queue", *options("K1"), "--json", stdin=b"<Other/>")
        note = "The same declaration was queued before under this K; nothing was added."

        assert (0, 0, 2) == (first.code, again.code, other.code)
        assert [*first.text.splitlines(), f"{'note':<13}  {note}"] == again.text.splitlines()
        assert ["ledger.reference-used"] == [problem["code"] for problem in other.facts["problems"]]

    def test_the_same_file_again(self, htpoort: Run, office: Path) -> None:
        """The same file, party and K are enough, although each call builds a message with its own Message-ID."""
        made = options("K1")
        without = made[: made.index("--date")]
        first, again = (htpoort("queue", *without, "--json", stdin=b"<MetaData/>") for _ in range(2))
        with Ledger.open(f"sqlite:///{office}/htpoort.db") as ledger:
            number = len(list(ledger.exchanges.listed()))

        assert (0, 0, 1) == (first.code, again.code, number)
        assert (False, True) == (first.facts["repeated"], again.facts["repeated"])
        assert first.facts == {**again.facts, "repeated": False}

    @pytest.mark.parametrize(
        ("changed", "reported"),
        [
            (
                {"party": "NL123456789.99.05"},
                (
                    "party 'NL123456789.99.05' is not in htpoort.toml (parties); did you mean "
                    f"{CLIENT} or {PARTY}? Known: {PARTY}, {CLIENT}."
                ),
            ),
            (
                {"system": "NCTS"},
                "--system 'NCTS' is not in the published systems or [systems] of ",
            ),
            ({"reference": "a b"}, "reference is 'a b'"),
            ({"business-reference": "LRN\n1"}, "--business-reference is empty or contains a control character"),
            ({"business-reference": ""}, "--business-reference is empty or contains a control character"),
        ],
    )
    def test_what_cannot_be_put_in(self, htpoort: Run, office: Path, changed: dict[str, str], reported: str) -> None:
        """A declaration whose replies would be quarantined, or that cannot be sent, is not queued."""
        del office
        result = htpoort("queue", *build_options(**changed), stdin=b"<MetaData/>")

        assert 2 == result.code
        assert reported in result.err
        assert {} == htpoort("status", "--json").facts["exchanges"]

    def test_the_party_as_it_is_configured(self, htpoort: Run, office: Path) -> None:
        """V is sent in the spelling of the configuration, whatever its case in the option."""
        del office
        result = htpoort("queue", *build_options(party=PARTY.lower()), "--json", stdin=b"<MetaData/>")
        (line,) = htpoort("export", "--raw").text.splitlines()
        message = base64.b64decode(json.loads(line)["raw"])

        assert (0, PARTY) == (result.code, result.facts["party"])
        assert f"[V={PARTY}]".encode() in message

    def test_a_declaration_that_was_cut(self, htpoort: Run, office: Path) -> None:
        """With its digest only a complete declaration is queued; the end of standard input proves nothing."""
        del office
        digest = "bcb8ca05c7f4b18842a232943e2299114a0cd15b6c6f21989c6c75099da97f10"
        cut = htpoort("queue", *options("K1"), "--sha256", digest, "--json", stdin=b"<MetaD")
        empty = htpoort("queue", *options("K1"), "--json", stdin=b"")

        assert ([2, 2], ["input.sha256", "input.empty"]) == (
            [cut.code, empty.code],
            [result.facts["problems"][0]["code"] for result in (cut, empty)],
        )
        assert {} == htpoort("status", "--json").facts["exchanges"]

    def test_a_declaration_that_is_whole(self, htpoort: Run, office: Path) -> None:
        """The right digest is accepted in any case."""
        del office
        digest = "BCB8CA05C7F4B18842A232943E2299114A0CD15B6C6F21989C6C75099DA97F10"
        assert 0 == htpoort("queue", *options("K1"), "--sha256", digest, stdin=b"<MetaData/>").code

    def test_a_k_is_needed(self, htpoort: Run, office: Path) -> None:
        """No K is invented: the caller must keep it."""
        del office

        assert 2 == htpoort("queue", *options("K1")[:6], stdin=b"<MetaData/>").code


def mail(reference: str, system: DeclarationSystem = DMS, party: str = PARTY) -> bytes:
    """Write a reply."""
    subject = f"[V= {system.process_id}][A= {party}][K={reference}][S=0]"
    return f"From: {system.mailbox}\r\nSubject: {subject}\r\n\r\n<Response/>\r\n".encode()


def pop3(box: Pop3Box, *, user: str = "edi", variable: str = "POP3_PASSWORD") -> str:
    """Fetch from a server on loopback."""
    place = f'server = "127.0.0.1"\nport = {box.port}\nsecurity = "plain"\n'
    return f'[[pop3]]\n{place}username = "{user}"\npassword_env = "{variable}"\n'


class TestFetch:
    """`htpoort fetch` fetches once from every POP3 mailbox."""

    @pytest.fixture(autouse=True)  # ruff: ignore[pytest-fixture-autouse]
    def password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put the password where the configuration says it is."""
        monkeypatch.setenv("POP3_PASSWORD", PASSWORD)

    async def test_stores_and_deletes(self, process: Run, htpoort: Run, office: Path) -> None:
        """Mails are stored, routed or quarantined, and then deleted; the counts say how many."""
        async with Pop3Box(mail("K1"), mail("K2", AGS), b"Subject: x\r\n\r\n\r\n", mail("K1")) as box:
            (office / "htpoort.toml").write_text(CONFIG + pop3(box))
            result = await process("fetch", "--json")
        status = htpoort("status", "--json")

        assert (0, []) == (result.code, box.uidls)
        assert [
            {
                "account": f"edi@127.0.0.1:{box.port}",
                "fetched": 4,
                "new": 3,
                "copies": 1,
                "quarantined": 1,
                "error": None,
                "problems": [],
            }
        ] == result.facts
        assert ({"AGS": 1, "DMS": 1}, 1) == (status.facts["undelivered"], status.facts["quarantined"])

    async def test_a_session_that_broke(self, process: Run, office: Path) -> None:
        """A mail that is stored but could not be deleted is fetched again the next time, and recognised."""
        async with Pop3Box(mail("K1"), faults={"DELE": "drop"}) as box:
            (office / "htpoort.toml").write_text(CONFIG + pop3(box))
            first = await process("fetch", "--json")
            box.faults.clear()
            second = await process("fetch", "--json")

        assert (1, 1, 1) == (first.code, first.facts[0]["fetched"], first.facts[0]["new"])
        assert (0, 1, 0, []) == (second.code, second.facts[0]["fetched"], second.facts[0]["new"], box.uidls)

    async def test_a_server_that_ends_sessions(self, process: Run, office: Path) -> None:
        """The number of mails that were not reached is reported; the next fetch stores them."""
        async with Pop3Box(*(mail(f"K{place}") for place in range(1, 22)), mails_a_session=1) as box:
            (office / "htpoort.toml").write_text(CONFIG + pop3(box))
            first = await process("fetch", "--json")
            second = await process("fetch", "--json")

        assert (0, 19, "2 more mails are waiting; fetch again.") == (
            first.code,
            first.facts[0]["new"],
            first.facts[0]["problems"][-1]["message"],
        )
        assert (0, 2, []) == (second.code, second.facts[0]["new"], box.uidls)

    async def test_copies_are_counted_apart(self, process: Run, htpoort: Run, office: Path) -> None:
        """A mail fetched again after a session that broke is a copy, and is in quarantine only once."""
        async with Pop3Box(b"Subject: x\r\n\r\n\r\n", b"Subject: y\r\n\r\n\r\n", faults={"DELE": "drop"}) as box:
            (office / "htpoort.toml").write_text(CONFIG + pop3(box))
            first = (await process("fetch", "--json")).facts[0]
            box.faults.clear()
            second = (await process("fetch", "--json")).facts[0]
        held = htpoort("status", "--json").facts["quarantined"]

        assert (0, 2, first["fetched"]) == (first["copies"], second["fetched"], second["copies"])
        assert (2, 2, 2) == (held, first["quarantined"] + second["quarantined"], first["new"] + second["new"])

    async def test_one_mailbox_stops_no_other(self, process: Run, office: Path) -> None:
        """A mailbox that cannot be read is reported, with exit code 1; the others are read."""
        async with Pop3Box(mail("K1")) as box, Pop3Box(mail("K2")) as closed:
            closed.faults["PASS"] = b"-ERR [AUTH] no\r\n"
            (office / "htpoort.toml").write_text(CONFIG + pop3(closed) + pop3(box))
            result = await process("fetch")

        assert (1, [], ["u1"]) == (result.code, box.uidls, closed.uidls)
        assert f"account      127.0.0.1:{closed.port} as edi" in result.text.splitlines()
        assert f"Not fetched from 127.0.0.1:{closed.port} as edi: login: [AUTH] no. " in result.text
        assert PASSWORD not in result.text + result.err

    async def test_tells_a_person(self, process: Run, office: Path) -> None:
        """Without --json the counts of each mailbox are lines."""
        async with Pop3Box(mail("K1")) as box:
            (office / "htpoort.toml").write_text(CONFIG + pop3(box))
            result = await process("fetch")
        lines = [line.split() for line in result.text.splitlines()]

        assert 0 == result.code
        assert [
            ["account", f"127.0.0.1:{box.port}", "as", "edi"],
            ["fetched", "1"],
            ["new", "1"],
            ["copies", "0"],
            ["quarantined", "0"],
        ] == lines

    async def test_what_stays_is_reported(self, process: Run, office: Path) -> None:
        """A mail that is too large stays in its mailbox, with a sentence about it."""
        async with Pop3Box(mail("K1"), mail("K2"), sizes={"u1": 2**40}) as box:
            (office / "htpoort.toml").write_text(CONFIG + pop3(box))
            result = await process("fetch", "--json")

        assert (0, ["u1"], 1, 1) == (
            result.code,
            box.uidls,
            result.facts[0]["fetched"],
            len(result.facts[0]["problems"]),
        )

    async def test_the_ledger_first(self, process: Run, office: Path) -> None:
        """Without a ledger nothing is fetched."""
        async with Pop3Box(mail("K1")) as box:
            text = CONFIG.replace("htpoort.db", "absent/htpoort.db") + pop3(box)
            (office / "htpoort.toml").write_text(text)
            result = await process("fetch", "--json")

        assert (1, "ledger", 0) == (result.code, result.facts["error"], box.connections)

    def test_a_password_that_is_not_there(self, htpoort: Run, office: Path) -> None:
        """A password that the environment lacks is reported by its line, and no connection is made."""
        (office / "htpoort.toml").write_text(
            f'{CONFIG}[[pop3]]\nserver = "pop.example"\nusername = "edi"\npassword_env = "ABSENT"\n'
        )
        result = htpoort("fetch")

        assert 2 == result.code
        assert (
            "htpoort.toml:7: pop3[0].password_env: the environment variable ABSENT is not set, or is empty.\n"
            in result.err
        )


# ── run, in a process of its own ─────────────────────────────────────────────


class Running:
    """An agent that was started by the command."""

    def __init__(self, started: asyncio.subprocess.Process) -> None:
        self._process = started
        self.facts: dict[str, Any] = {}
        self.log: list[dict[str, str]] = []

    async def begun(self) -> Self:
        """Wait until it prints where it listens."""
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            self.facts = json.loads(await self._process.stdout.readline())
        return self

    async def reported(self, text: str, number: int = 1) -> None:
        """Wait until its log has so many messages with a text."""
        assert self._process.stderr is not None
        async with asyncio.timeout(60):
            while sum(text in line["message"] for line in self.log) < number:
                self.log.append(json.loads(await self._process.stderr.readline()))

    async def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; returns its exit code."""
        self._process.send_signal(sign)
        async with asyncio.timeout(60):
            _, rest = await self._process.communicate()
        self.log += [json.loads(line) for line in rest.splitlines()]
        assert self._process.returncode is not None
        return self._process.returncode

    @property
    def server(self) -> SmtpServer:
        """The port where it receives replies."""
        port = int(self.facts["smtp"][0].rpartition(":")[2])
        return SmtpServer(host="127.0.0.1", port=port, security=Security.PLAIN)


@asynccontextmanager
async def running() -> AsyncGenerator[Running]:
    """Run the command beside this loop; it is gone when the block is left."""
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "htpoort", "run", "--json", "--verbose"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield await Running(started).begun()
    finally:
        if started.returncode is None:
            started.kill()
            await started.communicate()


def facts_of(log: list[dict[str, Any]], event: str) -> dict[str, Any]:
    """Give the facts of the first line of an event, without the keys that every line has."""
    line = next(line for line in log if line.get("event") == event)
    return {key: line[key] for key in line.keys() - {"at", "level", "logger", "message", "event"}}


def contents(maildir: Path) -> list[str]:
    """Give the Subjects of what is new in a Maildir."""
    return sorted(
        line
        for file in (maildir / "new").iterdir()
        for line in file.read_text().splitlines()
        if line.startswith("Subject:")
    )


class TestRun:
    """`htpoort run` exchanges until it is asked to stop."""

    async def test_the_whole_way(self, process: Run, htpoort: Run, office: Path) -> None:
        """Two declarations from another process are sent, and each reply reaches the Maildir of its system."""
        async with Gateway() as gateway:
            (office / "htpoort.toml").write_text(CONFIG + outbox(gateway.smtp_port) + INBOX + MAILDIRS + QUICK)
            async with running() as agent:
                gateway.register(MAILBOX, agent.server)
                for reference, system in (("K1", "AGS"), ("K2", "DMS")):
                    queued = await process("queue", *options(reference, system), stdin=b"<MetaData/>")
                    assert 0 == queued.code
                await agent.reported("was delivered", 2)
                code = await agent.stop()

        assert (0, [f"127.0.0.1:{gateway.smtp_port}"], ["AGS", "DMS"]) == (
            code,
            agent.facts["outbox"],
            agent.facts["delivery"],
        )
        assert [f"[V={PARTY}][A=DMS.NL][K=K1][S=0]", f"[V={PARTY}][A=DMS4.NL][K=K2][S=0]"] == sorted(
            taken.subject for taken in gateway.received
        )
        assert [f"Subject: [V= DMS.NL][A= {PARTY}][K=K1][S=0]"] == contents(office / "mail/ags")
        assert [f"Subject: [V= DMS4.NL][A= {PARTY}][K=K2][S=0]"] == contents(office / "mail/dms")
        assert {
            "exchanges": {"AGS": {"answered": 1}, "DMS": {"answered": 1}},
            "oldest_open": {},
            "undelivered": {},
            "quarantined": 0,
            "asks": [],
            "paused": [],
            "held": [],
            "early": 0,
            "early_replies": [],
            "too_old": {},
            "folders": [],
            "attention": [],
        } == htpoort("status", "--json").facts
        (story,) = htpoort("show", "K1", "--json").facts
        assert {"queued", "attempt-started", "reply-received", "delivered"} <= {
            entry["event"] for entry in story["timeline"]
        }
        lines = [json.loads(line) for line in htpoort("export").text.splitlines()]
        assert [("exchange", "K1"), ("exchange", "K2"), ("reply", "K1"), ("reply", "K2")] == sorted(
            (line["kind"], line["reference"]) for line in lines
        )

    async def test_metrics_where_the_configuration_asks_for_them(self, process: Run, office: Path) -> None:
        """With [metrics], the address is printed, and Prometheus finds there what the agent did; /healthz says ok."""
        async with Gateway() as gateway:
            metrics = "[metrics]\nport = 0\n"
            (office / "htpoort.toml").write_text(
                CONFIG + outbox(gateway.smtp_port) + INBOX + MAILDIRS + QUICK + metrics
            )
            async with running() as agent:
                assert 0 == (await process("queue", *options("K1"), stdin=b"<MetaData/>")).code
                await agent.reported("was accepted")
                (address,) = agent.facts["metrics"]
                shown, health = [await asyncio.to_thread(fetched, address + path) for path in ("metrics", "healthz")]
                assert 0 == await agent.stop()

        assert "ok\n" == health
        assert 'htpoort_attempts_total{outcome="accepted",system="DMS"} 1.0' in shown.splitlines()

    async def test_the_events_of_a_whole_way(self, office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each step is a JSON line with a stable event, and with K, party and system where it is about one exchange."""
        monkeypatch.setenv("POP3_PASSWORD", PASSWORD)
        (office / "out" / PARTY).mkdir(parents=True)
        folder = f'[[folder]]\npath = "out"\nmailbox = "{MAILBOX}"\nsystem = "DMS"\nsettle = "1ms"\n'
        folder += 'pattern = "{party}/{reference}.xml"\n'
        refusing = SmtpFault(at=SmtpStep.RCPT, action=FaultAction.REFUSE, times=1)
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # reserved until the end, and never listened on
            port = closed.getsockname()[1]
            mailbox = f'[[pop3]]\nserver = "127.0.0.1"\nport = {port}\nsecurity = "plain"\nusername = "edi"\n'
            mailbox += 'password_env = "POP3_PASSWORD"\n'
            async with Gateway(script=Script(faults=(refusing,))) as gateway:
                servers = outbox(gateway.smtp_port) + INBOX + mailbox
                (office / "htpoort.toml").write_text(CONFIG + servers + MAILDIRS + folder + QUICK)
                async with running() as agent:
                    gateway.register(MAILBOX, agent.server)
                    for reference, then in (("K1", "Not sent to"), ("K2", "was delivered")):
                        (office / "out" / PARTY / f"{reference}.xml").write_bytes(b"<MetaData/>")
                        await agent.reported(then)
                    await gateway.push(stray("K3"))
                    await agent.reported("In quarantine as 1")
                    await agent.reported("is paused until")
                    await agent.stop()

        of_k2 = {"system": "DMS", "party": PARTY, "reference": "K2"}
        named = {"agent.stopping", "ledger.new", "server.paused"}
        assert named == {line["event"] for line in agent.log if "reference" not in line}
        assert sorted([
            ("declaration.queued", "info", "DMS", PARTY, "K1"),
            ("declaration.refused", "warning", "DMS", PARTY, "K1"),
            ("declaration.queued", "info", "DMS", PARTY, "K2"),
            ("declaration.accepted", "info", "DMS", PARTY, "K2"),
            ("reply.stored", "info", "DMS", PARTY, "K2"),
            ("reply.delivered", "info", "DMS", PARTY, "K2"),
        ]) == sorted(
            tuple(line[key] for key in ("event", "level", "system", "party", "reference"))
            for line in agent.log
            if "party" in line
        )
        assert {**of_k2, "reply": 1} == facts_of(agent.log, "reply.delivered")
        assert {
            **of_k2,
            "file": f"{PARTY}/K2.xml",
            "folder": str(office / "out"),
            "repeated": False,
        } == [
            facts_of([line], "declaration.queued") for line in agent.log if line.get("event") == "declaration.queued"
        ][1]
        assert {
            "quarantine": 1,
            "reason": "unknown-addressee",
            "repeated": False,
            "sender": "DMS4.NL",
            "addressee": "NL123456789.99.05",
            "reference": "K3",
        } == {key: value for key, value in facts_of(agent.log, "reply.quarantined").items() if key != "why"}
        paused = facts_of(agent.log, "server.paused")
        assert (f"POP3 127.0.0.1:{port} as edi", ["server", "since", "until", "why"]) == (
            paused["server"],
            sorted(paused),
        )
        assert all("K2" in line["message"] for line in agent.log if line.get("reference") == "K2")

    async def test_what_a_person_settles(self, htpoort: Run, office: Path) -> None:
        """While an agent runs, an unknown exchange is sent again by order, and a released reply is delivered."""
        with Ledger.open(f"sqlite:///{office}/htpoort.db") as ledger:
            ledger.exchanges.queue(declaration("K1"), at=now())
            (claimed,) = ledger.exchanges.claim_soon(["DMS"], owner="a", most=1, at=now(), lease=now() - now()).result()
            ledger.exchanges.settle_soon(claimed, Outcome.UNKNOWN, at=now()).result()
        async with Gateway() as gateway:
            (office / "htpoort.toml").write_text(CONFIG + outbox(gateway.smtp_port) + INBOX + MAILDIRS + QUICK)
            async with running() as agent:
                gateway.register(MAILBOX, agent.server)
                await gateway.push(stray("K1"))
                await agent.reported("In quarantine as 1 (unknown-addressee): The addressee ")
                assert [] == gateway.received
                assert "queued" == htpoort("resolve", "K1", "--resend", "--json").facts["state"]
                await agent.reported("was delivered")
                chosen = ["quarantine", "release", "1", "--system", "DMS", "--party", CLIENT, "--json"]
                assert 2 == htpoort(*chosen).code  # another party sent K1, and a third one is addressed
                released = htpoort(*chosen, "--despite", "other-party", "--why", "Customs confirmed it")
                await agent.reported("was delivered", 2)
                code = await agent.stop(signal.SIGINT)

        assert (0, 1) == (code, len(gateway.received))
        assert (CLIENT, "K1", "unknown-reference") == tuple(
            released.facts[name] for name in ("party", "reference", "correlation")
        )
        assert 2 == len(contents(office / "mail/dms"))

    async def test_tells_a_person(self, office: Path) -> None:
        """Without --json the facts are lines, and the log has only what went wrong."""
        (office / "htpoort.toml").write_text(CONFIG + INBOX + MAILDIRS)
        Ledger.open(f"sqlite:///{office}/htpoort.db").close()
        started = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "htpoort", "run"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert started.stdout is not None
        lines = [(await started.stdout.readline()).decode().split() for _ in range(5)]
        started.send_signal(signal.SIGTERM)
        rest, log = await started.communicate()

        assert (0, b"Stopping.\n", b"") == (started.returncode, rest, log)
        assert ["missing", "no", "[[outbox]]:", "no", "declaration", "is", "sent"] == lines[3]
        assert ["ledger", f"sqlite:///{office}/htpoort.db"] == lines[0]
        assert ["delivery", "AGS,", "DMS"] == lines[2]
        assert ["Stop", "with", "Ctrl-C."] == lines[4]

    async def test_a_new_ledger_is_reported(self, office: Path) -> None:
        """An agent that creates its ledger logs a warning: the real one may be on a disk that is not mounted."""
        (office / "htpoort.toml").write_text(CONFIG + INBOX)
        logs: list[list[dict[str, str]]] = []
        for _ in range(2):
            async with running() as agent:
                await agent.stop()
            logs.append([line for line in agent.log if line["level"] == "warning"])

        (reported,) = [line["message"] for line in logs[0]]
        assert reported == (
            f"There was no ledger at sqlite:///{office}/htpoort.db, so a new, empty one was created. "
            "If there should have been one, stop this agent and check the url in [ledger]."
        )
        assert [] == logs[1]

    async def test_what_a_peer_says_is_not_logged(self, office: Path) -> None:
        """Unknown commands of a peer end its connection, and add no lines to the log."""
        (office / "htpoort.toml").write_text(CONFIG + INBOX)
        async with running() as agent:
            reader, writer = await asyncio.open_connection("127.0.0.1", agent.server.port)
            writer.write(b"WORDS of a peer\r\n" * 10)
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.transport.abort()
            await asyncio.sleep(0)
            await agent.stop()
        assert [] == [line for line in agent.log if "WORDS" in line["message"] or line["logger"] == "mail.log"]

    async def test_one_agent_on_a_file(self, process: Run, office: Path) -> None:
        """A second agent on the same SQLite ledger does not start, with exit code 1."""
        (office / "htpoort.toml").write_text(CONFIG + INBOX)
        async with running():
            second = await process("run", "--json")

        assert (1, "ledger") == (second.code, second.facts["error"])

    @pytest.mark.parametrize("as_json", [False, True])
    def test_an_address_that_is_taken(self, htpoort: Run, office: Path, *, as_json: bool) -> None:
        """A port that is in use gives exit code 1, and its key is named."""
        with socket.create_server(("127.0.0.1", 0)) as there:
            port = there.getsockname()[1]
            (office / "htpoort.toml").write_text(CONFIG + INBOX.replace("port = 0", f"port = {port}"))
            result = htpoort("run", *(["--json"] if as_json else []))
        reported = result.facts["message"] if as_json else result.err

        assert 1 == result.code
        advice = "stop the other program, or give another port"
        assert f"htpoort.toml: smtp[0].port: {port} is in use on 127.0.0.1; {advice}" in reported

    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            ("192.0.2.1", "htpoort.toml: smtp[0].host: 192.0.2.1 is not an address of this machine; give one that is"),
            (
                "absent.example",
                "htpoort.toml: smtp[0].host: absent.example is not known; give an address of this machine",
            ),
        ],
    )
    def test_a_host_that_is_not_ours(self, htpoort: Run, office: Path, host: str, expected: str) -> None:
        """An address of another machine, or a name without one, gives exit code 1, and its key is named."""
        inbox = '[[smtp]]\nhostname = "mx.forwarder.example"\nmailboxes = ["edi@forwarder.example"]\nport = 2525\n'
        (office / "htpoort.toml").write_text(f'{CONFIG}{inbox}host = "{host}"\n')
        result = htpoort("run")

        assert (1, f"htpoort: {expected}") == (result.code, result.err.splitlines()[-1])

    def test_nothing_is_started(self, htpoort: Run, office: Path) -> None:
        """All mistakes in the configuration are reported at once, and no ledger is created."""
        (office / "htpoort.toml").write_text(
            f'{CONFIG}[[outbox]]\nserver = "a b"\nport = 0\n[[delivery]]\nsystem = "NCTS"\n'
        )
        result = htpoort("run")

        assert 2 == result.code
        assert [
            "htpoort.toml:5: outbox[0].server is 'a b'; give the name or address of a host.",
            "htpoort.toml:6: outbox[0].port is 0; give a number from 1 to 65535.",
            "htpoort.toml:7: delivery[0]: a delivery has directory, maildir or command; give one of them.",
            (
                "htpoort.toml:8: delivery[0].system: system 'NCTS' is neither published nor in [systems.NAME]. "
                "Known: AGS, DMS."
            ),
        ] == result.err.removeprefix("htpoort: ").splitlines()
        assert not (office / "htpoort.db").exists()


def declaration(reference: str) -> Submission:
    """Build a declaration to DMS."""
    return build(
        system=DMS,
        party=PARTY,
        mailbox=MAILBOX,
        reference=reference,
        payload=b"<MetaData/>",
        date=datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC),
        message_id=f"<{reference}@forwarder.example>",
    )


def stray(reference: str) -> Submission:
    """Write a reply for a party that is not ours."""
    subject = f"[V= DMS4.NL][A= NL123456789.99.05][K={reference}][S=0]"
    return Submission(
        mail_from=DMS.mailbox,
        rcpt_to=MAILBOX,
        envelope=RoutingEnvelope.parse(subject),
        system="DMS",
        message_id="",
        data=f"From: {DMS.mailbox}\r\nSubject: {subject}\r\n\r\n<Stray/>\r\n".encode(),
    )


class TestLog:
    """The log of `run` says what happened, and cannot control a terminal."""

    @staticmethod
    def record(*, trace: bool) -> logging.LogRecord:
        """Make a record as the agent makes them."""
        error = ValueError("a\x1bb")
        info = (ValueError, error, None) if trace else None
        made = logging.LogRecord("htpoort.agent", logging.WARNING, "", 0, "From %s", ("\x1b[2J",), info)
        made.created = 1_790_000_000.0
        return made

    def test_for_a_person(self) -> None:
        """Local time, level and sentence on one line; a traceback below, line by line."""
        with in_amsterdam():
            first, *trace = Lines(as_json=False).format(self.record(trace=True)).split("\n")

        assert "2026-09-21T16:13:20.000+02:00 warning From \\x1b[2J" == first
        assert ["ValueError: a\\x1bb"] == trace

    @pytest.mark.parametrize("trace", [False, True])
    def test_for_a_program(self, *, trace: bool) -> None:
        """One JSON document a line, with a traceback where there is one."""
        line = Lines(as_json=True).format(self.record(trace=trace))
        facts = json.loads(line)

        assert 1 == len(line.splitlines())
        assert ("2026-09-21T14:13:20.000+00:00", "warning", "htpoort.agent", "From \x1b[2J", trace) == (
            *(facts[name] for name in ("at", "level", "logger", "message")),
            "trace" in facts,
        )

    def test_facts_of_an_event(self) -> None:
        """The event and its facts are keys beside those that each line has."""
        made = self.record(trace=False)
        moment = datetime(2026, 9, 21, 16, 13, 20, tzinfo=timezone(timedelta(hours=2)))
        vars(made).update(event("window.held", system="DMS", until=moment, why="a \x1b[2J", names=("A", "B")))

        assert {
            "at": "2026-09-21T14:13:20.000+00:00",
            "level": "warning",
            "logger": "htpoort.agent",
            "message": "From \x1b[2J",
            "event": "window.held",
            "system": "DMS",
            "until": "2026-09-21T14:13:20.000+00:00",
            "why": "a \x1b[2J",
            "names": ["A", "B"],
        } == json.loads(Lines(as_json=True).format(made))
        assert Lines(as_json=False).format(made).endswith(" warning From \\x1b[2J")
