"""`init`, `serve`, `worker`, `config`: an instance as a whole."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from keystead.access.administrator import Administrator
from keystead.delivery.cli.output import emit
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, wiring
from keystead.instance.home import DEFAULT_PORT, Home, read_settings
from keystead.instance.opening import Instance


def init(
    ctx: typer.Context,
    home: HomeArgument,
    name: Annotated[str, typer.Option(help="What peers call this instance.")],
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Where it will listen.")
    ] = DEFAULT_PORT,
    database: Annotated[
        str,
        typer.Option(
            help="A server's database: postgresql://USER@HOST/NAME or mariadb://USER@HOST/NAME;"
            " otherwise a file in HOME. The password comes from KEYSTEAD_DATABASE_PASSWORD, which"
            " goes before one in the URL; one in the URL is kept in HOME/instance.toml.",
            show_default=False,
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Make an instance in an empty folder. The recovery key is shown once and stored nowhere.

    Example: keystead init prod --name prod --database postgresql://keystead@db.example/prod
    """
    settings, recovery = wiring(ctx).init(home, name, port, database, actor())
    emit(
        {"home": str(home), **settings.shown(), "recovery_key": recovery},
        as_json,
        f"Instance '{name}' made in {home}, id {settings.instance_id}.\n\n"
        f"Recovery key (shown this once; keep it apart from the machine):\n\n  {recovery}\n\n"
        f"Next: keystead load {home} TABLE FILE, or keystead serve {home}",
    )


def serve(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """Serve an instance: its peers over HTTPS, and its jobs. Ends with Ctrl-C or SIGTERM.

    Where no active user holds the role admin, an administrator is made; the password is shown once.

    Example: keystead serve prod
    """

    def ready(instance: Instance, first: Administrator | None) -> None:
        settings = instance.settings
        data = {"name": settings.name, "url": settings.url, "pid": os.getpid()}
        said = f"Serving '{settings.name}' at {settings.url} (process {os.getpid()})."
        if first is not None:
            data |= {"user": first.user, "password": first.password}
            said += (
                f"\n\nAdministrator '{first.user}' was made. Password (shown this once; another is"
                f" set with: keystead user password {home} {first.user}):\n\n  {first.password}\n"
            )
        emit(data, as_json, said)

    wiring(ctx).serve(home, ready)


def worker(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """Run an instance's jobs beside what serves it, from its home or a copy on another machine.

    Any number may run; what a dead one left, another takes over. Ends with Ctrl-C or SIGTERM.

    Example: keystead worker prod
    """

    def ready(instance: Instance) -> None:
        name = instance.settings.name
        emit(
            {"name": name, "pid": os.getpid()},
            as_json,
            f"Working for '{name}' (process {os.getpid()}).",
        )

    wiring(ctx).work(home, ready)


def config(home: HomeArgument, as_json: JsonOption = False) -> None:
    """Print the settings in force: defaults, then HOME/instance.toml, then the environment.

    Example: KEYSTEAD_PORT=9000 keystead config prod
    """
    settings = read_settings(Home(home.absolute()), os.environ).shown()
    emit(settings, as_json, "\n".join(f"{key} = {value}" for key, value in settings.items()))
