"""What was changed behind Keystead's back is refused: never shown, never moved, never a surprise.

Clause numbers are those of docs/formats/envelope.md.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.unit.opened import opened

from keystead.base.errors import KeysteadError, Tampered
from keystead.base.secret import Secret
from keystead.crypto import envelope
from keystead.crypto.ciphers import column_cipher
from keystead.crypto.encoding import b64_encode
from keystead.crypto.envelope import MARKER, PREFIX_LENGTH, Scheme
from keystead.crypto.wrap import new_key
from keystead.fields.census import needs
from keystead.fields.values import EncryptedColumn
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.keys import tables as key_tables

STANDARD = ["name", "city", "salary"]
EQUALITY = ["email", "team"]
EVERY = STANDARD + EQUALITY
NEIGHBOUR = {"name": "city", "city": "name", "salary": "name", "email": "team", "team": "email"}
FILLED = ["p01", "p02", "p05", "p12"]  # rows that have a value in every encrypted column
CONFIGURATIONS = "sys_platform_encryption_configuration"
COLUMN_KEYS = "keystead_column_key"
KEYS = "sys_kmf_module_key"
POLICIES = "sys_kmf_crypto_caller_policy"
ROLES = "sys_user_has_role"

properties = settings(
    derandomize=True,
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def shared(templates, tmp_path_factory) -> Iterator[Any]:
    """One rotated instance for many small changes, each of which is taken back."""
    made = templates.copy("rotated", tmp_path_factory.mktemp("tampering") / "home")
    yield made
    made.database.close()


@contextmanager
def changed(site, *cells: tuple[str, str, Any]) -> Iterator[None]:
    """Cells (column, row, value) written over by another program, and put back at the end."""
    before = [(column, row, site.cell(column, row)) for column, row, _ in cells]
    for cell in cells:
        site.put(*cell)
    try:
        yield
    finally:
        for cell in before:
            site.put(*cell)


def refused_when_shown(site, column: str) -> None:
    with pytest.raises(Tampered) as caught:
        site.show(columns=["id", column])
    assert caught.value.code == "value.tampered"
    assert caught.value.facts == {"table": "people", "column": column}


def refused_by_census(site, column: str, cells: int = 1, others: int = 0) -> None:
    """The census counts what does not open, and is not stopped by it."""
    counted = site.open_all()
    values = [v for (v,) in site.sql(f"SELECT {column} FROM people") if v not in (None, "")]
    assert counted[column].opened == len(values) - cells
    assert counted[column].unreadable == cells
    assert sum(c.unreadable for name, c in counted.items() if name != column) == others


def refused_by_rekeying(site) -> None:
    refused_by_a_job(site, JobKind.REKEY)


def refused_by_a_job(site, kind: JobKind) -> None:
    before = site.stored()
    job_id = site.start(kind)
    try:
        with pytest.raises(Tampered):
            site.move(job_id)
        assert site.stored() == before
        job = site.job(job_id)
        assert (job["state"], job["error_family"]) == ("failed", "tampered")
    finally:
        site.cancel(job_id)


def refused(site, column: str, cells: int = 1) -> None:
    refused_when_shown(site, column)
    refused_by_census(site, column, cells)
    refused_by_rekeying(site)


def scheme_of(column: str) -> Scheme:
    return Scheme.STANDARD if column in STANDARD else Scheme.EQUALITY


def module_of(column: str) -> str:
    return "standard" if column in STANDARD else "equal"


def key_id_of(site, module: str, at: int) -> bytes:
    return bytes.fromhex(site.keys_of(module)[at]["sys_id"])


def secret_of(site, module: str, at: int) -> Secret:
    return opened(site, site.keys_of(module)[at])


def forged(column: str, key_id: bytes, secret: Secret, text: str = "forged") -> str:
    """A perfect envelope for the first row of a column, under some key."""
    cipher = column_cipher(scheme_of(column), key_id, secret, "people", column)
    return cipher.seal_many([text], [envelope.record(("p01",))])[0]


def test_without_a_change_everything_opens_and_moves(rotated, people):
    assert rotated.rows() == people
    counted = rotated.open_all()
    for at, column in enumerate(EVERY, start=1):
        held = sum(row[at] not in (None, "") for row in people)
        assert (counted[column].opened, counted[column].unreadable) == (held, 0)
    assert rotated.rekey()["state"] == "done"
    assert rotated.rows() == people


class TestEnvelope:
    @pytest.mark.parametrize("column", EVERY)
    def test_with_any_character_changed_or_cut_or_doubled(self, shared, column):
        """Every place of a value, by the routine that opens it for people, census and jobs."""
        value = shared.cell(column, "p12")
        record = envelope.record(("p12",))
        with shared.snapshot() as tx:
            configured = shared.configurations()[column]
            opener = EncryptedColumn(tx, shared.hierarchy, configured)
        opener.open_many([value], [record])
        for place, character in enumerate(value):
            others = [c for c in 'AQgwZ09-_.~=+/ ,"\\é' if c != character]
            damaged = [value[:place] + other + value[place + 1 :] for other in others]
            damaged += [value[:place] + character + value[place:], value[:place]]
            damaged += [value[:place] + value[place + 1 :], value[place + 1 :]]
            for one in set(damaged) - {value, ""}:
                with pytest.raises(Tampered):
                    opener.open_many([one], [record])
                with pytest.raises(Tampered):
                    opener.open_held([one], [record])

    @properties
    @given(
        column=st.sampled_from(EVERY),
        row=st.sampled_from(FILLED),
        at=st.floats(0, 1, exclude_max=True),
        to=st.sampled_from(string.ascii_letters + string.digits + "-_.~=+/") | st.characters(),
    )
    def test_with_a_character_changed_in_the_file(self, shared, column, row, at, to):
        value = shared.cell(column, row)
        place = int(at * len(value))
        assume(value[place] != to and to.isprintable())
        with changed(shared, (column, row, value[:place] + to + value[place + 1 :])):
            refused(shared, column)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda v: v + "~",
            lambda v: v + v,
            lambda v: v[:-1],
            lambda v: v[: PREFIX_LENGTH + 10],
            lambda v: v[:-1] + "=~",
            lambda v: v[:-1] + "AAAA~",
            lambda v: v[:40] + "\n" + v[40:],
            lambda v: v[:PREFIX_LENGTH],
            lambda v: v[:PREFIX_LENGTH] + "A" * 22 + "~",
            lambda v: v[:PREFIX_LENGTH] + v[PREFIX_LENGTH:-1].swapcase() + "~",
            lambda v: v[:4] + {"s": "e", "e": "s"}[v[4]] + v[5:],
            lambda v: v[:6] + v[6:28].swapcase() + v[28:],
            lambda v: v[:-1] + '","AAAA~',
            lambda v: v[:-1] + "\\~",
            lambda v: MARKER,
            lambda v: MARKER + "山",
        ],
    )
    def test_in_another_form(self, shared, damage):
        cells = [(c, "p12", damage(shared.cell(c, "p12"))) for c in ("name", "team")]
        with changed(shared, *cells):
            refused_when_shown(shared, "name")
            refused_when_shown(shared, "team")
            refused_by_census(shared, "name", others=1)
            refused_by_rekeying(shared)

    @properties
    @given(column=st.sampled_from(EVERY), body=st.binary(min_size=16, max_size=60))
    def test_made_up_under_a_known_key(self, shared, column, body):
        key_id = key_id_of(shared, module_of(column), 0)
        value = envelope.prefix(scheme_of(column), key_id) + b64_encode(body) + "~"
        with changed(shared, (column, "p12", value)):
            refused_when_shown(shared, column)
            refused_by_census(shared, column)

    @pytest.mark.parametrize("source", ["name", "email"])
    def test_put_into_a_mixed_column(self, sealed, source):
        """There plain text is taken as it is, but never what claims to be an envelope."""
        sealed.sql("CREATE TABLE more (id TEXT PRIMARY KEY, value TEXT)")
        sealed.sql("INSERT INTO more VALUES ('p01', 'plain'), ('p02', 'plain')")
        sealed.configure("value", module_of(source), "more")
        sealed.put("value", "p01", sealed.cell(source, "p01"), "more")
        with pytest.raises(Tampered):
            sealed.show(table="more")

    def test_leaves_the_other_columns_as_they_are(self, shared, people):
        with changed(shared, ("name", "p01", "~ks1 damaged")):
            others = ["id", "city", "salary", "email", "team", "note"]
            assert shared.show(columns=others).rows == [(p[0], *p[2:]) for p in people]


class TestMoved:
    @pytest.mark.parametrize("column", STANDARD)
    def test_to_another_row(self, shared, column):
        with changed(shared, (column, "p02", shared.cell(column, "p01"))):
            refused(shared, column)

    @pytest.mark.parametrize(("column", "row"), [("name", "p06"), ("city", "p06")])
    def test_to_a_row_that_was_empty(self, shared, column, row):
        with changed(shared, (column, row, shared.cell(column, "p01"))):
            refused(shared, column)

    @pytest.mark.parametrize("column", STANDARD)
    def test_between_two_rows(self, shared, column):
        one, two = shared.cell(column, "p01"), shared.cell(column, "p02")
        with changed(shared, (column, "p01", two), (column, "p02", one)):
            refused(shared, column, cells=2)

    @pytest.mark.parametrize("column", EVERY)
    def test_to_another_column(self, shared, column):
        with changed(shared, (column, "p01", shared.cell(NEIGHBOUR[column], "p01"))):
            refused(shared, column)

    @pytest.mark.parametrize(("column", "source"), [("name", "team"), ("team", "name")])
    def test_to_a_column_of_the_other_mode(self, shared, column, source):
        with changed(shared, (column, "p01", shared.cell(source, "p01"))):
            refused(shared, column)

    @pytest.mark.parametrize(("one", "two"), [("name", "city"), ("email", "team")])
    def test_between_two_columns(self, shared, one, two):
        first, second = shared.cell(one, "p01"), shared.cell(two, "p01")
        with changed(shared, (one, "p01", second), (two, "p01", first)):
            for column in (one, two):
                refused_when_shown(shared, column)
            refused_by_census(shared, one, others=1)
            refused_by_rekeying(shared)

    def test_from_the_same_column_and_row_of_another_table(self, rotated, encrypted):
        rotated.sql("CREATE TABLE staff (id TEXT PRIMARY KEY, name TEXT, email TEXT)")
        rotated.sql("INSERT INTO staff VALUES ('p01', 'Somebody else', 'else@example.com')")
        for column in ("name", "email"):
            rotated.configure(column, encrypted[column], "staff")
        rotated.encrypt("staff")
        assert rotated.rows("staff") == [("p01", "Somebody else", "else@example.com")]
        rotated.rotate()
        for column in ("name", "email"):
            with changed(rotated, (column, "p01", rotated.cell(column, "p01", "staff"))):
                refused(rotated, column)

    @pytest.mark.parametrize(("column", "at"), [("email", 4), ("team", 5)])
    def test_to_another_row_opens_when_equality_preserving(self, shared, column, at, people):
        """Clause 6: the record is not bound."""
        with changed(shared, (column, "p02", shared.cell(column, "p01"))):
            assert shared.rows()[1][at] == people[0][at]


class TestUnderAnotherKey:
    @pytest.mark.parametrize("column", ["name", "email"])
    @pytest.mark.parametrize("relabelled", [False, True])
    def test_of_another_module(self, shared, column, relabelled):
        own, theirs = module_of(column), module_of("email" if column == "name" else "name")
        key_id = key_id_of(shared, own if relabelled else theirs, 0)
        value = forged(column, key_id, secret_of(shared, theirs, 0))
        with changed(shared, (column, "p01", value)):
            refused(shared, column)

    @pytest.mark.parametrize("column", ["name", "email"])
    def test_that_nobody_knows(self, shared, column):
        for key_id in (key_id_of(shared, module_of(column), 0), b"0123456789abcdef"):
            with changed(shared, (column, "p01", forged(column, key_id, new_key()))):
                refused(shared, column)

    @pytest.mark.parametrize("column", ["name", "email"])
    def test_of_the_same_module(self, shared, column):
        """A value is bound to the id of its key, so a newer id written over it does not fit."""
        value = shared.cell(column, "p01")
        newest = envelope.prefix(scheme_of(column), key_id_of(shared, module_of(column), 1))
        assert not value.startswith(newest)
        with changed(shared, (column, "p01", newest + value[PREFIX_LENGTH:])):
            refused_when_shown(shared, column)
            refused_by_census(shared, column)

    def test_that_cannot_be_told_counts_for_every_key(self, shared):
        """It might need this one, so this one is not dropped."""
        key_id = shared.keys_of("standard")[1]["sys_id"]
        value = shared.cell("city", "p01")
        with changed(shared, ("city", "p01", value[:10] + "AAAA" + value[14:])):
            with shared.snapshot() as tx:
                needing = needs(shared.database, shared.hierarchy)(tx, key_id)
            assert needing == {"people.city": 1}


class TestNoEnvelope:
    @pytest.mark.parametrize("column", ["salary", "email"])
    @pytest.mark.parametrize(
        "value", ["clear text", " ", 7, 1.5, "~ks2", "~KS1", b"blob", b"~ks1s.", b"\xff"]
    )
    def test_in_a_sealed_column(self, shared, column, value):
        with changed(shared, (column, "p01", value)):
            refused_when_shown(shared, column)
            refused_by_census(shared, column)

    @pytest.mark.parametrize("kind", [JobKind.ENCRYPT, JobKind.REKEY])
    @pytest.mark.parametrize("value", ["clear text", " ", 7, "~ks2", b"blob", "its bytes"])
    def test_stops_every_job(self, shared, kind, value):
        """Encrypting the rest of a table does not make it look as if Keystead had written it."""
        if value == "its bytes":
            value = shared.cell("email", "p01").encode()
        with changed(shared, ("email", "p01", value)):
            refused_by_a_job(shared, kind)

    def test_what_was_written_is_not_repeated_in_the_refusal(self, shared):
        with changed(shared, ("name", "p01", "written by hand")):
            with pytest.raises(Tampered) as caught:
                shared.show()
            error = caught.value
            assert "written by hand" not in f"{error} {error.what} {error.todo} {error.facts}"


class TestNotNoticed:
    """Clause 7.3 says so."""

    @pytest.mark.parametrize(
        ("column", "at", "text"), [("name", 1, "Somebody new"), ("email", 4, "new@example.com")]
    )
    def test_an_older_envelope_put_back(self, sealed, people, column, at, text):
        older = sealed.cell(column, "p01")
        module = module_of(column)
        newer = forged(column, key_id_of(sealed, module, 0), secret_of(sealed, module, 0), text)
        sealed.put(column, "p01", newer)
        assert sealed.rows()[0][at] == text

        sealed.put(column, "p01", older)

        assert sealed.rows() == people

    @pytest.mark.parametrize("nothing", [None, ""])
    @pytest.mark.parametrize("column", ["name", "email"])
    def test_a_value_taken_away(self, shared, column, nothing):
        with changed(shared, (column, "p01", nothing)):
            assert shared.show(columns=[column]).rows[0] == (nothing,)


def refused_outright(
    site, table: str, rekeying: type[KeysteadError] = Tampered, code: str = "row.tampered"
) -> None:
    """Nothing is shown, counted or moved, and the refusal names the table."""
    before = site.everything()
    for attempt in (site.show, site.open_all):
        with pytest.raises(Tampered) as caught:
            attempt()
        assert caught.value.code == code
        assert caught.value.facts["table"] == table
    with pytest.raises(rekeying):
        site.start(JobKind.REKEY)
    assert site.everything() == before


def swap(site, table: str, field: str, one: str, two: str) -> None:
    values = dict(site.sql(f"SELECT sys_id, {field} FROM {table}"))
    site.sql(f"UPDATE {table} SET {field} = 'neither' WHERE sys_id = ?", one)
    site.sql(f"UPDATE {table} SET {field} = ? WHERE sys_id = ?", values[one], two)
    site.sql(f"UPDATE {table} SET {field} = ? WHERE sys_id = ?", values[two], one)


class TestConfiguration:
    @pytest.mark.parametrize(
        "change",
        [
            "phase = 'mixed'",
            "phase = 'neither'",
            "module_id = (SELECT sys_id FROM sys_kmf_crypto_module WHERE name = 'global.equal')",
            "module_id = ''",
            "spec_id = (SELECT c.spec_id FROM sys_platform_encryption_configuration AS c"
            " WHERE c.column_name = 'email')",
            "spec_id = ''",
            "scheme = 'e'",
            "scheme = 'x'",
            "original_type = 'integer'",
            "original_type = x'00'",
            "column_name = 'note'",
            "revision = revision + 1",
            "revision = 1e300",
            "tag = 'not hexadecimal'",
            "tag = substr(tag, 2) || '0'",
            "tag = x'00'",
            "sys_id = '0'",
        ],
    )
    def test_changed(self, rotated, change):
        rotated.sql(f"UPDATE {CONFIGURATIONS} SET {change} WHERE column_name = 'name'")
        refused_outright(rotated, CONFIGURATIONS)

    def test_of_an_equality_preserving_column_changed(self, rotated):
        rotated.sql(f"UPDATE {CONFIGURATIONS} SET scheme = 's' WHERE column_name = 'email'")
        refused_outright(rotated, CONFIGURATIONS)

    @pytest.mark.parametrize("field", ["column_name", "tag"])
    def test_swapped(self, rotated, field):
        ids = {name: c.sys_id for name, c in rotated.configurations().items()}
        swap(rotated, CONFIGURATIONS, field, ids["name"], ids["city"])
        refused_outright(rotated, CONFIGURATIONS)

    def test_added(self, rotated):
        rotated.sql(
            f"INSERT INTO {CONFIGURATIONS} SELECT 'new', table_name, 'note', module_id, spec_id,"
            f" scheme, 'mixed', original_type, type, revision, tag FROM {CONFIGURATIONS} LIMIT 1"
        )
        refused_outright(rotated, CONFIGURATIONS)


class TestColumnKeys:
    def test_added(self, rotated):
        rotated.sql(
            f"INSERT INTO {COLUMN_KEYS} SELECT 'new', configuration_id, '{'0' * 32}', revision, tag"
            f" FROM {COLUMN_KEYS} LIMIT 1"
        )
        refused_outright(rotated, COLUMN_KEYS)

    @pytest.mark.parametrize("key_id", ["0" * 32, "not hexadecimal", ""])
    def test_changed(self, rotated, key_id):
        first = f"(SELECT min(sys_id) FROM {COLUMN_KEYS})"
        rotated.sql(f"UPDATE {COLUMN_KEYS} SET key_id = ? WHERE sys_id = {first}", key_id)
        refused_outright(rotated, COLUMN_KEYS)

    @pytest.mark.parametrize("column", ["name", "email"])
    def test_deleted(self, rotated, column):
        sys_id = rotated.configurations()[column].sys_id
        rotated.sql(f"DELETE FROM {COLUMN_KEYS} WHERE configuration_id = ?", sys_id)
        refused_outright(rotated, COLUMN_KEYS, code="table.tampered")

    def test_swapped(self, rotated):
        ids = {name: c.sys_id for name, c in rotated.configurations().items()}
        rows = {c: s for s, c in rotated.sql(f"SELECT sys_id, configuration_id FROM {COLUMN_KEYS}")}
        one, two = rows[ids["name"]], rows[ids["email"]]
        swap(rotated, COLUMN_KEYS, "configuration_id", one, two)
        refused_outright(rotated, COLUMN_KEYS)


class TestKeys:
    @pytest.mark.parametrize("to", ["active", "destroyed", "neither"])
    def test_state_of_an_old_key_changed(self, rotated, to):
        rotated.sql(f"UPDATE {KEYS} SET state = ? WHERE state = 'deactivated'", to)
        before = rotated.stored()
        for attempt in (rotated.show, rotated.open_all, rotated.rekey):
            with pytest.raises(Tampered):
                attempt()
        assert rotated.stored() == before

    @pytest.mark.parametrize("to", ["deactivated", "destroyed", "neither"])
    def test_state_of_the_active_key_changed(self, rotated, to):
        rotated.sql(f"UPDATE {KEYS} SET state = ? WHERE state = 'active'", to)
        refused_outright(rotated, KEYS, rekeying=KeysteadError)

    @pytest.mark.parametrize("field", ["state", "active_of", "version", "generated_at", "tag"])
    def test_swapped(self, rotated, field):
        old, new = (key["sys_id"] for key in rotated.keys_of("standard"))
        swap(rotated, KEYS, field, old, new)
        refused_outright(rotated, KEYS)

    @pytest.mark.parametrize("other", ["standard", "equal"])
    def test_material_swapped(self, rotated, other):
        one, two = rotated.keys_of("standard")[0]["sys_id"], rotated.keys_of(other)[1]["sys_id"]
        swap(rotated, KEYS, "material", one, two)
        refused_outright(rotated, KEYS)
        swap(rotated, KEYS, "tag", one, two)
        refused_outright(rotated, KEYS)

    @pytest.mark.parametrize(
        "change",
        [
            "version = version + 10",
            "material = NULL",
            "material = 'no base64'",
            "origin = 'imported'",
            "source_instance = 'x'",
            "activated_at = NULL",
            "revision = revision + 1",
        ],
    )
    def test_changed(self, rotated, change):
        rotated.sql(f"UPDATE {KEYS} SET {change}")
        refused_outright(rotated, KEYS)

    def test_material_of_another_key_under_a_valid_tag(self, rotated):
        """A second guard behind the tag: the wrapping names the key that it is for."""
        old, new = rotated.keys_of("standard")
        with rotated.transaction() as tx:
            rotated.integrity.update(tx, key_tables.KEYS, old, "the key", material=new["material"])
        before = rotated.stored()
        for attempt in (rotated.show, rotated.open_all, rotated.rekey):
            with pytest.raises(Tampered) as caught:
                attempt()
            assert caught.value.facts == {"row": old["sys_id"], "table": KEYS}
        assert rotated.stored() == before

    @pytest.mark.parametrize("act", [keys.rotate, keys.generate])
    @pytest.mark.parametrize("table", [KEYS, "sys_kmf_crypto_module", "sys_kmf_module_crypto_spec"])
    def test_no_new_key_is_made_beside_a_changed_row(self, rotated, act, table):
        rotated.sql(f"UPDATE {table} SET revision = revision + 1")
        before = rotated.everything()
        with pytest.raises(Tampered), rotated.transaction() as tx:
            act(tx, rotated.hierarchy, "standard", "test")
        assert rotated.everything() == before


class TestPolicies:
    @pytest.mark.parametrize(
        "change",
        [
            "role = 'guests' WHERE role = 'readers'",
            "operation = 'both' WHERE role = 'writers'",
            "active = 2",
            "active = 0",
            "result = 'neither'",
            "revision = revision + 1",
        ],
    )
    def test_changed(self, sealed, change):
        sealed.sql(f"UPDATE {POLICIES} SET {change}")
        for user in ("reader", "writer", "guest"):
            with pytest.raises(Tampered) as caught:
                sealed.show(user=user)
            assert caught.value.facts["table"] == POLICIES

    def test_moved_to_another_module(self, sealed):
        modules = dict(sealed.sql("SELECT name, sys_id FROM sys_kmf_crypto_module"))
        sealed.sql(f"UPDATE {POLICIES} SET module_id = ?", modules["global.equal"])
        with pytest.raises(Tampered):
            sealed.show()

    def test_added(self, sealed):
        for number, (policy,) in enumerate(sealed.sql(f"SELECT sys_id FROM {POLICIES}")):
            sealed.sql(
                f"INSERT INTO {POLICIES} (sys_id, type, module_id, role, operation, result, active,"
                " revision, tag) SELECT ?, type, module_id, 'guests', 'both', result, active,"
                f" revision, tag FROM {POLICIES} WHERE sys_id = ?",
                f"new {number}",
                policy,
            )
        with pytest.raises(Tampered):
            sealed.show(user="guest")

    def test_a_role_given_to_a_user(self, sealed):
        ((guest,),) = sealed.sql("SELECT sys_id FROM sys_user WHERE user_name = 'guest'")
        sealed.sql(
            f"INSERT INTO {ROLES} SELECT 'new', ?, role, revision, tag FROM {ROLES}"
            " WHERE role = 'readers'",
            guest,
        )
        with pytest.raises(Tampered) as caught:
            sealed.show(user="guest")
        assert caught.value.facts["table"] == ROLES
        with pytest.raises(Tampered):
            sealed.show(user="reader")

    def test_a_users_role_changed(self, sealed):
        sealed.sql(f"UPDATE {ROLES} SET role = 'readers' WHERE role = 'guests'")
        with pytest.raises(Tampered):
            sealed.show(user="guest")

    def test_the_names_of_users_swapped(self, sealed):
        for old, new in (("guest", "neither"), ("reader", "guest"), ("neither", "reader")):
            sealed.sql("UPDATE sys_user SET user_name = ? WHERE user_name = ?", new, old)
        for user in ("guest", "reader"):
            with pytest.raises(Tampered):
                sealed.show(user=user)
