"""Seed 000, "Configure Key Exchange": carried out with the commands, for a One Time Clone.

The steps follow the document. Imports nothing of the product: it runs the installed command.
Adhoc and Recurring Clone, and the browser, come with the capabilities they need.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

KEYSTEAD = str(Path(sys.executable).with_name("keystead"))
INCIDENTS = "number,caller_id,u_symptom\n" + "".join(
    f"INC{n:07d},Caller {n % 17},Symptom {n}: Größe 東京\n" for n in range(300)
)


def keystead(*words: object) -> Any:
    done = subprocess.run(
        [KEYSTEAD, *map(str, words), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def served(*homes: Path) -> Iterator[None]:
    processes = [
        subprocess.Popen([KEYSTEAD, "serve", str(home)], stdout=subprocess.PIPE) for home in homes
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"Serving")
        yield
    finally:
        for process in processes:
            process.terminate()
            process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.walkthrough
def test_one_time_clone(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for home in (source, target):
        keystead("init", home, "--name", home.name, "--port", _free_port())
    file = tmp_path / "incident.csv"
    file.write_text(INCIDENTS, encoding="utf-8")

    # Before you begin: a cryptographic module with a key, and values under it.
    keystead("load", source, "incident", file)
    keystead("module", "create", source, "callers", "--equality", "--publish")
    keystead("module", "create", source, "symptoms", "--publish")
    keystead("field", "add", source, "incident", "caller_id", "--module", "callers")
    keystead("field", "add", source, "incident", "u_symptom", "--module", "symptoms")
    for module in ("callers", "symptoms"):
        keystead("policy", "add", source, "--module", module, "--role", "itil")
    keystead("user", "add", target, "beth", "--role", "itil")

    with served(source, target):
        for home, other in ((source, target), (target, source)):
            shown = keystead("peer", "identity", other)
            keystead("peer", "add", home, shown["url"], "--fingerprint", shown["fingerprint"])
        keystead("encrypt", source, "incident")
        source_keys = {key["key"] for key in keystead("key", "list", source)}

        # Steps 1 and 2: a request for a One Time Clone names the target and the specifications,
        # with rekeying after the keys are imported. The clone's plan is that form.
        plan = keystead(
            "clone", "plan", source, "--target", "target", "--keys", "exchange and rekey"
        )
        assert {value["class"] for value in plan["values"]} == {"rekeyed"}

        # Step 3: submit. The source makes the policy that lets the keys travel once.
        keystead("clone", "run", source, plan["clone"])
        # Step 4: at clone time that policy approves the request, and the keys are sent.
        keystead("job", "wait", target)

        # The request has the same id, status and counts on both sides.
        (here,) = keystead("exchange", "list", source)
        (there,) = keystead("exchange", "list", target)
        same = ("request", "frequency", "status", "moved", "total")
        assert [here[k] for k in same] == [there[k] for k in same]
        assert here["frequency"] == "One Time Clone"
        assert (here["moved"], here["total"]) == (2, 2)
        policies = keystead("policy", "list", source)
        used = [p for p in policies if p["type"] == "resource exchange"]
        assert [p["active"] for p in used] == [False, False]

        # The result: readable on the target, under keys of its own.
        census = keystead("census", target, "--open")
        assert [(c["opened"], c["unreadable"]) for c in census] == [(300, 0), (300, 0)]
        assert not source_keys & {key for c in census for key in c["by_key"]}
        query = ("--query", "caller_id=Caller 5", "--as", "beth", "--limit", "50")
        rows = keystead("show", target, "incident", *query)["rows"]
        assert len(rows) == len([n for n in range(300) if n % 17 == 5])
        assert all("Größe 東京" in row["u_symptom"] for row in rows)

        # Afterwards the source's keys can go, since nothing needs them.
        for key in keystead("key", "list", target):
            if key["origin"] == "imported":
                keystead("key", "drop", target, key["key"])
    held = {key["key"] for key in keystead("key", "list", target) if key["held"]}
    assert not held & source_keys
    assert all(c["unreadable"] == 0 for c in keystead("census", target, "--open"))


@pytest.mark.walkthrough
def test_without_a_policy_a_request_stays_pending_on_both_sides(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for home in (source, target):
        keystead("init", home, "--name", home.name, "--port", _free_port())
    file = tmp_path / "incident.csv"
    file.write_text(INCIDENTS, encoding="utf-8")
    keystead("load", source, "incident", file)
    keystead("module", "create", source, "callers", "--equality", "--publish")
    keystead("field", "add", source, "incident", "caller_id", "--module", "callers")
    with served(source, target):
        for home, other in ((source, target), (target, source)):
            shown = keystead("peer", "identity", other)
            keystead("peer", "add", home, shown["url"], "--fingerprint", shown["fingerprint"])
        keystead("encrypt", source, "incident")
        plan = keystead("clone", "plan", source, "--target", "target", "--keys", "withheld")
        assert {value["class"] for value in plan["values"]} == {"deliberately unreadable"}
        keystead("clone", "run", source, plan["clone"])
        asked = keystead("exchange", "request", target, "--from", "source", "--module", "callers")
        assert (asked["status"], asked["moved"]) == ("Request Pending", 0)
        (here,) = keystead("exchange", "list", source)
        assert (here["request"], here["status"]) == (asked["request"], "Request Pending")
        again = keystead("exchange", "refresh", target, asked["request"])
        assert (again["status"], again["moved"]) == ("Request Pending", 0)
    shown = keystead("show", target, "incident", "--limit", "3")
    assert all(row["caller_id"] == "" for row in shown["rows"])
    assert not [k for k in keystead("key", "list", target) if k["origin"] == "imported"]
