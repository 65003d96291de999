"""
The TLS settings that Customs published, each with its first day, and the contexts made from them.

No context sets a highest TLS version.
"""

from __future__ import annotations

import enum
import logging
import re
import ssl
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from ssl import TLSVersion
from typing import Final, cast, final

import attrs

from htpoort._log import event
from htpoort.core.directory import Mark
from htpoort.core.errors import InputError, Problem

_LOG: Final = logging.getLogger("htpoort.transport")

__all__ = [
    "FILE_GATEWAY",
    "POLICIES",
    "Environment",
    "TlsPolicy",
    "TlsSettings",
    "client_context",
    "policy_for",
    "server_context",
]


class Environment(enum.Enum):
    """The environments of the gateway."""

    PRODUCTION = "production"
    """The one for real declarations."""
    TEST = "test"
    """The business test environment (BTO, *bedrijfstestomgeving*)."""


@final
@attrs.frozen(kw_only=True)
class TlsPolicy:
    """
    Describe the TLS that the gateway supports from a day on.

    Args:
        environment: The environment it applies to.
        valid_from: First day, Europe/Amsterdam; None if the source has no date, which sorts before all others.
        announced: The versions that the source lists as supported from that day.
        minimum: The lowest version that `client_context` allows; there is never a highest.
        ciphers: The suites of TLS 1.2 by their OpenSSL names, in the source's order; empty if no list is known,
            which leaves Python's default. Suites of TLS 1.3 are not chosen by name.
        source: The document.
        mark: How certain it is.
        note: What the source leaves open, or contradicts.

    Source:
        Dated notices of Dutch Customs about the MSA interface of the Handel & Transport Gateway; each value names
        its own.
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
        """The suites of TLS 1.2 in OpenSSL's form, with the removed ones excluded by name; empty without a list."""
        return ":".join((*self.ciphers, *_REMOVED)) if self.ciphers else ""


# TLS_RSA_* (no forward secrecy) and CAMELLIA, which the notice of 06-03-2025 removes.
_REMOVED: Final = ("!kRSA", "!CAMELLIA")

# The list is closed, and has twelve. The last begins with DHE-RSA and is cut off in the copy that was read, so it is
# not offered; a gateway that supports all twelve supports each of these.
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
    "DHE-RSA-AES128-CCM",
    "DHE-RSA-AES256-SHA256",
)
_DESCRIPTION: Final = "HTG interface description, SMTP-MSA"
_NOTICE_2025: Final = "HTG notice of 06-03-2025"
_STAYS: Final = (
    "The notice lists twelve suites of 1.2; the twelfth, which begins with DHE-RSA, and a second change are unread. No "
    "notice withdraws TLS 1.3; that it stays beside 1.2 is inferred."
)
_ANNOUNCED: Final = "Announced only: the notice of 06-03-2025 still lists suites of TLS 1.2, so 1.2 is still allowed."

