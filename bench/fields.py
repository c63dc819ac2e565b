"""Speed and memory of field encryption, against bare AES-GCM calls, Tink and a bare script.

    python -m bench.fields

Ciphers: 64-byte values in batches, each side's batch right after the other's. The bare side keeps
nonce and ciphertext together as bytes. It and Tink are given bytes and ready made associated data;
the product is given text and the row's record, and writes the text form of an envelope.

Mass encryption: the product's job and bare scripts, each on its own copy of one SQLite file with a
text column of 64 characters. The scripts read every row, encrypt with a fresh nonce and the row's
id as associated data, and update with `executemany` in one transaction. One keeps the defaults of
the `sqlite3` module: the goal is measured against that one. The other takes the durability that
the product has (write-ahead log, synchronous FULL, secure_delete ON). Copying files and checking
values is not timed.

Policy check: one value after the other, each asked for by itself, as a script does; the caller has
a user, groups and fifty policies. The rival decides anew for every value, without reading a row.
Then the same with each value opened by itself after its check. Seconds are those of one core (CPU).

Memory: the highest resident memory of a process that runs a whole job, at two numbers of rows.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import tink
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tink import aead

from bench.report import (
    COMPARISON,
    FOLDER,
    Figure,
    figure,
    ours_at_least,
    ours_at_most,
    publish,
    ratio_above,
    ratio_at_least,
    ratio_at_most,
)
from keystead.access import people, policies
from keystead.access.decision import Operation, PolicyType, Result
from keystead.access.permissions import Permissions, subject
from keystead.access.rejections import Refusals
from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.base.ids import new_id, new_ids
from keystead.base.secret import Secret
from keystead.crypto import envelope
from keystead.crypto.ciphers import column_cipher
from keystead.crypto.envelope import Scheme
from keystead.database.model import Column, ColumnType, Table
from keystead.database.port import Row
from keystead.fields import census, mass_job, service
from keystead.fields.mass_job import MassJob
from keystead.fields.values import EncryptedColumn
from keystead.instance import opening
from keystead.instance.home import Home
from keystead.instance.opening import Instance
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys

BATCH = 5_000
NONCE = 12
ACTOR = "bench"
MODULE = "bench"
TABLE = "people"
SECRET = "secret"
COLUMNS = (
    Column("sys_id", ColumnType.TEXT, nullable=False),
    Column("number", ColumnType.INTEGER),
    Column("state", ColumnType.TEXT),
    Column(SECRET, ColumnType.TEXT),
    Column("opened_at", ColumnType.TEXT),
    Column("short_description", ColumnType.TEXT),
)
PLAIN_DEFAULTS = ("journal_mode = DELETE",)
AS_THE_PRODUCT = ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON")

Pairs = list[tuple[float, float]]


def main() -> None:
    """Measure, and publish the figures as `fields`."""
    options = _options()
    if options.memory_worker:
        home, job_id = options.memory_worker
        _memory_worker(Path(home), job_id)
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    figures = ciphers(options.values, options.rounds)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        figures += policy_check(Path(folder) / "policies", options.values, options.rounds)
        figures += mass_encryption(Path(folder), options.rows, options.mass_rounds)
        figures.append(memory(Path(folder), options.memory_rows))
    publish("fields", figures)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.fields")
    parser.add_argument("--values", type=int, default=100_000, help="values per cipher round")
    parser.add_argument("--rounds", type=int, default=5, help="cipher rounds")
    parser.add_argument("--rows", type=int, default=200_000, help="rows to mass encrypt")
    parser.add_argument("--mass-rounds", type=int, default=5, help="mass encryption rounds")
    parser.add_argument("--memory-rows", type=int, default=1_000_000, help="and a tenth of that")
    parser.add_argument("--memory-worker", nargs=2, metavar=("HOME", "JOB"), help=argparse.SUPPRESS)
    return parser.parse_args()


# --- the ciphers ---


def ciphers(values: int, rounds: int) -> list[Figure]:
    """Sealing and opening batches: the product, bare AES-GCM and Tink in turn."""
    aead.register()
    key, key_id = os.urandom(32), os.urandom(16)
    context = envelope.context(Scheme.STANDARD, key_id, TABLE, SECRET)
    ours = column_cipher(Scheme.STANDARD, key_id, Secret(key), TABLE, SECRET)
    bare = AESGCM(key)
    keyset = tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM)
    theirs = keyset.primitive(aead.Aead)

    sealing: list[dict[str, float]] = []
    opening_: list[dict[str, float]] = []
    for turn in range(rounds):
        for _ in range(max(1, values // BATCH)):
            ids = new_ids(BATCH)
            clear = [_value_of(i) for i in ids]
            raw = [value.encode() for value in clear]
            records = [envelope.record([i]) for i in ids]
            data = [context + record for record in records]
            sealed, seconds = _in_turn(
                turn,
                ours=partial(ours.seal_many, clear, records),
                bare=partial(_bare_seal, bare, raw, data),
                tink=partial(_each, theirs.encrypt, raw, data),
            )
            sealing.append(seconds)
            bodies = [envelope.split(value)[1] for value in sealed["ours"]]
            opened, seconds = _in_turn(
                turn,
                ours=partial(ours.open_many, bodies, records),
                bare=partial(_bare_open, bare, sealed["bare"], data),
                tink=partial(_each, theirs.decrypt, sealed["tink"], data),
            )
            opening_.append(seconds)
            _must_equal(opened["ours"], clear)
            _must_equal(opened["bare"], raw)
            _must_equal(opened["tink"], raw)
            stored = [base64.urlsafe_b64decode(b + "=" * (-len(b) % 4)) for b in bodies]
            _must_equal(_bare_open(bare, stored, data), raw)  # bare calls open ours: the same work
    figures = []
    for what, times in (("encrypt", sealing), ("decrypt", opening_)):
        pairs = [(t["ours"] / BATCH * 1e6, t["bare"] / BATCH * 1e6) for t in times]
        name = f"{what} 64-byte values, against bare AESGCM calls"
        figures.append(figure(name, pairs, ratio_at_most(1.6), "us/value"))
    for what, times in (("encrypt", sealing), ("decrypt", opening_)):
        pairs = [(BATCH / t["ours"], BATCH / t["tink"]) for t in times]
        name = f"{what} 64-byte values, against Tink AES256_GCM"
        figures.append(figure(name, pairs, ratio_above(1.0), "values/s"))
    return figures


def _bare_seal(cipher: AESGCM, values: Sequence[bytes], data: Sequence[bytes]) -> list[bytes]:
    out = []
    for value, associated in zip(values, data, strict=True):
        nonce = os.urandom(NONCE)
        out.append(nonce + cipher.encrypt(nonce, value, associated))
    return out


def _bare_open(cipher: AESGCM, sealed: Sequence[bytes], data: Sequence[bytes]) -> list[bytes]:
    return [
        cipher.decrypt(value[:NONCE], value[NONCE:], associated)
        for value, associated in zip(sealed, data, strict=True)
    ]


def _each(
    call: Callable[[bytes, bytes], bytes], values: Sequence[bytes], data: Sequence[bytes]
) -> list[bytes]:
    return [call(value, associated) for value, associated in zip(values, data, strict=True)]


def _in_turn(turn: int, **sides: Callable[[], Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """What each side returned and its seconds; each turn begins with another side."""
    names = list(sides)
    first = turn % len(names)
    results, seconds = {}, {}
    for name in names[first:] + names[:first]:
        with _stopwatch() as took:
            results[name] = sides[name]()
        seconds[name] = took[0]
    return results, seconds


# --- the policy check ---


def policy_check(home: Path, values: int, rounds: int) -> list[Figure]:
    """One value after the other through the check, alone and with the value opened."""
    _make_home(home, 1)
    checks: Pairs = []
    opened: Pairs = []
    with _opened(home) as instance, instance.database.transaction() as tx:
        integrity = instance.hierarchy.integrity
        row = keys.module(tx, instance.hierarchy, MODULE)
        for role in range(50):
            policies.add(
                tx,
                integrity,
                module_id=row["sys_id"],
                module_name=row["name"],
                type=PolicyType.ROLE,
                target=f"role {role}",
                operation=Operation.DECRYPT,
                result=Result.TRACK,
                actor=ACTOR,
            )
        people.create_group(tx, integrity, "group", ["role 49"], ACTOR)
        people.create_user(tx, integrity, "user", ["other"], ACTOR)
        people.add_member(tx, integrity, "group", "user", ACTOR)
        (configured,) = service.configurations(tx, instance.hierarchy, TABLE)
        asking, asked = subject(tx, integrity, "user"), Operation.DECRYPT
        module, spec = keys.guarded(row), configured.spec_id
        key_id = os.urandom(16)
        cipher = column_cipher(Scheme.STANDARD, key_id, Secret(os.urandom(32)), TABLE, SECRET)
        records = [envelope.record([i]) for i in new_ids(values)]
        stored = cipher.seal_many(["x" * 64] * values, records)
        bodies = envelope.bodies(stored)
        few = range(max(1, values // 100))
        for _ in range(rounds):
            permissions = Permissions(tx, integrity, asking, Refusals())
            with _stopwatch(time.process_time) as took:
                passed = sum(permissions.allows(module, spec, asked) for _ in range(values))
            with _stopwatch(time.process_time) as anew:
                decided = sum(permissions.decide(module, spec, asked).allowed for _ in few)
            _must_equal((passed, decided), (values, len(few)))
            checks.append((values / took[0], len(few) / anew[0]))
            with _stopwatch(time.process_time) as took:
                for body, record in zip(bodies, records, strict=True):
                    if permissions.allows(module, spec, asked):
                        cipher.open_many([body], [record])
            with _stopwatch(time.process_time) as bare:
                for body, record in zip(bodies, records, strict=True):
                    cipher.open_many([body], [record])
            opened.append((values / took[0], values / bare[0]))
    shutil.rmtree(home)
    goal = ours_at_least(150_000, "values/s")
    return [
        figure(
            "one value through the policy check, against deciding anew", checks, goal, "values/s"
        ),
        figure("the same and opened, against only opened", opened, COMPARISON, "values/s"),
    ]


# --- mass encryption ---


def mass_encryption(folder: Path, rows: int, rounds: int) -> list[Figure]:
    """The mass job and two bare scripts, in turn, each on its own copy of one database."""
    made = folder / "made"
    job_id = _make_home(made, rows)
    plain: Pairs = []
    scrubbed: Pairs = []
    durable: Pairs = []
    for turn in range(rounds):
        results, _ = _in_turn(
            turn,
            ours=partial(_run_job, made, folder / "ours", job_id),
            plain=partial(_run_script, made, folder / "plain.db", PLAIN_DEFAULTS),
            durable=partial(_run_script, made, folder / "durable.db", AS_THE_PRODUCT),
        )
        move, scrub = results["ours"]
        bare, as_durable = results["plain"], results["durable"]
        plain.append((rows / move, rows / bare))
        scrubbed.append((rows / (move + scrub), rows / bare))
        durable.append((rows / move, rows / as_durable))
    shutil.rmtree(made)
    goal = ratio_at_least(0.6)
    beside = "against a bare script"
    return [
        figure(f"mass encrypt, {beside} with SQLite's defaults", plain, goal, "rows/s"),
        figure(f"mass encrypt and scrub, {beside}, the same", scrubbed, COMPARISON, "rows/s"),
        figure(f"mass encrypt, {beside} as durable as the job", durable, COMPARISON, "rows/s"),
    ]


def _run_job(made: Path, home: Path, job_id: str) -> tuple[float, float]:
    """Seconds of the job's two stages on a copy of a home; every value is opened afterwards."""
    shutil.copytree(made, home)
    with _opened(home) as instance:
        job = MassJob(instance.database, instance.hierarchy)
        with _stopwatch() as moving:
            jobs.run_stage(instance.database, job_id, job.move)
        with _stopwatch() as scrubbing:
            jobs.run_stage(instance.database, job_id, job.scrub)
        _check_home(instance)
    shutil.rmtree(home)
    return moving[0], scrubbing[0]


