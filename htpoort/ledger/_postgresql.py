"""
Connect to the PostgreSQL server of a ledger, with a time limit on every answer.

Never does: prepare statements, or change settings of a session, if a pooler shares the session with other clients.
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
"""Time limits of libpq in seconds: a server that silently disappears is noticed after a minute."""
_ISOLATION: Final = "READ COMMITTED"
"""The level that the ledger was tested with; in a stricter one claims collide, and the set-up misses new tables."""
_ENCODING: Final = "utf8"
"""Also for a database in SQL_ASCII, which returns texts unchanged; psycopg would return octets otherwise."""
# Settings that the ledger relies on, unless the URL, the user or the database has others. Idle transactions have no
# limit: an export holds one for as long as its reader takes.
_SETTINGS: Final = """
SELECT set_config(wanted.name, wanted.value, {local})
FROM (VALUES ('lock_timeout', '0', '30s'), ('synchronous_commit', 'off', 'on')) AS wanted (name, old, value)
WHERE current_setting(wanted.name) = wanted.old
"""
_SERVER: Final = "SELECT pg_backend_pid()"
_POOLED: Final = "htpoort-pooled"
_TOO_SLOW: Final = (
    "The server keeps the connection open but did not answer in time (transaction_timeout), so the transaction was "
    "abandoned; check the load and the locks of the server."
)


class TooSlowError(psycopg.OperationalError):
    """A server keeps the connection open and does not answer in time; `str` is the advice to show."""


@final
class Connection(psycopg.Connection[tuple[Any, ...]]):
    """
    A connection that gives up a server which does not answer in time.

    No setting of libpq or of the server does that: a machine whose PostgreSQL hangs acknowledges every packet.

    Attributes:
        answer_limit: Seconds that one answer may take.
        deadline: When the transaction must end, by the monotonic clock.
    """

    answer_limit: float = math.inf
    deadline: float = math.inf

    def wait(self, gen: PQGen[T], *args: Any, **options: Any) -> T:  # noqa: ANN401 - psycopg's, different in each version
        """Wait for the server as psycopg does, but no longer than allowed."""
        return super().wait(self._limited(gen), *args, **options)

    def _limited(self, gen: PQGen[T]) -> PQGen[T]:
        """Pass on psycopg's steps and check the time; psycopg takes a step at least ten times a second."""
        end = min(self.deadline, time.monotonic() + self.answer_limit)
        ready: Any = None
        while True:
            try:
                wanted = gen.send(ready)
            except StopIteration as done:
                return cast("T", done.value)  # noqa: B901 - as psycopg's generators do
            if time.monotonic() > end:
                self.close()
                raise TooSlowError(_TOO_SLOW)
            ready = yield wanted


@final
class Server:
    """
    The PostgreSQL server of a ledger.

    Args:
        url: The URL of the ledger.
        location: The same without a password, for errors.
        transaction_timeout: How long a transaction may take, and each answer within a longer one.

    Attributes:
        engine: Opens nothing before its first connection.
        exclusive: Whether only one agent may use the ledger at a time.
    """

    exclusive = False

    def __init__(self, url: URL, location: str, *, transaction_timeout: timedelta) -> None:
        self.location = location
        self._seconds = transaction_timeout.total_seconds()
        limits = {name: value for name, value in _LIMITS.items() if name not in url.query}
        self.engine = sa.create_engine(
            url,
            isolation_level=_ISOLATION,
            pool_pre_ping=True,
            connect_args={**limits, "client_encoding": _ENCODING},
        )
        event.listen(self.engine, "do_connect", self._connect)
        event.listen(self.engine, "connect", self._set_up)
        event.listen(self.engine, "begin", self._begin)
        event.listen(self.engine, "checkin", self._reset)

    def _connect(self, _dialect: object, _record: object, arguments: list[Any], options: dict[str, Any]) -> Connection:
        connection = Connection.connect(*arguments, **options)
        connection.answer_limit = self._seconds
        return connection

    @staticmethod
    def _set_up(connection: Connection, record: sa.pool.ConnectionPoolEntry) -> None:
        """Check for a pooler, and change the settings of the session if there is none."""
        with contextlib.ExitStack() as on_failure:
            # The pool does not have the connection yet, and would not close it.
            on_failure.callback(connection.close)
            with contextlib.closing(connection.cursor()) as cursor:
                (number,) = cursor.execute(_SERVER).fetchone() or (0,)
                # Another backend answers than the one that greeted: the next transaction may get yet another.
                record.info[_POOLED] = pooled = number != connection.info.backend_pid
                if pooled:
                    connection.prepare_threshold = None
                else:
                    cursor.execute(_SETTINGS.format(local="false"))
            connection.commit()
            on_failure.pop_all()

    def _begin(self, connection: sa.Connection) -> None:
        driver = connection.connection.driver_connection
        if isinstance(driver, Connection) and not connection.get_execution_options().get("streaming"):
            driver.deadline = time.monotonic() + self._seconds
        if connection.info[_POOLED]:
            connection.exec_driver_sql(_SETTINGS.format(local="true"))

    def _reset(self, connection: Connection | None, _record: object) -> None:
        # None if the connection was given up.
        if connection is not None:
            connection.answer_limit, connection.deadline = self._seconds, math.inf

    def verify(self, connection: sa.Connection) -> None:
        """Do nothing: an open connection stays with the same database."""

    @staticmethod
    def lift_time_limit(connection: sa.Connection) -> None:
        """Let this transaction take any time: it would never finish otherwise, and a person is waiting for it."""
        driver = connection.connection.driver_connection
        if isinstance(driver, Connection):
            driver.answer_limit = driver.deadline = math.inf

    @staticmethod
    def agent_lock() -> contextlib.AbstractContextManager[None]:
        """Do nothing: agents share the ledger."""
        return contextlib.nullcontext()
