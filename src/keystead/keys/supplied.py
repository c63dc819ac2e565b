"""Keys that customers bring: wrapped, for a token that was given out, or in a keystore.

A token serves one module, once, for two hours. What comes back with it is checked in this order:

1. the token is one that was given out, unchanged
2. it is for this module
3. it was not used
4. it has not expired
5. the wrapped key opens with the private key of this token
6. it has the size that the specification asks for
7. no key of this instance has the same bytes

A key out of a keystore (`crypto.pkcs12`), opened where it is imported, passes steps 6 and 7.
"""

from __future__ import annotations

import os
from typing import Final

from sqlalchemy import Connection

from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, Invalid, Tampered
from keystead.base.ids import new_id, new_key_id
from keystead.base.secret import Secret
from keystead.crypto import oaep, sign, wrap
from keystead.database.integrity import Fields
from keystead.keys import held, modules
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.model import CAN_ENCRYPT, KeyState, Origin
from keystead.keys.tables import IMPORT_TOKENS

TOKEN_SECONDS: Final = 2 * 3600
_PREFIX: Final = "keystead-import-token-1."
_RANDOM: Final = 32


def make_token(tx: Connection, hierarchy: Hierarchy, name: str, private: Secret, actor: str) -> str:
    """A token for one key of a published module, to be wrapped for `private` (`oaep.new_pair`)."""
    row, spec = modules.published_specification(tx, hierarchy, name)
    token = _PREFIX + os.urandom(_RANDOM).hex()
    token_id = new_id()
    hierarchy.integrity.insert(
        tx,
        IMPORT_TOKENS,
        sys_id=token_id,
        spec_id=spec["sys_id"],
        digest=_digest(token),
        private=hierarchy.wrap_import_key(token_id, private),
        created_at=clock.now(),
        expires_at=clock.after(TOKEN_SECONDS),
    )
    log.record(tx, actor, "key.import_token", token_id, module=row["name"])
    return token


def import_supplied(
    tx: Connection, hierarchy: Hierarchy, name: str, token: str, wrapped: bytes, actor: str
) -> Fields:
    """Take a customer's key: active when the module has none that encrypts, else waiting.

    Raises:
        Invalid: when one of steps 1 to 6 refuses.
        Conflict: when step 7 does.
    """
    module, spec = modules.published_specification(tx, hierarchy, name)
    given = _checked_token(tx, hierarchy, spec["sys_id"], token)
    try:
        private = hierarchy.unwrap_import_key(given["sys_id"], given["private"])
        secret = oaep.unwrap(private, wrapped)
    except Tampered as refused:
        if refused.code != "seal.failed":
            raise
        raise Invalid("supplied.unwrap") from None
    _refuse_unfit(tx, hierarchy, spec, secret)
    hierarchy.integrity.update(
        tx, IMPORT_TOKENS, given, "the token", private=None, used_at=clock.now()
    )
    return _store(tx, hierarchy, module, spec, secret, actor, source="token")


def import_opened(
    tx: Connection, hierarchy: Hierarchy, name: str, secret: Secret, actor: str
) -> Fields:
    """Take a customer's key out of a keystore: active or waiting, as `import_supplied`.

    Raises:
        Invalid: when step 6 refuses.
        Conflict: when step 7 does.
    """
    module, spec = modules.published_specification(tx, hierarchy, name)
    _refuse_unfit(tx, hierarchy, spec, secret)
    return _store(tx, hierarchy, module, spec, secret, actor, source="PKCS#12")


def _store(
    tx: Connection,
    hierarchy: Hierarchy,
    module: Fields,
    spec: Fields,
    secret: Secret,
    actor: str,
    *,
    source: str,
) -> Fields:
    keys = held.keys_of(tx, hierarchy, spec["sys_id"])
    free = not any(key["state"] in CAN_ENCRYPT | {KeyState.SUSPENDED} for key in keys)
    moment = clock.now()
    made = held.store_new(
        tx,
        hierarchy,
        key_id=new_key_id().hex(),
        spec_id=spec["sys_id"],
        secret=secret,
        state=KeyState.ACTIVE if free else KeyState.GENERATED,
        origin=Origin.SUPPLIED,
        generated_at=moment,
        activated_at=moment if free else None,
    )
    facts = {"module": module["name"], "origin": "customer", "source": source}
    log.record(tx, actor, "key.import", made["sys_id"], **facts)
    return made


def _checked_token(tx: Connection, hierarchy: Hierarchy, spec_id: str, token: str) -> Fields:
    """The row of a token that passes steps 1 to 4."""
    condition = IMPORT_TOKENS.c.digest == _digest(token.strip())
    found = hierarchy.integrity.all(tx, IMPORT_TOKENS, condition)
    if not found or found[0]["spec_id"] != spec_id:
        raise Invalid("token.invalid")
    if found[0]["private"] is None:
        raise Invalid("token.used")
    if found[0]["expires_at"] <= clock.now():
        raise Invalid("token.expired")
    return found[0]


def _refuse_unfit(tx: Connection, hierarchy: Hierarchy, spec: Fields, secret: Secret) -> None:
    """Steps 6 and 7."""
    if len(secret) * 8 != spec["size_bits"]:
        raise Invalid("supplied.size", size=len(secret) * 8, wanted=spec["size_bits"])
    for row in held.all_keys(tx, hierarchy):
        if row["material"] is not None:
            own = hierarchy.unwrap_module_key(tx, row)
            if len(own) == len(secret) and wrap.same(own, secret):
                raise Conflict("supplied.known", key=row["sys_id"])


def _digest(token: str) -> str:
    return sign.digest(token.encode(errors="replace"))
