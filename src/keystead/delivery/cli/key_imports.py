"""`key import-token`, `key import`: keys that customers bring."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keystead.base.errors import Conflict, Invalid, NotFound
from keystead.base.secret import Secret
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
    token: Annotated[Path | None, typer.Option(help="The file with the unmodified token.")] = None,
    wrapped: Annotated[Path | None, typer.Option(help="The file with the wrapped key.")] = None,
    keystore: Annotated[
        Path | None, typer.Option(help="A PKCS#12 keystore with an AES key, as keytool writes it.")
    ] = None,
    alias: Annotated[
        str | None, typer.Option(help="Which key of the keystore; not needed if it has one.")
    ] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="Read the keystore's passphrase from a file, not by asking.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a key of your own. It waits to be rotated to; a module without keys uses it at once.

    It comes wrapped, with the token that was made for it, or in a PKCS#12 keystore made by, for
    example: keytool -genseckey -keyalg AES -keysize 256 -alias mine -keystore keys.p12

    Example: keystead key import prod people --keystore keys.p12 --alias mine
    """
    from keystead.crypto import pkcs12

    by_token, by_keystore = (token, wrapped), (keystore, alias, passphrase_file)
    if token is not None and wrapped is not None and not any(by_keystore):
        given = _read(token).decode("utf-8", errors="replace")
        data = _read(wrapped)
        instance = opened(ctx, home)
        with instance.database.transaction() as tx:
            row = keys.import_supplied(tx, instance.hierarchy, module, given, data, actor())
    elif keystore is not None and not any(by_token):
        content = _read(keystore, pkcs12.LONGEST + 1)
        instance = opened(ctx, home)
        secret = pkcs12.secret_key(content, _passphrase(passphrase_file), alias)
        with instance.database.transaction() as tx:
            row = keys.import_opened(tx, instance.hierarchy, module, secret, actor())
    else:
        raise Invalid("keystore.source")
    state = {"key": row["sys_id"], "version": row["version"], "state": row["state"]}
    said = f"Key {row['sys_id']} is {row['state']} (version {row['version']})."
    if row["activated_at"] is None:
        said += f" Use it with: keystead key rotate {home} {module} --to {row['sys_id']}"
    emit(state, as_json, said)


def _passphrase(file: Path | None) -> Secret:
    """A keystore's passphrase: every letter of it but the end of its line."""
    if file is None:
        text = typer.prompt("Passphrase of the keystore", hide_input=True)
    else:
        try:
            text = _read(file).decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise Invalid("file.unusable", file=file, reason="it is not UTF-8") from None
    return Secret(text.encode(errors="replace"))


def _read(file: Path, most: int = _MOST_BYTES) -> bytes:
    try:
        with file.open("rb") as source:
            return source.read(most)
    except OSError as error:
        raise NotFound("file.missing", file=file, reason=error.strerror) from None
