"""The instance program: what is behind each port, and the server.

Heavy libraries are imported where they are used: most commands need none of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from keystead.base.errors import KeysteadError, Misconfigured, Tampered, Unavailable
from keystead.database.port import Database
from keystead.external.provider import Provider, Settings
from keystead.instance import auditing, database_url, opening
from keystead.instance.home import Home, read_settings
from keystead.instance.opening import Instance
from keystead.instance.presence import Presence
from keystead.jobs.processes import Role

_SECONDS_BETWEEN_HEADS = 60
_MOST_CORES = 4
_SECONDS_OF_TRUST = 1.0

if TYPE_CHECKING:
    from keystead.access.administrator import Administrator
    from keystead.access.recorder import Recorder
    from keystead.adapters.external_keys.key_file import KeyFileContent
    from keystead.adapters.job_engine import Stages
    from keystead.adapters.peers import HttpPeerChannel
    from keystead.base.secret import Secret
    from keystead.fields.mass_job import PagePool
    from keystead.instance.backup import Made, OnProgress
    from keystead.instance.backup_file import Unlock
    from keystead.instance.notices import Destinations, Notice
    from keystead.instance.restoring import Restored
    from keystead.instance.schedules import Operation
    from keystead.instance.upgrading import Upgraded
    from keystead.keys.renewal import Renewed
    from keystead.programs.page_pool import ProcessPagePool

SECONDS_BETWEEN_LOOKS: Final = 2.0  # for what is to be done by the process that leads
Ready = Callable[[Instance], None]
Served = Callable[[Instance, "Administrator | None"], None]
# by kind, so that only the library of a kind that is used is imported
_ADAPTERS: Final = {
    "aws_kms": ("aws_kms", "AwsKms"),
    "pkcs11": ("hsm", "Hsm"),
    "file": ("key_file", "KeyFile"),
}
_FIRST: Final = "first start"  # who makes the first administrator
_LEASES: Final = "leases"  # who asks for a look at external keys


def connect(home: Home) -> Database:
    """The database of a home: a server when its settings name one, else the embedded file.

    Raises:
        Invalid: when the URL in the settings cannot be used.
        Misconfigured: when the driver is not installed, or the embedded file is gone.
    """
    text = read_settings(home, os.environ).database
    if not text:
        from keystead.adapters.databases.sqlite import SqliteDatabase

        if home.heads_file.exists() and not home.database_file.is_file():
            raise Misconfigured("database.missing", file=home.database_file)
        return SqliteDatabase(home.database_file)
    url = database_url.parse(text, os.environ)
    try:
        if url.drivername == "postgresql":
            from keystead.adapters.databases.postgresql import PostgresqlDatabase

            return PostgresqlDatabase(url)
        from keystead.adapters.databases.mariadb import MariadbDatabase

        return MariadbDatabase(url)
    except ModuleNotFoundError as error:
        if error.name not in {"psycopg", "pymysql"}:
            raise
        raise Misconfigured("database.driver", engine=url.drivername) from None


def open_provider(kind: str, settings: Settings, seconds: float) -> Provider:
    """The provider of an external key, by the adapter for its kind.

    Raises:
        Misconfigured: when its library is not installed.
        Invalid: when a setting is in no form that can be used.
    """
    module, name = _ADAPTERS[kind]
    adapter = importlib.import_module(f"keystead.adapters.external_keys.{module}")
    made: Provider = getattr(adapter, name)(settings, seconds)
    return made


def change_key_file(action: str, file: Path, days: int) -> dict[str, Any]:
    """Do something to a key file as its owner; what it is then, without its keys.

    `days` counts for "schedule" alone.
    """
    from keystead.adapters.external_keys import key_file_owner as owner

    actions: dict[str, Callable[[Path], KeyFileContent | None]] = {
        "create": owner.create,
        "disable": owner.disable,
        "enable": owner.enable,
        "rotate": owner.rotate,
        "schedule": lambda path: owner.schedule_deletion(path, days),
        "cancel": owner.cancel_deletion,
        "delete": owner.delete,
    }
    content = actions[action](file)
    if content is None:
        return {"file": str(file), "state": "deleted"}
    return {
        "file": str(file),
        "id": content.id,
        "state": content.state,
        "versions": len(content.versions),
        "delete_at": content.delete_at,
    }


def send_notice(notice: Notice, destinations: Destinations) -> None:
    """Send a notice about an alert to every destination.

    Raises:
        Unavailable: when one cannot be reached.
        Invalid: when one cannot be used.
    """
    from keystead.adapters import notices

    notices.send(notice, destinations)


def open_instance(folder: Path) -> Instance:
    """Open the instance in a home folder."""
    return replace(opening.open_instance(folder, connect, open_provider), send=send_notice)


def rotate_root(folder: Path, actor: str, show: Callable[[str], None], with_kek: bool) -> Renewed:
    """Replace the root key of a home."""
    from keystead.instance.rotation import rotate_root

    return rotate_root(folder, connect, actor, show, with_kek=with_kek)


def back_up(
    instance: Instance, file: Path, passphrase: Secret | None, actor: str, on_progress: OnProgress
) -> Made:
    """Write a backup of an opened instance."""
    from keystead.instance import backup

    return backup.make(instance, file, passphrase, actor, on_progress)


def restore(
    file: Path, folder: Path, unlock: Unlock, actor: str, on_progress: OnProgress, server: str
) -> Restored:
    """Restore a backup into an empty folder, and an empty database if `server` names one."""
    from keystead.instance import restoring

    return restoring.restore(
        file, folder, unlock, connect, actor, on_progress, server, open_provider
    )


def upgrade(folder: Path, actor: str, on_progress: OnProgress) -> Upgraded:
    """Take a home of an older version along."""
    from keystead.instance import upgrading

    return upgrading.upgrade(folder, connect, actor, on_progress)


def open_unchecked(folder: Path) -> Instance:
    """Open the instance in a home folder without comparing it with its signed heads."""
    return opening.open_unchecked(folder, connect, open_provider)


def channel(instance: Instance) -> HttpPeerChannel:
    """The channel from an instance to its peers."""
    from keystead.adapters.peers import HttpPeerChannel

    return HttpPeerChannel(instance.hierarchy, instance.settings.peer_patience)


def serve(folder: Path, on_ready: Served) -> None:
    """Serve a home until SIGTERM or SIGINT: peers over HTTPS, and its jobs. Does not return.

    Where nobody could administer it, `on_ready` is given an administrator who was made. The
    process ends at once, like a killed one: a job is made to be taken up where it was.

    Raises:
        Conflict: when another process serves an embedded database, or holds the instance alone.
        Unavailable: when the address is taken.
    """

    async def main(instance: Instance, presence: Presence) -> None:
        first = _first_administrator(instance)
        await _serve(instance, presence, lambda served: on_ready(served, first))

    _run(folder, Role.SERVE, main)


def work(folder: Path, on_ready: Ready) -> None:
    """Run an instance's jobs until SIGTERM or SIGINT, beside those that serve. Does not return.

    Raises:
        Conflict: when another process holds the instance alone.
    """
    _run(folder, Role.WORKER, lambda instance, presence: _work(instance, presence, on_ready))


def _run(
    folder: Path,
    role: Role,
    main: Callable[[Instance, Presence], Coroutine[None, None, None]],
) -> None:
    instance = open_instance(folder)
    instance.hierarchy.integrity.trust = _SECONDS_OF_TRUST
    _log_to(instance.home.log_file)
    patience = instance.settings.process_patience
    presence = Presence(instance.home, instance.database, role, patience, _report)
    presence.join()
    try:
        auditing.sign(instance.home, instance.database, instance.hierarchy)
        asyncio.run(main(instance, presence))
    finally:
        presence.leave()
    sys.stdout.flush()
    os._exit(0)


async def _work(instance: Instance, presence: Presence, on_ready: Ready) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with _working(instance, presence):
        on_ready(instance)
        await ended.wait()


async def _serve(instance: Instance, presence: Presence, on_ready: Ready) -> None:
    from granian.constants import HTTPModes, Interfaces
    from granian.server.embed import Server

    from keystead.access.recorder import Recorder
    from keystead.access.sessions import Sessions
    from keystead.clone import target
    from keystead.delivery.api.log_in import Door
    from keystead.delivery.api.peers import application
    from keystead.delivery.api.routing import routers
    from keystead.delivery.console import routes as console
    from keystead.delivery.console.site import Parts
    from keystead.exchange import messages, service
    from keystead.exchange.identity import own_identity
    from keystead.keys.usage import Meter
    from keystead.records.attached import Desk
    from keystead.records.session import Caller, Records

    settings, database, hierarchy = instance.settings, instance.database, instance.hierarchy
    _refuse_taken_address(settings.host, settings.port)
    identity = own_identity(hierarchy, settings.name, instance.certificate)
    handlers = {
        **service.handlers(database, hierarchy, identity.fingerprint),
        **target.handlers(database, hierarchy),
    }
    recorder = Recorder(database)
    records = Records(database, hierarchy, recorder)
    door = Door(database, hierarchy.integrity, recorder)
    meter, peers = Meter(database, hierarchy), channel(instance)

    def desk(caller: Caller) -> Desk:
        return Desk(database, hierarchy, recorder, meter, caller, settings.attachment_limit)

    sessions = Sessions(database, hierarchy.integrity)
    parts = Parts(instance, peers, records, sessions, door.log_in, desk)
    app = application(
        identity,
        lambda frame: messages.receive(database, hierarchy, handlers, frame),
        [*routers(instance, peers, records, recorder, door), console.routes(parts)],
    )
    server = Server(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,  # over HTTP/2 a refusal before the body is read is lost
        ssl_cert=instance.home.tls_certificate,
        ssl_key=instance.home.tls_key,
        log_enabled=False,
        websockets=False,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    async with _working(instance, presence):
        announcing = loop.create_task(_announce(instance, on_ready))
        await server.serve()
        announcing.cancel()
        _write_down(recorder)


def _first_administrator(instance: Instance) -> Administrator | None:
    from keystead.access import administrator

    with instance.database.transaction() as tx:
        return administrator.make_first(tx, instance.hierarchy.integrity, _FIRST)


@asynccontextmanager
async def _working(instance: Instance, presence: Presence) -> AsyncIterator[None]:
    """Run the jobs, and what is scheduled, as long as the block lasts."""
    from keystead.adapters.job_engine import JobEngine

    pool = _page_pool(instance)
    engine = JobEngine(
        instance.database, _stages(instance, pool), presence.process.sys_id, presence.state_file
    )
    engine.start()
    loop = asyncio.get_running_loop()
    tasks = [
        loop.create_task(_sign_heads(instance)),
        loop.create_task(_run_scheduled(instance, presence)),
        loop.create_task(_hear_of_external_keys(instance)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        engine.stop()
        if pool is not None:
            pool.close()
        _keep_heads(instance)


def _stages(instance: Instance, pool: PagePool | None) -> Stages:
    from keystead.adapters.job_engine import NamedStage
    from keystead.clone.source import CloneJob
    from keystead.exchange.job import ExchangeJob
    from keystead.fields.mass_job import MassJob
    from keystead.jobs.model import JobKind

    mass = MassJob(instance.database, instance.hierarchy, pool)
    peers = channel(instance)
    clone = CloneJob(instance.database, instance.hierarchy, peers)
    exchange = ExchangeJob(instance.database, instance.hierarchy, peers)
    moving = (NamedStage("move", mass.move), NamedStage("scrub", mass.scrub))
    return {
        JobKind.ENCRYPT: moving,
        JobKind.REKEY: moving,
        JobKind.CLONE: (NamedStage("copy", clone.copy),),
        JobKind.EXCHANGE: (NamedStage("obtain", exchange.obtain),),
    }


def _page_pool(instance: Instance) -> ProcessPagePool | None:
    from keystead.programs.page_pool import ProcessPagePool

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    processes = instance.settings.job_processes or min(cores, _MOST_CORES)
    return ProcessPagePool(instance.home.folder, processes) if processes > 1 else None


async def _sign_heads(instance: Instance) -> None:
    """Sign a head every minute, in every process: rows that say who leads are not tagged."""
    while True:
        await asyncio.sleep(_SECONDS_BETWEEN_HEADS)
        await asyncio.to_thread(_keep_heads, instance)


def _keep_heads(instance: Instance) -> None:
    """Sign a head if anything changed; what is in the way is logged, and tried again later.

    A database that is not as Keystead left it ends the process: it may not answer by such rows.
    """
    import structlog

    from keystead.delivery.cli.exits import EXIT_CODES
    from keystead.delivery.cli.output import complain

    logger = structlog.get_logger()
    try:
        auditing.sign(instance.home, instance.database, instance.hierarchy)
    except Tampered as error:
        logger.critical("audit.tampered", reason=error.what)
        complain(error, as_json=False)
        os._exit(EXIT_CODES[error.family])
    except Exception as error:
        reason = error.what if isinstance(error, KeysteadError) else type(error).__name__
        logger.warning("audit.sign", reason=reason)


def _write_down(recorder: Recorder) -> None:
    import structlog

    try:
        recorder.close()
    except KeysteadError as error:
        structlog.get_logger().warning("audit.unwritten", reason=str(error))


async def _run_scheduled(instance: Instance, presence: Presence) -> None:
    """Run the scheduled jobs that are due, beside one another, in the process that leads.

    Were two to lead for a moment, the second would find nothing to do.
    """
    import structlog

    from keystead.instance import scheduled

    logger = structlog.get_logger()
    running: dict[str, asyncio.Task[None]] = {}
    while True:
        try:
            due = await asyncio.to_thread(scheduled.due_jobs, instance) if presence.leads else []
        except Exception as error:
            due = []
            code = error.code if isinstance(error, KeysteadError) else type(error).__name__
            logger.warning("scheduled.unread", code=code)
        running = {name: task for name, task in running.items() if not task.done()}
        for job in due:
            name = job.operation.name
            if name not in running:
                running[name] = asyncio.create_task(_run_job(instance, job.operation))
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)


async def _hear_of_external_keys(instance: Instance) -> None:
    """Let what leases hear become status and alerts soon, in every process."""
    import structlog

    from keystead.instance.external_watch import News

    logger = structlog.get_logger()
    news = News(instance.database, instance.hierarchy, instance.external.leases)
    while True:
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        instance.external.leases.forget_lapsed()
        try:
            await asyncio.to_thread(news.ask_for_look, _LEASES)
        except Exception as error:
            code = error.code if isinstance(error, KeysteadError) else type(error).__name__
            logger.warning("external.unheard", code=code)


async def _run_job(instance: Instance, operation: Operation) -> None:
    import structlog

    from keystead.instance import scheduled

    logger = structlog.get_logger()
    try:
        done = await asyncio.to_thread(scheduled.run, instance, operation)
    except KeysteadError as error:
        logger.warning("scheduled.unwritten", operation=operation.name, code=error.code)
        return
    for facts in done.facts:
        logger.info("scheduled.done", operation=operation.name, **facts)
    if done.code is not None:
        logger.warning("scheduled.refused", operation=operation.name, code=done.code)


async def _announce(instance: Instance, on_ready: Ready) -> None:
    """Say that the server is ready once it takes connections."""
    settings = instance.settings
    while True:
        try:
            context = ssl.create_default_context(cadata=instance.certificate)
            context.check_hostname = False
            _, writer = await asyncio.open_connection(settings.host, settings.port, ssl=context)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        on_ready(instance)
        return


def _refuse_taken_address(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Unavailable("home.address", host=host, port=port, reason=error.strerror) from None


def _report(event: str, **facts: object) -> None:
    import structlog

    structlog.get_logger().warning(event, **facts)


def _log_to(file: Path) -> None:
    import structlog

    logging.getLogger("httpx").setLevel(logging.WARNING)
    file.parent.mkdir(exist_ok=True)
    out = file.open("a", encoding="utf-8", buffering=1)

    def write(_logger: object, _name: str, event: structlog.types.EventDict) -> str:
        """Write a line; what cannot be written for want of room must not stop what is logged."""
        with contextlib.suppress(OSError):
            print(json.dumps({**event, "pid": os.getpid()}, default=str), file=out)
        raise structlog.DropEvent

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            write,
        ]
    )
