"""What the registered operations of scheduled jobs do, and one run of a job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from keystead.attachments import service as attachments
from keystead.base import clock
from keystead.base.errors import KeysteadError, Tampered
from keystead.fields import due
from keystead.instance import auditing, external_watch, notices, schedules
from keystead.instance.opening import Instance
from keystead.instance.schedules import Job, Operation


@dataclass(frozen=True, slots=True)
class Done:
    """What a run did: one line, and the facts of each thing for the process's own log."""

    result: str
    facts: tuple[Mapping[str, object], ...] = ()
    refused: Exception | None = None

    @property
    def code(self) -> str | None:
        """The code of what it was refused with, or the type of an error that nobody foresaw."""
        if isinstance(self.refused, KeysteadError):
            return self.refused.code
        return type(self.refused).__name__ if self.refused else None


def due_jobs(instance: Instance) -> list[Job]:
    """The jobs that are to run now."""
    now = clock.now()
    with instance.database.snapshot() as tx:
        found = schedules.listed(tx, instance.hierarchy.integrity)
    return [job for job in found if job.is_due(now)]


def run(instance: Instance, operation: Operation) -> Done:
    """Run an operation and keep what became of it; a failed run is such a result too.

    Killed anywhere, it is run again: each operation can be.

    Raises:
        Unavailable: when what became of it cannot be written.
    """
    database = instance.database
    with database.transaction() as tx:
        started_at = schedules.begin(tx, operation)
    done = _attempted(instance, operation)
    with database.transaction() as tx:
        schedules.end(tx, operation, started_at, done.result, done.refused is not None)
    return done


def _attempted(instance: Instance, operation: Operation) -> Done:
    try:
        return _RUNS[operation.name](instance)
    except KeysteadError as error:
        return Done(error.what, refused=error)
    except Exception as error:
        return Done(type(error).__name__, refused=error)


def _apply_rules(instance: Instance) -> Done:
    done = due.apply_rules(instance.database, instance.hierarchy)
    held_back = sum(one.held_back is not None for one in done)
    result = f"{len(done) - held_back} done, {held_back} held back"
    return Done(result, tuple(asdict(one) for one in done))


def _clear_attachments(instance: Instance) -> Done:
    count = attachments.clear(instance.database)
    return Done(f"{count} cleared", ({"count": count},) if count else ())


def _verify_audit(instance: Instance) -> Done:
    home, database, hierarchy = instance.home, instance.database, instance.hierarchy
    found = auditing.check_now(home, database, hierarchy, _ACTOR, lambda *_progress: None)
    if found.findings:
        raise Tampered("audit.differs", count=len(found.findings))
    return Done(f"{found.entries} entries and {found.heads} heads are as they were written")


def _watch_external_keys(instance: Instance) -> Done:
    database, hierarchy = instance.database, instance.hierarchy
    found = external_watch.look(database, hierarchy, instance.external, _ACTOR)
    told = notices.deliver(database, hierarchy, instance.settings.name, instance.send)
    result = f"{found.result}, {told.sent} notices sent"
    if told.refused is not None:
        result += f"; {told.refused.what}"
    facts = tuple(asdict(one) for one in found.changes)
    return Done(result, facts, found.refused or told.refused)


_ACTOR: Final = "schedule"
_RUNS: Final[dict[str, Callable[[Instance], Done]]] = {
    schedules.APPLY_RULES.name: _apply_rules,
    schedules.CLEAR_ATTACHMENTS.name: _clear_attachments,
    schedules.VERIFY_AUDIT.name: _verify_audit,
    schedules.WATCH_EXTERNAL_KEYS.name: _watch_external_keys,
}
