"""How users prove who they are: passwords and tokens. Neither is stored in a form that logs in."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Final

from sqlalchemy import Connection, UniqueConstraint

from keystead.access import people, session_rows
from keystead.access.attempts import Attempts
from keystead.access.recorder import UNKNOWN
from keystead.access.tables import USERS
from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, Denied, Invalid, NotFound
from keystead.base.secret import Secret
from keystead.crypto import mac, password, sign
from keystead.database.integrity import Fields, Integrity
from keystead.database.port import Database
from keystead.database.schema import OnClone, short, tagged_table, text

SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 1024
_MARK: Final = "kst_"
CACHE_SECONDS: Final = 60
_TOKEN_BYTES = 32
_DAY = 24 * 3600

CREDENTIALS = tagged_table(
    "keystead_credential", OnClone.KEEP, text("user_id"), text("password"), text("changed_at")
)

# a token is known by its digest; it is random and long, so the digest needs no salt
TOKENS = tagged_table(
    "keystead_token",
    OnClone.KEEP,
    short("user_id"),
    short("name"),
    text("digest"),
    text("created_at"),
    text("expires_at"),
    UniqueConstraint("user_id", "name"),
)


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a user; the secret itself is shown once, when it is made."""

    user: str
    name: str
    created_at: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class _Holder:
    """Whose a token is, and until when."""

    user: str
    is_active: bool
    until: str


def set_password(
    tx: Connection, integrity: Integrity, user_name: str, clear: str, actor: str
) -> None:
    """Give a user a password, in place of an earlier one; his sessions end.

    Raises:
        Invalid: when it is too short or too long.
    """
    if not SHORTEST_PASSWORD <= len(clear) <= LONGEST_PASSWORD:
        raise Invalid("password.length", least=SHORTEST_PASSWORD, most=LONGEST_PASSWORD)
    user = people.user(tx, integrity, user_name)
    fields = {"password": password.hashed(clear), "changed_at": clock.now()}
    condition = CREDENTIALS.c.user_id == user["sys_id"]
    held = integrity.all(tx, CREDENTIALS, condition)
    if held:
        integrity.update(tx, CREDENTIALS, held[0], f"the password of '{user_name}'", **fields)
    else:
        integrity.insert(tx, CREDENTIALS, sys_id=user["sys_id"], user_id=user["sys_id"], **fields)
    session_rows.end_of_user(tx, integrity, user["sys_id"])
    log.record(tx, actor, "user.password", user_name)


def make_token(
    tx: Connection, integrity: Integrity, user_name: str, name: str, days: int, actor: str
) -> str:
    """Make a token that logs a user in for so many days; the token, to be shown once.

    Raises:
        Conflict: when he has one of that name.
    """
    user = people.user(tx, integrity, user_name)
    same = (TOKENS.c.user_id == user["sys_id"]) & (TOKENS.c.name == name)
    if integrity.all(tx, TOKENS, same):
        raise Conflict("token.exists", user=user_name, token=name)
    shown = _MARK + secrets.token_urlsafe(_TOKEN_BYTES)
    integrity.insert(
        tx,
        TOKENS,
        user_id=user["sys_id"],
        name=name,
        digest=_digest(shown),
        created_at=clock.now(),
        expires_at=clock.after(days * _DAY),
    )
    log.record(tx, actor, "token.make", user_name, token=name, days=days)
    return shown


def tokens(tx: Connection, integrity: Integrity) -> list[Token]:
    """Every token, oldest first."""
    names = {row["sys_id"]: row["user_name"] for row in integrity.all(tx, USERS)}
    return [
        Token(names.get(row["user_id"], ""), row["name"], row["created_at"], row["expires_at"])
        for row in integrity.all(tx, TOKENS)
    ]


def end_token(tx: Connection, integrity: Integrity, user_name: str, name: str, actor: str) -> None:
    """Let a token log in no more, from this moment.

    Raises:
        NotFound: when there is none of that name.
    """
    user = people.user(tx, integrity, user_name)
    same = (TOKENS.c.user_id == user["sys_id"]) & (TOKENS.c.name == name)
    missing = NotFound("token.missing", user=user_name, token=name)
    row = integrity.one(tx, TOKENS, missing, same)
    integrity.update(tx, TOKENS, row, f"the token '{name}'", expires_at=clock.now())
    log.record(tx, actor, "token.end", user_name, token=name)


def end_every_token(tx: Connection, integrity: Integrity, actor: str) -> int:
    """Let no token log in any more; how many there were.

    For an instance that was restored: one that was ended after the backup must not come back.
    """
    now = clock.now()
    standing = integrity.all(tx, TOKENS, TOKENS.c.expires_at > now)
    for row in standing:
        integrity.update(tx, TOKENS, row, f"the token '{row['name']}'", expires_at=now)
    if standing:
        log.record(tx, actor, "token.end_every", TOKENS.name, count=len(standing))
    return len(standing)


