"""Texts made comparable: the same in Python and, as an expression, in DuckDB's SQL."""

from __future__ import annotations

import re
import unicodedata

# what counts as a blank: ASCII's four, NUL (behind which DuckDB's nfc_normalize reads nothing) and
# Unicode's separators. Other control characters are no blanks here: a check of its own finds them
_WIDE = "\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_BLANKS = re.compile(f"[ \\t\\r\\n\\0{_WIDE}]+")
# the two letters whose lower case is not one letter by itself: Python writes the first as two, and
# the second by its place in the word
_LOWER = str.maketrans({"\u0130": "i", "\u03a3": "\u03c3"})
# halving runs of blanks three times leaves one of up to 8
_HALVINGS = 3


def normalised(text: str) -> str:
    """The text that equality is judged by: NFC, lower case letter by letter, runs of blanks as one
    space, none at the ends. Blanks are space, tab, newline, carriage return, NUL and Unicode's."""
    lower = unicodedata.normalize("NFC", text.replace("\0", " ")).translate(_LOWER).lower()
    return _BLANKS.sub(" ", lower).strip(" ")


def normalised_sql(column: str) -> str:
    """SQL of the same over the expression `column`; null stays null.

    Most texts need four replacements; a regular expression is twenty times as dear and runs only
    on texts with many or Unicode's blanks. One-element lists name what is used more than once.
    """
    return _with(_plain(column), _with(_fewer("z"), _single("z")))


def with_normalised(rows: str, column: str, name: str) -> str:
    """SQL: `rows` (of a select) with the column `name`, that is `column` normalised. For all rows
    of a large relation: there, naming by a list costs more than the work.
    """
    plain = f"select *, {_plain(column)} as plain_ from ({rows})"
    fewer = f"select * exclude (plain_), {_fewer('plain_')} as fewer_ from ({plain})"
    return f"select * exclude (fewer_), {_single('fewer_')} as {name} from ({fewer})"


def _plain(column: str) -> str:
    # to look for rare blanks costs less than to replace them
    rare = ("chr(0)", "E'\\t'", "E'\\r'")
    bare = column
    for character in rare:
        bare = f"replace({bare}, {character}, ' ')"
    found = " or ".join(f"contains({column}, {character})" for character in rare)
    bare = f"case when {found} then {bare} else {column} end"
    return f"replace(lower(nfc_normalize({bare})), E'\\n', ' ')"


def _fewer(plain: str) -> str:
    halved = plain
    for _ in range(_HALVINGS):
        halved = f"replace({halved}, '  ', ' ')"
    return f"case when contains({plain}, '  ') then {halved} else {plain} end"


def _single(fewer: str) -> str:
    """SQL: runs of blanks as one space, none at the ends."""
    wide = f"strlen({fewer}) <> length({fewer}) and regexp_matches({fewer}, '[{_WIDE}]')"
    return (
        f"case when contains({fewer}, '  ') or ({wide})"
        f" then trim(regexp_replace({fewer}, '[ {_WIDE}]+', ' ', 'g'))"
        f" when starts_with({fewer}, ' ') or ends_with({fewer}, ' ') then trim({fewer})"
        f" else {fewer} end"
    )


def blank_sql(column: str) -> str:
    """SQL: whether a text is null, empty or nothing but blanks. The first letter settles most."""
    return (
        f"case when coalesce({column}, '') = '' then true"
        f" when {column} >= '!' and {column} < '\x7f' then false"
        f" else not regexp_matches({column}, '[^ \\t\\r\\n\\x00{_WIDE}]') end"
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
