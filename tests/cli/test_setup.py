"""`init` and `check`: a configuration that works at once, and exit codes for what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from htpoort.config import read_agent
from htpoort.ledger import Ledger
from htpoort.simulator import Declarant, Gateway

Run = Callable[..., Any]

PARTY = "NL123456789.02.05"
MAILBOX = "edi@forwarder.example"
SECRETS = {"HTPOORT_SMTP_PASSWORD": "geheim", "HTPOORT_POP3_PASSWORD": "geheim"}
ANSWERS = ("--yes", "--party", PARTY, "--mailbox", MAILBOX)
BASE = f'parties = ["{PARTY}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that commands start in, and the passwords."""
    monkeypatch.chdir(tmp_path)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def gateway() -> Gateway:
    """Play a gateway that needs a login."""
    return Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")])


def at(running: Gateway) -> list[str]:
    """Name a gateway on loopback."""
    ports = ["--port", str(running.smtp_port), "--pop3-port", str(running.pop3_port)]
    return ["--server", "127.0.0.1", "--security", "plain", *ports]


@pytest.mark.usefixtures("office")
class TestInit:
    """`htpoort init` writes a configuration that works, and never replaces one."""

    async def test_what_it_writes_is_checked_and_works(self, office: Path, process: Run) -> None:
        """With options alone: configuration, folder and ledger; then `check` finds nothing wrong, and sends nothing."""
        async with gateway() as running:
            done = await process("init", *ANSWERS, *at(running), "--json")
            checked = await process("check", "--json")
            received = running.received

        assert (0, "") == (done.code, done.err)
        assert {
            "configuration": str(office / "htpoort.toml"),
            "declarations": str(office / "out" / PARTY),
            "ledger": f"sqlite:///{office / 'htpoort.db'}",
            "new_ledger": True,
        } == done.facts
        assert (0, ["ok"]) == (checked.code, sorted({one["verdict"] for one in checked.facts["findings"]}))
        assert [] == received

    async def test_a_declaration_goes_out_and_its_reply_comes_in(self, office: Path, process: Run) -> None:
        """A file in the folder of declarations becomes one in the folder of replies, by `run --once` alone."""
        async with gateway() as running:
            await process("init", *ANSWERS, *at(running))
            file = office / "out" / PARTY / "22096222734662.xml"
            file.write_text("<Declaration/>")
            text = (office / "htpoort.toml").read_text()
            text = text.replace('path = "out"\n', 'path = "out"\nsettle = "1ms"\n')
            (office / "htpoort.toml").write_text(text)
            first = await process("run", "--once")
            await running.wait_for_due_replies()
            second = await process("run", "--once")

        assert (0, 0) == (first.code, second.code)
        (reply,) = (office / "replies" / "DMS" / PARTY).iterdir()
        assert "22096222734662-1.xml" == reply.name

    def test_for_mail_servers_of_ones_own(self, office: Path, htpoort: Run) -> None:
        """Between mail servers there is no login, and replies are pushed; only this machine can connect at first."""
        done = htpoort("init", *ANSWERS, "--interface", "mta", "--server", "relay.forwarder.example")
        config = read_agent(office / "htpoort.toml")

        assert 0 == done.code
        assert ["relay.forwarder.example:25"] == [outbox.server.ledger_name for outbox in config.outboxes]
        (inbox,) = config.inboxes
        assert ("127.0.0.1", 2525, "forwarder.example") == (inbox.host, inbox.port, inbox.hostname)  # type: ignore[union-attr]
        assert "password" not in "".join(
            line for line in (office / "htpoort.toml").read_text().splitlines() if not line.startswith("#")
        )

    def test_questions(self, office: Path, htpoort: Run) -> None:
        """Without options it asks; a wrong answer is asked again, and an empty one takes what is shown in brackets."""
        answers = (
            "",
            "",
            "123",
            PARTY,
            MAILBOX,
            "smtp forwarder",
            "smtp.forwarder.example",
            "",
            "pop.forwarder.example",
        )
        done = htpoort("init", "--json", stdin="".join(f"{answer}\n" for answer in answers).encode())
        config = read_agent(office / "htpoort.toml", environ=SECRETS)

        assert (0, True) == (done.code, done.facts["new_ledger"])
        assert "Your own mailbox, where replies arrive: " in done.err
        assert f"The user name of the login [{MAILBOX}]: " in done.err
        assert "Your answer is 'smtp forwarder'; give the name or address of a host." in done.err
        assert [f"{MAILBOX}@smtp.forwarder.example:587"] == [one.server.ledger_name for one in config.outboxes]
        assert [f"{MAILBOX}@pop.forwarder.example:995"] == [one.server.ledger_name for one in config.inboxes]  # type: ignore[union-attr]

    def test_the_questions_end(self, office: Path, htpoort: Run) -> None:
        """If standard input ends before the last answer, nothing is written."""
        done = htpoort("init", stdin=b"msa\nDMS\n")

        assert 2 == done.code
        assert done.err.endswith("htpoort: Standard input ended before the last answer; nothing was written.\n")
        assert [] == list(office.iterdir())

    def test_an_answer_that_is_no_text(self, office: Path, htpoort: Run) -> None:
        """Octets that are not text are refused in a sentence."""
        done = htpoort("init", stdin=b"msa\nDMS\n\xff\n")

        assert 2 == done.code
        assert done.err.endswith(
            "htpoort: Standard input is not text in this locale's encoding; use a UTF-8 locale, or ASCII.\n"
        )
        assert [] == list(office.iterdir())

    def test_nothing_is_replaced(self, office: Path, htpoort: Run) -> None:
        """A configuration that exists stays as it is, and no ledger appears beside it."""
        (office / "htpoort.toml").write_text("mine")
        done = htpoort("init", *ANSWERS, "--server", "smtp.forwarder.example")

        assert 2 == done.code
        assert (
            "htpoort: --config: htpoort.toml exists, and nothing was written. "
            "Check it with htpoort check, or name another.\n"
        ) == done.err
        assert ["mine"] == [path.read_text() for path in office.iterdir()]

    def test_a_ledger_that_exists_is_kept(self, office: Path, htpoort: Run) -> None:
        """A new configuration beside an old ledger goes on with it."""
        Ledger.open(f"sqlite:///{office / 'htpoort.db'}").close()
        done = htpoort("init", *ANSWERS, "--server", "smtp.forwarder.example", "--json")

        assert (0, False) == (done.code, done.facts["new_ledger"])

    def test_no_server_by_default(self, office: Path, htpoort: Run) -> None:
        """Without --server there is none: nothing reaches Customs by accident. Each option that is missing is named."""
        done = htpoort("init", "--yes")

        assert 2 == done.code
        assert (
            "htpoort: --party is missing; give it, or leave --yes out.\n"
            "--mailbox is missing; give it, or leave --yes out.\n"
            "--server is missing; give it, or leave --yes out.\n"
        ) == done.err
        assert [] == list(office.iterdir())

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ("--party", "123", "--party: "),
            ("--mailbox", "edi", "--mailbox is "),
            ("--server", "a b", "--server is 'a b'; give the name or address of a host."),
            ("--system", "DSM", "--system: system 'DSM' is not in the directory; did you mean DMS?"),
            ("--username", "a\nb", "--username is empty, or holds a character that no login can carry."),
            ("--pop3-server", "a/b", "--pop3-server is 'a/b'; give the name or address of a host."),
            ("--interface", "vpn", "--interface is 'vpn'; give msa or mta."),
            ("--port", "0", "--port is '0'; give a whole number, 1 to 65535."),
        ],
    )
    def test_wrong_options(self, office: Path, htpoort: Run, option: str, value: str, message: str) -> None:
        """What cannot be used is refused by the name of its option, before anything is written."""
        options = {"--party": PARTY, "--mailbox": MAILBOX, "--server": "smtp.forwarder.example", option: value}
        done = htpoort("init", "--yes", *(part for pair in options.items() for part in pair))

        assert 2 == done.code
        assert done.err.startswith(f"htpoort: {message}")
        assert [] == list(office.iterdir())

    def test_a_folder_that_is_missing(self, office: Path, htpoort: Run) -> None:
        """The configuration is written where there is a folder for it."""
        done = htpoort("init", *ANSWERS, "--server", "smtp.forwarder.example", "--config", "gone/htpoort.toml")

        assert 1 == done.code
        assert "htpoort: --config gone/htpoort.toml: No such file or directory\n" == done.err
        assert [] == list(office.iterdir())


