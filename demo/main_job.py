"""The main job, step by step. Each step looks at what is there, so the job can be run again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from demo.product import CommandFailed, free_port, keystead, served

_STANDARD, _SEARCHABLE = "standard", "searchable"
_MODULES = {_STANDARD: "global.standard", _SEARCHABLE: "global.searchable"}
_TRIED_VALUES = "2000"
_PHASES = (
    "load",
    "mass_encryption",
    "clone",
    "key_exchange",
    "open",
    "mass_rekeying",
    "open_again",
)
Census = list[dict[str, Any]]


class MainJob:
    """Two instances, a table, a clone with its keys, a rekey, and the proof."""

    def __init__(
        self,
        folder: Path,
        data: Path,
        table: str,
        encrypt: list[str],
        equality: list[str],
        rate: int | None,
        databases: dict[str, str] | None = None,
    ) -> None:
        """`databases` are URLs by the instance's name; without one it keeps its own file."""
        self._prod, self._test = folder / "prod", folder / "test"
        self._notes_file = folder / "notes.json"
        self._data, self._table = data, table
        self._columns = {_STANDARD: encrypt, _SEARCHABLE: equality}
        self._databases = databases or {}
        self._rate = ["--rate", str(rate)] if rate else []
        self._notes: dict[str, Any] = {}
        self._goes_on = self._prod.exists()
        if self._notes_file.exists():
            self._notes = json.loads(self._notes_file.read_text(encoding="utf-8"))

    def run(self) -> dict[str, Any]:
        """Do every step that is not done, and put the report together."""
        started = time.monotonic()
        self._step(self._make_instances)
        self._step(self._load)
        self._step(self._configure)
        if "_rekey" not in self._notes.get("steps", []):
            with served(self._prod, self._test):
                self._step(self._pair)
                self._step(self._encrypt)
                self._step(self._clone)
                self._step(self._rekey)
        self._once("withheld", self._try_withheld_keys)
        self._note("seconds", round(time.monotonic() - started, 1))
        return self._report()

    def _step(self, step: Callable[[], None]) -> None:
        """Do a step that is not done; one that was interrupted looks at what is there."""
        done = self._notes.get("steps", [])
        if step.__name__ not in done:
            step()
            self._note("steps", [*done, step.__name__])
            self._goes_on = False

    def _existing(self, *arguments: str | Path) -> list[dict[str, Any]]:
        """What an interrupted run left; a first run does not look."""
        return list(keystead(*arguments)) if self._goes_on else []

    def _make_instances(self) -> None:
        for home in (self._prod, self._test):
            if not (home / "instance.toml").exists():
                _say(f"Making the instance '{home.name}'")
                words = ["--name", home.name, "--port", str(free_port())]
                if home.name in self._databases:
                    words += ["--database", self._databases[home.name]]
                keystead("init", home, *words)

    def _load(self) -> None:
        if self._table not in {t["table"] for t in self._existing("table", "list", self._prod)}:
            _say(f"Loading {self._data.name}")
            started = time.monotonic()
            keystead("load", self._prod, self._table, self._data)
            self._note("load_seconds", time.monotonic() - started)

    def _configure(self) -> None:
        _say("Making modules, a policy, users, and encrypted fields")
        known = {m["module"] for m in self._existing("module", "list", self._prod)}
        configured = {f["column"] for f in self._existing("field", "list", self._prod)}
        allowed = {
            p["module"]
            for p in self._existing("policy", "list", self._prod)
            if p["for"] == "support"
        }
        for module, columns in self._columns.items():
            name = _MODULES[module]
            if columns and name not in known:
                equality = ["--equality"] if module == _SEARCHABLE else []
                keystead("module", "create", self._prod, name, "--publish", *equality)
            if columns and name not in allowed:
                rights = ("--role", "support", "--operation", "decrypt")
                keystead("policy", "add", self._prod, "--module", name, *rights)
            new = [c for c in columns if c not in configured]
            if new:
                keystead("field", "add", self._prod, self._table, *new, "--module", name)
        for home in (self._prod, self._test):
            users = {u["user"] for u in self._existing("user", "list", home)}
            if "ada" not in users:
                keystead("user", "add", home, "ada", "--role", "support")
            if "bob" not in users:
                keystead("user", "add", home, "bob", "--role", "visitor")

    def _pair(self) -> None:
        for home, other in ((self._prod, self._test), (self._test, self._prod)):
            if not self._existing("peer", "list", home):
                _say(f"Pairing '{home.name}' with '{other.name}' by fingerprint")
                shown = keystead("peer", "identity", other)
                keystead("peer", "add", home, shown["url"], "--fingerprint", shown["fingerprint"])

    def _encrypt(self) -> None:
        self._finish_left_jobs(self._prod)
        fields = self._existing("field", "list", self._prod)
        if not fields or any(f["phase"] != "sealed" for f in fields):
            _say("Mass encryption")
            keystead("encrypt", self._prod, self._table, *self._rate)
        self._once("source", lambda: keystead("census", self._prod))

    def _clone(self) -> None:
        clones = self._existing("clone", "list", self._prod)
        if not clones:
            _say("Planning the clone")
            clones = [keystead("clone", "plan", self._prod, "--target", "test")]
        if clones[0].get("state") != "committed":
            _say("Cloning, rows as they are: no key travels with them")
            keystead("clone", "run", self._prod, clones[0]["clone"], *self._rate)
        keystead("job", "wait", self._test)
        self._once("exchange_source", lambda: keystead("exchange", "list", self._prod)[0])
        self._once("exchange_target", lambda: keystead("exchange", "list", self._test)[0])
        _say("Opening every value on the target")
        self._once("cloned", lambda: self._timed("open", "census", self._test, "--open"))
        self._once("seen", self._look)

    def _rekey(self) -> None:
        self._finish_left_jobs(self._test)
        source_keys = self._imported_keys("deactivated")
        if _under(keystead("census", self._test), source_keys):
            _say("Mass rekeying to the target's own keys")
            keystead("rekey", self._test, self._table, *self._rate)
        for key_id in source_keys:
            _say(f"Dropping the source's key {key_id}")
            keystead("key", "drop", self._test, key_id)
        _say("Opening every value again")
        self._once("rekeyed", lambda: self._timed("open_again", "census", self._test, "--open"))

    def _finish_left_jobs(self, home: Path) -> None:
        """Let jobs of an interrupted run end."""
        left = self._existing("job", "list", home)
        for job in left:
            if job["state"] == "failed":
                keystead("job", "resume", home, job["job"])
        if any(job["state"] in ("new", "running", "failed") for job in left):
            keystead("job", "wait", home)

    def _imported_keys(self, *states: str) -> set[str]:
        held = keystead("key", "list", self._test)
        return {k["key"] for k in held if k["origin"] == "imported" and k["state"] in states}

    def _look(self) -> dict[str, Any]:
        """The same rows as someone who may decrypt and as someone who may not; and a search."""
        columns = [c for group in self._columns.values() for c in group]
        chosen = ("--columns", ",".join(columns), "--limit", "5")
        ada = keystead("show", self._test, self._table, "--as", "ada", *chosen)["rows"]
        bob = keystead("show", self._test, self._table, "--as", "bob", *chosen)["rows"]
        found: dict[str, Any] = {
            "clear_for_support": any(any(row.values()) for row in ada),
            "empty_for_others": not any(any(row.values()) for row in bob),
        }
        searchable = next((c for c in self._columns[_SEARCHABLE] if ada and ada[0][c]), None)
        if searchable is not None and "^" not in str(ada[0][searchable]):
            query = ("--query", f"{searchable}={ada[0][searchable]}")
            rows = keystead("show", self._test, self._table, "--as", "ada", *query, *chosen)["rows"]
            found["search_finds_it"] = any(r[searchable] == ada[0][searchable] for r in rows)
            _say("A search by someone without the right is refused")
            found["search_denied_to_others"] = _is_denied(
                "show", self._test, self._table, "--as", "bob", *query
            )
        return found

    def _try_withheld_keys(self) -> dict[str, Any]:
        """Each side's keys on the other's values, and by the same routine on its own."""
        _say("Trying each side's keys on the other's values")
        files = {
            home: home.with_name(f"{home.name}.keys.json") for home in (self._prod, self._test)
        }
        try:
            for home, file in files.items():
                file.unlink(missing_ok=True)
                keystead("key", "export", home, "--out", file, "--reveal-key-bytes")
            trials = {
                f"{owner.name}_on_{home.name}": keystead(
                    "census", home, "--try-keys", file, "--sample", _TRIED_VALUES
                )
                for owner, file in files.items()
                for home in files
            }
        finally:
            for file in files.values():
                file.unlink(missing_ok=True)
        source, target = trials["prod_on_prod"], trials["test_on_test"]
        return {
            "source_key_opens_target": trials["prod_on_test"]["opened"] > 0,
            "target_key_opens_source": trials["test_on_prod"]["opened"] > 0,
            "control_source_key_opens_source": 0 < source["tried"] == source["opened"],
            "control_target_key_opens_target": 0 < target["tried"] == target["opened"],
            "values_tried": sum(trial["tried"] for trial in trials.values()),
        }

    def _report(self) -> dict[str, Any]:
        notes = self._notes
        source: Census = notes["source"]
        cloned: Census = notes["cloned"]
        rekeyed: Census = notes["rekeyed"]
        source_keys = {key for column in source for key in column["by_key"]}
        encrypted = sum(c["encrypted"] for c in source)
        exchange, exchange_source = notes["exchange_target"], notes["exchange_source"]
        report: dict[str, Any] = {
            "data": self._data.name,
            "rows": next(
                t["rows"]
                for t in keystead("table", "list", self._test)
                if t["table"] == self._table
            ),
            "values_encrypted": encrypted,
            "plaintext_left": sum(c["plain"] for c in (*source, *cloned, *rekeyed)),
            "clone": {
                "values_total": sum(c["encrypted"] for c in cloned),
                "values_readable": sum(c["opened"] for c in cloned),
                "unreadable": sum(c["unreadable"] for c in cloned),
            },
            "exchange": {
                "request": exchange["request"],
                "status": exchange["status"],
                "same_on_both_sides": all(
                    exchange[k] == exchange_source[k]
                    for k in ("request", "status", "moved", "total")
                ),
                "imported_key_count": exchange["moved"],
                "total_key_count": exchange["total"],
            },
            "rekey": {
                "values_total": sum(c["encrypted"] for c in rekeyed),
                "values_readable": sum(c["opened"] for c in rekeyed),
                "unreadable": sum(c["unreadable"] for c in rekeyed),
                "values_on_source_key": _under(rekeyed, source_keys),
                "source_keys_held_by_target": len(self._imported_keys("active", "deactivated")),
            },
            "withheld": notes["withheld"],
            "access": notes["seen"],
            "phases": self._phases(encrypted),
            "seconds": notes["seconds"],
        }
        report["proven"] = _is_proven(report)
        return report

    def _phases(self, encrypted: int) -> dict[str, Any]:
        """Seconds of each phase, and values a second."""
        jobs = [*keystead("job", "list", self._prod), *keystead("job", "list", self._test)]
        seconds = {
            job["kind"].replace(" ", "_"): _between(job["started_at"], job["finished_at"])
            for job in jobs
            if job["state"] == "done"
        }
        for name in ("load_seconds", "open_seconds", "open_again_seconds"):
            if name in self._notes:
                seconds[name.removesuffix("_seconds")] = self._notes[name]
        return {
            name: {
                "seconds": round(taken, 2),
                "values_per_second": round(encrypted / taken) if taken else None,
            }
            for name, taken in ((name, seconds[name]) for name in _PHASES if name in seconds)
        }

    def _timed(self, name: str, *arguments: str | Path) -> Any:
        started = time.monotonic()
        found = keystead(*arguments)
        self._note(f"{name}_seconds", time.monotonic() - started)
        return found

    def _once(self, name: str, make: Callable[[], Any]) -> None:
        """Write down a finding when it is made, since later steps change what it was made of."""
        if name not in self._notes:
            self._note(name, make())

    def _note(self, name: str, value: Any) -> None:
        self._notes[name] = value
        draft = self._notes_file.with_suffix(".part")
        draft.write_text(json.dumps(self._notes), encoding="utf-8")
        draft.replace(self._notes_file)


