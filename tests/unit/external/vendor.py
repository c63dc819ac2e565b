"""A vendor in memory: a key that is told what to answer, for what a real vendor cannot be told."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

from keystead.base.secret import REVEAL, Secret
from keystead.crypto import wrap
from keystead.external.provider import (
    Answer,
    Call,
    Context,
    Described,
    Provider,
    Refused,
    Settings,
    Unwrapped,
)


@dataclass
class Vendor:
    """One key with its versions; `answers` says what each call is answered instead."""

    versions: list[Secret] = field(default_factory=lambda: [wrap.new_key()])
    state: Answer = Answer.ENABLED
    answers: dict[Call, Answer] = field(default_factory=dict)
    deletion_at: str | None = None
    unfit: str | None = None
    reference: str = "key 1"
    calls: list[Call] = field(default_factory=list)
    contexts: list[Context] = field(default_factory=list)
    spoiled: bool = False
    old_wrapping: bytes | None = None
    reference: str = "key 1"
    wraps_with: int | None = None
    seconds: float = 0
    clock: Any = None

    def open_provider(self, kind: str, settings: Settings, seconds: float) -> Provider:
        return _Opened(self)

    def rotate(self) -> None:
        self.versions.append(wrap.new_key())

    def asked(self, call: Call) -> None:
        self.calls.append(call)
        if self.seconds:
            self.clock.now += self.seconds
        answer = self.answers.get(call)
        if answer is None and call is not Call.DESCRIBE and self.state is not Answer.ENABLED:
            answer = self.state
        if answer is None and self.state is Answer.UNREACHABLE:
            answer = self.state
        if answer is not None:
            raise Refused(call, answer, f"the vendor said {answer}")


class _Opened:
    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor

    def describe(self) -> Described:
        vendor = self._vendor
        vendor.asked(Call.DESCRIBE)
        material = str(len(vendor.versions))
        return Described(vendor.reference, vendor.state, material, vendor.deletion_at, vendor.unfit)

    def wrap(self, plain: bytes, context: Context) -> bytes:
        vendor = self._vendor
        vendor.asked(Call.WRAP)
        vendor.contexts.append(dict(context))
        if vendor.old_wrapping is not None:
            return vendor.old_wrapping
        at = vendor.wraps_with or len(vendor.versions)
        sealed = wrap.wrap(
            vendor.versions[at - 1], Secret(plain), json.dumps(context, sort_keys=True)
        )
        return bytes([at]) + sealed

    def unwrap(self, wrapped: bytes, context: Context) -> Unwrapped:
        vendor = self._vendor
        vendor.asked(Call.UNWRAP)
        vendor.contexts.append(dict(context))
        key = vendor.versions[wrapped[0] - 1]
        try:
            opened = wrap.unwrap(key, wrapped[1:], json.dumps(context, sort_keys=True))
        except Exception:
            raise Refused(Call.UNWRAP, Answer.WRONG, "not wrapped here") from None
        plain = os.urandom(len(opened)) if vendor.spoiled else opened.reveal(REVEAL)
        return Unwrapped(plain, str(wrapped[0]))

    def close(self) -> None:
        pass
