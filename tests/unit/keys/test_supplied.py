"""Keys that customers bring: seven steps, each of which refuses on its own."""

from __future__ import annotations

import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.unit.opened import opened

from keystead.base import clock
from keystead.base.errors import Conflict, IllegalTransition, Invalid, Tampered
from keystead.base.secret import Secret
from keystead.crypto import oaep, seal, wrap
from keystead.crypto.envelope import Scheme
from keystead.keys import service as keys
from keystead.keys.model import KeyState
from keystead.keys.tables import IMPORT_TOKENS

ACTOR = "test"
KEY = Secret(bytes(range(32)))


@pytest.fixture(scope="module")
def pair() -> tuple[Secret, bytes]:
    return oaep.new_pair()


@pytest.fixture(scope="module")
def another_public() -> bytes:
    key = rsa.generate_private_key(65537, 2048).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def token(site, pair, module: str = "standard") -> str:
    with site.transaction() as tx:
        return keys.make_token(tx, site.hierarchy, module, pair[0], ACTOR)


def bring(site, given: str, wrapped: bytes, module: str = "standard") -> dict[str, Any]:
    with site.transaction() as tx:
        return keys.import_supplied(tx, site.hierarchy, module, given, wrapped, ACTOR)


def refused(site, code: str, given: str, wrapped: bytes, module: str = "standard") -> None:
    before = site.everything()
    with pytest.raises((Invalid, Conflict)) as caught:
        bring(site, given, wrapped, module)
    assert caught.value.code == code
    assert site.everything() == before


def test_a_key_waits_is_rotated_to_and_encrypts(sealed, pair, people):
    made = bring(sealed, token(sealed, pair), oaep.wrap(pair[1], KEY))
    assert (made["state"], made["origin"], made["version"]) == ("generated", "customer supplied", 2)
    assert not keys.can_open(made)
    with sealed.transaction() as tx:
        active = keys.rotate(tx, sealed.hierarchy, "standard", ACTOR, to=made["sys_id"])
    assert wrap.same(opened(sealed, active), KEY)
    sealed.rekey()
    assert set(sealed.count()["name"].by_key) == {made["sys_id"]}
    assert sealed.rows() == people


def test_the_first_key_of_a_module_is_active_at_once(site, pair):
    with site.transaction() as tx:
        keys.create_module(tx, site.hierarchy, "theirs", Scheme.STANDARD, ACTOR)
    with pytest.raises(IllegalTransition):
        token(site, pair, "theirs")
    with site.transaction() as tx:
        keys.publish_module(tx, site.hierarchy, "theirs", ACTOR, first_key=False)
    made = bring(site, token(site, pair, "theirs"), oaep.wrap(pair[1], KEY), "theirs")
    assert (made["state"], made["version"]) == ("active", 1)


def test_it_does_not_replace_a_suspended_one(site, pair):
    with site.transaction() as tx:
        row = keys.named_key(tx, site.hierarchy, "standard", KeyState.ACTIVE)
        keys.suspend(tx, site.hierarchy, row, ACTOR)
    assert bring(site, token(site, pair), oaep.wrap(pair[1], KEY))["state"] == "generated"


def test_steps_1_and_2_the_token(site, pair):
    good, wrapped = token(site, pair), oaep.wrap(pair[1], KEY)
    for bad in ("", "x", good[:-1], good + "0", good.upper(), good[:-1] + "g", "\ud800", "\0" * 9):
        refused(site, "token.invalid", bad, wrapped)
    refused(site, "token.invalid", good, wrapped, "equal")
    assert bring(site, f"{good}\n", wrapped)["state"] == "generated"


def test_step_3_once(site, pair):
    good, wrapped = token(site, pair), oaep.wrap(pair[1], KEY)
    bring(site, good, wrapped)
    refused(site, "token.used", good, oaep.wrap(pair[1], Secret(os.urandom(32))))
    with site.snapshot() as tx:
        (row,) = site.integrity.all(tx, IMPORT_TOKENS)
    assert (row["private"], row["used_at"] is None) == (None, False)


def test_step_4_two_hours(site, pair):
    good = token(site, pair)
    with site.transaction() as tx:
        (row,) = site.integrity.all(tx, IMPORT_TOKENS)
        hours = clock.parse(row["expires_at"]) - clock.parse(row["created_at"])
        assert abs(hours.total_seconds() - 7200) < 60
        site.integrity.update(tx, IMPORT_TOKENS, row, "it", expires_at=clock.now())
    refused(site, "token.expired", good, oaep.wrap(pair[1], KEY))


def test_step_5_the_wrapped_key(site, pair, another_public):
    good, wrapped = token(site, pair), oaep.wrap(pair[1], KEY)
    changed = bytes([wrapped[0] ^ 1]) + wrapped[1:]
    for bad in (b"", b"x", bytes(512), wrapped[:-1], wrapped + b"\0", changed, KEY_TEXT):
        refused(site, "supplied.unwrap", good, bad)
    refused(site, "supplied.unwrap", good, oaep.wrap(another_public, KEY))


KEY_TEXT = b"-----BEGIN KEY-----"


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_step_6_the_size(site, pair, size):
    refused(site, "supplied.size", token(site, pair), oaep.wrap(pair[1], Secret(bytes(size))))


def test_step_7_the_bytes(site, pair):
    bring(site, token(site, pair), oaep.wrap(pair[1], KEY))
    for module in ("standard", "equal"):
        again = token(site, pair, module)
        refused(site, "supplied.known", again, oaep.wrap(pair[1], KEY), module)


def take(site, secret: Secret, module: str = "standard") -> dict[str, Any]:
    with site.transaction() as tx:
        return keys.import_opened(tx, site.hierarchy, module, secret, ACTOR)


def test_a_key_out_of_a_keystore_waits_is_rotated_to_and_encrypts(sealed, people):
    made = take(sealed, KEY)
    assert (made["state"], made["origin"], made["version"]) == ("generated", "customer supplied", 2)
    with sealed.transaction() as tx:
        keys.rotate(tx, sealed.hierarchy, "standard", ACTOR, to=made["sys_id"])
    sealed.rekey()
    assert set(sealed.count()["name"].by_key) == {made["sys_id"]}
    assert sealed.rows() == people


def test_steps_6_and_7_hold_for_a_keystore(site):
    take(site, KEY)
    before = site.everything()
    for secret, code in ((Secret(bytes(16)), "supplied.size"), (KEY, "supplied.known")):
        for module in ("standard", "equal"):
            with pytest.raises((Invalid, Conflict)) as caught:
                take(site, secret, module)
            assert caught.value.code == code
    assert site.everything() == before


@pytest.mark.parametrize("column", ["spec_id", "digest", "private", "expires_at"])
def test_a_token_changed_in_the_file(site, pair, column):
    good, wrapped = token(site, pair), oaep.wrap(pair[1], KEY)
    value = {"spec_id": site.keys_of("equal")[0]["spec_id"], "expires_at": clock.after(99_999)}
    site.sql(f"UPDATE keystead_import_token SET {column} = ?", value.get(column, "x"))
    module = "equal" if column == "spec_id" else "standard"
    with pytest.raises((Tampered, Invalid)):
        bring(site, good, wrapped, module)
    assert len(site.keys_of(module)) == 1


def test_what_is_no_public_key(pair):
    for bad in (b"", b"x", pair[1][:-40], seal.public_of(seal.new_private())):
        with pytest.raises(Tampered):
            oaep.wrap(bad, KEY)
    with pytest.raises(Tampered):
        oaep.wrap(pair[1], Secret(bytes(447)))
