"""Configurations of external keys: which key, at whom, and how long its word counts.

Each function is part of one transaction. What names the key stays as it is once the configuration
was activated; credentials and times may change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, Invalid, NotFound
from keystead.base.secret import REVEAL, Secret
from keystead.database.integrity import Fields
from keystead.database.model import check_name
from keystead.external import kinds
from keystead.external.model import Action, State, next_state
from keystead.external.provider import Context
from keystead.external.tables import CONFIGURATIONS, EKEKS
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.life_cycle import check_reason

# what is asked for, in seconds: the least, the usual and the most
SECONDS: Final[dict[str, tuple[int, int, int]]] = {
    "lease_seconds": (5, 60, 3600),
    "grace_seconds": (0, 0, 86_400),
    "timeout_seconds": (1, 5, 30),
}


def create(
    tx: Connection,
    hierarchy: Hierarchy,
    *,
    name: str,
    kind: str,
    settings: Mapping[str, str],
    actor: str,
    **seconds: int,
) -> Fields:
    """Make a draft of a configuration. The provider is not asked yet.

    `seconds` may give `lease_seconds` (how long opened keys are used after a provider opened
    them), `grace_seconds` (how much longer while it cannot be reached) and `timeout_seconds` (what
    one call may take).

    Raises:
        Conflict: when the name is taken.
        Invalid, NotFound: for settings that cannot be used.
    """
    check_name(name, "an external key configuration")
    if hierarchy.integrity.all(tx, CONFIGURATIONS, CONFIGURATIONS.c.name == name):
        raise Conflict("external.exists", name=name)
    fields = {each: _checked_seconds(each, seconds.get(each)) for each in SECONDS}
    checked = kinds.kind(kind).checked(settings)
    configuration_id = hierarchy.integrity.insert(
        tx,
        CONFIGURATIONS,
        name=name,
        kind=kind,
        state=State.DRAFT,
        settings="{}",
        created_at=clock.now(),
        **fields,
    )
    _store_settings(tx, hierarchy, of_id(tx, hierarchy, configuration_id), checked)
    log.record(tx, actor, "external.create", name, kind=kind)
    return of_id(tx, hierarchy, configuration_id)


def named(tx: Connection, hierarchy: Hierarchy, name: str) -> Fields:
    """The configuration with that name or id.

    Raises:
        NotFound: when there is none.
    """
    missing = NotFound("external.missing", name=name)
    condition = (CONFIGURATIONS.c.name == name) | (CONFIGURATIONS.c.sys_id == name)
    return hierarchy.integrity.one(tx, CONFIGURATIONS, missing, condition)


def of_id(tx: Connection, hierarchy: Hierarchy, configuration_id: str) -> Fields:
    """The configuration with that id.

    Raises:
        NotFound: when there is none.
    """
    missing = NotFound("external.missing", name=configuration_id)
    condition = CONFIGURATIONS.c.sys_id == configuration_id
    return hierarchy.integrity.one(tx, CONFIGURATIONS, missing, condition)


def listed(tx: Connection, hierarchy: Hierarchy, *states: State) -> list[Fields]:
    """The configurations in those states, or all, in order of name."""
    rows = hierarchy.integrity.all(tx, CONFIGURATIONS)
    wanted = [row for row in rows if not states or row["state"] in states]
    return sorted(wanted, key=lambda row: str(row["name"]))


def shown_settings(row: Fields) -> dict[str, str]:
    """The settings that are no credentials."""
    return dict(json.loads(row["settings"]))


def all_settings(hierarchy: Hierarchy, row: Fields) -> dict[str, str]:
    """The settings, credentials among them: for the adapter alone.

    Raises:
        Tampered: when the credentials are not as they were stored.
    """
    settings = shown_settings(row)
    if row["credentials"] is not None:
        stored = hierarchy.unwrap_credentials(row["sys_id"], row["credentials"])
        settings |= json.loads(stored.reveal(REVEAL))
    return settings


def context(hierarchy: Hierarchy, configuration_id: str) -> Context:
    """What each wrapping by the provider is bound to."""
    return {
        "keystead:instance": hierarchy.instance_id,
        "keystead:configuration": configuration_id,
    }


def change(
    tx: Connection,
    hierarchy: Hierarchy,
    row: Fields,
    actor: str,
    settings: Mapping[str, str] | None = None,
    **seconds: int,
) -> Fields:
    """Change settings, the others stay; an empty one is taken away.

    Credentials do not go along to another key: whoever names it gives those for it.

    Raises:
        IllegalTransition: when it is retired.
        Conflict: for one that names the key, unless the configuration is a draft.
        Invalid: for settings that cannot be used.
    """
    next_state(row["name"], State(row["state"]), Action.CHANGE)
    fields = {each: _checked_seconds(each, value) for each, value in seconds.items()}
    if fields:
        row = hierarchy.integrity.update(tx, CONFIGURATIONS, row, row["name"], **fields)
    if settings:
        old = all_settings(hierarchy, row)
        kind = kinds.kind(row["kind"])
        new = kind.checked({**old, **settings})
        if kind.critical(new) != kind.critical(old):
            if row["state"] != State.DRAFT:
                raise Conflict("external.critical", name=row["name"])
            kept = {name: one for name, one in old.items() if name not in kind.secrets(old)}
            new = kind.checked({**kept, **settings})
        _store_settings(tx, hierarchy, row, new)
    names = sorted({*fields, *(settings or ())})
    log.record(tx, actor, "external.change", row["name"], changed=", ".join(names))
    return of_id(tx, hierarchy, row["sys_id"])


def activated(
    tx: Connection, hierarchy: Hierarchy, row: Fields, reference: str, actor: str
) -> Fields:
    """Let a configuration whose key was tried wrap keys."""
    state = next_state(row["name"], State(row["state"]), Action.ACTIVATE)
    fields = {"state": state, "reference": reference, "activated_at": clock.now()}
    made = hierarchy.integrity.update(tx, CONFIGURATIONS, row, row["name"], **fields)
    log.record(tx, actor, "external.activate", row["name"], reference=reference)
    return made


def revoke(tx: Connection, hierarchy: Hierarchy, row: Fields, reason: str, actor: str) -> Fields:
    """Make dark at once what the configuration wraps, in every process, whatever its provider says.

    Nothing is destroyed: see `reinstate`.

    Raises:
        IllegalTransition: unless it is active.
        Invalid: without a reason.
    """
    return _moved(tx, hierarchy, row, Action.REVOKE, actor, check_reason(reason))


def reinstate(tx: Connection, hierarchy: Hierarchy, row: Fields, actor: str) -> Fields:
    """Take a revocation back; the provider decides again.

    Raises:
        IllegalTransition: unless it was revoked by us.
    """
    return _moved(tx, hierarchy, row, Action.REINSTATE, actor, None)


def retire(tx: Connection, hierarchy: Hierarchy, row: Fields, actor: str) -> Fields:
    """Give up a configuration that wraps nothing any more; its EKEKs and credentials are dropped.

    Raises:
        IllegalTransition: unless it is a draft or active.
        Conflict: while a module chose it or a key is wrapped under it.
    """
    ekeks = hierarchy.integrity.all(tx, EKEKS, EKEKS.c.configuration_id == row["sys_id"])
    wrapped = {ekek["sys_id"] for ekek in ekeks}
    modules = [m for m in keys.all_modules(tx, hierarchy) if chosen(m) == row["sys_id"]]
    held = [key for key in keys.all_keys(tx, hierarchy) if key["ekek_id"] in wrapped]
    if modules or held:
        raise Conflict("external.needed", name=row["name"], modules=len(modules), keys=len(held))
    for ekek in ekeks:
        hierarchy.integrity.delete(tx, EKEKS, ekek, "the EKEK")
    moved = _moved(tx, hierarchy, row, Action.RETIRE, actor, None)
    return hierarchy.integrity.update(tx, CONFIGURATIONS, moved, row["name"], credentials=None)


def chosen(module: Fields) -> str | None:
    """The id of the configuration under which a module's keys are to be wrapped."""
    configuration_id: str | None = module["external_configuration"]
    return configuration_id


