"""What can be done with external keys: prepare, verify by opening, commit, retire.

Providers are asked outside of transactions. Whatever takes several steps is written down first as
what is wanted (the configuration that a module chose, the EKEK that is active) and then carried out
key by key (`external.settling`).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Denied, Invalid, KeysteadError, Tampered, Unavailable
from keystead.base.ids import new_id
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.database.integrity import Fields
from keystead.database.port import Database
from keystead.external import configurations, settling
from keystead.external.leases import Leases, active_ekek, status_row
from keystead.external.model import Action, EkekState, State, next_state
from keystead.external.provider import Answer, Call, Described, Refused
from keystead.external.settling import OnKeys, Settled
from keystead.external.status import TRANSIENT, Heard, Status, heard
from keystead.external.tables import CONFIGURATIONS, EKEKS, STATUSES
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.tables import MODULES

WATCHED: Final = (State.ACTIVE, State.REVOKED)


@dataclass(frozen=True, slots=True)
class Tried:
    """One call of a test: whether it did what it should, and the reason if not."""

    call: Call
    failure: str | None


@dataclass(frozen=True, slots=True)
class Synchronised:
    """What one look at an external key found and did.

    `failure` is why something that was due could not be done.
    """

    name: str
    before: Status | None
    heard: Heard
    reason: str | None
    rewrapped: bool
    failure: str | None


class ExternalKeys:
    """The external keys of one instance."""

    def __init__(self, database: Database, hierarchy: Hierarchy, leases: Leases) -> None:
        self._database = database
        self._hierarchy = hierarchy
        self._leases = leases

    @property
    def leases(self) -> Leases:
        """The EKEKs of this process."""
        return self._leases

    def test(self, name: str, actor: str) -> list[Tried]:
        """Ask the provider for each call once, with a key made for this; and whether it fits.

        Raises:
            NotFound: when there is no such configuration.
        """
        configuration = self._configuration(name)
        tried: list[Tried] = []
        try:
            described = self._described(configuration)
            unusable = _refusal(described)
            failure = described.unfit or (unusable.reason if unusable else None)
            tried.append(Tried(Call.DESCRIBE, failure))
            try:
                self._leases.wrap(configuration, new_id(), wrap.new_key())
                tried += [Tried(Call.WRAP, None), Tried(Call.UNWRAP, None)]
            except Refused as refused:
                if refused.call is Call.UNWRAP:
                    tried.append(Tried(Call.WRAP, None))
                tried.append(Tried(refused.call, f"{refused.answer}: {refused.reason}"))
        except Refused as refused:
            tried.append(Tried(refused.call, f"{refused.answer}: {refused.reason}"))
        failed = next((one for one in tried if one.failure), None)
        with self._database.transaction() as tx:
            outcome = "passed" if failed is None else f"{failed.call} failed"
            log.record(tx, actor, "external.test", configuration["name"], outcome=outcome)
        return tried

    def activate(self, name: str, actor: str) -> Fields:
        """Try the key, make an EKEK under it, and let modules choose the configuration.

        Raises:
            Invalid: when the key is of a kind that cannot be used.
            Denied, Unavailable: when the provider does not do what it is asked.
            IllegalTransition: unless it is a draft.
        """
        configuration = self._configuration(name)
        next_state(configuration["name"], State(configuration["state"]), Action.ACTIVATE)
        described = self._fit(configuration)
        prepared = self._prepared(configuration, described)
        with self._database.transaction() as tx:
            made = configurations.activated(
                tx, self._hierarchy, configuration, described.reference, actor
            )
            self._insert_ekek(tx, made, prepared, actor)
            self._note(tx, made, heard(Answer.ENABLED, clock.now()), None, None, actor)
        return made

    def wrap_module(
        self, module: str, name: str, actor: str, on_keys: OnKeys | None = None
    ) -> Settled:
        """Put a module under a configuration: all its keys now, and those to come.

        This also moves a module from one provider to another. The keys stay as they are, only
        their wrapping changes; readers are not disturbed.

        Raises:
            IllegalTransition: unless the configuration is active.
            Denied, Unavailable: when the external key cannot be used now; nothing is changed.
        """
        with self._database.snapshot() as tx:
            self._refuse_dark(tx, module, name)  # who has to be asked is asked before it is written
        with self._database.transaction() as tx:
            configuration, row = self._refuse_dark(tx, module, name)
            if configurations.chosen(row) != configuration["sys_id"]:
                self._hierarchy.integrity.update(
                    tx, MODULES, row, row["name"], external_configuration=configuration["sys_id"]
                )
                log.record(tx, actor, "module.external_wrap", row["name"], external=name)
        return self.settle(actor, on_keys)

    def rewrap(self, name: str, actor: str) -> int:
        """Wrap every EKEK of a configuration anew, by the newest bytes of its external key.

        The EKEKs stay; how many there were.

        Raises:
            IllegalTransition: unless it is active.
            Denied, Unavailable: when the provider does not do what it is asked; the old wrappings
                stay.
        """
        configuration = self._configuration(name)
        next_state(configuration["name"], State(configuration["state"]), Action.REWRAP)
        return self._rewrap(configuration, self._fit(configuration), actor)

    def rotate_ekek(self, name: str, actor: str, on_keys: OnKeys | None = None) -> Settled:
        """Make another EKEK, and move every key to it; no value changes.

        Raises:
            IllegalTransition: unless it is active.
            Denied, Unavailable: when the provider does not do what it is asked; nothing is changed.
        """
        configuration = self._configuration(name)
        next_state(configuration["name"], State(configuration["state"]), Action.ROTATE)
        prepared = self._prepared(configuration, self._fit(configuration))
        integrity = self._hierarchy.integrity
        with self._database.snapshot() as tx:
            old = active_ekek(tx, self._hierarchy, configuration)
            self._hierarchy.ekeks.open(tx, old["sys_id"])
        with self._database.transaction() as tx:
            old = active_ekek(tx, self._hierarchy, configuration)
            self._hierarchy.ekeks.open(tx, old["sys_id"])
            integrity.update(tx, EKEKS, old, "the EKEK", state=EkekState.REPLACED, active_of=None)
            self._insert_ekek(tx, configuration, prepared, actor)
        return self.settle(actor, on_keys)

    def retire(self, name: str, actor: str) -> None:
        """Give up a configuration that wraps nothing any more, and clear what is left of it.

        Raises:
            IllegalTransition, Conflict: as `configurations.retire`.
            Unavailable: when another program keeps the old copies from being cleared.
        """
        with self._database.transaction() as tx:
            row = configurations.named(tx, self._hierarchy, name)
            configurations.retire(tx, self._hierarchy, row, actor)
        self._database.scrub(CONFIGURATIONS.name, EKEKS.name)

    def synchronise(self, actor: str) -> list[Synchronised]:
        """Look at every external key, write down what changed, and rewrap after a rotation outside.

        What keeps one from being looked at keeps none of the others.

        Raises:
            Tampered: when a row about them is not as it was written; after all were looked at,
                where the statuses can still be written down.
        """
        with self._database.snapshot() as tx:
            watched = configurations.listed(tx, self._hierarchy, *WATCHED)
        found, tampered = [], None
        for configuration in watched:
            try:
                found.append(self._looked_at(configuration, actor))
            except Tampered as error:
                refused = Refused(Call.UNWRAP, Answer.WRONG, error.what)
                self._hear(configuration, refused, None, actor)
                tampered = tampered or error
        if tampered is not None:
            raise tampered
        return found

    def settle(self, actor: str, on_keys: OnKeys | None = None) -> Settled:
        """Carry out what modules and EKEKs want; see `settling.settle`."""
        return settling.settle(self._database, self._hierarchy, actor, on_keys)

    # --- steps ---

    def _configuration(self, name: str) -> Fields:
        with self._database.snapshot() as tx:
            return configurations.named(tx, self._hierarchy, name)

    def _described(self, configuration: Fields) -> Described:
        self._leases.calls[Call.DESCRIBE] += 1
        return self._leases.provider(configuration).describe()

    def _fit(self, configuration: Fields) -> Described:
        """The key as its provider describes it, if it may wrap.

        Raises:
            Invalid: when it is of a kind that cannot be used.
            Denied, Unavailable: when it may not be used now.
        """
        try:
            described = self._described(configuration)
        except Refused as refused:
            raise failed(configuration, refused) from None
        _refuse_unfit(configuration, described)
        unusable = _refusal(described)
        if unusable is not None:
            raise failed(configuration, unusable)
        return described

    def _prepared(self, configuration: Fields, described: Described) -> Fields:
        """A new EKEK as it is stored, proven to open."""
        ekek_id, ekek = new_id(), wrap.new_key()
        return {"sys_id": ekek_id, **self._wrapped(configuration, described, ekek_id, ekek)}

    def _wrapped(
        self, configuration: Fields, described: Described, ekek_id: str, ekek: Secret
    ) -> Fields:
        """An EKEK wrapped by the newest bytes of the external key, and opened again.

        Raises:
            Denied, Unavailable: when the provider does not do what it is asked.
        """
        try:
            wrapped, material_id = self._leases.wrap(configuration, ekek_id, ekek)
        except Refused as refused:
            raise failed(configuration, refused) from None
        known = material_id is not None and described.material_id is not None
        if known and material_id != described.material_id:
            reason = "it wrapped by other bytes than its newest ones"
            raise failed(configuration, Refused(Call.WRAP, Answer.WRONG, reason))
        return {
            "wrapped": base64.b64encode(wrapped).decode(),
            "material_id": material_id or described.material_id,
        }

    def _insert_ekek(
        self, tx: Connection, configuration: Fields, prepared: Fields, actor: str
    ) -> None:
        integrity, configuration_id = self._hierarchy.integrity, configuration["sys_id"]
        condition = EKEKS.c.configuration_id == configuration_id
        version = 1 + len(integrity.all(tx, EKEKS, condition))
        integrity.insert(
            tx,
            EKEKS,
            **prepared,
            configuration_id=configuration_id,
            version=version,
            state=EkekState.ACTIVE,
            active_of=configuration_id,
            generated_at=clock.now(),
        )
        log.record(tx, actor, "external.ekek", configuration["name"], version=version)

    def _rewrap(self, configuration: Fields, described: Described, actor: str) -> int:
        with self._database.snapshot() as tx:
            rows = [
                row
                for row in ekeks_of(tx, self._hierarchy, configuration["sys_id"])
                if row["state"] != EkekState.RETIRED
            ]
        for row in rows:
            try:
                ekek, _ = self._leases.unwrap(
                    configuration, row["sys_id"], base64.b64decode(row["wrapped"])
                )
            except Refused as refused:
                raise failed(configuration, refused) from None
            fields = self._wrapped(configuration, described, row["sys_id"], ekek)
            with self._database.transaction() as tx:
                present = self._hierarchy.integrity.all(tx, EKEKS, EKEKS.c.sys_id == row["sys_id"])
                if not present or present[0]["wrapped"] != row["wrapped"]:
                    continue  # retired, or rewrapped by somebody else meanwhile
                self._hierarchy.integrity.update(
                    tx, EKEKS, present[0], "the EKEK", rewrapped_at=clock.now(), **fields
                )
                facts = {"version": row["version"], "material": fields["material_id"]}
                log.record(tx, actor, "external.rewrap", configuration["name"], **facts)
        self._database.scrub(EKEKS.name)
        return len(rows)

    def _looked_at(self, configuration: Fields, actor: str) -> Synchronised:
        described: Described | None = None
        refused: Refused | None = None
        try:
            described = self._described(configuration)
            refused = _refusal(described) or self._opens(configuration)
        except Refused as said:
            refused = said
        except Tampered:
            raise
        except KeysteadError as error:
            refused = Refused(Call.DESCRIBE, Answer.UNREACHABLE, error.what)
        before, now = self._hear(configuration, refused, described, actor)
        rewrapped, failure = False, None
        if refused is None and described is not None and configuration["state"] == State.ACTIVE:
            try:
                rewrapped = self._follow(configuration, described, actor)
            except KeysteadError as error:
                failure = error.what
        reason = refused.reason if refused else None
        was = before.status if before else None
        return Synchronised(configuration["name"], was, now, reason, rewrapped, failure)

    def _hear(
        self,
        configuration: Fields,
        refused: Refused | None,
        described: Described | None,
        actor: str,
    ) -> tuple[Heard | None, Heard]:
        """Write down what was heard of a key: before, and now."""
        answer = Answer.ENABLED if refused is None else refused.answer
        with self._database.transaction() as tx:
            before = heard_before(status_row(tx, self._hierarchy, configuration["sys_id"]))
            deletion_at = described.deletion_at if described else None
            now = heard(answer, clock.now(), deletion_at, before)
            self._note(tx, configuration, now, refused, before, actor)
        return before, now

    def _opens(self, configuration: Fields) -> Refused | None:
        """Whether the provider opens the present EKEK, and why not."""
        with self._database.snapshot() as tx:
            ekek = active_ekek(tx, self._hierarchy, configuration)
        try:
            wrapped = base64.b64decode(ekek["wrapped"])
            self._leases.unwrap(configuration, ekek["sys_id"], wrapped)
        except Refused as refused:
            return refused
        return None

    def _follow(self, configuration: Fields, described: Described, actor: str) -> bool:
        """Rewrap if the external key was rotated outside; whether it was."""
        with self._database.snapshot() as tx:
            rows = ekeks_of(tx, self._hierarchy, configuration["sys_id"])
        # one that was replaced is needed until the last key is moved
        known = {row["material_id"] for row in rows if row["state"] != EkekState.RETIRED}
        if described.material_id is None or known == {described.material_id}:
            return False
        _refuse_unfit(configuration, described)
        self._rewrap(configuration, described, actor)
        return True

    def _note(
        self,
        tx: Connection,
        configuration: Fields,
        now: Heard,
        refused: Refused | None,
        before: Heard | None,
        actor: str,
    ) -> None:
        """Write down a status that changed."""
        if now == before:
            return
        fields = {
            "status": now.status,
            "answer": now.answer,
            "call": refused.call if refused else None,
            "reason": refused.reason[:500] if refused else None,
            "deletion_at": now.deletion_at,
            "missing_since": now.missing_since,
        }
        integrity, configuration_id = self._hierarchy.integrity, configuration["sys_id"]
        row = status_row(tx, self._hierarchy, configuration_id)
        if row is None:
            moment = clock.now()
            integrity.insert(
                tx, STATUSES, configuration_id=configuration_id, since=moment, **fields
            )
        else:
            since = row["since"] if row["status"] == now.status else clock.now()
            integrity.update(tx, STATUSES, row, "the status", since=since, **fields)
        if before is not None and before.status != now.status:
            facts = {"before": before.status, "answer": now.answer, "deletion": now.deletion_at}
            log.record(tx, actor, "external.status", configuration["name"], now=now.status, **facts)

    def _refuse_dark(self, tx: Connection, module: str, name: str) -> tuple[Fields, Fields]:
        """A configuration that can wrap now, and a module whose keys can all be opened now."""
        configuration = configurations.named(tx, self._hierarchy, name)
        next_state(configuration["name"], State(configuration["state"]), Action.WRAP)
        ekek = active_ekek(tx, self._hierarchy, configuration)
        self._hierarchy.ekeks.open(tx, ekek["sys_id"])
        row = keys.module(tx, self._hierarchy, module)
        if configurations.chosen(row) != configuration["sys_id"]:
            spec = keys.specification(tx, self._hierarchy, row["sys_id"])
            for key in keys.keys_of(tx, self._hierarchy, spec["sys_id"]):
                if key["material"] is not None:
                    self._hierarchy.unwrap_module_key(tx, key)
        return configuration, row


def ekeks_of(tx: Connection, hierarchy: Hierarchy, configuration_id: str) -> list[Fields]:
    """The EKEKs of a configuration, in order of version."""
    rows = hierarchy.integrity.all(tx, EKEKS, EKEKS.c.configuration_id == configuration_id)
    return sorted(rows, key=lambda row: int(row["version"]))


def heard_before(row: Fields | None) -> Heard | None:
    """What a row says was heard last."""
    if row is None:
        return None
    status, answer = Status(row["status"]), Answer(row["answer"])
    return Heard(status, answer, row["deletion_at"], row["missing_since"])


def failed(configuration: Fields, refused: Refused) -> KeysteadError:
    """A call that a provider did not do, as an error."""
    family = Unavailable if refused.answer in TRANSIENT else Denied
    return family(
        "external.failed",
        name=configuration["name"],
        call=refused.call,
        answer=refused.answer,
        reason=refused.reason,
    )


def _refuse_unfit(configuration: Fields, described: Described) -> None:
    reason = described.unfit
    if reason is None and configuration["reference"] not in (None, described.reference):
        reason = "the provider shows another key than the one that was activated"
    if reason is not None:
        raise Invalid("external.unfit", name=configuration["name"], reason=reason)


def _refusal(described: Described) -> Refused | None:
    """Why a key that was described may not be used now; None when it may."""
    if described.answer is Answer.ENABLED:
        return None
    return Refused(Call.DESCRIBE, described.answer, f"the key is {described.answer}")
