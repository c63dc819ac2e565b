"""`key import-token`, `key import`: keys that customers bring."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keystead.base.errors import Conflict, NotFound
from keystead.delivery.cli.keys import key_commands
from keystead.delivery.cli.modules import ModuleArgument
from keystead.delivery.cli.output import emit
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened
from keystead.instance.home import write_private
from keystead.keys import service as keys

_TOKEN_FILE = "import-token.txt"  # noqa: S105 - the name of a file
_PUBLIC_FILE = "wrapping-key.pem"
_MOST_BYTES = 64 * 1024


@key_commands.command("import-token")
def import_token(
    ctx: typer.Context,
    home: HomeArgument,
    module: ModuleArgument,
    out: Annotated[Path, typer.Option(help="The folder to write both files to.")],
    as_json: JsonOption = False,
) -> None:
    """Make what is needed to bring a key: a token for two hours, and a public RSA-4096 key.

    Wrap the 32 bytes of the key with RSA-OAEP-SHA256, for example by: openssl pkeyutl -encrypt
    -pubin -inkey wrapping-key.pem -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256
    -pkeyopt rsa_mgf1_md:sha256 -in key.bin -out wrapped.bin

    Example: keystead key import-token prod people --out for-import
    """
    from keystead.crypto import oaep

    instance = opened(ctx, home)
    token_file, public_file = out / _TOKEN_FILE, out / _PUBLIC_FILE
    for file in (token_file, public_file):
        if file.exists():
            raise Conflict("export.exists", file=file)
    with instance.database.snapshot() as tx:
        keys.published_module(tx, instance.hierarchy, module)
    private, public = oaep.new_pair()
    out.mkdir(parents=True, exist_ok=True)
    with instance.database.transaction() as tx:
        token = keys.make_token(tx, instance.hierarchy, module, private, actor())
        write_private(token_file, f"{token}\n".encode())
        write_private(public_file, public)
    emit(
        {"token": str(token_file), "wrapping_key": str(public_file)},
        as_json,
        f"Wrap the key with {public_file}, then within two hours: keystead key import {home}"
        f" {module} --token {token_file} --wrapped FILE",
    )


@key_commands.command("import")
def import_key(
    ctx: typer.Context,
    home: HomeArgument,
    module: ModuleArgument,
    token: Annotated[Path, typer.Option(help="The file with the unmodified token.")],
    wrapped: Annotated[Path, typer.Option(help="The file with the wrapped key.")],
    as_json: JsonOption = False,
) -> None:
    """Bring a key of your own. It waits to be rotated to; a module without keys uses it at once.

    Example: keystead key import prod people --token import-token.txt --wrapped wrapped.bin
    """
    instance = opened(ctx, home)
    given = _read(token).decode("utf-8", errors="replace")
    data = _read(wrapped)
    with instance.database.transaction() as tx:
        row = keys.import_supplied(tx, instance.hierarchy, module, given, data, actor())
    state = {"key": row["sys_id"], "version": row["version"], "state": row["state"]}
    said = f"Key {row['sys_id']} is {row['state']} (version {row['version']})."
    if row["activated_at"] is None:
        said += f" Use it with: keystead key rotate {home} {module} --to {row['sys_id']}"
    emit(state, as_json, said)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            return source.read(_MOST_BYTES)
    except OSError as error:
        raise NotFound("file.missing", file=file, reason=error.strerror) from None
