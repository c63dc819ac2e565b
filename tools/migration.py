"""Write the migration script from the newest version to the tables as they are declared now.

Run by `make migration NAME=what_changed`. Read the script before you commit it.
"""

from __future__ import annotations

import importlib
import sys

from alembic import command
from sqlalchemy import create_engine

from keystead.database import versions


def main(name: str) -> None:
    """Write the script, or say that nothing differs."""
    importlib.import_module("keystead.instance.registry")  # registers every table
    with create_engine("sqlite://").begin() as tx:
        versions.migrate(tx)
        if not versions.differences(tx):
            sys.exit("Nothing differs: the newest version has every table and column.")
        number = f"{int(versions.head()) + 1:04d}"
        command.revision(versions.configuration(tx), message=name, autogenerate=True, rev_id=number)


if __name__ == "__main__":
    main(sys.argv[1])
