"""Sessions of the console: rows, since several processes serve one instance.

The browser holds a random secret and the row its digest, so what is read from the database logs
nobody in. A secret is made here alone, at log-in and again at elevation: one that came from outside
is never taken on. A session ends when nothing was asked for a while, and after some hours whatever
was asked; who he is and what he may is read anew each time.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from keystead.access import people, properties
from keystead.access.accounts import LogIn
from keystead.access.authority import Actor, actor_of, roles_of
from keystead.access.properties import SESSION_IDLE_MINUTES
from keystead.access.roles import SECURITY
from keystead.access.session_rows import end, end_of_user
from keystead.access.tables import SESSIONS, USERS
from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, Denied, NotFound, Unavailable
from keystead.base.secret import Secret
from keystead.crypto import mac
from keystead.crypto.sha256 import sha256
from keystead.database.integrity import Fields, Integrity
from keystead.database.port import Database

LONGEST_SECONDS: Final = 12 * 3600
ELEVATED_SECONDS: Final = 15 * 60
MOST_OF_USER: Final = 20  # the oldest ends when one more is opened
_SECONDS_BETWEEN_WRITES: Final = 60
_SECRET_BYTES: Final = 32
_CSRF: Final = {"for": "csrf"}


@dataclass(frozen=True, slots=True)
class Session:
    """A user who is logged in. `secret` is for his cookie, `csrf` for the forms he is given."""

    user: str
    secret: str = field(repr=False)
    is_elevated: bool

    @property
    def csrf(self) -> str:
        """What proves that a form was given to this session; another secret has another."""
        return mac.tag(_key(self.secret), _CSRF)

    def gave(self, csrf: str) -> bool:
        """Whether it is this session's `csrf`, compared in constant time."""
        return mac.is_valid(_key(self.secret), _CSRF, csrf)


