"""Secrets: credentials that their issuers gave a form, and assignments of random values.

Forms are those in the issuers' own documentation. A value that documentation uses in place of a
secret (EXAMPLE, xxxx, your-key, runs of digits) is none.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import string
import zlib
from collections.abc import Callable

from runner.data.patterns.pattern import Hit, Pattern, entropy, find, value

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
STAND_IN = re.compile(
    r"example|x{4}|\*{3}|\.{3}|your|placeholder|change_?me|redacted|dummy|sample|insert|fake|"
    r"secret|password|0{6}|1{6}|012345|123456|abcdef|qwerty|[<>{}$]",
    re.IGNORECASE,
)
WEAK_PASSWORD = re.compile(
    r"pass|pwd|user|admin|root|guest|test|demo|postgres|mysql|mongo|key|token|login|1234|4321",
    re.IGNORECASE,
)
RESERVED_HOST = re.compile(
    r"(?:[^@]*\.)?(?:example(?:\.[a-z.]+)?|test|invalid|(?:your|my)[a-z-]*\.[a-z]+)(?![\w.-])",
    re.IGNORECASE,
)
# from this length on, such a word stands in a random value by chance
WEAK_UNDER = 20
# the key of Azure's local emulator, the same on every machine
EMULATOR_KEY = "Eby8vdM02xNOcqFl"
# the payload that documentation of JWT shows
JWT_STAND_IN = "1234567890"


def random(bits: float) -> Callable[[re.Match[str]], bool]:
    """A verifier: the value has at least so many bits a character and is no stand-in.

    Thresholds lie well under what random values of the form reach, and over words.
    """

    def verify(match: re.Match[str]) -> bool:
        text = value(match)
        return entropy(text) >= bits and not STAND_IN.search(text)

    return verify


def github_checksum(token: str) -> bool:
    """The last 6 of the 36 characters are the CRC-32 of the others in base 62.

    Source: GitHub, "Behind GitHub's new authentication token formats" (2021).
    """
    body, tail = token[4:-6], token[-6:]
    number = 0
    for character in tail:
        number = number * 62 + BASE62.index(character)
    return zlib.crc32(body.encode()) == number


def is_github(match: re.Match[str]) -> bool:
    """Tokens of the classic length carry a checksum; of longer forms only entropy tells."""
    token = match[0]
    return (len(token) != 40 or github_checksum(token)) and random(3.0)(match)


def decoded(text: str) -> bytes | None:
    """Bytes of base64 in either alphabet, padding optional; None if it is none."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None


def decoded_object(text: str) -> dict[str, object] | None:
    try:
        found = json.loads(decoded(text) or b"")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_jwt(match: re.Match[str]) -> bool:
    header, payload, _ = match[0].split(".")
    head, body = decoded_object(header), decoded_object(payload)
    if head is None or body is None or "alg" not in head:
        return False
    return body.get("sub") != JWT_STAND_IN


def is_discord(match: re.Match[str]) -> bool:
    """The first part is the bot's numeric id in base64."""
    found = decoded(match[0].partition(".")[0])
    return found is not None and found.isdigit() and random(3.5)(match)


def is_storage_key(match: re.Match[str]) -> bool:
    return random(4.0)(match) and not value(match).startswith(EMULATOR_KEY)


def is_key_block(match: re.Match[str]) -> bool:
    """At least 60 base64 characters follow: an Ed25519 key, the shortest in use, has 64."""
    body = re.sub(r"\\[nr]|\s", "", match[1].partition("KEY")[2])
    longest = max(re.findall(r"[A-Za-z0-9+/=]+", body), key=len, default="")
    return len(longest) >= 60 and entropy(longest) >= 4.0 and "EXAMPLE" not in body


def is_password_of_url(match: re.Match[str]) -> bool:
    """Six characters or more that are not all of one class, at a host that may exist."""
    password = match[1]
    classes = sum(bool(re.search(kind, password)) for kind in ("[a-z]", "[A-Z]", "[^A-Za-z]"))
    stand_in = STAND_IN.search(password) or WEAK_PASSWORD.search(password)
    return (
        len(password) >= 6
        and classes > 1
        and not stand_in
        and not RESERVED_HOST.match(match.string, match.end(1) + 1)
    )


