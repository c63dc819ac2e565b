"""From the root key down: root -> KEK -> module keys, and the instance's identity beside them.

```
root key (file) ── wraps ──> KEK ── wraps ──> module keys
      │──────────── wraps ──> signing key, sealing key   (the identity shown to peers)
      └──────────── wraps ──> integrity key              (tags on rows)
```

Nothing but the integrity key of a home made by the first version is derived from the root key, so
that a new root key only has to wrap the rest anew (`keys.renewal`).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, insert, select, update

from keystead.base.errors import Misconfigured, Tampered
from keystead.base.ids import new_id
from keystead.base.secret import Secret
from keystead.crypto import seal, sign, wrap
from keystead.database.integrity import Integrity
from keystead.keys.tables import INSTANCE_KEYS

KEK: Final = "kek"
_SIGNING: Final = "signing"
_SEALING: Final = "sealing"
INTEGRITY: Final = "integrity"


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The opened keys of one instance."""

    instance_id: str
    integrity: Integrity
    signing: Secret
    sealing: Secret
    _kek: Secret

    def wrap_module_key(self, key_id: str, spec_id: str, key: Secret) -> str:
        """The key as it is stored: wrapped by the KEK, bound to its id and specification."""
        return _text(wrap.wrap(self._kek, key, "module key", self.instance_id, key_id, spec_id))

    def unwrap_module_key(self, key_id: str, spec_id: str, material: str) -> Secret:
        """The key itself.

        Raises:
            Tampered: when the material was not wrapped for this key here.
        """
        place = ("module key", self.instance_id, key_id, spec_id)
        try:
            return wrap.unwrap(self._kek, _bytes(material), *place)
        except Tampered:
            raise Tampered("row.tampered", row=key_id, table="sys_kmf_module_key") from None

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
    # the first version derived it; without its row, tags made by a stored one all fail
    opened.setdefault(INTEGRITY, wrap.derive(root, "integrity"))
    return opened


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
    return Hierarchy(instance_id, integrity, made[_SIGNING], made[_SEALING], made[KEK])


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(value: str) -> bytes:
    return base64.b64decode(value, validate=True)
