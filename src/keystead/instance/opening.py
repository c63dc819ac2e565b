"""Making an instance and opening it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from keystead.audit import log
from keystead.base.errors import Conflict, Invalid, KeysteadError, Misconfigured
from keystead.base.ids import new_id
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.database import versions
from keystead.database.port import Database
from keystead.exchange.identity import check_instance_name
from keystead.external.leases import Leases
from keystead.external.provider import OpenProvider, Provider
from keystead.external.provider import Settings as ProviderSettings
from keystead.external.service import ExternalKeys
from keystead.instance import (
    auditing,
    database_url,
    registry,  # noqa: F401 - whoever opens a home knows every table
    root_files,
)
from keystead.instance.home import (
    DEFAULT_HOST,
    DEFAULT_PATIENCE,
    Home,
    Settings,
    read_settings,
    write_private,
    write_settings,
)
from keystead.instance.locks import Hold, alone, share
from keystead.instance.notices import Send, send_nothing
from keystead.keys.hierarchy import Hierarchy, create, open_hierarchy

Connect = Callable[[Home], Database]


def no_provider(kind: str, settings: ProviderSettings, seconds: float) -> Provider:  # noqa: ARG001
    """Refuse to open a provider: for what needs no external key.

    Raises:
        Misconfigured: always.
    """
    raise Misconfigured("external.not_open")


@dataclass(frozen=True, slots=True)
class Instance:
    """An opened instance: everything a command or a server needs of it."""

    home: Home
    settings: Settings
    database: Database
    hierarchy: Hierarchy
    external: ExternalKeys
    hold: Hold
    send: Send = send_nothing

    def close(self) -> None:
        """Close the database and let others have the home alone."""
        self.external.leases.close()
        self.database.close()
        self.hold.release()

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


def open_instance(
    folder: Path, connect: Connect, open_provider: OpenProvider = no_provider
) -> Instance:
    """Open an instance with the root key in its home; an interrupted rotation is ended first.

    Raises:
        Misconfigured: when it is no home, it is of another version, or the root key is missing,
            exposed or wrong.
        Unavailable: while another command holds the home alone.
        Tampered: when its database does not agree with the newest signed head.
    """
    instance = open_unchecked(folder, connect, open_provider)
    try:
        auditing.check(instance.home, instance.database, instance.hierarchy)
    except BaseException:
        instance.close()
        raise
    return instance


def open_unchecked(
    folder: Path, connect: Connect, open_provider: OpenProvider = no_provider
) -> Instance:
    """Open an instance without comparing it with its signed heads: to find out what differs.

    Raises:
        Misconfigured, Unavailable: as `open_instance`.
    """
    home = Home(folder.absolute())
    settings = read_settings(home, os.environ)
    if home.next_root_file.exists():
        # who has the home open meanwhile works with whichever root key opens it
        with suppress(KeysteadError), alone(home), opened_database(home, connect) as database:
            settle(home, database, settings)
    unlock = partial(_by_files, home=home, settings=settings)
    return _opened(home, settings, connect, unlock, open_provider)


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
    recovery = root_files.recovery_from_text(recovery_key)
    found: list[tuple[Secret, Path]] = []

    def by_recovery_key(tx: Connection) -> Hierarchy:
        refusal: KeysteadError = Invalid("root.recovery")
        for file in (home.next_recovery_file, home.recovery_file):
            with suppress(Invalid):
                root = root_files.recover_root(file, recovery, settings.instance_id)
                try:
                    hierarchy = open_hierarchy(tx, root, settings.instance_id)
                except Misconfigured as error:
                    refusal = error
                else:
                    found.append((root, file))
                    return hierarchy
        raise refusal

    instance = _opened(home, settings, connect, by_recovery_key)
    root, file = found[0]
    if file == home.next_recovery_file:
        # the rotation that made it was decided; the old recovery key opens nothing any more
        file.replace(home.recovery_file)
    root_files.write_root(home.root_file, root)
    with instance.database.transaction() as tx:
        log.record(tx, actor, "root.recover", settings.instance_id)
    return instance


@contextmanager
def opened_database(home: Home, connect: Connect) -> Iterator[Database]:
    """The database of a home that is held alone, closed afterwards."""
    database = connect(home)
    try:
        yield database
    finally:
        database.close()


def settle(home: Home, database: Database, settings: Settings) -> bool:
    """End an interrupted rotation of a home that is held alone (`root_files.settle`)."""
    with database.snapshot() as tx:
        return root_files.settle(tx, home, settings.instance_id)


def with_external_keys(
    database: Database, hierarchy: Hierarchy, open_provider: OpenProvider
) -> tuple[Hierarchy, ExternalKeys]:
    """The keys of an instance with those that external keys wrap, and what is done with these."""
    leases = Leases(hierarchy, open_provider)
    whole = hierarchy.with_ekeks(leases)
    return whole, ExternalKeys(database, whole, leases)


def _by_files(tx: Connection, home: Home, settings: Settings) -> Hierarchy:
    _, hierarchy = root_files.unlock(tx, home, settings.instance_id)
    return hierarchy


def _opened(
    home: Home,
    settings: Settings,
    connect: Connect,
    unlock: Callable[[Connection], Hierarchy],
    open_provider: OpenProvider = no_provider,
) -> Instance:
    hold = share(home)
    try:
        database = connect(home)
        try:
            with database.snapshot() as tx:
                versions.check(tx, home.folder)
                hierarchy = unlock(tx)
        except BaseException:
            database.close()
            raise
    except BaseException:
        hold.release()
        raise
    hierarchy, external = with_external_keys(database, hierarchy, open_provider)
    return Instance(home, settings, database, hierarchy, external, hold)


def _fill(home: Home, settings: Settings, connect: Connect, actor: str) -> str:
    """Write the files and Keystead's tables; the recovery key."""
    name = settings.name
    write_settings(home, settings)
    root = wrap.new_key()
    root_files.write_root(home.root_file, root)
    recovery = root_files.write_recovery(home.recovery_file, root, settings.instance_id)
    from keystead.crypto import certificate  # noqa: PLC0415 - X.509 is for this moment only

    key, pem = certificate.self_signed(name, settings.host)
    write_private(home.tls_key, key)
    home.tls_certificate.write_bytes(pem)
    home.log_file.parent.mkdir()
    database = connect(home)
    try:
        with database.transaction() as tx:
            database.create_own_tables(tx)
            versions.write_head(tx)
            hierarchy = create(tx, root, settings.instance_id)
            hierarchy.integrity.adopt(tx)
            log.record(tx, actor, "instance.init", settings.instance_id, name=name)
        auditing.sign(home, database, hierarchy)
    finally:
        database.close()
    return recovery
