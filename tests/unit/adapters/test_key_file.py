"""A key in a file: its form, its owner's actions, kills between them, and media that fail."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.external.key_file import FileKey

from keystead.adapters.external_keys import key_file_owner as owner
from keystead.adapters.external_keys.key_file import (
    KeyFile,
    KeyFileContent,
    State,
    Version,
    encode,
    parse,
    read,
)
from keystead.adapters.external_keys.key_file_owner import TRANSITIONS, Action
from keystead.base.errors import (
    Conflict,
    IllegalTransition,
    Invalid,
    KeysteadError,
    NotFound,
    Unavailable,
)
from keystead.base.secret import REVEAL, Secret
from keystead.crypto.encoding import length_prefixed
from keystead.crypto.sha256 import sha256
from keystead.external.provider import Answer, Call, Refused

CONTEXT = {"instance": "5f0c", "configuration": "file"}
PLAIN = bytes(range(76))
MOMENT = "2026-11-22T16:00:00.000000Z"
NOBODY = 65534
PATIENCE = 60

properties = settings(derandomize=True, deadline=None, max_examples=100)


def content(state: State = State.ENABLED, versions: int = 2) -> KeyFileContent:
    return KeyFileContent(
        f"{1:032x}",
        state,
        MOMENT if state is State.PENDING else None,
        tuple(
            Version(f"{n:032x}", MOMENT, Secret(bytes([n]) * 32)) for n in range(2, 2 + versions)
        ),
    )


WRITTEN = encode(content())


@pytest.fixture
def key(tmp_path: Path) -> FileKey:
    return FileKey(tmp_path)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder whose own folders everybody can look into."""
    with TemporaryDirectory(prefix="keystead-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def refused(ask: Callable[[], object]) -> Answer:
    with pytest.raises(Refused) as caught:
        ask()
    return caught.value.answer


def code(ask: Callable[[], object], family: type[KeysteadError]) -> str:
    with pytest.raises(family) as caught:
        ask()
    return caught.value.code


# the form


def test_what_is_written(key: FileKey) -> None:
    """As docs/formats/external-keys.md says, clause 2."""
    raw = key.file.read_bytes()
    said = json.loads(raw)
    (version,) = said["versions"]
    assert list(said) == ["format", "id", "state", "delete_at", "versions", "sha256"]
    assert (said["format"], said["state"]) == ("keystead-key-file-1", "enabled")
    assert len(bytes.fromhex(version["key"])) == 32
    unsigned = raw.replace(said["sha256"].encode(), b"").removesuffix(b"\n")
    assert sha256(unsigned).hex() == said["sha256"]
    assert stat.S_IMODE(key.file.stat().st_mode) == 0o600


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("versions", [1, 2, 50])
def test_round_trip(state: State, versions: int) -> None:
    raw = encode(content(state, versions))
    read_back = parse(raw)
    assert encode(read_back) == raw
    assert (read_back.id, read_back.state) == (f"{1:032x}", state)
    assert read_back.versions[-1].key.reveal(REVEAL) == bytes([versions + 1]) * 32


def refuses(raw: bytes) -> bool:
    try:
        parse(raw)
    except ValueError:
        return True
    return False


def test_every_byte_changed() -> None:
    for at in range(len(WRITTEN)):
        for mask in (1, 0x20, 0xFF):
            assert refuses(WRITTEN[:at] + bytes([WRITTEN[at] ^ mask]) + WRITTEN[at + 1 :]), at


def test_every_length_cut_off() -> None:
    assert all(refuses(WRITTEN[:length]) for length in range(len(WRITTEN)))


@properties
@given(st.binary(max_size=300))
def test_anything_else(noise: bytes) -> None:
    assert refuses(noise)
    assert not noise or refuses(WRITTEN + noise)
    assert not noise or refuses(noise + WRITTEN)


ODD: dict[str, Callable[[KeyFileContent], KeyFileContent]] = {
    "an id that is none": lambda c: c._replace(id="x"),
    "no version": lambda c: c._replace(versions=()),
    "one version twice": lambda c: c._replace(versions=(*c.versions, c.versions[0])),
    "a short key": lambda c: c._replace(
        versions=(*c.versions, Version(f"{9:032x}", MOMENT, Secret(b"short")))
    ),
    "a moment that is none": lambda c: c._replace(
        versions=(Version(f"{9:032x}", "today", Secret(bytes(32))),)
    ),
    "a deletion without its state": lambda c: c._replace(delete_at=MOMENT),
    "a state without its deletion": lambda c: c._replace(state=State.PENDING),
    "an odd deletion": lambda c: c._replace(state=State.PENDING, delete_at="tomorrow"),
}


@pytest.mark.parametrize("change", ODD.values(), ids=list(ODD))
def test_what_makes_no_sense(change: Callable[[KeyFileContent], KeyFileContent]) -> None:
    assert refuses(encode(change(content())))


def test_others_can_open_what_is_wrapped(key: FileKey) -> None:
    """As docs/formats/external-keys.md says, clause 3."""
    owner.rotate(key.file)
    newest = json.loads(key.file.read_bytes())["versions"][-1]
    wrapped = key.open().wrap(PLAIN, CONTEXT)
    words = ("external key", "configuration", "file", "instance", "5f0c")
    bound = b"keystead/1/wrap" + b"".join(length_prefixed(word.encode()) for word in words)
    assert wrapped[:18] == b"\x01" + bytes.fromhex(newest["id"]) + b"\x01"
    aead = AESGCM(bytes.fromhex(newest["key"]))
    assert aead.decrypt(wrapped[18:30], wrapped[30:], bound) == PLAIN


# what its owner does


DO: dict[Action, Callable[[Path], object]] = {
    Action.DISABLE: owner.disable,
    Action.ENABLE: owner.enable,
    Action.ROTATE: owner.rotate,
    Action.SCHEDULE: lambda file: owner.schedule_deletion(file, 7),
    Action.CANCEL: owner.cancel_deletion,
    Action.DELETE: owner.delete,
}
LEGAL = {
    (State.ENABLED, Action.DISABLE): State.DISABLED,
    (State.DISABLED, Action.ENABLE): State.ENABLED,
    (State.ENABLED, Action.ROTATE): State.ENABLED,
    (State.ENABLED, Action.SCHEDULE): State.PENDING,
    (State.DISABLED, Action.SCHEDULE): State.PENDING,
    (State.PENDING, Action.CANCEL): State.DISABLED,
    (State.PENDING, Action.DELETE): State.PENDING,
}


@pytest.mark.parametrize(("state", "action"), list(product(State, Action)))
def test_every_action_in_every_state(key: FileKey, state: State, action: Action) -> None:
    assert TRANSITIONS == LEGAL
    before = encode(content(state))
    key.file.write_bytes(before)
    if (state, action) not in LEGAL:
        assert code(lambda: DO[action](key.file), IllegalTransition) == "key_file.transition"
        assert key.file.read_bytes() == before
        return
    DO[action](key.file)
    if action is Action.DELETE:
        assert list(key.medium.iterdir()) == []
        return
    after = read(key.file)
    assert after.state is LEGAL[state, action]
    assert len(after.versions) == (3 if action is Action.ROTATE else 2)
    assert [version.id for version in after.versions[:2]] == [f"{n:032x}" for n in (2, 3)]
    assert list(key.medium.iterdir()) == [key.file]


def test_a_deletion_waits_for_its_day(key: FileKey) -> None:
    owner.schedule_deletion(key.file, 7)
    assert code(lambda: owner.delete(key.file), Conflict) == "key_file.not_due"
    assert key.open().describe().deletion_at == read(key.file).delete_at


def test_a_deletion_takes_what_a_kill_left(key: FileKey) -> None:
    key.file.write_bytes(encode(content(State.PENDING)))
    (key.medium / "key.json.next").write_bytes(WRITTEN)
    owner.delete(key.file)
    assert list(key.medium.iterdir()) == []


@pytest.mark.parametrize("days", [-1, 0, 6, 31])
def test_days_to_wait(key: FileKey, days: int) -> None:
    assert code(lambda: owner.schedule_deletion(key.file, days), Invalid) == "key_file.waiting"
    assert read(key.file).state is State.ENABLED


def test_a_file_is_never_written_over(key: FileKey) -> None:
    before = key.file.read_bytes()
    assert code(lambda: owner.create(key.file), Conflict) == "key_file.exists"
    assert key.file.read_bytes() == before


def test_no_folder_no_file(tmp_path: Path) -> None:
    file = tmp_path / "medium" / "key.json"
    assert code(lambda: owner.create(file), Unavailable) == "key_file.away"
    assert code(lambda: owner.disable(file), Unavailable) == "key_file.away"
    file.parent.mkdir()
    assert code(lambda: owner.disable(file), NotFound) == "key_file.missing"


def test_a_link_stays_a_link(key: FileKey, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(key.file)
    owner.rotate(link)
    assert link.is_symlink()
    assert len(read(key.file).versions) == 2
    assert KeyFile({"path": str(link)}, 5.0).describe().reference == read(key.file).id


def test_owners_at_once_lose_nothing(key: FileKey) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: owner.rotate(key.file), range(32)))
    assert len(read(key.file).versions) == 33


