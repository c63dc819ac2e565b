"""A new root key for an instance: prepare, verify by opening, commit, retire.

1. prepare: `root.key.next` and `root.recovery.next` reach the disk
2. verify: both are read back, and both yield the new root key
3. the new recovery key is shown, since the old one opens nothing after the next step
4. commit: one transaction wraps everything by the new root key and opens it again
5. retire: the new files take the places of the old ones

Killed before 4, the old root key opens the instance; after it, the new one does. Either way the
next command that opens the home settles the files, and the rotation can simply be run again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from keystead.audit import log
from keystead.base.errors import KeysteadError, Tampered
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.database import versions
from keystead.database.port import Database
from keystead.instance import presence, root_files
from keystead.instance.home import Home, Settings, reach_disk, read_settings
from keystead.instance.locks import alone
from keystead.instance.opening import Connect, opened_database, settle
from keystead.keys import renewal
from keystead.keys.renewal import Renewed

ShowRecoveryKey = Callable[[str], None]


def rotate_root(
    folder: Path, connect: Connect, actor: str, show: ShowRecoveryKey, *, with_kek: bool
) -> Renewed:
    """Replace the root key and the recovery key; with `with_kek` the KEK and integrity key too.

    `show` is given the new recovery key before the old one stops working.

    Raises:
        Conflict: while a process works on the instance, in this home or another.
        Unavailable: while another command has it open.
        Tampered: when a row or key is not as it was written; the old root key stays.
    """
    home = Home(folder.absolute())
    settings = read_settings(home, os.environ)
    with (
        alone(home),
        opened_database(home, connect) as database,
        presence.alone(home, database, settings.process_patience),
    ):
        with database.snapshot() as tx:
            versions.check(tx, home.folder)
        settle(home, database, settings)
        try:
            renewed = _rotate(home, settings, database, actor, show, with_kek)
        except Exception:
            # an old root key stays if the commit was not reached; who decides is the database
            with suppress(KeysteadError, OSError):
                settle(home, database, settings)
            raise
        with database.snapshot() as tx:
            _, hierarchy = root_files.unlock(tx, home, settings.instance_id)
            renewal.check(tx, hierarchy)
    return renewed


def _rotate(
    home: Home,
    settings: Settings,
    database: Database,
    actor: str,
    show: ShowRecoveryKey,
    with_kek: bool,
) -> Renewed:
    instance_id = settings.instance_id
    with database.snapshot() as tx:
        root, _ = root_files.unlock(tx, home, instance_id)
    new_root, recovery_key = _prepare(home, instance_id)
    with database.transaction() as tx:
        renewed = renewal.renew(tx, root, new_root, instance_id, with_kek=with_kek)
        log.record(
            tx,
            actor,
            "root.rotate",
            instance_id,
            kek="renewed" if with_kek else "kept",
            module_keys=renewed.module_keys,
        )
        show(recovery_key)
    root_files.retire(home)
    return renewed


def _prepare(home: Home, instance_id: str) -> tuple[Secret, str]:
    new_root = wrap.new_key()
    root_files.write_root(home.next_root_file, new_root)
    recovery_key = root_files.write_recovery(home.next_recovery_file, new_root, instance_id)
    reach_disk(home.folder)
    recovery = root_files.recovery_from_text(recovery_key)
    again = root_files.read_root(home.next_root_file)
    regained = root_files.recover_root(home.next_recovery_file, recovery, instance_id)
    if not wrap.same(again, new_root) or not wrap.same(regained, new_root):
        raise Tampered("root.wrong")
    return again, recovery_key
