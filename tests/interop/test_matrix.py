"""Whether an envelope arrives as it was written, with clients and servers of other authors."""

from __future__ import annotations

from typing import Any

import pytest
from interop import page
from interop.mailboxes import COLLECTORS, MAILBOXES
from interop.matrix import FETCH_KEYS, KEPT, PLACES, WRITE_KEYS
from interop.messages import PARTY, READERS, REFERENCES, cell, declaration
from interop.servers import SERVERS, Files
from interop.writers import OCTETS, RENDERED, WRITERS

from htpoort import Routed, Router


@pytest.mark.parametrize(("server", "tls"), PLACES)
async def test_writers(server: str, tls: str, files: Files, matrix: Any) -> None:
    """The page shows for each writer and reader what a server sees, for each length of K and over its TLS."""
    kept: dict[tuple[str, str], dict[int, bool]] = {}
    number = 0
    async with SERVERS[server](files, None if tls == "none" else tls) as taking:
        for writer, send in WRITERS.items():
            for length in REFERENCES:
                message = declaration(length)
                await send(message, taking.place)
                raw = await taking.came(number := number + 1)
                for reader, sees in READERS.items():
                    kept.setdefault((writer, reader), {})[length] = sees(raw, message.envelope)

    rows: page.Rows = {
        (writer, server, tls): tuple(cell(kept[writer, reader]) for reader in READERS) for writer in WRITERS
    }
    matrix.agrees(page.WRITING, rows)


@pytest.mark.parametrize(("server", "tls"), KEPT)
async def test_collectors(server: str, tls: str, files: Files, matrix: Any) -> None:
    """The page shows for each fetching program how our router routes what it fetched."""
    rows: page.Rows = {}
    async with MAILBOXES[server](files, tls) as filled:
        for name, collect in COLLECTORS.items():
            genuine, folded = [await collect(account) for account in (filled.genuine, filled.folded)]
            assert (3, 3) == (len(genuine), len(folded))
            same = filled.octets.issuperset((*genuine, *folded))
            rows[name, server, tls] = ("yes" if same else "no", routed(genuine), routed(folded))

    matrix.agrees(page.FETCHING, rows)


def routed(mails: list[bytes]) -> str:
    """Report for which lengths of K our router routes a reply of DMS to the party."""
    results = [Router(parties=[PARTY]).route_message(mail) for mail in mails]
    found = {(one.system.name, one.reference) for one in results if isinstance(one, Routed)}
    return cell({length: ("DMS", reference) in found for length, reference in REFERENCES.items()})


class TestPage:
    """The content of the page, typed from what is known of the programs."""

    def test_it_has_every_row(self) -> None:
        """The page has every cell of the matrix, and no other."""
        assert (WRITE_KEYS, FETCH_KEYS) == (list(page.read(page.WRITING)), list(page.read(page.FETCHING)))

    @pytest.mark.parametrize("writer", OCTETS)
    def test_octets_arrive_everywhere(self, writer: str) -> None:
        """A client that gets octets changes nothing: every reader sees the envelope, whatever server and TLS."""
        cells = {cell for key, row in page.read(page.WRITING).items() if key[0] == writer for cell in row}

        assert {"yes"} == cells

    @pytest.mark.parametrize(
        ("writer", "on_one_line"),
        [
            ("smtplib `send_message`, policy default", "14 yes, 32 no, 35 no"),
            ("smtplib `send_message`, policy with 998 columns", "yes"),
            ("aiosmtplib `send(EmailMessage)`, policy with 998 columns", "14 yes, 32 no, 35 no"),
            ("swaks `--header --body`", "yes"),
            ("nodemailer `subject, text`", "14 yes, 32 no, 35 no"),
            ("nodemailer `headers.subject`, prepared", "yes"),
            ("Jakarta Mail `setSubject, setText`", "yes"),
        ],
    )
    def test_what_is_rendered_may_be_folded(self, writer: str, on_one_line: str) -> None:
        """A client that folds breaks the line of a longer K; a reader that unfolds sees the same envelope."""
        rows = {row for key, row in page.read(page.WRITING).items() if key[0] == writer}

        assert {(on_one_line, "yes", "yes", "yes")} == rows
        assert writer in RENDERED

    def test_every_reply_is_routed(self) -> None:
        """Whatever program fetches a reply, our router routes it to its process, folded or not."""
        assert {("yes", "yes")} == {row[1:] for row in page.read(page.FETCHING).values()}
