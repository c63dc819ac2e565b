"""The `keystead` command: the instance program and everything that administers it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keystead.delivery.cli.application import run

if TYPE_CHECKING:
    from keystead.delivery.cli.wiring import Wiring


def command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    return run(_compose, arguments)


def _compose() -> Wiring:
    from keystead.delivery.cli.wiring import Wiring
    from keystead.instance import opening
    from keystead.programs import instance

    return Wiring(
        init=lambda folder, name, port, database, actor: opening.init(
            folder, name, port, instance.connect, actor, database
        ),
        open=instance.open_instance,
        open_unchecked=instance.open_unchecked,
        recover=lambda folder, key, actor: opening.recover(folder, key, instance.connect, actor),
        rotate_root=instance.rotate_root,
        back_up=instance.back_up,
        restore=instance.restore,
        upgrade=instance.upgrade,
        serve=instance.serve,
        work=instance.work,
        channel=instance.channel,
        change_key_file=instance.change_key_file,
    )


def main() -> None:
    """Run the command line of this process and end with its exit code."""
    sys.exit(command(sys.argv[1:]))


if __name__ == "__main__":
    main()
