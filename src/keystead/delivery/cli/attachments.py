"""`attachment`: files of records."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import typer

from keystead.attachments.service import clear
from keystead.base.errors import Conflict, NotFound
from keystead.base.ids import new_id
from keystead.delivery.cli.output import emit, progress, table
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened

if TYPE_CHECKING:
    from keystead.instance.opening import Instance
    from keystead.records.attached import Attachment, Desk

attachments = typer.Typer(no_args_is_help=True, help="Files that belong to a record.")
_READ: Final = 1024 * 1024
_BYTES: Final = "application/octet-stream"
TableArgument = Annotated[str, typer.Argument(metavar="TABLE", help="The table.")]
AttachmentArgument = Annotated[
    str, typer.Argument(metavar="ATTACHMENT", help="The attachment's id.")
]
AsOption = Annotated[str | None, typer.Option("--as", help="As this user.")]


@attachments.command("add")
def add(
    ctx: typer.Context,
    home: HomeArgument,
    name: TableArgument,
    record: Annotated[
        str, typer.Argument(help="The record's key; several columns joined with commas.")
    ],
    file: Annotated[Path, typer.Argument(help="The file.")],
    content_type: Annotated[
        str | None, typer.Option("--type", help="Its type, when its name does not say.")
    ] = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Attach a file to a record; encrypted, if the table's attachments are.

    It is opened again before it counts; killed at any moment, it leaves nothing.

    Example: keystead attachment add prod incident 17 report.pdf --as ada
    """
    if not file.is_file():
        raise NotFound("file.missing", file=file, reason="it is no file")
    kind = content_type or mimetypes.guess_type(file.name)[0] or _BYTES
    instance, size = opened(ctx, home), file.stat().st_size
    ctx.call_on_close(lambda: clear(instance.database))
    with (
        _desk(instance, as_user) as desk,
        desk.upload(name, record, file.name, kind, size).giving_up() as upload,
        progress("bytes") as update,
        file.open("rb") as source,
    ):
        done = 0
        while data := source.read(_READ):
            upload.write(data)
            done += len(data)
            update("writing", done, size)
        made = upload.finish()
    how = "encrypted" if made.encrypted else "plain"
    emit(
        _shown(made),
        as_json,
        f"Attached '{file.name}' to {name} {record}: {made.size_bytes:,} bytes, {how}."
        f" Its id is {made.sys_id}",
    )


@attachments.command("list")
def list_attachments(
    ctx: typer.Context,
    home: HomeArgument,
    name: TableArgument,
    record: Annotated[str | None, typer.Argument(help="One record.")] = None,
    as_user: AsOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
    as_json: JsonOption = False,
) -> None:
    """List the attachments of a table or record; names are empty to who may not decrypt them.

    Example: keystead attachment list prod incident 17 --as ada
    """
    with _desk(opened(ctx, home), as_user) as desk:
        found, total = desk.of(name, record, limit)
    rows = [_shown(one) for one in found]
    headings = ("attachment", "record", "name", "type", "bytes", "encrypted", "by", "at")
    shown = table(
        headings,
        [tuple(v for k, v in row.items() if k not in ("table", "sha256")) for row in rows],
        "No attachment. Add one with: keystead attachment add HOME TABLE RECORD FILE",
    )
    more = f"\n{total - len(rows):,} more; give a larger --limit." if total > len(rows) else ""
    emit(rows, as_json, shown + more)


@attachments.command("get")
def get(
    ctx: typer.Context,
    home: HomeArgument,
    attachment: AttachmentArgument,
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write an attachment to a file: all of it, or nothing.

    Example: keystead attachment get prod 01a2aa2cdafd72a0a70fd8a7d1ae4d65 report.pdf --as ada
    """
    if file.exists():
        raise Conflict("file.exists", file=file)
    instance = opened(ctx, home)
    # the file appears when it is on record that it was read
    with _drafted(file) as out, _desk(instance, as_user) as desk, progress("bytes") as update:
        found, done = desk.download(attachment), 0
        for chunk in found.chunks:
            out.write(chunk)
            done += len(chunk)
            update("reading", done, found.attachment.size_bytes)
    emit(
        {**_shown(found.attachment), "file": str(file)},
        as_json,
        f"Wrote {file}: {found.attachment.size_bytes:,} bytes.",
    )


@attachments.command("remove")
def remove(
    ctx: typer.Context,
    home: HomeArgument,
    attachment: AttachmentArgument,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove an attachment.

    Example: keystead attachment remove prod 01a2aa2cdafd72a0a70fd8a7d1ae4d65
    """
    instance = opened(ctx, home)
    with _desk(instance, as_user) as desk:
        desk.remove(attachment)
    clear(instance.database)
    emit({"attachment": attachment}, as_json, f"Removed {attachment}.")


@contextmanager
def _desk(instance: Instance, user: str | None) -> Iterator[Desk]:
    from keystead.access.recorder import Recorder
    from keystead.keys.usage import Meter
    from keystead.records.attached import Desk
    from keystead.records.session import Caller

    database, hierarchy = instance.database, instance.hierarchy
    # one command encrypts little: a lease would be lost
    meter = Meter(database, hierarchy, lease=1)
    limit = instance.settings.attachment_limit
    with Recorder(database) as recorder:
        yield Desk(database, hierarchy, recorder, meter, Caller(user, actor()), limit)


@contextmanager
def _drafted(file: Path) -> Iterator[BinaryIO]:
    """A new file to write, which has its name when the block has ended well.

    Until then it has none, where the file system can: a killed process leaves nothing.

    Raises:
        Conflict: when there is such a file at the end.
    """
    draft = None
    try:
        descriptor = os.open(file.parent, os.O_WRONLY | os.O_TMPFILE, 0o600)
        held = f"/proc/self/fd/{descriptor}"
    except (AttributeError, OSError):
        draft = file.with_name(f".{file.name}.{new_id()}.partial")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        held = str(draft.absolute())
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            # with a folder given, what is at the end of a symbolic link is linked
            os.link(held, file, src_dir_fd=descriptor)
    except FileExistsError:
        raise Conflict("file.exists", file=file) from None
    finally:
        if draft is not None:
            draft.unlink()


def _shown(found: Attachment) -> dict[str, Any]:
    return {
        "attachment": found.sys_id,
        "table": found.table,
        "record": found.table_sys_id,
        "name": found.facts.file_name,
        "type": found.facts.content_type,
        "bytes": found.size_bytes,
        "sha256": found.facts.sha256,
        "encrypted": found.encrypted,
        "by": found.created_by,
        "at": found.created_at,
    }
