"""Draw the life of an exchange from its table into docs/_static/exchange.svg and docs/reference/exchange-table.md."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

from htpoort import Event, State
from htpoort.core.exchange import TABLE

HERE: Final = Path(__file__).parent

# The column and row of each state; the arrows come from the table.
PLACES: Final = {
    State.HELD: (0, 0),
    State.QUEUED: (0, 1),
    State.SENDING: (1, 1),
    State.DEFERRED: (1, 0),
    State.FAILED: (2, 0),
    State.ACCEPTED: (2, 1),
    State.UNKNOWN: (1, 2),
    State.REFUSED: (2, 2),
    State.ANSWERED: (3, 1),
    State.CLOSED: (3, 2),
}
ORDERS: Final = frozenset({Event.RESEND_ORDERED, Event.RESOLVED_AS_SENT})
LATE: Final = frozenset({
    *(Event.ACCEPTED, Event.DEFERRED, Event.REFUSED, Event.NEVER_SENT, Event.ANSWER_WITHDRAWN),
    *(Event.RETURNED_TO_QUEUE, Event.RETURNED_TO_RETRY),
    # Only of files.
    *(Event.NAME_ASKED, Event.GATEWAY_ERROR),
})
WIDTH, HEIGHT, ACROSS, DOWN = 116, 40, 236, 150
FONT: Final = 'font-family="sans-serif" font-size="13"'
SMALL: Final = 'font-family="sans-serif" font-size="10" fill="#334"'


def drawn(state: State, event: Event) -> bool:
    """
    Say whether a move has an arrow of its own.

    The caption has the rest: a reply and an order to close come in almost every state, and so does the late report
    of a worker that was thought dead. A release that is taken back is as rare.
    """
    if event is Event.CLOSED or (event is Event.REPLY_RECEIVED and state is not State.ACCEPTED):
        return False
    return event not in LATE or state is State.SENDING


def moves() -> dict[tuple[State, State], list[Event]]:
    """Gather the events that lead from one state to another."""
    found: dict[tuple[State, State], list[Event]] = defaultdict(list)
    for (state, event), decision in TABLE.items():
        if not decision.ignored and not decision.refused and drawn(state, event):
            found[state, decision.state].append(event)
    return found


def middle(state: State) -> tuple[float, float]:
    """Give the middle of a state's box."""
    column, row = PLACES[state]
    return 80 + column * ACROSS + WIDTH / 2, 30 + row * DOWN + HEIGHT / 2


def arrow(start: State, stop: State, events: list[Event], *, back: bool) -> str:
    """Draw one arrow with its events; two in opposite directions are drawn side by side."""
    (x1, y1), (x2, y2) = middle(start), middle(stop)
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    aside = 9 if back else 0
    dx, dy = -(y2 - y1) / length * aside, (x2 - x1) / length * aside
    # Cut where the line leaves and enters the boxes.
    along = min(
        (WIDTH / 2 + 4) / abs(x2 - x1) if x1 != x2 else 1.0, (HEIGHT / 2 + 4) / abs(y2 - y1) if y1 != y2 else 1.0
    )
    x1, x2 = x1 + (x2 - x1) * along + dx, x2 - (x2 - x1) * along + dx
    y1, y2 = y1 + (y2 - y1) * along + dy, y2 - (y2 - y1) * along + dy
    dashes = ' stroke-dasharray="5 3"' if ORDERS.issuperset(events) else ""
    line = (
        f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" stroke="#667"{dashes} marker-end="url(#tip)"/>'
    )
    # An order has no words beside it: dashes mark it, and the caption names it.
    text = "" if dashes else ", ".join(event.value for event in events)
    # Beside an upright arrow, on the side to which it was moved; above every other one.
    upright = abs(x2 - x1) < 1
    x, y = (x1 + x2) / 2 + (0 if not upright else -6 if dx < 0 else 6), (y1 + y2) / 2 + (4 if upright else -6)
    anchor = ("end" if dx < 0 else "start") if upright else "middle"
    return f'{line}<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" {SMALL}>{text}</text>'


def box(state: State) -> str:
    """Draw one state."""
    x, y = middle(state)
    return (
        f'<rect x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="6"'
        f' fill="#eef3fa" stroke="#345"/><text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle" {FONT}>{state.value}</text>'
    )


def svg() -> str:
    """Draw every state, and an arrow for each move."""
    found = moves()
    arrows = [arrow(start, stop, events, back=(stop, start) in found) for (start, stop), events in found.items()]
    size = f'width="{110 + 3 * ACROSS + WIDTH}" height="{60 + 2 * DOWN + HEIGHT}"'
    tip = '<marker id="tip" markerWidth="9" markerHeight="7" refX="8" refY="3.5" orient="auto"><path d="M0 0 9 3.5 0 7z" fill="#667"/></marker>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>The life of an exchange</title><defs>{tip}</defs>'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *arrows, *map(box, State), "</svg>", ""])


def table() -> str:
    """Write every state with every event, and why where nothing moves."""
    lines = [
        "<!-- Drawn by docs/draw_states.py from htpoort.core.exchange.TABLE. -->",
        "",
        "| state | event | state afterwards | next, or why nothing changes |",
        "|---|---|---|---|",
    ]
    for (state, event), decision in TABLE.items():
        why = f"ignored: {decision.ignored}" if decision.ignored else f"refused: {decision.refused}"
        text = why if decision.ignored or decision.refused else decision.next_step.value
        lines.append(f"| {state.value} | {event.value} | {decision.state.value} | {text} |")
    return "\n".join([*lines, ""])


FILES: Final = {HERE / "_static" / "exchange.svg": svg, HERE / "reference" / "exchange-table.md": table}

if __name__ == "__main__":
    for path, draw in FILES.items():
        path.write_text(draw(), encoding="utf-8")
