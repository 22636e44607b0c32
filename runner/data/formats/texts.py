"""Texts made comparable: the same in Python and, as an expression, in DuckDB's SQL."""

from __future__ import annotations

import re
import unicodedata

# what counts as a blank: ASCII's four and Unicode's separators. Vertical tabs, form feeds and other
# control characters are no blanks here: a check of its own finds them
_WIDE = "\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_BLANKS = re.compile(f"[ \\t\\r\\n{_WIDE}]+")
# the two letters whose lower case is not one letter by itself: Python writes the first as two, and
# the second by its place in the word
_LOWER = str.maketrans({"\u0130": "i", "\u03a3": "\u03c3"})
# halving runs of blanks five times leaves one of up to 32
_HALVINGS = 5


def normalised(text: str) -> str:
    """The text that equality is judged by: NFC, lower case letter by letter, runs of blanks as one
    space, none at the ends. Blanks are space, tab, newline, carriage return and Unicode's."""
    lower = unicodedata.normalize("NFC", text).translate(_LOWER).lower()
    return _BLANKS.sub(" ", lower).strip(" ")


def normalised_sql(column: str) -> str:
    """SQL of the same over the expression `column`; null stays null.

    Most texts need three replacements; a regular expression is twenty times as dear and runs only
    on texts with many or Unicode's blanks. One-element lists name what is used more than once.
    """
    plain = f"lower(nfc_normalize({column}))"
    for character in ("\\n", "\\t", "\\r"):
        plain = f"replace({plain}, E'{character}', ' ')"
    halved = "z"
    for _ in range(_HALVINGS):
        halved = f"replace({halved}, '  ', ' ')"
    fewer = f"case when contains(z, '  ') then {halved} else z end"
    wide = _WIDE.replace("'", "''")
    single = (
        "case when contains(z, '  ') or starts_with(z, ' ') or ends_with(z, ' ')"
        f" or (strlen(z) <> length(z) and regexp_matches(z, '[{wide}]'))"
        f" then trim(regexp_replace(z, '[ {wide}]+', ' ', 'g')) else z end"
    )
    return _with(_with(plain, fewer), single)


def blank_sql(column: str) -> str:
    """SQL: whether a text is null, empty or nothing but blanks. The first letter settles most."""
    return (
        f"case when coalesce({column}, '') = '' then true"
        f" when {column} >= '!' and {column} < '\x7f' then false"
        f" else not regexp_matches({column}, '[^ \\t\\r\\n{_WIDE}]') end"
    )


def quoted_text(text: str) -> str:
    """SQL: a literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted_name(name: str) -> str:
    """SQL: an identifier."""
    return '"' + name.replace('"', '""') + '"'


def _with(value: str, expression: str) -> str:
    """SQL: `expression`, in which z stands for `value`, computed once."""
    return f"list_transform([{value}], lambda z: {expression})[1]"
