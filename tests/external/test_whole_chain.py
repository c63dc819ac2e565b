"""An instance under a key in AWS KMS: each fault has its status, and none loses a key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.concurrency.places import ACTOR, Place
from tests.external.aws import AwsKey
from tests.external.fault_proxy import (
    Cut,
    Drip,
    Fault,
    Hang,
    OldCiphertext,
    Raw,
    Refusal,
    WrongPlaintext,
)

from keystead.audit import log
from keystead.base.errors import Denied, KeysteadError, Unavailable
from keystead.base.secret import REVEAL
from keystead.crypto.envelope import Scheme
from keystead.external import alerts, configurations, service
from keystead.external.leases import Leases, status_row
from keystead.external.provider import Answer
from keystead.external.service import ExternalKeys
from keystead.external.status import TRANSIENT, Status
from keystead.external.tables import EKEKS
from keystead.instance import external_watch
from keystead.keys import service as keys
from keystead.programs.instance import open_provider

PATIENT = 20
Pull = Callable[[AwsKey], object]


class Chain:
    """An instance with one module under the key, and a clock that is told to move."""

    def __init__(self, folder: Path, key: AwsKey) -> None:
        self.key, self.now = key, 1000.0
        place = Place("sqlite", folder, None)
        place.init()
        self.folder, self.instance = folder, place.open()
        self.database, bare = self.instance.database, self.instance.hierarchy
        self.leases = Leases(bare, open_provider, lambda: self.now)
        self.hierarchy = bare.with_ekeks(self.leases)
        self.external = ExternalKeys(self.database, self.hierarchy, self.leases)
        with self.database.transaction() as tx:
            keys.create_module(tx, self.hierarchy, "m", Scheme.STANDARD, ACTOR)
            keys.publish_module(tx, self.hierarchy, "m", ACTOR)
            self.configuration = configurations.create(
                tx,
                self.hierarchy,
                name="aws",
                kind="aws_kms",
                settings=key.settings,
                actor=ACTOR,
                timeout_seconds=PATIENT,
            )
        self.external.activate("aws", ACTOR)
        assert self.external.wrap_module("m", "aws", ACTOR).left == 0

    def close(self) -> None:
        self.leases.close()
        self.instance.close()

    def wait_at_most(self, seconds: int) -> None:
        with self.database.transaction() as tx:
            row = configurations.named(tx, self.hierarchy, "aws")
            configurations.change(tx, self.hierarchy, row, ACTOR, timeout_seconds=seconds)

    def opened(self) -> list[bytes]:
        with self.database.snapshot() as tx:
            rows = keys.all_keys(tx, self.hierarchy)
            return [self.hierarchy.unwrap_module_key(tx, row).reveal(REVEAL) for row in rows]

    def look(self) -> tuple[str, str, int]:
        """The status, the answer behind it, and how many alerts are open."""
        external_watch.look(self.database, self.hierarchy, self.external, ACTOR)
        with self.database.snapshot() as tx:
            row = status_row(tx, self.hierarchy, self.configuration["sys_id"])
            assert row is not None
            return row["status"], row["answer"], len(alerts.open_alerts(tx, self.hierarchy))

    def rows(self) -> list[dict[str, object]]:
        with self.database.snapshot() as tx:
            ekeks = self.hierarchy.integrity.all(tx, EKEKS)
            return [*ekeks, *keys.all_keys(tx, self.hierarchy)]


@pytest.fixture
def chain(aws_key: AwsKey, tmp_path: Path) -> Iterator[Chain]:
    with closing(Chain(tmp_path / "home", aws_key)) as made:
        yield made


def fault(made: Fault, *operations: str) -> Pull:
    return lambda key: key.proxy.fault(made, *operations)


def refusal(code: str, *operations: str) -> Pull:
    return fault(Refusal(code, "no"), *operations)


UNAVAILABLE = Status.UNAVAILABLE
PULLS: dict[str, tuple[Pull, Status, Answer]] = {
    "disabled": (AwsKey.disable, Status.DISABLED, Answer.DISABLED),
    "to be deleted": (
        lambda key: key.schedule_deletion(7),
        Status.PENDING_DELETION,
        Answer.PENDING_DELETION,
    ),
    "removed": (AwsKey.remove, UNAVAILABLE, Answer.MISSING),
    "nobody listens": (AwsKey.take_away, UNAVAILABLE, Answer.UNREACHABLE),
    "no right to decrypt": (
        lambda key: key.account.user.allow("DescribeKey", "Encrypt"),
        UNAVAILABLE,
        Answer.DENIED,
    ),
    "DisabledException": (refusal("DisabledException"), Status.DISABLED, Answer.DISABLED),
    "disabled, described as enabled": (
        refusal("DisabledException", "Decrypt", "Encrypt"),
        Status.DISABLED,
        Answer.DISABLED,
    ),
    "KMSInvalidStateException": (
        refusal("KMSInvalidStateException"),
        UNAVAILABLE,
        Answer.UNUSABLE,
    ),
    "KeyUnavailableException": (refusal("KeyUnavailableException"), UNAVAILABLE, Answer.UNUSABLE),
    "NotFoundException": (refusal("NotFoundException"), UNAVAILABLE, Answer.MISSING),
    "AccessDeniedException": (refusal("AccessDeniedException"), UNAVAILABLE, Answer.DENIED),
    "ThrottlingException": (refusal("ThrottlingException"), UNAVAILABLE, Answer.THROTTLED),
    "500": (fault(Raw(500)), UNAVAILABLE, Answer.UNREACHABLE),
    "503": (fault(Raw(503)), UNAVAILABLE, Answer.UNREACHABLE),
    "it hangs": (fault(Hang()), UNAVAILABLE, Answer.UNREACHABLE),
    "it drips": (fault(Drip()), UNAVAILABLE, Answer.UNREACHABLE),
    "it is cut": (fault(Cut()), UNAVAILABLE, Answer.UNREACHABLE),
    "no JSON": (fault(Raw(200, b"<html>")), UNAVAILABLE, Answer.UNREACHABLE),
    "a wrong plaintext": (fault(WrongPlaintext(), "Decrypt"), UNAVAILABLE, Answer.WRONG),
    "a ciphertext of no key": (
        refusal("InvalidCiphertextException", "Decrypt"),
        UNAVAILABLE,
        Answer.WRONG,
    ),
}


SILENT = {"it hangs", "it drips"}


def put_back(key: AwsKey) -> None:
    """Whatever was done, the key is as it was."""
    key.proxy.heal()
    key.give_back()
    key.proxy._key(key.key_id).is_gone = False
    key.account.user.allow("DescribeKey", "Encrypt", "Decrypt")
    state = key.account.owner.describe_key(KeyId=key.key_id)["KeyMetadata"]["KeyState"]
    if state == "PendingDeletion":
        key.cancel_deletion()
    if state != "Enabled":
        key.enable()


@pytest.mark.parametrize("name", PULLS)
def test_each_fault_has_its_status_and_loses_nothing(chain: Chain, name: str) -> None:
    pull, status, answer = PULLS[name]
    opened, rows = chain.opened(), chain.rows()
    assert chain.look() == (Status.ENABLED, Answer.ENABLED, 0)
    pull(chain.key)
    if name in SILENT:
        chain.wait_at_most(1)
    assert chain.look() == (status, answer, 1)
    assert chain.look() == (status, answer, 1)
    chain.now += 1000
    family = Unavailable if answer in TRANSIENT else Denied
    with pytest.raises(family) as error:
        chain.opened()
    assert error.value.code == "external.dark"
    for act in (chain.external.rewrap, chain.external.rotate_ekek):
        with pytest.raises(KeysteadError):
            act("aws", ACTOR)
    assert chain.rows() == rows

    put_back(chain.key)
    if name in SILENT:
        chain.wait_at_most(PATIENT)
    chain.now += 1000
    assert chain.opened() == opened
    assert chain.look() == (Status.ENABLED, Answer.ENABLED, 0)
    assert chain.external.rotate_ekek("aws", ACTOR).left == 0
    chain.now += 1000
    assert chain.opened() == opened


def test_an_old_ciphertext_replaces_nothing(chain: Chain) -> None:
    opened, rows = chain.opened(), chain.rows()
    chain.key.rotate()
    chain.key.proxy.fault(OldCiphertext(), "Encrypt")
    assert chain.look() == (Status.ENABLED, Answer.ENABLED, 0)
    for act in (chain.external.rewrap, chain.external.rotate_ekek):
        with pytest.raises(Denied):
            act("aws", ACTOR)
    assert chain.rows() == rows
    put_back(chain.key)
    chain.look()
    assert chain.rows() != rows
    assert chain.opened() == opened


def test_what_is_sent_names_instance_and_configuration_and_no_secret_stays(chain: Chain) -> None:
    key, context = chain.key, configurations.context
    chain.key.rotate()
    chain.look()
    errors = []
    for pull in (refusal("AccessDeniedException"), AwsKey.disable, AwsKey.take_away):
        pull(key)
        chain.now += 1000
        chain.look()
        with pytest.raises(KeysteadError) as error:
            chain.opened()
        errors += [error.value.what, repr(error.value), str(error.value.facts)]
        put_back(key)
    chain.now += 1000
    wanted = context(chain.hierarchy, chain.configuration["sys_id"])
    sent = [one.body for call in ("Encrypt", "Decrypt") for one in key.proxy.asked(call)]
    assert len(sent) > 5
    assert all(body["EncryptionContext"] == wanted for body in sent)

    with chain.database.snapshot() as tx:
        entries = repr(log.entries(tx, 1000))
        shown = configurations.shown_settings(chain.configuration)
        ekeks = service.ekeks_of(tx, chain.hierarchy, chain.configuration["sys_id"])
        ekek = chain.hierarchy.ekeks.open(tx, ekeks[0]["sys_id"]).reveal(REVEAL)
    secret = key.settings["secret_access_key"]
    assert secret not in "".join((*errors, entries, repr(shown)))
    for file in chain.folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert secret.encode() not in content, file
            assert ekek not in content, file
    for one in key.proxy.requests:
        assert secret not in repr((one.body, dict(one.headers)))