# The notices contradict each other: 1.2 was to end on 28-04-2022 (BTO) and 06-07-2022, yet the notice of 06-03-2025
# lists suites of 1.2. So 1.2 is the minimum throughout, 1.3 is used wherever the gateway offers it, and each
# announcement has its own entry.
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
        source="HTG notice, TLS 1.2 to end on 06-07-2022",
        mark=Mark.OFFICIAL,
        note=_ANNOUNCED,
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
    ),
    TlsPolicy(
        environment=Environment.TEST,
        valid_from=date(2022, 3, 2),
        announced=(TLSVersion.TLSv1_2, TLSVersion.TLSv1_3),
        source="HTG notice, TLS 1.3 in the BTO on 02-03-2022",
        mark=Mark.OFFICIAL,
    ),
    TlsPolicy(
        environment=Environment.TEST,
        valid_from=date(2022, 4, 28),
        announced=(TLSVersion.TLSv1_3,),
        source="HTG notice, TLS 1.2 to end in the BTO on 28-04-2022",
        mark=Mark.OFFICIAL,
        note=_ANNOUNCED,
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

FILE_GATEWAY: Final = TlsPolicy(
    environment=Environment.PRODUCTION,
    valid_from=date(2020, 10, 7),
    announced=(TLSVersion.TLSv1_2,),
    source="Danish Customs Agency, upgrade of file reporting to ICS and Manifest, 2020",
    mark=Mark.OFFICIAL,
    note="The notice names TLS 1.2 and no suites. TLS 1.3 is used where the gateway offers it.",
)
"""What was published for another gateway, which takes files over FTPS; the suites of `POLICIES` are not its own."""


def policy_for(environment: Environment, *, on: date) -> TlsPolicy:
    """
    Find the policy that applies on a day.

    >>> policy_for(Environment.PRODUCTION, on=date(2025, 5, 20)).source
    'HTG notice of 06-03-2025'

    Args:
        environment: Production or test.
        on: The day in Europe/Amsterdam; a policy applies from 00:00 of its day.

    Returns:
        The newest policy that applies on that day.

    Raises:
        InputError: *on* is not a date, or has a time.

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
    Which authorities to trust, and which certificate to present, on TLS connections.

    Args:
        policy: Versions and suites; by default the newest policy for production.
        ca_file: PEM file of the only authorities to trust; by default those of the system. For a server: of the
            authorities whose clients may connect.
        certificate: PEM file of our own certificate and its chain.
        key: PEM file of its private key; by default the key is in *certificate*.
        key_password: The password of an encrypted key. Not shown in the repr.

    Raises:
        InputError: There is a key without a certificate, or a password without either.
    """

    policy: TlsPolicy = _NEWEST
    ca_file: Path | str | None = None
    certificate: Path | str | None = None
    key: Path | str | None = None
    key_password: str | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.certificate is None and (self.key is not None or self.key_password is not None):
            field = "key_password" if self.key is None else "key"
            raise InputError("", (Problem("tls.certificate", f"{field} is set and certificate is not; give both."),))


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """
    Make the context of a client; it always checks the server's certificate and name.

    Args:
        settings: The authorities to trust, and the certificate to present if the server requests one.

    Returns:
        A context with the policy's minimum and suites, and without a maximum.

    Raises:
        InputError: A file cannot be read or used, or no suite is left; has the field and the path.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.ca_file is None:
        context.load_default_certs()
    return _fill(context, settings)


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """
    Make the context of a server.

    When a file is replaced, new connections use its new content. As long as the files cannot be used, for instance
    because only half of a pair is written, new connections keep what was read before; the logger
    ``htpoort.transport`` reports why.

    Args:
        settings: The certificate to present, which is required; with *ca_file*, clients must present one too.

    Returns:
        A context with the policy's minimum and suites, and without a maximum.

    Raises:
        InputError: There is no certificate, a file cannot be read or used, or no suite is left.
    """
    if settings.certificate is None:
        message = "certificate is not set; a server needs one, so give its file."
        raise InputError("", (Problem("tls.certificate", message),))
    # Examined before they are read: a change in between is noticed at the first connection.
    renewal = _Renewal(settings, _states(settings))
    context = _server_context(settings)
    # Called in each handshake, whether the peer sends a name or not.
    context.sni_callback = renewal.choose
    return context


def _server_context(settings: TlsSettings) -> ssl.SSLContext:
    context = _fill(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), settings)
    if settings.policy.minimum <= TLSVersion.TLSv1_2 and not _serves_1_2(context, settings.policy):
        certificate = str(settings.certificate)
        message = "certificate has a key that no suite of TLS 1.2 in the policy supports; give one with an RSA key."
        raise InputError(certificate, (Problem("tls.key", message, 0, len(certificate)),))
    if settings.ca_file is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _serves_1_2(context: ssl.SSLContext, policy: TlsPolicy) -> bool:
    """Try a handshake of TLS 1.2 in memory: Customs lists suites for RSA keys only, and OpenSSL reports no error."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.maximum_version = TLSVersion.TLSv1_2
    if policy.openssl_ciphers:
        client.set_ciphers(policy.openssl_ciphers)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server), context.wrap_bio(to_server, to_client, server_side=True)]
    # Each end needs two turns: hello and certificate, key and finish.
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
    """Choose the newest context for each handshake, because a server runs longer than its certificate is valid."""

    _settings: TlsSettings
    _seen: tuple[tuple[int, ...], ...]
    _newest: ssl.SSLContext | None = None

    def choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Read the files again if they have changed."""
        states = _states(self._settings)
        if states != self._seen:
            self._seen = states
            self._renew()
        if self._newest is not None:
            connection.context = self._newest

    def _renew(self) -> None:
        # A new context: one into which half a pair was loaded would be unusable.
        try:
            self._newest = _server_context(self._settings)
        except InputError as error:
            why = file_problem(error)
            _LOG.error(
                "New connections keep the certificate that was read before: %s",
                why,
                extra=event("certificate.kept", why=why),
            )
        else:
            _LOG.info(
                "New connections use the certificate that is now in %s",
                self._settings.certificate,
                extra=event("certificate.renewed", file=self._settings.certificate),
            )


def _states(settings: TlsSettings) -> tuple[tuple[int, ...], ...]:
    """Identify the present files, as opposed to later ones of the same names; empty for an inaccessible file."""
    files = (settings.ca_file, settings.certificate, settings.key)
    return tuple(_state(file) for file in files if file is not None)


def _state(file: Path | str) -> tuple[int, ...]:
    try:
        state = Path(file).stat()
    except (OSError, ValueError):
        return ()
    return state.st_ino, state.st_size, state.st_mtime_ns


def file_problem(error: InputError) -> str:
    """Describe in one line which file of the settings cannot be used, and why."""
    return f"{error.text}: {' '.join(problem.message for problem in error.problems)}"


def is_of_tls(error: BaseException | None) -> bool:
    """Check whether TLS failed, whatever a library wrapped around the error."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__
    return error is not None


