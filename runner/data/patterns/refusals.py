"""Answers that refuse, and the stock sentences of assistants: a model learns both quickly."""

from __future__ import annotations

import re

from runner.data.patterns.pattern import Hit

REFUSAL = "refusal"
BOILERPLATE = "boilerplate"

APOSTROPHE = "[\\x27\u2019]"
NOT_ABLE = (
    rf"(?:can(?:no|{APOSTROPHE})t|can not|won{APOSTROPHE}t|am (?:not able|unable)|"
    rf"am not (?:capable|programmed|allowed)|{APOSTROPHE}m (?:not able|unable|not programmed)|"
    rf"do(?: not|n{APOSTROPHE}t) have (?:access|the (?:ability|capability|capacity)|personal|"
    r"real[- ]time))"
)
SORRY = (
    rf"(?:I(?:{APOSTROPHE}m| am) (?:very |really |so )?(?:sorry|afraid)|sorry|unfortunately|"
    r"I apologi[sz]e|my apologies|apologies)"
)
# what a program says that it cannot see; people say it of accounts, rooms and files
UNSEEN = (
    r"(?:(?:your|the|this|that|these|any|external|attached|provided) ){0,2}"
    r"(?:data ?sets?|images?|pictures?|photos?|videos?|audio|links?|attachments?|articles?|"
    r"internet|web|(?:real[- ]time|current|live|up-to-date) [a-z]+)\b"
)
# how an answer that refuses begins
OPENERS: dict[str, str] = {
    "en": rf"{SORRY}[,.:;!]?(?: but| however,?| that)? ?"
          rf"(?:as an AI[^.\n]{{0,40}}, ?)?(?:I ?{NOT_ABLE}|I(?: am|{APOSTROPHE}m) an AI\b)|"
          rf"I(?: ?{NOT_ABLE}| must (?:decline|refuse)) ?"
          r"(?:to )?(?:fulfil|assist|help|provide|comply|create|generate|write|engage|answer|"
          r"participate|discuss|support|satisfy|access|respond|browse|complete)",
    "de": r"(?:es tut mir leid|tut mir leid|entschuldigung|leider)[^.\n]{0,30}"
          r"(?:kann ich|ich kann|darf ich|ich darf)[^.\n]{0,40}nicht|"
          r"(?:ich kann|ich darf)[^.\n]{0,40}nicht (?:helfen|beantworten|erfüllen|unterstützen)",
    "fr": r"(?:je suis désolé|désolé)e?[^.\n]{0,30}je ne (?:peux|suis)|"
          r"je ne (?:peux|suis) pas (?:en mesure|vous aider|répondre|fournir|capable)",
    "es": r"lo siento[^.\n]{0,30}no puedo|no puedo (?:ayudar|proporcionar|cumplir|responder)",
}  # fmt: skip
# what an assistant says of itself, wherever it stands
STOCK: dict[str, str] = {
    "en": r"\bas an? (?:AI|artificial intelligence|(?:large )?language model)\b(?: language model|"
          r" model| assistant)?(?:,| I\b| developed| created| trained)|"
          rf"\bI(?: am|{APOSTROPHE}m)(?: just| only)? an? (?:AI|artificial intelligence|"
          rf"(?:large )?language model)\b|\bmy (?:knowledge cut-?off|last (?:knowledge )?update|"
          rf"training data (?:only )?(?:goes|extends))|\bas of my (?:last|latest) "
          rf"(?:knowledge )?(?:update|training)|"
          rf"\bI do(?: not|n{APOSTROPHE}t) (?:have|possess) (?:personal|feelings|emotions|"
          rf"opinions|physical|real[- ]time)|"
          rf"\b{SORRY},?(?: but)? I do(?: not|n{APOSTROPHE}t) have (?:direct )?access to {UNSEEN}",
    "de": r"\bals (?:eine? )?(?:KI|künstliche Intelligenz|(?:KI-)?Sprachmodell|KI-Assistent)\b",
    "fr": rf"\ben tant qu(?:e |{APOSTROPHE})(?:une? )?(?:IA|intelligence artificielle|"
          r"modèle de langage|modèle linguistique|assistant IA)\b",
    "es": r"\bcomo (?:una? )?(?:IA|inteligencia artificial|modelo de lenguaje|asistente de IA)\b",
}  # fmt: skip

# quotes, brackets and emphasis may stand before the first word
START = '\\A[ \\t\\r\\n*_>"\u201c\\x27(]{0,12}'
OPENING = rf"(?i:{START}(?:{'|'.join(OPENERS.values())}))"
STOCK_SENTENCE = rf"(?i:{'|'.join(STOCK.values())})"
REFUSAL_PREFILTER = f"{OPENING}|{STOCK_SENTENCE}"

OPENING_RE, STOCK_RE = re.compile(OPENING), re.compile(STOCK_SENTENCE)


def refusals(answer: str) -> list[Hit]:
    """Kind 'refusal' where the answer begins with one, 'boilerplate' for stock sentences anywhere.

    Judges an answer, never a prompt. English, and the most common forms in German, French, Spanish.
    """
    opening = OPENING_RE.match(answer)
    hits = [Hit(REFUSAL, *opening.span())] if opening else []
    hits += [Hit(BOILERPLATE, *match.span()) for match in STOCK_RE.finditer(answer)]
    return hits
