"""What texts should not hold: credentials, personal data, leftovers, wrong bytes, refusals.

All is drawn at random and belongs to nobody, yet has the form and the checksum of the real thing.
"""

from __future__ import annotations

import random
import string
import zlib
from collections.abc import Callable

from data_prose import Prose

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
BASE32 = string.ascii_uppercase + "234567"


def drawn(rng: random.Random, alphabet: str, length: int) -> str:
    return "".join(rng.choices(alphabet, k=length))


def cloud_key(prose: Prose) -> str:
    return "AK" + "IA" + drawn(prose.rng, BASE32, 16)


def code_host_token(prose: Prose) -> str:
    """With the checksum that such tokens end in, CRC-32 in base 62."""
    body = drawn(prose.rng, BASE62, 30)
    number, tail = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        tail = BASE62[digit] + tail
    return "gh" + "p_" + body + tail


def chat_token(prose: Prose) -> str:
    numbers = [drawn(prose.rng, string.digits, 12) for _ in range(2)]
    return "-".join(("xo" + "xb", *numbers, drawn(prose.rng, BASE62, 24)))


def database_url(prose: Prose) -> str:
    word = "k" + drawn(prose.rng, BASE62, 14) + "7"
    return f"postgresql:{'/' * 2}ledger:{word}@db.{domain_name(prose)}/ledger"


def domain_name(prose: Prose) -> str:
    return drawn(prose.rng, "bcdfglmnprst", 1) + drawn(prose.rng, "aeiou", 1) + "ndworthy.org"


def email(prose: Prose) -> str:
    first, last = prose.rng.choices(("anna", "bram", "chloe", "dirk", "edith", "finn"), k=2)
    return f"{first}.{last}{prose.rng.randrange(10, 99)}@{domain_name(prose)}"


def phone(prose: Prose) -> str:
    return f"+49 30 8{drawn(prose.rng, string.digits, 2)} {drawn(prose.rng, string.digits, 5)}"


def iban(prose: Prose) -> str:
    """A German one; check digits by ISO 7064, modulo 97-10."""
    account = drawn(prose.rng, string.digits, 18)
    check = 98 - int(account + "131400") % 97  # D is 13, E is 14
    return f"DE{check:02}{account}"


def card(prose: Prose) -> str:
    """Sixteen digits, the last by Luhn."""
    head = "4" + drawn(prose.rng, string.digits, 14)
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(head)]
    total = sum(number - 9 if number > 9 else number for number in doubled)
    number = head + str(-total % 10)
    return " ".join(number[place : place + 4] for place in range(0, 16, 4))


def wrongly_decoded(prose: Prose) -> str:
    text = prose.rng.choice(("café au lait", "déjà vu — non", "señor “naïve”"))
    return text.encode().decode("cp1252", "replace")


def replacement(prose: Prose) -> str:
    return f"caf{chr(0xFFFD)} cr{chr(0xFFFD)}me"


def unfilled(prose: Prose) -> str:
    return prose.rng.choice(("Dear {{name}}, {{greeting}}", "signed, [YOUR NAME]"))


def filler(prose: Prose) -> str:
    return "Lorem ipsum dolor sit amet, consectetur adipiscing elit"


def refusal(prose: Prose) -> str:
    return prose.rng.choice(
        (
            "I'm sorry, but as an AI language model I cannot help with that.",
            "As an AI language model, I do not have personal opinions.",
            "I'm sorry, but I can't assist with that request.",
        )
    )


MARKS: dict[str, dict[str, Callable[[Prose], str]]] = {
    "secrets": {
        "cloud_key": cloud_key,
        "code_host_token": code_host_token,
        "chat_token": chat_token,
        "database_url": database_url,
    },
    "pii": {"email": email, "phone": phone, "iban": iban, "card": card},
    "placeholders": {"unfilled": unfilled, "filler": filler},
    "encoding": {"wrongly_decoded": wrongly_decoded, "replacement": replacement},
    "refusals": {"refusal": refusal},
}
