"""Who may see how a decision is made."""

from __future__ import annotations

import pytest

from keystead.access import debugger
from keystead.access.decision import Operation, Person
from keystead.access.permissions import Permissions, subject
from keystead.access.rejections import Refusals
from keystead.access.roles import ADMIN, ALIASES, AUDITOR, CATALOGUE, MANAGER, OPERATOR
from keystead.base.errors import Denied
from keystead.keys import service as keys


def explain(site, viewer, also=()):
    with site.snapshot() as tx:
        row = keys.module(tx, site.hierarchy, "standard")
        permissions = Permissions(
            tx, site.integrity, subject(tx, site.integrity, "reader"), Refusals()
        )
        return debugger.explain(
            permissions, keys.guarded(row), "s", Operation.DECRYPT, viewer=viewer, also=also
        )


@pytest.mark.parametrize(
    ("viewer", "also", "sees"),
    [
        (None, (), True),
        (Person("a", frozenset({ADMIN})), (), True),
        (Person("a", frozenset({MANAGER})), (), True),
        (Person("a", group_roles=frozenset({MANAGER})), (), True),
        (Person("a", frozenset({"sn_kmf.crypto_manager"})), (), True),
        (Person("a", frozenset({ADMIN}), active=False), (), False),
        (Person("a", frozenset({AUDITOR, OPERATOR, "admin"})), (), False),
        (Person("a", frozenset({"helper"})), ("helper",), True),
        (Person("a", frozenset({"helper"})), ("help",), False),
        (Person("a"), (), False),
    ],
)
def test_only_who_may_sees_the_trace(site, viewer, also, sees):
    if sees:
        found = explain(site, viewer, also)
        assert found.allowed
        assert found.steps
    else:
        with pytest.raises(Denied) as caught:
            explain(site, viewer, also)
        assert caught.value.code == "policy.debug"


def test_the_roles_of_those_who_administer():
    of_keys = {name for name in CATALOGUE if name.startswith("sn_kmf.")}
    assert len(of_keys) == 5
    assert set(CATALOGUE) - of_keys == {"admin", "security_admin", "edge_encryption", "mid_server"}
    assert not CATALOGUE.keys() & ALIASES.keys()
    assert set(ALIASES.values()) <= CATALOGUE.keys()
