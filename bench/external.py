"""What an external key costs: field operations under one, against the same without.

    python -m bench.external

Two instances of the same rows, one with its module under a key file, the least lease that can be
set. In each transaction a page of values is sealed and opened, as a serving process does it. The
calls to the provider are counted. Then the provider dies: every call to it lasts as long as its
time-out, and what is asked for meanwhile is refused.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.report import FOLDER, Figure, figure, ours_at_most, publish, ratio_at_least
from keystead.adapters.external_keys import key_file_owner
from keystead.base.errors import Unavailable
from keystead.crypto.envelope import Scheme
from keystead.database.model import Column, ColumnType, Table
from keystead.external import configurations
from keystead.external.configurations import SECONDS
from keystead.external.provider import Answer, Call, Context, Refused, Unwrapped
from keystead.fields import service
from keystead.fields.model import Configuration
from keystead.fields.opened import OpenedColumns
from keystead.instance import opening
from keystead.instance.opening import Instance
from keystead.keys import service as keys
from keystead.programs.instance import connect, open_provider

ACTOR = "bench"
PAGE = 50
MILLION = 1_000_000
LEASE = SECONDS["lease_seconds"][0]
TIMEOUT = SECONDS["timeout_seconds"][0]
TRUST = 1.0


class Side:
    """One instance with an encrypted column, warm."""

    def __init__(self, folder: Path, key_file: Path | None) -> None:
        opening.init(folder, "bench", 8420, connect, ACTOR)
        self.instance: Instance = opening.open_instance(folder, connect, open_provider)
        self.database, self.hierarchy = self.instance.database, self.instance.hierarchy
        self.hierarchy.integrity.trust = TRUST
        with self.database.transaction() as tx:
            columns = tuple(Column(name, ColumnType.TEXT) for name in ("id", "name"))
            self.database.create_table(tx, Table("people", columns, ("id",)))
            keys.create_module(tx, self.hierarchy, "bench", Scheme.STANDARD, ACTOR)
            keys.publish_module(tx, self.hierarchy, "bench", ACTOR)
            self.configuration: Configuration = service.configure(
                tx,
                self.database,
                self.hierarchy,
                table="people",
                column="name",
                module="bench",
                actor=ACTOR,
            )
            spec = self.configuration.spec_id
            self.key_id = keys.active_key(tx, self.hierarchy, spec)["sys_id"]
            service.note_key(tx, self.hierarchy, self.configuration, self.key_id)
        if key_file is not None:
            self._put_under(key_file)
        self.opened = OpenedColumns(self.hierarchy)
        self.work(1)

    def _put_under(self, key_file: Path) -> None:
        with self.database.transaction() as tx:
            configurations.create(
                tx,
                self.hierarchy,
                name="file",
                kind="file",
                settings={"path": str(key_file)},
                actor=ACTOR,
                lease_seconds=LEASE,
                timeout_seconds=TIMEOUT,
            )
        self.instance.external.activate("file", ACTOR)
        self.instance.external.wrap_module("bench", "file", ACTOR)

    def work(self, pages: int) -> float:
        """Seconds that it takes to seal and open so many pages."""
        values = [f"value {number}" for number in range(PAGE)]
        records = [f"record {number}".encode() for number in range(PAGE)]
        begun = time.perf_counter()
        for _ in range(pages):
            with self.database.snapshot() as tx:
                column = self.opened.column(tx, self.configuration)
                sealed = column.cipher(self.key_id).seal_many(values, records)
                if column.open_many(sealed, records) != values:
                    raise AssertionError("what was sealed does not open")
        return time.perf_counter() - begun

    @property
    def calls(self) -> int:
        """The calls to the provider until now."""
        return self.instance.external.leases.calls.total()


class Dead:
    """A provider that never answers."""

    def describe(self) -> None:
        raise self._silence(Call.DESCRIBE)

    def wrap(self, plain: bytes, context: Context) -> bytes:
        del plain, context
        raise self._silence(Call.WRAP)

    def unwrap(self, wrapped: bytes, context: Context) -> Unwrapped:
        del wrapped, context
        raise self._silence(Call.UNWRAP)

    def close(self) -> None:
        """There is nothing to close."""

    def _silence(self, call: Call) -> Refused:
        time.sleep(TIMEOUT)
        return Refused(call, Answer.UNREACHABLE, "no answer")


def main() -> None:
    """Measure, and publish the figures as `external`."""
    parser = argparse.ArgumentParser(prog="python -m bench.external")
    parser.add_argument("--operations", type=int, default=MILLION, help="on each side")
    parser.add_argument("--rounds", type=int, default=10, help="how often each has its turn")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    publish("external", _measured(options.operations, options.rounds))


def _measured(operations: int, rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        folder = Path(name)
        key_file_owner.create(folder / "external.key")
        external = Side(folder / "external", folder / "external.key")
        internal = Side(folder / "internal", None)
        try:
            pages = max(1, operations // rounds // (2 * PAGE))
            done, before, pairs = pages * 2 * PAGE, external.calls, []
            for turn in range(rounds):
                seconds = {s: s.work(pages) for s in (external, internal)[:: 1 if turn % 2 else -1]}
                pairs.append((done / seconds[external], done / seconds[internal]))
            calls = (external.calls - before) * MILLION / (done * rounds)
            waited, asked = _dead(external)
        finally:
            external.instance.close()
            internal.instance.close()
    lease = f"lease of {LEASE} s"
    return [
        figure(f"field operations, {lease}", pairs, ratio_at_least(0.9), "operations/s"),
        _alone(f"provider calls per million of them, {lease}", calls, 100, "calls"),
        _alone("a dead provider: calls in a lease", asked, 3 + 1, "calls"),
        _alone("a dead provider: what one call costs", waited, 1.1 * TIMEOUT, "s"),
    ]


def _alone(name: str, value: float, most: float, unit: str) -> Figure:
    return figure(name, [(value, value)], ours_at_most(most, unit), unit)


def _dead(side: Side) -> tuple[float, float]:
    """What each call costs who goes on asking, in seconds, and the calls in a lease."""
    leases = side.instance.external.leases
    with leases._lock:
        leases._providers = {
            name: (stamp, Dead()) for name, (stamp, _) in leases._providers.items()
        }
    _until_refused(lambda: side.work(1))
    before, begun, waited = side.calls, time.monotonic(), 0.0
    while time.monotonic() - begun < 3 * LEASE:
        asked = time.monotonic()
        _until_refused(lambda: side.work(1))
        took = time.monotonic() - asked
        waited += took if took >= TIMEOUT else 0.0  # else he was refused without asking
        time.sleep(0.01)
    calls, seconds = side.calls - before, time.monotonic() - begun
    return waited / calls, calls * LEASE / seconds


def _until_refused(work: Callable[[], object]) -> None:
    while True:
        try:
            work()
        except Unavailable:
            return


if __name__ == "__main__":
    main()
