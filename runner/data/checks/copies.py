"""Exact checks of rows against rows: duplicates, leakage between the parts.

Texts are compared in NFC, lower case, blanks as one space (formats.normalised). Only where rows
share a prompt are their answers read again and compared.
"""

from __future__ import annotations

from dataclasses import replace

from dsl.thresholds import ContradictionCheck, ShareCheck
from runner.data.checks.finding import Finding, Read, Said, percent
from runner.data.formats import normalised, normalised_sql

ANSWERS_AT_ONCE = 1000

DUPLICATES = Said(
    "duplicates",
    "rows beyond the first with the same prompt, answer, system message and tools, "
    "compared in NFC, lower case, blanks as one space; data.mix not counted",
)
LEAKAGE = Said(
    "leakage",
    "rows of validation or test whose prompt stands in training or data.mix, "
    "or of test in validation; compared as duplicates are",
)
CONTRADICTIONS = Said(
    "contradictions",
    "rows whose answer is less similar (Indel) to the first answer of the same prompt, system "
    "message and tools than the bound, or whose label is another one",
)
# rows that share their prompt while answer or system differ in at least one byte
SHARED = (
    "select source, line from placed where copy = 0 and prompt_key in ("
    " select prompt_key from placed where copy = 0"
    " group by prompt_key having min(answer_hash) <> max(answer_hash))"
)


def compare_answers(read: Read) -> None:
    """Fills `answers` (source, line, answer_key): the normalised answers of SHARED."""
    if "answers" in read.done:
        return
    read.done.add("answers")
    system = normalised_sql("coalesce(system, '')")
    answer = (
        f"{normalised_sql('completion')} || chr(0) || {system} || chr(0) || coalesce(tools, '')"
    )
    texts = read.rows.select(f"md5_number({answer}) as answer_key", SHARED)
    if not read.count(f"select count(*) from ({SHARED})"):  # the usual case: nothing to read
        texts = (
            "select 0::usmallint as source, 0::bigint as line, 0::uhugeint as answer_key limit 0"
        )
    read.connection.execute(f"create table answers as {texts}").fetchall()


def duplicates(read: Read, limits: ShareCheck) -> Finding:
    compare_answers(read)
    read.note_twins(
        "duplicates",
        "with mine as (select prompt_key, answer_hash, source, line from placed where not general),"
        " several as (from mine where prompt_key in ("
        "  select prompt_key from mine group by 1 having count(*) > 1)),"
        " keyed as (select prompt_key, coalesce(answer_key, answer_hash::uhugeint) as answer,"
        "  source, line from several left join answers using (source, line)),"
        " groups as (select prompt_key, answer, min((source, line)) as first"
        "  from keyed group by all having count(*) > 1)"
        " select source, line, first[1] as twin_source, first[2] as twin_line"
        " from keyed join groups using (prompt_key, answer) where (source, line) > first",
        "'same as ' || twin",
    )
    total = read.count("select count(*) from placed where not general")
    raw = read.count("select count(*) - count(distinct pair_hash) from placed where not general")
    remark = f"{raw:,} of them byte for byte"
    return DUPLICATES.share(read, limits, total, "rows", "keep one of each", remark=remark)


def leakage(read: Read, limits: ShareCheck) -> Finding:
    # one row a prompt and part, so that often repeated prompts do not multiply in the join
    read.note_twins(
        "leakage",
        "with held as (select source, line, part, prompt_key from placed"
        "  where part in ('validation', 'test') and not blank_prompt),"
        " seen as (select prompt_key, part, if(general, 'mix', part) as place,"
        "  min((source, line)) as first"
        "  from placed where prompt_key in (select prompt_key from held) group by all)"
        " select held.source, held.line, min(seen.first)[1] as twin_source,"
        "  min(seen.first)[2] as twin_line, arg_min(place, seen.first) as place"
        " from held join seen on held.prompt_key = seen.prompt_key"
        "  and (seen.part = 'train' or (held.part = 'test' and seen.part = 'validation'))"
        " group by held.source, held.line",
        "'same prompt as ' || twin || ' in ' || place",
    )
    total = read.count("select count(*) from placed where part in ('validation', 'test')")
    hint = "remove them from one side; what is tested must not have been trained on"
    finding = LEAKAGE.share(read, limits, total, "held-out rows", hint)
    by_chance = _leak_by_chance(read)
    if not by_chance:
        return finding
    said = f"a split of single rows would leak {percent(by_chance)}"
    return replace(finding, message=f"{finding.message}; {said}")


def _leak_by_chance(read: Read) -> float:
    """The share of test rows whose prompt also stands in training if every row were drawn alone:
    of a prompt with n rows, a test row has a twin in training unless all n - 1 others are held
    out, too. 0 where the test part is a file of its own."""
    share = 0.0 if read.data.test else read.data.split.test
    found = read.connection.execute(
        f"select sum(n * (1 - pow({share}, n - 1))) / sum(n) from ("
        " select count(*) as n from placed where copy = 0 and not general and not blank_prompt"
        " group by prompt_key)"
    ).fetchone()
    return float(found[0] or 0.0) if found and share else 0.0


def contradictions(read: Read, limits: ContradictionCheck) -> Finding:
    """Linear: every answer is compared with the first one of its prompt and system message."""
    from rapidfuzz.distance import Indel

    texts = read.rows.select("system, tools, completion", SHARED)
    found = read.connection.execute(
        "select source, line, first_value((source, line)) over same, label is not null,"
        " completion, first_value(completion) over same"
        f" from placed join ({texts}) using (source, line) where copy = 0"
        " window same as (partition by prompt_key, coalesce(system, ''), coalesce(tools, '')"
        "  order by source, line)"
    )
    odd: list[tuple[int, int, int, int, str]] = []
    labels = 0
    while some := found.fetchmany(ANSWERS_AT_ONCE):
        for source, line, twin, is_label, answer, first in some:
            one, other = normalised(answer), normalised(first)
            if one == other:
                continue
            alike = Indel.normalized_similarity(one, other)
            if is_label or alike < limits.similarity:
                labels += is_label
                what = f"'{first}', not '{answer}'" if is_label else f"{alike:.2f} similar"
                odd.append((source, line, *twin, what))
    columns = [list(column) for column in zip(*odd, strict=True)] or [[], [], [], [], []]
    read.connection.execute(
        "create temp table odd as select unnest(?::usmallint[]) as source,"
        " unnest(?::bigint[]) as line, unnest(?::usmallint[]) as twin_source,"
        " unnest(?::bigint[]) as twin_line, unnest(?::varchar[]) as what",
        columns,
    ).fetchall()
    read.note_twins("contradictions", "from odd", "what || ': same prompt as ' || twin")
    read.connection.execute("drop table odd").fetchall()
    total = read.count("select count(*) from placed where copy = 0")
    hint = "decide for one answer, or say in the prompt what makes the difference"
    if labels and limits.labels_error_above is not None:
        bound = min(limits.labels_error_above, limits.error_above or 1.0)
        limits = replace(limits, error_above=bound)
    return CONTRADICTIONS.share(read, limits, total, "rows", hint)
