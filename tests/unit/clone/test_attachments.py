"""Attachments and a clone: the plan says that they stay, and how they are encrypted goes along."""

from __future__ import annotations

import pytest
from exchange.pairs import ACTOR, Network, claims_of

from keystead.access.recorder import Recorder
from keystead.attachments import service as attachments
from keystead.base.errors import Invalid
from keystead.clone import inventory
from keystead.fields import service as fields
from keystead.fields.model import ATTACHMENTS
from keystead.keys.usage import Meter
from keystead.records.attached import Desk
from keystead.records.session import Caller

from .test_clone import Case, make_plan, take


@pytest.fixture
def attached(net: Network) -> Network:
    node = net.prod
    for size in (5, 7):
        recorder, meter = Recorder(node.db), Meter(node.db, node.hierarchy)
        desk = Desk(node.db, node.hierarchy, recorder, meter, Caller(None, ACTOR), 1)
        upload = desk.upload("customers", "c1", "a", "text/plain")
        upload.write(bytes(size))
        upload.finish()
    with node.db.transaction() as tx:
        fields.configure_attachments(
            tx, node.db, node.hierarchy, table="customers", module="people", actor=ACTOR
        )
    return net


def test_the_plan_says_how_many_stay(attached: Network) -> None:
    content = claims_of(make_plan(attached.prod, attached.test)["plan"])
    assert content["attachments"] == {"customers": {"count": 2, "bytes": 12, "class": "not copied"}}
    assert ATTACHMENTS not in {value["column"] for value in content["values"]}


def test_they_stay_and_their_configuration_goes_along(attached: Network) -> None:
    Case(attached).run()
    node = attached.test
    with node.db.snapshot() as tx:
        assert attachments.count(tx) == 0
        (found,) = fields.attachments(tx, node.hierarchy)
        assert (found.table, found.column, found.phase) == ("customers", ATTACHMENTS, "mixed")
    with attached.prod.db.snapshot() as tx:
        assert attachments.count(tx) == 2


@pytest.mark.parametrize(
    "wrong", [{"type": "other"}, {"type": None}, {"column_name": "name"}, {"table_name": "none"}]
)
def test_a_configuration_from_a_peer_must_fit(attached: Network, wrong: dict[str, str]) -> None:
    taken = take(attached.prod)
    inventory.check(taken)
    (row,) = [r for r in taken["configurations"] if r["type"] is not None]
    row.update(wrong)
    with pytest.raises(Invalid):
        inventory.check(taken)
