"""Checks of what stands in the texts, by the patterns of runner.data.patterns.

One pass over all texts: DuckDB asks the prefilters, and only the rows that pass one are read by
the exact functions in Python.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orjson import loads

from dsl.thresholds import LanguageCheck, ShareCheck
from runner.data.checks.finding import Finding, How, Read, Said, listed, percent, share_text
from runner.data.formats.texts import quoted_text

if TYPE_CHECKING:
    from runner.data.patterns.pattern import Hit

SPECIAL_TOKENS = Said(
    "special_tokens",
    "rows whose text holds a special token of the model's tokenizer or a marker of a chat template",
)
PLACEHOLDERS = Said(
    "placeholders", "rows with text that was to be replaced: {{name}}, TODO, lorem ipsum, noinput"
)
ENCODING = Said(
    "encoding",
    "rows with mojibake, U+FFFD, or control, direction or zero-width characters",
)
SECRETS = Said("secrets", "rows with an access key, token, private key or password")
PII = Said(
    "pii",
    "rows with an e-mail address, telephone, card (Luhn), IBAN (mod 97) or social security number",
)
REFUSALS = Said("refusals", "rows whose answer refuses or speaks of being a language model")
REPETITION = Said("repetition", "rows whose answer repeats a line or a run of words over and over")
LANGUAGE = Said("language", "rows in another language than expected; texts under 20 letters not")

ROWS_AT_ONCE = 500
SHOWN_KINDS = 3
REPETITION_ROWS = 10_000
LANGUAGE_ROWS = 1_000
WANTED = "desirable is distinct from false"  # what a model is to unlearn may be bad
SPOKEN = 40  # characters of an answer that tell its language by themselves


Find = Callable[[str], list[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Look:
    """`prefilter`: RE2, matches wherever `find` finds. `find` gives (kind, what may be shown)."""

    prefilter: str
    find: Find
    answers_only: bool = False


def looks(read: Read) -> dict[str, Look]:
    """Check → how it looks, for the checks that are not off."""
    from runner.data.patterns.encoding import ENCODING_PREFILTER, encoding
    from runner.data.patterns.markers import markers, markers_prefilter
    from runner.data.patterns.pattern import mask, prefilter
    from runner.data.patterns.pii import PII as PII_PATTERNS
    from runner.data.patterns.pii import pii
    from runner.data.patterns.placeholders import PLACEHOLDER_PREFILTER, placeholders
    from runner.data.patterns.refusals import REFUSAL_PREFILTER, refusals
    from runner.data.patterns.secrets import ASSIGNED, secrets
    from runner.data.patterns.secrets import SECRETS as SECRET_PATTERNS

    def shown(find: Callable[[str], list[Hit]], show: Callable[[str], str]) -> Find:
        return lambda text: [(hit.kind, show(text[hit.start : hit.end])) for hit in find(text)]

    tokens = read.encoder.chat.special if read.encoder else ()
    secret_patterns = (*SECRET_PATTERNS.values(), *ASSIGNED.values())
    every = {
        "special_tokens": Look(
            markers_prefilter(tokens), shown(lambda text: markers(text, tokens), _plain)
        ),
        "placeholders": Look(PLACEHOLDER_PREFILTER, shown(placeholders, _plain)),
        "encoding": Look(ENCODING_PREFILTER, shown(encoding, _code_points)),
        "secrets": Look(prefilter(secret_patterns), shown(secrets, mask)),
        "pii": Look(prefilter(PII_PATTERNS.values()), shown(pii, mask)),
        "refusals": Look(REFUSAL_PREFILTER, shown(refusals, _plain), answers_only=True),
    }
    return {
        name: look for name, look in every.items() if getattr(read.data.checks, name) is not None
    }


def look(read: Read) -> None:
    """Fills `found` for all of looks() in one pass."""
    if "content" in read.done:
        return
    read.done.add("content")
    wanted = looks(read)
    if not wanted:
        return
    asked = [_anywhere(look.prefilter) for look in wanted.values()]
    flags = ", ".join(f"regexp_matches(text, {quoted_text(prefilter)})" for prefilter in asked)
    any_of = quoted_text("|".join(f"(?:{prefilter})" for prefilter in asked))
    texts = read.rows.select(
        f"system, prompt, completion, rejected, texts, if({WANTED}, completion, '') as answer,"
        " concat_ws(chr(10), system, prompt, completion, rejected) as text"
    )
    passed = read.connection.execute(
        f"select source, line, system, prompt, completion, rejected, texts, answer, [{flags}]"
        f" from ({texts}) where regexp_matches(text, {any_of})"
    )
    found: dict[str, list[tuple[int, int, str]]] = {name: [] for name in wanted}
    while some := passed.fetchmany(ROWS_AT_ONCE):
        for source, line, system, prompt, completion, rejected, flat, answer, flagged in some:
            fields = _own_words(loads(flat)) if flat else [prompt, completion]
            fields += [text for text in (system, rejected) if text]
            for (name, how), flag in zip(wanted.items(), flagged, strict=True):
                if flag and (hits := _hits(how, [answer] if how.answers_only else fields)):
                    found[name].append((source, line, _note(hits)))
    for name, rows in found.items():
        read.add_rows(name, rows)


def _own_words(texts: Mapping[str, str]) -> list[str]:
    """A label is a name: 'none' is a class, and no placeholder."""
    return [text for role, text in texts.items() if role != "label"]


def _anywhere(prefilter: str) -> str:
    """A prefilter of single texts, made to fit texts joined by line breaks."""
    return prefilter.replace(r"\A", "(?m:^)").replace(r"\z", "(?m:$)")


def _hits(look: Look, fields: Iterable[str]) -> list[tuple[str, str]]:
    return [hit for text in fields for hit in look.find(text)]


def _note(hits: list[tuple[str, str]]) -> str:
    """'kind: text, kind: text and 2 more'"""
    return listed([f"{kind}: {text}" for kind, text in dict.fromkeys(hits)], SHOWN_KINDS)


def _judge(read: Read, limits: ShareCheck, said: Said, hint: str) -> Finding:
    look(read)
    kinds = Counter(
        dict(
            read.connection.execute(
                "select split_part(note, ':', 1), count(*) from found"
                f" where check_name = '{said.check}' group by 1 order by 2 desc, 1"
            ).fetchall()
        )
    )
    remark = listed([f"{count:,} {kind}" for kind, count in kinds.most_common()])
    return said.share(read, limits, _rows(read), "rows", hint, remark=remark)


def special_tokens(read: Read, limits: ShareCheck) -> Finding:
    return _judge(read, limits, SPECIAL_TOKENS, "remove them: the template writes its own")


def placeholders(read: Read, limits: ShareCheck) -> Finding:
    hint = "fill them in: the model would learn to write them"
    return _judge(read, limits, PLACEHOLDERS, hint)


def encoding(read: Read, limits: ShareCheck) -> Finding:
    return _judge(read, limits, ENCODING, "read the source with its right encoding; --fix mends it")


def secrets(read: Read, limits: ShareCheck) -> Finding:
    hint = "revoke them, then remove the rows: a model repeats what it was trained on"
    return _judge(read, limits, SECRETS, hint)


def pii(read: Read, limits: ShareCheck) -> Finding:
    return _judge(read, limits, PII, "remove or replace them, unless they are meant to be learnt")


def refusals(read: Read, limits: ShareCheck) -> Finding:
    return _judge(read, limits, REFUSALS, "remove them, unless refusing is the task")


def repetition(read: Read, limits: ShareCheck) -> Finding:
    from runner.data.patterns.repetition import repetition as loops

    found, seen = [], 0
    for source, line, text in _sample(read, "completion", REPETITION_ROWS, WANTED):
        seen += 1
        if hits := loops(text):
            found.append((source, line, f"{hits[0].kind}: {_plain(text[hits[0].start :])}"))
    read.add_rows("repetition", sorted(found))
    sampled = seen < read.count(f"select count(*) from placed where copy = 0 and {WANTED}")
    hint = "remove them: a model learns to loop"
    return REPETITION.share(read, limits, seen, "rows", hint, "sampled" if sampled else "exact")


def language(read: Read, limits: LanguageCheck) -> Finding:
    """Of a sample. A row is in the language of its answer, or of its prompt if that is short."""
    from runner.data.patterns.language import language as tell

    enough = f"length(completion) >= {SPOKEN}"
    text = f"case when {enough} then completion else completion || chr(10) || prompt end"
    rows = _sample(read, text, LANGUAGE_ROWS)
    told = tell([text for _, _, text in rows])
    known = [(row, code) for row, (code, _) in zip(rows, told, strict=True) if code != "und"]
    # equal counts in the order of their codes: a database gives rows in any order
    counts = dict(sorted(Counter(code for _, code in known).items(), key=lambda n: (-n[1], n[0])))
    read.languages.update(counts)
    if not known:
        return LANGUAGE.silent("pass", "no text long enough to tell", share_text(limits))
    expected = limits.expected or (next(iter(counts)),)
    other = [
        (s, n, f"{code}: {_plain(text)}") for (s, n, text), code in known if code not in expected
    ]
    read.add_rows("language", sorted(other))
    shares = listed([f"{code} {percent(n / len(known))}" for code, n in counts.items()], 4)
    hint = "name the languages in data.checks.language.expected, or remove the rows"
    how: How = "exact" if len(rows) == _rows(read) else "sampled"
    finding = LANGUAGE.share(
        read, limits, len(known), f"rows not in {', '.join(expected)}", hint, how
    )
    return replace(finding, message=f"{finding.message}; told: {shares}")


def _sample(read: Read, text: str, most: int, only: str = "true") -> list[tuple[int, int, str]]:
    """(source, line, text) of up to `most` rows, the same ones every time."""
    hits = (
        f"select source, line from placed where copy = 0 and {only}"
        f" order by prompt_key, source, line limit {most}"
    )
    query = read.rows.select(f"{text} as text", hits)
    rows: list[tuple[int, int, str]] = read.connection.execute(
        f"select source, line, text from ({query})"
    ).fetchall()
    return rows


def _rows(read: Read) -> int:
    return read.count("select count(*) from placed where copy = 0")


def _plain(text: str) -> str:
    """A short form on one line that shows no control character."""
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:40])
    return shown + ("…" if len(text) > 40 else "")


def _code_points(text: str) -> str:
    return " ".join(f"U+{ord(c):04X}" if not c.isalnum() else c for c in text[:6])
