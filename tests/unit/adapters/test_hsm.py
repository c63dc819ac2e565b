"""A key in an HSM: what fits, what opens what, and an HSM that hangs, crashes or locks its PIN."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from pkcs11 import Attribute, KeyType, ObjectClass, PKCS11Error, TokenFlag
from tests.external.hsm import LABEL, MODULE, HsmKey, new_key, new_token

from keystead.adapters.external_keys import hsm_pipe, hsm_process
from keystead.adapters.external_keys.hsm import Hsm
from keystead.adapters.external_keys.hsm_pipe import Asked, Opening, Said, Silence
from keystead.base.errors import Invalid, Misconfigured
from keystead.crypto.encoding import length_prefixed
from keystead.external.provider import Answer, Call, Provider, Refused

CONTEXT = {"instance": "5f0c", "configuration": "hsm"}
PLAIN = bytes(range(76))
NAMED = {"module": str(MODULE), "token": "one", "key_label": LABEL}
PATIENCE = 60

properties = settings(derandomize=True, deadline=None, max_examples=40)


@pytest.fixture
def token(tmp_path: Path) -> Iterator[HsmKey]:
    with new_token(tmp_path) as made:
        yield made


@pytest.fixture
def key(tmp_path: Path) -> Iterator[HsmKey]:
    with new_key(tmp_path) as made:
        yield made


@pytest.fixture
def provider(key: HsmKey) -> Iterator[Provider]:
    opened = key.open(PATIENCE)
    yield opened
    opened.close()


def refused(ask: Callable[[], object]) -> Answer:
    with pytest.raises(Refused) as caught:
        ask()
    return caught.value.answer


def processes(parent: int | str = "self") -> list[int]:
    """The children of a process."""
    lists = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(child) for each in lists for child in each.read_text().split()]


def holder() -> int:
    """The one process that holds an HSM."""
    held = [
        pid for pid in processes() if b"hsm_process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert len(held) == 1
    return held[0]


def has_ended(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


# settings


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(Misconfigured) as caught:
        Hsm(NAMED, 1.0)
    assert caught.value.code == "external.library"


def test_the_library_is_loaded_by_the_other_process_alone() -> None:
    code = "import sys, keystead.adapters.external_keys.hsm; sys.exit('pkcs11' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("setting", "value"), [("module", "softhsm.so"), ("token", "é" * 17)])
def test_settings_of_no_use(setting: str, value: str) -> None:
    with pytest.raises(Invalid) as caught:
        Hsm({**NAMED, setting: value}, 1.0)
    assert caught.value.facts["setting"] == setting


def test_nothing_is_started_before_the_first_call() -> None:
    before = processes()
    Hsm(NAMED, 1.0).close()
    assert processes() == before


# which keys, and which version


def test_reference_is_a_uri_of_this_very_token(key: HsmKey, provider: Provider) -> None:
    with key.session() as session:
        serial = session.token.serial.decode()
    reference = provider.describe().reference
    assert reference.startswith("pkcs11:manufacturer=SoftHSM%20project;")
    assert f";serial={serial};token={key.token.replace(' ', '%20')};object={LABEL}" in reference


UNFIT: dict[str, dict[str, Any]] = {
    "128 bits": {"bits": 128},
    "extractable": {"extractable": True},
    "readable": {"sensitive": False},
    "without a name": {"name": b""},
}


@pytest.mark.parametrize("wanted", UNFIT.values(), ids=list(UNFIT))
def test_unfit(token: HsmKey, wanted: dict[str, Any]) -> None:
    token.generate(**{"name": b"\x01", **wanted})
    assert_unfit(token)


def test_two_versions_of_one_name_are_unfit(key: HsmKey) -> None:
    key.generate(b"\x01")
    assert_unfit(key)


def test_an_unfit_older_version_is_unfit_too(key: HsmKey) -> None:
    key.generate(b"\x00", bits=128)
    assert_unfit(key)


def test_an_asymmetric_key_is_unfit(token: HsmKey) -> None:
    with token.session() as session:
        session.generate_keypair(KeyType.RSA, 2048, label=LABEL, id=b"\x01", store=True)
    assert_unfit(token)


def assert_unfit(key: HsmKey) -> None:
    provider = key.open(PATIENCE)
    assert provider.describe().unfit
    assert refused(lambda: provider.wrap(PLAIN, CONTEXT)) is Answer.UNUSABLE
    provider.close()


def test_a_key_from_outside_is_unfit_and_opens_what_it_wrapped(token: HsmKey) -> None:
    """It also shows that others can open what is wrapped (docs/formats/external-keys.md)."""
    raw, nonce = bytes(range(32)), bytes(range(12))
    with token.session() as session:
        session.create_object(
            {
                Attribute.CLASS: ObjectClass.SECRET_KEY,
                Attribute.KEY_TYPE: KeyType.AES,
                Attribute.VALUE: raw,
                Attribute.LABEL: LABEL,
                Attribute.ID: b"\x07\x01",
                Attribute.TOKEN: True,
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: False,
                Attribute.ENCRYPT: True,
                Attribute.DECRYPT: True,
            }
        )
    assert_unfit(token)
    words = ("external key", "configuration", "hsm", "instance", "5f0c")
    bound = b"keystead/1/wrap" + b"".join(length_prefixed(word.encode()) for word in words)
    wrapped = b"\x01\x02\x07\x01" + nonce + AESGCM(raw).encrypt(nonce, PLAIN, bound)
    provider = token.open(PATIENCE)
    assert provider.unwrap(wrapped, CONTEXT).plain == PLAIN
    assert provider.unwrap(wrapped, CONTEXT).material_id == "0701"
    provider.close()


def test_the_highest_name_wraps(token: HsmKey) -> None:
    provider = token.open(PATIENCE)
    for name, newest in (
        (b"\x02", "02"),
        (b"\x01", "02"),
        (b"\x01\x00", "0100"),
        (b"\xff", "0100"),
    ):
        token.generate(name)
        assert provider.describe().material_id == newest
        wrapped = provider.wrap(PLAIN, CONTEXT)
        assert provider.unwrap(wrapped, CONTEXT).material_id == newest
    provider.close()


def test_an_older_version_may_be_disabled_alone(key: HsmKey, provider: Provider) -> None:
    wrapped = provider.wrap(PLAIN, CONTEXT)
    key.rotate()
    key.allow(name=b"\x01", encrypt=False, decrypt=True)
    assert provider.unwrap(wrapped, CONTEXT).plain == PLAIN
    key.allow(name=b"\x01", encrypt=False, decrypt=False)
    assert refused(lambda: provider.unwrap(wrapped, CONTEXT)) is Answer.DISABLED
    assert provider.describe().answer is Answer.ENABLED
    assert provider.wrap(PLAIN, CONTEXT)


def test_half_of_a_key_is_disabled(key: HsmKey, provider: Provider) -> None:
    wrapped = provider.wrap(PLAIN, CONTEXT)
    key.allow(encrypt=True, decrypt=False)
    assert provider.describe().answer is Answer.DISABLED
    assert refused(lambda: provider.unwrap(wrapped, CONTEXT)) is Answer.DISABLED
    key.allow(encrypt=False, decrypt=True)
    assert provider.describe().answer is Answer.DISABLED
    assert refused(lambda: provider.wrap(PLAIN, CONTEXT)) is Answer.DISABLED
    assert provider.unwrap(wrapped, CONTEXT).plain == PLAIN


# the PIN


def test_a_wrong_pin_is_tried_once(key: HsmKey) -> None:
    other = secrets.token_hex(8)
    wrong = Hsm({**key.settings, "pin": other}, PATIENCE)
    assert refused(wrong.describe) is Answer.DENIED
    with key.session() as session:
        session.set_pin(key.pin, other)
    # it would be right now: but nobody asks the token
    assert refused(wrong.describe) is Answer.DENIED
    assert refused(lambda: wrong.wrap(PLAIN, CONTEXT)) is Answer.DENIED
    wrong.close()
    opened_anew = Hsm({**key.settings, "pin": other}, PATIENCE)
    assert opened_anew.describe().answer is Answer.ENABLED
    opened_anew.close()


def test_without_a_pin_a_key_is_not_missing(key: HsmKey) -> None:
    without = Hsm({name: key.settings[name] for name in NAMED}, PATIENCE)
    assert refused(without.describe) is Answer.DENIED
    without.close()


class LastTry:
    """A token that says how many PINs it takes; SoftHSM2 takes any number."""

    def __init__(self, flags: TokenFlag) -> None:
        self.flags = TokenFlag.LOGIN_REQUIRED | flags

    def open(self, user_pin: str) -> None:
        raise pkcs11.PinIncorrect


@pytest.mark.parametrize("flag", [TokenFlag.USER_PIN_FINAL_TRY, TokenFlag.USER_PIN_LOCKED])
def test_the_last_try_is_not_ours(monkeypatch: pytest.MonkeyPatch, flag: TokenFlag) -> None:
    said = {}
    for flags in (flag, TokenFlag.USER_PIN_COUNT_LOW):
        monkeypatch.setattr(hsm_process.Token, "_token", lambda _, flags=flags: LastTry(flags))
        token = hsm_process.Token(Opening(**NAMED, pin="1234"))
        said[flags] = token.answer(Asked(Call.DESCRIBE, 1.0))
    assert {(one.refused, one.final) for one in said.values()} == {(Answer.DENIED, True)}
    assert said[flag].reason != "PinIncorrect"
    assert said[TokenFlag.USER_PIN_COUNT_LOW].reason == "PinIncorrect"


def test_the_pin_is_on_no_command_line(key: HsmKey, provider: Provider) -> None:
    provider.describe()
    for kept in ("cmdline", "environ"):
        assert key.pin.encode() not in Path(f"/proc/{holder()}/{kept}").read_bytes()
    assert key.pin not in repr(Opening(**NAMED, pin=key.pin))


# tokens and modules that come and go


def test_two_tokens_of_one_label(key: HsmKey, provider: Provider) -> None:
    key.initialize()
    assert refused(provider.describe) is Answer.UNUSABLE


def test_a_module_that_comes_goes_and_comes(key: HsmKey, tmp_path: Path) -> None:
    module = tmp_path / "module.so"
    provider = Hsm({**key.settings, "module": str(module)}, PATIENCE)
    for _ in range(2):
        assert refused(provider.describe) is Answer.UNREACHABLE
        module.symlink_to(MODULE)
        assert provider.describe().answer is Answer.ENABLED
        module.unlink()
        os.kill(holder(), signal.SIGKILL)
    provider.close()


def test_a_module_that_is_none(key: HsmKey, tmp_path: Path) -> None:
    module = tmp_path / "module.so"
    module.write_bytes(b"none")
    provider = Hsm({**key.settings, "module": str(module)}, PATIENCE)
    assert refused(provider.describe) is Answer.UNREACHABLE
    provider.close()


# a library that crashes or hangs


def test_a_crash_is_not_seen(key: HsmKey, provider: Provider) -> None:
    wrapped = provider.wrap(PLAIN, CONTEXT)
    os.kill(holder(), signal.SIGSEGV)
    assert provider.unwrap(wrapped, CONTEXT).plain == PLAIN


def test_what_hangs_is_ended_and_begun_again(key: HsmKey) -> None:
    provider = key.open(5.0)
    wrapped = provider.wrap(PLAIN, CONTEXT)
    hanging = holder()
    os.kill(hanging, signal.SIGSTOP)
    assert refused(lambda: provider.unwrap(wrapped, CONTEXT)) is Answer.UNREACHABLE
    assert has_ended(hanging)
    assert provider.unwrap(wrapped, CONTEXT).plain == PLAIN
    provider.close()


def test_those_who_wait_do_not_wait_longer(key: HsmKey, tmp_path: Path) -> None:
    module = tmp_path / "hangs.so"
    os.mkfifo(module)  # loading it waits until somebody writes
    provider = Hsm({**key.settings, "module": str(module)}, 1.0)
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(refused, provider.describe) for _ in range(8)]
        assert {one.result(PATIENCE) for one in asked} == {Answer.UNREACHABLE}
    provider.close()


def test_it_ends_when_it_is_closed(key: HsmKey) -> None:
    provider = key.open(PATIENCE)
    provider.describe()
    held = holder()
    provider.close()
    assert has_ended(held)
    assert refused(provider.describe) is Answer.UNREACHABLE
    assert vars(provider)["_process"] is None


def test_a_crash_leaves_no_memory_behind(provider: Provider) -> None:
    provider.describe()
    limits = Path(f"/proc/{holder()}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]


ORPHAN = """
import sys
from keystead.adapters.external_keys.hsm import Hsm
module, token, pin = sys.argv[1:]
settings = {"module": module, "token": token, "key_label": "keystead", "pin": pin}
provider = Hsm(settings, 3.0)
try:
    provider.describe()
