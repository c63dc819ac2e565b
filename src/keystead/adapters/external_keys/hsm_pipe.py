"""What an instance and the process that holds its HSM say to each other.

Each message is MessagePack after its length in four bytes, most significant first. An `Opening`
comes first and is not answered; then each `Asked` is answered by one `Said` before the next comes.
"""

from __future__ import annotations

import os
import select
import time
from typing import Final, TypeVar

import msgspec

from keystead.external.provider import Answer, Call

T = TypeVar("T")
_LENGTH: Final = 4
_LONGEST: Final = 1024 * 1024


class Opening(msgspec.Struct, array_like=True):
    """The settings of a configuration. The PIN comes this way, and is on no command line."""

    module: str
    token: str
    key_label: str
    pin: str | None

    def __repr__(self) -> str:
        return "Opening(...)"


class Asked(msgspec.Struct, array_like=True):
    """One call, which is to take `seconds` at most; `bound` is authenticated with `content`."""

    call: Call
    seconds: float
    content: bytes = b""
    bound: bytes = b""


class Said(msgspec.Struct, array_like=True):
    """What came of a call: content, which may be a `Described`, or a refusal with its reason.

    `final` means that a process started anew would hear the same, or must not ask: a wrong PIN.
    """

    content: bytes = b""
    material_id: str | None = None
    refused: Answer | None = None
    reason: str = ""
    final: bool = False


class Silence(Exception):
    """Nothing more came: in time, or because the other side has ended."""


def send(descriptor: int, message: Opening | Asked | Said) -> None:
    """Write one message.

    Raises:
        BrokenPipeError: when the other side has ended.
    """
    content = msgspec.msgpack.encode(message)
    rest = memoryview(len(content).to_bytes(_LENGTH, "big") + content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def receive(descriptor: int, kind: type[T], until: float | None = None) -> T:
    """Read one message; `until` is a moment of `time.monotonic`, and None waits for ever.

    Raises:
        Silence: when it does not come.
    """
    length = int.from_bytes(_read(descriptor, _LENGTH, until), "big")
    if length > _LONGEST:
        raise Silence("what came is no message")
    try:
        return msgspec.msgpack.decode(_read(descriptor, length, until), type=kind)
    except msgspec.MsgspecError:
        raise Silence("what came is no message") from None


def _read(descriptor: int, size: int, until: float | None) -> bytes:
    content = b""
    while len(content) < size:
        if until is not None:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                raise Silence("it does not answer in time")
        piece = os.read(descriptor, size - len(content))
        if not piece:
            raise Silence("it has ended")
        content += piece
    return content
