"""Writing rows as a user: what is sealed, what is left as it stands, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection

from keystead.access.effect import MASK
from keystead.access.permissions import Permissions, subject
from keystead.access.rejections import Refusals
from keystead.base.errors import Conflict, Denied, Invalid, NotFound
from keystead.crypto import envelope
from keystead.jobs.model import JobKind
from keystead.keys.usage import Meter, Use
from keystead.records.reading import View
from keystead.records.writing import Writer

FULL = {"id": "n1", "name": "Ñandú", "city": "Oslo", "salary": 5, "email": "n@x", "team": "north"}


def write(site: Any, user: str | None, act: Any) -> Any:
    with site.transaction() as tx:
        return act(writer(site, tx, "people", user))


def writer(site: Any, tx: Connection, table: str, user: str | None) -> Writer:
    asking = subject(tx, site.integrity, user)
    permissions = Permissions(tx, site.integrity, asking, Refusals())
    view = View(tx, site.database, site.hierarchy, table, permissions)
    return Writer(view, site.hierarchy, Use(Meter(site.database, site.hierarchy)))


def row(site: Any, key: str, user: str = "reader") -> dict[str, Any]:
    shown = site.show(user=user, query=f"id={key}")
    return dict(zip(shown.columns, shown.rows[0], strict=True))


@pytest.mark.parametrize("step", ["mixed", "sealed", "rotated"])
def test_a_new_row_is_sealed_and_read_back(request: Any, step: str) -> None:
    site = request.getfixturevalue(step)
    assert write(site, "both", lambda w: w.insert(FULL)) == ("n1",)
    assert row(site, "n1") == {**FULL, "note": None}
    for column in ("name", "city", "salary", "email", "team"):
        assert envelope.is_marked(site.cell(column, "n1"))
    assert "n1" in site.found("team=north")


def test_empty_values_stay_what_they_are(sealed: Any) -> None:
    write(sealed, "both", lambda w: w.insert({"id": "n1", "name": "", "city": None, "salary": ""}))
    assert (sealed.cell("name", "n1"), sealed.cell("city", "n1")) == ("", None)
    write(sealed, "both", lambda w: w.update(("n1",), {"name": "x"}))
    write(sealed, "both", lambda w: w.update(("n1",), {"name": ""}))
    assert sealed.cell("name", "n1") == ""


def test_a_change_leaves_other_columns_alone(sealed: Any) -> None:
    before = sealed.stored()
    write(sealed, "both", lambda w: w.update(("p01",), {"note": "changed"}))
    after = sealed.stored()
    assert [r[:-1] for r in after] == [r[:-1] for r in before]
    assert row(sealed, "p01")["note"] == "changed"


@pytest.mark.parametrize("user", ["guest", "writer", None])
@pytest.mark.parametrize("shown", ["", None, MASK])
@pytest.mark.parametrize("column", ["name", "salary", "team"])
def test_who_was_shown_nothing_changes_nothing_by_saving_it(
    sealed: Any, user: str | None, shown: str | None, column: str
) -> None:
    before = sealed.stored()
    write(sealed, user, lambda w: w.update(("p01",), {column: shown, "note": "one"}))
    assert sealed.stored() == before


@pytest.mark.parametrize("user", ["guest", "reader", None])
@pytest.mark.parametrize("column", ["name", "team"])
def test_who_may_not_encrypt_writes_nothing(sealed: Any, user: str | None, column: str) -> None:
    before = sealed.stored()
    for act in (
        lambda w: w.update(("p01",), {column: "other"}),
        lambda w: w.insert({"id": "n1", column: "other"}),
    ):
        with pytest.raises(Denied) as caught:
            write(sealed, user, act)
        assert caught.value.code == "value.denied"
    assert sealed.stored() == before


def test_who_may_only_decrypt_may_save_what_he_read(sealed: Any) -> None:
    before = sealed.stored()
    write(sealed, "reader", lambda w: w.update(("p01",), {"name": "Zoë Ångström", "note": "one"}))
    assert sealed.stored() == before
    with pytest.raises(Denied):
        write(sealed, "reader", lambda w: w.update(("p01",), {"name": ""}))


@pytest.mark.parametrize("value", ["", None])
def test_who_may_only_decrypt_may_save_nothing_where_nothing_is(
    sealed: Any, value: str | None
) -> None:
    sealed.put("name", "p01", None)
    before = sealed.stored()
    write(sealed, "reader", lambda w: w.update(("p01",), {"name": value, "note": "one"}))
    assert sealed.stored() == before


def test_who_may_only_encrypt_writes_what_he_cannot_read(sealed: Any) -> None:
    write(sealed, "writer", lambda w: w.update(("p01",), {"name": "new", "team": "west"}))
    assert (row(sealed, "p01")["name"], row(sealed, "p01")["team"]) == ("new", "west")
    assert sealed.show(user="writer", query="id=p01", columns=["name"]).rows == [(MASK,)]


@pytest.mark.parametrize("step", ["mixed", "sealed", "rotated"])
def test_a_row_with_a_new_key_is_sealed_anew(request: Any, step: str) -> None:
    site = request.getfixturevalue(step)
    before = row(site, "p03")
    assert write(site, "both", lambda w: w.update(("p03",), {"id": "moved"})) == ("moved",)
    assert row(site, "moved") == {**before, "id": "moved"}
    with pytest.raises(NotFound):
        write(site, "both", lambda w: w.update(("p03",), {"note": "x"}))
    if step == "sealed":
        assert all(c.unreadable == 0 for c in site.open_all().values())


def test_asterisks_in_a_new_row_are_no_value(sealed: Any) -> None:
    masked = dict.fromkeys(("name", "salary", "team"), MASK)
    for user in ("writer", "both"):
        write(sealed, user, lambda w, user=user: w.insert({**masked, "id": user, "note": MASK}))
        assert row(sealed, user, "reader") == {
            **dict.fromkeys(("name", "city", "salary", "email", "team")),
            **{"id": user, "note": MASK},
        }
    with pytest.raises(Invalid):
        write(sealed, "both", lambda w: w.update(("p01",), {"salary": MASK}))
    write(sealed, "both", lambda w: w.update(("p01",), {"name": MASK}))
    assert row(sealed, "p01")["name"] == MASK


def test_a_default_of_the_database_is_not_taken_for_a_sealed_value(sealed: Any) -> None:
    sealed.sql(
        "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT DEFAULT 'plain', b TEXT NOT NULL DEFAULT 'b')"
    )
    for column in ("a", "b"):
        sealed.configure(column, "standard", "t")
    sealed.encrypt("t")
    for values, code in (({}, "value.missing"), ({"b": "x"}, None)):
        with sealed.transaction() as tx:
            made = writer(sealed, tx, "t", "both")
            if code:
                with pytest.raises(Invalid) as caught:
                    made.insert(values)
                assert caught.value.code == code
            else:
                assert made.insert({"id": "1", **values}) == ("1",)
    assert sealed.show(table="t").rows == [("1", None, "x")]


def test_a_unique_column_answers_no_guesses(sealed: Any) -> None:
    """A conflict would tell who may only encrypt which values there are."""
    sealed.sql("CREATE TABLE t (id TEXT PRIMARY KEY, ssn TEXT UNIQUE)")
    sealed.configure("ssn", "equal", "t")
    sealed.encrypt("t")
    act = lambda key, ssn: lambda w: w.insert({"id": key, "ssn": ssn})  # noqa: E731

    def attempt(user: str, key: str, ssn: str) -> str:
        try:
            with sealed.transaction() as tx:
                act(key, ssn)(writer(sealed, tx, "t", user))
        except (Denied, Conflict) as refused:
            return refused.code
        return ""

    assert attempt("both", "1", "123") == ""
    assert attempt("both", "2", "123") == "record.refused"
    assert attempt("writer", "2", "123") == attempt("writer", "3", "456") == "value.unique"
    assert attempt("guest", "2", "123") == attempt("guest", "3", "456") == "value.denied"
    assert attempt("guest", "4", "") == attempt("writer", "5", "") == ""
    assert attempt("both", "6", "") == ""
    with sealed.transaction() as tx, pytest.raises(Denied) as caught:
        writer(sealed, tx, "t", "writer").update(("1",), {"ssn": "789"})
    assert caught.value.code == "value.unique"


def test_writes_between_rotation_and_rekey_are_under_the_new_key(rotated: Any) -> None:
    write(rotated, "both", lambda w: w.update(("p01",), {"team": "north"}))
    assert "p01" in rotated.found("team=north")
    rotated.rekey()
    assert all(len(c.by_key) == 1 for c in rotated.count().values())
    assert "p01" in rotated.found("team=north")


def test_a_write_while_a_job_stands_still_is_kept(mixed: Any) -> None:
    job_id = mixed.start(JobKind.ENCRYPT)
    write(mixed, "both", lambda w: w.update(("p02",), {"name": "meanwhile"}))
    write(mixed, "both", lambda w: w.insert(FULL))
    write(mixed, "both", lambda w: w.delete(("p03",)))
    mixed.move(job_id)
    assert row(mixed, "p02")["name"] == "meanwhile"
    assert row(mixed, "n1")["name"] == FULL["name"]
    assert all(c.plain == 0 for c in mixed.count().values())


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"nothing": "1"}, "column.missing"),
        ({"salary": "many"}, "value.number"),
        ({"salary": "1.5"}, "value.number"),
        ({"id": None}, "value.missing"),
    ],
)
def test_a_value_that_does_not_fit_changes_nothing(
    sealed: Any, values: dict[str, Any], code: str
) -> None:
    before = sealed.stored()
    for act in (lambda w: w.update(("p01",), values), lambda w: w.insert({"note": "x", **values})):
        with pytest.raises((Invalid, NotFound)) as caught:
            write(sealed, "both", act)
        assert caught.value.code == code
    assert sealed.stored() == before


def test_a_key_that_is_taken_is_refused(sealed: Any) -> None:
    before = sealed.stored()
    for act in (
        lambda w: w.insert({**FULL, "id": "p01"}),
        lambda w: w.update(("p01",), {"id": "p02"}),
    ):
        with pytest.raises(Conflict) as caught:
            write(sealed, "both", act)
        assert caught.value.code == "record.refused"
    assert sealed.stored() == before


def test_a_row_that_is_not_there(sealed: Any) -> None:
    for act in (lambda w: w.update(("nobody",), {"note": "x"}), lambda w: w.delete(("nobody",))):
        with pytest.raises(NotFound) as caught:
            write(sealed, "both", act)
        assert caught.value.code == "record.missing"


def test_keys_are_made_where_none_is_given(sealed: Any) -> None:
    (key,) = write(sealed, "both", lambda w: w.insert({"name": "x"}))
    assert len(key) == 32
    sealed.sql("CREATE TABLE numbers (id INTEGER PRIMARY KEY, n TEXT)")
    with sealed.transaction() as tx:
        made = writer(sealed, tx, "numbers", None)
        assert [made.insert({"n": "a"}), made.insert({"n": "b"})] == [(1,), (2,)]


def test_a_table_without_a_key_cannot_be_written(sealed: Any) -> None:
    sealed.sql("CREATE TABLE loose (n TEXT)")
    with sealed.transaction() as tx, pytest.raises(Invalid) as caught:
        writer(sealed, tx, "loose", None)
    assert caught.value.code == "record.no_key"
