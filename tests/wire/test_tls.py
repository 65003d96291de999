"""The published TLS settings, and the contexts made from them."""

from __future__ import annotations

import datetime as dt
import ssl
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trustme

from htpoort import InputError, Mark
from htpoort.transport import (
    POLICIES,
    Environment,
    TlsPolicy,
    TlsSettings,
    client_context,
    policy_for,
    server_context,
)

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
PRODUCTION, TEST = Environment.PRODUCTION, Environment.TEST

# The suites that are kept, but for the twelfth, which is not known.
KEPT = [
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
]


def suites(context: ssl.SSLContext) -> list[str]:
    """List the suites below TLS 1.3."""
    return [suite["name"] for suite in context.get_ciphers() if suite["protocol"] != "TLSv1.3"]


class TestPolicies:
    """What was published, day by day."""

    @pytest.mark.parametrize(
        ("environment", "on", "valid_from", "announced", "listed"),
        [
            (PRODUCTION, date(2017, 1, 1), None, (V12,), 0),
            (PRODUCTION, date(2022, 4, 12), None, (V12,), 0),
            (PRODUCTION, date(2022, 4, 13), date(2022, 4, 13), (V12, V13), 0),
            (PRODUCTION, date(2022, 7, 5), date(2022, 4, 13), (V12, V13), 0),
            (PRODUCTION, date(2022, 7, 6), date(2022, 7, 6), (V13,), 0),
            (PRODUCTION, date(2025, 5, 19), date(2022, 7, 6), (V13,), 0),
            (PRODUCTION, date(2025, 5, 20), date(2025, 5, 20), (V12,), 11),
            (PRODUCTION, date(2099, 1, 1), date(2025, 5, 20), (V12,), 11),
            (TEST, date(2022, 3, 1), None, (V12,), 0),
            (TEST, date(2022, 3, 2), date(2022, 3, 2), (V12, V13), 0),
            (TEST, date(2022, 4, 27), date(2022, 3, 2), (V12, V13), 0),
            (TEST, date(2022, 4, 28), date(2022, 4, 28), (V13,), 0),
            (TEST, date(2025, 4, 7), date(2022, 4, 28), (V13,), 0),
            (TEST, date(2025, 4, 8), date(2025, 4, 8), (V12,), 11),
        ],
    )
    def test_the_newest_that_holds(
        self,
        environment: Environment,
        on: date,
        valid_from: date | None,
        announced: tuple[ssl.TLSVersion, ...],
        listed: int,
    ) -> None:
        """A policy applies from its day until the day of the next one."""
        policy = policy_for(environment, on=on)
        assert (valid_from, announced, listed) == (policy.valid_from, policy.announced, len(policy.ciphers))

    def test_each_names_its_source(self) -> None:
        """Every policy is official, names its document, and allows TLS 1.2."""
        assert {(Mark.OFFICIAL, V12, True)} == {
            (policy.mark, policy.minimum, bool(policy.source)) for policy in POLICIES
        }

    def test_the_contradiction_is_noted(self) -> None:
        """The announced end of TLS 1.2 has the note that a later notice contradicts it, in both environments."""
        for environment, day in ((PRODUCTION, date(2022, 7, 6)), (TEST, date(2022, 4, 28))):
            assert "06-03-2025" in policy_for(environment, on=day).note

    @pytest.mark.parametrize("environment", list(Environment))
    def test_what_is_unread_is_noted(self, environment: Environment) -> None:
        """The list of twelve has eleven suites here; the note of the policy names what is known of the twelfth."""
        policy = policy_for(environment, on=date(2025, 5, 20))
        assert (11, True) == (len(policy.ciphers), "twelfth, which begins with DHE-RSA" in policy.note)

    def test_the_list_is_the_published_one(self) -> None:
        """The suites are those of the notice, and the removed ones are excluded by name."""
        policy = policy_for(PRODUCTION, on=date(2025, 5, 20))
        assert [*KEPT, "!kRSA", "!CAMELLIA"] == policy.openssl_ciphers.split(":")

    def test_without_a_list_nothing_is_named(self) -> None:
        """A policy without a list passes none to OpenSSL."""
        assert not policy_for(PRODUCTION, on=date(2022, 4, 13)).openssl_ciphers

    @pytest.mark.parametrize("on", ["2025-05-20", dt.datetime(2025, 5, 20, tzinfo=dt.UTC), None])
    def test_a_day_is_a_date(self, on: Any) -> None:
        """A text or a moment is not a day: InputError."""
        with pytest.raises(InputError, match="give a date") as caught:
            policy_for(PRODUCTION, on=on)
        assert ["input.date"] == [problem.code for problem in caught.value.problems]

    def test_by_default_the_newest_of_production(self) -> None:
        """Settings without a policy use the newest one for production."""
        assert TlsSettings().policy == policy_for(PRODUCTION, on=date(2025, 5, 20))


