"""The first page: what stands how, at a glance, as far as who looks may see it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from threading import Lock
from typing import Final

from litestar import Response

from keystead.access import authority, properties
from keystead.audit import heads, log
from keystead.audit.entries import Entry
from keystead.audit.heads import Head, HeadFile
from keystead.audit.tables import HEADS
from keystead.base import clock
from keystead.delivery.console import cells
from keystead.delivery.console.asked import Asked, form_address
from keystead.delivery.console.cells import Names
from keystead.delivery.console.frame import Frame, Message, Visit
from keystead.delivery.console.lists import Line
from keystead.delivery.console.tables import progress_of
from keystead.dictionary import guard, registry
from keystead.dictionary.model import Row, Table
from keystead.exchange.model import Status
from keystead.fields import census
from keystead.fields.census import ColumnCensus
from keystead.instance import auditing
from keystead.instance.opening import Instance
from keystead.jobs.model import JobState
from keystead.keys.model import KeyState

_MODULES: Final = "sys_kmf_crypto_module"
_KEYS: Final = "sys_kmf_module_key"
_JOBS: Final = "keystead_job"
_REQUESTS: Final = "keystead_exchange_request"
_DAY: Final = 24 * 3600
_MOST_SHOWN: Final = 6
_MOST_BARS: Final = 12
_WORTH: Final = 20  # a census is kept so many times as long as it took
_REACH: Final = 100_000  # how far back in the audit log its last check is looked for
_USED: Final = (KeyState.ACTIVE, KeyState.RENEWED, KeyState.SUSPENDED)
_OPEN: Final = (JobState.NEW, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows of a table are in a state, and where they are listed."""

    state: str
    tone: str
    number: int
    href: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A key and how many values it holds; `share` is of the most, in thousandths."""

    label: str
    href: str
    state: str
    tone: str
    number: int
    share: int
    columns: str


@dataclass(frozen=True, slots=True)
class Counted:
    """A census, when it was made, and until which second of the process's clock it is kept."""

    columns: list[ColumnCensus]
    at: str
    good_until: float


class HomePages:
    """The first page and its parts, and what `stats.do` says."""

    def __init__(self, frame: Frame, instance: Instance) -> None:
        self._frame = frame
        self._instance = instance
        self._started = time.monotonic()
        self._since = clock.now()
        self._census: Counted | None = None
        self._lock = Lock()

    def home(self, visit: Visit) -> Response[str]:
        """The first page."""
        jobs = _rows(visit, _JOBS)
        failed = sum(row["state"] == JobState.FAILED for row in jobs or ())
        seen = _rows(visit, _KEYS) is not None
        audits = authority.may_see(visit.context.actor, HEADS.name)
        days = self._warning_days()
        return self._frame.page(
            visit,
            "home.html",
            "Home",
            message=_failed(failed) if failed else None,
            counts=[(t, _counts(visit, t)) for n in (_MODULES, _KEYS) if (t := _table(visit, n))],
            expiring=_expiring(visit, days),
            days=days,
            requests=_pending(visit),
            head=self._head() if audits else None,
            checked=self._checked() if audits else None,
            sees_keys=seen,
            sees_jobs=jobs is not None,
            jobs=_running(visit),
            moment=cells.moment,
        )

    def jobs(self, visit: Visit) -> Response[str]:
        """The jobs that run, to be asked for again and again."""
        return self._frame.fragment("jobs.html", jobs=_running(visit))

    def values(self, visit: Visit) -> Response[str]:
        """The values by key, as a chart."""
        authority.refuse_unless_reads(visit.context.actor, _KEYS)
        kept = self._counted()
        counted = kept.columns
        return self._frame.fragment(
            "values.html",
            at=cells.moment(kept.at),
            bars=_bars(visit, counted),
            encrypted=sum(c.encrypted for c in counted),
            plain=sum(c.plain for c in counted),
            unknown=sum(c.unknown for c in counted),
            columns=len(counted),
        )

    def stats(self, visit: Visit) -> Response[str]:
        """Which instance it is."""
        settings = self._instance.settings
        seconds = int(time.monotonic() - self._started)
        hours, minutes = seconds // 3600, seconds // 60 % 60
        facts = (
            ("Instance id", "sys_id", settings.instance_id),
            ("Instance name", "name", settings.name),
            ("Version", "build", f"Keystead {version('keystead')}"),
            ("Database", "engine", _engine(settings.database)),
            ("Uptime of this process", "uptime", f"{hours} h {minutes} min {seconds % 60} s"),
            ("Served since", "since", f"{cells.moment(self._since)} UTC"),
            ("Now", "now", f"{cells.moment(clock.now())} UTC"),
        )
        return self._frame.page(visit, "stats.html", "Instance statistics", facts=facts)

    def _head(self) -> Head | None:
        instance = self._instance
        return heads.last_of(
            HeadFile(instance.home.heads_file), auditing.signer(instance.hierarchy)
        )

    def _checked(self) -> Entry | None:
        """The last time that the whole audit log was verified, and what was found."""
        instance_id = self._instance.settings.instance_id
        with self._instance.database.snapshot() as tx:
            found = log.about(tx, [instance_id], ["audit.verify"], _REACH, 1)
        return found[0] if found else None

    def _warning_days(self) -> int:
        integrity, wanted = self._instance.hierarchy.integrity, properties.EXPIRY_WARNING_DAYS
        with self._instance.database.snapshot() as tx:
            return properties.whole_number(tx, integrity, wanted)

    def _counted(self) -> Counted:
        """A census, kept for as long as it is not worth another: counting reads every value."""
        with self._lock:
            begun = time.monotonic()
            if self._census is None or begun > self._census.good_until:
                instance, moment = self._instance, clock.now()
                with instance.database.snapshot() as tx:
                    columns = census.count(tx, instance.database, instance.hierarchy)
                now = time.monotonic()
                self._census = Counted(columns, moment, now + _WORTH * (now - begun))
            return self._census


