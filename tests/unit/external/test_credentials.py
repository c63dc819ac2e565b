"""Credentials of providers: kept wrapped, given for one key, gone with their configuration."""

from __future__ import annotations

import pytest
from tests.unit.conftest import ACTOR

from keystead.external import configurations

HSM = {"module": "/lib/hsm.so", "token": "vault", "key_label": "root", "pin": "0123456789"}


@pytest.fixture
def draft(watched):
    with watched.transaction() as tx:
        return configurations.create(
            tx, watched.hierarchy, name="hsm", kind="pkcs11", settings=HSM, actor=ACTOR
        )


def changed(site, row, **settings):
    with site.transaction() as tx:
        return configurations.change(tx, site.hierarchy, row, ACTOR, settings)


def test_they_are_in_no_file(watched, draft):
    assert configurations.all_settings(watched.hierarchy, draft) == HSM
    assert "pin" not in configurations.shown_settings(draft)
    assert HSM["pin"].encode() not in watched.file.read_bytes()


def test_they_do_not_go_along_to_another_key(watched, draft):
    row = changed(watched, draft, module="/tmp/other.so")
    assert configurations.all_settings(watched.hierarchy, row) == {
        "module": "/tmp/other.so",
        "token": "vault",
        "key_label": "root",
    }
    row = changed(watched, row, key_label="second", pin="9876543210")
    assert configurations.all_settings(watched.hierarchy, row)["pin"] == "9876543210"


def test_they_change_alone(watched, draft):
    row = changed(watched, draft, pin="9876543210")
    assert configurations.all_settings(watched.hierarchy, row) == {**HSM, "pin": "9876543210"}


def test_retired_they_are_gone_from_the_file(watched, draft):
    assert draft["credentials"].encode() in watched.file.read_bytes() + _log(watched)
    watched.external.retire("hsm", ACTOR)
    assert draft["credentials"].encode() not in watched.file.read_bytes() + _log(watched)


def _log(site) -> bytes:
    log = site.file.with_name(site.file.name + "-wal")
    return log.read_bytes() if log.exists() else b""
