"""Taking a home of an older version along.

1. the home is held alone, and the database as far as processes of other homes go
2. a copy of the database is put beside it, under the number of its version; of one on a server, a
   backup, so that no clear value comes onto this machine
3. in one transaction (where the engine can) every key of the instance gets its row, the scripts
   run, and every tagged row and module key is opened under the new tables
4. commit

Killed before 4, nothing has happened; run again, it begins anew.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from keystead.audit import log
from keystead.database import versions
from keystead.database.port import Database
from keystead.instance import auditing, backup, presence, root_files
from keystead.instance.backup import OnProgress
from keystead.instance.home import Home, Settings, reach_disk, read_settings
from keystead.instance.locks import alone
from keystead.instance.opening import Connect, opened_database, settle
from keystead.keys import renewal
from keystead.keys.hierarchy import instance_keys, store


@dataclass(frozen=True, slots=True)
class Upgraded:
    """Which versions a home went from and to; `copy` is the old database, None if nothing to do."""

    before: str
    after: str
    copy: Path | None
    module_keys: int


def upgrade(folder: Path, connect: Connect, actor: str, on_progress: OnProgress) -> Upgraded:
    """Take a home along to this version; a home of this version is left as it is.

    Raises:
        Conflict: while a process works on the instance, in this home or another.
        Unavailable: when another command has it open, or there is no room for the copy.
        Misconfigured: when it is of a newer version, or its root key does not open it.
        Tampered: when a row or key is not as it was written; the home stays as it was.
    """
    home = Home(folder.absolute())
    settings = read_settings(home, os.environ)
    with (
        alone(home),
        opened_database(home, connect) as database,
        presence.alone(home, database, settings.process_patience),
    ):
        settle(home, database, settings)
        with database.snapshot() as tx:
            before = versions.check(tx, home.folder, allow_older=True)
            root, _ = root_files.unlock(tx, home, settings.instance_id)
            own = instance_keys(tx, root, settings.instance_id)
        if before == versions.head():
            return Upgraded(before, before, None, 0)
        copy = _copy(home, settings, database, before, on_progress)
        with database.transaction() as tx:
            # first: on an engine that commits at each script, the new tables need what is stored
            hierarchy = store(tx, root, settings.instance_id, own)
            versions.migrate(tx)
            auditing.adopt(tx, hierarchy, actor)
            module_keys = renewal.check(tx, hierarchy)
            after = versions.check(tx, home.folder)
            log.record(
                tx, actor, "instance.upgrade", settings.instance_id, before=before, after=after
            )
        auditing.sign(home, database, hierarchy)
    return Upgraded(before, after, copy, module_keys)


def _copy(
    home: Home, settings: Settings, database: Database, version: str, on_progress: OnProgress
) -> Path:
    """The old database, whole and under its name, or not there."""
    kept = home.folder / f"before-upgrade-{version}"
    for left in home.folder.glob(f"{home.copy_file.name}*"):
        left.unlink()
    if settings.database:
        file = kept.with_suffix(".backup")
        file.unlink(missing_ok=True)  # of an upgrade that was killed after it
        return backup.write(file, home, settings, database, version, None, on_progress).file
    file = kept.with_suffix(".copy")
    try:
        with closing(
            database.copy(home.copy_file, lambda done, total: on_progress("copying", done, total))
        ) as pieces:
            for _ in pieces:
                pass  # what it was copied to is kept
        with home.copy_file.open("rb") as written:
            os.fsync(written.fileno())
        home.copy_file.replace(file)
    finally:
        home.copy_file.unlink(missing_ok=True)
    reach_disk(home.folder)
    return file
