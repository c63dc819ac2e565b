"""The message catalogue: for each stable code, what happened and what to do about it.

Each capability has a file of its own.
"""

from typing import Final

from keystead.base.messages import (
    access,
    attachments,
    audit,
    backups,
    clone,
    columns,
    console,
    dictionary,
    exchange,
    external,
    fields,
    general,
    homes,
    integrity,
    jobs,
    key_files,
    keys,
    names,
    peers,
    tables,
)
from keystead.base.messages.message import Message

PARTS: Final = (
    access,
    attachments,
    audit,
    backups,
    clone,
    columns,
    console,
    dictionary,
    exchange,
    external,
    fields,
    general,
    homes,
    integrity,
    jobs,
    key_files,
    keys,
    names,
    peers,
    tables,
)
CATALOGUE: Final[dict[str, Message]] = {
    code: message for part in PARTS for code, message in part.MESSAGES.items()
}
