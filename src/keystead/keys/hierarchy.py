"""From the root key down: root -> KEK -> module keys, and the instance's identity beside them.

```
root key (file) ── wraps ──> KEK ── wraps ──> module keys
      │──────────── wraps ──> signing key, sealing key   (the identity shown to peers)
      │──────────── wraps ──> integrity key              (tags on rows)
      └──────────── wraps ──> inner key ── wraps, and then an external key wraps ──> EKEKs
```

An EKEK (external key encryption key) takes the place of the KEK for modules under an external key:
it opens with both the root key and the external key, and with neither alone (`external.leases`).

Nothing is derived from the root key but what homes of older versions have no row for, so that a
new root key only has to wrap the rest anew (`keys.renewal`).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from sqlalchemy import Connection, insert, inspect, select, update

from keystead.base.errors import KeysteadError, Misconfigured, Tampered
from keystead.base.ids import new_id
from keystead.base.secret import Secret
from keystead.crypto import seal, sign, wrap
from keystead.database.integrity import Fields, Integrity
from keystead.keys.tables import INSTANCE_KEYS, KEYS

KEK: Final = "kek"
_SIGNING: Final = "signing"
_SEALING: Final = "sealing"
INTEGRITY: Final = "integrity"
_INNER: Final = "inner"


class Ekeks(Protocol):
    """The EKEKs of an instance, as long as the external keys that wrap them may be used."""

    def current(self, tx: Connection, configuration_id: str) -> str:
        """The id of the EKEK that wraps new keys under a configuration.

        Raises:
            KeysteadError: when there is none.
        """
        ...

    def open(self, tx: Connection, ekek_id: str) -> Secret:
        """An EKEK.

        Raises:
            KeysteadError: when its external key may not be used, or cannot be asked; data under it
                is dark then.
        """
        ...

    def refusal(self, ekek_id: str) -> KeysteadError | None:
        """Why what was opened by this EKEK may not be used any more; None while it may."""
        ...

    def wrap_transport(
        self, configuration: Fields, transport: Secret, context: Mapping[str, str]
    ) -> bytes:
        """A key that protects others on their way, wrapped by the external key alone.

        Opened again before it is relied on. Not part of a transaction.

        Raises:
            KeysteadError: when the external key may not be used, or cannot be asked.
        """
        ...

    def unwrap_transport(
        self, configuration: Fields, wrapped: bytes, context: Mapping[str, str]
    ) -> Secret:
        """What `wrap_transport` was given, by whoever may use the same external key.

        Not part of a transaction.

        Raises:
            KeysteadError: when the external key may not be used, or did not wrap it for `context`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The opened keys of one instance. An EKEK is opened when it is needed, by `ekeks`."""

    instance_id: str
    integrity: Integrity
    signing: Secret
    sealing: Secret
    _kek: Secret
    _inner: Secret
    _ekeks: Ekeks | None = None

    @property
    def ekeks(self) -> Ekeks:
        """The EKEKs of the instance.

        Raises:
            Misconfigured: when it was opened without its external keys.
        """
        if self._ekeks is None:
            raise Misconfigured("external.not_open")
        return self._ekeks

    def with_ekeks(self, ekeks: Ekeks) -> Hierarchy:
        """The same keys, with these EKEKs."""
        return replace(self, _ekeks=ekeks)

    def wrap_module_key(
        self, tx: Connection, key_id: str, spec_id: str, key: Secret, ekek_id: str | None
    ) -> str:
        """The key as it is stored: wrapped by an EKEK or (None) the KEK, bound to id and spec.

        Raises:
            KeysteadError: when the EKEK may not be used.
        """
        wrapper = self._wrapper(tx, ekek_id)
        return _text(wrap.wrap(wrapper, key, "module key", self.instance_id, key_id, spec_id))

    def unwrap_module_key(self, tx: Connection, row: Fields) -> Secret:
        """The key itself, out of its row.

        Raises:
            Tampered: when the material was not wrapped for this key here.
            KeysteadError: when the EKEK that wraps it may not be used.
        """
        wrapper = self._wrapper(tx, row["ekek_id"])
        place = ("module key", self.instance_id, row["sys_id"], row["spec_id"])
        try:
            return wrap.unwrap(wrapper, _bytes(row["material"]), *place)
        except Tampered:
            raise Tampered("row.tampered", row=row["sys_id"], table="sys_kmf_module_key") from None

    def wrap_ekek(self, configuration_id: str, ekek_id: str, ekek: Secret) -> bytes:
        """What the provider of an external key is given instead of an EKEK."""
        return wrap.wrap(self._inner, ekek, *self._place_of(configuration_id, ekek_id))

    def unwrap_ekek(self, configuration_id: str, ekek_id: str, wrapped: bytes) -> Secret:
        """The EKEK out of what a provider gave back.

        Raises:
            Tampered: when it was not wrapped for this EKEK here.
        """
        return wrap.unwrap(self._inner, wrapped, *self._place_of(configuration_id, ekek_id))

    def wrap_credentials(self, configuration_id: str, credentials: Secret) -> str:
        """Credentials of an external key's provider as they are stored."""
        place = ("external credentials", self.instance_id, configuration_id)
        return _text(wrap.wrap(self._inner, credentials, *place))

    def unwrap_credentials(self, configuration_id: str, stored: str) -> Secret:
        """The credentials out of what is stored.

        Raises:
            Tampered: when they were not stored for this configuration here.
        """
        place = ("external credentials", self.instance_id, configuration_id)
        try:
            return wrap.unwrap(self._inner, _bytes(stored), *place)
        except (Tampered, ValueError):
            table = "keystead_external_configuration"
            raise Tampered("row.tampered", row=configuration_id, table=table) from None

    def _wrapper(self, tx: Connection, ekek_id: str | None) -> Secret:
        return self._kek if ekek_id is None else self.ekeks.open(tx, ekek_id)

    def _place_of(self, configuration_id: str, ekek_id: str) -> tuple[str, ...]:
        return ("ekek", self.instance_id, configuration_id, ekek_id)

    def wrap_import_key(self, token_id: str, private: Secret) -> str:
        """The private key of an import token as it is stored: wrapped by the KEK, bound to it."""
        return _text(wrap.wrap(self._kek, private, "import token", self.instance_id, token_id))

    def unwrap_import_key(self, token_id: str, material: str) -> Secret:
        """The private key of an import token.

        Raises:
            Tampered: when the material was not wrapped for this token here.
        """
        try:
            return wrap.unwrap(
                self._kek, _bytes(material), "import token", self.instance_id, token_id
            )
        except (Tampered, ValueError):
            raise Tampered("row.tampered", row=token_id, table="keystead_import_token") from None


