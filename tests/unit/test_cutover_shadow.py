"""Two messages are compared, and every difference is listed."""

from __future__ import annotations

from htpoort import Difference, differences

SUBJECT = b"Subject: [V=NL123456789.02.05][A=DMS.NL][K=1][S=0]\r\n"


def test_the_same() -> None:
    """A message differs in nothing from itself."""
    assert () == differences(SUBJECT + b"\r\nx", SUBJECT + b"\r\nx")


def test_a_message_without_an_envelope() -> None:
    """What one of the two lacks is empty there."""
    assert [
        Difference(what="envelope.V", sent="NL123456789.02.05", shadow=""),
        Difference(what="envelope.A", sent="DMS.NL", shadow=""),
        Difference(what="envelope.K", sent="1", shadow=""),
        Difference(what="envelope.S", sent="0", shadow=""),
        Difference(what="header.Subject", sent="[V=NL123456789.02.05][A=DMS.NL][K=1][S=0]", shadow=""),
        Difference(what="header.To", sent="", shadow="a@forwarder.example"),
    ] == list(differences(SUBJECT + b"\r\nx", b"To: a@forwarder.example\r\n\r\nx"))


def test_a_header_that_comes_twice() -> None:
    """Each of several has its number, and one that is folded is one line."""
    found = differences(b"X: 1\r\nX: 2\r\n\r\n", b"X: 1\r\nX:\r\n 3\r\n\r\n")

    assert (Difference(what="header.X#2", sent="2", shadow="3"),) == found


def test_no_payload_in_a_report() -> None:
    """A body is described by its length and its hash alone."""
    found = differences(b"X: 1\r\n\r\nsecret", b"X: 1\r\n\r\nother")

    assert [("body.octets", "6", "5")] == [(one.what, one.sent, one.shadow) for one in found[:1]]
    assert ["body.octets", "body.sha256"] == [one.what for one in found]
    assert "secret" not in str(found)
