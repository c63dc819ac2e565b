"""A mass job moves every value once, loses nobody's edit, and can be stopped anywhere."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from keystead.base.errors import (
    Conflict,
    Denied,
    IllegalTransition,
    Invalid,
    KeysteadError,
    NotFound,
)
from keystead.crypto.envelope import MARKER, Scheme, record
from keystead.fields import service as fields
from keystead.fields.mass_job import MOST_PASSES, MassJob
from keystead.fields.values import EncryptedColumn
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.keys.tables import KEYS

FIELDS = ["name", "city", "salary", "email", "team"]
SEALED = dict.fromkeys(FIELDS, "sealed")
MIXED = dict.fromkeys(FIELDS, "mixed")
PAGES = 3  # of the table, for an interrupted database


class Killed(BaseException):
    """The process ends here."""


def once(page: int, act: Any) -> Any:
    """Do something after a page is read, the first time it is."""
    pending = [page]

    def after_page(number: int) -> None:
        if number in pending:
            pending.remove(number)
            act()

    return after_page


def killing(page: int) -> Any:
    def kill() -> None:
        raise Killed

    return once(page, kill)


def held(people, at: int) -> int:
    return sum(row[at] not in (None, "") for row in people)


class TestEncryption:
    def test_seals_every_column_and_keeps_every_value(self, mixed, people):
        job = mixed.encrypt()

        assert mixed.phases() == SEALED
        assert mixed.rows() == people
        assert job["state"] == "done"
        assert job["done"] == job["total"] == len(people)
        assert job["counts"]["values"] == sum(held(people, at) for at in range(1, 6))
        assert job["counts"]["passes"] == 1
        assert job["counts"]["lost_races"] == 0

    def test_leaves_no_plain_value(self, mixed, people):
        mixed.encrypt()
        for row, clear in zip(mixed.stored(), people, strict=True):
            assert row[0] == clear[0]
            assert row[6] == clear[6]
            for stored, value in zip(row[1:6], clear[1:6], strict=True):
                if value in (None, ""):
                    assert stored == value
                else:
                    assert stored.startswith(MARKER)
                    assert len(stored) > len(str(value))

    def test_null_stays_null_and_empty_stays_empty(self, mixed):
        mixed.encrypt()
        assert mixed.stored()[5][1:3] == ("", None)
        assert mixed.stored()[6][1:3] == (None, "")
        counted = mixed.count()
        assert (counted["name"].null, counted["name"].empty) == (1, 1)
        assert (counted["team"].null, counted["team"].empty) == (1, 1)

    def test_integers_come_back_as_integers(self, mixed, people):
        before = [row[3] for row in mixed.rows()]
        mixed.encrypt()
        after = [row[3] for row in mixed.rows()]
        assert before == after == [row[3] for row in people]
        assert {type(value) for value in after} == {int, type(None)}

    def test_equal_values_are_stored_equal_only_where_asked(self, mixed):
        mixed.put("name", "p02", "Zoë Ångström")
        mixed.encrypt()
        assert mixed.cell("email", "p01") == mixed.cell("email", "p06")
        assert mixed.cell("email", "p01") != mixed.cell("email", "p02")
        assert mixed.cell("team", "p01") != mixed.cell("team", "p02")
        assert mixed.cell("name", "p01") != mixed.cell("name", "p02")

    def test_again_changes_nothing(self, sealed):
        before = sealed.stored()
        job = sealed.encrypt()
        assert job["counts"]["values"] == 0
        assert sealed.stored() == before
        assert sealed.phases() == SEALED

    def test_of_an_empty_table(self, site):
        site.sql("CREATE TABLE blank (id INTEGER PRIMARY KEY, value TEXT)")
        site.configure("value", "standard", "blank")
        assert site.encrypt("blank")["state"] == "done"
        assert site.phases("blank") == {"value": "sealed"}

    def test_of_a_table_with_a_key_of_two_columns(self, site, interrupted):
        site.sql("CREATE TABLE lines (n INTEGER, part TEXT, value TEXT, PRIMARY KEY (part, n))")
        rows = [(n, part, f"{part}{n}") for part in ("", "ä", "山") for n in (-1, 0, 10, 9)]
        for row in rows:
            site.sql("INSERT INTO lines VALUES (?, ?, ?)", *row)
        site.configure("value", "standard", "lines")
        site.move(site.start(JobKind.ENCRYPT, "lines"), interrupted(site))
        assert site.phases("lines") == {"value": "sealed"}
        assert sorted(site.rows("lines")) == sorted(rows)

    def test_leaves_no_clear_text_on_the_disk(self, site, people, encrypted):
        site.sql("CREATE INDEX people_by_email ON people (email)")
        site.sql("CREATE INDEX people_by_salary ON people (salary)")
        for column, module in encrypted.items():
            site.configure(column, module)
        names = [row[1] for row in people if row[1] and len(row[1]) > 6]
        texts = [
            *names,
            "zoë@example.com",
            "山田@例え.jp",
            "Malmö",
            "Orlando",
            "7300451",
            "-7300455",
        ]
        clear = [str(text).encode() for text in texts]
        assert [text for text in clear if text not in site.on_disk()] == []

        site.encrypt()

        assert [text for text in clear if text in site.on_disk()] == []
        assert site.rows() == people

    def test_says_what_the_scrub_did_and_where_clear_text_may_remain(self, mixed):
        counts = mixed.encrypt()["counts"]
        assert all(line for line in counts["scrub_done"])
        assert any("backups" in line for line in counts["scrub_may_remain"])

    def test_of_a_column_that_came_later(self, sealed, people):
        before = sealed.stored()
        sealed.configure("note", "equal")
        assert sealed.phases() == {**SEALED, "note": "mixed"}
        sealed.encrypt()
        assert sealed.phases() == {**SEALED, "note": "sealed"}
        assert [row[:6] for row in sealed.stored()] == [row[:6] for row in before]
        assert sealed.rows() == people


class TestMixed:
    def test_reads_plain_and_encrypted_values_alike(self, mixed, people, interrupted):
        job_id = mixed.start(JobKind.ENCRYPT)
        with pytest.raises(Killed):
            mixed.move(job_id, interrupted(mixed, killing(2)))

        counted = mixed.count()
        for at, column in enumerate(FIELDS, start=1):
            assert counted[column].encrypted == held(people[:5], at)
            assert counted[column].plain == held(people[5:], at)
        assert mixed.phases() == MIXED
        assert mixed.rows() == people
        assert sum(c.unreadable for c in mixed.open_all().values()) == 0

    def test_search_finds_plain_and_encrypted_values_alike(self, mixed, people, interrupted):
        job_id = mixed.start(JobKind.ENCRYPT)
        with pytest.raises(Killed):
            mixed.move(job_id, interrupted(mixed, killing(2)))
        assert_searchable(mixed, people)

    def test_a_plain_value_written_meanwhile_is_read_and_then_encrypted(self, mixed, people):
        mixed.put("email", "p01", "written@example.com")
        assert mixed.rows()[0][4] == "written@example.com"
        mixed.encrypt()
        assert mixed.rows()[0][4] == "written@example.com"
        assert mixed.cell("email", "p01").startswith(MARKER)


def assert_searchable(site, people) -> None:
    """Each value of an equality preserving column finds exactly the rows that hold it."""
    for column, at, values in (
        ("email", 4, ["zoë@example.com", "Zoë@example.com", "last@example.com"]),
        ("team", 5, ["north", "North", "north ", "北", "N\u00f3rd", ""]),
    ):
        for wanted in values:
            rows = [row[0] for row in people if row[at] == wanted]
            assert site.found(f"{column}={wanted}") == rows != []
    assert site.found("team=NORTH") == []
    assert site.found("team=north^note=twelve") == ["p12"]


class TestSearch:
    def test_of_an_equality_preserving_column(self, mixed, sealed_after, people):
        assert_searchable(mixed, people)
        assert_searchable(sealed_after, people)

    def test_of_a_standard_column_is_refused(self, sealed):
        with pytest.raises(Invalid) as caught:
            sealed.found("name=Zoe Angstrom")
        assert caught.value.code == "query.standard"

    def test_by_another_operator_is_refused(self, sealed):
        with pytest.raises(Invalid) as caught:
            sealed.found("teamSTARTSWITHnor")
        assert caught.value.code == "query.operator"

    @pytest.mark.parametrize("user", [None, "guest", "writer"])
    @pytest.mark.parametrize("column", ["team", "name"])
    @pytest.mark.parametrize("step", ["mixed", "sealed"])
    def test_without_the_right_is_denied(self, request, user, column, step):
        site = request.getfixturevalue(step)
        with pytest.raises(Denied) as caught:
            site.show(user=user, query=f"{column}=north", columns=["id"])
        assert caught.value.code == "query.denied"

    def test_of_an_integer_by_its_value(self, site):
        site.configure("salary", "equal")
        for _ in range(2):
            assert site.found("salary=42") == ["p10"]
            assert site.found("salary=-7300455") == ["p05"]
            assert site.found("salary=0") == ["p04"]
            assert site.found("salary=042") == ["p10"]
            site.encrypt()

    def test_for_what_looks_like_an_envelope_finds_nothing(self, mixed):
        mixed.encrypt()
        stored = mixed.cell("email", "p01")
        assert mixed.found(f"email={stored}") == []
        assert mixed.found("email=~ks1") == []

    @pytest.fixture
    def sealed_after(self, templates, tmp_path):
        made = templates.copy("sealed", tmp_path / "sealed")
        yield made
        made.database.close()


class TestRekeying:
    def test_moves_every_value_to_the_newest_key(self, rotated, people):
        new = {m: rotated.keys_of(m)[1]["sys_id"] for m in ("standard", "equal")}
        job = rotated.rekey()

        counted = rotated.count()
        for at, column in enumerate(FIELDS, start=1):
            module = "standard" if at < 4 else "equal"
            assert counted[column].by_key == {new[module]: held(people, at)}
        assert rotated.rows() == people
        assert job["counts"]["values"] == sum(held(people, at) for at in range(1, 6))
        assert rotated.phases() == SEALED

    def test_again_changes_nothing(self, rotated):
        rotated.rekey()
        before = rotated.stored()
        assert rotated.rekey()["counts"]["values"] == 0
        assert rotated.stored() == before

    def test_without_a_newer_key_changes_nothing(self, sealed):
        before = sealed.stored()
        assert sealed.rekey()["counts"]["values"] == 0
        assert sealed.stored() == before

    def test_from_many_keys_at_once(self, sealed, people):
        for row in ("p01", "p02", "p03"):
            sealed.rotate()
            _put_clear(sealed, "email", row, people[int(row[1:]) - 1][4])
        assert len(sealed.count()["email"].by_key) == 4
        sealed.rekey()
        assert len(sealed.count()["email"].by_key) == 1
        assert sealed.rows() == people

    def test_half_done_reads_and_finds_under_both_keys(self, rotated, people, interrupted):
        job_id = rotated.start(JobKind.REKEY)
        with pytest.raises(Killed):
            rotated.move(job_id, interrupted(rotated, killing(2)))
        assert [len(c.by_key) for c in rotated.count().values()] == [2] * 5
        assert rotated.rows() == people
        assert_searchable(rotated, people)

        rotated.move(job_id)
        rotated.scrub(job_id)

        assert [len(c.by_key) for c in rotated.count().values()] == [1] * 5
        assert rotated.rows() == people
        assert_searchable(rotated, people)

    def test_leaves_plain_values_of_a_mixed_column(self, mixed, people, interrupted):
        job_id = mixed.start(JobKind.ENCRYPT)
        with pytest.raises(Killed):
            mixed.move(job_id, interrupted(mixed, killing(2)))
        mixed.cancel(job_id)
        mixed.rotate()
        plain = {name: c.plain for name, c in mixed.count().items()}

        mixed.rekey()

        assert {name: c.plain for name, c in mixed.count().items()} == plain
        assert mixed.phases() == MIXED
        assert mixed.rows() == people

    def test_of_a_key_that_is_not_held_is_refused(self, rotated):
        old = rotated.keys_of("equal")[0]
        with rotated.transaction() as tx:
            rotated.integrity.update(tx, KEYS, old, "the key", state="destroyed", material=None)
        before = rotated.stored()
        with pytest.raises(NotFound) as caught:
            rotated.rekey()
        assert caught.value.code == "key.not_held"
        assert rotated.stored() == before
        shown = rotated.show()
        assert shown.not_held == held(before, 4) + held(before, 5)


def _put_clear(site, column: str, row: str, clear: str) -> None:
    """Write one value under the present key, as a writer that holds it would."""
    with site.transaction() as tx:
        configuration = fields.configurations(tx, site.hierarchy, "people", column)[0]
        key_id = keys.active_key(tx, site.hierarchy, configuration.spec_id)["sys_id"]
        fields.note_key(tx, site.hierarchy, configuration, key_id)
        opened = EncryptedColumn(tx, site.hierarchy, configuration)
        (value,) = opened.cipher(key_id).seal_many([clear], [record((row,))])
    site.put(column, row, value)


EDITS = [
    ("Zoe", "zoe"),
    ("Zoë", "Zoe"),
    ("Zoe", "Zoe "),
    ("Zoe ", "Zoe"),
    (unicodedata.normalize("NFC", "Véra"), unicodedata.normalize("NFD", "Véra")),
    ("ß", "ss"),
    ("山", "⼭"),
    ("1", "1.0"),
    (None, ""),
    ("", None),
    ("Zoe", None),
    (None, "Zoe"),
    ("Zoe", ""),
    ("", "Zoe"),
    ("", " "),
]


class TestConcurrentWriter:
    @pytest.mark.parametrize(("page", "column"), [(1, "name"), (2, "email"), (3, "name")])
    def test_an_edit_is_not_lost(self, mixed, interrupted, people, page, column):
        row = people[5 * page - 4][0]
        hook = once(page, lambda: mixed.put(column, row, "edited meanwhile"))
        job_id = mixed.start(JobKind.ENCRYPT)
        mixed.move(job_id, interrupted(mixed, hook))

        at = {"name": 1, "email": 4}[column]
        assert mixed.rows()[5 * page - 4][at] == "edited meanwhile"
        assert mixed.cell(column, row).startswith(MARKER)
        assert mixed.phases() == SEALED
        counts = mixed.job(job_id)["counts"]
        assert (counts["lost_races"], counts["passes"]) == (1, 2)

    @pytest.mark.parametrize("module", ["standard", "equal"])
    def test_however_little_it_differs(self, site, interrupted, module):
        site.sql("CREATE TABLE edits (id INTEGER PRIMARY KEY, value TEXT)")
        for number, (before, _) in enumerate(EDITS):
            site.sql("INSERT INTO edits VALUES (?, ?)", number, before)
        site.configure("value", module, "edits")

        def edit() -> None:
            for number, (_, after) in enumerate(EDITS):
                site.put("value", number, after, "edits")

        job_id = site.start(JobKind.ENCRYPT, "edits")
        site.move(job_id, interrupted(site, once(1, edit), page_rows=50))

        assert site.rows("edits") == [(n, after) for n, (_, after) in enumerate(EDITS)]
        lost = sum(before not in (None, "") for before, _ in EDITS)
        assert site.job(job_id)["counts"]["lost_races"] == lost
        assert site.phases("edits") == {"value": "sealed"}

    def test_an_edit_of_another_column_is_not_lost(self, mixed, interrupted, people):
        hook = once(1, lambda: mixed.put("note", "p01", "edited meanwhile"))
        job_id = mixed.start(JobKind.ENCRYPT)
        mixed.move(job_id, interrupted(mixed, hook))
        assert mixed.rows() == [(*people[0][:6], "edited meanwhile"), *people[1:]]
        assert mixed.job(job_id)["counts"]["lost_races"] == 0

    def test_an_edit_during_rekeying_is_not_lost(self, rotated, interrupted, people):
        hook = once(1, lambda: _put_clear(rotated, "email", "p01", "edited@example.com"))
        job_id = rotated.start(JobKind.REKEY)
        rotated.move(job_id, interrupted(rotated, hook))
        assert rotated.rows()[0][4] == "edited@example.com"
        assert [len(c.by_key) for c in rotated.count().values()] == [1] * 5
        assert rotated.job(job_id)["counts"]["lost_races"] == 1

    def test_a_deleted_row_stays_deleted(self, mixed, interrupted, people):
        hook = once(1, lambda: mixed.sql("DELETE FROM people WHERE id = 'p02'"))
        mixed.move(mixed.start(JobKind.ENCRYPT), interrupted(mixed, hook))
        assert mixed.rows() == [people[0], *people[2:]]
        assert mixed.phases() == SEALED

    @pytest.mark.parametrize("kind", ["new", "copied"])
    def test_a_row_inserted_behind_the_cursor_is_caught(self, mixed, interrupted, people, kind):
        if kind == "new":
            statement = "INSERT INTO people VALUES ('p00', 'n', 'c', 5, 'e', 't', 'zero')"
        else:
            mixed.sql("CREATE TABLE kept AS SELECT * FROM people")
            statement = "INSERT INTO people SELECT 'p00', name, city, salary, email, team, note"
            statement += " FROM kept WHERE id = 'p01'"
        job_id = mixed.start(JobKind.ENCRYPT)
        mixed.move(job_id, interrupted(mixed, once(3, lambda: mixed.sql(statement))))

        assert mixed.job(job_id)["counts"]["passes"] == 2
        assert mixed.phases() == SEALED
        assert mixed.count()["name"].plain == 0
        assert mixed.rows()[1:] == people
        expected = ("n", "c", 5, "e", "t", "zero") if kind == "new" else people[0][1:]
        assert mixed.rows()[0] == ("p00", *expected)

    def test_a_row_inserted_after_the_last_page_is_caught(self, mixed, interrupted, people):
        """The last page is empty; what is counted in the end is counted in one transaction."""
        statement = "INSERT INTO people (id, team) VALUES ('p13', 'late')"
        hook = once(PAGES + 1, lambda: mixed.sql(statement))
        mixed.move(mixed.start(JobKind.ENCRYPT), interrupted(mixed, hook))
        assert mixed.phases() == SEALED
        assert mixed.rows()[-1][5] == "late"
        assert mixed.count()["team"].plain == 0

    def test_a_writer_who_goes_on_writing_ends_the_job(self, mixed, interrupted, people):
        passes = []

        def write(number: int) -> None:
            if number % 2:  # every second page is the empty one that ends a pass
                passes.append(number)
                mixed.put("team", "p01", f"written {number}")

        job_id = mixed.start(JobKind.ENCRYPT)
        with pytest.raises(Conflict) as caught:
            mixed.move(job_id, interrupted(mixed, write, page_rows=50))

        assert caught.value.code == "job.unsealed"
        assert caught.value.facts["count"] == 1
        assert len(passes) == MOST_PASSES
        job = mixed.job(job_id)
        assert (job["state"], job["error_code"]) == ("failed", "job.unsealed")
        assert mixed.phases() == MIXED
        assert mixed.rows()[0][5] == f"written {passes[-1]}"
        assert mixed.rows()[1:] == people[1:]

        with mixed.transaction() as tx:
            jobs.resume(tx, job_id, "test")
        mixed.move(job_id)
        assert mixed.phases() == SEALED
        assert mixed.rows()[0][5] == f"written {passes[-1]}"
        assert mixed.rows()[1:] == people[1:]

    def test_no_column_is_sealed_before_all_are(self, mixed):
        class Written:
            """A database in which somebody writes right after each page was written."""

            def __getattr__(self, name: str) -> Any:
                return getattr(mixed.database, name)

            def compare_and_set(self, tx: Any, *arguments: Any) -> int:
                applied = mixed.database.compare_and_set(tx, *arguments)
                tx.exec_driver_sql("UPDATE people SET team = 'written' WHERE id = 'p01'")
                return applied

        with pytest.raises(Conflict) as caught:
            mixed.move(mixed.start(JobKind.ENCRYPT), Written())
        assert caught.value.code == "job.unsealed"
        assert mixed.phases() == MIXED
        assert {name: c.plain for name, c in mixed.count().items() if c.plain} == {"team": 1}

    def test_what_looks_encrypted_is_not_sealed_in(self, mixed, people):
        mixed.put("email", "p01", f"{MARKER} was written meanwhile")
        with pytest.raises(KeysteadError):
            mixed.encrypt()
        assert mixed.phases() == MIXED
        assert mixed.show(columns=["id", "name"]).rows == [row[:2] for row in people]

    def test_an_edit_is_not_lost_whatever_the_columns_collation(self, site, interrupted):
        site.sql("CREATE TABLE edits (id TEXT PRIMARY KEY, value TEXT COLLATE NOCASE)")
        site.sql("INSERT INTO edits VALUES ('1', 'Zoe')")
        site.configure("value", "standard", "edits")
        hook = once(1, lambda: site.put("value", "1", "ZOE", "edits"))
        site.move(site.start(JobKind.ENCRYPT, "edits"), interrupted(site, hook))
        assert site.rows("edits") == [("1", "ZOE")]


class TestLease:
    @pytest.mark.parametrize("step", ["mixed", "rotated"])
    def test_a_second_claim_takes_the_first_ones_write_away(
        self, request, step, interrupted, people
    ):
        site = request.getfixturevalue(step)
        kind = JobKind.ENCRYPT if step == "mixed" else JobKind.REKEY
        job_id = site.start(kind)
        claimed: list[Any] = []

        def claim() -> None:
            with site.transaction() as tx:
                claimed.append(jobs.claim(tx, job_id))

        with pytest.raises(Conflict) as caught:
            site.move(job_id, interrupted(site, once(2, claim)))
        assert caught.value.code == "job.fenced"

        counted = site.count()
        if step == "mixed":
            assert counted["name"].encrypted == held(people[:5], 1)
        else:
            new = site.keys_of("standard")[1]["sys_id"]
            assert counted["name"].by_key[new] == held(people[:5], 1)
        job = site.job(job_id)
        assert (job["state"], job["fence"], job["cursor"]) == ("running", 2, ["p05"])
        MassJob(site.database, site.hierarchy).move(claimed[0])
        assert site.rows() == people
        assert site.phases() == SEALED

    def test_a_second_claim_at_the_end_leaves_the_columns_unsealed(self, mixed, interrupted):
        job_id = mixed.start(JobKind.ENCRYPT)

        def claim() -> None:
            with mixed.transaction() as tx:
                jobs.claim(tx, job_id)

        with pytest.raises(Conflict):
            mixed.move(job_id, interrupted(mixed, once(PAGES + 1, claim)))
        assert mixed.phases() == MIXED

    def test_a_cancelled_job_writes_nothing_more(self, mixed, interrupted):
        job_id = mixed.start(JobKind.ENCRYPT)
        before = mixed.stored()
        with pytest.raises(Conflict) as caught:
            mixed.move(job_id, interrupted(mixed, once(1, lambda: mixed.cancel(job_id))))
        assert caught.value.code == "job.fenced"
        assert mixed.stored() == before
        assert mixed.job(job_id)["state"] == "cancelled"

    @pytest.mark.parametrize("step", ["mixed", "rotated"])
    def test_killed_after_every_page_it_gets_there(self, request, step, interrupted, people):
        site = request.getfixturevalue(step)
        job_id = site.start(JobKind.ENCRYPT if step == "mixed" else JobKind.REKEY)
        for _ in range(PAGES):
            with pytest.raises(Killed):
                site.move(job_id, interrupted(site, killing(2)))
            assert site.rows() == people
        site.move(job_id)
        site.scrub(job_id)

        job = site.job(job_id)
        assert job["state"] == "done"
        assert job["counts"]["values"] == sum(held(people, at) for at in range(1, 6))
        assert job["counts"]["passes"] == 1
        assert site.rows() == people
        assert site.phases() == SEALED
        assert [len(c.by_key) for c in site.count().values()] == [1] * 5

    def test_the_last_stage_can_be_repeated(self, mixed, people):
        job_id = mixed.start(JobKind.ENCRYPT)
        mixed.move(job_id)
        mixed.move(job_id)
        mixed.scrub(job_id)
        with pytest.raises(IllegalTransition):
            mixed.scrub(job_id)
        assert mixed.rows() == people


class TestTogether:
    @pytest.mark.parametrize("first", [JobKind.ENCRYPT, JobKind.REKEY])
    @pytest.mark.parametrize("second", [JobKind.ENCRYPT, JobKind.REKEY])
    def test_a_second_job_on_a_table_is_refused(self, sealed, first, second):
        job_id = sealed.start(first)
        before = sealed.everything()
        with pytest.raises(Conflict) as caught:
            sealed.start(second)
        assert caught.value.code == "job.busy"
        assert caught.value.facts["job"] == job_id
        assert sealed.everything() == before

    def test_jobs_on_two_tables_are_not_in_each_others_way(self, mixed, people):
        mixed.sql("CREATE TABLE other (id INTEGER PRIMARY KEY, value INTEGER)")
        mixed.sql("INSERT INTO other VALUES (1, 5), (2, NULL)")
        mixed.configure("value", "standard", "other")
        one, two = mixed.start(JobKind.ENCRYPT), mixed.start(JobKind.ENCRYPT, "other")
        for job_id in (two, one):
            mixed.move(job_id)
        for job_id in (two, one):
            mixed.scrub(job_id)
        assert mixed.rows() == people
        assert mixed.rows("other") == [(1, 5), (2, None)]

    @pytest.mark.parametrize("state", ["new", "running", "failed"])
    @pytest.mark.parametrize("kind", [JobKind.ENCRYPT, JobKind.REKEY, JobKind.CLONE])
    def test_no_rotation_while_a_job_is_unfinished(self, sealed, state, kind):
        with sealed.transaction() as tx:
            job_id = jobs.create(tx, kind, "people", {}, "test")
        sealed.sql("UPDATE keystead_job SET state = ? WHERE sys_id = ?", state, job_id)
        before = sealed.everything()
        with pytest.raises(Conflict) as caught:
            sealed.rotate("standard")
        assert caught.value.code == ("job.unfinished" if state == "failed" else "job.busy")
        assert caught.value.facts["job"] == job_id
        assert sealed.everything() == before

    @pytest.mark.parametrize("state", ["done", "cancelled"])
    def test_rotation_after_a_finished_job(self, sealed, state):
        with sealed.transaction() as tx:
            job_id = jobs.create(tx, JobKind.REKEY, "people", {}, "test")
        sealed.sql("UPDATE keystead_job SET state = ? WHERE sys_id = ?", state, job_id)
        sealed.rotate("standard")
        assert [k["state"] for k in sealed.keys_of("standard")] == ["deactivated", "active"]

    def test_no_mass_job_while_a_clone_runs(self, sealed):
        with sealed.transaction() as tx:
            jobs.create(tx, JobKind.CLONE, "somewhere", {}, "test")
        for kind in (JobKind.ENCRYPT, JobKind.REKEY):
            with pytest.raises(Conflict):
                sealed.start(kind)

    @pytest.mark.parametrize("table", ["people", "nowhere"])
    def test_a_table_without_encrypted_columns_is_refused(self, site, table):
        with pytest.raises(NotFound) as caught:
            site.start(JobKind.ENCRYPT, table)
        assert caught.value.code == "field.missing"


class TestConfiguring:
    @pytest.mark.parametrize(
        "text", [MARKER, f"{MARKER} is how it begins", f"{MARKER}s." + "A" * 60]
    )
    @pytest.mark.parametrize("module", ["standard", "equal"])
    def test_text_that_looks_encrypted_is_refused(self, site, text, module):
        site.put("email", "p03", text)
        before = site.everything()
        with pytest.raises(Invalid) as caught:
            site.configure("email", module)
        assert caught.value.code == "field.refused"
        assert "look like encrypted" in caught.value.what
        assert MARKER in caught.value.todo
        assert site.everything() == before

    def test_a_loaded_file_with_such_text_is_refused_until_it_is_changed(self, site, tmp_path):
        file = tmp_path / "letters.csv"
        file.write_text(f"id,body\n1,hello\n2,{MARKER} is a marker\n", encoding="utf-8")
        site.load("letters", file)
        assert site.rows("letters")[1] == (2, f"{MARKER} is a marker")
        with pytest.raises(Invalid) as caught:
            site.configure("body", "standard", "letters")
        assert "letters.body" in caught.value.what

        site.put("body", 2, f" {MARKER} is a marker", "letters")
        site.configure("body", "standard", "letters")
        site.encrypt("letters")
        assert site.rows("letters") == [(1, "hello"), (2, f" {MARKER} is a marker")]

    def test_an_encrypted_column_of_a_file_is_not_encrypted_again(self, sealed, tmp_path):
        file = tmp_path / "copies.csv"
        file.write_text(f"id,name\np01,{sealed.cell('name', 'p01')}\n", encoding="utf-8")
        sealed.load("copies", file)
        with pytest.raises(Invalid):
            sealed.configure("name", "standard", "copies")

    @pytest.mark.parametrize(
        ("table", "column", "reason"),
        [
            ("id TEXT PRIMARY KEY, value TEXT", "id", "part of the primary key"),
            ("id TEXT, value TEXT", "value", "no primary key"),
            ("id TEXT PRIMARY KEY, value REAL", "value", "text and whole numbers"),
            ("id TEXT PRIMARY KEY, value TEXT UNIQUE", "value", "unique"),
            ("id TEXT PRIMARY KEY, value TEXT REFERENCES people (id)", "value", "foreign key"),
            ("id TEXT PRIMARY KEY, value TEXT CHECK (value <> 'x')", "value", "CHECK"),
            ("id TEXT PRIMARY KEY, a TEXT, value TEXT AS (a || a) STORED", "value", "generated"),
        ],
    )
    def test_a_column_that_cannot_be_encrypted_is_refused(self, site, table, column, reason):
        site.sql(f"CREATE TABLE odd ({table})")
        before = site.everything()
        with pytest.raises(Invalid) as caught:
            site.configure(column, "standard", "odd")
        assert reason in caught.value.what
        assert caught.value.todo
        assert site.everything() == before

    @pytest.mark.parametrize(("key", "value"), [("TEXT", None), ("BLOB", b"1"), ("REAL", 1.5)])
    def test_a_row_that_no_value_can_be_bound_to_is_refused(self, site, key, value):
        site.sql(f"CREATE TABLE odd (id {key} PRIMARY KEY, value TEXT)")
        site.sql("INSERT INTO odd VALUES (?, 'clear')", value)

        def encrypt() -> None:
            site.configure("value", "standard", "odd")
            site.encrypt("odd")

        with pytest.raises(KeysteadError):
            encrypt()
        assert site.stored("odd") == [(value, "clear")]

    def test_a_unique_column_can_be_encrypted_equality_preserving(self, site):
        site.sql("CREATE TABLE odd (id TEXT PRIMARY KEY, value TEXT UNIQUE)")
        site.sql("INSERT INTO odd VALUES ('1', 'a'), ('2', 'b'), ('3', NULL), ('4', NULL)")
        site.configure("value", "equal", "odd")
        site.encrypt("odd")
        assert site.rows("odd") == [("1", "a"), ("2", "b"), ("3", None), ("4", None)]

    def test_twice_is_refused(self, mixed):
        with pytest.raises(Conflict) as caught:
            mixed.configure("name", "equal")
        assert caught.value.code == "field.exists"

    @pytest.mark.parametrize(
        ("column", "module", "code"),
        [
            ("nothing", "standard", "column.missing"),
            ("note", "nothing", "module.missing"),
            ("note", "draft", "module.draft"),
        ],
    )
    def test_needs_a_column_and_a_published_module(self, site, column, module, code):
        with site.transaction() as tx:
            keys.create_module(tx, site.hierarchy, "draft", Scheme.STANDARD, "test")
        with pytest.raises(KeysteadError) as caught:
            site.configure(column, module)
        assert caught.value.code == code