def _fill(context: ssl.SSLContext, settings: TlsSettings) -> ssl.SSLContext:
    """Put policy and files into a context."""
    context.minimum_version = settings.policy.minimum
    if ciphers := settings.policy.openssl_ciphers:
        _use("policy.ciphers", ciphers, lambda: context.set_ciphers(ciphers))
    if (ca_file := settings.ca_file) is not None:
        _use("ca_file", ca_file, lambda: context.load_verify_locations(ca_file))
    if (certificate := settings.certificate) is not None:
        key = settings.key or certificate
        # OpenSSL does not say which of two files is missing.
        _use("certificate", certificate, lambda: _check_certificate(certificate))
        _use("key", key, Path(key).read_bytes)
        # A function, because OpenSSL would ask on the terminal if no password were given.
        _use("key", key, lambda: context.load_cert_chain(certificate, key, lambda: settings.key_password or ""))
    return context


_ADVICE: Final = {
    "policy.ciphers": "Use a Python whose OpenSSL has these ciphers.",
    "ca_file": "Give a readable PEM file with the certificates of the authorities.",
    "certificate": "Give a readable PEM file with the certificate and its chain.",
    "key": "Give a readable PEM file with the key of the certificate, and its password if it has one.",
}
"""What to do about a file that cannot be used, by its field."""
_EMPTY: Final = {
    "ca_file": "it holds no certificate in PEM form",
    "certificate": "it holds no certificate in PEM form",
    "key": "it holds no key in PEM form, or the password is wrong",
}
"""What is wrong with a file if OpenSSL gives no reason."""
_PEM_CERTIFICATE: Final = re.compile(rb"-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----")


def _use(field: str, value: Path | str, use: Callable[[], object]) -> None:
    """Run one step of filling a context; name the field if it fails."""
    try:
        use()
    except (OSError, ValueError) as error:
        # The reason of OpenSSL is a name such as KEY_VALUES_MISMATCH.
        reason = str(getattr(error, "reason", None) or "").replace("_", " ").lower()
        # The strerror of an SSLError holds the place in OpenSSL's source, which is of no use to an operator.
        system = None if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
        why = reason or system or _EMPTY.get(field, "OpenSSL gives no reason")
        problem = Problem("tls.file", f"{field} cannot be used: {why}. {_ADVICE[field]}", 0, len(str(value)))
        raise InputError(str(value), (problem,)) from error


def _check_certificate(certificate: Path | str) -> None:
    """Name the certificate if it holds none; OpenSSL does not say in which of two files something is missing."""
    if _PEM_CERTIFICATE.search(Path(certificate).read_bytes()) is None:
        message = _EMPTY["certificate"]
        raise ValueError(message)
