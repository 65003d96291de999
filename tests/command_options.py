"""The options of `build` and `send` that every test of them needs."""

from __future__ import annotations


def build_options(**changed: str) -> list[str]:
    """Give the options that a message needs, some of them changed."""
    options = {
        "system": "DMS",
        "party": "NL123456789.02.05",
        "mailbox": "edi@forwarder.example",
        "reference": "22096222734662",
        "date": "2026-11-02T09:05:07+01:00",
        "message-id": "<1@forwarder.example>",
        **changed,
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]
