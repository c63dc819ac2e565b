"""What Alembic runs: the scripts, on the connection and in the transaction that it is given."""

from __future__ import annotations

from typing import Any

from alembic import context
from alembic.operations.ops import CreateTableOp, CreateUniqueConstraintOp

from keystead.database.schema import METADATA
from keystead.database.versions import VERSION_TABLE, is_ours


def _finished(_context: Any, _revision: Any, scripts: list[Any]) -> None:
    """What a new script lacks or has too much, mended before it is written."""
    for made in scripts[0].upgrade_ops.ops:
        if isinstance(made, CreateTableOp):
            made.info.clear()  # what a clone does with a table is said where it is declared
        for change in getattr(made, "ops", ()):
            if isinstance(change, CreateUniqueConstraintOp) and change.constraint_name is None:
                # SQLite adds a constraint to a table that is there only under a name
                names = "_".join(str(column) for column in change.columns)
                change.constraint_name = f"uq_{change.table_name}_{names}"
    scripts[0].downgrade_ops.ops.clear()  # nothing is ever taken back to an older version


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE.name,
    render_as_batch=True,
    include_name=is_ours,
    process_revision_directives=_finished,
)
with context.begin_transaction():
    context.run_migrations()
