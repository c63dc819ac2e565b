"""Throw-away database servers on the loopback interface, in a folder of their own.

They are made to be fast and forgotten: nothing is forced to the disk. PostgreSQL refuses to run as
root, and MariaDB should not, so a root user starts them as the users of Debian's packages.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, NoReturn
from urllib.parse import urlsplit

KINDS: Final = ("postgresql", "mariadb")
PACKAGES: Final = {"postgresql": "postgresql", "mariadb": "mariadb-server"}
USER: Final = "keystead"
_OWNERS = {"postgresql": ("postgres", "nobody"), "mariadb": ("mysql", "nobody")}
_PATIENCE = 60
_COMMAND: Final = "command.json"
_QUICK = {
    "postgresql": (
        *("fsync=off", "synchronous_commit=off", "full_page_writes=off"),
        *("wal_level=minimal", "max_wal_senders=0", "shared_buffers=64MB", "max_connections=200"),
    ),
    "mariadb": (
        *("innodb_flush_log_at_trx_commit=0", "innodb_doublewrite=0", "skip_log_bin"),
        *("innodb_buffer_pool_size=128M", "innodb_log_file_size=64M", "skip_name_resolve"),
        "character_set_server=utf8mb4",
    ),
}
# what is committed outlives the server's being killed, though not the machine's
_DURABLE = {
    "postgresql": ("synchronous_commit=on",),
    "mariadb": ("innodb_flush_log_at_trx_commit=2", "innodb_doublewrite=1"),
}


class Missing(Exception):
    """The programs of a server are not installed."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"install {kind} first; on Debian: apt-get install {PACKAGES[kind]}")