class TestContexts:
    """Minimum and suites of the policy, and never a maximum."""

    @pytest.mark.parametrize("policy", POLICIES)
    def test_a_client_checks_and_has_no_maximum(self, policy: TlsPolicy, authority: SimpleNamespace) -> None:
        """Whatever the policy, certificate and name are checked, 1.2 is the minimum, and there is no maximum."""
        context = client_context(TlsSettings(policy=policy, ca_file=authority.ca))
        assert (ssl.CERT_REQUIRED, True, V12, ssl.TLSVersion.MAXIMUM_SUPPORTED) == (
            context.verify_mode,
            context.check_hostname,
            context.minimum_version,
            context.maximum_version,
        )

    def test_suites_of_the_notice(self, authority: SimpleNamespace) -> None:
        """Client and server offer the published list below TLS 1.3, in its order, and TLS 1.3 beside it."""
        for context in (
            client_context(TlsSettings()),
            server_context(TlsSettings(certificate=authority.host)),
        ):
            assert suites(context) == KEPT
            assert len(context.get_ciphers()) > len(KEPT)

    @pytest.mark.parametrize("policy", POLICIES)
    def test_nothing_that_was_removed(self, policy: TlsPolicy) -> None:
        """Under no policy a TLS_RSA_* or CAMELLIA suite is offered: none is named AES… or CAMELLIA…."""
        offered = suites(client_context(TlsSettings(policy=policy)))
        assert [] == [name for name in offered if not name.startswith(("ECDHE-", "DHE-")) or "CAMELLIA" in name]

    def test_a_ca_file_replaces_the_systems_authorities(self, authority: SimpleNamespace) -> None:
        """With a CA file its authorities are trusted and no others."""
        context = client_context(TlsSettings(ca_file=Path(authority.ca)))
        assert len(context.get_ca_certs()) == 1

    def test_a_server_asks_for_certificates_where_it_can_check_them(self, authority: SimpleNamespace) -> None:
        """A server with a CA file requires a certificate of its clients, without one it requests none."""
        with_ca = TlsSettings(certificate=authority.host, ca_file=authority.ca)
        without = TlsSettings(certificate=authority.host)
        assert [ssl.CERT_REQUIRED, ssl.CERT_NONE] == [
            server_context(settings).verify_mode for settings in (with_ca, without)
        ]

    def test_key_in_a_file_of_its_own(self, authority: SimpleNamespace) -> None:
        """Certificate and key may be two files."""
        server_context(TlsSettings(certificate=authority.host_chain, key=authority.host_key))

    def test_a_closed_key_opens_by_its_password(self, authority: SimpleNamespace) -> None:
        """An encrypted key opens with the right password, and its repr does not show it."""
        from cryptography.hazmat.primitives import serialization

        key = serialization.load_pem_private_key(Path(authority.host_key).read_bytes(), None)
        closed = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"geheim"),
        )
        path = authority.place / "closed.key"
        path.write_bytes(closed)
        settings = TlsSettings(certificate=authority.host_chain, key=path, key_password="geheim")
        server_context(settings)
        assert "geheim" not in repr(settings)
        for password in (None, "wrong"):
            with pytest.raises(InputError, match="key cannot be used") as caught:
                server_context(attrs.evolve(settings, key_password=password))
            assert str(path) == caught.value.text


