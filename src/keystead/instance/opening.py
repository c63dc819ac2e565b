"""Making an instance and opening it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keystead.audit import log
from keystead.base.errors import Conflict
from keystead.base.ids import new_id
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.database.port import Database
from keystead.exchange.identity import check_instance_name
from keystead.instance import database_url
from keystead.instance.home import (
    DEFAULT_HOST,
    DEFAULT_PATIENCE,
    Home,
    Settings,
    read_root,
    read_settings,
    recover_root,
    write_private,
    write_recovery,
    write_root,
    write_settings,
)
from keystead.keys.hierarchy import Hierarchy, create, open_hierarchy

Connect = Callable[[Home], Database]


@dataclass(frozen=True, slots=True)
class Instance:
    """An opened instance: everything a command or a server needs of it."""

    home: Home
    settings: Settings
    database: Database
    hierarchy: Hierarchy

    @property
    def certificate(self) -> str:
        """The PEM certificate that peers pin."""
        return self.home.tls_certificate.read_text(encoding="ascii")


def init(
    folder: Path, name: str, port: int, connect: Connect, actor: str, database: str = ""
) -> tuple[Settings, str]:
    """Make an instance in a folder that is empty or does not exist; settings and recovery key.

    It is made beside the folder and moved into place, so there is never half an instance.

    `database` is the URL of a server, or empty for a file in the folder.

    Raises:
        Conflict: when the folder is not empty, or the database holds an instance.
        Invalid: for a name or a URL that cannot be used.
    """
    check_instance_name(name)
    if database:
        database_url.parse(database)
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict("home.exists", home=folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Home(folder.with_name(f".{folder.name}.{new_id()}"))
    draft.folder.mkdir(mode=0o700)
    try:
        settings = Settings(name, new_id(), DEFAULT_HOST, port, DEFAULT_PATIENCE, database)
        recovery = _fill(draft, settings, connect, actor)
        draft.folder.rename(folder)
    except BaseException as error:
        shutil.rmtree(draft.folder, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise Conflict("home.exists", home=folder) from None
        raise
    return settings, recovery


def open_instance(folder: Path, connect: Connect) -> Instance:
    """Open an instance with the root key in its home.

    Raises:
        Misconfigured: when it is no home, or the root key is missing, exposed or wrong.
    """
    home = Home(folder.absolute())
    settings = read_settings(home, os.environ)
    root = read_root(home)
    return _opened(home, settings, root, connect)


def recover(folder: Path, recovery_key: str, connect: Connect, actor: str) -> Instance:
    """Write the root key file anew with the recovery key, after proving that it opens the instance.

    Raises:
        Conflict: when a root key file is there.
        Invalid: when the recovery key is not that of this home.
    """
    home = Home(folder.absolute())
    settings = read_settings(home, os.environ)
    if home.root_file.exists():
        raise Conflict("root.present", file=home.root_file)
    root = recover_root(home, recovery_key, settings.instance_id)
    instance = _opened(home, settings, root, connect)
    write_root(home, root)
    with instance.database.transaction() as tx:
        log.record(tx, actor, "root.recover", settings.instance_id)
    return instance


def _opened(home: Home, settings: Settings, root: Secret, connect: Connect) -> Instance:
    database = connect(home)
    with database.snapshot() as tx:
        hierarchy = open_hierarchy(tx, root, settings.instance_id)
    return Instance(home, settings, database, hierarchy)


def _fill(home: Home, settings: Settings, connect: Connect, actor: str) -> str:
    """Write the files and Keystead's tables; the recovery key."""
    name = settings.name
    write_settings(home, settings)
    root = wrap.new_key()
    write_root(home, root)
    recovery = write_recovery(home, root, settings.instance_id)
    from keystead.crypto import certificate  # noqa: PLC0415 - X.509 is for this moment only

    key, pem = certificate.self_signed(name)
    write_private(home.tls_key, key)
    home.tls_certificate.write_bytes(pem)
    home.log_file.parent.mkdir()
    database = connect(home)
    try:
        with database.transaction() as tx:
            database.create_own_tables(tx)
            create(tx, root, settings.instance_id)
            log.record(tx, actor, "instance.init", settings.instance_id, name=name)
    finally:
        database.close()
    return recovery