def _run_script(made: Path, file: Path, pragmas: Sequence[str]) -> float:
    """Seconds of a bare script on a copy of a home's database; every value is opened afterwards."""
    shutil.copy(Home(made).database_file, file)
    key = os.urandom(32)
    database = sqlite3.connect(file)
    for pragma in pragmas:
        database.execute(f"PRAGMA {pragma}")
    with _stopwatch() as took:
        encrypt = AESGCM(key).encrypt
        changes = []
        for sys_id, value in database.execute(f"SELECT sys_id, {SECRET} FROM {TABLE}"):
            nonce = os.urandom(NONCE)
            sealed = nonce + encrypt(nonce, value.encode(), sys_id.encode())
            changes.append((base64.b64encode(sealed).decode(), sys_id))
        database.executemany(f"UPDATE {TABLE} SET {SECRET} = ? WHERE sys_id = ?", changes)
        database.commit()
    del changes
    decrypt = AESGCM(key).decrypt
    for sys_id, stored in database.execute(f"SELECT sys_id, {SECRET} FROM {TABLE}"):
        sealed = base64.b64decode(stored)
        value = decrypt(sealed[:NONCE], sealed[NONCE:], sys_id.encode())
        _must_equal(value.decode(), _value_of(sys_id))
    database.close()
    for left in file.parent.glob(f"{file.name}*"):
        left.unlink()
    return took[0]


