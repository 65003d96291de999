"""`htpoort simulate`: what it prints is enough to use it, with clients that are not ours."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import poplib
import re
import shlex
import signal
import smtplib
import socket
import ssl
import sys
import urllib.request
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from htpoort.cli import _show
from htpoort.cli.simulate import Traffic, read_declarant, summary
from htpoort.config import read_agent
from htpoort.simulator import Declarant, FaultAction, Gateway, Pop3Fault, Script, SimulatedClock, SmtpFault, SmtpStep
from htpoort.transport import Security, SmtpServer

Run = Callable[..., Any]

MAILBOX, PASSWORD = "edi@forwarder.example", "geheim"
LOGIN = ("--declarant", f"{MAILBOX}:{PASSWORD}")
SCENARIO = (
    '[[scenario]]\n[[scenario.reply]]\nkind = "release"\nfault = "lower-case"\n'
    '[[scenario.reply]]\nkind = "control"\nafter = "3d"\n'
    '[[fault]]\nat = "mail"\naction = "defer"\n'
)


class Simulator:
    """A simulator in a process of its own."""

    def __init__(self, started: asyncio.subprocess.Process) -> None:
        self.process = started
        self.facts: dict[str, Any] = {}
        self.lines: list[str] = []

    async def line(self) -> str:
        """Read a line of what it prints."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            return (await self.process.stdout.readline()).decode()

    async def until(self, text: str) -> list[str]:
        """Read lines until one has a text."""
        while text not in (line := await self.line()):
            assert line, self.lines
            self.lines.append(line)
        self.lines.append(line)
        return self.lines

    async def events(self, number: int) -> list[dict[str, Any]]:
        """Read so many events."""
        return [json.loads(await self.line()) for _ in range(number)]

    async def stop(self) -> str:
        """Interrupt it; returns the rest of what it prints."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            rest, err = await self.process.communicate()
        assert (0, b"") == (self.process.returncode, err)
        return rest.decode()


@asynccontextmanager
async def simulator(*options: str) -> AsyncGenerator[Simulator]:
    """Start the command beside this loop; it is gone when the block is left."""
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "htpoort",
        "simulate",
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    running = Simulator(started)
    try:
        if "--json" in options:
            assert started.stdout is not None
            async with asyncio.timeout(60):
                running.facts = json.loads(await started.stdout.readline())
        yield running
    finally:
        if started.returncode is None:
            started.kill()
            await started.communicate()


async def by_curl(words: list[str], folder: Path) -> str:
    """Run curl quietly; return what it prints."""
    started = await asyncio.create_subprocess_exec(
        words[0], "--silent", *words[1:], cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await started.communicate()
    return out.decode()


def declaration(reference: str, process_id: str = "DMS4.NL") -> str:
    """Write a declaration."""
    subject = f"[V=NL123456789.02.05][A={process_id}][K={reference}][S=0]"
    return f"From: {MAILBOX}\r\nTo: dms@htpoort.nl\r\nSubject: {subject}\r\n\r\n<MetaData/>\r\n"


def trusting(facts: dict[str, Any]) -> ssl.SSLContext:
    """Trust the certificate that it prints."""
    context = ssl.create_default_context(cafile=facts["ca_file"])
    if facts["certificate"] is not None:
        context.load_cert_chain(facts["certificate"])
    return context


def submit(facts: dict[str, Any], reference: str, process_id: str = "DMS4.NL") -> None:
    """Log in and send by smtplib."""
    with smtplib.SMTP("127.0.0.1", facts["smtp_port"], local_hostname="forwarder.example") as client:
        if facts["ca_file"] is not None:
            client.starttls(context=trusting(facts))
        for one in facts["declarants"][:1]:
            client.login(one["username"], one["password"])
        client.sendmail(MAILBOX, ["dms@htpoort.nl"], declaration(reference, process_id))


def fetched(facts: dict[str, Any]) -> list[bytes]:
    """Log in and fetch by poplib."""
    client = poplib.POP3_SSL("127.0.0.1", facts["pop3s_port"], context=trusting(facts))
    client.user(facts["declarants"][0]["username"])
    client.pass_(facts["declarants"][0]["password"])
    mails = [b"\r\n".join(client.retr(number + 1)[1]) for number in range(client.stat()[0])]
    client.quit()
    return mails


class TestJson:
    """A program reads ports and logins, then each event, then the summary."""

    @pytest.mark.parametrize("client", ["none", "optional", "required"])
    async def test_send_and_fetch_over_tls(self, client: str) -> None:
        """What is printed is enough for smtplib and poplib to send, and to fetch the answer."""
        options = ("--tls", "--client-certificate", client, "--declarant", MAILBOX, "--json")
        async with simulator(*options) as running:
            await asyncio.to_thread(submit, running.facts, "22096222734662")
            events = await running.events(2)
            mails = await asyncio.to_thread(fetched, running.facts)
            summary = json.loads(await running.stop())

        assert ["taken", "answered"] == [event["event"] for event in events]
        assert ["22096222734662"] * 2 == [event["reference"] for event in events]
        assert [True] == [b"Subject: [V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]" in one for one in mails]
        assert (1, 1, 0, None) == (
            summary["taken"],
            summary["answered"],
            summary["undelivered"],
            summary["next_answer"],
        )
        assert not await asyncio.to_thread(Path(running.facts["ca_file"]).exists)

    async def test_a_scenario(self, tmp_path: Path) -> None:
        """Answers and faults are those of the file, and the next answer is printed at the end."""
        (tmp_path / "scenario.toml").write_text(SCENARIO)
        options = ("--scenario", str(tmp_path / "scenario.toml"), *LOGIN, "--json")
        async with simulator(*options) as running:
            with pytest.raises(smtplib.SMTPSenderRefused):
                await asyncio.to_thread(submit, running.facts, "1")
            await asyncio.to_thread(submit, running.facts, "1")
            events = await running.events(3)
            summary = json.loads(await running.stop())

        assert [
            ("fault", "defer at mail"),
            ("taken", "[V=NL123456789.02.05][A=DMS4.NL][K=1][S=0]"),
            ("answered", "release, by pop3, with fault lower-case"),
        ] == [(event["event"], event["what"]) for event in events]
        assert (1, 1) == (summary["faults"], summary["answered"])
        assert summary["next_answer"] is not None

    async def test_records(self, tmp_path: Path) -> None:
        """Every message is a file in the folder, in the order of the messages."""
        async with simulator("--record", str(tmp_path / "mail"), *LOGIN, "--json") as running:
            await asyncio.to_thread(submit, running.facts, "K1")
            await running.events(2)
            await running.stop()

        assert ["000001-in-K1.eml", "000002-out-K1.eml"] == sorted(path.name for path in (tmp_path / "mail").iterdir())

    async def test_certificates_that_stay(self, tmp_path: Path) -> None:
        """Certificates are written to the given folder, and stay there."""
        folder = tmp_path / "certificates"
        async with simulator("--tls", "--certificates", str(folder), "--json") as running:
            await running.stop()

        assert str(folder / "ca.pem") == running.facts["ca_file"]
        assert ["ca.pem", "client.pem", "server.pem"] == sorted(path.name for path in folder.iterdir())


class TestPage:
    """With --web, a browser shows what happens, and holds nothing up."""

    @staticmethod
    def read(url: str) -> str:
        """Fetch the page."""
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - our own
            return str(answer.read().decode())

    async def test_it_shows_what_happens(self) -> None:
        """The address that is printed shows what was sent; its time can be moved, and a planned answer is sent then."""
        async with simulator("--web", *LOGIN, "--json") as running:
            await asyncio.to_thread(submit, running.facts, "22096222734662")
            await running.events(2)
            page = await asyncio.to_thread(self.read, running.facts["web"])
            await running.stop()

        assert 'class="badge">Declaration<' in page
        assert ">22096222734662</a>" in page
        assert "Let it pass" in page

    async def test_its_address_is_printed(self) -> None:
        """A person sees the address among the ports; without --web there is none."""
        async with simulator("--web", "--web-port", "0") as running:
            lines = await running.until("Stop with Ctrl-C.")
            await running.stop()
        async with simulator("--json") as without:
            await without.stop()

        (line,) = (line for line in lines if line.startswith("web "))
        assert re.fullmatch(r"web +http://127\.0\.0\.1:\d+/\n", line)
        assert without.facts["web"] is None

    async def test_stopping_with_a_browser(self) -> None:
        """Ctrl-C ends it although a browser listens for news and another reads nothing: both connections are closed."""
        async with simulator("--web", "--json") as running:
            port = int(running.facts["web"].rpartition(":")[2].rstrip("/"))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"event: change")
            deaf = await asyncio.open_connection("127.0.0.1", port)
            summary = json.loads(await running.stop())
            rest = await reader.read()
            writer.close()
            deaf[1].close()

        assert (0, True) == (summary["taken"], rest.endswith(b"0\r\n\r\n"))


class TestText:
    """A person gets what to paste, then a line for each event, then the summary."""

    @pytest.mark.parametrize("tls", [(), ("--tls", "--client-certificate", "required")])
    async def test_the_snippet_is_a_configuration(self, tmp_path: Path, tls: tuple[str, ...]) -> None:
        """The text for htpoort.toml is valid, with the ports, login and certificates of the simulator."""
        async with simulator(*LOGIN, *tls) as running:
            lines = await running.until("Stop with Ctrl-C.")
            facts = dict(line.split(maxsplit=1) for line in lines[:8] if line.strip())
            text = "".join(line.removeprefix("  ") for line in lines[lines.index("In htpoort.toml:\n") + 1 : -1])
            (tmp_path / "htpoort.toml").write_text(text)
            config = read_agent(tmp_path / "htpoort.toml", environ={"HTPOORT_SIMULATOR": PASSWORD})
            await running.stop()
        (outbox,), (inbox,) = config.outboxes, config.inboxes

        security = Security.STARTTLS if tls else Security.PLAIN
        # Each reply becomes a file with the payload, where a newcomer sees it.
        place = f"{tmp_path}/replies/{{system}}/{{party}}"
        assert {"AGS": (place, True), "DMS": (place, True)} == {
            name: (str(one.path), one.payload) for name, one in config.deliveries.items()
        }
        assert (int(facts["smtp_port"]), security, MAILBOX) == (
            outbox.server.port,
            outbox.server.security,
            outbox.server.username,
        )
        assert (int(facts["pop3_port"]), security, MAILBOX, PASSWORD) == (
            inbox.server.port,
            inbox.server.security,
            inbox.server.username,
            inbox.server.password,
        )

    @pytest.mark.parametrize(
        ("published", "name", "names"),
        [("true", "EXIT 2", ["AGS", "DMS", "EXIT 2"]), ("false", "DMS", ["DMS"])],
        ids=["more", "a test environment"],
    )
    async def test_the_snippet_has_the_systems(
        self, tmp_path: Path, published: str, name: str, names: list[str]
    ) -> None:
        """A program that is configured as the simulator prints knows the systems that the simulator plays."""
        (tmp_path / "systems.toml").write_text(
            f"published_systems = {published}\n"
            f'[systems."{name}"]\nmailbox = "x@test.customs.example"\nprocess_id = "X"\nreply_ids = ["X", "X2"]\n'
        )
        async with simulator(*LOGIN, "--systems", str(tmp_path / "systems.toml"), "--json") as running:
            (use,) = running.facts["declarants"]
            (tmp_path / "htpoort.toml").write_text(use["htpoort_toml"])
            config = read_agent(tmp_path / "htpoort.toml", environ={"HTPOORT_SIMULATOR": PASSWORD})
            await running.stop()

        assert (names, names) == ([one.name for one in config.ledger.directory], list(config.deliveries))
        assert ("x@test.customs.example", {"X", "X2"}) == (
            config.ledger.directory.system(name).mailbox,
            config.ledger.directory.system(name).reply_ids,
        )

    async def test_the_commands_for_other_programs(self) -> None:
        """The lines for swaks and curl are words of a shell, with port, login and certificate in them."""
        async with simulator(*LOGIN, "--tls", "--client-certificate", "optional") as running:
            lines = await running.until("Stop with Ctrl-C.")
            facts = dict(line.split(maxsplit=1) for line in lines[:8] if line.strip())
            (swaks,) = (shlex.split(line) for line in lines if line.startswith("  swaks "))
            (curl,) = (shlex.split(line) for line in lines if line.startswith("  curl "))
            await running.stop()

        ca_file, certificate = facts["ca_file"].strip(), facts["certificate"].strip()
        assert {
            "--port": facts["smtp_port"].strip(),
            "--auth-user": MAILBOX,
            "--auth-password": PASSWORD,
            "--tls-ca-path": ca_file,
            "--tls-cert": certificate,
            "--to": "dms@htpoort.nl",
            "--header": "Subject: [V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]",
        }.items() <= dict(itertools.pairwise(swaks)).items()
        assert ["--ssl-reqd", "--cacert", ca_file, "--cert", certificate] == curl[3:8]
        assert f"pop3://127.0.0.1:{facts['pop3_port'].strip()}/1" == curl[-1]

    async def test_the_file_gateway_for_other_programs(self, tmp_path: Path) -> None:
        """With --ftps the lines for curl upload a file and list what is out for it, as they are printed."""
        scenario = tmp_path / "scenario.toml"
        scenario.write_text('[[files.scenario]]\n[[files.scenario.out]]\nkind = "answered"\n')
        (tmp_path / "manifest.xml").write_text("<Manifest/>")
        user = "CVR_12345678_UI_12345678:geheim woord"
        options = ("--ftps", "--ftps-user", user, "--scenario", str(scenario))
        async with simulator(*options) as running:
            lines = await running.until("Stop with Ctrl-C.")
            upload, listing = (shlex.split(line) for line in lines if line.startswith("  curl "))
            results = [await by_curl(words, tmp_path) for words in (upload, listing)]
            events = [(await running.line()).split() for _ in range(3)]
            summary = dict(line.split() for line in (await running.stop()).splitlines())

        name = "MANIFEST_2026_0001"
        expected = f"response_Manifest_{name}.xml\nstatus_Manifest_{name}_3.xml\n"
        assert ["", expected] == results
        assert [["uploaded", "MANIFEST"], ["put", "out"], ["put", "out"]] == [event[1:3] for event in events]
        assert ("1", "2", "0") == (summary["uploads"], summary["put_out"], summary["ftps_faults"])
        assert f"ftps_user      {user.replace(':', ', password ')}\n" in lines

    async def test_the_file_gateway_for_programs(self, tmp_path: Path) -> None:
        """JSON has its ports, files and users, and each event; the mail gateway has no TLS for it."""
        options = ("--ftps", "--ftps-tls-port", "0", "--certificates", str(tmp_path), "--json")
        async with simulator(*options) as running:
            facts = running.facts["ftps"]
            (one,) = facts["users"]
            place = f"ftps://127.0.0.1:{facts['tls_port']}{one['out']}/"
            files = ["--cacert", facts["ca_file"], "--cert", facts["certificate"]]
            login = ["--user", f"{one['username']}:{one['password']}"]
            listed = await by_curl(["curl", *files, *login, "--list-only", place], tmp_path)
            await by_curl(["curl", *files, *login[:1], f"{one['username']}:wrong", place], tmp_path)
            (event,) = await running.events(1)
            await running.stop()

        path = tmp_path / "htpoort.toml"
        path.write_text(facts["htpoort_toml"])
        config = read_agent(path, environ={"HTPOORT_SIMULATOR_FTPS": one["password"]})
        (gateway,) = config.gateways
        assert (facts["port"], one["username"], one["password"], ("MANIFEST",), ["MANIFEST"]) == (
            gateway.server.port,
            gateway.server.username,
            gateway.server.password,
            tuple(service.name for service in gateway.services),
            list(config.deliveries),
        )
        assert (None, None, "") == (running.facts["smtps_port"], running.facts["ca_file"], listed)
        assert str(tmp_path / "client.pem") == facts["certificate"]
        assert "login" == event["event"]
        assert one["username"] in event["what"]

    async def test_a_declarant_with_a_server_of_its_own(self, tmp_path: Path) -> None:
        """A declarant whose replies are pushed needs an inbox for them, and no login."""
        async with simulator("--declarant", f"{MAILBOX}=127.0.0.1:2526") as running:
            lines = await running.until("Stop with Ctrl-C.")
            text = "".join(line.removeprefix("  ") for line in lines[lines.index("In htpoort.toml:\n") + 1 : -1])
            (tmp_path / "htpoort.toml").write_text(text)
            config = read_agent(tmp_path / "htpoort.toml", environ={})
            await running.stop()
        (inbox,) = config.inboxes

        assert f"declarant  {MAILBOX}, replies pushed to 127.0.0.1:2526\n" in lines
        assert (2526, (MAILBOX,)) == (inbox.port, inbox.mailboxes)

    async def test_traffic_is_logged(self) -> None:
        """Each message that was accepted, refused or answered is a line, and the totals are at the end."""
        async with simulator(*LOGIN) as running:
            lines = await running.until("Stop with Ctrl-C.")
            port = int(next(line.split()[1] for line in lines if line.startswith("smtp_port")))
            facts = {"smtp_port": port, "ca_file": None, "declarants": [{"username": MAILBOX, "password": PASSWORD}]}
            await asyncio.to_thread(submit, facts, "K1")
            reported = (await running.until("answered"))[-2:]
            with pytest.raises(smtplib.SMTPDataError):
                await asyncio.to_thread(submit, facts, "K2", "DMS.NL")
            reported.append((await running.until("refused"))[-1])
            rest = await running.stop()

        assert [
            ["taken", "DMS", MAILBOX, "K1", "[V=NL123456789.02.05][A=DMS4.NL][K=K1][S=0]"],
            ["answered", "DMS", MAILBOX, "K1", "acceptance,", "by", "pop3"],
        ] == [line.split()[1:] for line in reported[:2]]
        assert ["refused", "K2", "This"] == reported[2].split()[1:4]
        assert [["taken", "1"], ["refused", "1"], ["answered", "1"]] == [line.split() for line in rest.splitlines()[:3]]


class TestRefused:
    """What cannot be started is reported before anything listens."""

    def test_a_scenario_that_is_none(self, htpoort: Run, tmp_path: Path) -> None:
        """Every mistake in a scenario is reported with its line."""
        path = tmp_path / "scenario.toml"
        path.write_text('per_hour = 0\n[[scenario]]\ncolour = "red"\n')
        result = htpoort("simulate", "--scenario", str(path))

        assert 2 == result.code
        assert [f"{path}:1: per_hour", f"{path}:3: scenario[0].colour"] == [
            re.split(r": there| is", line.removeprefix("htpoort: "))[0] for line in result.err.splitlines()
        ]

    @pytest.mark.parametrize("option", ["--certificates", "--client-certificate"])
    def test_certificates_without_tls(self, htpoort: Run, option: str) -> None:
        """Certificates are of no use without TLS, and only the option that was given is named."""
        result = htpoort("simulate", option, "required")

        other = " or --ftps" * (option == "--certificates")
        assert (2, f"htpoort: {option} needs --tls{other}.\n") == (result.code, result.err)

    @pytest.mark.parametrize("option", ["--port", "--pop3-port"])
    def test_a_port_that_is_in_use(self, htpoort: Run, option: str) -> None:
        """The option of the port is named, with exit code 1."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            result = htpoort("simulate", option, str(port), "--declarant", "edi@forwarder.example:geheim")

        message = f"htpoort: {option}: {port} is in use on 127.0.0.1; stop the other program, or give another port\n"
        assert (1, message) == (result.code, result.err)

    @pytest.mark.parametrize(
        "options", [["--host", "192.0.2.1"], ["--declarant", "edi@forwarder.example=mx.forwarder.example:25"]]
    )
    def test_other_machines(self, htpoort: Run, options: list[str]) -> None:
        """Without --beyond-loopback it neither listens to other machines nor sends to them."""
        result = htpoort("simulate", *options, "--json")

        (problem,) = result.facts["problems"]
        assert (2, "simulator.beyond-loopback") == (result.code, problem["code"])
        assert "allow it with --beyond-loopback" in problem["message"]

    def test_a_system_that_is_not_played(self, htpoort: Run, tmp_path: Path) -> None:
        """A scenario for an unknown system is reported with the known systems, and nothing is started."""
        path = tmp_path / "scenario.toml"
        path.write_text('[[scenario]]\nsystem = "AGSS"\n')
        result = htpoort("simulate", "--scenario", str(path))

        assert 2 == result.code
        assert "AGSS" in result.err
        assert "AGS, DMS" in result.err

    @pytest.mark.parametrize("json", [(), ("--json",)])
    @pytest.mark.parametrize(
        "option", ["--port", "--tls-port", "--pop3-port", "--pop3s-port", "--ftps-port", "--ftps-tls-port"]
    )
    def test_a_port_that_is_taken(self, htpoort: Run, option: str, json: tuple[str, ...]) -> None:
        """Each port can be chosen; one that another program uses gives exit code 1, and is named."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            result = htpoort("simulate", option, port, "--tls", "--ftps", *LOGIN, *json)

        assert 1 == result.code
        assert port in (result.facts["message"] if json else result.err)

    def test_a_folder_that_cannot_be_made(self, htpoort: Run, tmp_path: Path) -> None:
        """A folder that cannot be created gives exit code 1, and is named."""
        (tmp_path / "file").touch()
        result = htpoort("simulate", "--record", str(tmp_path / "file"))

        assert 1 == result.code
        assert str(tmp_path / "file") in result.err

    async def test_nothing_makes_certificates(self) -> None:
        """If trustme is not installed, the error says how to install it."""
        code = (
            "import sys; sys.modules['trustme'] = None; from htpoort.cli import _app;"
            " sys.exit(_app.run(['simulate', '--tls']))"
        )
        started = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE)
        _, err = await started.communicate()

        begin = "htpoort: --tls needs trustme; install htpoort again as you installed it, with [simulator]: "
        assert (2, begin) == (started.returncode, err.decode()[: len(begin)])

    async def test_nothing_serves_the_page(self) -> None:
        """If a library of the page is not installed, the error says how to install it; the simulator runs without."""
        code = (
            "import sys; sys.modules['starlette'] = None; from htpoort.cli import _app;"
            " sys.exit(_app.run(['simulate', '--web']))"
        )
        started = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE)
        _, err = await started.communicate()

        begin = "htpoort: --web needs starlette; install htpoort again as you installed it, with [web]: "
        assert (2, begin) == (started.returncode, err.decode()[: len(begin)])

    @pytest.mark.parametrize("json", [(), ("--json",)])
    def test_a_port_of_the_page_that_is_taken(self, htpoort: Run, json: tuple[str, ...]) -> None:
        """A port of the page that another program uses gives exit code 1, and the option is named."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            result = htpoort("simulate", "--web", "--web-port", port, *json)

        assert 1 == result.code
        assert f"--web-port: {port} is in use" in (result.facts["message"] if json else result.err)

    def test_two_of_one_mailbox(self, htpoort: Run) -> None:
        """Two declarants with the same mailbox are refused."""
        assert 2 == htpoort("simulate", *LOGIN, *LOGIN).code


