"""Personal data that has a form: e-mail, phone, card, IBAN and US social security number.

Each is verified by its checksum or numbering plan. Numbers and addresses that are reserved for
examples are nobody's. Names and postal addresses need a model and are not looked for.
"""

from __future__ import annotations

import re

from runner.data.patterns.pattern import Hit, Pattern, find, value

# RFC 2606 and 6761, and the stand-ins that tutorials write
RESERVED_DOMAIN = re.compile(
    r"(?:^|\.)example(?:\.[a-z.]+)?$|\.(?:test|invalid|localhost|local)$|"
    r"example|^(?:your|my|some)[a-z-]*\.|^(?:domain|company|website|test|foo|acme)\.[a-z]+$",
    re.IGNORECASE,
)
# mailboxes of a machine or of nobody
RESERVED_MAILBOX = re.compile(
    r"^(?:git|no-?reply|do-?not-?reply|(?:your|my)[._-]?[a-z._-]*|user(?:name)?)$", re.IGNORECASE
)
# a name that ends so is a file's or a package's
FILE_SUFFIXES = frozenset(("png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "ts", "py",
                           "json", "html", "php", "tgz", "service"))  # fmt: skip

# Numbers that national plans keep for drama and examples: country code → national prefixes.
# NANP 555-01xx stands in the code. Sources: Ofcom, ACMA, ARCEP, Bundesnetzagentur.
FICTITIOUS: dict[int, tuple[str, ...]] = {
    33: ("19900", "26191", "35301", "46571", "53649", "63998"),
    44: ("1134960", "1144960", "1154960", "1164960", "1174960", "1184960", "1214960", "1314960",
         "1414960", "1514960", "1614960", "1632960", "1914980", "2079460", "2890180", "2920180",
         "3069990", "7700900", "8081570", "9098790"),
    49: ("3023125", "4066969", "6990009", "2214710", "8999998"),
    61: ("25550", "27010", "35550", "37010", "75550", "77010", "85550", "87010", "491570"),
}  # fmt: skip
# A national form says no country: it counts if it is valid in one of these.
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "IN", "AU")

# Issuers' ranges (ISO/IEC 7812): first digits → lengths in use.
ISSUERS: tuple[tuple[range, int, frozenset[int]], ...] = (
    (range(4, 5), 1, frozenset((16, 19))),  # Visa; its 13 digits are history
    (range(51, 56), 2, frozenset((16,))),  # Mastercard
    (range(2221, 2721), 4, frozenset((16,))),
    (range(34, 35), 2, frozenset((15,))),  # American Express
    (range(37, 38), 2, frozenset((15,))),
    (range(6011, 6012), 4, frozenset((16, 19))),  # Discover
    (range(644, 660), 3, frozenset((16, 19))),
    (range(300, 306), 3, frozenset((14,))),  # Diners Club
    (range(36, 37), 2, frozenset((14,))),
    (range(38, 40), 2, frozenset((14,))),
    (range(3528, 3590), 4, frozenset((16,))),  # JCB
    (range(62, 63), 2, frozenset((16, 19))),  # UnionPay
)
# Payment processors' published test numbers; those of three digits or fewer go by that.
TEST_CARDS = frozenset((
    "378282246310005", "371449635398431", "378734493671000", "30569309025904", "38520000023237",
    "36227206271667", "6011000990139424", "3530111333300000", "3566002020360505",
    "2223003122003222", "5200828282828210", "5105105105105100", "4012888888881881",
    "6200000000000005", "4000056655665556", "6011111111111117",
))  # fmt: skip
FEW_DIGITS = 3

# IBANs of the registry's and the banks' own documentation
EXAMPLE_IBANS = frozenset((
    "DE89370400440532013000", "GB82WEST12345698765432", "GB29NWBK60161331926819",
    "FR1420041010050500013M02606", "ES9121000418450200051332", "NL91ABNA0417164300",
    "BE68539007547034", "CH9300762011623852957", "IT60X0542811101000000123456",
    "AT611904300234573201",
))  # fmt: skip
EXAMPLE_SSN = "123456789"


def digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


def is_email(match: re.Match[str]) -> bool:
    """An address at a domain that may exist, and not the user part of a URL."""
    mailbox, _, domain = match[0].rpartition("@")
    before = match.string[max(0, match.start() - 80) : match.start()]
    return (
        not RESERVED_DOMAIN.search(domain)
        and not RESERVED_MAILBOX.match(mailbox)
        and domain.rpartition(".")[2].lower() not in FILE_SUFFIXES
        and ".." not in match[0]
        and not re.search(r"://[^\s/]*$", before)
    )