class TestBadFiles:
    """A file that cannot be used is reported with its field and its path."""

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"ca_file": "{none}"}, "ca_file"),
            ({"ca_file": "{garbage}"}, "ca_file"),
            ({"ca_file": "{place}"}, "ca_file"),
            ({"ca_file": "a\0b"}, "ca_file"),
            ({"certificate": "{none}"}, "certificate"),
            ({"certificate": "{garbage}"}, "certificate"),
            ({"certificate": "{host_chain}", "key": "{none}"}, "key"),
            ({"certificate": "{host_chain}", "key": "{garbage}"}, "key"),
            ({"certificate": "{host_chain}", "key": "{client_key}"}, "key"),
            ({"certificate": "{host_chain}"}, "key"),
        ],
    )
    def test_each(self, authority: SimpleNamespace, fields: dict[str, str], field: str) -> None:
        """Missing, empty of certificates, a folder, or a key that does not fit: InputError."""
        garbage = authority.place / "garbage.pem"
        garbage.write_text("no certificate")
        known = {"none": authority.place / "none.pem", "garbage": garbage, **vars(authority)}
        given = {name: value.format(**known) for name, value in fields.items()}
        with pytest.raises(InputError) as caught:
            client_context(TlsSettings(**given))
        (problem,) = caught.value.problems
        assert "tls.file" == problem.code
        assert problem.message.startswith(f"{field} cannot be used: ")
        assert caught.value.text == given.get(field, given.get("certificate"))

    def test_a_certificate_that_is_none(self, tmp_path: Path) -> None:
        """A file without a certificate is named by its own field, in plain words."""
        file = tmp_path / "declaration.xml"
        file.write_text("<Declaration/>")
        with pytest.raises(InputError) as caught:
            client_context(TlsSettings(certificate=file))

        assert [
            (
                "certificate cannot be used: it holds no certificate in PEM form. "
                "Give a readable PEM file with the certificate and its chain."
            )
        ] == [problem.message for problem in caught.value.problems]

    def test_a_server_without_a_certificate(self) -> None:
        """A server needs a certificate."""
        with pytest.raises(InputError, match="certificate is not set"):
            server_context(TlsSettings())

    def test_a_key_that_no_suite_is_for(self, tmp_path: Path) -> None:
        """A server's ECDSA key is refused if all suites of TLS 1.2 are for RSA, and accepted if others are left."""
        authority, place = trustme.CA(), tmp_path / "own.pem"
        issued = authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
        issued.private_key_and_cert_chain_pem.write_to_path(place)
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        for ca_file in (None, tmp_path / "ca.pem"):
            settings = TlsSettings(certificate=place, ca_file=ca_file)
            with pytest.raises(InputError) as caught:
                server_context(settings)
            (problem,) = caught.value.problems
            assert str(place) == caught.value.text
            assert "tls.key" == problem.code
            message = "certificate has a key that no suite of TLS 1.2 in the policy supports; give one with an RSA key."
            assert message == problem.message
            server_context(attrs.evolve(settings, policy=POLICIES[0]))
            server_context(attrs.evolve(settings, policy=attrs.evolve(settings.policy, minimum=V13)))
            # A client's certificate needs no suite of its own.
            client_context(settings)

    def test_suites_that_openssl_does_not_know(self) -> None:
        """A policy of the user whose suites do not exist is InputError."""
        policy = attrs.evolve(POLICIES[-1], ciphers=("TLS_NONSENSE",))
        with pytest.raises(InputError, match=r"policy\.ciphers cannot be used"):
            client_context(TlsSettings(policy=policy))

    @pytest.mark.parametrize(
        ("fields", "field"), [({"key": "a.key"}, "key"), ({"key_password": "geheim"}, "key_password")]
    )
    def test_a_key_needs_a_certificate(self, fields: dict[str, str], field: str) -> None:
        """A key, or a password, without a certificate is an InputError that does not show the password."""
        with pytest.raises(InputError) as caught:
            TlsSettings(**fields)
        assert f"{field} is set and certificate is not; give both." == str(caught.value)
        assert "geheim" not in str(caught.value)
