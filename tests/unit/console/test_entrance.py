"""Logging in, out and up; what comes from elsewhere does nothing."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest

from keystead.access import accounts

from .conftest import BASE, PASSWORD, text_of


@pytest.fixture
def with_password(world: Any) -> Any:
    with world.site.transaction() as tx:
        accounts.set_password(tx, world.site.integrity, "root", PASSWORD, "test")
    return world


def test_nobody_sees_a_page_before_he_logged_in(shown: Any) -> None:
    for path in ("/", "/people.list", "/people.form?sys_id=p01", "/stats.do", "/nothing"):
        answer = shown.browser().get(path, follow_redirects=False)
        assert (answer.status_code, answer.text) == (303, "")
        assert answer.headers["location"].startswith("/login")


def test_what_a_page_asks_by_itself_has_it_read_anew_by_who_is_not_logged_in(world: Any) -> None:
    for path in ("/home/jobs", "/nav_to.do?q=key"):
        answer = world.browser().get(path, headers={"HX-Request": "true"})
        assert (answer.status_code, answer.text) == (401, "")
        assert answer.headers["hx-refresh"] == "true"


def test_log_in_leads_to_what_was_asked_for(with_password: Any) -> None:
    browser = with_password.browser()
    asked = browser.get("/people.list?search.note=*e")
    assert "Log in" in text_of(asked)
    page = browser.log_in("root", next="/people.list?search.note=*e")
    assert page.url.path == "/people.list"
    assert "note contains e" in text_of(page)


def test_a_wrong_password_does_not_lose_the_way(with_password: Any) -> None:
    browser = with_password.browser()
    wrong = browser.log_in("root", "wrong", next="/people.list?search.note=*e")
    assert 'name="next" value="/people.list?search.note=*e"' in unescape(wrong.text)
    browser.log_in("root")
    wrong = browser.post("/elevate", {"password": "wrong", "next": "/people.list"})
    assert wrong.status_code == 403
    assert 'name="next" value="/people.list"' in wrong.text


def test_a_secret_from_outside_is_never_taken_on(with_password: Any) -> None:
    browser = with_password.browser()
    name = f"__Host-keystead-{with_password.site.instance.settings.instance_id[:12]}"
    browser.client.cookies.set(name, "planted", domain="console.test")
    browser.log_in("root")
    first = browser.client.cookies[name]
    assert first != "planted"
    assert "Elevated" in text_of(browser.elevate())
    second = browser.client.cookies[name]
    assert second != first
    old = with_password.browser()
    old.client.cookies.set(name, first)
    assert old.get("/", follow_redirects=False).status_code == 303


def test_the_cookie_is_kept_from_scripts_and_other_sites(with_password: Any) -> None:
    browser = with_password.browser()
    form = {"user": "root", "password": PASSWORD, "csrf": browser.csrf("/login")}
    answer = browser.client.post(
        "/login", data=form, headers={"Origin": BASE}, follow_redirects=False
    )
    (cookie,) = [
        c for c in answer.headers.get_list("set-cookie") if "entering" not in c.split("=")[0]
    ]
    assert cookie.startswith("__Host-keystead-")
    said = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"secure", "httponly", "samesite=strict", "path=/"} <= said


def test_log_out_ends_the_session_itself(world: Any) -> None:
    browser = world.as_("plain")
    name, secret = next(iter(browser.client.cookies.items()))
    browser.post("/logout")
    again = world.browser()
    again.client.cookies.set(name, secret)
    assert again.get("/", follow_redirects=False).status_code == 303


@pytest.mark.parametrize(("user", "password"), [("root", "wrong"), ("nobody", PASSWORD)])
def test_who_is_refused_learns_nothing_more(with_password: Any, user: str, password: str) -> None:
    page = with_password.browser().log_in(user, password)
    assert page.status_code == 403
    assert "is not right" in text_of(page)
    assert password not in page.text


def test_who_fails_too_often_waits(with_password: Any) -> None:
    browser = with_password.browser()
    for _ in range(6):
        browser.log_in("nobody", "wrong")
    assert "then try again" in text_of(browser.log_in("NOBODY", PASSWORD))


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.test"}, {"Origin": "null"}, {}, {"Sec-Fetch-Site": "cross-site"},
     {"Sec-Fetch-Site": "same-site", "Origin": BASE}, {"Origin": "http://console.test"}],
)  # fmt: skip
def test_what_another_site_sends_does_nothing(shown: Any, headers: dict[str, str]) -> None:
    browser = shown.as_("root")
    form = {"csrf": browser.csrf(), "name": "stolen"}
    path = "/sys_kmf_crypto_module.do?operation=module.create"
    answer = browser.client.post(path, data=form, headers=headers)
    assert answer.status_code == 403
    assert "stolen" not in browser.get("/sys_kmf_crypto_module.list").text


def test_a_form_needs_the_token_of_its_session(world: Any) -> None:
    browser, other = world.as_("root"), world.as_("root")
    path = "/sys_kmf_crypto_module.do?operation=module.create"
    for token in ("", "x", other.csrf()):
        form = {"csrf": token, "name": "stolen"}
        assert browser.post(path, form, ours=False).status_code == 403
    assert "stolen" not in browser.get("/sys_kmf_crypto_module.list").text
    header = {"X-Keystead-Csrf": browser.csrf()}
    assert browser.post(path, {"name": "mine"}, ours=False, headers=header).status_code == 200


def test_log_in_needs_the_token_of_its_page(with_password: Any) -> None:
    browser = with_password.browser()
    browser.get("/login")
    form = {"user": "root", "password": PASSWORD, "csrf": "x"}
    answer = browser.client.post("/login", data=form, headers={"Origin": BASE})
    assert answer.status_code == 403
    assert "prod at a glance" not in text_of(answer)


def test_elevation_takes_the_role_and_the_password(with_password: Any) -> None:
    browser = with_password.as_("root")
    refused = browser.post("/elevate", {"password": "wrong", "next": "/"})
    assert refused.status_code == 403
    assert "Elevated" not in text_of(browser.get("/"))
    assert "Elevated" in text_of(browser.elevate())
    assert "Elevated" not in text_of(browser.post("/lower"))
    assert "not have" in text_of(with_password.as_("plain").get("/elevate"))


@pytest.mark.parametrize("path", ["//evil.test", "https://evil.test", "/\\evil.test", "evil", ""])
def test_nobody_is_led_away(with_password: Any, path: str) -> None:
    page = with_password.browser().log_in("root", next=path)
    assert (page.url.host, page.url.path) == ("console.test", "/")


def test_a_deactivated_user_is_out_at_once(world: Any) -> None:
    from keystead.access import people

    browser = world.as_("plain")
    assert browser.get("/").status_code == 200
    with world.site.transaction() as tx:
        people.set_active(tx, world.site.integrity, "plain", False, "test")
    assert browser.get("/", follow_redirects=False).headers["location"] == "/login"


@pytest.mark.parametrize("path", ["/", "/login", "/people.list", "/nothing.list", "/a/b", "/no"])
def test_every_page_is_kept_from_frames_caches_and_scripts(shown: Any, path: str) -> None:
    answer = shown.as_("plain").get(path)
    if answer.headers["content-type"].startswith("application/json"):
        return  # another path than the console's
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "<script>" not in answer.text
    assert " style=" not in answer.text
    assert " on" + "click=" not in answer.text
