"""
Answer the requests of browsers. The only module that imports Starlette.

Never does: queue anything for a browser, or wait for one that does not read.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import timedelta
from importlib import resources
from typing import Any, Final, final
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from htpoort import _clock
from htpoort._aio import run_in_thread
from htpoort._log import event
from htpoort._pages import Pages
from htpoort.core.text import one_line
from htpoort.live import _guard, _views
from htpoort.simulator import Gateway, JournalEntry, SimulatedClock

__all__ = ["PageApp"]

_LOG: Final = logging.getLogger("htpoort.live")

_PACKAGE: Final = "htpoort.live"
_STATIC: Final = {
    "live.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_STREAMS: Final = 20  # browsers that may listen for news at once
_HEARTBEAT: Final = 15.0  # seconds; a browser that has left is noticed when it is written to
_PAUSE: Final = 0.1  # seconds between two pieces of news: a person reads no faster
_PATIENCE: Final = 2.0  # seconds after which a form is answered although its work goes on
_FORM: Final = 4_096  # octets of a form
_UNITS: Final = {"minutes": timedelta(minutes=1), "hours": timedelta(hours=1), "days": timedelta(days=1)}
_LONGEST: Final = timedelta(days=400)  # replies to an export come for 150 days
_AMOUNT: Final = re.compile(r"[1-9][0-9]{0,4}")
_BACK: Final = re.compile(r"/(?:messages/[0-9]{1,9})?")
_CODES: Final = {400: "Not possible", 403: "Refused", 404: "Not here", 409: "Not now"}


@final
class _Sorry(Exception):  # noqa: N818 - what a person did, and not an error of the program
    """What a person is shown instead of a page: status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(status, sentence)
        self.status = status
        self.sentence = sentence


