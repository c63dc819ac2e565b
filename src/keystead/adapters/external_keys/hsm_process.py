"""The process that holds an HSM: one thread, one token, one call after the other.

All keys of one label are versions of one external key. The version with the highest CKA_ID, read as
a number, wraps; any opens. What is wrapped is AES-GCM, whose associated data the instance gives:
`version(1) || length of CKA_ID(1) || CKA_ID || nonce(12) || ciphertext || tag(16)`.

A call that takes longer than it may ends the process: the kernel does that, whatever the vendor's
library waits for, and whether the instance is still there or not.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec
import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass, PKCS11Error, TokenFlag

from keystead.adapters.external_keys.hsm_pipe import Asked, Opening, Said, Silence, receive, send
from keystead.external.provider import Answer, Call, Described

_VERSION: Final = b"\x01"
_NONCE: Final = 12
_BITS: Final = 256
_LONGEST_ID: Final = 255
_GRACE: Final = 1.0
_CLASSES: Final = (ObjectClass.SECRET_KEY, ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY)
_PIN: Final = (
    pkcs11.PinIncorrect,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinExpired,
    pkcs11.PinLocked,
    pkcs11.UserPinNotInitialized,
)
_MEANINGS: Final[dict[type[PKCS11Error], Answer]] = {
    **dict.fromkeys(_PIN, Answer.DENIED),
    pkcs11.UserNotLoggedIn: Answer.DENIED,
    pkcs11.FunctionRejected: Answer.DENIED,
    pkcs11.EncryptedDataInvalid: Answer.WRONG,
    pkcs11.EncryptedDataLenRange: Answer.WRONG,
    pkcs11.MechanismInvalid: Answer.UNUSABLE,
    pkcs11.MechanismParamInvalid: Answer.UNUSABLE,
    pkcs11.FunctionNotSupported: Answer.UNUSABLE,
    pkcs11.KeySizeRange: Answer.UNUSABLE,
    pkcs11.KeyTypeInconsistent: Answer.UNUSABLE,
}
# codes for which the library has no class: CKR_AEAD_DECRYPT_FAILED, CKR_KEY_FUNCTION_NOT_PERMITTED
_CODES: Final = {"0x42": Answer.WRONG, "0x68": Answer.DISABLED}
# a lost try would lock the token for everybody
_LAST_TRIES: Final = {
    TokenFlag.USER_PIN_LOCKED: "the token has locked its PIN",
    TokenFlag.USER_PIN_FINAL_TRY: "the token allows one more PIN; log in once by its own tool",
}


class _Refusal(Exception):
    """What is answered instead."""

    def __init__(self, answer: Answer, reason: str, *, final: bool = False) -> None:
        self.said = Said(refused=answer, reason=reason, final=final)


@dataclass(frozen=True)
class _Key:
    """One version; its `handle` can do no more than the key may."""

    handle: Any
    id: bytes
    may_encrypt: bool
    may_decrypt: bool
    unfit: str | None


class Token:
    """One token, logged in to at the first call."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._session: pkcs11.Session | None = None

    def answer(self, asked: Asked) -> Said:
        """What came of one call, whatever the vendor's library did."""
        try:
            return _CALLS[asked.call](self, asked)
        except _Refusal as refusal:
            return refusal.said
        except PKCS11Error as error:
            answer = meaning(error)
            final = answer is Answer.WRONG or isinstance(error, _PIN)
            return Said(refused=answer, reason=_words(error), final=final)
        except Exception as error:  # what a vendor's library returns may be anything
            return Said(refused=Answer.UNREACHABLE, reason=type(error).__name__)

    def close(self) -> None:
        """Log out, and have the library let go of the token."""
        with suppress(PKCS11Error):
            if self._session is not None:
                self._session.close()
        pkcs11.unload(self._opening.module)

    def _describe(self, asked: Asked) -> Said:
        del asked
        keys = self._keys()
        newest = keys[-1]
        enabled = newest.may_encrypt and newest.may_decrypt
        described = Described(
            reference=self._reference(),
            answer=Answer.ENABLED if enabled else Answer.DISABLED,
            material_id=newest.id.hex(),
            unfit=_unfit(keys),
        )
        return Said(msgspec.msgpack.encode(described))

    def _wrap(self, asked: Asked) -> Said:
        keys = self._keys()
        newest, unfit = keys[-1], _unfit(keys)
        if unfit is not None:
            raise _Refusal(Answer.UNUSABLE, unfit)
        if not newest.may_encrypt:
            raise _Refusal(Answer.DISABLED, f"CKA_ENCRYPT of the key {newest.id.hex()} is false")
        head = _VERSION + bytes([len(newest.id)]) + newest.id
        return Said(head + _encrypted(newest, asked.content, asked.bound), newest.id.hex())

    def _unwrap(self, asked: Asked) -> Said:
        keys = self._keys()
        at = 2 + int.from_bytes(asked.content[1:2])
        named = [key for key in keys if key.id == asked.content[2:at]]
        if asked.content[:1] != _VERSION or not named:
            raise _Refusal(Answer.WRONG, "no key of this label has wrapped it", final=True)
        if not any(key.may_decrypt for key in named):
            reason = f"CKA_DECRYPT of the key {named[0].id.hex()} is false"
            raise _Refusal(Answer.DISABLED, reason)
        failure: PKCS11Error | None = None
        for key in named:
            if key.may_decrypt:
                try:
                    plain = _decrypted(key, asked.content[at:], asked.bound)
                    return Said(plain, key.id.hex())
                except PKCS11Error as error:
                    failure = error
        # most tokens have one code for a wrong tag and for a fault of their own
        if failure is None or _works(keys):
            raise _Refusal(Answer.WRONG, f"it does not open here ({_words(failure)})", final=True)
        raise failure

    def _keys(self) -> list[_Key]:
        """The versions, the newest last."""
        session = self._opened()
        found = session.get_objects({Attribute.LABEL: self._opening.key_label})
        keys = [_key(each) for each in list(found) if _read(each, Attribute.CLASS) in _CLASSES]
        if keys:
            return sorted(keys, key=lambda key: (int.from_bytes(key.id), len(key.id)))
        if self._opening.pin is None and session.token.flags & TokenFlag.LOGIN_REQUIRED:
            raise _Refusal(Answer.DENIED, "the token wants a PIN, and none is given")
        raise _Refusal(Answer.MISSING, "the token has no key of this label")

    def _opened(self) -> pkcs11.Session:
        if self._session is None:
            token = self._token()
            pin = self._opening.pin
            if pin is not None:
                reason = _last_try(token.flags)
                if reason is not None:
                    raise _Refusal(Answer.DENIED, reason, final=True)
            self._session = token.open(user_pin=pin)
        return self._session

    def _token(self) -> pkcs11.Token:
        found, reason = [], "no token has this label"
        for slot in pkcs11.lib(self._opening.module).get_slots(token_present=True):
            try:
                token = slot.get_token()
            except PKCS11Error as error:
                reason = f"{reason}, and a slot cannot be read ({_words(error)})"
                continue
            if token.label == self._opening.token:
                found.append(token)
        if len(found) > 1:
            raise _Refusal(Answer.UNUSABLE, "several tokens have this label")
        if not found:
            raise _Refusal(Answer.UNREACHABLE, reason)
        return found[0]

    def _reference(self) -> str:
        """The key as a URI (RFC 7512): the token's serial number tells it from a namesake."""
        token = self._opened().token
        parts = {
            "manufacturer": token.manufacturer_id,
            "model": token.model,
            "serial": token.serial.decode("ascii", "replace"),
            "token": token.label,
            "object": self._opening.key_label,
        }
        said = (f"{name}={quote(value, safe='')}" for name, value in parts.items())
        return "pkcs11:" + ";".join(said)


