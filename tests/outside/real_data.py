"""The main job on real data sets, each result compared with the original file from outside.

Run as `python -m tests.outside.real_data --data FOLDER`. For each set: the demo; then, with the
source's home moved away and nothing running, the checker on the target; then on the source.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_CHECKER = Path(__file__).with_name("checker.py")
_KEYSTEAD = [sys.executable, "-m", "keystead.programs.cli"]


@dataclass(frozen=True)
class DataSet:
    """A file and which of its columns are encrypted how."""

    file: str
    encrypt: str
    equality: str

    @property
    def table(self) -> str:
        return self.file.split(".")[0]


SETS = (
    DataSet("china_streets.csv", "name", "areaCode"),
    DataSet(
        "customers.csv.gz",
        "first_name,last_name,birth_date,phone,card_number,street",
        "email,postal_code",
    ),
    DataSet(
        "incident_event_log.csv.gz",
        "location,u_symptom,assigned_to,resolved_by",
        "caller_id,opened_by",
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("var/real-data"))
    parser.add_argument("--only", help="one of the files")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"{options.data} is not here: nothing to check the main job on.", file=sys.stderr)
        return 1
    chosen = [s for s in SETS if options.only in (None, s.file)]
    return max(_check(s, options.data / s.file, options.folder / s.table) for s in chosen)


def _check(data_set: DataSet, file: Path, folder: Path) -> int:
    print(f"\n=== {data_set.file}", flush=True)
    demo = [sys.executable, "-m", "demo", "--folder", str(folder), "--data", str(file)]
    demo += ["--encrypt", data_set.encrypt, "--equality", data_set.equality]
    subprocess.run(demo, check=True)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    prod, away = folder / "prod", folder / "prod.away"
    prod.rename(away)
    try:
        agrees = _compare(data_set, file, folder / "test")
    finally:
        away.rename(prod)
    agrees &= _compare(data_set, file, prod)
    print(f"proven by the product: {report['proven']}; agreed from outside: {agrees}", flush=True)
    return 0 if agrees and report["proven"] else 1


def _compare(data_set: DataSet, file: Path, home: Path) -> bool:
    keys = home.with_name(f"{home.name}.keys.json")
    keys.unlink(missing_ok=True)
    try:
        export = ["key", "export", str(home), "--out", str(keys), "--reveal-key-bytes"]
        subprocess.run([*_KEYSTEAD, *export], check=True)
        compare = ["--database", str(home / "instance.db"), "--table", data_set.table]
        compare += ["--csv", str(file), "--keys", str(keys), "--home", str(home)]
        compare += ["--encrypted", data_set.encrypt, "--equality", data_set.equality]
        return (
            subprocess.run([sys.executable, str(_CHECKER), *compare], check=False).returncode == 0
        )
    finally:
        keys.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
