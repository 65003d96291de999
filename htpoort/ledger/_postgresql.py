"""
Connect to the PostgreSQL server of a ledger, and wait for no answer without an end.

Never does: prepare statements, or set anything for a session, where a pooler gives the session to others too.
"""

from __future__ import annotations

import contextlib
import math
import time
from datetime import timedelta
from typing import Any, Final, TypeVar, cast, final

import psycopg
import sqlalchemy as sa
from psycopg.abc import PQGen
from sqlalchemy import event
from sqlalchemy.engine import URL

T = TypeVar("T")

_LIMITS: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds, unlike the others
}
"""What libpq waits for at most, in seconds: a server that is gone without a word is noticed after a minute."""
_ISOLATION: Final = "READ COMMITTED"
"""What the ledger was proved with; in a stricter one claims fail one after another, and set-up misses new tables."""
_ENCODING: Final = "utf8"
"""Also for a database in SQL_ASCII, which then gives back what it was given; psycopg would give octets for texts."""
# Settings that the ledger rests on, where no one set another, be it in the URL, for the user or for the database. Idle
# transactions have no limit: an export holds one for as long as its reader takes.
_SETTINGS: Final = """
SELECT set_config(wanted.name, wanted.value, {local})
FROM (VALUES ('lock_timeout', '0', '30s'), ('synchronous_commit', 'off', 'on')) AS wanted (name, old, value)
WHERE current_setting(wanted.name) = wanted.old
"""
_SERVER: Final = "SELECT pg_backend_pid()"
_POOLED: Final = "htpoort-pooled"
_TOO_SLOW: Final = (
    "The server keeps the connection and has not answered in time (transaction_timeout), so the transaction was given "
    "up; look at the load and the locks of the server."
)


class TooSlowError(psycopg.OperationalError):
    """A server that keeps its connection and does not answer in time; `str` is for a person."""


@final
class Connection(psycopg.Connection[tuple[Any, ...]]):
    """
    Give up a server that does not answer in time.

    No setting of libpq or of the server does: a machine whose PostgreSQL hangs acknowledges every packet.

    Attributes:
        each: Seconds that one answer may take.
        until: When the transaction must be over, of the monotonic clock.
    """

    each: float = math.inf
    until: float = math.inf

    def wait(self, gen: PQGen[T], *args: Any, **options: Any) -> T:  # noqa: ANN401 - psycopg's, and others in each version
        """Wait for the server as psycopg does, but not for longer than allowed."""
        return super().wait(self._limited(gen), *args, **options)

    def _limited(self, gen: PQGen[T]) -> PQGen[T]:
        """Give psycopg's own steps, and count the time; it asks for the next one at least ten times a second."""
        end = min(self.until, time.monotonic() + self.each)
        ready: Any = None
        while True:
            try:
                wanted = gen.send(ready)
            except StopIteration as done:
                return cast("T", done.value)  # noqa: B901 - as each generator of psycopg's does
            if time.monotonic() > end:
                self.close()
                raise TooSlowError(_TOO_SLOW)
            ready = yield wanted


@final
class Server:
    """
    Hold the server of a ledger.

    Args:
        url: Of the ledger.
        where: The same for errors.
        transaction_timeout: How long a transaction may take, and each answer within a longer one.
    """

    exclusive = False

    def __init__(self, url: URL, where: str, *, transaction_timeout: timedelta) -> None:
        self.where = where
        self._seconds = transaction_timeout.total_seconds()
        limits = {name: value for name, value in _LIMITS.items() if name not in url.query}
        self.engine = sa.create_engine(
            url,
            isolation_level=_ISOLATION,
            pool_pre_ping=True,
            connect_args={**limits, "client_encoding": _ENCODING},
        )
        event.listen(self.engine, "do_connect", self._connect)
        event.listen(self.engine, "connect", self._prepare)
        event.listen(self.engine, "begin", self._begun)
        event.listen(self.engine, "checkin", self._returned)

    def _connect(self, _dialect: object, _record: object, given: list[Any], options: dict[str, Any]) -> Connection:
        connection = Connection.connect(*given, **options)
        connection.each = self._seconds
        return connection

    @staticmethod
    def _prepare(connection: Connection, record: sa.pool.ConnectionPoolEntry) -> None:
        """Look for a pooler, and make the settings of a session where there is none."""
        with contextlib.ExitStack() as failing:
            # No one has it yet who would close it.
            failing.callback(connection.close)
            with contextlib.closing(connection.cursor()) as cursor:
                (number,) = cursor.execute(_SERVER).fetchone() or (0,)
                # Who answers is not who greeted: the next transaction may be with yet another.
                record.info[_POOLED] = pooled = number != connection.info.backend_pid
                if pooled:
                    connection.prepare_threshold = None
                else:
                    cursor.execute(_SETTINGS.format(local="false"))
            connection.commit()
            failing.pop_all()

    def _begun(self, connection: sa.Connection) -> None:
        driver = connection.connection.driver_connection
        if isinstance(driver, Connection) and not connection.get_execution_options().get("streaming"):
            driver.until = time.monotonic() + self._seconds
        if connection.info[_POOLED]:
            connection.exec_driver_sql(_SETTINGS.format(local="true"))

    def _returned(self, connection: Connection | None, _record: object) -> None:
        # None where it was given up.
        if connection is not None:
            connection.each, connection.until = self._seconds, math.inf

    def verify(self, connection: sa.Connection) -> None:
        """Check nothing: a connection that is open is to the same database."""

    @staticmethod
    def unlimited(connection: sa.Connection) -> None:
        """Let this transaction take its time."""
        driver = connection.connection.driver_connection
        if isinstance(driver, Connection):
            driver.each = driver.until = math.inf

    @staticmethod
    def agent_lock() -> contextlib.AbstractContextManager[None]:
        """Keep no one away: agents share it."""
        return contextlib.nullcontext()