def test_a_declarant_gets_a_password() -> None:
    """If no password is given, each start makes a new one."""
    one, other = read_declarant(MAILBOX), read_declarant(MAILBOX)

    assert (MAILBOX, 16, True) == (one.mailbox, len(one.password or ""), one.password != other.password)


def test_a_password_may_hold_signs() -> None:
    """What follows the first colon is the password."""
    assert "a:b=c" == read_declarant("edi@forwarder.example:a:b=c").password


async def test_an_answer_that_is_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    """An answer that the declarant's server did not accept is shown with its attempts and the reason."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # its own until the end, and never listened on
        server = SmtpServer(host="127.0.0.1", port=unused.getsockname()[1], security=Security.PLAIN)
        gateway = Gateway(declarants={MAILBOX: server}, clock=SimulatedClock(), retries=(timedelta(minutes=5),))
        async with gateway:
            await asyncio.to_thread(submit, {"smtp_port": gateway.smtp_port, "ca_file": None, "declarants": []}, "K1")
            await gateway.play()
            with Traffic(gateway, as_json=True) as traffic:
                traffic.show_news()
    taken, given_up = map(json.loads, capsys.readouterr().out.splitlines())

    assert ("taken", "given up") == (taken["event"], given_up["event"])
    assert given_up["what"].startswith(f"acceptance, by push, at try 2: Not sent to {MAILBOX} (connect): ")


async def test_a_fault_of_pop3(capsys: pytest.CaptureFixture[str]) -> None:
    """A POP3 fault is shown like an SMTP fault, and counts in the summary."""
    declarant = Declarant(mailbox=MAILBOX, password=PASSWORD)
    script = Script(
        faults=(SmtpFault(at=SmtpStep.QUIT, action=FaultAction.TRICKLE),),
        pop3_faults=(Pop3Fault(command="STAT", action=FaultAction.REFUSE),),
    )

    def quit_both() -> None:
        smtplib.SMTP("127.0.0.1", gateway.smtp_port, local_hostname="forwarder.example").quit()
        client = poplib.POP3("127.0.0.1", gateway.pop3_port or 0)
        client.user(MAILBOX)
        client.pass_(PASSWORD)
        with pytest.raises(poplib.error_proto):
            client.stat()
        client.quit()

    async with Gateway(declarants=[declarant], script=script, clock=SimulatedClock()) as gateway:
        await asyncio.to_thread(quit_both)
        with Traffic(gateway, as_json=True) as traffic:
            traffic.show_news()
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert [("fault", "trickle at quit"), ("fault", "refuse at STAT of POP3")] == [
        (event["event"], event["what"]) for event in events
    ]
    assert 2 == summary(gateway)["faults"]


class Terminal(io.StringIO):
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        """Answer yes."""
        return True


def test_a_table_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal the newest rows are one table that is redrawn; a peer's text is not markup there."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", Terminal())
    feed = _show.Feed("Traffic", {"at": 8, "what": 0})
    feed.open()
    for number in range(20):
        feed.add([f"08:00:{number:02}", "[bold]\x1b[31m"])
    feed.close()
    drawn = sys.stdout.getvalue()  # type: ignore[attr-defined]
    last = drawn[drawn.rindex("Traffic") :]

    assert ["08:00:05", "08:00:19"] == [
        part[:8] for part in (last[last.index("08:00") :], last[last.rindex("08:00") :])
    ]
    assert "[bold]\\x1b[31m" in last
