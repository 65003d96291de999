"""The live page over real sockets: what it shows, what it refuses, and that it never holds up the gateway."""

from __future__ import annotations

import asyncio
import html
import http.client
import re
import shutil
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import attrs
import live_traffic
import pytest

from htpoort.live import LivePage
from htpoort.simulator import Declarant, Gateway, Journal, ReplyKind, Scenario, Script, ScriptedReply, SimulatedClock
from htpoort.transport import Security, SmtpServer

DAY: Final = timedelta(days=1)


@attrs.frozen
class Answer:
    """What the page answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The page as it is written."""
        return self.body.decode()

    @property
    def seen(self) -> str:
        """The texts of the page, on one line, without its markup."""
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.text)).split())


def ask(port: int, method: str, path: str, body: str = "", **headers: str) -> Answer:
    """Send one request by http.client."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if body:
            names.setdefault("Content-Type", "application/x-www-form-urlencoded")
        connection.request(method, path, body=body or None, headers=names)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


async def get(shown: Any, path: str = "/", **headers: str) -> Answer:
    """Fetch a page."""
    return await asyncio.to_thread(ask, shown.page.port, "GET", path, **headers)


async def post(shown: Any, path: str, fields: dict[str, str], **headers: str) -> Answer:
    """Send a form."""
    return await asyncio.to_thread(ask, shown.page.port, "POST", path, urlencode(fields), **headers)


async def token(shown: Any) -> str:
    """Read the token that the page gives to its forms."""
    found = re.search(r'name="token" value="(\w+)"', (await get(shown)).text)
    assert found is not None
    return found[1]


def number(gateway: Gateway, kind: str, nth: int = 0) -> int:
    """Give the number of an entry by the name of its class."""
    return [entry.number for entry in gateway.journal.entries if type(entry.what).__name__ == kind][nth]


@attrs.frozen
class Shown:
    """A gateway, and its page."""

    gateway: Gateway
    page: LivePage


class TestTraffic:
    """The first page lists what happened, newest first."""

    async def test_nothing(self, empty: Any) -> None:
        """Before anything has happened, the page says so, and what it keeps."""
        page = await get(empty)

        assert (200, "text/html; charset=utf-8") == (page.status, page.headers["content-type"])
        assert "Nothing yet. What arrives appears here, newest first." in page.seen
        assert "The page keeps the last 500 entries" in page.seen
        assert "the last 200 sessions with 400 lines each" in page.seen

    async def test_everything(self, filled: Any) -> None:
        """Declarations, refusals, replies with their faults, faults of both protocols and failed logins are listed."""
        page = await get(filled)
        labels = re.findall(r'<li id="entry-(\d+)".*?<span class="badge">(.*?)</span>', page.text, re.DOTALL)
        numbers = [int(found) for found, _ in labels]

        assert sorted(numbers, reverse=True) == numbers
        assert {"Declaration", "Reply", "Refused", "Fault", "Failed login"} == {label for _, label in labels}
        for text in ("defer at rcpt by SMTP", "refuse at STAT by POP3", "fault: no-k", "acceptance of DMS"):
            assert text in page.seen

    async def test_the_gateway(self, filled: Any) -> None:
        """The page shows the clock, the replies to come, the windows, the ports and the mailboxes."""
        page = await get(filled)

        local = filled.gateway.clock().astimezone()
        assert f"{local:%Y-%m-%d %H:%M:%S}" in page.seen
        assert "release for 22096222734662 DMS, due 2026-11-05" in page.seen
        assert "AGS: queue now declarations are accepted, and answered when it ends" in page.seen
        assert "DMS: reject later declarations are refused" in page.seen
        assert f"SMTP port {filled.gateway.smtp_port}" in page.seen
        assert "dms@htpoort.nl, A=DMS4.NL" in page.seen
        assert "POP3 mailbox: 2 waiting, 1 fetched" in page.seen

    async def test_what_is_dropped(self) -> None:
        """With more entries than are kept, the page says how many are not."""
        journal = Journal(entries=3)
        declarant = Declarant(mailbox=live_traffic.MAILBOX, password=live_traffic.PASSWORD)
        gateway = Gateway(declarants=[declarant], clock=SimulatedClock(), journal=journal)
        async with live_traffic.serving(gateway) as page:
            for reference in ("K1", "K2"):
                await asyncio.to_thread(live_traffic.submit, gateway.smtp_port, live_traffic.message(reference))
                await gateway.wait_for_due_replies()
            shown = await asyncio.to_thread(ask, page.port, "GET", "/")
            gone = await asyncio.to_thread(ask, page.port, "GET", "/messages/1")

        assert "1 older entry is no longer kept." in shown.seen
        assert "The page keeps the last 3 entries" in shown.seen
        assert (404, True) == (gone.status, "This entry is not kept, or not any more." in gone.seen)


class TestMessage:
    """Each message has a page: its envelope in parts, its headers, its payload."""

    async def test_a_declaration(self, filled: Any) -> None:
        """The envelope is shown in its parts; XML as it was sent; the replies that came and those to come."""
        page = await get(filled, f"/messages/{number(filled.gateway, 'Declaration')}")

        for text in (
            "V from NL123456789.02.05",
            "A to DMS4.NL",
            "K reference 22096222734662",
            "MAIL FROM edi@forwarder",
        ):
            assert text in page.seen
        assert "&lt;MetaData&gt;\n  &lt;ID&gt;één&lt;/ID&gt;\n&lt;/MetaData&gt;" in page.text.replace("\r\n", "\n")
        assert "Subject: [V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]" in page.seen
        assert "acceptance of DMS" in page.seen
        assert "release for 22096222734662" in page.seen

    async def test_a_reply(self, filled: Any) -> None:
        """A reply is shown as it was sent, and leads to its declaration; what is wrong with it is said."""
        good = await get(filled, f"/messages/{number(filled.gateway, 'SentReply')}")
        wrong = await get(filled, f"/messages/{number(filled.gateway, 'SentReply', 2)}")

        assert "V from DMS4.NL" in good.seen
        assert "A to NL123456789.02.05" in good.seen
        assert f'href="/messages/{number(filled.gateway, "Declaration")}"' in good.text
        assert "There is no valid envelope in the Subject." in wrong.seen
        assert "Fault of the scenario no-k" in wrong.seen

    async def test_what_was_refused(self, filled: Any) -> None:
        """A message that was refused is shown too, with the reason."""
        page = await get(filled, f"/messages/{number(filled.gateway, 'RefusedMessage')}")

        assert (200, True) == (page.status, "Refused because" in page.seen)

    async def test_what_is_binary(self, filled: Any) -> None:
        """A binary payload is a note with its size, and a download of its octets."""
        entry = number(filled.gateway, "Declaration", 2)
        page = await get(filled, f"/messages/{entry}")
        octets = await get(filled, f"/messages/{entry}/parts/0")

        assert "4 octets · download Binary, so it is not shown." in page.seen
        assert (200, b"\x00\x01\x02\x03") == (octets.status, octets.body)
        assert f'attachment; filename="message-{entry}-1.bin"' == octets.headers["content-disposition"]
        assert "application/octet-stream" == octets.headers["content-type"]

    async def test_the_whole_message(self, filled: Any) -> None:
        """The message can be downloaded as it was."""
        answer = await get(filled, f"/messages/{number(filled.gateway, 'Declaration')}/raw")

        assert live_traffic.PLAIN == answer.body
        assert answer.headers["content-disposition"].startswith("attachment;")

    @pytest.mark.parametrize(
        "path",
        [
            "/messages/0",
            "/messages/99999",
            "/messages/x",
            f"/messages/{'9' * 5_000}",
            "/sessions/99",
            "/nowhere",
            "/static/x",
        ],
    )
    async def test_what_is_not_there(self, filled: Any, path: str) -> None:
        """What does not exist is answered with 404 and a sentence."""
        answer = await get(filled, path)

        assert (404, True) == (answer.status, "Not here" in answer.seen)


class TestSession:
    """Each session has a page: who said what."""

    async def test_smtp(self, filled: Any) -> None:
        """The dialogue is shown line by line, with the fault; the login is hidden, the content is a size."""
        page = await get(filled, "/sessions/1")

        for text in ("Client AUTH PLAIN •••", "Note fault of the script: defer at rcpt", "Gateway 450 Mailbox busy"):
            assert text in page.seen
        second = await get(filled, "/sessions/2")
        assert re.search(r"Client \(content; \d+ octets\)", second.seen)

    async def test_no_secret(self, filled: Any) -> None:
        """No page holds a password."""
        count = len(filled.gateway.journal.dialogues)
        pages = [await get(filled, f"/sessions/{each + 1}") for each in range(count)] + [await get(filled)]

        assert [] == [page.seen for page in pages if live_traffic.PASSWORD in page.text or "AHplZXI" in page.text]


class TestHostileTexts:
    """What a peer chose comes out as text."""

    async def test_no_markup(self, filled: Any) -> None:
        """No page has a script but our own file, whatever Subjects, headers, payloads and user names hold."""
        entries = [entry.number for entry in filled.gateway.journal.entries]
        paths = ["/", *(f"/messages/{each}" for each in entries), "/sessions/2", "/sessions/3"]
        pages = [await get(filled, path) for path in paths]

        assert {'<script src="/static/live.js" defer>'} == {
            found for page in pages for found in re.findall(r"<script[^>]*>", page.text)
        }
        assert any(live_traffic.HOSTILE in html.unescape(page.text) for page in pages)

    async def test_the_policy(self, filled: Any) -> None:
        """Every response allows this page's own files only, and no other page to embed or read it."""
        for path in ("/", "/static/live.js", "/messages/1/raw", "/nowhere", "/static/live.css"):
            answer = await get(filled, path)
            policy = answer.headers["content-security-policy"]

            assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'"} <= {
                part.strip() for part in policy.split(";")
            }
            assert "unsafe" not in policy
            assert ("nosniff", "same-origin") == (
                answer.headers["x-content-type-options"],
                answer.headers["cross-origin-resource-policy"],
            )

    @pytest.mark.parametrize(
        "host", ["attacker.example", "attacker.example:80", "127.0.0.1.attacker.example", "", "10.0.0.1"]
    )
    async def test_another_host(self, filled: Any, host: str) -> None:
        """A request under another host name is refused, so a name that was made to lead here reads nothing."""
        answer = await get(filled, Host=host)

        assert (403, b"Open this page at 127.0.0.1.\n") == (answer.status, answer.body)

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1:9000", "[::1]:9000"])
    async def test_own_hosts(self, filled: Any, host: str) -> None:
        """Every name of loopback is right, at any port, because a port may be forwarded."""
        assert 200 == (await get(filled, Host=host)).status


