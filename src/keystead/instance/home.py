"""An instance's home folder: its settings, its root key, its certificate, its lock.

```
HOME/
  instance.toml   name, id, where to listen, which database; mode 0600
  root.key        the root key, mode 0600; refused when others can read it
  root.recovery   the root key wrapped by the recovery key that was shown once
  tls.key tls.crt what peers pin
  instance.db     the embedded database, unless a server holds it
  jobs.db         the job engine's state: ids and counts
  logs/           what the server says
  serve.lock      held by the one process that serves this home
```
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from keystead.base.errors import Conflict, Invalid, Misconfigured, Tampered
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import wrap
from keystead.instance import database_url

_ROOT_FORM = re.compile(r"keystead-root-1 ([A-Za-z0-9_-]{43})\n?")
_OTHERS = 0o077
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8420
DEFAULT_PATIENCE: Final = 30


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set, after defaults, file and environment. Times are in seconds.

    `database` is the URL of a server, or empty for the embedded file; it may hold a password.
    """

    name: str
    instance_id: str
    host: str
    port: int
    peer_patience: int
    database: str = ""

    def shown(self) -> dict[str, str | int]:
        """Every setting as it may be printed: the database's URL without its password."""
        embedded = "the embedded SQLite file"
        return {**asdict(self), "database": database_url.shown(self.database) or embedded}

    @property
    def url(self) -> str:
        """Where peers reach this instance."""
        return f"https://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one home."""

    folder: Path

    @property
    def settings_file(self) -> Path:
        """Settings."""
        return self.folder / "instance.toml"

    @property
    def root_file(self) -> Path:
        """The root key."""
        return self.folder / "root.key"

    @property
    def recovery_file(self) -> Path:
        """The root key under the recovery key."""
        return self.folder / "root.recovery"

    @property
    def tls_key(self) -> Path:
        """The certificate's private key."""
        return self.folder / "tls.key"

    @property
    def tls_certificate(self) -> Path:
        """The certificate that peers pin."""
        return self.folder / "tls.crt"

    @property
    def database_file(self) -> Path:
        """The embedded database."""
        return self.folder / "instance.db"

    @property
    def jobs_file(self) -> Path:
        """The job engine's state."""
        return self.folder / "jobs.db"

    @property
    def log_file(self) -> Path:
        """The server's log."""
        return self.folder / "logs" / "serve.log"

    @property
    def lock_file(self) -> Path:
        """Held while the home is served."""
        return self.folder / "serve.lock"


def write_settings(home: Home, settings: Settings) -> None:
    """Write the settings file of a new home; only its owner can read it."""
    lines = [
        "# Settings of a Keystead instance. The environment (KEYSTEAD_PORT=...) goes before.\n"
    ]
    for key, value in asdict(settings).items():
        lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}\n")
    write_private(home.settings_file, "".join(lines).encode())


def read_settings(home: Home, environment: Mapping[str, str]) -> Settings:
    """Defaults, then the file, then the environment.

    Raises:
        Misconfigured: when there is no home, or a value cannot be used.
    """
    file = home.settings_file
    if not file.is_file():
        raise Misconfigured("home.missing", home=home.folder)
    values: dict[str, Any] = {
        "host": DEFAULT_HOST,
        "port": DEFAULT_PORT,
        "peer_patience": DEFAULT_PATIENCE,
    }
    try:
        values.update(tomllib.loads(file.read_text(encoding="utf-8")))
        for key in ("host", "port", "peer_patience", "database"):
            given = environment.get(f"KEYSTEAD_{key.upper()}")
            if given is not None:
                values[key] = given
        for key in ("port", "peer_patience"):
            values[key] = int(values[key])
        settings = Settings(**values)
    except (OSError, ValueError, TypeError) as error:
        raise Misconfigured("home.settings", file=file, reason=error) from None
    if not 0 < settings.port < 2**16:
        raise Misconfigured("home.settings", file=file, reason="the port is not a port")
    return settings


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner can read, and let it reach the disk."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def write_root(home: Home, root: Secret) -> None:
    """Write the root key file; an existing one is never overwritten.

    Raises:
        Conflict: when there is one.
    """
    encoded = base64.urlsafe_b64encode(root.reveal(REVEAL)).rstrip(b"=")
    try:
        write_private(home.root_file, b"keystead-root-1 " + encoded + b"\n")
    except FileExistsError:
        raise Conflict("root.present", file=home.root_file) from None


def read_root(home: Home) -> Secret:
    """The root key.

    Raises:
        Misconfigured: when the file is missing, readable by others, or holds no root key.
    """
    file = home.root_file
    try:
        mode = file.stat().st_mode & 0o777
        content = file.read_text(encoding="ascii")
    except FileNotFoundError:
        raise Misconfigured("root.missing", file=file) from None
    except (OSError, UnicodeDecodeError):
        raise Misconfigured("root.malformed", file=file) from None
    if mode & _OTHERS:
        raise Misconfigured("root.readable", file=file, mode=f"{mode:04o}")
    found = _ROOT_FORM.fullmatch(content)
    if found is None:
        raise Misconfigured("root.malformed", file=file)
    return Secret(base64.urlsafe_b64decode(found[1] + "="))


def write_recovery(home: Home, root: Secret, instance_id: str) -> str:
    """Wrap the root key by a new recovery key; the recovery key as text, to be shown once."""
    recovery = wrap.new_key()
    wrapped = wrap.wrap(recovery, root, "recovery", instance_id)
    write_private(home.recovery_file, base64.b64encode(wrapped) + b"\n")
    text = base64.b32encode(recovery.reveal(REVEAL)).decode().rstrip("=")
    return "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def recover_root(home: Home, recovery_text: str, instance_id: str) -> Secret:
    """The root key, regained with the recovery key.

    Raises:
        Invalid: when the recovery key is not that of this home.
    """
    try:
        letters = re.sub(r"[\s-]", "", recovery_text).upper()
        recovery = Secret(base64.b32decode(letters + "=" * (-len(letters) % 8)))
        wrapped = base64.b64decode(home.recovery_file.read_bytes())
        return wrap.unwrap(recovery, wrapped, "recovery", instance_id)
    except (OSError, ValueError, Tampered):
        raise Invalid("root.recovery") from None


@contextmanager
def serving(home: Home) -> Iterator[None]:
    """Hold the home's lock, so that one process at a time serves it.

    Raises:
        Conflict: when another process holds it.
    """
    with home.lock_file.open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            pid = lock.read().strip() or "?"
            raise Conflict("home.served", home=home.folder, pid=pid) from None
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def is_served(home: Home) -> bool:
    """Whether a process serves this home now."""
    try:
        with home.lock_file.open("a+", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