@final
class PageApp:
    """
    The application of one gateway's page.

    Args:
        gateway: The gateway.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._token = _clock.unique()
        self._stopping = asyncio.Event()
        self._streams = 0
        self._work: set[asyncio.Task[Any]] = set()
        self._pages = Pages(_PACKAGE, filters={"moment": _moment, "clock": _clock_face})
        folder = resources.files(_PACKAGE) / "static"
        self._files = {name: (folder / name).read_bytes() for name in _STATIC}
        routes = [
            Route("/", self._index),
            Route("/messages/{number}", self._message),
            Route("/messages/{number}/raw", self._raw),
            Route("/messages/{number}/parts/{part}", self._part),
            Route("/sessions/{number}", self._session),
            Route("/events", self._events),
            Route("/static/{name}", self._static),
            Route("/pass", self._pass, methods=["POST"]),
            Route("/answer", self._answer, methods=["POST"]),
        ]
        handlers: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
            _Sorry: self._sorry,
            404: self._not_found,
            405: self._not_found,
        }
        self._app: ASGIApp = Starlette(routes=routes, exception_handlers=handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, if it is meant for this page."""
        host = next((value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"host"), "")

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                guards = [(name.encode(), value.encode()) for name, value in _guard.HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *guards]
            await send(message)

        app = self._app if _guard.is_own_host(host) else PlainTextResponse("Open this page at 127.0.0.1.\n", 403)
        await app(scope, receive, send_guarded)

    def stop(self) -> None:
        """End the streams to browsers."""
        self._stopping.set()

    async def close(self) -> None:
        """Cancel what a form has begun."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    # ── pages ──

    async def _index(self, _request: Request) -> Response:
        return self._page("index.html", back="/")

    async def _message(self, request: Request) -> Response:
        entry = self._entry(request)
        raw = _views.raw_of(entry)
        if raw is None:
            raise _Sorry(404, "This entry has no message.")
        # A message may have megabytes, and the gateway goes on meanwhile.
        payload = await run_in_thread(_views.payload_facts, raw)
        facts = {**_views.message_facts(entry, self._gateway), **payload}
        return self._page("message.html", message=facts, back=f"/messages/{entry.number}")

    async def _session(self, request: Request) -> Response:
        dialogue = self._gateway.journal.dialogue(_number(request, "number"))
        if dialogue is None:
            raise _Sorry(404, "This session is not kept, or not any more.")
        return self._page("session.html", session=_views.dialogue_facts(dialogue, self._gateway), back="/")

    async def _raw(self, request: Request) -> Response:
        entry = self._entry(request)
        return _download(_views.raw_of(entry), f"message-{entry.number}.eml")

    async def _part(self, request: Request) -> Response:
        entry, at = self._entry(request), _number(request, "part")
        parts = await run_in_thread(_views.parts_of, entry)
        if at >= len(parts):
            raise _Sorry(404, "The message has no such part.")
        part = parts[at]
        return _download(part.octets, f"message-{entry.number}-{at + 1}.{part.ending}")

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            raise _Sorry(404, "There is no such file.")
        return Response(self._files[name], headers={"content-type": _STATIC[name]})

    def _page(self, template: str, *, status: int = 200, **values: object) -> Response:
        facts = _views.gateway_facts(self._gateway)
        page = self._pages.render(template, gateway=facts, token=self._token, busy=bool(self._work), **values)
        return HTMLResponse(page, status)

    def _entry(self, request: Request) -> JournalEntry:
        entry = self._gateway.journal.entry(_number(request, "number"))
        if entry is None:
            raise _Sorry(404, "This entry is not kept, or not any more.")
        return entry

    async def _sorry(self, _request: Request, error: Exception) -> Response:
        status, sentence = error.args
        return self._page("sorry.html", status=status, title=_CODES[status], sentence=sentence, back="/")

    async def _not_found(self, request: Request, _error: Exception) -> Response:
        return await self._sorry(request, _Sorry(404, "There is no such page."))

    # ── news ──

    async def _events(self, request: Request) -> Response:
        if self._streams >= _STREAMS:
            return PlainTextResponse("Too many browsers listen already; reload by hand.\n", 503)
        seen = request.headers.get("last-event-id") or request.query_params.get("since", "")
        version = int(seen) if re.fullmatch(r"[0-9]{1,15}", seen) else -1
        return StreamingResponse(self._news(version), media_type="text/event-stream")

    async def _news(self, version: int) -> AsyncGenerator[str]:
        """Write an event for each change; what happens while one is written is one change."""
        self._streams += 1
        try:
            yield "retry: 1000\n\n"
            while not self._stopping.is_set():
                changed = await self._changed(version)
                if changed is None:
                    yield ": still here\n\n"
                else:
                    version = changed
                    yield f"event: change\nid: {version}\ndata: {version}\n\n"
                    await self._first(self._stopping.wait(), seconds=_PAUSE)
        finally:
            self._streams -= 1

    async def _changed(self, version: int) -> int | None:
        """Wait for another version of the journal; None if there is none for a while, or if the page stops."""
        journal = self._gateway.journal
        await self._first(journal.wait(version), self._stopping.wait(), seconds=_HEARTBEAT)
        return None if journal.version == version else journal.version

    @staticmethod
    async def _first(*waits: Awaitable[object], seconds: float) -> None:
        """Wait until one of several has come, or for so many seconds."""
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # ── orders ──

    async def _pass(self, request: Request) -> Response:
        """Let time pass: so long, or until the next reply is due."""
        form = await self._form(request)
        clock, moment = self._gateway.clock, self._gateway.next_moment
        if not isinstance(clock, SimulatedClock):
            raise _Sorry(409, "This gateway follows the clock of the machine, which cannot be moved.")
        if self._work:
            raise _Sorry(409, "The order before this one is still being carried out; wait until its replies are sent.")
        if form.get("until") == "next":
            if moment is None:
                raise _Sorry(409, "No reply is planned.")
            by = max(moment - clock(), timedelta(0))
        else:
            amount, unit = form.get("amount", ""), form.get("unit", "")
            by = int(amount) * _UNITS[unit] if _AMOUNT.fullmatch(amount) and unit in _UNITS else timedelta(0)
            if not timedelta(0) < by <= _LONGEST:
                raise _Sorry(400, f"Give a whole number of minutes, hours or days, at most {_LONGEST.days} days.")
        await self._work_on(self._gateway.play(by))
        return self._back(form)

    async def _answer(self, request: Request) -> Response:
        """Send a planned reply now."""
        form = await self._form(request)
        number = form.get("number", "")
        if not re.fullmatch(r"[0-9]{1,15}", number):
            raise _Sorry(400, "The form names no reply.")
        if int(number) not in {planned.number for planned in self._gateway.planned}:
            raise _Sorry(409, "This reply is not planned any more; it was sent meanwhile.")
        await self._work_on(self._gateway.answer_now(int(number)))
        return self._back(form)

    async def _work_on(self, work: Awaitable[object]) -> None:
        """Do what was ordered, and go on in the background if a declarant's server lets us wait."""
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        task.add_done_callback(_report_failure)
        await self._first(asyncio.wait({task}), self._stopping.wait(), seconds=_PATIENCE)
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise _Sorry(409, f"Not every reply could be sent: {one_line(str(error))[:400]}")

    async def _form(self, request: Request) -> dict[str, str]:
        """Read a form that this page sent; refuse any other."""
        octets = b""
        try:
            async for piece in request.stream():
                octets += piece
                if len(octets) > _FORM:
                    raise _Sorry(400, "The form is too large.")
        except ClientDisconnect:
            # No one reads the answer.
            raise _Sorry(400, "The form is not whole.") from None
        try:
            fields = parse_qs(octets.decode("ascii", "replace"), max_num_fields=10)
        except ValueError:
            raise _Sorry(400, "The form has too many fields.") from None
        form = {name: values[-1] for name, values in fields.items()}
        if not _guard.is_own_form(request.headers, form.get("token", ""), self._token):
            raise _Sorry(403, "This form does not come from this page, or from before the simulator was started anew.")
        return form

    @staticmethod
    def _back(form: Mapping[str, str]) -> Response:
        """Lead back to the page that the form was on."""
        back = form.get("back", "/")
        return RedirectResponse(back if _BACK.fullmatch(back) else "/", 303)


def _report_failure(task: asyncio.Future[object]) -> None:
    """Log what an order failed at; the person who gave it may have left."""
    if not task.cancelled() and (error := task.exception()) is not None:
        why = one_line(str(error))
        _LOG.warning("An order of the live page failed: %s", why, extra=event("page.order-failed", why=why))


def _number(request: Request, name: str) -> int:
    """Read a number of the address."""
    text = str(request.path_params[name])
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise _Sorry(404, "There is no such page.")
    return int(text)


def _download(octets: bytes | None, name: str) -> Response:
    """Offer octets as a file: never shown by the browser itself, whatever they are."""
    if octets is None:
        raise _Sorry(404, "There are no octets to download here.")
    disposition = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(octets, media_type="application/octet-stream", headers=disposition)


def _moment(moment: Any) -> str:  # noqa: ANN401 - the template gives it
    return str(moment.astimezone().strftime("%Y-%m-%d %H:%M:%S"))


def _clock_face(moment: Any, now: Any) -> str:  # noqa: ANN401 - the same
    """Write the time of a day, with the day if it is not today."""
    is_today = moment.astimezone().date() == now.astimezone().date()
    return str(moment.astimezone().strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S"))
