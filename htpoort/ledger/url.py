"""
Check the URL of a ledger.

Never does: open what it names, or show its password.
"""

from __future__ import annotations

from typing import Final, final
from urllib.parse import quote_plus

from sqlalchemy import exc
from sqlalchemy.engine import URL, make_url

from htpoort.errors import LedgerError

__all__ = ["check_url"]

_DRIVERS: Final = ("sqlite", "postgresql+psycopg")
SECRETS: Final = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
"""What libpq takes from the query of a URL and is a secret for sure."""
_SHOWN: Final = frozenset({
    *("host", "hostaddr", "port", "dbname", "user", "service", "passfile", "application_name", "client_encoding"),
    *("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("tcp_user_timeout", "target_session_attrs", "load_balance_hosts", "require_auth", "channel_binding"),
    *("sslmode", "sslnegotiation", "sslrootcert", "sslcert", "sslkey", "sslcrl", "ssl_min_protocol_version"),
})
"""
What libpq takes and holds no secret; any other value is hidden: `options` may hold one, and a misspelt name too.
"""
_HIDDEN: Final = "***"


def check_url(url: str) -> URL:
    """
    Check the URL of a ledger, and take it apart; nothing is opened.

    >>> check_url("sqlite:///htpoort.db").database
    'htpoort.db'

    Args:
        url: As `Ledger.open` takes it.

    Returns:
        Its parts, as SQLAlchemy has them; printed, they show no secret.

    Raises:
        LedgerError: It is no URL, of a database that htpoort does not use, or has options for a SQLite file; says what
            to give.
    """
    advice = "Give sqlite:///file.db or postgresql+psycopg://user@host/database."
    # For where no password could be told apart from the rest.
    where = "the given URL"
    if "\0" in url:
        raise LedgerError(where, "Reading", "It has a NUL in it; leave that out.")
    try:
        parts = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise LedgerError(where, "Reading", advice) from None
    if parts.drivername != "sqlite" and "@" in f"{parts.host}{parts.database}":
        raise LedgerError(where, "Reading", "It has an @ too many; write each @ of a password as %40.")
    if parts.drivername not in _DRIVERS:
        raise LedgerError(shown(parts), "Opening", advice)
    if parts.drivername == "sqlite" and parts.database in {None, "", ":memory:"}:
        raise LedgerError(shown(parts), "Opening", "A ledger in memory is gone with the process; name a file.")
    if parts.drivername == "sqlite" and parts.query:
        advice = "A SQLite file is opened without options; leave out ? and what follows it."
        raise LedgerError(shown(parts), "Opening", advice)
    return _Url(*parts)


def shown(url: URL) -> str:
    """Show a URL without its password, and of its query only what can hold none."""
    query = {name: value if name in _SHOWN else _HIDDEN for name, value in url.query.items()}
    # Values of a query are quoted in a URL.
    return url.set(query=query).render_as_string(hide_password=True).replace(quote_plus(_HIDDEN), _HIDDEN)


@final
class _Url(URL):
    """A URL that can be printed; SQLAlchemy's own hides the password before the host, and no other."""

    __slots__ = ()

    def __repr__(self) -> str:
        # As a plain one, or it would be asked again and again.
        return shown(URL(*self))

    __str__ = __repr__
