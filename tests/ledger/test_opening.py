"""Opening a ledger: an error explains what to do and shows no password."""

from __future__ import annotations

import base64
import pickle
import sqlite3
import subprocess  # noqa: S404 - the tests are about other processes
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, quote_plus

import pytest
import sqlalchemy as sa
from databases import new_database

from htpoort import HTPOORT, InputError, LedgerError, Submission
from htpoort.config import LedgerConfig, read_ledger
from htpoort.ledger import Ledger, check_url

Clock = Callable[..., datetime]
Make = Callable[..., Submission]

SECRET = "correct-horse"


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("no url", "Give sqlite:///file.db"),
        (f"mysql://htpoort:{SECRET}@db.example/x", "Give sqlite:///file.db"),
        (f"postgresql+psycopg://htpoort:{SECRET}@db.example:abc/x", "Give sqlite:///file.db"),
        ("sqlite://", "lost when the process ends"),
        ("sqlite:///:memory:", "lost when the process ends"),
        ("sqlite:///x.db?mode=ro", "remove the ? and what follows it"),
        (f"sqlite:///x.db?password={SECRET}", "remove the ? and what follows it"),
        (f"postgresql+psycopg://htpoort:{SECRET}@127.0.0.1:1/x", "cannot be reached"),
        (f"postgresql+psycopg://127.0.0.1:1/x?user=htpoort&password={SECRET}", "cannot be reached"),
        (f"postgresql+psycopg://127.0.0.1:1/x?sslpassword={SECRET}", "cannot be reached"),
        (f"postgresql+psycopg://127.0.0.1:1/x?Password={SECRET}", "check the names and values of options in the URL"),
        (f"postgresql+psycopg://127.0.0.1:1/x?options=-c%20htpoort.secret%3D{SECRET}", "cannot be reached"),
        (f"mysql://db.example/x?password=x&password={SECRET}", "Give sqlite:///file.db"),
        (f"postgresql+psycopg://htpoort:x@{SECRET}@127.0.0.1:1/x", "write each @ of a password as %40"),
    ],
)
def test_a_url_that_cannot_be_used(url: str, advice: str) -> None:
    """Each error explains what to do; no text of it holds the password."""
    with pytest.raises(LedgerError) as caught:
        Ledger.open(url)

    assert advice in str(caught.value)
    assert SECRET not in f"{caught.value} {caught.value!r} {pickle.dumps(caught.value)!r}"