def _moved(
    tx: Connection,
    hierarchy: Hierarchy,
    row: Fields,
    action: Action,
    actor: str,
    reason: str | None,
) -> Fields:
    state = next_state(row["name"], State(row["state"]), action)
    fields = {"state": state, "revoke_reason": reason}
    moved = hierarchy.integrity.update(tx, CONFIGURATIONS, row, row["name"], **fields)
    log.record(tx, actor, f"external.{action.name.lower()}", row["name"], reason=reason)
    return moved


def _store_settings(
    tx: Connection, hierarchy: Hierarchy, row: Fields, settings: Mapping[str, str]
) -> None:
    secrets = kinds.kind(row["kind"]).secrets(settings)
    credentials = None
    if secrets:
        plain = Secret(json.dumps(secrets, sort_keys=True).encode())
        credentials = hierarchy.wrap_credentials(row["sys_id"], plain)
    open_ones = {name: value for name, value in settings.items() if name not in secrets}
    fields: dict[str, Any] = {"settings": json.dumps(open_ones, sort_keys=True)}
    hierarchy.integrity.update(
        tx, CONFIGURATIONS, row, row["name"], credentials=credentials, **fields
    )


def _checked_seconds(name: str, value: int | None) -> int:
    least, usual, most = SECONDS[name]
    if value is None:
        return usual
    if not least <= value <= most:
        raise Invalid("external.seconds", setting=name, least=least, most=most)
    return value
