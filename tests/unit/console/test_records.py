"""Business records as their users see, write and export them."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest

from .conftest import BASE, text_of

CLEAR = ("Zoë Ångström", "7300451", "zoë@example.com", "Malmö")


def value_of(page: Any, name: str) -> str | None:
    found = re.search(rf'value="([^"]*)"[^>]*name="value\.{name}"', page.text)
    return found[1] if found else None


def seen_of(page: Any) -> str:
    found = re.search(r'name="seen" value="([^"]*)"', page.text)
    assert found
    return found[1]


def save(browser: Any, sys_id: str, **values: str) -> Any:
    path = f"/people.form?sys_id={sys_id}"
    form = {f"value.{n}": v for n, v in values.items()}
    return browser.post(path, {"seen": seen_of(browser.get(path)), **form})


@pytest.mark.parametrize("user", ["guest", "writer"])
@pytest.mark.parametrize(
    "path",
    ["/people.list", "/people.form?sys_id=p01", "/people.csv", "/people.list?sort=note",
     "/people.do?operation=delete&sys_id=p01", "/history?table=people&sys_id=p01",
     "/people.list?search.name=*Zo", "/people.list?search.email=zo%C3%AB@example.com",
     "/people.list?sysparm_query=nameISNOTEMPTY"],
)  # fmt: skip
def test_clear_values_are_on_no_page_of_who_may_not_decrypt(
    shown: Any, user: str, path: str
) -> None:
    page = shown.as_(user).get(path)
    text = page.text.replace("zoë@example.com", "", page.text.count("search.email") and 4)
    assert not any(clear in text for clear in CLEAR)
    assert "~ks" not in page.text


def test_who_may_decrypt_sees_and_finds_them(shown: Any) -> None:
    browser = shown.as_("reader")
    assert all(clear in browser.get("/people.list").text for clear in CLEAR)
    found = browser.get("/people.list?search.email=zoe@example.com")
    assert "1 to 1 of 1" in text_of(found)
    assert "p03" in found.text


@pytest.mark.parametrize(
    ("search", "count"),
    [("note=*ve", 4), ("note=%25ve", 2), ("note=t%25", 4), ("note==one", 1), ("note=!=one", 11),
     ("note=eve", 2), ("id=>p10", 2), ("note=!*e", 3), ("note==", 0), ("note=!=", 12)],
)  # fmt: skip
def test_searches_over_columns(shown: Any, search: str, count: int) -> None:
    page = shown.as_("plain").get(f"/people.list?search.{search}")
    shown = re.search(r"of ([\d,]+)", text_of(page))
    assert (int(shown[1]) if shown else 0) == count


def test_pages_and_order(shown: Any) -> None:
    browser = shown.as_("plain")
    page = browser.get("/people.list?rows=5&page=3&sort=id&descending=true")
    assert "11 to 12 of 12" in text_of(page)
    assert "p01" in page.text
    assert "p12" not in page.text
    far = browser.get(f"/people.list?page={10**18}")
    assert far.status_code == 200
    assert "There is no page" in text_of(far)
    for nonsense in ("-1", "x", "0", "9" * 400):
        assert "1 to 12" in text_of(browser.get(f"/people.list?page={nonsense}&rows={nonsense}"))


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nothing.list", 404), ("/sys_nothing.list", 404), ("/keystead_credential.list", 404),
     ("/people.list?search.nothing=x", 404), ("/people.list?sort=nothing", 404),
     ("/people.list?sysparm_query=nonsense", 400), ("/people.form?sys_id=none", 404),
     ("/nothing", 404), ("/.list", 404), ("/people.do?operation=none", 404),
     ("/people.list?search.note=%00", 400), ("/people.list?search.salary=3", 403),
     ("/people.nothing", 404), ("/sys_attachment.do?sys_id=none", 404)],
)  # fmt: skip
def test_what_cannot_be_is_said_in_two_lines(shown: Any, path: str, status: int) -> None:
    page = shown.as_("plain").get(path)
    assert page.status_code == status
    assert page.headers["content-type"].startswith("text/html")
    assert "Traceback" not in page.text


def test_a_filter_that_cannot_be_asked_stays_to_be_mended(shown: Any) -> None:
    page = shown.as_("reader").get("/people.list?search.name=Zo")
    assert page.status_code == 400
    assert "cannot be searched" in text_of(page)
    assert 'href="/people.list"' in page.text


def test_breadcrumbs_lead_back(shown: Any) -> None:
    page = shown.as_("plain").get("/people.list?search.id=p%25&search.note=*e")
    assert "id starts with p" in text_of(page)
    assert 'href="/people.list?search.id=p%25"' in page.text
    assert 'href="/people.list?search.note=%2Ae"' in page.text


def test_columns_are_chosen_and_kept(shown: Any) -> None:
    browser = shown.as_("plain")
    browser.post("/columns", {"table": "people", "column": ["note", "id"], "back": "/people.list"})
    page = browser.get("/people.list")
    assert re.findall(r'<th scope="col">(?:<a[^>]*>)?(\w+)', page.text) == ["note", "id"]
    assert [row[:2] for row in rows(browser.get("/people.csv"))][1] == ["one", "p01"]


def rows(answer: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))


def test_an_export_computes_nothing(world: Any) -> None:
    site = world.site
    for row, value in (("p01", "=1+2"), ("p02", " @SUM(1)"), ("p03", "-2+3"), ("p04", "-5")):
        site.put("note", row, value)
    site.put("note", "p05", "\t=1")
    answer = world.as_("reader").get("/people.csv?sort=id")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''people.csv"
    table = rows(answer)
    notes = [row[table[0].index("note")] for row in table[1:6]]
    assert notes == ["'=1+2", "' @SUM(1)", "'-2+3", "-5", "'\t=1"]
    assert table[1][table[0].index("name")] == "Zoë Ångström"
    assert len(table) == 13


def test_hostile_text_stays_text(world: Any) -> None:
    hostile = "\"'><script>alert(1)</script>{{1337*1337}}"
    world.site.put("note", "p01", hostile)
    browser = world.as_("both")
    for path in ("/people.list", "/people.form?sys_id=p01"):
        page = browser.get(path)
        assert "<script>alert" not in page.text
        assert "1787569" not in page.text
        assert "&lt;script&gt;alert(1)" in page.text
    page = browser.get("/people.list", params={"search.note": hostile})
    assert "<script>alert" not in page.text
    made = browser.post("/people.form", {"value.id": "<b>x", "value.note": hostile})
    assert made.status_code == 200
    assert "<b>x" not in made.text


def test_a_record_is_made_changed_and_deleted(world: Any) -> None:
    browser = world.as_("both")
    made = browser.post("/people.form", {"value.id": "new", "value.name": "Ñ", "value.note": "n"})
    assert "The record is made." in text_of(made)
    assert value_of(made, "name") == "Ñ"
    assert world.site.cell("name", "new").startswith("~ks")
    changed = save(browser, "new", name="Ö", note="n")
    assert "Saved: name." in text_of(changed)
    history = text_of(browser.get("/history?table=people&sys_id=new"))
    assert "record.update by user:both : name" in " ".join(history.split()).replace(
        "both:", "both :"
    )
    assert "Ö" not in history
    gone = browser.post("/people.delete?sys_id=new")
    assert "is deleted" in text_of(gone)
    assert browser.get("/people.form?sys_id=new").status_code == 404


def test_nothing_is_written_that_was_not_changed(world: Any) -> None:
    browser = world.as_("both")
    stored = world.site.stored()
    page = browser.get("/people.form?sys_id=p05")
    fields = re.findall(r'value="([^"]*)"[^>]*name="value\.(\w+)"', page.text)
    text = re.findall(r'name="value\.(\w+)">\n([^<]*)</textarea>', page.text)
    from html import unescape

    form = {f"value.{n}": unescape(v) for v, n in fields}
    form |= {f"value.{n}": unescape(v).replace("\n", "\r\n") for n, v in text}
    assert len(form) == 6
    said = browser.post("/people.form?sys_id=p05", {**form, "seen": seen_of(page)})
    assert "Nothing was changed." in text_of(said)
    assert world.site.stored() == stored


def test_asterisks_that_come_back_change_nothing(world: Any) -> None:
    browser = world.as_("writer")
    stored = world.site.cell("name", "p01")
    assert value_of(browser.get("/people.form?sys_id=p01"), "name") == "********"
    assert "Saved: note." in text_of(save(browser, "p01", name="********", note="new"))
    assert world.site.cell("name", "p01") == stored


def test_what_may_not_be_written_is_not_offered_and_refused(world: Any) -> None:
    browser = world.as_("guest")
    page = browser.get("/people.form?sys_id=p01")
    assert value_of(page, "name") is None
    assert value_of(page, "note") == "one"
    stored = world.site.cell("name", "p01")
    refused = save(browser, "p01", name="Mallory")
    assert refused.status_code == 403
    assert world.site.cell("name", "p01") == stored


def test_what_somebody_wrote_meanwhile_is_not_overwritten(world: Any) -> None:
    ann, bob = world.as_("both"), world.as_("both")
    seen = seen_of(ann.get("/people.form?sys_id=p01"))
    save(bob, "p01", note="his")
    form = {"seen": seen, "value.note": "hers"}
    late = ann.post("/people.form?sys_id=p01", form)
    assert late.status_code == 409
    assert world.site.cell("note", "p01") == "his"
    assert value_of(late, "note") == "hers"
    again = ann.post("/people.form?sys_id=p01", {"seen": seen_of(late), "value.note": "hers"})
    assert "Saved: note." in text_of(again)


def test_a_value_that_a_browser_would_change_is_not_offered(world: Any) -> None:
    world.site.put("note", "p01", "bell\x07")
    page = world.as_("both").get("/people.form?sys_id=p01")
    assert value_of(page, "note") is None
    assert "characters that a form would change" in text_of(page)


def test_a_file_is_attached_given_out_and_removed(world: Any) -> None:
    browser = world.as_("both")
    form = {"csrf": browser.csrf(), "table_name": "people", "table_sys_id": "p01"}
    file = {"file": ("<b>.html", b"<script>alert(1)</script>", "text/html")}
    page = browser.client.post("/attach", data=form, files=file, headers={"Origin": BASE})
    assert "The file is attached." in text_of(page)
    assert "<b>" not in page.text
    found = re.search(r"/sys_attachment\.do\?sys_id=(\w+)", page.text)
    assert found
    answer = browser.get(found[0])
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    removed = browser.post(found[0])
    assert "The attachment is removed." in text_of(removed)
    assert browser.get(found[0]).status_code == 404


@pytest.mark.parametrize("token", ["", "x"])
def test_a_file_from_elsewhere_is_not_taken_in(world: Any, token: str) -> None:
    browser = world.as_("both")
    form = {"csrf": token, "table_name": "people", "table_sys_id": "p01"}
    file = {"file": ("a.txt", b"a", "text/plain")}
    answer = browser.client.post("/attach", data=form, files=file, headers={"Origin": BASE})
    assert answer.status_code == 403
    assert world.site.sql("SELECT count(*) FROM sys_attachment") == [(0,)]


def test_a_body_that_is_no_form_is_refused(shown: Any) -> None:
    browser = shown.as_("both")
    head = {"Origin": BASE, "X-Keystead-Csrf": browser.csrf()}
    for kind, body in (
        ("application/json", b"{}"),
        ("text/plain", b"a=b"),
        ("application/x-www-form-urlencoded", b"value.note=\xff"),
        ("application/x-www-form-urlencoded", b"value.note=%ff"),
        ("application/x-www-form-urlencoded", b"value.note=%00"),
        ("application/x-www-form-urlencoded", b"a=&" * 3000),
    ):
        told = {**head, "Content-Type": kind}
        answer = browser.client.post("/people.form?sys_id=p01", content=body, headers=told)
        assert answer.status_code == 400, (kind, body[:20])
    large = {**head, "Content-Type": "application/x-www-form-urlencoded"}
    answer = browser.client.post("/people.form", content=b"a" * (5 << 20), headers=large)
    assert answer.status_code == 413
    assert answer.headers["content-type"].startswith("text/html")