def is_assigned(match: re.Match[str]) -> bool:
    """Letters and digits mixed, 3.3 bits a character or more: random, or close to it."""
    text = match[1]
    mixed = re.search("[A-Za-z]", text) and re.search("[0-9]", text)
    weak = "://" in text or (len(text) < WEAK_UNDER and WEAK_PASSWORD.search(text))
    return bool(mixed) and not weak and random(3.3)(match)


# Several ways to write `name: "` in code, in JSON and in JSON inside a string.
ASSIGN = r"\\?[\"\x27]?[ \t\r\n]{0,4}(?:=>|:=|[=:])[ \t\r\n]{0,4}\\?[\"\x27]?"
QUOTED = r"\\?[\"\x27]?[ \t\r\n]{0,4}(?:=>|:=|[=:])[ \t\r\n]{0,4}\\?[\"\x27]"
SECRET_NAME = (
    r"(?i:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|auth[_-]?key|"
    r"credentials?)[A-Za-z0-9_-]{0,24}"
)
USER = r"[^\s/:@\"\x27<>]{0,64}:([^\s/@\"\x27<>]{1,100})@"
IN_URL = r"://[^\s/@]+@"

SECRETS: dict[str, Pattern] = {
    "aws_access_key_id": Pattern(
        r"A(?:KIA|SIA)[A-Z2-7]{16}", ("AKIA", "ASIA"), random(2.7)),
    "aws_secret_access_key": Pattern(
        r"(?i:secret_?access_?key|aws_?secret(?:_?key)?)" + ASSIGN + r"([A-Za-z0-9/+]{40})",
        verify=random(3.8), before="", after=r"(?![A-Za-z0-9/+=])"),
    "github_token": Pattern(
        r"gh[opsur]_[A-Za-z0-9]{36,255}",
        ("ghp_", "gho_", "ghs_", "ghu_", "ghr_"), is_github),
    "github_fine_grained_token": Pattern(
        r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}", ("github_pat_",), random(3.5)),
    "gitlab_token": Pattern(
        r"gl(?:pat|dt|oas|ptt|rt|cbt|ft|imt|agent|soat)-[A-Za-z0-9_-]{20,300}", ("gl",),
        random(3.2)),
    "slack_token": Pattern(
        r"xox[abeoprs]-[0-9A-Za-z-]{24,250}|xapp-[0-9]-[A-Z0-9]{6,20}-[0-9]{6,20}-[0-9a-f]{40,80}",
        ("xox", "xapp-"), random(3.0)),
    "slack_webhook": Pattern(
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9]{8,15}/[A-Za-z0-9]{8,20}/"
        r"([A-Za-z0-9]{20,40})", ("hooks.slack.com",), random(3.0)),
    # keys of test mode move no money and stand in every tutorial: live ones only
    "stripe_key": Pattern(
        r"[rs]k_live_[A-Za-z0-9]{24,250}", ("k_live_",), random(3.2)),
    "stripe_webhook_secret": Pattern(
        r"whsec_[A-Za-z0-9+/]{32,64}", ("whsec_",), random(3.2)),
    "openai_key": Pattern(
        r"sk-(?:[a-z]{3,12}-)?[A-Za-z0-9_-]{20,80}T3BlbkFJ[A-Za-z0-9_-]{20,80}", ("T3BlbkFJ",),
        random(3.5)),
    "anthropic_key": Pattern(
        r"sk-ant-[a-z]{3,8}[0-9]{2}-[A-Za-z0-9_-]{80,120}", ("sk-ant-",), random(3.5)),
    "google_api_key": Pattern(r"AIza[A-Za-z0-9_-]{35}", ("AIza",), random(3.5),
        after=r"(?![A-Za-z0-9_-])"),
    "google_oauth_secret": Pattern(r"GOCSPX-[A-Za-z0-9_-]{28}", ("GOCSPX-",), random(3.2),
        after=r"(?![A-Za-z0-9_-])"),
    "gcp_service_account": Pattern(
        r"private_key_id\\?\"[ \t\r\n]{0,4}:[ \t\r\n]{0,4}\\?\"([0-9a-f]{40})",
        ("private_key_id",), random(2.7)),
    "azure_storage_key": Pattern(
        r"AccountKey=([A-Za-z0-9+/]{86}==)", ("AccountKey=",), is_storage_key),
    "azure_shared_access_key": Pattern(
        r"SharedAccessKey=([A-Za-z0-9+/]{43}=)", ("SharedAccessKey=",), random(3.8)),
    "npm_token": Pattern(r"npm_[A-Za-z0-9]{36}", ("npm_",), random(3.5)),
    "pypi_token": Pattern(
        r"pypi-AgE[A-Za-z0-9_-]{60,300}", ("pypi-AgE",), random(3.5)),
    "hugging_face_token": Pattern(
        r"(?:hf_|api_org_)[A-Za-z0-9]{34,40}", ("hf_", "api_org_"), random(3.5)),
    "sendgrid_key": Pattern(
        r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", ("SG.",), random(3.5)),
    "twilio_key": Pattern(r"SK[0-9a-f]{32}", ("SK",), random(2.5)),
    "mailgun_key": Pattern(r"key-[0-9a-f]{32}", ("key-",), random(2.5)),
    "telegram_bot_token": Pattern(r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}", (":AA",), random(3.5),
        after=r"(?![A-Za-z0-9_-])"),
    "discord_bot_token": Pattern(
        r"(?:M[DTjz]|N[DTjz]|O[DT])[A-Za-z0-9]{22,26}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}",
        verify=is_discord),
    "discord_webhook": Pattern(
        r"discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/([A-Za-z0-9_-]{60,80})",
        ("/api/webhooks/",), random(3.5)),
    "shopify_token": Pattern(r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}", ("shp",), random(2.5)),
    "digitalocean_token": Pattern(r"do[opr]_v1_[0-9a-f]{64}", ("_v1_",), random(2.8)),
    "databricks_token": Pattern(r"dapi[0-9a-f]{32}(?:-[0-9])?", ("dapi",), random(2.5)),
    "docker_token": Pattern(r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,32}", ("dckr_",), random(3.2)),
    "age_secret_key": Pattern(r"AGE-SECRET-KEY-1([02-9AC-HJ-NP-Z]{58})", ("AGE-SECRET-KEY-1",),
        random(3.2)),
    "jwt": Pattern(
        r"eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{20,1000}", ("eyJ",),
        is_jwt),
    "private_key": Pattern(
        r"(-----BEGIN (?:[A-Z0-9]{2,10} ){0,2}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-[^-]){60,20000})",
        ("PRIVATE KEY",), is_key_block, before="", after="",
        gate=r"-----BEGIN (?:[A-Z0-9]{2,10} ){0,2}PRIVATE KEY"),
    "database_url": Pattern(
        r"(?i:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|mssql|sqlserver|oracle|"
        r"clickhouse|cockroachdb|neo4j|bolt|kafka|nats)(?:\+[a-z0-9]{2,12})?://" + USER,
        ("://",), is_password_of_url, after="", gate=IN_URL),
    "url_with_password": Pattern(
        r"(?i:https?|ftps?|sftp|ssh|smtps?|imaps?|ldaps?|socks5h?|wss?|git)://" + USER,
        ("://",), is_password_of_url, after="", gate=IN_URL),
}  # fmt: skip

