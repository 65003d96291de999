"""The tables of ``htpoort.toml`` for `htpoort.core.toml_reader`, with the defaults of the parts that they configure."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Final, final

import attrs

from htpoort.agent import Pop3Inbox, Timing
from htpoort.core.cutover import QUIET_DAYS
from htpoort.core.directory import Mark
from htpoort.core.exchange import RETRY_SCHEDULE
from htpoort.core.message import Layout, TransferEncoding
from htpoort.core.toml_reader import refused_setting, required
from htpoort.ledger import RETENTION_DAYS, TRANSACTION_TIMEOUT
from htpoort.transport import FtpsAccount, Pop3Account, Security, SmtpInbox, SmtpServer


class Mode(enum.StrEnum):
    """Whether every message is also built for a second system."""

    LIVE = "live"
    SHADOW = "shadow"


# Where the defaults come from.
_SERVER: Final = SmtpServer(host="localhost")
_SMTP: Final = SmtpInbox(hostname="localhost", mailboxes=("edi@localhost",))
_POP3: Final = Pop3Inbox(server=Pop3Account(host="localhost", username="-", password="-"))  # noqa: S106 - not a real one
_FTPS: Final = FtpsAccount(host="localhost", username="-", password="-")  # noqa: S106 - the same
_TIMING: Final = Timing()


@attrs.frozen(kw_only=True)
class Tls:
    """The keys that three tables have in common."""

    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: str | None = refused_setting()
    key_password_env: str | None = None
    key_password_file: str | None = None


@attrs.frozen(kw_only=True)
class Login(Tls):
    """The keys that two tables have in common."""

    port: int | None = None
    username: str | None = None
    password: str | None = refused_setting()
    password_env: str | None = None
    password_file: str | None = None


@final
@attrs.frozen(kw_only=True)
class LedgerTable:
    """The keys of ``[ledger]``."""

    url: str | None = None
    url_env: str | None = None
    retention_days: int = RETENTION_DAYS
    transaction_timeout: timedelta = TRANSACTION_TIMEOUT


@final
@attrs.frozen(kw_only=True)
class OutboxTable(Login):
    """The keys of ``[[outbox]]``."""

    server: str = required("localhost")
    security: Security = Security.STARTTLS
    connections: int = 4
    per_hour: int | None = None
    systems: tuple[str, ...] = ()
    retry: tuple[timedelta, ...] = RETRY_SCHEDULE
    timeout: timedelta = timedelta(seconds=_SERVER.timeout)
    final_timeout: timedelta = timedelta(seconds=_SERVER.final_timeout)
    local_hostname: str | None = None


@final
@attrs.frozen(kw_only=True)
class SmtpTable(Tls):
    """The keys of ``[[smtp]]``."""

    hostname: str = required("localhost")
    mailboxes: tuple[str, ...] = required(["edi@forwarder.example"])
    host: str = _SMTP.host
    # Needed here: no peer finds a port that changes with each start.
    port: int = required(0)
    require_tls: bool = _SMTP.require_tls
    networks: tuple[str, ...] = _SMTP.networks
    size_limit: int = _SMTP.size_limit
    connections: int = _SMTP.limits.connections
    connections_per_peer: int = _SMTP.limits.connections_per_peer
    held_limit: int = _SMTP.limits.held_limit
    commands_per_turn: int = _SMTP.limits.commands_per_turn
    mail_from_rewritten_by: tuple[str, ...] = ()


@final
@attrs.frozen(kw_only=True)
class Pop3Table(Login):
    """The keys of ``[[pop3]]``."""

    server: str = required("localhost")
    security: Security = Security.IMPLICIT
    poll: timedelta = _POP3.poll_interval
    timeout: timedelta = timedelta(seconds=_POP3.server.timeout)
    mail_timeout: timedelta = timedelta(seconds=_POP3.server.mail_timeout)
    session_timeout: timedelta = timedelta(seconds=_POP3.server.session_timeout)
    mail_limit: int = _POP3.server.mail_limit
    listing_limit: int = _POP3.server.listing_limit


@final
@attrs.frozen(kw_only=True)
class GatewayTable(Login):
    """The keys of ``[[gateway]]``."""

    server: str = required("localhost")
    security: Security = Security.STARTTLS
    services: tuple[str, ...] = ()
    upload: bool = True
    fetch: bool = True
    unique_names: bool = True
    connections: int = 1
    per_hour: int | None = None
    retry: tuple[timedelta, ...] = RETRY_SCHEDULE
    poll: timedelta = _POP3.poll_interval
    timeout: timedelta = timedelta(seconds=_FTPS.timeout)
    transfer_timeout: timedelta = timedelta(seconds=_FTPS.transfer_timeout)
    file_limit: int = _FTPS.file_limit
    listing_limit: int = _FTPS.listing_limit


@final
@attrs.frozen(kw_only=True)
class DeliveryTable:
    """The keys of ``[[delivery]]``."""

    system: str = required("-")
    party: str | None = None
    directory: str | None = None
    maildir: str | None = None
    command: tuple[str, ...] | None = None
    payload: bool = False
    timeout: timedelta | None = None


@final
@attrs.frozen(kw_only=True)
class FolderTable:
    """The keys of ``[[folder]]``."""

    path: str = required("declarations")
    mailbox: str = required("edi@forwarder.example")
    pattern: str = "{reference}.xml"
    party: str | None = None
    system: str | None = None
    settle: timedelta = timedelta(seconds=2)
    layout: Layout = "body"
    transfer_encoding: TransferEncoding | None = None


@final
@attrs.frozen(kw_only=True)
class TimingTable:
    """The keys of ``[timing]``."""

    poll: timedelta = _TIMING.poll_interval
    lease: timedelta = _TIMING.lease
    grace: timedelta = _TIMING.grace
    retry_delay: timedelta = _TIMING.retry_delay
    redeliver: tuple[timedelta, ...] = _TIMING.redelivery_schedule
    delivery: timedelta = _TIMING.delivery_timeout
    pause: tuple[timedelta, ...] = _TIMING.pause_schedule
    pause_login: timedelta = _TIMING.login_pause
    release: timedelta = _TIMING.release_spread


@final
@attrs.frozen(kw_only=True)
class MetricsTable:
    """The keys of ``[metrics]``."""

    host: str = "127.0.0.1"
    port: int = required(9464)


@final
@attrs.frozen(kw_only=True)
class NoticesTable:
    """The keys of ``[notices]``."""

    folder: str | None = None
    name: object = None


@final
@attrs.frozen(kw_only=True)
class NoticeNameTable:
    """The keys of ``[[notices.name]]``."""

    name: str = required("-")
    system: str = required("-")
    authority: str | None = None
    mark: Mark = Mark.UNKNOWN
    source: str = ""


@final
@attrs.frozen(kw_only=True)
class UnansweredTable:
    """The keys of ``[unanswered]``."""

    after: timedelta | None = None
    system: object = None


@final
@attrs.frozen(kw_only=True)
class UnansweredSystemTable:
    """The keys of ``[[unanswered.system]]``."""

    system: str = required("-")
    after: timedelta = required(timedelta(hours=1))


@final
@attrs.frozen(kw_only=True)
class CutoverTable:
    """The keys of ``[cutover]``."""

    default: str = "AGS"
    leaving: str = "AGS"
    quiet_days: int = QUIET_DAYS
    mode: Mode = Mode.LIVE
    shadow_system: str | None = None
    moves: str | None = None
    move: object = None