_CALLS: Final[dict[Call, Callable[[Token, Asked], Said]]] = {
    Call.DESCRIBE: Token._describe,
    Call.WRAP: Token._wrap,
    Call.UNWRAP: Token._unwrap,
}


def meaning(error: PKCS11Error) -> Answer:
    """What a vendor's error means; one that is not known never says that the key is gone."""
    code = str(error).rpartition(" ")[2]
    if type(error) is PKCS11Error and code in _CODES:
        return _CODES[code]
    return _MEANINGS.get(type(error), Answer.UNREACHABLE)


def _last_try(flags: TokenFlag) -> str | None:
    """Why a PIN is not to be tried; None when it may be."""
    return next((reason for flag, reason in _LAST_TRIES.items() if flags & flag), None)


def _words(error: PKCS11Error | None) -> str:
    words = " ".join(str(error or "").split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _read(handle: Any, attribute: Attribute) -> Any:
    """An attribute; None where the token does not have it, or not in a known form."""
    try:
        return handle[attribute]
    except (pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive, ValueError):
        return None


def _key(handle: Any) -> _Key:
    name = _read(handle, Attribute.ID) or b""
    unfit = None
    if _read(handle, Attribute.CLASS) != ObjectClass.SECRET_KEY:
        unfit = "it is an asymmetric key"
    elif _read(handle, Attribute.KEY_TYPE) != KeyType.AES:
        unfit = "it is not an AES key"
    elif _read(handle, Attribute.VALUE_LEN) != _BITS // 8:
        unfit = "it does not have 256 bits"
    elif _read(handle, Attribute.EXTRACTABLE) is not False:
        unfit = "it can be extracted"
    elif _read(handle, Attribute.SENSITIVE) is not True:
        unfit = "it can be read"
    elif _read(handle, Attribute.NEVER_EXTRACTABLE) is not True:
        unfit = "it could be extracted once, or came from outside"
    elif not 0 < len(name) <= _LONGEST_ID:
        unfit = "it has no CKA_ID of 1 to 255 bytes"
    return _Key(
        handle,
        name,
        may_encrypt=_read(handle, Attribute.ENCRYPT) is True,
        may_decrypt=_read(handle, Attribute.DECRYPT) is True,
        unfit=unfit,
    )


def _unfit(keys: Sequence[_Key]) -> str | None:
    """Why keys of one label are not versions of an external key; None when they are."""
    if len({key.id for key in keys}) < len(keys):
        return "several keys of this label have the same CKA_ID"
    return next((key.unfit for key in reversed(keys) if key.unfit), None)


def _encrypted(key: _Key, plain: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    sealed: bytes = key.handle.encrypt(
        plain, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(nonce, bound)
    )
    return nonce + sealed


def _decrypted(key: _Key, sealed: bytes, bound: bytes) -> bytes:
    plain: bytes = key.handle.decrypt(
        sealed[_NONCE:],
        mechanism=Mechanism.AES_GCM,
        mechanism_param=GCMParams(sealed[:_NONCE], bound),
    )
    return plain


def _works(keys: Sequence[_Key]) -> bool:
    """Whether the token opens what it wraps now, under any version that may do both."""
    for key in keys:
        if key.may_encrypt and key.may_decrypt and key.unfit is None:
            try:
                return _decrypted(key, _encrypted(key, b"probe", b""), b"") == b"probe"
            except PKCS11Error:
                return False
    return False


def main() -> None:
    """Answer what comes at standard input until it ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a library that crashes leaves no PIN behind
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever made this process is told, and ends it
    answers = os.dup(1)
    os.dup2(2, 1)  # since a vendor's library may write to its standard output
    token = None
    with suppress(Silence, BrokenPipeError):
        token = Token(receive(0, Opening))
        while True:
            asked = receive(0, Asked)
            signal.setitimer(signal.ITIMER_REAL, asked.seconds + _GRACE)
            said = token.answer(asked)
            signal.setitimer(signal.ITIMER_REAL, 0)
            send(answers, said)
    signal.setitimer(signal.ITIMER_REAL, _GRACE)
    if token is not None:
        token.close()
    os._exit(0)


if __name__ == "__main__":
    main()
