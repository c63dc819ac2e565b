"""A key encrypts only so often: what is used is reserved before, and near the end it rotates."""

from __future__ import annotations

import threading

import pytest

from keystead.base import clock
from keystead.base.errors import Conflict, Tampered
from keystead.fields import census, mass_job
from keystead.fields.mass_job import MassJob
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.keys import usage
from keystead.keys.usage import Meter, Use

ACTOR = "test"
STANDARD_COLUMNS = 3


def used(site, key_id: str) -> int:
    with site.snapshot() as tx:
        return usage.reserved(tx, site.hierarchy, key_id)


class TestMeter:
    def test_a_lease_is_reserved_before_it_is_used(self, site):
        meter = Meter(site.database, site.hierarchy, limit=100, lease=10)
        for taken, reserved in ((1, 10), (9, 10), (1, 20), (25, 36), (60, 96), (4, 100)):
            meter.take("k", taken)
            assert used(site, "k") == reserved

    def test_the_limit_holds_for_all_processes(self, site):
        meters = [Meter(site.database, site.hierarchy, limit=100, lease=10) for _ in range(3)]
        taken = 0
        for turn in range(200):
            try:
                meters[turn % 3].take("k", 3)
            except Conflict:
                continue
            taken += 3
            assert taken <= used(site, "k") <= 100
        assert taken >= 100 - 3 * 3

    def test_many_threads(self, site):
        meter = Meter(site.database, site.hierarchy, limit=1000, lease=7)
        taken: list[int] = []

        def work() -> None:
            for _ in range(40):
                try:
                    meter.take("k", 11)
                except Conflict:
                    return
                taken.append(11)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert 1000 - 11 < sum(taken) <= 1000

    def test_a_refusal_reserves_nothing(self, site):
        meter = Meter(site.database, site.hierarchy, limit=100, lease=10)
        meter.ensure("k", 95)
        with pytest.raises(Conflict):
            meter.ensure("k", 101)
        assert used(site, "k") == 95
        meter.take("k", 95)

    def test_a_count_put_back_is_refused(self, site):
        meter = Meter(site.database, site.hierarchy)
        meter.take("k", 1)
        assert used(site, "k") == usage.LEASE
        site.sql("UPDATE keystead_key_use SET reserved = 0")
        with pytest.raises(Tampered):
            meter.take("k", usage.LEASE)

    def test_nothing_costs_nothing(self, site):
        meter = Meter(site.database, site.hierarchy)
        meter.take("k", 0)
        meter.ensure("k", 0)
        assert used(site, "k") == 0


class TestUse:
    def take(self, site, meter, calls, error=None):
        with Use(meter) as use, site.transaction() as tx:
            use.take(tx, "k", calls)
            if error is not None:
                raise error

    def test_a_lease_is_reserved_in_the_transaction_and_kept_with_it(self, site):
        meter = Meter(site.database, site.hierarchy, limit=100, lease=10)
        for calls, reserved in ((3, 10), (7, 10), (1, 20)):
            self.take(site, meter, calls)
            assert used(site, "k") == reserved
        meter.take("k", 9)
        assert used(site, "k") == 20

    def test_what_was_encrypted_in_vain_is_owed(self, site):
        meter = Meter(site.database, site.hierarchy, limit=100, lease=10)
        for _ in range(4):
            with pytest.raises(ZeroDivisionError):
                self.take(site, meter, 6, ZeroDivisionError())
        assert used(site, "k") == 0
        meter.take("k", 1)
        assert used(site, "k") == 25

    def test_the_limit_holds(self, site):
        meter = Meter(site.database, site.hierarchy, limit=100, lease=10)
        self.take(site, meter, 95)
        with pytest.raises(Conflict):
            self.take(site, meter, 6)
        self.take(site, meter, 5)
        assert used(site, "k") == 100


class TestMassJobs:
    def test_all_that_a_job_needs_is_reserved(self, mixed, people):
        job_id = mixed.start(JobKind.ENCRYPT)
        needed = STANDARD_COLUMNS * len(people)
        job = MassJob(mixed.database, mixed.hierarchy, limit=needed)
        jobs.run_stage(mixed.database, job_id, job.move)
        assert used(mixed, mixed.keys_of("standard")[0]["sys_id"]) == needed
        assert used(mixed, mixed.keys_of("equal")[0]["sys_id"]) == 0
        assert mixed.rows() == people

    def test_a_key_with_too_little_left_moves_nothing(self, mixed, people):
        before = mixed.stored()
        job_id = mixed.start(JobKind.ENCRYPT)
        job = MassJob(mixed.database, mixed.hierarchy, limit=STANDARD_COLUMNS * len(people) - 1)
        with pytest.raises(Conflict) as caught:
            jobs.run_stage(mixed.database, job_id, job.move)
        assert caught.value.code == "key.used_up"
        assert mixed.stored() == before
        assert mixed.job(job_id)["error_code"] == "key.used_up"

    def start(self, site, limit: int) -> str:
        with site.transaction() as tx:
            return mass_job.start(
                tx,
                site.hierarchy,
                JobKind.ENCRYPT,
                "people",
                rows_per_second=None,
                actor=ACTOR,
                limit=limit,
            )

    def test_a_used_key_is_rotated_before_the_job(self, mixed, people):
        (old,) = mixed.keys_of("standard")
        limit = STANDARD_COLUMNS * len(people) + 9
        with mixed.transaction() as tx:
            usage.reserve(tx, mixed.hierarchy, old["sys_id"], 10, limit=limit)
        job_id = self.start(mixed, limit)
        old, new = mixed.keys_of("standard")
        assert (old["state"], new["state"]) == ("deactivated", "active")
        mixed.move(job_id)
        assert set(mixed.count()["name"].by_key) == {new["sys_id"]}
        assert mixed.rows() == people
        assert [k["state"] for k in mixed.keys_of("equal")] == ["active"]

    def test_a_table_that_no_key_may_encrypt(self, mixed, people):
        before = mixed.everything()
        with pytest.raises(Conflict) as caught:
            self.start(mixed, STANDARD_COLUMNS * len(people) - 1)
        assert caught.value.code == "key.too_many"
        assert mixed.everything() == before


@pytest.mark.parametrize(("count", "rotates"), [(149, False), (150, True), (160, True)])
def test_near_the_limit_a_key_rotates_by_itself(site, count, rotates):
    for module in ("standard", "equal"):
        with site.transaction() as tx:
            key_id = site.keys_of(module)[0]["sys_id"]
            usage.reserve(tx, site.hierarchy, key_id, count, limit=160)
    needs = census.needs(site.database, site.hierarchy)
    with site.transaction() as tx:
        done = keys.apply_due(tx, site.hierarchy, needs, clock.now(), limit=160)
    assert [(one.module, one.action) for one in done] == [("global.standard", "rotate")] * rotates
    assert len(site.keys_of("standard")) == 1 + rotates
