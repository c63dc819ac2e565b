"""Sessions of the console: what a secret is worth, to whom, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from keystead.access import accounts, people, properties, session_rows, sessions
from keystead.access.accounts import LogIn
from keystead.access.properties import SESSION_IDLE_MINUTES
from keystead.access.roles import SECURITY
from keystead.access.sessions import Session, Sessions
from keystead.base import clock
from keystead.base.errors import Denied, NotFound, Tampered
from keystead.crypto import password
from keystead.database.integrity import Integrity

PASSWORD = "correct horse battery"
ACTOR = "test"
IDLE_SECONDS = 30 * 60
USER = "ada"


@pytest.fixture
def door(site: Any, monkeypatch: pytest.MonkeyPatch) -> Sessions:
    """The sessions of an instance in which `ada` may elevate; a password is stored as it is."""
    monkeypatch.setattr(password, "hashed", lambda clear: clear)
    monkeypatch.setattr(password, "is_right", lambda clear, stored: clear == stored)
    with site.transaction() as tx:
        people.create_user(tx, site.integrity, USER, [SECURITY, "sn_kmf.crypto_manager"], ACTOR)
        accounts.set_password(tx, site.integrity, USER, PASSWORD, ACTOR)
    return Sessions(site.database, site.integrity)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the clock so many seconds after the start of the test."""
    start = clock.now()

    def move(seconds: float) -> None:
        moment = clock.later(start, seconds)
        monkeypatch.setattr(clock, "now", lambda: moment)

    move(0)
    return move


def count(site: Any) -> int:
    return int(site.sql("SELECT count(*) FROM keystead_session")[0][0])


def actions(site: Any) -> list[str]:
    where = "WHERE action LIKE 'session.%' ORDER BY sequence"
    return [action for (action,) in site.sql(f"SELECT action FROM keystead_audit {where}")]


def elevated(site: Any, door: Sessions, session: Session) -> Session:
    return door.elevate(session, PASSWORD, LogIn(site.integrity))


def test_a_session_is_found_by_its_secret_alone(site: Any, door: Sessions) -> None:
    session = door.open(USER)
    found = door.find(session.secret)
    assert (found, found and found.user) == (session, USER)
    for other in ("", session.secret[:-1], session.secret + "x", "x" * 43, "\ud800"):
        assert door.find(other) is None
    assert session.secret not in repr(session)
    assert session.secret.encode() not in site.on_disk()
    assert actions(site) == ["session.open"]


def test_what_is_read_from_the_database_is_no_secret(site: Any, door: Sessions) -> None:
    door.open(USER)
    ((digest, sys_id),) = site.sql("SELECT digest, sys_id FROM keystead_session")
    assert door.find(digest) is None
    assert door.find(sys_id) is None


def test_each_session_has_a_secret_of_its_own(door: Sessions) -> None:
    one, two = door.open(USER), door.open(USER)
    assert len({one.secret, two.secret}) == 2
    assert door.find(one.secret) is not None
    assert not one.gave(two.csrf)


def test_a_form_belongs_to_its_session(site: Any, door: Sessions) -> None:
    session = door.open(USER)
    assert session.gave(session.csrf)
    for other in ("", "x", session.secret, session.csrf[:-2], "ö" * 64):
        assert not session.gave(other)
    assert not elevated(site, door, session).gave(session.csrf)


def test_nobody_who_may_not_act_has_a_session(site: Any, door: Sessions) -> None:
    with pytest.raises(NotFound):
        door.open("nobody")
    session = door.open(USER)
    with site.transaction() as tx:
        people.set_active(tx, site.integrity, USER, False, ACTOR)
    assert door.find(session.secret) is None
    assert door.actor(session) is None
    with pytest.raises(NotFound):
        door.open(USER)
    with site.transaction() as tx:
        people.set_active(tx, site.integrity, USER, True, ACTOR)
    assert door.find(session.secret) is None, "it came back with the user"
    assert door.actor(session) is not None


def test_it_ends_when_nothing_was_asked(site: Any, door: Sessions, at: Any) -> None:
    session = door.open(USER)
    for minutes in (29, 58, 80):
        at(minutes * 60)
        assert door.find(session.secret) is not None
    at(80 * 60 + IDLE_SECONDS)
    assert door.find(session.secret) is None
    with pytest.raises(Denied) as refused:
        door.lower(session)
    assert refused.value.code == "session.ended"
    with pytest.raises(Denied):
        elevated(site, door, session)


def test_how_long_it_may_idle_is_a_property(site: Any, door: Sessions, at: Any) -> None:
    session = door.open(USER)
    with site.transaction() as tx:
        properties.change(tx, site.integrity, SESSION_IDLE_MINUTES.name, "5", ACTOR)
    at(299)
    assert door.find(session.secret) is not None
    at(600)
    assert door.find(session.secret) is None


def test_it_ends_in_the_end(door: Sessions, at: Any) -> None:
    session = door.open(USER)
    for moment in range(0, sessions.LONGEST_SECONDS, 20 * 60):
        at(moment)
        assert door.find(session.secret) is not None
    at(sessions.LONGEST_SECONDS)
    assert door.find(session.secret) is None


def test_that_it_was_used_is_written_once_a_minute(site: Any, door: Sessions, at: Any) -> None:
    session = door.open(USER)

    def revision_at(seconds: float) -> int:
        at(seconds)
        assert door.find(session.secret) is not None
        return int(site.sql("SELECT revision FROM keystead_session")[0][0])

    assert [revision_at(s) for s in (1, 59, 60, 61, 119, 120)] == [1, 1, 2, 2, 2, 3]


