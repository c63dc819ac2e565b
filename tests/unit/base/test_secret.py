"""Key bytes do not come out of a Secret without the capability, by any everyday way."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pytest

from keystead.base.secret import REVEAL, RevealCapability, Secret

RAW = b"0123456789abcdef-these-key-bytes"
SECRET = Secret(RAW)


@dataclass
class Holder:
    key: Secret


def test_reveal() -> None:
    assert SECRET.reveal(REVEAL) == RAW
    assert len(SECRET) == len(RAW)


@pytest.mark.parametrize(
    "capability", [None, True, "REVEAL", RevealCapability(), RevealCapability, object()]
)
def test_reveal_without_the_capability(capability: object) -> None:
    with pytest.raises(TypeError, match="REVEAL"):
        SECRET.reveal(capability)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        SECRET.reveal()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "shown",
    [
        repr(SECRET),
        str(SECRET),
        f"{SECRET}",
        f"{SECRET!r}",
        f"{SECRET!s}",
        f"{SECRET!a}",
        f"{SECRET=}",
        "{}".format(SECRET),  # noqa: UP032
        "%s" % SECRET,  # noqa: UP031
        "%r" % SECRET,  # noqa: UP031
        repr([SECRET]),
        repr({"key": SECRET}),
        repr(Holder(SECRET)),
    ],
)
def test_shown(shown: str) -> None:
    assert "Secret(...)" in shown
    assert "0123" not in shown
    assert "30313233" not in shown


def test_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("key %s of %r", SECRET, Holder(SECRET))
    assert caplog.messages == ["key Secret(...) of Holder(key=Secret(...))"]


def test_in_a_traceback() -> None:
    def fails(key: Secret) -> None:
        raise ValueError(key)

    with pytest.raises(ValueError, match="Secret") as failure:
        fails(SECRET)
    report = traceback.TracebackException.from_exception(failure.value, capture_locals=True)
    text = "".join(report.format())
    assert "key = Secret(...)" in text
    assert "0123" not in text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickled(protocol: int) -> None:
    for thing in (SECRET, [SECRET], Holder(SECRET)):
        with pytest.raises(TypeError, match="do not pickle"):
            pickle.dumps(thing, protocol)


@pytest.mark.parametrize(
    "use",
    [
        lambda: copy.copy(SECRET),
        lambda: copy.deepcopy(SECRET),
        lambda: copy.deepcopy([SECRET]),
        lambda: copy.deepcopy(Holder(SECRET)),
        lambda: asdict(Holder(SECRET)),
        lambda: json.dumps(SECRET),
        lambda: bytes(SECRET),
        lambda: bytearray(SECRET),
        lambda: memoryview(SECRET),
        lambda: list(SECRET),
        lambda: SECRET[0],
        lambda: 48 in SECRET,
        lambda: SECRET + SECRET,
        lambda: b"".join([SECRET]),
        lambda: vars(SECRET),
        lambda: hash(SECRET),
        lambda: {SECRET},
        lambda: {SECRET: 1},
        lambda: Secret(RAW) == SECRET,
        lambda: Secret(RAW) != SECRET,
        lambda: RAW == SECRET,
        lambda: SECRET.__eq__(RAW),
        lambda: SECRET.__ne__(RAW),
        lambda: SECRET == None,  # noqa: E711
        lambda: SECRET in [Secret(RAW)],
        lambda: Secret(RAW) < SECRET,
        lambda: Holder(SECRET) == Holder(Secret(RAW)),
        lambda: f"{SECRET:>40}",
        lambda: setattr(SECRET, "label", 1),
    ],
)
def test_refused(use: Callable[[], object]) -> None:
    with pytest.raises((TypeError, AttributeError)) as refusal:
        use()
    assert "0123" not in str(refusal.value)


def test_holds_its_own_bytes() -> None:
    given = bytearray(RAW)
    secret = Secret(given)
    given[:] = bytes(len(given))
    assert secret.reveal(REVEAL) == RAW
