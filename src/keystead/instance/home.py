"""An instance's home folder: its settings, its root key, its certificate, its locks.

```
HOME/
  instance.toml   name, id, where to listen, which database; mode 0600
  root.key        the root key, mode 0600; refused when others can read it
  root.recovery   the root key wrapped by the recovery key that was shown once
  *.next          the two above while the root key is being rotated
  tls.key tls.crt what peers pin
  instance.db     the embedded database, unless a server holds it
  database.copy   the database on its way into a backup, only while one is made
  audit.heads     the signed heads of the audit log
  logs/           what its processes say
  processes/      for each process a lock that it holds, and the job engine's state: ids and counts
  home.lock       shared by all who have it open, held alone by who changes its root or tables
```
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from keystead.base.errors import Misconfigured
from keystead.instance import database_url

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8420
DEFAULT_PATIENCE: Final = 30
DEFAULT_PROCESS_PATIENCE: Final = 15
DEFAULT_ATTACHMENT_LIMIT: Final = 1024
_REQUIRED: Final = frozenset({"name", "instance_id"})
_NUMBERS: Final = {
    "port": (1, 65_535),
    "peer_patience": (0, 86_400),
    "process_patience": (5, 86_400),  # several beats
    "job_processes": (0, 64),
    "attachment_limit": (1, 1_048_576),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set, after defaults, file and environment.

    Times are in seconds, and `attachment_limit` in MiB.

    `database` is the URL of a server, or empty for the embedded file; it may hold a password.
    `job_processes` is how many processes work out the pages of mass jobs; 1 for none beside the
    server's own, 0 for one on each core, but no more than four.
    """

    name: str
    instance_id: str
    host: str
    port: int
    peer_patience: int
    database: str = ""
    job_processes: int = 0
    process_patience: int = DEFAULT_PROCESS_PATIENCE
    attachment_limit: int = DEFAULT_ATTACHMENT_LIMIT

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
    def next_root_file(self) -> Path:
        """The root key that is about to replace the present one."""
        return self.folder / "root.key.next"

    @property
    def next_recovery_file(self) -> Path:
        """The same for `recovery_file`; it never exists without `next_root_file`."""
        return self.folder / "root.recovery.next"

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
    def log_file(self) -> Path:
        """The log of its processes."""
        return self.folder / "logs" / "serve.log"

    @property
    def heads_file(self) -> Path:
        """The signed heads of the audit log, outside the database."""
        return self.folder / "audit.heads"

    @property
    def processes_folder(self) -> Path:
        """What each process keeps while it lives (`instance.presence`)."""
        return self.folder / "processes"

    @property
    def backup_lock_file(self) -> Path:
        """Held while a backup is made: one at a time uses `copy_file`."""
        return self.folder / "backup.lock"

    @property
    def copy_file(self) -> Path:
        """A copy of the database on its way into a backup or out of one."""
        return self.folder / "database.copy"

    @property
    def use_lock_file(self) -> Path:
        """Shared by everyone who has the home open (`instance.locks`)."""
        return self.folder / "home.lock"


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
        "job_processes": 0,
        "process_patience": DEFAULT_PROCESS_PATIENCE,
        "attachment_limit": DEFAULT_ATTACHMENT_LIMIT,
    }
    places = dict.fromkeys(values, "the defaults")
    try:
        written = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Misconfigured("home.settings", setting="", place=file, reason=error) from None
    for key, value in written.items():
        values[key], places[key] = value, str(file)
    for key in (*_NUMBERS, "host", "database"):
        variable = f"KEYSTEAD_{key.upper()}"
        if variable in environment:
            values[key], places[key] = environment[variable], variable
    for key, value in values.items():
        reason = _unfit(key, value)
        if reason:
            raise Misconfigured("home.settings", setting=key, place=places[key], reason=reason)
    for key in _REQUIRED - values.keys():
        raise Misconfigured("home.settings", setting=key, place=file, reason="it is missing")
    for key in _NUMBERS:
        values[key] = int(values[key])
    return Settings(**values)


def _unfit(setting: str, value: object) -> str:
    """Why a setting cannot be used; empty when it can."""
    if setting in _NUMBERS:
        smallest, largest = _NUMBERS[setting]
        if (
            not re.fullmatch(r"[0-9]{1,9}", str(value))
            or not smallest <= int(str(value)) <= largest
        ):
            return f"it is not a whole number from {smallest} to {largest}"
    elif setting not in _REQUIRED | {"host", "database"}:
        return "there is no such setting"
    elif not isinstance(value, str) or (not value and setting != "database"):
        return "it is not a text"
    return ""


def write_private(file: Path, content: bytes) -> None:
    """Write a new file that only its owner can read, and let it reach the disk."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def reach_disk(folder: Path) -> None:
    """Let names that were made, changed or removed in a folder reach the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
