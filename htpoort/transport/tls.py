"""
Hold the TLS settings that Customs published, each with its day, and make contexts of them.

Never does: connect, know today's date, or set a highest TLS version.
"""

from __future__ import annotations

import enum
import logging
import ssl
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from ssl import TLSVersion
from typing import Final, cast, final

import attrs

from htpoort.directory import Mark
from htpoort.errors import InputError, Problem

_LOG: Final = logging.getLogger("htpoort.transport")

__all__ = [
    "POLICIES",
    "Environment",
    "TlsPolicy",
    "TlsSettings",
    "client_context",
    "policy_for",
    "server_context",
]


class Environment(enum.Enum):
    """Tell which of the gateway's environments is meant."""

    PRODUCTION = "production"
    """Where declarations count."""
    TEST = "test"
    """The business test environment (BTO, *bedrijfstestomgeving*)."""


@final
@attrs.frozen(kw_only=True)
class TlsPolicy:
    """
    Hold what the gateway speaks from one day on.

    Args:
        environment: Where it holds.
        valid_from: First day, Europe/Amsterdam; None where the source has no date, before all others.
        announced: The versions that the source names as spoken from that day.
        minimum: The lowest version that `client_context` lets pass; there is never a highest.
        ciphers: The suites of TLS 1.2 by their OpenSSL names, in the source's order; empty where no list is
            known, which leaves Python's own. Suites of TLS 1.3 are not chosen by name.
        source: The document that says so.
        mark: How sure that is.
        note: What the source leaves open, or contradicts.

    Source:
        Dated notices of Dutch Customs about the MSA interface of the Handel & Transport Gateway; each
        value names its own.
    """

    environment: Environment
    valid_from: date | None
    announced: tuple[TLSVersion, ...]
    minimum: TLSVersion = TLSVersion.TLSv1_2
    ciphers: tuple[str, ...] = ()
    source: str = ""
    mark: Mark = Mark.UNKNOWN
    note: str = ""

    @property
    def openssl_ciphers(self) -> str:
        """The suites of TLS 1.2 in OpenSSL's form, what was removed shut out by name; empty without a list."""
        return ":".join((*self.ciphers, *_REMOVED)) if self.ciphers else ""


# TLS_RSA_* (no forward secrecy) and CAMELLIA, which the notice of 06-03-2025 removes.
_REMOVED: Final = ("!kRSA", "!CAMELLIA")

# "Kept among others", says our source: suites that are missing here may still be spoken.
_KEPT: Final = (
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-RSA-AES128-SHA256",
    "DHE-RSA-AES256-GCM-SHA384",
    "DHE-RSA-CHACHA20-POLY1305",
    "DHE-RSA-AES256-CCM",
    "DHE-RSA-AES128-GCM-SHA256",
)
_DESCRIPTION: Final = "HTG interface description, SMTP-MSA"
_NOTICE_2025: Final = "HTG notice of 06-03-2025"
_STAYS: Final = "The notice lists suites of 1.2. None takes TLS 1.3 away again; that it stays beside 1.2 is inferred."

