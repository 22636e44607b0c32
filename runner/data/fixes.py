"""FIXES: what `recipe check --fix` does about each check, and what it leaves to a person.

A rule drops rows or changes them; which rows, the table `found` says (see tables.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orjson import Fragment, JSONDecodeError, JSONEncodeError, dumps, loads

from runner.data.patterns.encoding import MOJIBAKE, REPLACEMENT, encoding
from runner.data.patterns.placeholders import NOTHING

if TYPE_CHECKING:
    from runner.data.prepare import Prepared

Row = dict[str, Any]
Roles = Mapping[str, str]  # role → column
Change = Callable[[Row, Roles, str], Row]  # row, roles, note of the finding → the row mended

# what stands in these parts for 'nothing' says nothing; an answer of 'None' may be meant
EMPTIED = ("input", "system")
_NOTHING = re.compile(NOTHING.replace(r"\z", r"\Z"))
# LaTeX whose backslash was read as an escape: of '\frac' a form feed and 'rac' are left
_LATEX = (
    "alpha", "angle", "approx", "bar", "begin", "beta", "binom", "boldsymbol", "boxed", "forall",
    "frac", "varepsilon", "varphi", "vdots", "vec",
)  # fmt: skip
_ESCAPED = {"a": "\x07", "b": "\x08", "f": "\x0c", "v": "\x0b"}
_COMMANDS = {_ESCAPED[command[0]] + command[1:]: "\\" + command for command in _LATEX}
_UNESCAPED = re.compile(f"(?:{'|'.join(_COMMANDS)})(?![a-zA-Z])")


@dataclass(frozen=True, slots=True)
class Drop:
    """`rows`: SQL of source, line and why, for the rows that go. '{check}' and '{parts}' are
    filled in: the check's name, and the list of each file's part."""

    rows: str


# the rows that the check found, as they are
FOUND = (
    "select source, line, note as why from final join"
    " (select id, note from found where check_name = '{check}') using (id) where copy = 0"
)
# what is learnt from gives way to what is tested by
LEARNT = (
    "with held as (select id, prompt_key, part from final join"
    "  (select id from found where check_name = '{check}') using (id))"
    " select source, line, 'same prompt as ' || min(held.id) || ' in ' || min(held.part) as why"
    " from final join held using (prompt_key) where copy = 0 and (final.part = 'train'"
    " or (final.part = 'validation' and held.part = 'test')) group by source, line"
)
ITSELF = "found.check_name = '{check}'"
# where a split decides who is held out, another split would part other pairs: the later of all
# near rows go then, if they are known. A row that only shares runs of words stays
APART = (
    "(found.check_name = '{check}' and regexp_matches(found.note, '^[0-9.]+ like ')"
    "  and ({parts}[row.source + 1] <> 'train'"
    "  or not exists (from found where check_name = 'near_duplicates')))"
    " or (found.check_name = 'near_duplicates' and exists"
    "  (from final join (select id from found where check_name = '{check}') using (id)"
    "   where {parts}[source + 1] = 'train'))"
)
# of two rows that are alike, the one that the note names gives way if its file is learnt from and
# that of the found row is tested by; else the found row itself
_ALIKE = (
    "with pairs as (select row.*, found.note, twin.source as twin_source, twin.line as twin_line,"
    "  [list_position(['mix', 'train', 'validation', 'test'], {parts}[index + 1])"
    "   for index in [row.source, twin.source]] as sides"
    "  from found join final row using (id) left join final twin on twin.copy = 0"
    "   and twin.id = regexp_extract(found.note,"
    "    '^(?:same as|[0-9.]+ like) (.+?)(?: in (?:train|validation))?$', 1)"
    "  where (%s) and row.copy = 0)"
    " select if(itself, source, twin_source) as source, if(itself, line, twin_line) as line,"
    "  min(if(itself, note, 'like ' || id || ' in ' || part)) as why from ("
    "  select *, coalesce(sides[2] >= sides[1], true) as itself from pairs)"
    " group by 1, 2"
)
ALIKE, NEARLY = _ALIKE % ITSELF, _ALIKE % APART


def emptied(row: Row, roles: Roles, note: str) -> Row:
    """Without 'noinput' and the like in parts that may be empty."""
    columns = [roles[role] for role in EMPTIED if role in roles]
    bare = {column: "" for column in columns if _is_nothing(row.get(column))}
    return row | bare


def _is_nothing(value: Any) -> bool:
    return isinstance(value, str) and _NOTHING.search(value) is not None


def usual_label(row: Row, roles: Roles, note: str) -> Row:
    """With the usual spelling of its label, which the note tells: 'Yes. -> yes (9 rows)'."""
    column = roles.get("label", "")
    value = row.get(column)
    told = re.fullmatch(r"(.*) \([\d,]+ rows?\)", note, re.DOTALL)
    if column not in row or told is None:
        return row
    spelled = value if isinstance(value, str) else dumps(value).decode()
    before, usual = told[1][: len(spelled)], told[1][len(spelled) :]
    if before != spelled or not usual.startswith(" -> "):
        return row
    return row | {column: usual.removeprefix(" -> ")}


def readable(row: Row, roles: Roles, note: str) -> Row:
    """With every text of its parts mended."""
    columns = [column for column in roles.values() if column in row]
    return row | {column: _mended(row[column]) for column in columns}


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return _mended_json(value) if value.lstrip().startswith(("[", "{")) else mend(value)
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {key: _mended(item) for key, item in value.items()}
    return value


def _mended_json(text: str) -> str:
    """A conversation that is written into a cell is mended inside, so that it stays JSON."""
    try:
        value = loads(text)
    except JSONDecodeError:
        return mend(text)
    mended = _mended(value)
    return text if mended == value else dumps(mended).decode()


def mend(text: str) -> str:
    """Without mojibake and invisible characters, and with LaTeX's commands as they were; what was
    lost to U+FFFD stays lost.

    Quotes, ligatures and widths are how somebody writes: ftfy is told to leave them.
    """
    if not encoding(text):
        return text
    from ftfy import TextFixerConfig, fix_text

    kept = TextFixerConfig(
        unescape_html=False, uncurl_quotes=False, fix_latin_ligatures=False,
        fix_character_width=False, fix_line_breaks=False, normalization=None,
    )  # fmt: skip
    mended = fix_text(_UNESCAPED.sub(lambda match: _COMMANDS[match[0]], text), kept)
    spans = [hit for hit in encoding(mended) if hit.kind not in (MOJIBAKE, REPLACEMENT)]
    for hit in reversed(spans):
        mended = mended[: hit.start] + mended[hit.end :]
    return mended


# check → what is done about it; a row that one rule drops no other changes
FIXES: dict[str, Drop | Change] = {
    "malformed": Drop("select source, line, refusal as why from refused"),
    "missing": Drop(FOUND),
    "duplicates": Drop(ALIKE),
    "leakage": Drop(LEARNT),
    "near_duplicates": Drop(ALIKE),
    "near_leakage": Drop(NEARLY),
    "secrets": Drop(FOUND),
    "placeholders": emptied,
    "label_variants": usual_label,
    "encoding": readable,
}

# check → why it is left to a person
LEFT: dict[str, str] = {
    "columns": "only you know which keys and types are meant",
    "roles": "only you know who said what",
    "tool_calls": "only you know which call was meant",
    "size": "rows cannot be made up",
    "test_part": "set data.split.test, or add rows",
    "mix_share": "set the share of data.mix",
    "contradictions": "only you know which answer is right",
    "balance": "add rows of the small classes, or drop some of the large",
    "length_outliers": "long and short rows may be right",
    "length_disparity": "long and short answers may be right",
    "dominance": "frequent prompts may be meant",
    "diversity": "rows cannot be made up",
    "drift": "choose a split or held-out rows that are alike",
    "preference_pairs": "only you know which answer is better",
    "length_bias": "add pairs whose chosen answer is the shorter one",
    "special_tokens": "a marker may be what the text is about",
    "placeholders": "only you know what was to stand there",
    "encoding": "what became U+FFFD is lost: read the source again",
    "pii": "only you know what may be learnt: replace it, or remove the rows",
    "language": "set data.checks.language.expected, or remove the rows",
    "refusals": "refusing may be the task",
    "repetition": "repeating may be the task",
    "truncation": "raise training.max_length, or shorten the rows",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to one row: dropped by one check, or changed by all of `reasons`."""

    action: str
    reasons: tuple[tuple[str, str], ...]  # check, why

    def and_then(self, other: Decision) -> Decision:
        """What both together come to."""
        if "dropped" in (self.action, other.action):
            return self if self.action == "dropped" else other
        known = {check for check, _ in self.reasons}
        more = tuple(reason for reason in other.reasons if reason[0] not in known)
        return Decision("changed", self.reasons + more)