def _table(visit: Visit, name: str) -> Table | None:
    """A declared table that he may see."""
    table = registry.TABLES.get(name)
    may = table is not None and authority.may_see(visit.context.actor, name)
    return table if may else None


def _rows(visit: Visit, name: str) -> Sequence[Row] | None:
    table = _table(visit, name)
    return guard.rows(visit.context, table) if table else None


def _failed(number: int) -> Message:
    said = "A job has failed." if number == 1 else f"{number} jobs have failed."
    return Message(said, "warn", "Look at what it says, then resume or cancel it.")


def _counts(visit: Visit, table: Table) -> list[Count]:
    state = table.field("state")
    counted = Counter(str(row["state"]) for row in guard.rows(visit.context, table))
    tones = state.tones if state else {}
    return [
        Count(name, tones.get(name, "quiet"), number, _where(table, f"state={name}"))
        for name, number in counted.most_common()
    ]


def _where(table: Table, query: str) -> str:
    return Asked(query=query).href(table.name)


def _expiring(visit: Visit, days: int) -> list[Line]:
    """Keys in use that expire soon, the next first."""
    table = _table(visit, _KEYS)
    if table is None:
        return []
    until, names = clock.after(days * _DAY), Names(visit.context)
    near = [
        row
        for row in guard.rows(visit.context, table)
        if row["state"] in _USED and (row["expires_at"] or "~") < until
    ]
    near.sort(key=lambda row: row["expires_at"])
    return _lines(table, names, near[:_MOST_SHOWN], ("module_id", "version", "state", "expires_at"))


def _pending(visit: Visit) -> list[Line] | None:
    """Requests for keys that are not complete; None for who may not see them."""
    table = _table(visit, _REQUESTS)
    if table is None:
        return None
    ended = (Status.COMPLETE, Status.EXPIRED)
    rows = [r for r in guard.rows(visit.context, table) if r["status"] not in ended]
    shown = [f.name for f in table.fields if f.in_list][:4]
    return _lines(table, Names(visit.context), rows[:_MOST_SHOWN], shown)


def _lines(table: Table, names: Names, rows: Sequence[Row], wanted: Sequence[str]) -> list[Line]:
    fields = [f for n in wanted if (f := table.field(n))]
    return [
        Line(form_address(table.name, row["sys_id"]), tuple(names.cell(f, row) for f in fields))
        for row in rows
    ]


def _running(visit: Visit) -> list[tuple[str, Row, tuple[int, int] | None]]:
    return [
        (form_address(_JOBS, row["sys_id"]), row, progress_of(row))
        for row in _rows(visit, _JOBS) or ()
        if row["state"] in _OPEN
    ][:_MOST_SHOWN]


def _bars(visit: Visit, counted: Sequence[ColumnCensus]) -> list[Bar]:
    """The keys that hold the most values."""
    totals: Counter[str] = Counter()
    places: dict[str, list[str]] = {}
    for column in counted:
        for key_id, number in column.by_key.items():
            totals[key_id] += number
            places.setdefault(key_id, []).append(f"{column.table}.{column.column}")
    keys = {row["sys_id"]: row for row in _rows(visit, _KEYS) or ()}
    tones = table.fields if (table := _table(visit, _KEYS)) else ()
    by_state = next((f.tones for f in tones if f.name == "state"), {})
    modules = Names(visit.context).of(_MODULES)
    most = max(totals.values(), default=1)
    out = []
    for key_id, number in totals.most_common(_MOST_BARS):
        row = keys.get(key_id, {})
        label = f"{modules.get(row.get('module_id', ''), '?')} v{row.get('version', '?')}"
        state = str(row.get("state", "not held"))
        out.append(
            Bar(
                label,
                form_address(_KEYS, key_id),
                state,
                by_state.get(state, "quiet"),
                number,
                max(4, number * 1000 // max(1, most)),
                ", ".join(places[key_id]),
            )
        )
    return out


def _engine(url: str) -> str:
    """The database, without where it is."""
    scheme = url.partition(":")[0].partition("+")[0]
    known = {"postgresql": "PostgreSQL", "mysql": "MariaDB", "mariadb": "MariaDB"}
    return known.get(scheme, "SQLite, embedded")
