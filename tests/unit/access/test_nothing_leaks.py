"""Two databases that differ only in hidden values look the same to who may not decrypt.

Whatever he asks, the rows, their order, their number and the error are the same, and so is what
is written about it. The positive control: who may decrypt sees the difference.
"""

from __future__ import annotations

import itertools

import pytest

from keystead.access.decision import Operation, PolicyType, Result
from keystead.base.errors import Invalid, KeysteadError
from keystead.records import service as records

ENCRYPTED = ("name", "city", "salary", "email", "team")
# other values in every encrypted column: NULL for value, equal for unequal, short for long
CHANGES = {
    "name": [None, "", "x" * 3000, "Zoë Ångström"],
    "city": ["Malmö", None],
    "salary": ["1", "not a number", None],
    "email": ["zoë@example.com", "same@example.com", None, ""],
    "team": ["north", None, "zzz", "a"],
}
USERS = [("guest", None), ("writer", None), (None, None), ("guest", "reader"), ("writer", "both")]
VALUES = ("", "north", "' OR 1=1")


def queries():
    yield ""
    yield from ("note=one", "note!=one", "id=p03^note=three")
    for column, operator in itertools.product(ENCRYPTED, ("=", "!=")):
        for value in VALUES:
            yield f"{column}{operator}{value}"
        yield f"note=one^{column}{operator}north"
        yield f"{column}{operator}north^note=none"
    yield from ("TEAM=north", "name", "team=north^team=north", "^", "nothing=1")


def forms():
    for query in queries():
        yield query, None
    for columns in ([], *itertools.permutations(("id", "team", "note")), ["salary"], ["no"]):
        yield "", columns
    yield "note!=one", ["team", "name"]


def answer(site, user, impersonate, query, columns):
    """All that comes back, rows or error."""
    try:
        shown = records.view(
            site.database,
            site.hierarchy,
            "people",
            query=query,
            user=user,
            impersonate=impersonate,
            columns=columns,
            limit=100,
            actor="os:root",
        )
    except KeysteadError as error:
        return type(error), error.code, error.what, error.todo, sorted(error.facts.items())
    return shown


def written(site):
    audit = "SELECT actor, action, subject, detail FROM keystead_audit ORDER BY sequence"
    rejections = (
        "SELECT caller, operation, result, decided_by, module_name"
        " FROM keystead_module_key_rejection ORDER BY 1, 5"
    )
    return site.sql(audit), site.sql(rejections)


@pytest.fixture(params=["mixed", "sealed"])
def pair(request, templates, tmp_path):
    """The same instance twice; in the second, hidden values were changed."""
    one = templates.copy("mixed", tmp_path / "one")
    other = templates.copy("mixed", tmp_path / "other")
    for column, values in CHANGES.items():
        for number, value in enumerate(itertools.islice(itertools.cycle(values), 12), start=1):
            other.put(column, f"p{number:02d}", value)
    if request.param == "sealed":
        one.encrypt()
        other.encrypt()
    yield one, other
    one.database.close()
    other.database.close()


def test_who_may_not_decrypt_learns_nothing(request, pair):
    before = [len(written(site)[0]) for site in pair]
    asked = 0
    users = USERS if request.node.callspec.params["pair"] == "sealed" else USERS[:1]
    for (user, impersonate), (query, columns) in itertools.product(users, forms()):
        one, other = (answer(site, user, impersonate, query, columns) for site in pair)
        assert one == other, (user, impersonate, query, columns)
        asked += 1
    assert asked > 60 * len(users)
    (one_log, one_refused), (other_log, other_refused) = (written(site) for site in pair)
    assert one_refused == other_refused
    assert one_refused
    tails = [log[start:] for log, start in zip((one_log, other_log), before, strict=True)]
    assert tails[0] == tails[1]


def test_who_may_decrypt_sees_the_difference(pair):
    different = 0
    for query, columns in (("", None), ("team=north", ["id"]), ("", ["salary"])):
        one, other = (answer(site, "reader", None, query, columns) for site in pair)
        different += one != other
    assert different == 3


def test_a_value_that_cannot_even_be_read_is_not_told(mixed):
    """Bytes that are no text make reading fail; who may not see the column does not notice."""
    before = answer(mixed, "guest", None, "", None)
    mixed.sql("UPDATE people SET name = CAST(x'ff' AS TEXT) WHERE id = 'p01'")
    assert answer(mixed, "guest", None, "", None) == before
    assert answer(mixed, "reader", None, "", None) != before


def test_a_table_without_a_key_is_not_put_in_the_order_of_hidden_values(sealed):
    """Somebody rebuilt the table; what is stored hidden must not order what is shown."""
    sealed.sql("CREATE TABLE bare AS SELECT * FROM people")
    sealed.sql("DROP TABLE people")
    sealed.sql("ALTER TABLE bare RENAME TO people")
    kind, code, *_ = answer(sealed, "guest", None, "", ["team"])
    assert (kind, code) == (Invalid, "table.keyless")
    shown = answer(sealed, "guest", None, "", ["team", "id"])
    assert [row[1] for row in shown.rows] == sorted(row[1] for row in shown.rows)


def test_a_strict_reject_hides_at_once_what_was_seen(sealed):
    from keystead.access import policies
    from keystead.keys import service as keys

    assert sealed.show(user="both").hidden == ()
    with sealed.transaction() as tx:
        row = keys.module(tx, sealed.hierarchy, "equal")
        policies.add(
            tx,
            sealed.integrity,
            module_id=row["sys_id"],
            module_name=row["name"],
            type=PolicyType.ROLE,
            target="all",
            operation=Operation.DECRYPT,
            result=Result.STRICT_REJECT,
            actor="test",
        )
    shown = sealed.show(user="both")
    assert shown.hidden == ("email", "team")
    assert all(shown.effects[name].writable for name in shown.hidden)
