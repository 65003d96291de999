"""No notice is complete and wrong: what a complete notice states stands in its text, whatever was lost of it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from hypothesis import assume, given, strategies as st
from notice_texts import notice_texts

from htpoort.notices import Behaviour, Fallback, Notice, Recovery, ServiceWindow, read_notice

TEXTS = notice_texts()
# What a label stands above or below decides which text is the newest.
LABEL = re.compile(r"previous|vorig|updated?|opdateret|published|udgivet|publication|publicatie", re.IGNORECASE)
SPLIT = re.compile(r"(?<=[.!?:])(?=\s)|\n")

# What must stand in a text that states it; typed from the language, not from the rules.
SAID: dict[str, str] = {
    Behaviour.REJECTED: r"fail|reject|refus|afvis|afgewezen|geweigerd|cannot",
    Behaviour.QUEUED: r"processed|handled|buffer|queue|behandl|verwerkt|stored|kept",
    Behaviour.DELAYED: r"delay|late|slow|forsink|vertrag",
    Behaviour.UNAVAILABLE: r"unavailable|not (be )?(available|possible)|inaccessible|closed|down|lukket|utilgængelig"
    r"|ikke (tilgængelig|online|muligt)|ingen|niet b|buiten|no (online|file|electronic|messag)|geen bericht"
    r"|impossible|out of service",
    Behaviour.LIMITED: r"limited|restricted|issues?|problem|beperkt|fejl|closed|connection|error|difficult",
    Behaviour.UNSTABLE: r"stability|unavailability|unstable|stabil|interruption|at times",
    Behaviour.NORMAL: r"available|affected|no impact|geen (impact|invloed|gevolgen)|uden nedetid|open|tilgængelig",
    Recovery.WAIT: r"processed|buffer|queue|behandl|verwerkt|no need|not (need|have|necessary)|hoeft|kept|handled",
    Recovery.RESUBMIT: r"resubmit|re-submit|resen|again|genind|igen|ny(e)?|opnieuw|nogmaals|new|nieuw",
    Recovery.SAME_REFERENCE: r"same|zelfde|samme",
    Recovery.RESEND_SAME_REFERENCE_OPTIONAL: r"same|zelfde|samme",
    Recovery.NEW_REFERENCE: r"new|different|other|nieuw|ander|ny",
    Recovery.REPORT_LIST: r"list|lijst|overview|overzicht|again|opnieuw|nieuw",
    Recovery.INVALIDATE_AND_NEW: r"invalid|ongeldig|buiten werking",
    Fallback.ALLOWED: r"allowed|permitted|can|may|kan|må|mag|kunt|toegestaan|used",
    Fallback.AS_NEEDED: r"need|necessary|requir|omfang|behov|noodzak|logisti|nødvendig",
    Fallback.ONLY_IF_NECESSARY: r"necessary|noodzakelijk|nødvendig|unavoidable",
    Fallback.REQUIRED: r"must|have to|required|requested|moet|dient|verplicht|skal",
    Fallback.NO_LONGER: r"no longer|ikke længere|ends|niet (langer|meer)|ophør|slut|not",
}
MONTHS = [
    "january jan januar januari",
    "february feb februar februari",
    "march mar marts maart mrt",
    "april apr",
    "may maj mei",
    "june jun juni",
    "july jul juli",
    "august aug augustus",
    "september sep",
    "october oct oktober okt",
    "november nov",
    "december dec",
]


def has_hour(text: str, moment: datetime) -> bool:
    """Whether the hour of a moment is printed; midnight may be printed as the end of the day before."""
    hours = {f"{moment:%H}", f"{moment.hour}"} | ({"24"} if moment.hour == 0 else set())
    marks = "|".join(f"{hour}[:.]?{moment:%M}" for hour in hours)
    whole = "|".join(rf"{hour} ?(?:uur|u|h)\b|kl\.? ?{hour}\b" for hour in hours) if moment.minute == 0 else "(?!)"
    minutes = rf"[:.]{moment:%M}" + ("" if moment.minute else "|")
    half = rf"{moment.hour % 12 or 12}(?:{minutes}) ?{'p' if moment.hour >= 12 else 'a'}\.?m"
    return re.search(rf"(?<![0-9])(?:{marks}|{whole}|{half})(?![0-9])", text) is not None


def has_day(text: str, moment: datetime) -> bool:
    """Whether the day of a moment is printed, or the day before of a period over midnight."""
    for day in (moment, moment - timedelta(days=1)):
        names = "|".join(MONTHS[day.month - 1].split())
        number = f"0?{day.day}"
        year = rf"(?:{day:%Y}|{day:%y})"
        forms = [
            rf"\b(?:{names})\.? {number}(?:st|nd|rd|th)?,? {day:%Y}",
            rf"\b{number}(?:\.|st|nd|rd|th)? (?:of )?(?:{names}),? {day:%Y}",
            rf"\b{number}[-/.]0?{day.month}[-/.]{year}",
            rf"\b{day:%Y}-{day:%m}-{day:%d}",
        ]
        if any(re.search(form, text) for form in forms):
            return True
    return False


def unsaid(row: ServiceWindow, text: str) -> list[str]:
    """List what a row states and its text does not print."""
    text = " ".join(text.lower().split()).replace("í", "i")
    missing = [
        word for word in re.findall(r"\w+", " ".join([row.system or "", *row.messages]).lower()) if word not in text
    ]
    missing += [
        str(value)
        for value in (row.behaviour, row.recovery, row.fallback)
        if value != "unstated" and not re.search(SAID[value], text)
    ]
    for moment in (row.start, row.end):
        if moment is not None and not (has_hour(text, moment) and has_day(text, moment)):
            missing.append(moment.isoformat())
    return missing


def complaints(text: str) -> list[str]:
    """List what a notice states that its text does not, if it is complete."""
    notice = read_notice(text)
    return [each for row in notice.windows for each in unsaid(row, text)] if notice.complete else []


def said_of(notice: Notice) -> dict[tuple[object, ...], Behaviour]:
    """Return what happens to each system and access."""
    return {(row.system, row.access, row.messages): row.behaviour for row in notice.windows}


texts = st.sampled_from(sorted(TEXTS)).map(TEXTS.__getitem__)


def test_the_oracle_holds_for_whole_texts() -> None:
    """What the oracle demands is true of each text before anything is lost."""
    assert [] == [(name, complaint) for name, text in TEXTS.items() for complaint in complaints(text)]


@given(data=st.data())
def test_a_lost_word(data: st.DataObject) -> None:
    """A word is lost: what a complete notice states is printed."""
    text = data.draw(texts)
    words = [match.span() for match in re.finditer(r"\S+\s*", text)]
    start, stop = data.draw(st.sampled_from(words))

    assert [] == complaints(text[:start] + text[stop:])


@given(data=st.data())
def test_a_changed_digit(data: st.DataObject) -> None:
    """A digit is changed: the times of a complete notice are those that are printed now."""
    text = data.draw(texts)
    place = data.draw(st.sampled_from([match.start() for match in re.finditer(r"[0-9]", text)]))
    digit = data.draw(st.integers(0, 9).map(str))

    assert [] == complaints(text[:place] + digit + text[place + 1 :])


@given(data=st.data())
def test_a_lost_digit_or_another(data: st.DataObject) -> None:
    """A digit is lost or doubled: the times of a complete notice are those that are printed now."""
    text = data.draw(texts)
    place = data.draw(st.sampled_from([match.start() for match in re.finditer(r"[0-9]", text)]))
    doubled = data.draw(st.booleans())

    assert [] == complaints(text[:place] + (text[place] * 2 if doubled else "") + text[place + 1 :])


@given(data=st.data())
def test_a_cut_text(data: st.DataObject) -> None:
    """A text ends or begins anywhere: a complete notice states only what is left."""
    text = data.draw(texts)
    place = data.draw(st.integers(0, len(text)))
    part = text[:place] if data.draw(st.booleans()) else text[place:]

    assert [] == complaints(part)


@given(data=st.data())
def test_swapped_sentences(data: st.DataObject) -> None:
    """Two sentences change places: what happens to a system is what it was, or the notice is not complete."""
    text = data.draw(texts)
    parts = SPLIT.split(text)
    first = data.draw(st.integers(0, len(parts) - 1))
    second = data.draw(st.integers(0, len(parts) - 1))
    assume(not any(LABEL.search(part) for part in parts[min(first, second) : max(first, second) + 1]))
    parts[first], parts[second] = parts[second], parts[first]
    swapped = "\n".join(parts)
    notice = read_notice(swapped)
    before = said_of(read_notice("\n".join(SPLIT.split(text))))

    assert [] == complaints(swapped)
    assert [] == [
        (key, value, before[key])
        for key, value in said_of(notice).items()
        if notice.complete and before.get(key, value) != value
    ]