ROTATING = """
import sys
from pathlib import Path
from keystead.adapters.external_keys.key_file_owner import rotate
while True:
    print(rotate(Path(sys.argv[1])).versions[-1].id, flush=True)
"""


def test_killed_anywhere(key: FileKey) -> None:
    reported: list[str] = []
    for lines in (1, 7, 20):
        command = [sys.executable, "-c", ROTATING, str(key.file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            reported += [process.stdout.readline().strip() for _ in range(lines)]
            process.kill()
            reported += [line.strip() for line in process.stdout if line.endswith("\n")]
        versions = [version.id for version in read(key.file).versions]
        assert set(reported) <= set(versions)
        (key.medium / "key.json.next").write_bytes(WRITTEN[:100])  # another kill, another moment
        assert key.open().describe().material_id == versions[-1]
    owner.rotate(key.file)
    assert list(key.medium.iterdir()) == [key.file]


# what a provider makes of it


def test_a_path_of_no_use() -> None:
    assert code(lambda: KeyFile({"path": "key.json"}, 1.0), Invalid) == "external.setting_value"


def test_reference_is_of_the_file_wherever_it_is(key: FileKey, tmp_path: Path) -> None:
    before = key.open().describe()
    moved = tmp_path / "moved.json"
    key.file.rename(moved)
    assert KeyFile({"path": str(moved)}, 5.0).describe() == before


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o610, 0o601])
def test_a_file_that_others_can_read_or_change(key: FileKey, mode: int) -> None:
    provider = key.open()
    wrapped = provider.wrap(PLAIN, CONTEXT)
    key.file.chmod(mode)
    assert refused(provider.describe) is Answer.DENIED
    assert refused(lambda: provider.unwrap(wrapped, CONTEXT)) is Answer.DENIED
    key.file.chmod(0o600)
    assert provider.unwrap(wrapped, CONTEXT).plain == PLAIN


