"""Whatever happens, and however much is logged: no line has a payload or a password."""

from __future__ import annotations

import asyncio
import logging
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from urllib.parse import quote

import attrs
import pytest
from agents import INBOX, MAILBOX, PARTY, QUICK, declaration, now, pushed, reply, server
from pop3_server import Pop3Box

from htpoort import HtpoortError, Router
from htpoort.agent import Agent, Outbox, Pop3Inbox
from htpoort.cli._log_lines import Lines
from htpoort.delivery import CommandDelivery
from htpoort.ledger import Ledger, Reply
from htpoort.simulator import Declarant, FaultAction, Gateway, Script, SmtpFault, SmtpStep
from htpoort.transport import Pop3Account, Security

CONTENT = "Kanarie-van-de-inhoud-1"
PASSWORD = "Kanarie@van:het/wachtwoord"


class Written(logging.Handler):
    """Everything that any library logs, at every level, as lines of both forms."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._came = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line; workers of their own threads log too."""
        self.lines += [Lines(as_json=as_json).format(record) for as_json in (False, True)]
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._came.set)

    async def until(self, *texts: str) -> None:
        """Wait until each of these texts was logged."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.timeout(60):
            while not all(any(text in line for line in self.lines) for text in texts):
                self._came.clear()
                await self._came.wait()

    @property
    def text(self) -> str:
        """What was logged, and what of it is base64."""
        words = set(re.findall(r"[A-Za-z0-9+/=]{8,}", "\n".join(self.lines)))
        read = []
        for word in sorted(words):
            with suppress(ValueError):
                read.append(b64decode(word, validate=True).decode("utf-8", "replace"))
        return "\n".join([*self.lines, *read])


@pytest.fixture
def written() -> Iterator[Written]:
    """Log at level DEBUG."""
    root, handler = logging.getLogger(), Written()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(level)
    root.removeHandler(handler)


def secrets_in(text: str) -> list[str]:
    """List the secrets of this module that a text has, in any form."""
    forms = [
        *(CONTENT, PASSWORD),
        quote(PASSWORD, safe=""),
        *(b64encode(f.encode()).decode() for f in (CONTENT, PASSWORD)),
    ]
    return [form for form in forms if form in text]


def with_content(raw: bytes) -> bytes:
    """Add a payload to a reply."""
    return raw + f"<Response>{CONTENT}</Response>\r\n".encode() * 3


def test_the_search_finds_them(written: Written) -> None:
    """A line that has a secret is found, in the clear and in base64."""
    log = logging.getLogger("htpoort.agent")
    log.debug("%s", b64encode(f"\0edi\0{PASSWORD}".encode()).decode())
    log.debug("x", extra={"event": "x", "facts": {"why": CONTENT}})

    assert [CONTENT, PASSWORD] == secrets_in(written.text)


@pytest.mark.parametrize("fault", [None, FaultAction.REFUSE, FaultAction.DEFER, FaultAction.DROP])
async def test_both_ways(ledger: Ledger, router: Router, written: Written, fault: FaultAction | None) -> None:
    """Logins by SMTP and POP3, what is sent or fails, what comes in, what is in quarantine, what printed a reply."""
    secret = attrs.evolve(declaration("K1"), data=with_content(declaration("K1").data))
    ledger.exchanges.queue(secret, at=now())
    faults = () if fault is None else (SmtpFault(at=SmtpStep.DOT, action=fault, times=1),)
    declarant = Declarant(mailbox=MAILBOX, password=PASSWORD)
    async with Gateway(declarants=[declarant], script=Script(faults=faults)) as gateway:
        assert gateway.pop3_port is not None
        login = {"username": MAILBOX, "password": PASSWORD}
        account = Pop3Account(host="127.0.0.1", port=gateway.pop3_port, security=Security.PLAIN, **login)
        inboxes = [INBOX, Pop3Inbox(server=account, poll_interval=timedelta(milliseconds=20))]
        outbox = Outbox(server=attrs.evolve(server(gateway.smtp_port), **login))
        printing = CommandDelivery(("/bin/cat",))
        workers = {"ledger": ledger, "router": router, "outboxes": [outbox], "inboxes": inboxes, "timing": QUICK}
        async with Agent(**workers, deliveries={"DMS": printing}) as agent:
            gateway.register(MAILBOX, server(agent.ports[0]))
            await gateway.push(pushed(with_content(reply("K1"))))
            await gateway.push(pushed(with_content(reply("K2", party="NL123456789.99.05"))))
            await gateway.push(pushed(b"Subject: \x1b[2J no envelope\r\n\r\n" + CONTENT.encode() + b"\r\n"))
            await written.until(
                f"Declaration to DMS of {PARTY} under K1", "printed reply 1 of DMS", "In quarantine as 2"
            )

    assert [] == secrets_in(written.text)
    assert [] == [line for line in written.lines if "\x1b" in line]


async def test_a_server_that_repeats_the_password(ledger: Ledger, router: Router, written: Written) -> None:
    """A refused login is logged with what the server answered, but without the password that it repeats."""
    async with Pop3Box(faults={"PASS": f"-ERR {PASSWORD} is wrong\r\n".encode()}) as box:
        account = Pop3Account(
            host="127.0.0.1", port=box.port, security=Security.PLAIN, username="edi", password=PASSWORD
        )
        async with Agent(ledger=ledger, router=router, inboxes=[Pop3Inbox(server=account)], timing=QUICK):
            await written.until("is paused until")

    assert [] == secrets_in(written.text)
    assert [] != [line for line in written.lines if " is wrong" in line]


async def test_a_delivery_that_fails(ledger: Ledger, router: Router, written: Written) -> None:
    """The line of a failed delivery has its error, and nothing of the reply; nor has a traceback of ours."""

    async def failing(_: Reply) -> None:
        raise ConnectionError

    ledger.replies.take_in(router, with_content(reply("K1")), mail_from=None, at=now())
    async with Agent(ledger=ledger, router=router, deliveries={"DMS": failing}, timing=QUICK):
        await written.until("was not delivered")

    assert [] == secrets_in(written.text)


def test_a_ledger_that_is_away(written: Written) -> None:
    """Neither the log nor the error has the password of the ledger's URL, in the clear or as the URL has it."""
    url = f"postgresql+psycopg://edi:{quote(PASSWORD, safe='')}@127.0.0.1:1/htpoort"
    with pytest.raises(HtpoortError) as caught:
        Ledger.open(url)

    assert [] == secrets_in(f"{caught.value}\n{written.text}")