class LogIn:
    """Checks who somebody is. A right password is remembered for a minute, under a key of its own.

    What is remembered is a code over user, password and the revision of the stored form, so a
    changed password is asked for at once, in every process. Who fails too often waits
    (`access.attempts`); `note` is told the user whom each refusal was for.
    """

    def __init__(
        self,
        integrity: Integrity,
        note: Callable[[str], None] = lambda _user: None,
        attempts: Attempts | None = None,
    ) -> None:
        self._integrity = integrity
        self._note = note
        self._attempts = attempts or Attempts()
        self._key = Secret(secrets.token_bytes(32))
        self._seen: dict[str, float] = {}
        self._lock = Lock()

    def by_password(
        self,
        database: Database,
        user_name: str,
        clear: str,
        address: str = "",
        *,
        again: bool = False,
    ) -> str:
        """The user's name, when the password is his; no transaction is open while it is hashed.

        `again` is for who gave it before and is asked once more: nothing remembered counts.

        Raises:
            Denied: otherwise, without saying which of the two was wrong; `user` is in its facts,
                and `seconds` when he has to wait.
        """
        name, code, stored = UNKNOWN, "", _NOBODY  # as slow as a wrong password
        with database.snapshot() as tx, suppress(NotFound):
            name = str(people.user(tx, self._integrity, user_name)["user_name"])
            user = people.active_user(tx, self._integrity, user_name)
            held = self._credential(tx, user)
            facts = {"user": user["sys_id"], "clear": clear, "revision": held["revision"]}
            code, stored = mac.tag(self._key, facts), held["password"]
        self._refuse_who_waits(name, user_name, address)
        if not again and self._is_remembered(code):
            return name
        with self._attempts.turn(user_name):
            self._refuse_who_waits(name, user_name, address)
            if not again and self._is_remembered(code):
                return name
            if not password.is_right(clear, stored) or stored is _NOBODY:
                self._attempts.fail(user_name, address)
                raise self._refusal(name)
            self._attempts.succeed(user_name)
        self._remember(code)
        return name

    def by_token(self, database: Database, token: str, address: str = "") -> str:
        """The name of the user whose token it is; a good one lets him in whoever failed before.

        Raises:
            Denied: when it is nobody's, or has expired; `user` is in its facts, and `seconds` when
                there were too many from that address.
        """
        name, digest = UNKNOWN, _digest(token)
        with database.snapshot() as tx, suppress(NotFound):
            holder = self._integrity.remembered(
                tx, (TOKENS, USERS), ("token", digest), lambda: self._holder(tx, digest)
            )
            name = holder.user
            if holder.is_active and holder.until > clock.now():
                return name
        self._refuse_who_waits(name, "", address)
        self._attempts.fail("", address)
        raise self._refusal(name)

    def _holder(self, tx: Connection, digest: str) -> _Holder:
        missing = NotFound("user.missing", user=UNKNOWN)
        row = self._integrity.one(tx, TOKENS, missing, TOKENS.c.digest == digest)
        user = self._integrity.one(tx, USERS, missing, USERS.c.sys_id == row["user_id"])
        return _Holder(user["user_name"], people.is_active(user), row["expires_at"])

    def _refuse_who_waits(self, name: str, given: str, address: str) -> None:
        seconds = math.ceil(self._attempts.seconds_left(given, address))
        if seconds:
            self._note(name)
            raise Denied("login.too_often", user=name, seconds=seconds)

    def _refusal(self, name: str) -> Denied:
        self._note(name)
        return Denied("login.refused", user=name)

    def _credential(self, tx: Connection, user: Fields) -> Fields:
        missing = NotFound("user.missing", user=user["user_name"])
        condition = CREDENTIALS.c.user_id == user["sys_id"]
        return self._integrity.one(tx, CREDENTIALS, missing, condition)

    def _is_remembered(self, code: str) -> bool:
        with self._lock:
            return self._seen.get(code, 0.0) > time.monotonic()

    def _remember(self, code: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._seen = {c: until for c, until in self._seen.items() if until > now}
            self._seen[code] = now + CACHE_SECONDS


def _digest(token: str) -> str:
    return sign.digest(token.encode())


_NOBODY: Final = (
    "$argon2id$v=19$m=65536,t=3,p=4$FwdWzPqeVuFzaVH2uyEyxw"
    "$+IrZ1osgB1wgEHhrYvMMdotut5RJn3ni+G+yIVxjpJY"
)