@contextmanager
def without_rights() -> Iterator[None]:
    """As a user whom modes bind, who owns nothing."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_of_somebody_else(open_to_all: Path) -> None:
    key = FileKey(open_to_all)
    key.file.chmod(0o000)
    with without_rights():
        assert refused(key.open().describe) is Answer.DENIED


def test_a_folder_of_somebody_else(open_to_all: Path) -> None:
    key = FileKey(open_to_all)
    key.medium.chmod(0o000)
    with without_rights():
        assert refused(key.open().describe) is Answer.UNREACHABLE
    key.medium.chmod(0o700)


def test_a_damaged_file(key: FileKey) -> None:
    key.file.write_bytes(WRITTEN[:-2])
    assert refused(key.open().describe) is Answer.UNUSABLE
    assert refused(lambda: key.open().wrap(PLAIN, CONTEXT)) is Answer.UNUSABLE


def test_a_folder_in_its_place(key: FileKey) -> None:
    key.file.unlink()
    key.file.mkdir()
    assert refused(key.open().describe) is Answer.UNREACHABLE


def test_a_medium_that_hangs(key: FileKey) -> None:
    provider = key.open(0.2)
    wrapped = provider.wrap(PLAIN, CONTEXT)
    kept = key.file.rename(key.medium / "kept")
    os.mkfifo(key.file, 0o600)  # to open it waits for somebody at the other end
    threads = threading.active_count()
    for _ in range(3):
        with pytest.raises(Refused) as caught:
            provider.unwrap(wrapped, CONTEXT)
        assert (caught.value.call, caught.value.answer) == (Call.UNWRAP, Answer.UNREACHABLE)
    assert threading.active_count() == threads + 1
    os.close(os.open(key.file, os.O_WRONLY))
    kept.rename(key.file)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with suppress(Refused):
            assert provider.unwrap(wrapped, CONTEXT).plain == PLAIN
            return
        time.sleep(0.01)
    pytest.fail("it does not work again")
