"""Run the main job to its end: encrypt, clone, exchange keys, rekey, prove every value.

Interrupted at any point, `--resume` goes on in the same folder and ends with the same report.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from demo import people, servers
from demo.main_job import MainJob
from demo.product import CommandFailed
from demo.report import printed

_MARK = ".keystead-demo"


def main() -> int:
    """Run with the command line's arguments; the exit code."""
    options = _arguments()
    folder: Path = options.folder
    if not _prepare(folder, options.resume):
        print(f"demo: {folder} holds something else.", file=sys.stderr)
        print("  Name another folder: make demo DEMO=folder", file=sys.stderr)
        return 3
    data, encrypt, equality = options.data, options.encrypt, options.equality
    if data is None and (encrypt or equality):
        print("demo: ENCRYPT and EQUALITY name columns of your own DATA=file.", file=sys.stderr)
        return 3
    if data is None:
        data = folder / "customers.csv"
        encrypt, equality = list(people.ENCRYPT), list(people.EQUALITY)
        if not data.exists():
            print(f"Making {options.rows:,} customers ...", file=sys.stderr)
            draft = data.with_suffix(".part")
            people.write(draft, options.rows)
            draft.rename(data)
    elif not encrypt and not equality:
        print("demo: name the columns: ENCRYPT=col,col and/or EQUALITY=col.", file=sys.stderr)
        return 3
    try:
        with _databases(options.database) as databases:
            table = _table_name(data)
            report = MainJob(
                folder, data.resolve(), table, encrypt, equality, options.rate, databases
            ).run()
    except servers.Missing as missing:
        print(f"demo: {missing}", file=sys.stderr)
        return 3
    except CommandFailed as failed:
        print(f"demo: {failed}", file=sys.stderr)
        return failed.code
    target = folder / "report.json"
    target.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(printed(report))
    print(f"\nThe whole report: {target}")
    return 0 if report["proven"] else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("var/demo"))
    parser.add_argument("--data", type=Path, help="your own CSV or JSON lines file, also gzipped")
    parser.add_argument("--encrypt", type=_names, default=[], help="columns, standard mode")
    parser.add_argument("--equality", type=_names, default=[], help="columns, searchable mode")
    parser.add_argument("--rows", type=int, default=50_000, help="customers to make without --data")
    parser.add_argument("--rate", type=int, help="slow mass jobs down to so many rows a second")
    parser.add_argument("--resume", action="store_true", help="go on in the same folder")
    parser.add_argument(
        "--database", choices=servers.KINDS, help="keep both instances on a throw-away server"
    )
    options = parser.parse_args()
    if options.resume and options.database:
        parser.error("--resume needs the embedded database: the server ends with the run")
    return options


@contextmanager
def _databases(kind: str | None) -> Iterator[dict[str, str]]:
    """The URL of a database for each instance, on a server that ends with the block."""
    if kind is None:
        yield {}
        return
    print(f"Starting a throw-away {kind} server ...", file=sys.stderr)
    with servers.running(kind) as server:
        os.environ["KEYSTEAD_DATABASE_PASSWORD"] = str(urlsplit(server.url).password)
        yield {name: servers.create_database(server, name) for name in ("prod", "test")}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _table_name(data: Path) -> str:
    name = re.sub(r"\W+", "_", data.name.split(".")[0]).strip("_").lower()
    return name or "records"


def _prepare(folder: Path, resume: bool) -> bool:
    """Empty the folder of an earlier run; a folder that is not of a run is left alone."""
    mark = folder / _MARK
    if folder.exists() and any(folder.iterdir()):
        if not mark.exists():
            return False
        if resume:
            return True
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return True


if __name__ == "__main__":
    sys.exit(main())
