"""`init` and `check`: a configuration that works at once, and exit codes for what does not."""

from __future__ import annotations

import stat
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
OTHER = "NL123456789.03.05"
ANSWERS = ("--yes", "--party", PARTY, "--mailbox", MAILBOX)
BASE = f'parties = ["{PARTY}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that commands start in."""
    monkeypatch.chdir(tmp_path)
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
        """With options alone: configuration, folder and ledger; with the password, all is well, and nothing is sent."""
        async with gateway() as running:
            done = await process("init", *ANSWERS, *at(running), "--json")
            (office / "htpoort.password").write_text("geheim\n")
            checked = await process("check", "--json")
            received = running.received

        assert (0, "") == (done.code, done.err)
        assert {
            "configuration": str(office / "htpoort.toml"),
            "password_file": str(office / "htpoort.password"),
            "declarations": [str(office / "out" / PARTY)],
            "ledger": f"sqlite:///{office / 'htpoort.db'}",
            "new_ledger": True,
        } == done.facts
        assert (0, ["ok"]) == (checked.code, sorted({one["verdict"] for one in checked.facts["findings"]}))
        assert [] == received

    async def test_a_declaration_goes_out_and_its_reply_comes_in(self, office: Path, process: Run) -> None:
        """A file in the folder of declarations becomes one in the folder of replies, by `run --once` alone."""
        async with gateway() as running:
            await process("init", *ANSWERS, *at(running))
            (office / "htpoort.password").write_text("geheim\n")
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

    @pytest.mark.parametrize("kind", ["mta", "MTA"])
    def test_for_mail_servers_of_ones_own(self, office: Path, htpoort: Run, kind: str) -> None:
        """Between mail servers there is no login, and replies are pushed; only this machine can connect at first."""
        done = htpoort("init", *ANSWERS, "--interface", kind, "--server", "relay.forwarder.example")
        config = read_agent(office / "htpoort.toml")

        assert 0 == done.code
        assert ["relay.forwarder.example:25"] == [outbox.server.ledger_name for outbox in config.outboxes]
        (inbox,) = config.inboxes
        assert ("127.0.0.1", 2526, "forwarder.example") == (inbox.host, inbox.port, inbox.hostname)  # type: ignore[union-attr]
        assert "password" not in (office / "htpoort.toml").read_text()
        assert "password" not in done.text

    def test_questions(self, office: Path, htpoort: Run) -> None:
        """Without options it asks; a wrong answer is asked again, and an empty one takes what is shown in brackets."""
        answers = (
            "",
            "foo",
            "",
            "",
            "123",
            f"{PARTY} {OTHER}",
            MAILBOX,
            "smtp forwarder",
            "smtp.forwarder.example",
            "",
            "pop.forwarder.example",
            "",
        )
        done = htpoort("init", "--json", stdin="".join(f"{answer}\n" for answer in answers).encode())
        (office / "htpoort.password").write_text("geheim")
        config = read_agent(office / "htpoort.toml")

        assert (0, True) == (done.code, done.facts["new_ledger"])
        assert done.err.startswith(
            "Enter takes the value in brackets. Nothing is written before the last answer.\n"
            "Do you send with a login and fetch by POP3 (msa), or exchange mail between servers (mta) [msa]: "
            "The declaration system [DMS]: Your answer is 'foo'; give AGS or DMS.\n"
            "The declaration system [DMS]: "
            "Your party ID, such as NL123456789.02.05; several with blanks between them: An answer is needed.\n"
            "Your party ID, such as NL123456789.02.05; several with blanks between them: Your answer is '123', not a "
            "party ID; write two letters, digits and groups after dots, as in NL123456789.02.05.\n"
        )
        assert "Your own mailbox, where replies arrive: " in done.err
        assert f"The user name of the login [{MAILBOX}]: " in done.err
        assert "The file for the password of both logins [htpoort.password]: " in done.err
        assert "Your answer is 'smtp forwarder'; give the name or address of a host." in done.err
        assert [PARTY, OTHER] == [str(party) for party in config.ledger.parties]
        assert [f"{MAILBOX}@smtp.forwarder.example:587"] == [one.server.ledger_name for one in config.outboxes]
        assert [f"{MAILBOX}@pop.forwarder.example:995"] == [one.server.ledger_name for one in config.inboxes]  # type: ignore[union-attr]

    def test_an_answer_in_capitals(self, htpoort: Run) -> None:
        """The case of an answer that is one of a few words does not matter."""
        done = htpoort("init", *ANSWERS[1:], "--server", "relay.forwarder.example", "--json", stdin=b"MTA\nDMS\n")

        assert (0, None) == (done.code, done.facts["password_file"])

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
            ("--party", "123", "--party is '123', not a party ID; write two letters, digits and groups after dots, "),
            ("--party", "", "--party is '', not a party ID; "),
            ("--mailbox", "edi", "--mailbox is "),
            ("--server", "a b", "--server is 'a b'; give the name or address of a host."),
            ("--system", "DSM", "--system is 'DSM'; give AGS or DMS.\n"),
            ("--password-file", "", "--password-file is empty, or holds a character that the configuration "),
            ("--password-file", "htpoort.toml", "--password-file is the configuration itself; give another file.\n"),
            ("--password-file", "/", "--password-file is /, a folder; give a file.\n"),
            ("--password-file", "gone/a", "--password-file is gone/a, and there is no folder gone; create it, or "),
            ("--server", "edi@x", "--server is a text with @ or ://, which may hold a password; give the name or "),
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

        # The default of another option that follows from a wrong one is not wrong too.
        assert (2, 1) == (done.code, done.err.count("\n"))
        assert done.err.startswith(f"htpoort: {message}")
        assert [] == list(office.iterdir())

    def test_wrong_options_are_refused_before_a_question(self, office: Path, htpoort: Run) -> None:
        """Nothing is asked of a user whose options cannot be used, or have no place to be written to."""
        (office / "busy").mkdir()
        (office / "busy" / "out").touch()
        wrong = htpoort("init", "--server", "a b", "--mailbox", "edi")
        gone = htpoort("init", "--config", "gone/htpoort.toml")
        busy = htpoort("init", "--config", "busy/htpoort.toml")

        assert (2, 2, 2) == (wrong.code, gone.code, busy.code)
        assert (
            "htpoort: --mailbox is 'edi', not a plain mailbox, name@domain.\n"
            "--server is 'a b'; give the name or address of a host.\n"
        ) == wrong.err
        assert (
            "htpoort: --config: there is no folder gone, and nothing was written. "
            "Create it, or name a file in another.\n"
        ) == gone.err
        assert (
            "htpoort: --config: busy/out is in the way of the folder for declarations. "
            "Move it, or name a file elsewhere.\n"
        ) == busy.err
        assert ["busy"] == [path.name for path in office.iterdir()]

    def test_the_variable_is_named(self, htpoort: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """A user who names the configuration by HTPOORT_CONFIG gave no option."""
        monkeypatch.setenv("HTPOORT_CONFIG", "gone/htpoort.toml")
        done = htpoort("init")

        assert done.err.startswith("htpoort: HTPOORT_CONFIG: there is no folder gone")

    def test_several_parties(self, office: Path, htpoort: Run) -> None:
        """Each --party is a party of the configuration and has its folder; the same one twice is one."""
        more = ("--party", OTHER, "--party", PARTY.lower())
        done = htpoort("init", *ANSWERS, *more, "--server", "smtp.forwarder.example")
        (office / "htpoort.password").write_text("geheim")

        assert 0 == done.code
        assert f"declarations   {office}/out/{PARTY}, {office}/out/{OTHER}" in done.text.splitlines()
        assert {PARTY, OTHER} == {path.name for path in (office / "out").iterdir()}
        assert [PARTY, OTHER] == [str(party) for party in read_agent(office / "htpoort.toml").ledger.parties]

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("--username", "edi"),
            ("--password-file", "edi.password"),
            ("--pop3-server", "pop.forwarder.example"),
            ("--pop3-port", "995"),
        ],
    )
    def test_an_option_without_a_use_is_refused(self, office: Path, htpoort: Run, option: str, value: str) -> None:
        """Between mail servers there is no login and no POP3: what only those use is never ignored in silence."""
        done = htpoort(*("init", *ANSWERS, "--interface", "mta", "--server", "relay.forwarder.example", option, value))
        asked = htpoort("init", option, value, stdin=b"mta\n")

        message = (
            f"{option} is for --interface msa; between mail servers there is no login and no POP3. Leave it out.\n"
        )
        assert (2, f"htpoort: {message}") == (done.code, done.err)
        assert (2, True) == (asked.code, asked.err.endswith(message))
        assert [] == list(office.iterdir())

    def test_the_port_that_replies_are_pushed_to(self, office: Path, htpoort: Run) -> None:
        """It can be chosen between mail servers; with a login nothing listens, so there it is refused."""
        chosen = ("init", *ANSWERS, "--listen-port", "2600", "--server", "relay.forwarder.example", "--interface")
        refused = htpoort(*chosen, "msa")
        before = list(office.iterdir())
        done = htpoort(*chosen, "mta")
        (inbox,) = read_agent(office / "htpoort.toml").inboxes

        message = "--listen-port is for --interface mta; with msa, replies are fetched by POP3 and nothing listens."
        assert (2, f"htpoort: {message} Leave it out.\n", []) == (refused.code, refused.err, before)
        assert (0, 2600) == (done.code, inbox.port)  # type: ignore[union-attr]

    def test_no_password_in_the_clear(self, htpoort: Run) -> None:
        """A login without TLS to another machine is refused here, and not only when the file is read."""
        plain = ("--security", "plain", "--server")
        done = htpoort("init", *ANSWERS, *plain, "smtp.forwarder.example", "--pop3-server", "127.0.0.1")
        asked = htpoort("init", *plain[:2], *ANSWERS[1:], stdin=b"\n\nsmtp.forwarder.example\n")
        relay = htpoort("init", *ANSWERS, *plain, "relay.forwarder.example", "--interface", "mta")

        message = (
            "is smtp.forwarder.example, where --security plain would send the password in the clear; "
            "give starttls or implicit, or leave --security out.\n"
        )
        assert (2, f"htpoort: --server {message}") == (done.code, done.err)
        assert f"Your answer {message}" in asked.err
        assert 0 == relay.code

    def test_the_file_for_the_password(self, office: Path, htpoort: Run) -> None:
        """It is created empty, and for its owner alone; one that exists is kept; a path starts where the user is."""
        (office / "etc").mkdir()
        (office / "kept").write_text("geheim")
        server = ("--server", "smtp.forwarder.example")
        one = htpoort("init", *ANSWERS, *server, "--config", "etc/htpoort.toml")
        two = htpoort("init", *ANSWERS, *server, "--config", "etc/other.toml", "--password-file", "kept")

        assert 0o600 == stat.S_IMODE((office / "etc" / "htpoort.password").stat().st_mode)
        assert 0 == (office / "etc" / "htpoort.password").stat().st_size
        assert [
            f"Write the password of both logins into this file: {office}/etc/htpoort.password",
            "Then: htpoort check --config etc/htpoort.toml",
        ] == one.text.splitlines()[-2:]
        assert 2 == (office / "etc" / "htpoort.toml").read_text().count('password_file = "htpoort.password"')
        assert "geheim" == (office / "kept").read_text()
        assert "Write the password" not in two.text
        assert 2 == (office / "etc" / "other.toml").read_text().count(f'password_file = "{office}/kept"')

    def test_ports_are_in_the_file(self, office: Path, htpoort: Run) -> None:
        """Also the usual ones, so that the file shows what is tried."""
        htpoort("init", *ANSWERS, "--server", "smtp.forwarder.example")
        lines = (office / "htpoort.toml").read_text().splitlines()

        assert ["port = 587", "port = 995"] == [line for line in lines if line.startswith("port")]


