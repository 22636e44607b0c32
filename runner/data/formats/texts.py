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
# of these no letter has another normal form or joins the one before it: of most texts all are.
# Latin, Greek, Cyrillic, punctuation, kana, ideographs, Hangul, wide forms, emoji
_STABLE = (
    "\\x00-\u02ff\u0388-\u0482\u048a-\u0590\u2002-\u20cf\u3030-\u3098\u309b-\ua66e\uac00-\ud7a3"
    "\uff00-\uffef\U0001f000-\U0001faff"
)
# `normalised` in steps, name and SQL. Most texts need two replacements; a regular expression is
# twenty times as dear and runs only on texts with many or Unicode's blanks, as does
# nfc_normalize where it may change something. To look for rare blanks costs less than to replace
# them. Halving runs of blanks three times leaves one of up to 8.
_STEPS = (
    (
        "bare_",
        "case when contains(text_, chr(0)) or contains(text_, E'\\t') or contains(text_, E'\\r')"
        " then replace(replace(replace(text_, chr(0), ' '), E'\\t', ' '), E'\\r', ' ')"
        " else text_ end",
    ),
    (
        "lower_",
        "lower(case when strlen(bare_) <> length(bare_)"
        f" and regexp_matches(bare_, '[^{_STABLE}]') then nfc_normalize(bare_) else bare_ end)",
    ),
    (  # empty lines first: they would leave runs of blanks
        "plain_",
        "case when contains(lower_, E'\\n')"
        " then replace(replace(lower_, E'\\n\\n', ' '), E'\\n', ' ') else lower_ end",
    ),
    ("double_", "contains(plain_, '  ')"),
    (
        "fewer_",
        "case when double_ then replace(replace(replace(plain_, '  ', ' '), '  ', ' '), '  ', ' ')"
        " else plain_ end",
    ),
    (
        "single_",
        "case when (double_ and contains(fewer_, '  '))"
        f" or (strlen(fewer_) <> length(fewer_) and regexp_matches(fewer_, '[{_WIDE}]'))"
        f" then trim(regexp_replace(fewer_, '[ {_WIDE}]+', ' ', 'g'))"
        " when starts_with(fewer_, ' ') or ends_with(fewer_, ' ') then trim(fewer_)"
        " else fewer_ end",
    ),
)


def normalised(text: str) -> str:
    """The text that equality is judged by: NFC, lower case letter by letter, runs of blanks as one
    space, none at the ends. Blanks are space, tab, newline, carriage return, NUL and Unicode's."""
    lower = unicodedata.normalize("NFC", text.replace("\0", " ")).translate(_LOWER).lower()
    return _BLANKS.sub(" ", lower).strip(" ")


def with_normalised(rows: str, column: str, name: str) -> str:
    """SQL: `rows` (of a select) with the column `name`, that is the expression `column` normalised;
    null stays null."""
    made = f"select *, {column} as text_ from ({rows})"
    for step, value in _STEPS:
        made = f"select *, {value} as {step} from ({made})"
    steps = ", ".join(step for step, _ in _STEPS)
    return f"select * exclude (text_, {steps}), single_ as {name} from ({made})"


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
