"""Serve the demo's two instances for browsing, and say where and how to log in."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
from pathlib import Path

from demo.product import CommandFailed, keystead, served

_HOMES = ("prod", "test")
_ADMINISTRATOR = "admin"
_ROLES = ("admin", "security_admin", "sn_kmf.admin")
_PEOPLE = {
    _ADMINISTRATOR: "administers; elevates with the same password",
    "ada": "has the role that may decrypt: sees clear values",
    "bob": "has not: sees empty fields",
}


def main() -> int:
    """Serve until Ctrl-C; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.browse", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("var/demo"))
    folder: Path = parser.parse_args().folder
    homes = [folder / name for name in _HOMES]
    try:
        print("\n\n".join(_entrance(home) for home in homes))
        with served(*homes):
            print("\nThe browser warns of the certificate, which the instance made itself.")
            print("Both are served. End with Ctrl-C.", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except CommandFailed as failed:
        print(f"demo: {failed}", file=sys.stderr)
        return failed.code
    return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _entrance(home: Path) -> str:
    """Where an instance is served, and who may log in with which new password."""
    url = keystead("peer", "identity", home)["url"]
    if _ADMINISTRATOR not in {user["user"] for user in keystead("user", "list", home)}:
        roles = [word for role in _ROLES for word in ("--role", role)]
        keystead("user", "add", home, _ADMINISTRATOR, *roles)
    lines = [f"{home.name}: {url}/"]
    for user, what in _PEOPLE.items():
        password = secrets.token_urlsafe(12)
        keystead("user", "password", home, user, given=password)
        lines.append(f"  {user:<6} {password}   {what}")
    return "\n".join(lines)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main())
