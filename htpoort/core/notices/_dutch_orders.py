"""
Rules for what the Dutch National Customs Helpdesk asks for and permits, for how a notice changed, and for the rest.

In Dutch and in English; a pattern sees small letters without accents, plain dashes and quotes, and masks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from htpoort.core.notices._effects import ended
from htpoort.core.notices._facts import (
    Asks,
    Event,
    EventKind,
    Fact,
    Permits,
    Remark,
    Statement,
    TimeRole,
    Times,
)
from htpoort.core.notices._rules import LINK, TIME, Effect, Found, rule, sentence_rule
from htpoort.core.notices.notice import Behaviour, Fallback, Recovery

__all__ = ["DUTCH_ORDERS"]

_PROCEDURE: Final = r"(?:the |an? |de |een |het )?(?:\w+ )?(?:fall-?back|emergency|nood)[ -]?procedures?"
_AGAIN: Final = (
    r"\bre-?(?:send|submit|sent|submitted|sending|submitting)\b|\b(?:submit|send|file|lodge|offer|sent"
    r"|submitted)\b[^.]{0,60}? (?:again|anew|once more)\b"
    r"|\b(?:op ?nieuw|nogmaals)\b[^.]{0,40}?\b(?:ver(?:sturen|stuurd|zenden|zonden)|in ?(?:te )?(?:dienen|gediend"
    r"|sturen|gestuurd|zenden)"
    r"|aan ?(?:te )?(?:leveren|geleverd)|dien|stuur|lever|dienen|sturen|verzend|verstuur)\b"
    r"|\b(?:dien|stuur|lever|verzend|verstuur|biedt?)\b[^.]{0,60}?\b(?:op ?nieuw|nogmaals)\b(?: in| aan)?"
)
_SAME_CLAUSE: Final = r"(?:(?!\b(?:en|and|maar|but)\b)[^.,;])"
_SAME: Final = (
    r"\b(?:the same|hetzelfde|dezelfde|zelfde) (?:(?:local )?reference|lrn|referentie(?:nummer)?)(?: \(lrn\))?"
)
_OTHER: Final = (
    r"\b(?:new|different|another|other|nieuwe?|andere?) (?:unique |unieke? )?(?:lrn|(?:local )?reference"
    r"|referentie(?:nummer)?)"
)
_ORDERED: Final = (
    r"\b(?:advi[cs]e\w*|advies|adviseren|geadviseerd|must|should|need|needs|have to|has to|please|request\w*"
    r"|verzoeken|verzoek|verzocht|dient|dienen|moet|moeten|gelieve|recommend\w*|dien|stuur|lever|verstuur)\b"
)
_FREE: Final = re.compile(
    r"\b(?:may|can|could|choose|wish|optional(?:ly)?|kunt|kan|mag|desgewenst|eventueel|ervoor kiezen)\b"
)
_HARMLESS: Final = (
    r"\b(?:have |has |hebt |heeft )?(?:not|no|niet|geen|without|zonder|n't)(?: yet| nog| een| any| an?)*"
    r" (?:received?|ontvangen|response|reply|replies|answer|return|retour ?bericht\w*|reactie|antwoord|"
    r"message|been received|gekregen|got)\b|\b(?:for which|waarop|waarvoor) (?:no|geen|nog geen)\b|\bnot yet\b"
    r"|\bnog"
    r" (?:geen|niet)\b|\bonly outbound\b"
)
_REFUSED: Final = re.compile(r"\b(?:worden|are|will be) (?:geweigerd|afgewezen|rejected|refused)\b")
_SENT_AT: Final = re.compile(
    rf"\b(?:submitted|sent|made|lodged|filed|ingediend|verstuurd|verzonden|aangeleverd|gedaan|ingestuurd) (?:on |op"
    rf" )?{TIME}"
)
_NEW_DECLARATION: Final = r"\b(?:new|nieuwe) (?:declarations?|aangiften?|one)\b"
_LIST: Final = r"\b(?:lists?|lijst(?:en)?|overzicht(?:en)?|overview)\b"
_MAIL: Final = r"\b(?:e-?mails?|mail|mailing|mailen|mailadres|mailbox)\b"


def _asks(recovery: Recovery) -> Effect:
    """Make the effect of a sentence that asks for something; its times count where declarations were sent then."""

    def effect(found: Found) -> Iterable[Fact] | None:
        sent = _SENT_AT.search(found.match.string) is not None
        refused = _REFUSED.search(found.match.string) is not None
        rejected = (Statement(behaviour=Behaviour.REJECTED),) if refused else ()
        return Asks(recovery=recovery), Times(TimeRole.WINDOW if sent else TimeRole.OTHER), *rejected

    return effect


def _same_reference(found: Found) -> Iterable[Fact] | None:
    """Tell what may be sent again from what is to be."""
    sentence = found.match.string
    free = _FREE.search(sentence) is not None and re.search(_ORDERED, sentence) is None
    return _asks(Recovery.RESEND_SAME_REFERENCE_OPTIONAL if free else Recovery.SAME_REFERENCE)(found)


_RECOVERY: Final = (
    sentence_rule(
        "invalidate-and-new",
        r"\b(?:invalidat\w+|ongeldig(?:e|heid)?(?: te)? ?ma\w+|ongeldigmak\w+|buiten ?werking)",
        rf"{_NEW_DECLARATION}|{_ORDERED}|{_FREE.pattern}",
        effect=_asks(Recovery.INVALIDATE_AND_NEW),
        cues="invalidat|ongeldig|werking",
        harmless=_HARMLESS,
    ),
    sentence_rule(
        "new-declaration",
        rf"{_ORDERED}|\b(?:dien|stuur|doe|file|lodge|submit|make|create)\b",
        _NEW_DECLARATION,
        r"^(?!.*\b(?:lrn|reference|referentie))",
        effect=_asks(Recovery.RESUBMIT),
        cues="new|nieuwe",
        harmless=_HARMLESS,
    ),
    sentence_rule("same-reference", _AGAIN, _SAME, effect=_same_reference, cues="same|zelfde", harmless=_HARMLESS),
    sentence_rule(
        "new-reference",
        rf"{_NEW_DECLARATION}|{_AGAIN}",
        _OTHER,
        effect=_asks(Recovery.NEW_REFERENCE),
        cues="new|different|another|other|nieuw|ander",
        harmless=_HARMLESS,
    ),
    sentence_rule(
        "no-need-again",
        r"\b(?:(?:do not|don't) (?:need|have) to|not necessary|no need|hoeft[^.]{0,60}? niet)\b",
        _AGAIN,
        effect=_asks(Recovery.WAIT),
        cues="need|necessary|have to|hoeft",
        harmless=_HARMLESS,
    ),
    sentence_rule(
        "do-not-send-again",
        rf"\b(?:please do not|please don't|do not|don't|gelieve|verzoeken|verzocht|stuur"
        rf"|dien)\b{_SAME_CLAUSE}{{0,60}}?(?:{_AGAIN})",
        r"\b(?:not|don't|niet)\b",
        effect=_asks(Recovery.WAIT),
        cues="again|resen|re-sen|resubmit|re-submit|nieuw|nogmaals",
        harmless=_HARMLESS,
    ),
    sentence_rule(
        "not-again",
        rf"\b(?:can ?not|can't|must not|may not|should not|do not|don't|not be|niet)\b"
        rf"{_SAME_CLAUSE}{{0,60}}?(?:{_AGAIN})",
        effect=_asks(Recovery.REPORT_LIST),
        cues="again|resen|re-sen|resubmit|re-submit|nieuw|nogmaals",
        harmless=_HARMLESS,
    ),
    sentence_rule(
        "report-list",
        _LIST,
        rf"{_MAIL}|{_ORDERED}",
        r"\b(?:declarations?|aangiften?|messages?|berichten|lrns?|mrns?)\b",
        effect=_asks(Recovery.REPORT_LIST),
        cues="list|lijst|overzicht|overview",
        harmless=_HARMLESS,
    ),
    sentence_rule(
        "again",
        _ORDERED,
        _AGAIN,
        effect=_asks(Recovery.RESUBMIT),
        cues="again|resen|re-sen|resubmit|re-submit|nieuw|nogmaals",
        harmless=_HARMLESS,
    ),
)

_FALLBACK: Final = (
    sentence_rule(
        "procedure-as-needed",
        r"\b(?:advice|advised?|recommend(?:ed)?|adviseren|advies|geadviseerd)\b",
        r"\b(?:only|alleen|uitsluitend|slechts)\b",
        r"\blogisti(?:cs?|cal|eke?) proc(?:es|ess|edure)\b",
        facts=(Permits(Fallback.AS_NEEDED, 2),),
        cues="logisti",
        harmless=r"\b(?:however|echter|but|maar)\b",
    ),
    rule(
        "procedure-if-necessary",
        rf"(?:u )?(?:mag|kunt) {_PROCEDURE} (?:alleen|uitsluitend|slechts) (?:gebruiken"
        rf"|toepassen)?[^.]{{0,40}}(?:absoluut|strikt) noodzakelijk[^.]{{0,40}}",
        Permits(Fallback.ONLY_IF_NECESSARY, 2),
        cues="noodzakelijk",
    ),
    rule(
        "procedure-no-longer",
        rf"(?:{_PROCEDURE} [^.]{{0,40}}?(?:no longer|niet (?:langer|meer)) (?:be |worden )?(?:allowed|permitted"
        rf"|used"
        rf"|applied"
        rf"|applies|toegestaan|gebruikt|toegepast|van toepassing)"
        rf"|u (?:mag|kunt) {_PROCEDURE} niet (?:langer|meer) (?:gebruiken|toepassen))(?: worden)?",
        Permits(Fallback.NO_LONGER, 4),
        cues="longer|langer|meer",
    ),
    rule(
        "procedure-required",
        rf"(?:(?:if|when|als|indien|wanneer) [^.]{{3,160}}?,? )?(?:(?:then|dan) )?(?:you )?(?:,? ?as the"
        rf" [^.,]{{3,40}}, )?"
        rf"(?:(?:(?:will )?have to|must|need to|are (?:requested|obliged|required) to) (?:apply|use|follow)"
        rf" {_PROCEDURE}"
        rf"|(?:zal|zult|moet|dient|moeten) (?:u )?{_PROCEDURE} (?:(?:te|moeten) )*(?:toe(?: te )?passen|gebruiken"
        rf"|volgen|toepassen)(?: moeten)?"
        rf"|(?:u )?(?:moet|dient|bent verplicht) {_PROCEDURE} (?:te )?(?:gebruiken|volgen|toe ?(?:te )?passen))",
        Permits(Fallback.REQUIRED, 3),
        cues="must|have to|need to|are re|are obl|zal|zult|moet|dient|verplicht",
    ),
    rule(
        "procedure-allowed",
        rf"(?:you (?:may|can|are (?:allowed|permitted) to) (?:use|apply|make use of|follow) {_PROCEDURE}(?: [a-z0-9"
        rf" -]{{2,40}})?(?=\W*$)"
        rf"|(?:(?:en|in overige gevallen),? ?)?(?:u )?(?:kunt|mag)(?: u)?,? (?:indien (?:nodig|noodzakelijk),?"
        rf" )?(?:gebruik ?(?:te )?maken van )?{_PROCEDURE}(?: (?:gebruiken|toepassen|volgen))?(?=\W*$)"
        rf"|{_PROCEDURE} (?:is|mag|kan|may|can) (?:be )?(?:toegestaan|worden toegepast|worden gebruikt|allowed"
        rf"|permitted|used|applied)|(?:het )?gebruik van {_PROCEDURE} is toegestaan)",
        Permits(Fallback.ALLOWED),
        cues="you |u |proced",
    ),
)

_IDLE: Final = (
    sentence_rule(
        "informed-later",
        r"\b(?:you will be|we (?:will|shall|keep)|u wordt|wordt u|wij (?:zullen|houden)|zullen wij"
        r"|we hope to have)\b",
        r"\b(?:inform(?:ed)?|updated?|notif(?:y|ied)|geinformeerd|informeren|op de hoogte)\b",
        facts=(Times(TimeRole.OTHER),),
        cues="inform|update|notif|hoogte",
    ),
    sentence_rule(
        "declare-earlier",
        r"\b(?:al|alvast|already|earlier|eerder|vooraf|in advance|beforehand)\b",
        r"\b(?:aangifte (?:te )?doen|aangiften? indienen|submit|declare|lodge)\b",
        facts=(Times(TimeRole.OTHER),),
        cues=" al|earlier|eerder|vooraf|advance|before",
    ),
    sentence_rule(
        "next-update",
        r"\b(?:next|volgende|new) (?:update|message|bericht|notice)\b",
        r"\b(?:posted|published|given|expected|follows?|volgt|verwacht\w*|geplaatst|gepubliceerd|available)\b",
        facts=(Times(TimeRole.OTHER),),
        cues="next|volgende|new",
    ),
    rule(
        "worked-on",
        r"(?:a solution is |we are |(?:er wordt|wij|we) |our \w+ (?:is|are) )?(?:(?:still|currently|hard|momenteel)"
        r" )*(?:being worked on|working on [^.]{3,60}|(?:er wordt )?aan (?:een|de) oplossing gewerkt|gewerkt aan"
        r" (?:een|de) oplossing|werken aan (?:een|de)"
        r" oplossing)",
        Event(EventKind.ONGOING),
        cues="work|werk",
    ),
    rule(
        "looking-into",
        r"(?:apologies,? |onze excuses,? )?(?:we are|wij zijn|we zijn) (?:(?:still|currently|nog|momenteel|steeds"
        r"|bezig|busy) )*(?:in the process of |met (?:het )?)?(?:identifying|investigating|analy[sz]ing"
        r"|inventari[sz]\w+|onderzoeken|analyseren|taking stock) ?[^.]{0,160}",
        Event(EventKind.ONGOING),
        cues="we are|zijn",
    ),
    rule(
        "reason-given",
        r"^(?:this|the|deze|dit|de) (?:delay|malfunction|disruption|outage|vertraging|(?:ver)?storing) (?:is|was"
        r"|wordt|werd) (?:due to|caused by|veroorzaakt door)[^.]{3,200}",
        cues="due to|caused by|veroorzaakt",
    ),
    rule(
        "solved",
        r"(?:(?:the|this|de|deze|dit) )?(?:disruption|malfunction|outage|issues?|problems?|(?:ver)?storing"
        r"|probleem)(?: (?:of|in|at|with|van|bij) [^.,;]{2,40}?)?"
        r" (?:is|are|has been|have been|was) (?:now |inmiddels )?(?:resolved|solved|fixed|over|verholpen|opgelost"
        r"|voorbij)",
        effect=ended,
        cues="solved|fixed|over|verholpen|opgelost|voorbij",
    ),
    rule(
        "page",
        r"^(?:share this page|deel deze pagina|go directly to (?:content|footer)(?: go directly to footer)?|(?:ga"
        r" )?direct naar de (?:inhoud|footer)(?: (?:ga )?direct naar de footer)?|service ?messages?|status"
        r" ?messages?|service ?berichten?|status ?berichten?|print|terug|back)\W*$",
    ),
    rule(
        "apologies",
        r"(?:we apologi[sz]e|(?:our )?apologies|we are sorry|(?:onze )?excuses|wij bieden (?:u )?onze excuses(?:"
        r" aan)?)(?: (?:for|voor) (?:the|any|het|eventueel) (?:inconvenience|ongemak)(?: this may cause)?)?",
        cues="apolog|sorry|excuses",
    ),
    rule(
        "no-contact",
        r"(?:you do not (?:need|have) to contact|u hoeft (?:hiervoor )?geen contact (?:op te nemen"
        r" )?met)[^.]{2,80}",
        cues="contact",
    ),
    rule(
        "plan-active",
        r"(?:the |de )?bcp (?:is|has been|wordt) (?:geactiveerd|activated)|(?:zie|see)(?: voor (?:verdere|meer)"
        r" informatie| for (?:further|more) information)?:? (?:de |the )?bcp",
        cues="bcp",
    ),
    rule(
        "procedure-pointer",
        rf"^(?:url:? ?)?(?:(?:to|naar) )?(?:the |de )?(?:\w+ )?(?:emergency|fall-?back|nood) ?procedure(?:"
        rf" \w+)?\W*(?:{LINK}+)?\W*$",
        cues="proced",
    ),
    rule(
        "copies-refused",
        r"(?:if a declaration is received (?:twice|double)[^.]{0,80}?,? )?the second (?:declaration|copy|one"
        r"|message) (?:will be|is) rejected|(?:therefore,? |so )?there is no risk of (?:duplicate|double)[^.]{0,80}"
        r"|(?:this is |dit is )?(?:to (?:avoid|prevent)|om) (?:double|duplicate|dubbele) \w+(?: te voorkomen)?"
        r"|(?:zo|hiermee|daarmee) voorkomt u dubbele \w+|(?:wordt een \w+ dubbel ontvangen,? )?(?:dan )?wordt"
        r" de tweede(?: \w+)? (?:afgewezen|geweigerd)"
        r"|er is (?:dus |daarom )?geen (?:risico|kans) op dubbele[^.]{0,80}",
        cues="second|duplicate|double|dubbele|tweede",
    ),
    rule(
        "no-reply-received",
        r"^(?:heeft u|hebt u|have you|did you) [^.?!]{3,200} (?:geen|no|not? (?:any|a)) (?:retour ?bericht"
        r"|antwoord|reactie"
        r"|return message|response|reply)[^.?!]{0,60}\?",
        Times(TimeRole.OTHER),
        cues="?",
    ),
    rule(
        "customs-sends-again",
        r"^(?:wij|we|customs|de douane) (?:bieden|biedt|sturen|stuurt|verwerken|verwerkt|(?:will )?(?:re-?sends?"
        r"|re-?offers?|process(?:es)?)) "
        r"(?:(?:de|the|deze|these|alle|all) )*(?:berichten|aangiften|messages|declarations)(?: (?:opnieuw|alsnog"
        r"|again))?(?: (?:aan|in))?(?=\W*$)",
        cues="bied|stu|verwerk|send|offer|process",
    ),
    rule("processed-as-usual", r"^these (?:messages|declarations) will be processed as usual\W*$", cues="as usual"),
    rule(
        "handbook",
        rf"(?:you can read|u (?:kunt|leest)) (?:how|hoe|in)[^.]{{3,120}}(?:manual|handleiding|handboek)(?:"
        rf" lezen)?[^.{TIME}]{{0,40}}",
        cues="manual|hand",
    ),
    rule(
        "source",
        r"^(?:source|bron)\W.{2,80}",
        Remark("third-party", "The text is not the authority's own page; compare it with the source."),
        cues="source|bron",
    ),
    rule(
        "phase-label",
        r"^(?:(?:the |het )?(?:scheduled|planned|emergency|unscheduled) maintenance|gepland onderhoud"
        r"|spoedonderhoud)(?= ?:)",
        cues="maintenance|onderhoud",
    ),
)

DUTCH_ORDERS: Final = (*_RECOVERY, *_FALLBACK, *_IDLE)
