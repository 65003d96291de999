"""Rule 2 on the wire: whatever client carries it, the Subject arrives as one unfolded ASCII line."""

from __future__ import annotations

import asyncio
import smtplib
from typing import Any

import aiosmtplib
import pytest

from htpoort import Submission
from htpoort.transport import Security, Sender, SmtpServer

REFERENCES = ["ABCDEFGHIJKLMNOPQRSTUVWXYZ012345678"[:length] for length in range(1, 36)]
SUBJECTS = [f"Subject: [V=NL123456789.02.05][A=DMS4.NL][K={reference}][S=0]".encode() for reference in REFERENCES]


async def by_smtplib(port: int, messages: list[Submission]) -> None:
    """Send with the standard library."""

    def work() -> None:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="forwarder.example") as client:
            for message in messages:
                client.sendmail(message.mail_from, message.rcpt_to, message.data)

    await asyncio.to_thread(work)


async def by_aiosmtplib(port: int, messages: list[Submission]) -> None:
    """Send with aiosmtplib alone."""
    options = {"hostname": "127.0.0.1", "port": port, "start_tls": False, "local_hostname": "forwarder.example"}
    async with aiosmtplib.SMTP(**options) as client:  # type: ignore[arg-type]  # of several types
        for message in messages:
            await client.sendmail(message.mail_from, [message.rcpt_to], message.data)


async def by_sender(port: int, messages: list[Submission]) -> None:
    """Send with our own sender."""
    async with Sender(SmtpServer(host="127.0.0.1", port=port, security=Security.PLAIN)) as sender:
        for message in messages:
            await sender.send(message)


@pytest.mark.parametrize("client", [by_smtplib, by_aiosmtplib, by_sender])
async def test_every_length_of_k_arrives_on_one_line(client: Any, stock: Any, submission: Any) -> None:
    """For every K of 1 to 35 characters a stock server sees the whole Subject on one physical line."""
    messages = [submission(reference=reference) for reference in REFERENCES]
    async with stock() as server:
        await client(server.port, messages)
    lines = [
        [line for line in content.split(b"\r\n") if line.lower().startswith(b"subject")]
        for content in server.sink.contents
    ]

    assert [[subject] for subject in SUBJECTS] == lines
    assert [message.data for message in messages] == server.sink.contents