class TestOrders:
    """A person can let time pass and have a reply sent now; nothing else, and no other page can."""

    async def test_let_time_pass(self, filled: Any) -> None:
        """The clock moves by what was chosen, and the replies that became due are sent."""
        answer = await post(filled, "/pass", {"token": await token(filled), "amount": "4", "unit": "days"})
        page = await get(filled, answer.headers["location"])

        assert (303, "/") == (answer.status, answer.headers["location"])
        assert 6 == filled.gateway.clock().day
        assert ReplyKind.RELEASE in {sent.scripted.kind for sent in filled.gateway.sent}
        assert "Clock" in page.seen
        assert "moved ahead by 4 days" in page.seen

    async def test_until_the_next_reply(self, filled: Any) -> None:
        """The clock moves to the moment of the next reply."""
        due = filled.gateway.next_moment
        answer = await post(filled, "/pass", {"token": await token(filled), "until": "next"})

        assert (303, due) == (answer.status, filled.gateway.clock())

    async def test_answer_now(self, filled: Any) -> None:
        """A planned reply is sent now, the clock stays, and the page leads back to where the button was."""
        planned, before = filled.gateway.planned[0], filled.gateway.clock()
        back = f"/messages/{number(filled.gateway, 'Declaration')}"
        fields = {"token": await token(filled), "number": str(planned.number), "back": back}
        answer = await post(filled, "/answer", fields)
        again = await post(filled, "/answer", fields)

        assert (303, back) == (answer.status, answer.headers["location"])
        assert (ReplyKind.RELEASE, before) == (filled.gateway.sent[-1].scripted.kind, filled.gateway.clock())
        assert (409, True) == (again.status, "sent meanwhile" in again.seen)

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"amount": "0", "unit": "days"}, "Give a whole number"),
            ({"amount": "-1", "unit": "days"}, "Give a whole number"),
            ({"amount": "1.5", "unit": "hours"}, "Give a whole number"),
            ({"amount": "401", "unit": "days"}, "at most 400 days"),
            ({"amount": "1", "unit": "years"}, "Give a whole number"),
            ({}, "Give a whole number"),
        ],
    )
    async def test_wrong_lengths(self, filled: Any, fields: dict[str, str], sentence: str) -> None:
        """A length that cannot be is refused with a sentence, and the clock stays."""
        before = filled.gateway.clock()
        answer = await post(filled, "/pass", {"token": await token(filled), **fields})

        assert (400, True, before) == (answer.status, sentence in answer.seen, filled.gateway.clock())

    @pytest.mark.parametrize("path", ["/pass", "/answer"])
    @pytest.mark.parametrize(
        "way", ["no token", "wrong token", "other origin", "null origin", "other site", "too large", "too many"]
    )
    async def test_forms_of_other_pages(self, filled: Any, path: str, way: str) -> None:
        """A form without the token, or from another origin, is refused, and nothing happens."""
        fields = {
            "token": await token(filled),
            "amount": "1",
            "unit": "days",
            "number": str(filled.gateway.planned[0].number),
        }
        headers = {
            "other origin": {"Origin": "http://attacker.example"},
            "null origin": {"Origin": "null"},
            "other site": {"Sec_Fetch_Site": "cross-site"},
        }
        if way == "no token":
            del fields["token"]
        if way == "wrong token":
            fields["token"] = "0" * 32
        if way == "too large":
            fields["x"] = "x" * 5_000
        if way == "too many":
            fields |= {f"x{each}": "x" for each in range(10)}
        before = filled.gateway.clock(), filled.gateway.planned
        answer = await post(filled, path, fields, **headers.get(way, {}))

        assert (400 if way.startswith("too") else 403) == answer.status
        assert before == (filled.gateway.clock(), filled.gateway.planned)

    async def test_the_browsers_own_form(self, filled: Any) -> None:
        """With the headers that a browser adds to a form of this page, the order is carried out."""
        origin = {"Origin": f"http://127.0.0.1:{filled.page.port}", "Sec_Fetch_Site": "same-origin"}
        answer = await post(filled, "/pass", {"token": await token(filled), "amount": "1", "unit": "hours"}, **origin)

        assert 303 == answer.status

    @pytest.mark.parametrize("back", ["//attacker.example/", "http://attacker.example", "/pass", ""])
    async def test_no_way_out(self, filled: Any, back: str) -> None:
        """An order leads back to a page of our own only."""
        fields = {"token": await token(filled), "amount": "1", "unit": "hours", "back": back}

        assert "/" == (await post(filled, "/pass", fields)).headers["location"]

    async def test_an_order_that_takes_long(self) -> None:
        """If a declarant's server is silent, the form is answered, a second one is refused, and stopping ends it."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            server = SmtpServer(host="127.0.0.1", port=silent.getsockname()[1], security=Security.PLAIN)
            later = Script(scenarios=(Scenario(replies=(ScriptedReply(after=DAY),)),))
            gateway = Gateway(declarants={live_traffic.MAILBOX: server}, script=later, clock=SimulatedClock())
            async with live_traffic.serving(gateway) as page:
                shown = Shown(gateway, page)
                await asyncio.to_thread(live_traffic.submit_plainly, gateway.smtp_port, live_traffic.PLAIN)
                fields = {"token": await token(shown), "amount": "2", "unit": "days"}
                first, second = await post(shown, "/pass", fields), await post(shown, "/pass", fields)
                seen = await get(shown)

        assert (303, 409) == (first.status, second.status)
        assert "The clock is being moved; replies that became due are being sent." in seen.seen
        assert [] == gateway.sent

    async def test_an_order_that_fails(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """What keeps a reply from being sent is shown to the person who gave the order."""
        folder = tmp_path / "mail"
        declarant = Declarant(mailbox=live_traffic.MAILBOX, password=live_traffic.PASSWORD)
        later = Script(scenarios=(Scenario(replies=(ScriptedReply(after=DAY),)),))
        gateway = Gateway(declarants=[declarant], script=later, clock=SimulatedClock(), record=folder)
        async with live_traffic.serving(gateway) as page:
            shown = Shown(gateway, page)
            await asyncio.to_thread(live_traffic.submit, gateway.smtp_port, live_traffic.PLAIN)
            await asyncio.to_thread(shutil.rmtree, folder)
            answer = await post(shown, "/pass", {"token": await token(shown), "until": "next"})

        assert (409, True) == (answer.status, "Not every reply could be sent: [Errno 2]" in answer.seen)
        assert ["htpoort.simulator", "htpoort.live"] == [
            record.name for record in caplog.records if record.levelno >= 30
        ]

    async def test_a_form_that_is_cut(self, filled: Any, caplog: pytest.LogCaptureFixture) -> None:
        """A browser that leaves within a form costs nothing: no order, and no traceback."""
        before = filled.gateway.clock()
        reader, writer = await asyncio.open_connection("127.0.0.1", filled.page.port)
        head = "POST /pass HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
        writer.write(f"{head}token={await token(filled)}&amount=1".encode())
        writer.write_eof()
        async with asyncio.timeout(60):
            await reader.read()
        writer.close()

        assert 200 == (await get(filled)).status
        assert (before, []) == (filled.gateway.clock(), [one for one in caplog.records if one.name == "uvicorn.error"])

    async def test_nothing_by_reading(self, filled: Any) -> None:
        """Reading changes nothing: orders are forms."""
        assert {404} == {(await get(filled, path)).status for path in ("/pass?amount=1&unit=days", "/answer?number=1")}
        assert 404 == (await post(filled, "/", {"token": await token(filled)})).status

    async def test_a_clock_that_cannot_be_moved(self) -> None:
        """If the gateway follows the clock of the machine, the page says so and has no form for it."""
        gateway = Gateway()
        async with live_traffic.serving(gateway) as page:
            shown = await asyncio.to_thread(ask, page.port, "GET", "/")

        assert "follows the clock of the machine, which cannot be moved" in shown.seen
        assert "<form" not in shown.text


class Stream:
    """News as a browser gets them, over a socket of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, since: int, path: str = "/events") -> Stream:
        """Ask for news."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path}?since={since} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        async with asyncio.timeout(60):
            head = await reader.readuntil(b"\r\n\r\n")
        assert b"text/event-stream" in head
        return cls(reader, writer)

    async def version(self) -> int:
        """Read up to the next event, and return its number."""
        async with asyncio.timeout(60):
            while not (line := await self.reader.readline()).startswith(b"id: "):
                assert line, "the stream has ended"
        return int(line[4:])

    async def close(self) -> None:
        """Leave."""
        self.writer.close()
        await self.writer.wait_closed()


class TestNews:
    """News come as server-sent events, as they happen."""

    async def test_an_event_for_what_happens(self, empty: Any) -> None:
        """A declaration is an event; a browser that comes back gets one for what it missed."""
        before = empty.gateway.journal.version
        stream = await Stream.open(empty.page.port, before)
        await asyncio.to_thread(live_traffic.submit, empty.gateway.smtp_port, live_traffic.PLAIN)
        seen = await stream.version()
        await stream.close()
        late = await Stream.open(empty.page.port, before)
        again = await late.version()
        await late.close()

        assert before < seen <= again == empty.gateway.journal.version

    async def test_a_browser_that_does_not_read(self) -> None:
        """A browser that reads nothing holds up neither the gateway nor another browser, nor the end of the page."""
        gateway = live_traffic.gateway(Script())
        async with live_traffic.serving(gateway) as page:
            large = live_traffic.message("K1", body="x" * 8_000_000)
            await asyncio.to_thread(live_traffic.submit, gateway.smtp_port, large)
            reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
            writer.write(b"GET /messages/1/raw HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"\r\n")
            writer.transport.pause_reading()
            deaf = await Stream.open(page.port, 0)
            deaf.writer.transport.pause_reading()
            for reference in ("K2", "K3"):
                await asyncio.to_thread(live_traffic.submit, gateway.smtp_port, live_traffic.message(reference))
            shown = await asyncio.to_thread(ask, page.port, "GET", "/")
        writer.transport.abort()
        deaf.writer.transport.abort()

        assert ["K1", "K2", "K3"] == [declaration.envelope.reference for declaration in gateway.received]
        assert 3 == shown.seen.count("Declaration")

    async def test_too_many_browsers(self, empty: Any) -> None:
        """The twenty-first listener is refused, and the first ones keep listening."""
        streams = [await Stream.open(empty.page.port, empty.gateway.journal.version) for _ in range(20)]
        answer = await get(empty, "/events")
        await asyncio.to_thread(live_traffic.submit, empty.gateway.smtp_port, live_traffic.PLAIN)
        versions = [await stream.version() for stream in streams]
        for stream in streams:
            await stream.close()

        assert 503 == answer.status
        assert 20 == len(versions)


class TestStart:
    """The page listens on loopback only, and stops at once."""

    async def test_loopback_only(self, empty: Any) -> None:
        """It listens at 127.0.0.1, on the port that it names."""
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", empty.page.url)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.2", empty.page.port)

    async def test_a_port_that_is_taken(self) -> None:
        """A port that another program uses is an error that names it."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match="in use") as caught:
                async with LivePage(Gateway(), port=port):
                    pass

        assert f"127.0.0.1:{port}" == caught.value.filename

    async def test_stopping_with_browsers(self) -> None:
        """With streams open and with a browser that reads nothing, stopping ends every connection."""
        gateway = live_traffic.gateway()
        async with gateway:
            page = LivePage(gateway)
            async with page:
                stream = await Stream.open(page.port, gateway.journal.version)
                reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n")  # a request without its end
            async with asyncio.timeout(60):
                rest = await stream.reader.read()
                assert b"" == await reader.read()
            writer.close()
            await stream.close()
        assert rest.endswith(b"0\r\n\r\n")
