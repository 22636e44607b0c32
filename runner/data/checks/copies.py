"""Exact checks of rows against rows: duplicates, leakage between the parts.

Texts are compared in NFC, lower case, blanks as one space (formats.normalised). Only where rows
share a prompt are their answers read again and compared.
"""

from __future__ import annotations

from dataclasses import replace

from dsl.thresholds import ContradictionCheck, ShareCheck
from runner.data.checks.finding import Finding, Read, Said, percent
from runner.data.formats import with_normalised

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
# rows whose prompt comes more than once; in most files they are few
SEVERAL = "(from placed semi join repeated using (prompt_key))"
# those of them that share it while answer or system differ in at least one byte
SHARED = (
    f"select source, line, prompt_key, label, desirable from {SEVERAL} semi join ("
    f" select prompt_key from {SEVERAL} where copy = 0"
    " group by prompt_key having min(answer_hash) <> max(answer_hash))"
    " using (prompt_key) where copy = 0"
)


def compare_answers(read: Read) -> None:
    """Fills `answers` (source, line, prompt_key, label, answer, said, beside) of SHARED: hashes of
    the normalised answer with system message and tools; of the normalised answer alone; of system
    message and tools as they stand, and whether the answer is wanted."""
    if "answers" in read.done:
        return
    read.done.add("answers")
    read.connection.execute(f"create table shared as {SHARED}").fetchall()
    rows = (
        "select 0::usmallint as source, 0::bigint as line, '' as completion, '' as system,"
        " '' as tools limit 0"
    )
    if read.count("select count(*) from shared"):  # else, the usual case, there is nothing to read
        rows = read.rows.select(
            "completion, coalesce(system, '') as system, coalesce(tools, '') as tools",
            "select source, line from shared",
        )
    texts = with_normalised(with_normalised(rows, "completion", "said"), "system", "told")
    read.connection.execute(
        "create table answers as select source, line, prompt_key, label,"
        " hash(said, told, tools) as answer, hash(said) as said,"
        " hash(system, tools, desirable) as beside"
        f" from ({texts}) join shared using (source, line)"
    ).fetchall()
    read.connection.execute("drop table shared").fetchall()


def duplicates(read: Read, limits: ShareCheck) -> Finding:
    compare_answers(read)
    read.note_twins(
        "duplicates",
        "with keyed as (select prompt_key, coalesce(answer, answer_hash) as answer, source, line"
        f"  from {SEVERAL} left join (select source, line, answer from answers)"
        "  using (source, line) where not general),"
        " groups as (select prompt_key, answer, min((source, line)) as first"
        "  from keyed group by all having count(*) > 1)"
        " select source, line, first[1] as twin_source, first[2] as twin_line"
        " from keyed join groups using (prompt_key, answer) where (source, line) > first",
        "'same as ' || twin",
    )
    total = read.count("select count(*) from placed where not general")
    raw = read.count(
        f"select count(*) - count(distinct pair_hash) from {SEVERAL} where not general"
    )
    remark = f"{raw:,} of them byte for byte"
    return DUPLICATES.share(read, limits, total, "rows", "keep one of each", remark=remark)


def leakage(read: Read, limits: ShareCheck) -> Finding:
    # one row a prompt and part, so that often repeated prompts do not multiply in the join
    read.note_twins(
        "leakage",
        f"with held as (select source, line, part, prompt_key from {SEVERAL}"
        "  where part in ('validation', 'test') and not blank_prompt),"
        " seen as (select prompt_key, part, if(general, 'mix', part) as place,"
        f"  min((source, line)) as first from {SEVERAL} group by all)"
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
    asking = "copy = 0 and not general and not blank_prompt"
    found = read.connection.execute(
        f"select sum(n * (1 - pow({share}, n - 1))) / (select count(*) from placed where {asking})"
        f" from (select count(*) as n from {SEVERAL} where {asking} group by prompt_key)"
    ).fetchone()
    return float(found[0] or 0.0) if found and share else 0.0


# rows whose answer is another one than the first of the same prompt, system message and tools; and
# of those with the same answer the first, which alone is compared
DIFFERING = (
    "with firsts as (select prompt_key, beside, min((source, line)) as first,"
    "  arg_min(said, (source, line)) as first_said from answers group by all)"
    " select source, line, label, first[1] as twin_source, first[2] as twin_line,"
    "  min((source, line)) over (partition by first, said, label) as model"
    " from answers join firsts using (prompt_key, beside) where said <> first_said"
)


def contradictions(read: Read, limits: ContradictionCheck) -> Finding:
    """Linear: every answer is compared with the first one of its prompt and system message."""
    compare_answers(read)
    read.connection.execute(f"create table differing as {DIFFERING}").fetchall()
    odd, labels = _odd(read, limits.similarity)
    read.connection.execute(
        "create table odd as select unnest(?::usmallint[]) as model_source,"
        " unnest(?::bigint[]) as model_line, unnest(?::varchar[]) as what",
        [list(column) for column in zip(*odd, strict=True)] or [[], [], []],
    ).fetchall()
    read.note_twins(
        "contradictions",
        "select source, line, twin_source, twin_line, what from differing"
        " join odd on model_source = model[1] and model_line = model[2]",
        "what || ': same prompt as ' || twin",
    )
    for table in ("odd", "differing"):
        read.connection.execute(f"drop table {table}").fetchall()
    total = read.count("select count(*) from placed where copy = 0")
    hint = "decide for one answer, or say in the prompt what makes the difference"
    if labels and limits.labels_error_above is not None:
        bound = min(limits.labels_error_above, limits.error_above or 1.0)
        limits = replace(limits, error_above=bound)
    return CONTRADICTIONS.share(read, limits, total, "rows", hint)


def _odd(read: Read, similarity: float) -> tuple[list[tuple[int, int, str]], bool]:
    """(source, line, how they differ) of the models of `differing` whose answer contradicts the
    first one, and whether there are labels among them."""
    from rapidfuzz.distance import Indel

    models = "from differing where (source, line) = model"
    if not read.count(f"select count(*) {models}"):
        return [], False
    texts, firsts = (
        with_normalised(read.rows.select("completion", hits), "completion", "said")
        for hits in (
            f"select source, line {models}",
            "select twin_source as source, twin_line as line from differing",
        )
    )
    found = read.connection.execute(
        "select mine.source, mine.line, label is not null,"
        " if(label is null, mine.said, mine.completion),"
        " if(label is null, firsts.said, firsts.completion)"
        f" from ({texts}) as mine join (select * {models}) using (source, line)"
        f" join ({firsts}) as firsts on firsts.source = twin_source and firsts.line = twin_line"
    )
    odd: list[tuple[int, int, str]] = []
    labels = False
    while some := found.fetchmany(ANSWERS_AT_ONCE):
        for source, line, is_label, answer, first in some:
            if is_label:
                labels = True
                odd.append((source, line, f"'{first}', not '{answer}'"))
            elif (alike := Indel.normalized_similarity(answer, first)) < similarity:
                odd.append((source, line, f"{alike:.2f} similar"))
    return odd, labels
