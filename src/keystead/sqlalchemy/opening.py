"""An instance as an application has it open."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NoReturn, overload

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from keystead.instance.opening import Instance
from keystead.programs.instance import open_instance
from keystead.sqlalchemy import events
from keystead.sqlalchemy.caller import Caller
from keystead.sqlalchemy.link import Link

LEASE: Final = 2**16


def open(home: str | Path, *, lease: int = LEASE) -> OpenInstance:
    """Open the instance in a home folder for this process; after a fork, open it anew.

    `lease` is how many values this process reserves at a time under each standard key.

    Raises:
        Misconfigured, Unavailable, Tampered: as any command on that home.
    """
    return OpenInstance(open_instance(Path(home)), lease=lease)


class OpenInstance:
    """An instance that an application has open; for all its threads and event loops."""

    def __init__(self, instance: Instance, *, lease: int = LEASE) -> None:
        self._folder = str(instance.home.folder)
        self._link = Link(instance, lease)

    @overload
    def attach(
        self, engine: Engine, *, user: str | None, impersonate: str | None = None
    ) -> Engine: ...

    @overload
    def attach(
        self, engine: AsyncEngine, *, user: str | None, impersonate: str | None = None
    ) -> AsyncEngine: ...

    def attach(
        self, engine: Engine | AsyncEngine, *, user: str | None, impersonate: str | None = None
    ) -> Engine | AsyncEngine:
        """The engine as one caller uses it, who may impersonate another; it shares its connections.

        Nobody (None) sees no clear value. Attaching is cheap: attach anew for each request.
        """
        sync = engine if isinstance(engine, Engine) else engine.sync_engine
        events.listen_on(sync)
        return engine.execution_options(**{events.OPTION: Caller(self._link, user, impersonate)})

    def close(self) -> None:
        """Write down what was refused, and close the instance."""
        self._link.close()

    def __repr__(self) -> str:
        return f"OpenInstance({self._folder!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an open instance holds keys and is not pickled")
