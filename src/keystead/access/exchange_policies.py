"""Policies that let another instance receive keys, once, for one clone.

Those for callers of this instance are in `access.policies`, the rule in `access.decision`.
"""

from __future__ import annotations

import json

from sqlalchemy import Connection

from keystead.access.decision import PolicyType, Result
from keystead.access.tables import POLICIES
from keystead.base import clock
from keystead.database.integrity import Fields, Integrity

ONE_TIME_CLONE = "One Time Clone"
EXCHANGE_POLICY_SECONDS = 24 * 3600


def allow_exchange(
    tx: Connection,
    integrity: Integrity,
    *,
    module_id: str,
    spec_id: str,
    target_instance: str,
    target_fingerprint: str,
    key_ids: list[str],
    clone_id: str,
) -> None:
    """Let one instance, known by its fingerprint, receive the named keys, once, for one clone."""
    integrity.insert(
        tx,
        POLICIES,
        type=PolicyType.RESOURCE_EXCHANGE,
        module_id=module_id,
        spec_id=spec_id,
        result=Result.TRACK,
        active=1,
        target_instance=target_instance,
        target_fingerprint=target_fingerprint,
        key_ids=json.dumps(key_ids),
        expires_at=clock.after(EXCHANGE_POLICY_SECONDS),
        frequency=ONE_TIME_CLONE,
        clone_id=clone_id,
    )


def end_exchange_policies(tx: Connection, integrity: Integrity, clone_ids: set[str]) -> None:
    """Let the unused exchange policies of these clones grant nothing any more."""
    condition = (POLICIES.c.type == PolicyType.RESOURCE_EXCHANGE) & (POLICIES.c.active == 1)
    for policy in integrity.all(tx, POLICIES, condition):
        if policy["clone_id"] in clone_ids:
            integrity.update(tx, POLICIES, policy, "the exchange policy", active=0)


def end_every_exchange_policy(tx: Connection, integrity: Integrity) -> int:
    """Let no exchange policy grant anything any more; how many did."""
    condition = (POLICIES.c.type == PolicyType.RESOURCE_EXCHANGE) & (POLICIES.c.active == 1)
    granting = integrity.all(tx, POLICIES, condition)
    for policy in granting:
        integrity.update(tx, POLICIES, policy, "the exchange policy", active=0)
    return len(granting)


def exchange_policies(
    tx: Connection,
    integrity: Integrity,
    spec_ids: list[str],
    target_instance: str,
    target_fingerprint: str,
    clone_id: str | None,
) -> list[Fields]:
    """The unused policies of one clone for these specifications and this target, one for each.

    An empty list unless every specification has one.
    """
    condition = (
        (POLICIES.c.type == PolicyType.RESOURCE_EXCHANGE)
        & (POLICIES.c.target_instance == target_instance)
        & (POLICIES.c.target_fingerprint == target_fingerprint)
        & (POLICIES.c.expires_at > clock.now())
        & (POLICIES.c.clone_id == clone_id)
        & (POLICIES.c.active == 1)
        & POLICIES.c.consumed_at.is_(None)
    )
    by_spec = {row["spec_id"]: row for row in integrity.all(tx, POLICIES, condition)}
    if not spec_ids or any(spec_id not in by_spec for spec_id in spec_ids):
        return []
    return [by_spec[spec_id] for spec_id in spec_ids]


def promised(tx: Connection, integrity: Integrity, key_id: str) -> int:
    """How many policies still let another instance get a key, to read what it was given."""
    condition = (
        (POLICIES.c.type == PolicyType.RESOURCE_EXCHANGE)
        & (POLICIES.c.expires_at > clock.now())
        & (POLICIES.c.active == 1)
        & POLICIES.c.consumed_at.is_(None)
    )
    found = integrity.all(tx, POLICIES, condition)
    return sum(key_id in json.loads(policy["key_ids"]) for policy in found)


def consume(tx: Connection, integrity: Integrity, policies: list[Fields]) -> None:
    """Mark one-time policies as used."""
    for policy in policies:
        integrity.update(
            tx, POLICIES, policy, "the exchange policy", active=0, consumed_at=clock.now()
        )


def listed(tx: Connection, integrity: Integrity) -> list[Fields]:
    """Every policy of key exchange, used or not."""
    return integrity.all(tx, POLICIES, POLICIES.c.type == PolicyType.RESOURCE_EXCHANGE)