def test_a_time_limit_that_is_a_number(tmp_path: Path) -> None:
    """A number has no unit, so it is refused, and no file is made."""
    with pytest.raises(InputError) as caught:
        Ledger.open(f"sqlite:///{tmp_path / 'htpoort.db'}", transaction_timeout=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    assert "transaction_timeout is 3; give a timedelta above 0." == str(caught.value)
    assert [] == list(tmp_path.iterdir())


def test_a_url_with_its_secrets_hidden() -> None:
    """A URL is shown with the names of its options and with harmless values; passwords and free text are hidden."""
    shown = "sqlserver://htpoort@db.example/x?options=***&other=***&passfile=.pgpass&password=***&sslpassword=***"
    query = f"other={SECRET}&options={SECRET}&passfile=.pgpass&password={SECRET}&sslpassword={SECRET}"
    with pytest.raises(LedgerError) as caught:
        check_url(f"sqlserver://htpoort@db.example/x?{query}")

    assert shown == caught.value.location


CANARY = "c4n@ry/ø:%?&="
FORMS = (CANARY, quote(CANARY, safe=""), quote_plus(CANARY), base64.b64encode(CANARY.encode()).decode(), repr(CANARY))


@pytest.mark.parametrize(
    "form",
    [
        "postgresql+psycopg://htpoort:{}@127.0.0.1:1/x",
        "postgresql+psycopg://127.0.0.1:1/x?user=htpoort&password={}",
        "postgresql+psycopg://127.0.0.1:1/x?options=-c%20app.key%3D{}",
        "postgresql+psycopg://127.0.0.1:1/x?pasword={}",
        "postgresql+psycopg://127.0.0.1:1/x?PASSFILE={}&passfile=.pgpass",
        "postgresql+psycopg://127.0.0.1:1/x?sslpassword={0}&sslpassword={0}",
        "mysql://db.example/x?ssl_key={}",
        "sqlite:///x.db?key={}",
    ],
)
def test_no_secret_is_shown(form: str, tmp_path: Path) -> None:
    """A secret in a URL is in no text, repr or pickle of the objects built from it, in any encoding."""
    url = form.format(quote(CANARY, safe=""))
    texts: list[str] = []
    with pytest.raises(LedgerError) as caught:
        Ledger.open(url)
    texts += [str(caught.value), repr(caught.value), repr(pickle.dumps(caught.value))]
    if url.startswith("postgresql"):
        parts = check_url(url)
        settings = LedgerConfig(directory=HTPOORT, parties=(), url=url, retention_days=1)
        texts += [str(parts), repr(parts), repr(parts.set(port=2)), repr(sa.create_engine(parts)), repr(settings)]
        document = tmp_path / "htpoort.toml"
        document.write_text('parties = ["NL123456789.02.05"]\n[ledger]\nurl_env = "HTPOORT_URL"\n')
        with pytest.raises(LedgerError) as again:
            read_ledger(document, environ={"HTPOORT_URL": url}).open()
        texts += [str(again.value), repr(again.value)]

    assert [] == [text for text in texts for secret in FORMS if secret in text]


def test_a_url_can_be_checked_alone(tmp_path: Path) -> None:
    """check_url checks and parses a URL without opening the database."""
    parts = check_url(f"sqlite:///{tmp_path / 'absent' / 'htpoort.db'}")
    with pytest.raises(LedgerError, match="lost when the process ends"):
        check_url("sqlite://")

    assert ("sqlite", str(tmp_path / "absent" / "htpoort.db")) == (parts.drivername, parts.database)


def test_a_missing_ledger(url: str) -> None:
    """With create=False a missing ledger is refused until another caller has created it; `new` tells both apart."""
    for _ in range(2):
        with pytest.raises(LedgerError, match="check its URL and that its disk is mounted") as caught:
            Ledger.open(url, create=False)
    with Ledger.open(url) as created:
        first = created.new
    with Ledger.open(url, create=False) as existing, Ledger.open(url) as again:
        assert (True, False, False) == (first, existing.new, again.new)

    assert not caught.value.retryable


def test_a_server_that_is_away_may_come_back() -> None:
    """Only trouble that may pass is retryable: a server that cannot be reached, but not a wrong URL."""
    with pytest.raises(LedgerError) as away:
        Ledger.open("postgresql+psycopg://htpoort@127.0.0.1:1/x")
    with pytest.raises(LedgerError) as wrong:
        Ledger.open("mysql://db.example/x")

    assert (True, False) == (away.value.retryable, wrong.value.retryable)


class TestSqliteFile:
    """The ledger changes a SQLite file only if it is a ledger."""

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        """A missing folder is not created; the error names it."""
        with pytest.raises(LedgerError, match="There is no folder"):
            Ledger.open(f"sqlite:///{tmp_path / 'absent' / 'htpoort.db'}")

        assert not (tmp_path / "absent").exists()

    def test_no_file_is_created(self, tmp_path: Path) -> None:
        """With create=False no file and no table is created, and an empty file stays empty."""
        absent, empty, marked = (tmp_path / name for name in ("absent.db", "empty.db", "marked.db"))
        empty.touch()
        with sqlite3.connect(marked) as connection:
            connection.execute(f"PRAGMA application_id={0x6874706F}")
        connection.close()
        for path in (absent, empty, marked):
            with pytest.raises(LedgerError, match="There is no ledger"):
                Ledger.open(f"sqlite:///{path}", create=False)

        assert (False, b"") == (absent.exists(), empty.read_bytes())
        with sqlite3.connect(marked) as connection:
            assert [] == connection.execute("SELECT name FROM sqlite_master").fetchall()
        connection.close()

    def test_a_text_file(self, tmp_path: Path) -> None:
        """A text file is refused and not changed, however short."""
        for text in ("no", "no database, but long enough to look at" * 99):
            path = tmp_path / "notes.txt"
            path.write_text(text)
            with pytest.raises(LedgerError, match="belongs to another program"):
                Ledger.open(f"sqlite:///{path}")

            assert text == path.read_text()

    def test_a_database_of_another_program(self, tmp_path: Path) -> None:
        """A database with another application ID, or with other tables, is refused and not changed."""
        marked, unmarked = tmp_path / "marked.db", tmp_path / "unmarked.db"
        for path, statement in ((marked, "PRAGMA application_id=7"), (unmarked, "CREATE TABLE theirs (x)")):
            with sqlite3.connect(path) as connection:
                connection.execute(statement)
                connection.execute("CREATE TABLE IF NOT EXISTS theirs (x)")
            connection.close()
            before = path.read_bytes()
            with pytest.raises(LedgerError, match="belongs to another program"):
                Ledger.open(f"sqlite:///{path}")

            assert before == path.read_bytes()

    def test_a_folder_instead_of_a_file(self, tmp_path: Path) -> None:
        """A folder cannot be a ledger."""
        with pytest.raises(LedgerError, match="cannot be opened"):
            Ledger.open(f"sqlite:///{tmp_path}")

    @pytest.mark.parametrize(("offset", "expected"), [(100, "The database is damaged"), (16, "or is damaged")])
    def test_a_damaged_database(self, tmp_path: Path, offset: int, expected: str) -> None:
        """A ledger that is damaged is reported as such, with what an agent on an older copy would do."""
        path = tmp_path / "htpoort.db"
        Ledger.open(f"sqlite:///{path}").close()
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(b"x" * 40)
        with pytest.raises(LedgerError) as caught:
            Ledger.open(f"sqlite:///{path}")

        assert expected in caught.value.advice
        assert "stop every agent. " in caught.value.advice
        assert "an agent on an older copy sends again what was sent since." in caught.value.advice

    def test_another_program_holds_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A lock that another program keeps is reported, as retryable."""
        monkeypatch.setattr("htpoort.ledger._sqlite._BUSY_SECONDS", 0)
        path = tmp_path / "htpoort.db"
        Ledger.open(f"sqlite:///{path}").close()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerError) as caught:
            Ledger.open(f"sqlite:///{path}")
        other.close()

        assert (True, True) == (caught.value.retryable, "Another program has locked the ledger" in str(caught.value))

    def test_a_reader_during_the_switch_to_wal(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """If another program reads the file during the switch to WAL, the switch is retried, and fails in the end."""
        monkeypatch.setattr("htpoort.ledger._sqlite._BUSY_SECONDS", 0)
        path = tmp_path / "htpoort.db"
        Ledger.open(f"sqlite:///{path}").close()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("PRAGMA journal_mode=DELETE").close()
        other.execute("BEGIN").close()
        other.execute("SELECT count(*) FROM htpoort_version").fetchone()
        with pytest.raises(LedgerError, match="Another program has locked the ledger"):
            Ledger.open(f"sqlite:///{path}")

        def let_go(connection: sqlite3.Connection, _record: object) -> None:
            connection.set_trace_callback(lambda statement: other.close() if statement == "BEGIN IMMEDIATE" else None)

        sa.event.listen(sa.Engine, "connect", let_go)
        try:
            Ledger.open(f"sqlite:///{path}").close()
        finally:
            sa.event.remove(sa.Engine, "connect", let_go)

    def test_opening_twice_loses_nothing(self, tmp_path: Path, clock: Clock, declaration: Make) -> None:
        """
        Opening a ledger a second time keeps the locks of the first: other processes see what the first one commits.

        If a process closes the file outside SQLite, it loses its locks on the file. Another process that ends then
        takes itself for the last one and removes the log, to which this process goes on writing.
        """
        url = f"sqlite:///{tmp_path / 'htpoort.db'}"
        code = f"from htpoort.ledger import Ledger\nwith Ledger.open({url!r}) as ledger: print(len(ledger.sent('K1')))"
        with Ledger.open(url) as first:
            Ledger.open(url).close()
            subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own interpreter
            first.exchanges.queue(declaration("K1"), at=clock())
            seen = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - the same

        assert "1\n" == seen.stdout

    def test_a_full_database(self, tmp_path: Path, clock: Clock, declaration: Make) -> None:
        """A message that does not fit is refused whole, as retryable, and is stored once there is room."""
        path = tmp_path / "htpoort.db"
        with Ledger.open(f"sqlite:///{path}") as ledger:

            def limit(connection: sa.Connection, pages: int) -> None:
                connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

            ledger.write_soon(limit, 40).result()
            with pytest.raises(LedgerError) as caught:
                ledger.exchanges.queue(declaration("K1", payload=b"<a>" + b"x" * 400_000), at=clock())
            absent = ledger.exchanges.find("K1", party="NL123456789.02.05")
            ledger.write_soon(limit, 100_000).result()
            ledger.exchanges.queue(declaration("K1", payload=b"<a>" + b"x" * 400_000), at=clock())
            present = ledger.exchanges.find("K1", party="NL123456789.02.05")

        assert (True, True) == (caught.value.retryable, "disk is full" in str(caught.value))
        assert (None, "K1") == (absent, None if present is None else present.reference)

    def test_commits_are_synced(self, tmp_path: Path) -> None:
        """WAL with synchronous=FULL: a commit that returned survives a power cut."""
        with Ledger.open(f"sqlite:///{tmp_path / 'htpoort.db'}") as ledger:
            asked = {
                pragma: ledger.write_soon(
                    lambda connection, name: connection.exec_driver_sql(name).scalar(), f"PRAGMA {pragma}"
                )
                for pragma in ("journal_mode", "synchronous", "foreign_keys")
            }

            assert {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1} == {
                pragma: future.result() for pragma, future in asked.items()
            }

    def test_one_agent_at_a_time(self, tmp_path: Path) -> None:
        """A second agent on the same file is refused while the first one runs."""
        url = f"sqlite:///{tmp_path / 'htpoort.db'}"
        with Ledger.open(url) as first, Ledger.open(url) as second:
            with first.agent_lock(), pytest.raises(LedgerError, match="Another agent"), second.agent_lock():
                pass
            with second.agent_lock():
                pass

            assert (True, True) == (first.exclusive, second.exclusive)

    def test_a_lock_file_that_cannot_be_opened(self, tmp_path: Path) -> None:
        """If the lock file cannot be opened, the error names it."""
        lock = tmp_path / "htpoort.db-agent"
        lock.mkdir()
        url = f"sqlite:///{tmp_path / 'htpoort.db'}"
        with Ledger.open(url) as ledger, pytest.raises(LedgerError) as caught, ledger.agent_lock():
            pass

        assert f"{lock} cannot be locked: Is a directory." in str(caught.value)


class TestSchema:
    """A ledger is opened only if its tables are of this version."""

    def test_opens_again(self, url: str, clock: Clock, declaration: Make) -> None:
        """A declaration is still in the ledger after closing and opening."""
        with Ledger.open(url) as first:
            first.exchanges.queue(declaration("K1"), at=clock())
        with Ledger.open(url) as second:
            assert ["K1"] == [exchange.reference for exchange in second.exchanges.listed()]

    def test_a_newer_schema_is_refused(self, url: str) -> None:
        """A schema that this version does not know is refused."""
        Ledger.open(url).close()
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE htpoort_version SET version_num = '9999'"))
        engine.dispose()
        with pytest.raises(LedgerError, match="of a newer htpoort"):
            Ledger.open(url)

    @pytest.mark.parametrize("schema", ["0001", "0002", "0003", "0004"])
    def test_tables_of_a_development_version(self, url: str, schema: str) -> None:
        """A ledger from before the first release is refused, and the error explains what to do with it."""
        Ledger.open(url).close()
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE htpoort_version SET version_num = :schema"), {"schema": schema})
        engine.dispose()
        with pytest.raises(LedgerError, match="development version of htpoort") as caught:
            Ledger.open(url)

        assert "htpoort export --raw" in str(caught.value)

    def test_the_migrations_build_the_schema(self, url: str) -> None:
        """A ledger that was upgraded has the tables, columns, indexes and constraints that the code declares."""
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        from htpoort.ledger import _schema

        Ledger.open(url).close()
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": "htpoort_version"})
            differences = compare_metadata(context, _schema.metadata)
        engine.dispose()

        # Comments are for readers of the code.
        assert [] == [each for each in differences if "comment" not in str(each)]

    def test_agents_that_start_together_upgrade_once(self, url: str) -> None:
        """Eight callers that open a new ledger at the same time all get it."""
        opened: list[Ledger] = []
        threads = [threading.Thread(target=lambda: opened.append(Ledger.open(url))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for ledger in opened:
            ledger.close()

        assert 8 == len(opened)


class TestPostgresql:
    """Trouble with the server is reported with what to do."""

    def test_a_missing_database(self, server: str) -> None:
        """The error asks to check whether the database exists."""
        url = new_database(server)
        with pytest.raises(LedgerError, match="check user name, password, and that the database exists"):
            Ledger.open(url.replace("/ledger_", "/absent_"))

    def test_several_agents(self, server: str) -> None:
        """On PostgreSQL several agents may work on one ledger."""
        url = new_database(server)
        with Ledger.open(url) as first, Ledger.open(url) as second, first.agent_lock(), second.agent_lock():
            assert (False, False) == (first.exclusive, second.exclusive)

    LIMITS: ClassVar = {
        "connect_timeout": "10",
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "60000",
        "lock_timeout": "30s",
    }

    @staticmethod
    def limits(connection: sa.Connection) -> dict[str, str]:
        """Read the timeouts of a connection."""
        parameters: dict[str, str] = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]  # psycopg's
        lock = connection.execute(sa.text("SHOW lock_timeout")).scalar_one()
        return {name: value for name, value in parameters.items() if name in TestPostgresql.LIMITS} | {
            "lock_timeout": lock
        }

    def test_no_wait_is_endless(self, server: str) -> None:
        """Writer and readers notice a server that stops answering, and a lock of another session."""
        with Ledger.open(new_database(server)) as ledger:
            assert self.LIMITS == ledger.write_soon(self.limits).result()
            assert self.LIMITS == ledger._connections.read(self.limits)

    def test_the_url_sets_other_limits(self, server: str) -> None:
        """A limit in the URL counts, and the other limits stay."""
        url = f"{new_database(server)}&connect_timeout=3&options=-c%20lock_timeout%3D5s"
        with Ledger.open(url) as ledger:
            limits = ledger.write_soon(self.limits).result()

        assert self.LIMITS | {"connect_timeout": "3", "lock_timeout": "5s"} == limits

    def test_other_options_of_the_url(self, server: str) -> None:
        """Another setting in the URL is kept, and the limits hold."""
        with Ledger.open(f"{new_database(server)}&options=-c%20work_mem%3D8MB") as ledger:
            limits = ledger.write_soon(self.limits).result()
            memory = ledger._connections.read(
                lambda connection: connection.execute(sa.text("SHOW work_mem")).scalar_one()
            )

        assert (self.LIMITS, "8MB") == (limits, memory)

    def test_a_server_that_stops_during_the_connect(self, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A connection on which the limits cannot be set is reported as lost and is closed."""
        end = "SELECT pg_terminate_backend(pg_backend_pid())"
        monkeypatch.setattr("htpoort.ledger._postgresql._SETTINGS", end)
        with pytest.raises(LedgerError, match="is shutting down") as caught:
            Ledger.open(new_database(server))

        assert caught.value.retryable

    def test_a_lost_connection_is_replaced(self, server: str, clock: Clock, declaration: Make) -> None:
        """If the server ends the writer's connection, one operation fails, and the next one works."""
        url = new_database(server)
        with Ledger.open(url) as ledger:

            def end(connection: sa.Connection) -> None:
                connection.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

            error = ledger.write_soon(end).exception()
            ledger.exchanges.queue(declaration("K1"), at=clock())

            assert isinstance(error, LedgerError)
            assert (True, ["K1"]) == (error.retryable, [exchange.reference for exchange in ledger.exchanges.listed()])


def test_a_closed_ledger(url: str, clock: Clock, declaration: Make) -> None:
    """A write to a closed ledger fails with a LedgerError; closing twice is harmless."""
    ledger = Ledger.open(url)
    ledger.close()
    ledger.close()

    with pytest.raises(LedgerError, match="closed; open it again"):
        ledger.exchanges.queue(declaration("K1"), at=clock())


def test_closing_finishes_the_queue(url: str, clock: Clock, declaration: Make) -> None:
    """Operations handed over before close() are written."""
    ledger = Ledger.open(url)
    futures = [ledger.exchanges.queue_soon(declaration(f"K{number}"), at=clock()) for number in range(600)]
    ledger.close()

    assert 600 == len({future.result().key for future in futures})


def test_closing_does_not_wait_endlessly(
    url: str, clock: Clock, declaration: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the database does not answer, close() raises; what was handed over is still done if that becomes possible."""
    monkeypatch.setattr("htpoort.ledger._connection._CLOSE_TIMEOUT", 0.01)
    began, go_on = threading.Event(), threading.Event()

    def wait(_connection: sa.Connection) -> None:
        began.set()
        go_on.wait()

    ledger = Ledger.open(url)
    ledger.write_soon(wait)
    queued = ledger.exchanges.queue_soon(declaration("K1"), at=clock())
    began.wait()
    with pytest.raises(LedgerError, match="cannot be closed in time") as caught:
        ledger.close()
    ledger.close()
    before = queued.done()
    go_on.set()

    assert (True, False, "K1") == (caught.value.retryable, before, queued.result().reference)


def test_a_cancelled_operation_is_not_run(ledger: Ledger, clock: Clock, declaration: Make) -> None:
    """An operation that was cancelled before it began is not run."""
    started, go_on = threading.Event(), threading.Event()

    def wait(_connection: sa.Connection) -> None:
        started.set()
        go_on.wait()

    first = ledger.write_soon(wait)
    started.wait()
    second = ledger.exchanges.queue_soon(declaration("K1"), at=clock())
    cancelled = second.cancel()
    go_on.set()
    first.result()

    assert (True, []) == (cancelled, list(ledger.exchanges.listed()))


def test_a_url_that_is_not_text() -> None:
    """A URL that is not text, as of a variable that is not set, is the caller's mistake."""
    url: Any = None
    with pytest.raises(InputError) as caught:
        Ledger.open(url)

    assert ["url is NoneType; give a str such as sqlite:///htpoort.db."] == [
        problem.message for problem in caught.value.problems
    ]


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_an_error_of_the_operation_reaches_its_caller(
    ledger: Ledger, clock: Clock, declaration: Make, error: type[BaseException]
) -> None:
    """An error from the caller's own code reaches that caller and no other; the ledger works on."""

    def broken(_connection: sa.Connection) -> None:
        raise error

    with pytest.raises(error):
        ledger.write_soon(broken).result(60)
    queued = ledger.exchanges.queue_soon(declaration("K1"), at=clock()).result(60)

    assert ["K1"] == [exchange.reference for exchange in ledger.exchanges.listed() if exchange.key == queued.key]