class Sessions:
    """The sessions of an instance. Safe for several threads."""

    def __init__(self, database: Database, integrity: Integrity) -> None:
        self._database = database
        self._integrity = integrity

    def open(self, user: str) -> Session:
        """Begin a session for a user whose password was right (`accounts.LogIn`).

        Raises:
            NotFound: when there is none of that name, or he was deactivated.
        """
        secret, now = secrets.token_urlsafe(_SECRET_BYTES), clock.now()
        with self._database.transaction() as tx:
            row = people.active_user(tx, self._integrity, user)
            self._clear(tx, row["sys_id"], now)
            self._integrity.insert(
                tx,
                SESSIONS,
                user_id=row["sys_id"],
                digest=_digest(secret),
                opened_at=now,
                seen_at=now,
                ends_at=clock.later(now, LONGEST_SECONDS),
            )
            log.record(tx, _actor(user), "session.open", user)
        return Session(user, secret, is_elevated=False)

    def find(self, secret: str, *, acts: bool = True) -> Session | None:
        """The session of a secret; None when there is none, it has ended, or its user may not act.

        That it was asked for is written at most once a minute, where the user `acts`.
        """
        now = clock.now()
        with self._database.snapshot() as tx:
            row = self._row(tx, secret)
            if row is None or self._has_ended(tx, row, now):
                return None
            user = self._active_user(tx, row)
        if user is None:
            return None
        if acts and clock.later(row["seen_at"], _SECONDS_BETWEEN_WRITES) <= now:
            # somebody else just wrote it, or nobody can: then it ends the sooner
            with suppress(Conflict, Unavailable), self._database.transaction() as tx:
                self._integrity.update(tx, SESSIONS, row, "A session", seen_at=now)
        return Session(user, secret, is_elevated=(row["elevated_until"] or "") > now)

    def elevate(self, session: Session, password: str, log_in: LogIn, address: str = "") -> Session:
        """The session with the rights of `security_admin` for a while, under a new secret.

        Raises:
            Denied: when the password is not his, he has not the role, or the session has ended.
        """
        log_in.by_password(self._database, session.user, password, address, again=True)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        now = clock.now()
        with self._database.transaction() as tx:
            row = self._standing(tx, session)
            if SECURITY not in roles_of(people.person(tx, self._integrity, session.user)):
                raise Denied("session.role", role=SECURITY)
            self._integrity.update(
                tx,
                SESSIONS,
                row,
                "A session",
                digest=_digest(secret),
                seen_at=now,
                elevated_until=clock.later(now, ELEVATED_SECONDS),
            )
            log.record(tx, _actor(session.user), "session.elevate", session.user, role=SECURITY)
        return Session(session.user, secret, is_elevated=True)

    def lower(self, session: Session) -> Session:
        """The session without the rights that it was elevated to.

        Raises:
            Denied: when it has ended.
        """
        with self._database.transaction() as tx:
            row = self._standing(tx, session)
            if row["elevated_until"] is not None:
                self._integrity.update(tx, SESSIONS, row, "A session", elevated_until=None)
                log.record(tx, _actor(session.user), "session.lower", session.user)
        return Session(session.user, session.secret, is_elevated=False)

    def close(self, secret: str) -> None:
        """End the session of a secret; without effect when there is none."""
        with self._database.transaction() as tx:
            row = self._row(tx, secret)
            user = self._active_user(tx, row) if row is not None else None
            if row is not None:
                self._integrity.delete(tx, SESSIONS, row, "A session")
            if user is not None:
                log.record(tx, _actor(user), "session.close", user)

    def close_every(self, user: str, actor: str) -> int:
        """End every session of a user; how many there were.

        Raises:
            NotFound: when there is no user of that name.
        """
        with self._database.transaction() as tx:
            row = people.user(tx, self._integrity, user)
            count = end_of_user(tx, self._integrity, row["sys_id"])
            log.record(tx, actor, "session.close_every", user, count=count)
        return count

    def actor(self, session: Session) -> Actor | None:
        """Who acts in a session, with his roles as they are now; None when he may not act."""
        with self._database.snapshot() as tx, suppress(NotFound):
            person = people.person(tx, self._integrity, session.user)
            if person.active:
                return actor_of(person, elevated=session.is_elevated)
        return None

    def _row(self, tx: Connection, secret: str) -> Fields | None:
        rows = self._integrity.all(tx, SESSIONS, SESSIONS.c.digest == _digest(secret))
        return rows[0] if rows else None

    def _standing(self, tx: Connection, session: Session) -> Fields:
        row = self._row(tx, session.secret)
        if row is None or self._has_ended(tx, row, clock.now()) or not self._active_user(tx, row):
            raise Denied("session.ended")
        return row

    def _active_user(self, tx: Connection, row: Fields) -> str | None:
        users = self._integrity.all(tx, USERS, USERS.c.sys_id == row["user_id"])
        return str(users[0]["user_name"]) if users and people.is_active(users[0]) else None

    def _has_ended(self, tx: Connection, row: Fields, now: str) -> bool:
        minutes = properties.whole_number(tx, self._integrity, SESSION_IDLE_MINUTES)
        return bool(row["ends_at"] <= now or clock.later(row["seen_at"], minutes * 60) <= now)

    def _clear(self, tx: Connection, user_id: str, now: str) -> None:
        """Remove what has ended, and the oldest of a user who has too many."""
        standing = []
        for row in self._integrity.all(tx, SESSIONS):
            if self._has_ended(tx, row, now):
                self._integrity.delete(tx, SESSIONS, row, "A session")
            elif row["user_id"] == user_id:
                standing.append(row["sys_id"])
        surplus = standing[: max(0, len(standing) - MOST_OF_USER + 1)]
        end(tx, self._integrity, SESSIONS.c.sys_id.in_(surplus))


def _actor(user: str) -> str:
    return f"user:{user}"


def _key(secret: str) -> Secret:
    return Secret(_bytes(secret))


def _digest(secret: str) -> str:
    return sha256(_bytes(secret)).hex()


def _bytes(secret: str) -> bytes:
    return secret.encode(errors="replace")  # a cookie may be any text
