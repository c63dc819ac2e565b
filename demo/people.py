"""A realistic table of customers, names with accents and CJK among them; a fixed seed."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from pathlib import Path

from faker import Faker

ENCRYPT = ("first_name", "last_name", "birth_date", "phone", "card_number", "street")
EQUALITY = ("email", "postal_code")
_COLUMNS = (
    "customer_no",
    *("first_name", "last_name", "birth_date", "email", "phone", "card_number"),
    *("street", "postal_code", "city", "country", "segment", "orders"),
)
_LOCALES = ("de_DE", "en_US", "es_ES", "fr_FR", "ja_JP", "ko_KR", "pl_PL", "zh_CN")
_SEGMENTS = ("private", "business", "public")
_DOMAINS = ("com", "net", "org")
_POOL = 400
_SEED = 20260101


def write(file: Path, rows: int) -> None:
    """Write `rows` customers as CSV."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(_COLUMNS)
        writer.writerows(_customers(rows))


def _customers(rows: int) -> Iterator[tuple[object, ...]]:
    """Each locale gets pools of parts once, and people are put together from them."""
    choose = random.Random(_SEED)
    pools = {locale: _pool(locale) for locale in _LOCALES}
    for number in range(1, rows + 1):
        locale = choose.choice(_LOCALES)
        pool = pools[locale]
        card = "4" + "".join(choose.choices("0123456789", k=14))
        yield (
            f"{number:07d}",
            choose.choice(pool["first"]),
            choose.choice(pool["last"]),
            choose.choice(pool["birth"]),
            f"{choose.choice(pool['mailbox'])}.{number}@example.{choose.choice(_DOMAINS)}",
            "" if choose.random() < 0.03 else choose.choice(pool["phone"]),
            card + _luhn_digit(card),
            f"{choose.choice(pool['street'])} {choose.randint(1, 199)}",
            choose.choice(pool["postcode"]),
            choose.choice(pool["city"]),
            locale[-2:],
            choose.choice(_SEGMENTS),
            choose.randint(0, 40),
        )


def _pool(locale: str) -> dict[str, list[str]]:
    fake = Faker(locale)
    fake.seed_instance(_SEED)
    makers = {
        "first": fake.first_name,
        "last": fake.last_name,
        "birth": lambda: fake.date_of_birth(minimum_age=18, maximum_age=90).isoformat(),
        "mailbox": fake.user_name,
        "phone": fake.phone_number,
        "street": fake.street_name,
        "postcode": fake.postcode,
        "city": fake.city,
    }
    return {name: [make() for _ in range(_POOL)] for name, make in makers.items()}


def _luhn_digit(digits: str) -> str:
    """The check digit of a card number (ISO/IEC 7812-1, annex B)."""
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if at % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)