# The notices contradict each other: 1.2 was to go on 06-07-2022, and the notice of 06-03-2025 lists
# suites of 1.2. So 1.2 is the minimum throughout, 1.3 is taken wherever the gateway offers it, and
# the announcement stays readable in its own entry.
POLICIES: Final = (
    TlsPolicy(
        environment=Environment.PRODUCTION,
        valid_from=None,
        announced=(TLSVersion.TLSv1_2,),
        source=_DESCRIPTION,
        mark=Mark.OFFICIAL,
    ),
    TlsPolicy(
        environment=Environment.PRODUCTION,
        valid_from=date(2022, 4, 13),
        announced=(TLSVersion.TLSv1_2, TLSVersion.TLSv1_3),
        source="HTG notice, TLS 1.3 in production on 13-04-2022",
        mark=Mark.OFFICIAL,
    ),
    TlsPolicy(
        environment=Environment.PRODUCTION,
        valid_from=date(2022, 7, 6),
        announced=(TLSVersion.TLSv1_3,),
        source="HTG notice, TLS 1.2 to go on 06-07-2022",
        mark=Mark.OFFICIAL,
        note="Announced only: the notice of 06-03-2025 still lists suites of TLS 1.2, so 1.2 is still let pass.",
    ),
    TlsPolicy(
        environment=Environment.PRODUCTION,
        valid_from=date(2025, 5, 20),
        announced=(TLSVersion.TLSv1_2,),
        ciphers=_KEPT,
        source=_NOTICE_2025,
        mark=Mark.OFFICIAL,
        note=_STAYS,
    ),
    TlsPolicy(
        environment=Environment.TEST,
        valid_from=None,
        announced=(TLSVersion.TLSv1_2,),
        source=_DESCRIPTION,
        mark=Mark.OFFICIAL,
        note="On which day TLS 1.3 came to the test environment is unknown.",
    ),
    TlsPolicy(
        environment=Environment.TEST,
        valid_from=date(2025, 4, 8),
        announced=(TLSVersion.TLSv1_2,),
        ciphers=_KEPT,
        source=_NOTICE_2025,
        mark=Mark.OFFICIAL,
        note=_STAYS,
    ),
)
"""What was published, by environment, oldest first."""


def policy_for(environment: Environment, *, on: date) -> TlsPolicy:
    """
    Say what the gateway speaks on a day.

    >>> policy_for(Environment.PRODUCTION, on=date(2025, 5, 20)).source
    'HTG notice of 06-03-2025'

    Args:
        environment: Production or test.
        on: The day in Europe/Amsterdam; a policy holds from 00:00 of its day.

    Returns:
        The newest policy that holds on that day.

    Raises:
        InputError: *on* is no date, or one with a time.

    Source:
        The notices in `POLICIES`.
    """
    day = cast("object", on)
    if not isinstance(day, date) or isinstance(day, datetime):
        raise InputError("on", (Problem("input.date", f"on is {type(on).__name__}; give a date."),))
    *_, newest = (
        policy
        for policy in POLICIES
        if policy.environment is environment and (policy.valid_from is None or policy.valid_from <= on)
    )
    return newest


_NEWEST: Final = policy_for(Environment.PRODUCTION, on=date.max)


@final
@attrs.frozen(kw_only=True)
class TlsSettings:
    """
    Say whom to trust and what to show when a connection is made safe.

    Args:
        policy: Versions and suites; by default the newest that was published for production.
        ca_file: PEM file of the authorities that are trusted, and no others; those of the system where
            not given. For a server: of the authorities whose clients may connect.
        certificate: PEM file of our own certificate and its chain.
        key: PEM file of its private key; where not given, it stands in *certificate*.
        key_password: What opens the key, where it is closed. Not shown in the repr.

    Raises:
        InputError: A key without a certificate, or a password without either.
    """

    policy: TlsPolicy = _NEWEST
    ca_file: Path | str | None = None
    certificate: Path | str | None = None
    key: Path | str | None = None
    key_password: str | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.certificate is None and (self.key is not None or self.key_password is not None):
            field = "key_password" if self.key is None else "key"
            raise InputError(field, (Problem("tls.certificate", f"{field} is given without certificate; give both."),))


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """
    Make the context of one who connects: the server's certificate and name are always checked.

    Args:
        settings: Whom to trust, and the certificate to show if one is asked for.

    Returns:
        A context with the policy's minimum and suites and without a maximum.

    Raises:
        InputError: A file cannot be read or used, or no suite is left; tells the field and the path.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.ca_file is None:
        context.load_default_certs()
    return _filled(context, settings)


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """
    Make the context of one who is connected to.

    When one of the files is another than before, each new connection gets what is in them then. As long as they
    cannot be used, a pair of which half is written for instance, it gets what was read before; the logger
    ``htpoort.transport`` tells why.

    Args:
        settings: The certificate to show, which must be there; with *ca_file*, clients must show one too.

    Returns:
        A context with the policy's minimum and suites and without a maximum.

    Raises:
        InputError: There is no certificate, a file cannot be read or used, or no suite is left.
    """
    if settings.certificate is None:
        raise InputError("certificate", (Problem("tls.certificate", "A server needs a certificate; give its file."),))
    # Looked at before they are read: what changes in between is seen at the first connection.
    renewal = _Renewal(settings, _states(settings))
    context = _server_context(settings)
    # Called in each handshake, whether the peer sends a name or not.
    context.sni_callback = renewal.chosen
    return context


def _server_context(settings: TlsSettings) -> ssl.SSLContext:
    context = _filled(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), settings)
    if settings.policy.minimum <= TLSVersion.TLSv1_2 and not _serves_1_2(context, settings.policy):
        certificate = str(settings.certificate)
        message = "certificate has a key for which no suite of TLS 1.2 is left; give one with an RSA key."
        raise InputError(certificate, (Problem("tls.key", message, 0, len(certificate)),))
    if settings.ca_file is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _serves_1_2(context: ssl.SSLContext, policy: TlsPolicy) -> bool:
    """Try a handshake of TLS 1.2 in memory: the suites that Customs lists are for RSA keys, and no error says so."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.maximum_version = TLSVersion.TLSv1_2
    if policy.openssl_ciphers:
        client.set_ciphers(policy.openssl_ciphers)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server), context.wrap_bio(to_server, to_client, server_side=True)]
    # Each needs two turns: hello and certificate, key and end.
    for end in (*ends, *ends):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError:
            return False
    return True