def create(tx: Connection, root: Secret, instance_id: str) -> Hierarchy:
    """Make the KEK and the identity of a new instance and store them under its root."""
    made = {
        KEK: wrap.new_key(),
        _SIGNING: sign.new_private(),
        _SEALING: seal.new_private(),
        INTEGRITY: wrap.new_key(),
        _INNER: wrap.new_key(),
    }
    for purpose, key in made.items():
        material = _text(wrap.wrap(root, key, purpose, instance_id))
        tx.execute(
            insert(INSTANCE_KEYS).values(sys_id=new_id(), purpose=purpose, material=material)
        )
    return _opened(instance_id, made)


def open_hierarchy(tx: Connection, root: Secret, instance_id: str) -> Hierarchy:
    """Open what `create` stored.

    Raises:
        Misconfigured: when this is not the root key of this instance.
    """
    return _opened(instance_id, instance_keys(tx, root, instance_id))


def instance_keys(tx: Connection, root: Secret, instance_id: str) -> dict[str, Secret]:
    """Every key that the root key wraps, by its purpose.

    Raises:
        Misconfigured: when this is not the root key of this instance.
    """
    stored = {row.purpose: row.material for row in tx.execute(select(INSTANCE_KEYS))}
    try:
        opened = {
            purpose: wrap.unwrap(root, _bytes(material), purpose, instance_id)
            for purpose, material in stored.items()
        }
    except (Tampered, ValueError):
        raise Misconfigured("root.wrong") from None
    if not {KEK, _SIGNING, _SEALING} <= set(opened):
        raise Misconfigured("root.wrong")
    # older versions had no rows for these; without its row, what a stored one made does not open
    opened.setdefault(INTEGRITY, wrap.derive(root, "integrity"))
    if _INNER not in opened:
        # removed behind our back: another would be wrapped under, and lost when it is put back
        if _knows_ekeks(tx):
            raise Misconfigured("root.wrong")
        opened[_INNER] = wrap.derive(root, "inner")
    return opened


def _knows_ekeks(tx: Connection) -> bool:
    """Whether the tables are of a version whose homes all have an inner key (`store`)."""
    return any(column["name"] == "ekek_id" for column in inspect(tx).get_columns(KEYS.name))


def store(tx: Connection, root: Secret, instance_id: str, made: dict[str, Secret]) -> Hierarchy:
    """Wrap the instance's keys by a root key in the places of the old wrappings.

    What was stored is opened again.

    Raises:
        Tampered: when it does not open to the same keys.
    """
    for purpose, key in made.items():
        material = _text(wrap.wrap(root, key, purpose, instance_id))
        guard = INSTANCE_KEYS.c.purpose == purpose
        if tx.execute(update(INSTANCE_KEYS).where(guard).values(material=material)).rowcount != 1:
            fields = {"sys_id": new_id(), "purpose": purpose, "material": material}
            tx.execute(insert(INSTANCE_KEYS).values(**fields))
    again = instance_keys(tx, root, instance_id)
    if set(again) != set(made) or not all(wrap.same(again[p], made[p]) for p in made):
        raise Tampered("root.wrong")
    return _opened(instance_id, again)


def _opened(instance_id: str, made: dict[str, Secret]) -> Hierarchy:
    integrity = Integrity(instance_id, made[INTEGRITY])
    return Hierarchy(
        instance_id, integrity, made[_SIGNING], made[_SEALING], made[KEK], made[_INNER]
    )


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(value: str) -> bytes:
    return base64.b64decode(value, validate=True)