def is_valid_phone(text: str, region: str | None) -> bool:
    """Valid in the numbering plan, and not one of the numbers kept for examples."""
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return False
    national = str(number.national_number)
    if number.country_code == 1 and national[3:8] == "55501":
        return False
    if national.startswith(FICTITIOUS.get(number.country_code or 0, ("-",))):
        return False
    return phonenumbers.is_valid_number(number)


def is_international(match: re.Match[str]) -> bool:
    return is_valid_phone(match[0], None)


def is_national(match: re.Match[str]) -> bool:
    """Nine digits, ten if they stand in one run: what is shorter are counts, years and codes."""
    text = match[1]
    if len(digits(text)) < (10 if text.isdigit() else 9):
        return False
    return any(is_valid_phone(text, region) for region in REGIONS)


def is_card(match: re.Match[str]) -> bool:
    from stdnum import luhn

    number = digits(value(match))
    issued = any(
        int(number[:first]) in numbers and len(number) in lengths
        for numbers, first, lengths in ISSUERS
    )
    test = number in TEST_CARDS or len(set(number)) <= FEW_DIGITS
    return issued and not test and luhn.is_valid(number)


def is_iban(match: re.Match[str]) -> bool:
    """Modulo 97 and the country's structure. Capitals after the number may stand in the match."""
    from stdnum import iban

    words = match[0].split(" ")
    candidates = ("".join(words[:end]) for end in range(len(words), 0, -1))
    return any(
        iban.is_valid(number, check_country=False) and number not in EXAMPLE_IBANS
        for number in candidates
    )


def is_ssn(match: re.Match[str]) -> bool:
    """Area, group and serial in the valid ranges; numbers withdrawn after publication are none."""
    from stdnum.us import ssn

    number = digits(value(match))
    return number != EXAMPLE_SSN and len(set(number)) > 2 and ssn.is_valid(number)


# space, no-break space, hyphens, dot, slash and brackets between groups of a phone number
SEPARATORS = "[ \u00a0\u2010\u2011.()/-]{0,3}"
CALL = (
    r"(?i:phone|telefono?|téléphone|teléfono|tel|call|mobile?|cell|fax|whatsapp|handy|sms|"
    r"text me)"
)
NATIONAL = rf"\(?[0-9](?:{SEPARATORS}[0-9]){{6,13}}"
CARD = (
    r"[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{4}|[0-9]{4} [0-9]{4} [0-9]{4} [0-9]{4}|"
    r"[0-9]{4}-[0-9]{6}-[0-9]{4,5}|[0-9]{4} [0-9]{6} [0-9]{4,5}|[0-9]{14,19}"
)

PII: dict[str, Pattern] = {
    "email": Pattern(
        r"[A-Za-z0-9](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_%+-])?"
        r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,6}[A-Za-z]{2,24}",
        ("@",), is_email, before=r"(?<![A-Za-z0-9._%+@-])",
        after=r"(?![A-Za-z0-9@-]|\.[A-Za-z0-9])",
        gate=r"[A-Za-z0-9_%+-]@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2}"),
    # International form: a plus sign, then a number valid in that country's plan.
    "phone": Pattern(
        rf"\+\(?[0-9](?:{SEPARATORS}[0-9]){{6,14}}", ("+",), is_international,
        before=r"(?<![A-Za-z0-9+])", after=r"(?![0-9A-Za-z]|[.,][0-9])"),
    # National form: only after a word that announces a phone number.
    "phone_national": Pattern(
        CALL + rf"[^0-9\n+]{{0,24}}?({NATIONAL})", verify=is_national,
        after=r"(?![0-9A-Za-z]|[.,][0-9])"),
    "card": Pattern(
        CARD, verify=is_card, before=r"(?<![0-9A-Za-z_.,+])(?<![0-9][ -])",
        after=r"(?![0-9A-Za-z_]|[.,][0-9]|[ -][0-9]{4}(?![0-9]))",
        gate=r"[0-9]{14}|[0-9]{4}[ -](?:[0-9]{6}|[0-9]{4}[ -][0-9]{4})[ -][0-9]{4}"),
    "iban": Pattern(
        r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?", verify=is_iban),
    "us_ssn": Pattern(
        r"([0-9]{3}-[0-9]{2}-[0-9]{4})|(?i:ssn|social security)[^0-9\n]{0,24}?"
        r"([0-9]{3}[ .]?[0-9]{2}[ .]?[0-9]{4})",
        verify=is_ssn, before=r"(?<![A-Za-z0-9_-])", after=r"(?![A-Za-z0-9_]|-[0-9])"),
}  # fmt: skip


def pii(text: str) -> list[Hit]:
    """Every hit, sorted by place; kind is its name in PII. A part of a longer hit is left out."""
    hits: list[Hit] = []
    for hit in find(PII, text):
        if not any(hit.start < other.end and other.start < hit.end for other in hits):
            hits.append(hit)
    return sorted(hits, key=lambda hit: hit.start)