@final
@attrs.define(eq=False)
class _Renewal:
    """Choose for each handshake what is newest, because who listens for a year outlives his certificate."""

    _settings: TlsSettings
    _seen: tuple[tuple[int, ...], ...]
    _newest: ssl.SSLContext | None = None

    def chosen(self, talk: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Look whether the files are others; read them only then."""
        found = _states(self._settings)
        if found != self._seen:
            self._seen = found
            self._renew()
        if self._newest is not None:
            talk.context = self._newest

    def _renew(self) -> None:
        # A context of its own: one into which half a pair was loaded would be of no use.
        try:
            self._newest = _server_context(self._settings)
        except InputError as error:
            _LOG.error("New connections get the certificate that was read before: %s", told(error))
        else:
            _LOG.info("New connections get the certificate that is in %s now", self._settings.certificate)


def _states(settings: TlsSettings) -> tuple[tuple[int, ...], ...]:
    """Tell the files from others of the same names; nothing for one that cannot be looked at."""
    files = (settings.ca_file, settings.certificate, settings.key)
    return tuple(_state(file) for file in files if file is not None)


def _state(file: Path | str) -> tuple[int, ...]:
    try:
        found = Path(file).stat()
    except (OSError, ValueError):
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def told(error: InputError) -> str:
    """Say in one sentence which file of the settings cannot be used, and why."""
    return f"{error.text}: {' '.join(problem.message for problem in error.problems)}"


def is_of_tls(error: BaseException | None) -> bool:
    """Tell whether TLS failed, under whatever a library wrapped around it."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__
    return error is not None


def _filled(context: ssl.SSLContext, settings: TlsSettings) -> ssl.SSLContext:
    """Put policy and files into a context."""
    context.minimum_version = settings.policy.minimum
    if ciphers := settings.policy.openssl_ciphers:
        _usable("policy.ciphers", ciphers, lambda: context.set_ciphers(ciphers))
    if (ca_file := settings.ca_file) is not None:
        _usable("ca_file", ca_file, lambda: context.load_verify_locations(ca_file))
    if (certificate := settings.certificate) is not None:
        key = settings.key or certificate
        # OpenSSL does not say which of two files is missing.
        _usable("certificate", certificate, Path(certificate).read_bytes)
        _usable("key", key, Path(key).read_bytes)
        # A function, because OpenSSL asks on the terminal where no password is given.
        _usable("key", key, lambda: context.load_cert_chain(certificate, key, lambda: settings.key_password or ""))
    return context


def _usable(field: str, value: Path | str, use: Callable[[], object]) -> None:
    """Run one step of filling a context; tell what is wrong by the field's name."""
    try:
        use()
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        problem = Problem("tls.file", f"{field} cannot be used: {why}.", 0, len(str(value)))
        raise InputError(str(value), (problem,)) from error