except Exception:
    pass
print("asked", flush=True)
sys.stdin.read()
"""


@contextmanager
def asking(module: Path, key: HsmKey) -> Iterator[subprocess.Popen[bytes]]:
    """A process that asks an HSM, and is killed at the end of the block."""
    command = [sys.executable, "-c", ORPHAN, str(module), key.token, key.pin]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_it_ends_with_its_parent(key: HsmKey) -> None:
    with asking(MODULE, key) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"asked\n"
        (child,) = processes(parent.pid)
    wait_for(lambda: has_ended(child))


def test_it_ends_with_its_parent_though_it_hangs(key: HsmKey, tmp_path: Path) -> None:
    module = tmp_path / "hangs.so"
    os.mkfifo(module)
    held: list[int] = []

    def hangs() -> bool:
        try:  # only once somebody waits at the other end
            held.append(os.open(module, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    with asking(module, key) as parent:
        wait_for(hangs)
        (child,) = processes(parent.pid)
    wait_for(lambda: has_ended(child))
    os.close(held[0])


# the words of vendors


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (pkcs11.PinIncorrect(), Answer.DENIED),
        (pkcs11.PinLocked(), Answer.DENIED),
        (pkcs11.PinExpired(), Answer.DENIED),
        (pkcs11.UserNotLoggedIn(), Answer.DENIED),
        (pkcs11.EncryptedDataInvalid(), Answer.WRONG),
        (PKCS11Error("Unmapped error code 0x42"), Answer.WRONG),
        (PKCS11Error("Unmapped error code 0x68"), Answer.DISABLED),
        (pkcs11.MechanismInvalid(), Answer.UNUSABLE),
        (pkcs11.TokenNotPresent(), Answer.UNREACHABLE),
        (pkcs11.DeviceRemoved(), Answer.UNREACHABLE),
        (pkcs11.SessionHandleInvalid(), Answer.UNREACHABLE),
    ],
)
def test_meaning(error: PKCS11Error, answer: Answer) -> None:
    assert hsm_process.meaning(error) is answer


def test_no_error_says_that_the_key_is_gone() -> None:
    errors = [kind() for kind in PKCS11Error.__subclasses__()]
    errors += [PKCS11Error(f"Unmapped error code {code:#x}") for code in range(0x300)]
    assert len(errors) > 800
    assert {hsm_process.meaning(error) for error in errors} <= set(Answer) - {
        Answer.MISSING,
        Answer.PENDING_DELETION,
        Answer.ENABLED,
    }


# the pipe


@properties
@given(st.sampled_from(Call), st.binary(max_size=5_000), st.binary(max_size=200))
def test_messages_arrive(call: Call, content: bytes, bound: bytes) -> None:
    out, into = os.pipe()
    message = Asked(call, 1.5, content, bound)
    hsm_pipe.send(into, message)
    hsm_pipe.send(into, Said(content, "01", None))
    os.close(into)
    assert hsm_pipe.receive(out, Asked) == message
    assert hsm_pipe.receive(out, Said, time.monotonic() + PATIENCE) == Said(content, "01", None)
    with pytest.raises(Silence):
        hsm_pipe.receive(out, Said, time.monotonic() + PATIENCE)
    os.close(out)


@properties
@given(st.binary(max_size=60))
def test_anything_else_is_silence(noise: bytes) -> None:
    out, into = os.pipe()
    os.write(into, noise)
    os.close(into)
    with pytest.raises(Silence):
        hsm_pipe.receive(out, Opening)
    os.close(out)


def test_nothing_in_time_is_silence() -> None:
    out, into = os.pipe()
    with pytest.raises(Silence):
        hsm_pipe.receive(out, Said, time.monotonic())
    os.close(into)
    os.close(out)