class TestCheck:
    """`htpoort check` has an exit code for each outcome, and a line for each check."""

    @pytest.fixture
    async def written(self, office: Path, process: Run) -> Callable[[Gateway], Any]:
        """Return a function that writes a configuration for a gateway."""

        async def write(running: Gateway) -> Path:
            await process("init", *ANSWERS, *at(running))
            return office / "htpoort.toml"

        return write

    async def test_a_line_for_each_check(self, written: Any, process: Run) -> None:
        """For a person: verdict, part, check, and what was seen."""
        async with gateway() as running:
            await written(running)
            done = await process("check")

        assert (0, "") == (done.code, done.err)
        first, *lines, last = done.text.splitlines()
        assert first.startswith("ok       configuration file: htpoort.toml can be read, and so can the passwords and ")
        assert f"ok       outbox[0] login: logged in as {MAILBOX}." in lines
        assert "ok       pop3[0] answer: STAT: +OK 0 0." in lines
        assert "17 ok, 0 warning, 0 wrong. Nothing was sent." == last

    async def test_a_warning_has_exit_code_4(self, written: Any, process: Run) -> None:
        """Here: no delivery."""
        async with gateway() as running:
            config = await written(running)
            config.write_text(config.read_text().partition("[[delivery]]")[0])
            done = await process("check")

        assert 4 == done.code
        assert (
            "warning  delivery DMS missing: Declarations to DMS are sent, but its replies are only stored: it has no "
            '[[delivery]]. Add a [[delivery]] with system = "DMS", or leave DMS out of systems of the [[outbox]].'
        ) in done.text.splitlines()

    async def test_a_wrong_password_has_exit_code_1(
        self, written: Any, process: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The rest is checked too; the password is not shown."""
        async with gateway() as running:
            await written(running)
            monkeypatch.setenv("HTPOORT_SMTP_PASSWORD", "anders")
            done = await process("check", "--json")

        assert (1, 1, 0) == (done.code, done.facts["wrong"], done.facts["warning"])
        (wrong,) = (one for one in done.facts["findings"] if one["verdict"] == "wrong")
        assert ("outbox[0]", "login") == (wrong["part"], wrong["check"])
        assert (
            "Check user name and password. It was tried once, because a server may lock the account."
            == (wrong["advice"])
        )
        assert "anders" not in done.text

    async def test_what_the_file_names_is_missing(
        self, written: Any, process: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A password that is not set is a finding beside the others; only its own login is not tried."""
        async with gateway() as running:
            await written(running)
            monkeypatch.delenv("HTPOORT_POP3_PASSWORD")
            done = await process("check")

        assert 1 == done.code
        lines = done.text.splitlines()
        assert (
            "wrong    configuration file: htpoort.toml:28: pop3[0].password_env: "
            "the environment variable HTPOORT_POP3_PASSWORD is not set, or is empty."
        ) == lines[0]
        assert f"ok       outbox[0] login: logged in as {MAILBOX}." in lines
        assert (
            "warning  pop3[0] login: The login was not tried. Mend what is wrong with its password, and check again."
        ) in lines

    def test_a_configuration_that_cannot_be_read_has_exit_code_2(self, office: Path, htpoort: Run) -> None:
        """Everything that is wrong with the file is reported, and nothing else is tried."""
        (office / "htpoort.toml").write_text('parties = ["x"]\n[ledger]\nurl = "sqlite:///htpoort.db"\nulr = 1\n')
        done = htpoort("check")
        gone = htpoort("check", "--config", "gone.toml")

        assert (2, 2) == (done.code, gone.code)
        assert "htpoort.toml:1: parties[0]: " in done.err
        assert "htpoort.toml:4: ledger.ulr: there is no such setting; did you mean url?" in done.err
        assert "htpoort: --config: gone.toml cannot be read" in gone.err

    def test_no_ledger_is_created(self, office: Path, htpoort: Run) -> None:
        """A check changes nothing."""
        (office / "htpoort.toml").write_text(BASE)
        done = htpoort("check", "--silence", "8")

        assert 4 == done.code
        assert ["htpoort.toml"] == [path.name for path in office.iterdir()]

    def test_hours(self, office: Path, htpoort: Run) -> None:
        """--silence is a number of hours."""
        (office / "htpoort.toml").write_text(BASE)
        done = htpoort("check", "--silence", "0")

        assert (2, "htpoort: --silence is '0'; give a whole number, 1 or more.\n") == (done.code, done.err)
