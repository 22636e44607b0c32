"""Characters that a reader does not see or that went wrong on the way: damage and hiding places."""

from __future__ import annotations

import re
import unicodedata

from runner.data.patterns.pattern import Hit

REPLACEMENT = "replacement character"
CONTROL = "control character"
BIDI = "bidi control"
ZERO_WIDTH = "zero-width character"
MARK = "byte order mark"
TAG = "tag character"
MOJIBAKE = "mojibake"

# written as escapes that Python's re and RE2 share
CHARACTERS: dict[str, str] = {
    REPLACEMENT: r"\x{FFFD}",
    CONTROL: r"\x00-\x08\x0B\x0C\x0E-\x1F\x7F\x{80}-\x{9F}",
    BIDI: r"\x{061C}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2066}-\x{2069}",
    ZERO_WIDTH: r"\x{180E}\x{200B}-\x{200D}\x{2060}-\x{2064}",
    MARK: r"\x{FEFF}",
    TAG: r"\x{E0000}-\x{E007F}",
}


def characters(codec: str, first: int, last: int) -> str:
    return bytes(range(first, last + 1)).decode(codec, "ignore")


# UTF-8 read in a one-byte encoding: a lead byte's character, then a continuation byte's.
MOJIBAKE_PAIRS = (
    # Windows-1252, and Latin-1, where continuation bytes are C1 controls
    rf"[\x{{C2}}-\x{{F4}}][{characters('cp1252', 0x80, 0xBF)}\x{{80}}-\x{{BF}}]",
    # the same where the no-break space became a space
    "[\u00c2\u00c3] ",
    # Windows-1251: single pairs are words of several languages, so two in a row
    "\u0432\u0402|[\u0412\u0413\u0420\u0421][^\\s\u0430-\u044f\u0410-\u042fa-zA-Z0-9]"
    "[\u0412\u0413\u0420\u0421]",
    # the lead of dashes and quotes in other Windows encodings, in Mac Roman and in IBM 437
    "[\u00e2\u0101\u03b2]\u20ac|\u201a\u00c4|\u0393\u00c7|[\u221a\u2248\u251c\u252c][^\\x00-\\x7F]",
)
MOJIBAKE_EXPRESSION = "|".join(MOJIBAKE_PAIRS)
ENCODING_PREFILTER = f"[{''.join(CHARACTERS.values())}]|{MOJIBAKE_EXPRESSION}"

# Scripts whose spelling needs the joiners, and those that break lines at zero-width spaces.
JOINING = frozenset((
    "ARABIC", "SYRIAC", "NKO", "MONGOLIAN", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI",
    "ORIYA", "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "KHMER", "MYANMAR", "TIBETAN",
))  # fmt: skip
UNSPACED = frozenset(("THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "CJK", "HIRAGANA", "KATAKANA"))
FLAG = "\U0001f3f4"
JOINERS = "\u200c\u200d"
MARKS_OF_DIRECTION = "\u061c\u200e\u200f"


def python(expression: str) -> str:
    r"""RE2 writes \x{FFFD} where Python writes the character."""
    return re.sub(r"\\x\{([0-9A-F]+)\}", lambda match: chr(int(match[1], 16)), expression)


SUSPECT = re.compile(f"[{python(''.join(CHARACTERS.values()))}]")
KIND_OF = {kind: re.compile(f"[{python(set_)}]") for kind, set_ in CHARACTERS.items()}
PAIRS = re.compile(python(MOJIBAKE_EXPRESSION))


def encoding(text: str) -> list[Hit]:
    """One hit for every suspect character and every run of mojibake, sorted by place.

    Left alone: joiners inside emoji and in scripts whose spelling needs them, zero-width spaces in
    scripts without spaces, marks of direction beside right-to-left text, tags of flags.
    """
    hits = []
    for match in SUSPECT.finditer(text):
        kind = next(kind for kind, one in KIND_OF.items() if one.match(match[0]))
        if not is_spelling(kind, text, match.start()):
            hits.append(Hit(kind, *match.span()))
    return sorted([*hits, *mojibake(text)], key=lambda hit: hit.start)


def mojibake(text: str) -> list[Hit]:
    """What ftfy holds for badly decoded, where one of the pairs above stands too."""
    pairs = [match.span() for match in PAIRS.finditer(text)]
    if not pairs:
        return []
    from ftfy.badness import BADNESS_RE

    return [
        Hit(MOJIBAKE, *match.span())
        for match in BADNESS_RE.finditer(text)
        if any(start < match.end() and match.start() < end for start, end in pairs)
    ]


def is_spelling(kind: str, text: str, place: int) -> bool:
    """Whether the character at this place belongs to how the text is written."""
    character = text[place]
    if kind == BIDI:
        return character in MARKS_OF_DIRECTION and is_right_to_left(text)
    if kind == TAG:
        return text[:place].rstrip("".join(map(chr, range(0xE0020, 0xE0080)))).endswith(FLAG)
    if kind != ZERO_WIDTH:
        return False
    before, after = neighbour(text, place, -1), neighbour(text, place, 1)
    if character in JOINERS:
        emoji = character == "\u200d" and is_symbol(before) and is_symbol(after)
        return emoji or script(before) in JOINING or script(after) in JOINING
    return character == "\u200b" and (script(before) in UNSPACED or script(after) in UNSPACED)


def neighbour(text: str, place: int, step: int) -> str:
    """The next character on that side that is no variation selector and no skin tone."""
    place += step
    while 0 <= place < len(text):
        if not (text[place] in "\ufe0e\ufe0f" or "\U0001f3fb" <= text[place] <= "\U0001f3ff"):
            return text[place]
        place += step
    return ""


def script(character: str) -> str:
    """The first word of the character's name, which is its script's."""
    return unicodedata.name(character, "").partition(" ")[0] if character else ""


def is_symbol(character: str) -> bool:
    return bool(character) and unicodedata.category(character) in ("So", "Sm")


def is_right_to_left(text: str) -> bool:
    """Whether a letter is; the marks themselves count as such too and say nothing."""
    return any(
        unicodedata.bidirectional(character) in ("R", "AL")
        for character in text
        if character not in MARKS_OF_DIRECTION
    )