# --- memory ---


def memory(folder: Path, rows: int) -> Figure:
    """The same job in a process of its own, over `rows` and over a tenth of them."""
    few, many = (_peak_of_job(folder / "memory", number) for number in (rows // 10, rows))
    goal = ours_at_most(300, "MB")
    return figure(
        f"peak memory at {rows:g} rows, against {rows // 10:g}", [(many, few)], goal, "MB"
    )


def _peak_of_job(home: Path, rows: int) -> float:
    job_id = _make_home(home, rows)
    command = [sys.executable, "-m", "bench.fields", "--memory-worker", str(home), job_id]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[1]
    )
    with _opened(home) as instance:
        _check_home(instance)
    shutil.rmtree(home)
    return float(done.stdout)


def _memory_worker(home: Path, job_id: str) -> None:
    """Run a whole job and print the highest memory of this process in MB."""
    with _opened(home) as instance:
        job = MassJob(instance.database, instance.hierarchy)
        jobs.run_stage(instance.database, job_id, job.move)
        jobs.run_stage(instance.database, job_id, job.scrub)
    print(_peak_megabytes())


def _peak_megabytes() -> float:
    # Linux counts into ru_maxrss what the parent held before exec; VmHWM begins with this program
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [s for s in status.read_text().splitlines() if s.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


# --- what they share ---


def _connect(home: Home) -> SqliteDatabase:
    return SqliteDatabase(home.database_file)


@contextmanager
def _opened(home: Path) -> Iterator[Instance]:
    instance = opening.open_instance(home, _connect)
    try:
        yield instance
    finally:
        instance.close()


def _make_home(folder: Path, rows: int) -> str:
    """An instance with one table, an encrypted column yet plain, and the job that is to encrypt it.

    Returns the job's id.
    """
    opening.init(folder, "bench", 7400, _connect, ACTOR)
    with _opened(folder) as instance:
        database, hierarchy = instance.database, instance.hierarchy
        with database.transaction() as tx:
            database.create_table(tx, Table(TABLE, COLUMNS, ("sys_id",)))
            database.insert(tx, TABLE, [c.name for c in COLUMNS], _rows(rows))
            keys.create_module(tx, hierarchy, MODULE, Scheme.STANDARD, ACTOR)
            keys.publish_module(tx, hierarchy, MODULE, ACTOR)
            service.configure(
                tx, database, hierarchy, table=TABLE, column=SECRET, module=MODULE, actor=ACTOR
            )
            return mass_job.start(
                tx, hierarchy, JobKind.ENCRYPT, TABLE, rows_per_second=None, actor=ACTOR
            )


def _rows(count: int) -> Iterator[Row]:
    for number in range(count):
        sys_id = new_id()
        state = ("new", "in progress", "resolved")[number % 3]
        yield sys_id, number, state, _value_of(sys_id), "2024-05-01 12:00:00", f"Request {number}"


def _check_home(instance: Instance) -> None:
    """Open every value of the encrypted column and compare it with what was there before."""
    database, hierarchy = instance.database, instance.hierarchy
    with database.snapshot() as tx:
        (configured,) = service.configurations(tx, hierarchy, TABLE)
        column = EncryptedColumn(tx, hierarchy, configured)
        for rows in census.pages(tx, database, database.describe(tx, TABLE), [SECRET]):
            ids, stored = zip(*rows, strict=True)
            if not all(map(envelope.is_marked, stored)):
                raise AssertionError("a value was left plain")
            records = [envelope.record([sys_id]) for sys_id in ids]
            _must_equal(column.open_many(stored, records), list(map(_value_of, ids)))


def _value_of(sys_id: str) -> str:
    """64 characters that can be told again from the row's id."""
    return hashlib.sha256(sys_id.encode()).hexdigest()


def _must_equal(found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError("what was opened is not what was encrypted")


@contextmanager
def _stopwatch(clock: Callable[[], float] = time.perf_counter) -> Iterator[list[float]]:
    took: list[float] = []
    start = clock()
    yield took
    took.append(clock() - start)


if __name__ == "__main__":
    main()
