"""
Decide which requests of a browser are meant for the page.

Other pages in the same browser can send requests to loopback too, under a host name of their own that leads here.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Final

__all__ = ["HEADERS", "is_own_form", "is_own_host"]

_HOST: Final = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    # Without a referrer at all, a browser would send forms without their origin.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Headers of every response."""


def is_own_host(host: str) -> bool:
    """
    Check the header Host: a page of another site that had its name resolved to loopback has its own name there.

    >>> is_own_host("127.0.0.1:8025"), is_own_host("localhost"), is_own_host("attacker.example:8025")
    (True, True, False)

    Args:
        host: The header; empty if it is missing.

    Returns:
        Whether it names loopback, at any port: the port may be forwarded from another machine.
    """
    return _HOST.fullmatch(host) is not None


def is_own_form(headers: Mapping[str, str], token: str, expected: str) -> bool:
    """
    Check that a form was sent from this page.

    Args:
        headers: Of the request, with names in lower case.
        token: What the form has as its token.
        expected: The token that this page gives to its forms.

    Returns:
        Whether the token is right, and the browser does not name another origin.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    same_origin = origin is None or origin.lower() == f"http://{headers.get('host', '')}".lower()
    return same_origin and site in {None, "same-origin"} and hmac.compare_digest(token.encode(), expected.encode())
