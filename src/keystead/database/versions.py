"""The version of Keystead's own tables in a database, and taking an older one along.

Each version is a script in `migrations/versions`. A database of the first version has no version
written: it was made before versions were.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select

from keystead.base.errors import Misconfigured
from keystead.database.model import STAGING_PREFIX
from keystead.database.schema import METADATA

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER: Final = Path(__file__).parent / "migrations"
BASELINE: Final = "0001"
# not in METADATA: Alembic itself writes this table
VERSION_TABLE: Final = Table(
    "keystead_version", MetaData(), Column("version_num", String(32), primary_key=True)
)
_OURS: Final = ("sys_", "sysauto_", "keystead_")
# what even the first version had
_LANDMARKS: Final = ("keystead_instance_key", "sys_kmf_module_key")


# there while a database is being filled by a restore, and never in a copy
RESTORING: Final = Table(
    "keystead_restoring", MetaData(), Column("version_num", String(32), primary_key=True)
)


def begin_restore(tx: Connection) -> None:
    """Mark an empty database: until `end_restore` nothing opens it."""
    RESTORING.create(tx)


def end_restore(tx: Connection) -> None:
    """The database is whole, or empty again."""
    RESTORING.drop(tx, checkfirst=True)


def is_half_restored(tx: Connection) -> bool:
    """Whether a restore began to fill the database and did not end."""
    return inspect(tx).has_table(RESTORING.name)


def head() -> str:
    """The version this program works with."""
    return sorted(file.name for file in (FOLDER / "versions").glob("v*.py"))[-1][1:5]


def written(tx: Connection) -> str:
    """The version that a database has.

    Raises:
        LookupError: naming the tables that it lacks, when it is no database of ours.
    """
    inspector = inspect(tx)
    missing = [name for name in _LANDMARKS if not inspector.has_table(name)]
    if missing:
        raise LookupError(", ".join(missing))
    if not inspector.has_table(VERSION_TABLE.name):
        return BASELINE
    return str(tx.execute(select(VERSION_TABLE.c.version_num)).scalar() or BASELINE)


def check(
    tx: Connection, home: object, *, allow_older: bool = False, is_restoring: bool = False
) -> str:
    """The version of a home's database, which is this program's.

    Raises:
        Misconfigured: when it is newer, or older and that is not allowed, or none of ours, or half
            restored, other than for the restore itself.
    """
    if not is_restoring and is_half_restored(tx):
        raise Misconfigured("home.half_restored", home=home)
    try:
        found = written(tx)
    except LookupError as error:
        raise Misconfigured("home.foreign_schema", home=home, missing=error) from None
    if not found.isdecimal() or found > head():
        raise Misconfigured("home.newer", home=home, found=found, head=head())
    if found < head() and not allow_older:
        raise Misconfigured("home.older", home=home, found=found, head=head())
    return found


def write_head(tx: Connection) -> None:
    """Write this program's version into a database whose tables were just made."""
    VERSION_TABLE.create(tx)
    tx.execute(insert(VERSION_TABLE).values(version_num=head()))


def migrate(tx: Connection, to: str = "head") -> None:
    """Run every script from the version that the database has; part of the transaction."""
    from alembic import command  # noqa: PLC0415 - only an upgrade needs it

    config = configuration(tx)
    if inspect(tx).has_table(_LANDMARKS[0]) and not inspect(tx).has_table(VERSION_TABLE.name):
        command.stamp(config, BASELINE)
    command.upgrade(config, to)


def differences(tx: Connection) -> list[Any]:
    """What Alembic would change to make the database's own tables those that are declared."""
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415

    options = {"include_name": is_ours, "version_table": VERSION_TABLE.name}
    return list(compare_metadata(MigrationContext.configure(tx, opts=options), METADATA))


def configuration(tx: Connection) -> Config:
    """Alembic's configuration for one transaction."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": tx})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
    return config


def is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Whether Alembic looks at a thing of that name: our tables only, never business tables."""
    if kind == "schema":
        return True
    table = str(name if kind == "table" else parents["table_name"])
    return table.startswith(_OURS) and not table.startswith(STAGING_PREFIX)