# A random value that only its name makes a secret; one of the above at the same place says more.
ASSIGNED: dict[str, Pattern] = {
    "authorization_header": Pattern(
        r"(?i:authorization)\\?[\"\x27]?[ \t]{0,4}[:=,][ \t]{0,4}\\?[\"\x27]?"
        r"(?i:bearer|basic|token)[ \t]{1,4}([A-Za-z0-9._~+/-]{16,2000}={0,2})",
        verify=random(3.3), after=""),
    "assigned_secret": Pattern(
        SECRET_NAME + QUOTED + r"([^\s\"\x27`\\<>{}$]{10,200})\\?[\"\x27]",
        verify=is_assigned, before="", after=""),
    "environment_secret": Pattern(
        r"(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_?KEY)[A-Z0-9_]{0,24}="
        r"([^\s\"\x27`\\<>{}$()]{10,200})", verify=is_assigned, before="", after=""),
}  # fmt: skip


def secrets(text: str) -> list[Hit]:
    """Every secret, each place once; kind is its name in SECRETS or ASSIGNED."""
    hits = find(SECRETS, text)
    for hit in find(ASSIGNED, text):
        if not any(hit.start < other.end and other.start < hit.end for other in hits):
            hits.append(hit)
    return sorted(hits, key=lambda hit: hit.start)
