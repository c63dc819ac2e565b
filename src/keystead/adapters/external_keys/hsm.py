"""External keys in an HSM, over PKCS#11.

Each configuration's HSM is held by a process of its own (`hsm_process`): vendors' libraries crash
under threads, and what hangs in one can only be killed. That process is started at the first call,
and anew whenever it ended, was too slow, or refused: so what an HSM says against a key is believed
only from a process that has just found its token, and a token that is back works again.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

import msgspec

from keystead.adapters.external_keys.context import place
from keystead.adapters.external_keys.hsm_pipe import Asked, Opening, Said, Silence, receive, send
from keystead.base.errors import Invalid, Misconfigured
from keystead.crypto import wrap
from keystead.external.kinds import PKCS11
from keystead.external.provider import (
    Answer,
    Call,
    Context,
    Described,
    Refused,
    Settings,
    Unwrapped,
)

_PROCESS: Final = (sys.executable, "-P", "-m", "keystead.adapters.external_keys.hsm_process")
_LABEL: Final = 32  # CK_TOKEN_INFO has no room for more
_PATIENCE: Final = 1.0


class Hsm:
    """The AES keys that have one label on one token, as a `Provider`.

    Raises:
        Misconfigured: when the library for PKCS#11 is not installed.
        Invalid: when the module is no full path, or the token's label is too long for any token.
    """

    def __init__(self, settings: Settings, seconds: float) -> None:
        if find_spec("pkcs11") is None:
            raise Misconfigured("external.library", kind=PKCS11.label, extra=PKCS11.extra)
        if not Path(settings["module"]).is_absolute():
            raise Invalid("external.setting_value", setting="module", reason="it is no full path")
        if len(settings["token"].encode()) > _LABEL:
            raise Invalid("external.setting_value", setting="token", reason="it is too long")
        self._opening = Opening(
            settings["module"], settings["token"], settings["key_label"], settings.get("pin")
        )
        self._seconds = seconds
        self._turn = threading.Lock()
        self._process: _Process | None = None
        self._locked_out: Said | None = None
        self._is_closed = False

    def describe(self) -> Described:
        """The newest version; without both CKA_ENCRYPT and CKA_DECRYPT it is disabled."""
        return msgspec.msgpack.decode(self._ask(Call.DESCRIBE).content, type=Described)

    def wrap(self, plain: bytes, context: Context) -> bytes:
        """AES-256-GCM under the newest version, in the form that `hsm_process` describes."""
        return self._ask(Call.WRAP, plain, wrap.bound(*place(context))).content

    def unwrap(self, wrapped: bytes, context: Context) -> Unwrapped:
        """What `wrap` was given, by the version that it names."""
        said = self._ask(Call.UNWRAP, wrapped, wrap.bound(*place(context)))
        return Unwrapped(said.content, said.material_id)

    def close(self) -> None:
        """Log out, and end the process; whoever still has this provider starts no other."""
        with self._turn:
            self._is_closed = True
            self._end(_PATIENCE)

    def _ask(self, call: Call, content: bytes = b"", bound: bytes = b"") -> Said:
        until = time.monotonic() + self._seconds
        if not self._turn.acquire(timeout=self._seconds):
            raise Refused(call, Answer.UNREACHABLE, "calls that came before wait for the HSM")
        try:
            was_there = self._process is not None
            said = self._exchange(until, call, content, bound)
            if was_there and said.refused and not said.final and time.monotonic() < until:
                said = self._exchange(until, call, content, bound)
        finally:
            self._turn.release()
        if said.refused:
            raise Refused(call, said.refused, said.reason)
        return said

    def _exchange(self, until: float, call: Call, content: bytes, bound: bytes) -> Said:
        """One call of one process; one that refuses is ended, but for what does not open."""
        if self._locked_out is not None:
            return self._locked_out
        if self._is_closed:
            return Said(refused=Answer.UNREACHABLE, reason="it was closed meanwhile")
        try:
            if self._process is None:
                self._process = _Process(self._opening)
            seconds = max(0.0, until - time.monotonic())
            said = self._process.exchange(Asked(call, seconds, content, bound), until)
        except (Silence, OSError) as silence:
            said = Said(refused=Answer.UNREACHABLE, reason=f"the process of the HSM: {silence}")
        if said.refused not in {None, Answer.WRONG}:
            self._end()
        if said.refused is Answer.DENIED and said.final:
            self._locked_out = said  # another try with the same PIN could lock the token
        return said

    def _end(self, patience: float = 0.0) -> None:
        if self._process is not None:
            self._process.end(patience)
            self._process = None


class _Process:
    """A running `hsm_process`; it ends with its standard input, so with this process too."""

    def __init__(self, opening: Opening) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            _PROCESS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self._in, self._out = _pipe(self._process.stdin), _pipe(self._process.stdout)
        send(self._in.fileno(), opening)

    def exchange(self, asked: Asked, until: float) -> Said:
        """What it says to one call; Silence or OSError when it does not say anything."""
        send(self._in.fileno(), asked)
        return receive(self._out.fileno(), Said, until)

    def end(self, patience: float) -> None:
        """Have it end by itself within so many seconds, or end it."""
        self._in.close()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):  # the kernel may hold it back
                self._process.wait(_PATIENCE)
        self._out.close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise OSError("it has no pipe")
    return pipe
