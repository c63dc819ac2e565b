"""No object or error that carries key bytes shows them: not by name, trace, copy or pickle."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable

import pytest
from tests.secrets.test_walk import forms

from keystead.base.errors import KeysteadError
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import (
    ciphers,
    envelope,
    mac,
    oaep,
    seal,
    sign,
    wrap,
)
from keystead.crypto.envelope import Scheme
from keystead.database.integrity import Integrity
from keystead.instance import root_files
from keystead.keys.hierarchy import Hierarchy

RAW = bytes(range(0x41, 0x61))
OTHER = Secret(bytes(range(7, 39)))
SECRET = Secret(RAW)
ID = "0" * 32


def _hierarchy() -> Hierarchy:
    return Hierarchy(ID, Integrity(ID, SECRET), SECRET, SECRET, SECRET, SECRET)


def _carriers() -> dict[str, Callable[[], object]]:
    return {
        "the hierarchy": _hierarchy,
        "integrity": lambda: Integrity(ID, SECRET),
        "a standard cipher": lambda: ciphers.column_cipher(
            Scheme.STANDARD, bytes(16), SECRET, "t", "c"
        ),
        "an equality cipher": lambda: ciphers.column_cipher(
            Scheme.EQUALITY, bytes(16), SECRET, "t", "c"
        ),
    }


def _failing() -> dict[str, Callable[[], object]]:
    cipher = ciphers.column_cipher(Scheme.STANDARD, bytes(16), SECRET, "t", "c")
    equal = ciphers.column_cipher(Scheme.EQUALITY, bytes(16), SECRET, "t", "c")
    record = envelope.record(("p",))
    return {
        "unwrap": lambda: wrap.unwrap(SECRET, wrap.wrap(OTHER, SECRET, "x"), "x"),
        "unwrap of no bytes": lambda: wrap.unwrap(SECRET, b"\x01", "x"),
        "wrap in a place that is none": lambda: wrap.wrap(SECRET, SECRET, 7),  # type: ignore[arg-type]
        "open a standard value": lambda: cipher.open_many(["x" * 40], [record]),
        "open an equal value": lambda: equal.open_many(["x" * 40], [record]),
        "seal what is no text": lambda: cipher.seal_many([7], [record]),  # type: ignore[list-item]
        "tag what is no text": lambda: mac.tag(SECRET, {"x": b"y"}),  # type: ignore[dict-item]
        "unseal": lambda: seal.unseal(Secret(RAW * 3), b"x" * 2000, b"info"),
        "seal to no key": lambda: seal.seal(b"x", SECRET, b"info"),
        "sign what is no JSON": lambda: sign.sign(
            Secret(RAW * 2),
            purpose="p",
            sender="s",
            audience="a",
            lifetime_seconds=1,
            claims={"x": b"y"},
        ),
        "unwrap by RSA": lambda: oaep.unwrap(SECRET, b"x" * 512),
        "module key": lambda: _hierarchy().unwrap_module_key(
            None,  # type: ignore[arg-type]
            {"sys_id": ID, "spec_id": ID, "material": "AAAA", "ekek_id": None},
        ),
        "import key": lambda: _hierarchy().unwrap_import_key(ID, "AAAA"),
        "recovery key": lambda: root_files.recovery_from_text("A" * 51 + "1"),
        "compare": lambda: SECRET == OTHER,
        "reveal": lambda: SECRET.reveal(None),  # type: ignore[arg-type]
        "hash": lambda: hash(SECRET),
        "pickle": lambda: pickle.dumps(SECRET),
    }


def shows(text: str) -> list[str]:
    return [form for form, mark in forms(RAW).items() if mark.decode("latin-1") in text]


def test_the_forms_are_found() -> None:
    assert shows(f"{RAW!r}")
    assert shows(RAW.hex())
    assert shows(str(list(RAW)))
    assert SECRET.reveal(REVEAL) == RAW


@pytest.mark.parametrize("name", _carriers())
def test_what_carries_a_key_does_not_show_it(name: str) -> None:
    carrier = _carriers()[name]()
    assert shows(f"{carrier!r} {carrier!s} {getattr(carrier, '__dict__', '')}") == []
    for way in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            way(carrier)


@pytest.mark.parametrize("name", _failing())
def test_what_fails_over_a_key_does_not_show_it(name: str) -> None:
    """Not even where a trace prints every local variable."""
    with pytest.raises((KeysteadError, Exception)) as caught:
        _failing()[name]()
    error: BaseException | None = caught.value
    assert error is not None
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    said = "".join(trace.format())
    assert "Traceback" in said
    assert shows(f"{said} {error!r} {error.args!r} {vars(error)!r}") == []