class TestCheck:
    """`htpoort check` has an exit code for each outcome, and a line for each check."""

    @pytest.fixture
    async def written(self, office: Path, process: Run) -> Callable[[Gateway], Any]:
        """Return a function that writes a configuration for a gateway."""

        async def write(running: Gateway) -> Path:
            await process("init", *ANSWERS, *at(running))
            (office / "htpoort.password").write_text("geheim")
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
        assert "17 ok, 0 warnings, 0 wrong. Nothing was sent." == last

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

    async def test_a_wrong_password_has_exit_code_1(self, written: Any, process: Run) -> None:
        """The rest is checked too; the password is not shown."""
        async with gateway() as running:
            config = await written(running)
            config.with_name("other").write_text("anders")
            config.write_text(config.read_text().replace("htpoort.password", "other", 1))
            done = await process("check", "--json")

        assert (1, 1, 0) == (done.code, done.facts["wrong"], done.facts["warning"])
        (wrong,) = (one for one in done.facts["findings"] if one["verdict"] == "wrong")
        assert ("outbox[0]", "login") == (wrong["part"], wrong["check"])
        assert (
            "Check user name and password. It was tried once, because a server may lock the account."
            == (wrong["advice"])
        )
        assert "anders" not in done.text

    async def test_what_the_file_names_is_missing(self, written: Any, process: Run) -> None:
        """A password that is not set is a finding beside the others; only its own login is not tried."""
        async with gateway() as running:
            config = await written(running)
            before, after = config.read_text().split("[[pop3]]")
            after = after.replace('password_file = "htpoort.password"', 'password_env = "HTPOORT_POP3_PASSWORD"')
            config.write_text(f"{before}[[pop3]]{after}")
            done = await process("check")

        assert 1 == done.code
        lines = done.text.splitlines()
        assert (
            "wrong    configuration file: htpoort.toml:29: pop3[0].password_env: "
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
