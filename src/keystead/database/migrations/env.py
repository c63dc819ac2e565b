"""What Alembic runs: the scripts, on the connection and in the transaction that it is given."""

from __future__ import annotations

from typing import Any

from alembic import context
from alembic.operations.ops import CreateTableOp

from keystead.database.schema import METADATA
from keystead.database.versions import VERSION_TABLE, is_ours


def _without_info(_context: Any, _revision: Any, scripts: list[Any]) -> None:
    """What a clone does with a table is said where it is declared, not in the script."""
    for made in scripts[0].upgrade_ops.ops:
        if isinstance(made, CreateTableOp):
            made.info.clear()


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE.name,
    render_as_batch=True,
    include_name=is_ours,
    process_revision_directives=_without_info,
)
with context.begin_transaction():
    context.run_migrations()
