"""How often somebody may try to log in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.access import accounts, attempts
from keystead.access.accounts import LogIn
from keystead.access.attempts import (
    FORGOTTEN_AFTER_SECONDS,
    FREE_FOR_ADDRESS,
    FREE_FOR_NAME,
    LONGEST_SECONDS,
    MOST_KEPT,
    Attempts,
    Tally,
)
from keystead.base.errors import Denied
from keystead.crypto import password

PASSWORD = "correct horse battery"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tries(clock: Clock) -> Attempts:
    return Attempts(clock)


def fail(tries: Attempts, times: int, name: str = "", address: str = "") -> None:
    for _ in range(times):
        tries.fail(name, address)


def test_waits_double_and_have_an_end() -> None:
    waits = [attempts.seconds_left(Tally(n, 0.0), 5, 0.0) for n in range(4, 14)]
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


@given(st.integers(0, 10**9), st.floats(0, 10**6), st.floats(0, 10**6))
def test_nobody_waits_longer_than_a_minute(failures: int, last: float, later: float) -> None:
    left = attempts.seconds_left(Tally(failures, last), FREE_FOR_NAME, last + later)
    assert 0 <= left <= LONGEST_SECONDS
    if failures < FREE_FOR_NAME or later > LONGEST_SECONDS + 1:
        assert left == 0


def test_a_name_counts_however_it_is_written(tries: Attempts) -> None:
    for name in ("ada", "ADA", " Ada ", "ａｄａ", "aDA"):
        assert tries.seconds_left("ada", "") == 0
        tries.fail(name, "")
    for name in ("ada", "Ada", "ADA "):
        assert tries.seconds_left(name, "") == 1
    assert tries.seconds_left("bob", "") == 0


def test_an_address_counts_for_whatever_name(tries: Attempts) -> None:
    for number in range(FREE_FOR_ADDRESS):
        tries.fail(f"user{number}", "192.0.2.7")
    for address in ("192.0.2.7", "::ffff:192.0.2.7"):
        assert tries.seconds_left("another", address) == 1
    assert tries.seconds_left("another", "192.0.2.8") == 0


def test_of_ipv6_a_network_counts(tries: Attempts) -> None:
    for number in range(FREE_FOR_ADDRESS):
        tries.fail("", f"2001:db8:0:1::{number:x}")
    assert tries.seconds_left("", "2001:db8:0:1:ffff::") == 1
    assert tries.seconds_left("", "2001:db8:0:2::1") == 0


def test_what_is_no_address_counts_as_it_is(tries: Attempts) -> None:
    fail(tries, FREE_FOR_ADDRESS, address="testclient")
    assert tries.seconds_left("", "testclient") == 1


def test_the_wait_passes_and_failures_are_forgotten(tries: Attempts, clock: Clock) -> None:
    fail(tries, FREE_FOR_NAME + 2, "ada")
    clock.now = 3.9
    assert tries.seconds_left("ada", "") == pytest.approx(0.1)
    clock.now = 4.0
    assert tries.seconds_left("ada", "") == 0
    tries.fail("ada", "")
    assert tries.seconds_left("ada", "") == 8
    clock.now += FORGOTTEN_AFTER_SECONDS + 1
    tries.fail("ada", "")
    assert tries.seconds_left("ada", "") == 0


def test_success_forgets_the_name_and_not_the_address(tries: Attempts) -> None:
    fail(tries, FREE_FOR_ADDRESS, "ada", "192.0.2.7")
    tries.succeed("Ada")
    assert tries.seconds_left("ada", "") == 0
    assert tries.seconds_left("ada", "192.0.2.7") == 1


def test_what_is_kept_is_bounded(tries: Attempts) -> None:
    fail(tries, FREE_FOR_NAME, "first")
    for number in range(MOST_KEPT):
        tries.fail(f"user{number}", "")
    fail(tries, FREE_FOR_NAME, "x" * 10_000)
    assert tries.seconds_left("x" * 10_000, "") == 1
    assert len(tries._tallies) == MOST_KEPT
    assert max(len(name) for _, name in tries._tallies) < 100


# --- at log-in ---


@pytest.fixture
def log_in(site: Any, monkeypatch: pytest.MonkeyPatch, tries: Attempts) -> LogIn:
    monkeypatch.setattr(password, "hashed", lambda clear: clear)
    monkeypatch.setattr(password, "is_right", lambda clear, stored: clear == stored)
    with site.transaction() as tx:
        accounts.set_password(tx, site.integrity, "reader", PASSWORD, "test")
    return LogIn(site.integrity, attempts=tries)


def refusal(site: Any, log_in: LogIn, name: str, clear: str, address: str = "") -> str:
    with pytest.raises(Denied) as refused:
        log_in.by_password(site.database, name, clear, address)
    return refused.value.code


@pytest.mark.parametrize("name", ["reader", "nobody"])
def test_who_fails_too_often_is_not_let_in_by_the_right_password(
    site: Any, log_in: LogIn, clock: Clock, name: str
) -> None:
    for _ in range(FREE_FOR_NAME):
        assert refusal(site, log_in, name, "wrong") == "login.refused"
    assert refusal(site, log_in, name, PASSWORD) == "login.too_often"
    assert refusal(site, log_in, name.upper(), PASSWORD) == "login.too_often"
    clock.now = 1.0
    if name == "reader":
        assert log_in.by_password(site.database, name, PASSWORD) == name
        assert refusal(site, log_in, name, "wrong") == "login.refused"
    else:
        assert refusal(site, log_in, name, PASSWORD) == "login.refused"


def test_a_remembered_password_is_no_way_around(site: Any, log_in: LogIn) -> None:
    log_in.by_password(site.database, "reader", PASSWORD)
    for _ in range(FREE_FOR_NAME):
        refusal(site, log_in, "reader", "wrong")
    assert refusal(site, log_in, "reader", PASSWORD) == "login.too_often"


def test_many_at_once_are_no_more_than_one(
    site: Any, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    monkeypatch.setattr(password, "is_right", lambda clear, _stored: checked.append(clear))
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda n: refusal(site, log_in, "reader", f"guess {n}"), range(24)))
    assert len(checked) == codes.count("login.refused") == FREE_FOR_NAME
    assert codes.count("login.too_often") == 24 - FREE_FOR_NAME


def test_bad_tokens_count_for_their_address_and_a_good_one_does_not_wait(
    site: Any, log_in: LogIn
) -> None:
    with site.transaction() as tx:
        token = accounts.make_token(tx, site.integrity, "reader", "t", 1, "test")
    codes = []
    for number in range(FREE_FOR_ADDRESS + 1):
        with pytest.raises(Denied) as refused:
            log_in.by_token(site.database, f"kst_{number}", "192.0.2.7")
        codes.append(refused.value.code)
    assert codes == ["login.refused"] * FREE_FOR_ADDRESS + ["login.too_often"]
    assert refusal(site, log_in, "reader", PASSWORD, "192.0.2.7") == "login.too_often"
    assert log_in.by_token(site.database, token, "192.0.2.7") == "reader"
    assert log_in.by_password(site.database, "reader", PASSWORD, "192.0.2.8") == "reader"
