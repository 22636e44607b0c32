"""Checks of what the rows are made of together: labels, groups, prompts, words, parts, pairs."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from dsl.thresholds import BalanceCheck, DiversityCheck, DriftCheck, ShareCheck
from runner.data.checks.copies import SEVERAL
from runner.data.checks.distances import distances
from runner.data.checks.finding import Finding, How, Read, Said, State, listed, percent, share_text
from runner.data.formats import with_normalised
from runner.data.formats.texts import quoted_text
from runner.data.scan import OPENING

PUNCTUATION = ".,;:!?'\"()[]"
MOST_DOMAINS = 50  # more groups are documents or people, of which no two need be of one size
QUOTED = 60  # characters
SAMPLED = 1000  # rows
SAMPLED_TEXT = 2000  # characters: the longer a text, the less of it is new
FIRST_WORDS = 5
BUCKETS = 65_536

LABEL_VARIANTS = Said(
    "label_variants",
    "rows whose label is a rarer spelling of another: equal in NFC, lower case, blanks as one "
    f"space, without {PUNCTUATION} around it; data.mix not counted",
)
BALANCE = Said(
    "balance",
    "training rows of the largest label as a multiple of those of the smallest, labels of "
    f"validation and test too; without labels, rows of the groups if there are 2 to {MOST_DOMAINS}",
)
DOMINANCE = Said(
    "dominance",
    "rows with the most frequent prompt, or those with the most frequent opening of an answer "
    f"(its first {OPENING} characters in lower case, where more follow), whichever are more; "
    "data.mix not counted",
)
DIVERSITY = Said(
    "diversity",
    "distinct pairs of neighbouring words among all pairs of the answers (distinct-2), of at most "
    f"{SAMPLED:,} rows by a hash and {SAMPLED_TEXT:,} characters each; without labels and data.mix",
)
DRIFT = Said(
    "drift",
    "distance of validation and test from training without data.mix: Kolmogorov-Smirnov of the "
    "lengths of prompts and of answers, Cramér's V of the labels with both parts weighted alike",
)
PREFERENCE_PAIRS = Said(
    "preference_pairs", "preference pairs whose chosen and rejected answers are byte for byte equal"
)


def label_variants(read: Read, limits: ShareCheck) -> Finding:
    labelled = "not general and not blank_completion and label is not null"
    total = read.count(f"select count(*) from placed where {labelled}")
    if not total:
        return LABEL_VARIANTS.silent("pass", "no labels", share_text(limits))
    read.connection.execute(
        "create temp table spellings as"
        " with labels as ("
        f"  select label, count(*) as rows from placed where {labelled} group by label),"
        f" folded as ({with_normalised('from labels', 'label', 'folded')}),"
        f" bared as (select *, trim(folded, {quoted_text(PUNCTUATION + ' ')}) as bare from folded)"
        " select label, rows, first_value(label) over alike as usual from bared"
        # a label of punctuation alone is what it is
        " window alike as (partition by if(bare = '', folded, bare) order by rows desc, label)"
    ).fetchall()
    rare = (
        f"(from placed join (from spellings where label <> usual) using (label) where {labelled})"
    )
    read.note(
        "label_variants",
        "select id, line, name, label || ' -> ' || usual || format(' ({:,} row{})', rows,"
        " if(rows = 1, '', 's')) as note"
        f" from ({read.named(rare)}) order by source, line",
    )
    said = read.connection.execute(
        "select label || ' -> ' || usual from spellings where label <> usual"
        " order by rows desc, label"
    ).fetchall()
    read.connection.execute("drop table spellings").fetchall()
    hint = "write every label in one way: each spelling is learnt as a class of its own"
    remark = listed([text for (text,) in said])
    return LABEL_VARIANTS.share(read, limits, total, "labelled rows", hint, remark=remark)


def balance(read: Read, limits: BalanceCheck) -> Finding:
    bounds = (("warn", limits.warn_ratio), ("error", limits.error_ratio))
    threshold = ", ".join(
        f"{word} above {bound:g} times" for word, bound in bounds if bound is not None
    )
    threshold = threshold or "none"
    for kind, column, counted in (
        ("label", "coalesce(label, desirable::varchar)", "part = 'train'"),
        ("group", "grp", "true"),
    ):
        sizes = (
            f"select {column} as name, count(*) filter ({counted}) as rows from placed"
            f" where {column} is not null and {column} <> '' and not general group by 1"
        )
        number, total = read.connection.execute(
            f"select count(*), sum(rows)::bigint from ({sizes})"
        ).fetchall()[0]
        if number > (kind == "group"):
            break
    else:
        return BALANCE.silent("pass", "no labels and no groups", threshold)
    largest = _named(read, f"{sizes} order by rows desc, name limit 3")
    smallest = _named(read, f"{sizes} order by rows, name limit 3")
    most, fewest = largest[0][1], smallest[0][1] if number > 1 else 0
    ratio = most / fewest if fewest else float("inf")
    message = f"{number:,} {kind}{'s' * (number > 1)}; most: {_sizes(largest)}"
    if number > len(largest) and fewest < most:
        message += f"; fewest: {_sizes(smallest)}"
    if kind == "group" and number > MOST_DOMAINS:
        return BALANCE.measured("pass", threshold, message, None, most, total)
    hint = f"add rows of the small {kind}s, drop some of the large, or join {kind}s"
    if number == 1:
        hint = "add rows of another label: with one alone there is nothing to tell apart"
    state = _above(ratio, limits.warn_ratio, limits.error_ratio)
    return BALANCE.measured(state, threshold, message, hint, most, total)


def _named(read: Read, query: str) -> list[tuple[str, int]]:
    return [(name, rows) for name, rows in read.connection.execute(query).fetchall()]


def _sizes(counted: list[tuple[str, int]]) -> str:
    return ", ".join(f"'{_shown(name)}' {rows:,}" for name, rows in counted)


class Top(NamedTuple):
    """The rows that share most: how many, (source, line) of the first, and SQL of them all."""

    rows: int
    first: tuple[int, int]
    members: str


def dominance(read: Read, limits: ShareCheck) -> Finding:
    prompt = _top(read, "prompt_key", f"(from {SEVERAL} where not general and not blank_prompt)")
    opening = _top_opening(
        read,
        f"(from placed where not general and label is null and completion_length > {OPENING})",
    )
    found = [top for top in (prompt, opening) if top]
    most = max(found, key=lambda top: top.rows, default=Top(0, (0, 0), ""))
    total = read.count("select count(*) from placed where not general")
    bounds = [bound for bound in (limits.warn_above, limits.error_above) if bound is not None]
    texts: dict[tuple[int, int], tuple[str, str]] = {}
    if bounds and most.rows > min(bounds) * total:
        read.note(
            "dominance",
            f"select id, line, name, null as note from ({read.named(most.members)})"
            " order by source, line",
        )
        texts = _texts(read, found)
    said = []
    for side, (top, what) in enumerate(((prompt, "ask the same"), (opening, "begin alike"))):
        if top:
            text = f" ('{texts[top.first][side]}')" if texts else ""
            said.append(f"{top.rows:,} {what}{text}")
    return DOMINANCE.judged(
        limits, most.rows, total, read.first_rows("dominance"), "rows",
        "vary them, or thin them out: what comes most often is answered most often",
        remark=", ".join(said),
    )  # fmt: skip


def _top(read: Read, key: str, members: str) -> Top | None:
    """None where no key comes twice. Of equally frequent ones that which comes first."""
    found = read.connection.execute(
        f"select {key}, count(*) as rows, min(source::hugeint << 64 | line) as first"
        f" from {members} group by 1 having rows > 1 order by rows desc, first limit 1"
    ).fetchall()
    if not found:
        return None
    value, rows, first = found[0]
    selected = f"(from {members} where {key} = {value})"
    return Top(rows, (first >> 64, first & (2**64 - 1)), selected)


def _top_opening(read: Read, members: str) -> Top | None:
    """_top of openings, most of which come once: they are counted by a part of the hash first.
    What comes most often stands in a bucket with at least the rows of the most frequent opening of
    the fullest one."""
    if sum(part.rows for part in read.parts.values()) < BUCKETS:
        return _top(read, "opening", members)
    buckets = f"select opening % {BUCKETS} as bucket, count(*) as rows from {members} group by 1"
    found = read.connection.execute(
        f"with buckets as ({buckets}), fullest as (select arg_max(bucket, rows) from buckets),"
        " least as (select max(rows) from (select count(*) as rows"
        f"  from {members} where opening % {BUCKETS} = (from fullest) group by opening))"
        " select bucket from buckets where rows >= (from least)"
    ).fetchall()
    full = ", ".join(str(bucket) for (bucket,) in found) or "null"
    return _top(read, "opening", f"(from {members} where opening % {BUCKETS} in ({full}))")


def _texts(read: Read, tops: list[Top]) -> dict[tuple[int, int], tuple[str, str]]:
    """(source, line) → beginning of the prompt and of the answer, in one pass."""
    hits = ", ".join(str(top.first) for top in tops)
    query = read.rows.select(
        f"left(prompt, {QUOTED + 1}) as prompt, left(completion, {OPENING}) as answer",
        f"from (values {hits}) as hits(source, line)",
    )
    found = read.connection.execute(f"select source, line, prompt, answer from ({query})")
    return {
        (source, line): (_shown(prompt), _shown(answer))
        for source, line, prompt, answer in found.fetchall()
    }


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= QUOTED else line[: QUOTED - 3] + "..."


def diversity(read: Read, limits: DiversityCheck) -> Finding:
    """Distinct-2: Li et al. 2016, 'A Diversity-Promoting Objective Function'."""
    bounds = (("warn", limits.warn_below), ("error", limits.error_below))
    said = [f"{word} below {percent(bound)}" for word, bound in bounds if bound is not None]
    threshold = ", ".join(said) or "none"
    answered = "not general and not blank_completion and label is null"
    total = read.count(f"select count(*) from placed where {answered}")
    texts = _sample(read, answered) if total else []
    from runner.evals.text import words

    answers = [found for found in map(words, texts) if len(found) > 1]
    if not answers:
        return DIVERSITY.silent("pass", "no answers of several words", threshold)
    pairs = {pair for answer in answers for pair in pairwise(answer)}
    openings = {tuple(answer[:FIRST_WORDS]) for answer in answers}
    count = sum(len(answer) - 1 for answer in answers)
    share = len(pairs) / count
    state: State = "pass"
    if limits.error_below is not None and share < limits.error_below:
        state = "error"
    elif limits.warn_below is not None and share < limits.warn_below:
        state = "warn"
    message = (
        f"{percent(share)} of {count:,} word pairs in {len(answers):,} answers are distinct, "
        f"{percent(len(openings) / len(answers))} of their first {FIRST_WORDS} words"
    )
    hint = "vary the answers: the model will learn the template they share"
    how: How = "sampled" if total > SAMPLED else "exact"
    return DIVERSITY.measured(state, threshold, message, hint, len(pairs), count, how=how)


def _sample(read: Read, condition: str) -> list[str]:
    """Beginnings of answers, drawn by the key of the prompt, and by the line so that rows that
    share a prompt do not come together."""
    read.connection.execute(
        f"create temp table sampled as select source, line from placed where {condition}"
        f" order by xor(prompt_key, md5_number(line::varchar)), source limit {SAMPLED}"
    ).fetchall()
    query = read.rows.select(
        f"left(completion, {SAMPLED_TEXT}) as text", "select source, line from sampled"
    )
    texts = [text for (text,) in read.connection.execute(f"select text from ({query})").fetchall()]
    read.connection.execute("drop table sampled").fetchall()
    return texts


def drift(read: Read, limits: DriftCheck) -> Finding:
    bounds = (("warn", limits.warn_above), ("error", limits.error_above))
    said = ", ".join(f"{word} above {bound:g}" for word, bound in bounds if bound is not None)
    threshold = "none"
    if said:
        threshold = (
            f"{said}, where chance makes one as large in less than {percent(limits.significance)} "
            "of all draws (Bonferroni)"
        )
    found = sorted(distances(read), key=lambda distance: -distance.value)
    if not found:
        return DRIFT.silent("pass", "no held-out rows to compare with training", threshold)
    real = [each for each in found if each.chance * len(found) < limits.significance]
    worst = real[0].value if real else 0.0
    state = _above(worst, limits.warn_above, limits.error_above)
    told = real[:3] if state != "pass" else (real or found)[:1]
    message = "; ".join(
        f"{each.what} of {each.part}: distance {each.value:.2f} ({each.detail})" for each in told
    )
    if state == "pass":
        message = f"{'nothing is far off' if real else 'no more than chance'}; furthest: {message}"
    hint = "hold out rows of the kind that is trained on, or train on such as are tested"
    return DRIFT.measured(state, threshold, message, hint)


def preference_pairs(read: Read, limits: ShareCheck) -> Finding:
    pairs = "rejected_length is not null and not general"
    total = read.count(f"select count(*) from placed where {pairs}")
    if not total:
        return PREFERENCE_PAIRS.silent("pass", "no preference pairs", share_text(limits))
    read.note(
        "preference_pairs",
        "select id, line, name, 'chosen = rejected' as note"
        f" from final where same_pair and {pairs} order by source, line",
    )
    hint = "remove them: where both answers are the same there is nothing to prefer"
    return PREFERENCE_PAIRS.share(read, limits, total, "pairs", hint)


def _above(value: float, warn: float | None, error: float | None) -> State:
    if error is not None and value > error:
        return "error"
    return "warn" if warn is not None and value > warn else "pass"
