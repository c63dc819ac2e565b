"""Several processes on one instance: each job once, whoever dies, freezes or comes back."""

from __future__ import annotations

import json
import signal
import ssl
from collections import Counter
from urllib.request import Request, urlopen

from tests.cli.conftest import keystead, ok
from tests.processes.conftest import ROWS, Running, Site, until

TABLES = ("a", "b", "c")
FAST, SLOW = 100_000, 60


def test_two_that_serve_and_two_that_work_do_each_job_once(site: Site) -> None:
    for table in (*TABLES, "slow"):
        site.load(table)
    running = site.start(
        ("serve", site.home), ("serve", site.copy), ("worker", site.home), ("worker", site.copy)
    )
    assert Counter(p["role"] for p in ok("process", "list", site.copy)) == {"serve": 2, "worker": 2}
    jobs = [site.encrypt(table, FAST) for table in TABLES]
    for home in (site.home, site.copy):
        ok("job", "wait", home)
    shown = [site.job(job) for job in jobs]
    assert [job["state"] for job in shown] == ["done"] * len(TABLES)
    assert [job["counts"]["values"] for job in shown] == [ROWS] * len(TABLES)
    assert {job["counts"]["lost_races"] for job in shown} == {0}
    assert {job["counts"]["passes"] for job in shown} == {1}
    stages = [(s["job"], s["stage"]) for one in running for s in one.logged("job.stage")]
    assert sorted(stages) == sorted((job, stage) for job in jobs for stage in ("move", "scrub"))
    assert len([one for one in running if one.logged("job.take")]) > 1
    assert {c["opened"] for c in ok("census", site.home, "a", "--open")} == {ROWS}

    _see_a_suspended_key(site, [one for one in running if one.role == "serve"])

    for one in running:
        one.end()
        assert one.process.returncode == 0
    assert ok("process", "list", site.home) == []
    for home in (site.home, site.copy):
        ok("audit", "sign", home)
        assert ok("audit", "verify", home)["findings"] == []
    heads = [(home / "audit.heads").read_bytes() for home in (site.home, site.copy)]
    assert heads[1].startswith(heads[0][:-1].rpartition(b"\n")[0])


def _see_a_suspended_key(site: Site, serving: list[Running]) -> None:
    """What one process did to a key holds for what all others do next."""
    ok("user", "add", site.home, "ada", "--role", "support")
    ok("policy", "add", site.home, "--module", "m", "--role", "support", "--operation", "decrypt")
    token = ok("user", "token", "make", site.home, "ada", "--name", "t")["token"]
    assert [_read(one, token) for one in serving] == ["value 0", "value 0"]
    job = site.encrypt("slow", SLOW)
    until(lambda: site.job(job)["done"] > 0, "a first page")
    ok("key", "suspend", site.copy, "m")
    done = site.job(job)["done"]
    assert [_read(one, token) for one in serving] == ["", ""]
    until(lambda: site.job(job)["state"] == "failed", "the job stops")
    assert (site.job(job)["done"], "suspended" in site.job(job)["error"]) == (done, True)
    ok("key", "resume", site.home, "m")
    assert [_read(one, token) for one in serving] == ["value 0", "value 0"]
    ok("job", "cancel", site.home, job)


def _read(one: Running, token: str) -> str:
    context = ssl.create_default_context(cafile=str(one.home / "tls.crt"))
    context.check_hostname = False
    url = f"https://127.0.0.1:{one.port}/api/now/table/a/000000"
    request = Request(url, headers={"Authorization": f"Bearer {token}"})
    with urlopen(request, context=context) as answer:
        return str(json.load(answer)["result"]["name"])


def test_a_killed_and_a_frozen_worker_are_replaced(site: Site) -> None:
    """The holder is killed, the next one is frozen and comes back: each value is moved once."""
    site.load("t", 900)
    running = site.start(("worker", site.home), ("worker", site.copy), ("worker", site.copy))
    by_pid = {one.pid: one for one in running}
    job = site.encrypt("t", SLOW)

    def holder(above: int) -> Running | None:
        pid, fence, _ = site.holder(job)
        return by_pid.get(pid) if fence > above else None

    killed = until(lambda: holder(0), "a first holder")
    before = site.holder(job)[2]
    until(lambda: site.holder(job)[2] > before, "its first page")
    killed.signal(signal.SIGKILL)
    frozen = until(lambda: holder(1), "a second holder")
    before = site.holder(job)[2]
    until(lambda: site.holder(job)[2] > before, "its first page")
    frozen.signal(signal.SIGSTOP)
    survivor = until(lambda: holder(2), "a third holder")
    frozen.signal(signal.SIGCONT)
    (fenced,) = until(lambda: frozen.logged("job.fenced"), "it notices")
    assert (fenced["job"], fenced["fence"]) == (job, 2)
    until(lambda: frozen.logged("process.return"), "it says that it lives")
    ok("job", "wait", site.home, job)
    found = site.job(job)
    assert (found["state"], found["counts"]["values"]) == ("done", 900)
    assert (found["counts"]["lost_races"], len({killed, frozen, survivor})) == (0, 3)
    site.load("next", 10)
    survivor.end()
    ok("encrypt", site.home, "next")
    assert frozen.logged("job.take")[-1]["fence"] == 1
    assert {c["opened"] for c in ok("census", site.copy, "--open")} == {900, 10}


def test_a_worker_beside_a_server_on_a_file(embedded: Site) -> None:
    embedded.load("t", 300)
    running = embedded.start(("serve", embedded.home), ("worker", embedded.home))
    for words in (("serve", embedded.home), ("root", "rotate", embedded.home)):
        refused = keystead(*words)
        assert (refused.code, "already served" in refused.err) == (6, True)
    job = embedded.encrypt("t", SLOW)
    pid, fence, _ = until(lambda: (h := embedded.holder(job))[2] and h, "a first page")
    (victim,) = [one for one in running if one.pid == pid]
    victim.signal(signal.SIGKILL)
    victim.process.wait()
    ok("job", "wait", embedded.home, job)
    assert embedded.holder(job)[:2] == (*{one.pid for one in running} - {pid}, fence + 1)
    assert embedded.job(job)["counts"]["values"] == 300