@dataclass(frozen=True)
class Server:
    """A running server: its URL names the user, who may make databases, and no database."""

    kind: str
    url: str
    folder: Path
    port: int
    pid: int

    def kill(self) -> None:
        """End it at once, as a crash does; `again` starts it on what it has left."""
        os.kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        _wait_until(lambda: not _answers(self.port), f"{self.kind} does not end")

    def again(self) -> Server:
        """The server started once more, on the same port, by who started it first."""
        command = json.loads((self.folder / _COMMAND).read_text(encoding="utf-8"))
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                return _launched(self.kind, self.url, self.folder, self.port, command)
            except RuntimeError:
                # what a killed server leaves may take a moment to go
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def stop(self) -> None:
        """End it and remove everything it held."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGQUIT if self.kind == "postgresql" else signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        _wait_until(lambda: not _answers(self.port), f"{self.kind} does not end")
        shutil.rmtree(self.folder, ignore_errors=True)


def start(kind: str, *, durable: bool = False) -> Server:
    """Start a server of a kind in a new temporary folder.

    Raises:
        Missing: when its programs are not installed.
    """
    folder = Path(mkdtemp(prefix=f"{kind}-", dir="/tmp"))
    owner = _owner(kind)
    if owner:
        shutil.chown(folder, owner)
    password, port = secrets.token_hex(16), _free_port()
    run = {"postgresql": _postgresql, "mariadb": _mariadb}[kind]
    try:
        settings = (*_QUICK[kind], *(_DURABLE[kind] if durable else ()))
        command = run(folder, port, password, owner, settings)
        (folder / _COMMAND).write_text(json.dumps(command), encoding="utf-8")
        url = f"{kind}://{USER}:{password}@127.0.0.1:{port}"
        return _launched(kind, url, folder, port, command)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _launched(kind: str, url: str, folder: Path, port: int, command: list[str]) -> Server:
    """A server that runs and is ready."""
    owner = _owner(kind)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, user=owner, stdout=log, stderr=log, start_new_session=True, cwd=folder
        )
    server = Server(kind, url, folder, port, process.pid)
    _wait_until(lambda: _is_ready(server) or process.poll() is not None, "it does not start")
    if process.poll() is not None:
        _fail((folder / "server.log").read_text(errors="replace"))
    return server


@contextmanager
def running(kind: str) -> Iterator[Server]:
    """A server for as long as the block lasts."""
    server = start(kind)
    try:
        yield server
    finally:
        server.stop()


def create_database(server: Server, name: str) -> str:
    """Make an empty database; its URL, without the password."""
    do(server, f"CREATE DATABASE {name}")
    return f"{server.kind}://{USER}@127.0.0.1:{server.port}/{name}"


def do(server: Server, statement: str, database: str | None = None) -> None:
    """Carry out a statement, in a database if one is named."""
    if server.kind == "postgresql":
        import psycopg  # noqa: PLC0415 - only what is used need be installed

        url = f"{server.url}/{database or 'postgres'}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement.encode())
    else:
        import pymysql  # noqa: PLC0415

        url = urlsplit(server.url)
        with pymysql.connect(
            host=str(url.hostname),
            port=server.port,
            user=USER,
            password=str(url.password),
            database=database,
            autocommit=True,
        ) as connection:
            connection.cursor().execute(statement)


def _postgresql(
    folder: Path, port: int, password: str, owner: str | None, settings: tuple[str, ...]
) -> list[str]:
    programs = _found("postgresql", "initdb", *sorted(Path("/usr/lib/postgresql").glob("*/bin")))
    password_file = folder / "password"
    password_file.write_text(password, encoding="ascii")
    data = folder / "data"
    _call(
        [
            *(str(programs / "initdb"), "--pgdata", str(data), "--username", USER, "--no-sync"),
            *("--auth", "scram-sha-256", "--pwfile", str(password_file), "--encoding", "UTF8"),
            *("--locale", "C.UTF-8"),
        ],
        owner,
    )
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1"]
    for setting in (f"unix_socket_directories={folder}", *settings):
        command += ["-c", setting]
    return command


def _mariadb(
    folder: Path, port: int, password: str, owner: str | None, settings: tuple[str, ...]
) -> list[str]:
    programs = _found("mariadb", "mariadbd", Path("/usr/sbin"))
    installer = shutil.which("mariadb-install-db")
    if installer is None:
        raise Missing("mariadb")
    data = folder / "data"
    _call(
        [
            *(installer, "--no-defaults", f"--datadir={data}", "--skip-test-db"),
            "--auth-root-authentication-method=normal",
        ],
        owner,
    )
    first = folder / "first.sql"
    first.write_text(
        f"CREATE OR REPLACE USER '{USER}'@'%' IDENTIFIED BY '{password}';\n"
        f"GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        "DROP USER IF EXISTS root@localhost;\n",
        encoding="ascii",
    )
    return [
        *(str(programs / "mariadbd"), "--no-defaults", f"--datadir={data}", f"--init-file={first}"),
        *("--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder / 'socket'}"),
        *(f"--pid-file={folder / 'pid'}", *(f"--{setting}" for setting in settings)),
    ]


def _found(kind: str, program: str, *folders: Path) -> Path:
    """The newest folder that has a program."""
    for folder in reversed(folders):
        if (folder / program).exists():
            return folder
    on_path = shutil.which(program)
    if on_path is None:
        raise Missing(kind)
    return Path(on_path).parent


def _owner(kind: str) -> str | None:
    """Who runs the server when root starts it."""
    if os.geteuid() != 0:
        return None
    known = Path("/etc/passwd").read_text(encoding="utf-8").splitlines()
    names = {line.split(":")[0] for line in known}
    return next((name for name in _OWNERS[kind] if name in names), None)


def _call(command: list[str], owner: str | None) -> None:
    done = subprocess.run(
        command, user=owner, capture_output=True, text=True, check=False, cwd="/tmp"
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr or done.stdout}")


def _is_ready(server: Server) -> bool:
    if not _answers(server.port):
        return False
    try:
        do(server, "SELECT 1")
    except Exception:
        return False  # it takes connections and is still starting
    return True


def _fail(reason: str) -> NoReturn:
    raise RuntimeError(reason)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _wait_until(holds: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(otherwise)
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