def _is_proven(report: dict[str, Any]) -> bool:
    clone, rekey, withheld = report["clone"], report["rekey"], report["withheld"]
    exchange = report["exchange"]
    return (
        report["plaintext_left"] == 0
        and clone["values_total"] == report["values_encrypted"] == rekey["values_total"]
        and clone["values_readable"] == clone["values_total"]
        and rekey["values_readable"] == rekey["values_total"]
        and rekey["values_on_source_key"] == rekey["source_keys_held_by_target"] == 0
        and exchange["same_on_both_sides"]
        and 0 < exchange["imported_key_count"] == exchange["total_key_count"]
        and not withheld["source_key_opens_target"]
        and not withheld["target_key_opens_source"]
        and withheld["control_source_key_opens_source"]
        and withheld["control_target_key_opens_target"]
        and all(report["access"].values())
    )


def _under(census: Census, key_ids: set[str]) -> int:
    return sum(n for column in census for key, n in column["by_key"].items() if key in key_ids)


def _is_denied(*arguments: str | Path) -> bool:
    try:
        keystead(*arguments)
    except CommandFailed as failed:
        return failed.code == 4
    return False


def _between(start: str, end: str) -> float:
    form = "%Y-%m-%dT%H:%M:%S.%fZ"
    taken = datetime.strptime(end, form) - datetime.strptime(start, form)  # noqa: DTZ007
    return taken.total_seconds()


def _say(text: str) -> None:
    print(f"\n» {text}", flush=True)