def test_a_closed_session_is_not_replayed(site: Any, door: Sessions) -> None:
    session, other = door.open(USER), door.open(USER)
    door.close(session.secret)
    door.close(session.secret)
    door.close("never there")
    assert door.find(session.secret) is None
    assert door.find(other.secret) is not None
    with pytest.raises(Denied):
        elevated(site, door, session)
    assert actions(site).count("session.close") == 1


def test_an_elevated_session_has_another_secret_and_falls_back(
    site: Any, door: Sessions, at: Any
) -> None:
    session = door.open(USER)
    high = elevated(site, door, session)
    assert door.find(session.secret) is None, "the secret from before it stands"
    found = door.find(high.secret)
    assert found is not None
    assert found.is_elevated
    actor = door.actor(found)
    assert actor is not None
    assert actor.elevated
    at(sessions.ELEVATED_SECONDS)
    later = door.find(high.secret)
    assert later is not None
    assert not later.is_elevated
    again = door.lower(elevated(site, door, later))
    assert not again.is_elevated
    found = door.find(again.secret)
    assert found is not None
    assert not found.is_elevated
    steps = ["session.open", "session.elevate", "session.elevate", "session.lower"]
    assert actions(site) == steps


def test_elevation_is_for_who_has_the_role_and_the_password(site: Any, door: Sessions) -> None:
    session = door.open(USER)
    with pytest.raises(Denied) as refused:
        door.elevate(session, "wrong", LogIn(site.integrity))
    assert refused.value.code == "login.refused"
    with site.transaction() as tx:
        people.take_role(tx, site.integrity, USER, SECURITY, ACTOR)
    with pytest.raises(Denied) as refused:
        elevated(site, door, session)
    assert refused.value.code == "session.role"
    assert door.find(session.secret) == session


def test_elevation_asks_again_although_the_password_is_remembered(
    site: Any, door: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in = LogIn(site.integrity)
    log_in.by_password(site.database, USER, PASSWORD)
    calls: list[str] = []

    def counted(clear: str, stored: str) -> bool:
        calls.append(clear)
        return clear == stored

    monkeypatch.setattr(password, "is_right", counted)
    log_in.by_password(site.database, USER, PASSWORD)
    assert calls == []
    door.elevate(door.open(USER), PASSWORD, log_in)
    assert calls == [PASSWORD]


def test_a_new_password_ends_every_session(site: Any, door: Sessions) -> None:
    session = door.open(USER)
    other = door.open("reader")
    with site.transaction() as tx:
        accounts.set_password(tx, site.integrity, USER, PASSWORD, ACTOR)
    assert door.find(session.secret) is None
    assert door.find(other.secret) is not None


def test_every_session_of_a_user_can_be_ended(site: Any, door: Sessions) -> None:
    mine, other = [door.open(USER) for _ in range(3)], door.open("reader")
    assert door.close_every(USER, ACTOR) == 3
    assert [door.find(session.secret) for session in mine] == [None] * 3
    assert door.find(other.secret) is not None
    with site.transaction() as tx:
        assert session_rows.end_every(tx, site.integrity, ACTOR) == 1
    assert door.find(other.secret) is None
    assert actions(site)[-2:] == ["session.close_every", "session.end_every"]


def test_rows_do_not_pile_up(site: Any, door: Sessions, at: Any) -> None:
    opened = [door.open(USER) for _ in range(sessions.MOST_OF_USER + 3)]
    assert count(site) == sessions.MOST_OF_USER
    assert [door.find(s.secret) is None for s in opened[:4]] == [True, True, True, False]
    at(IDLE_SECONDS)
    door.open("reader")
    assert count(site) == 1


def test_roles_are_those_of_now(site: Any, door: Sessions) -> None:
    session = door.open(USER)
    actor = door.actor(session)
    assert actor is not None
    assert (actor.name, actor.user, actor.elevated) == (f"user:{USER}", USER, False)
    assert actor.roles == {SECURITY, "sn_kmf.cryptographic_manager"}
    with site.transaction() as tx:
        people.create_group(tx, site.integrity, "desk", ["sn_kmf.admin"], ACTOR)
        people.add_member(tx, site.integrity, "desk", USER, ACTOR)
        people.take_role(tx, site.integrity, USER, SECURITY, ACTOR)
    actor = door.actor(session)
    assert actor is not None
    assert actor.roles == {"sn_kmf.admin", "sn_kmf.cryptographic_manager"}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE keystead_session SET ends_at = '9999-01-01T00:00:00.000000Z'",
        "UPDATE keystead_session SET elevated_until = '9999-01-01T00:00:00.000000Z'",
        "UPDATE keystead_session SET user_id = (SELECT sys_id FROM sys_user LIMIT 1)",
        "UPDATE keystead_session SET digest = digest || '0'",
        "DELETE FROM keystead_session",
    ],
)
def test_a_row_that_was_changed_logs_nobody_in(site: Any, door: Sessions, change: str) -> None:
    session = door.open(USER)
    site.sql(change)
    with pytest.raises(Tampered):
        door.find(session.secret)
    with pytest.raises(Tampered):
        door.open(USER)


def test_another_process_knows_at_once(site: Any, door: Sessions) -> None:
    hierarchy = site.hierarchy
    integrity = Integrity(hierarchy.instance_id, hierarchy.integrity._key)
    integrity.trust = hierarchy.integrity.trust = 1.0
    elsewhere = Sessions(site.database, integrity)
    session = door.open(USER)
    assert elsewhere.find(session.secret) == session
    high = elevated(site, elsewhere, session)
    assert (door.find(session.secret), door.find(high.secret)) == (None, high)
    door.close(high.secret)
    assert elsewhere.find(high.secret) is None