Decisions = dict[int, dict[int, Decision]]  # index of the file → line → what happens to it


def decide(prepared: Prepared) -> Decisions:
    """What the rules ask for, of checks that warn or stop. A change may turn out to be none."""
    parts = [opened.part for opened in prepared.rows.opened]
    loud = {finding.check for finding in prepared.findings if finding.state in ("warn", "error")}
    decisions: Decisions = {opened.index: {} for opened in prepared.rows.opened}
    for check, rule in FIXES.items():
        if check not in loud:
            continue
        rows = rule.rows if isinstance(rule, Drop) else FOUND
        action = "dropped" if isinstance(rule, Drop) else "changed"
        found = prepared.connection.execute(rows.format(check=check, parts=parts)).fetchall()
        for source, line, why in found:
            here = decisions[source]
            decision = Decision(action, ((check, why),))
            here[line] = here[line].and_then(decision) if line in here else decision
    return decisions


def changed(raw: str, roles: Roles, decision: Decision) -> tuple[str, Decision] | None:
    """The row's new text and the checks that changed it; None where nothing changes.

    Numbers stay as they are written. Left alone is a row that could not be written again as it
    is: with a key that stands twice, half a surrogate pair, or nested without end.
    """
    try:
        row = json.loads(raw, parse_int=Fragment, parse_float=Fragment, object_pairs_hook=_once)
        text, reasons = dumps(row), []
        for check, why in decision.reasons:
            rule = FIXES[check]
            assert not isinstance(rule, Drop)
            row = rule(row, roles, why)
            before, text = text, dumps(row)
            if text != before:
                reasons.append((check, why))
    except (KeyError, RecursionError, JSONEncodeError):
        return None
    return (text.decode(), Decision("changed", tuple(reasons))) if reasons else None


def _once(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise KeyError("a key stands twice")
    return row


def left(prepared: Prepared) -> Iterator[tuple[str, str]]:
    """(check, why nothing more is done) of the findings that still warn or stop."""
    for finding in prepared.findings:
        if finding.state in ("warn", "error"):
            why = LEFT.get(finding.check, finding.hint or "it is not a matter of single rows")
            yield finding.check, why
