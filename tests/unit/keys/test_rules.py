"""Life-cycle rules: their dates, their caps, and what is done when it is due."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.base import clock
from keystead.base.errors import Conflict, Invalid, NotFound, Tampered
from keystead.fields import census
from keystead.jobs.model import JobKind
from keystead.keys import rules, schedule
from keystead.keys import service as keys
from keystead.keys.model import Origin
from keystead.keys.rule_model import (
    Base,
    Date,
    Direction,
    Duration,
    Rule,
    Unit,
    dates,
    duration,
    shift,
)
from keystead.keys.tables import KEYS

ACTOR = "test"
AFTER, BEFORE = Direction.AFTER, Direction.BEFORE


def day(text: str) -> str:
    return f"{text}T00:00:00.000000Z"


def rule(
    date: Date,
    length: str = "1y",
    base: Base = Base.ACTIVATED,
    direction: Direction = AFTER,
    order: int = 1,
) -> Rule:
    return Rule(date, order, None, duration(length), direction, base)


class TestCalendar:
    @pytest.mark.parametrize(
        ("start", "length", "direction", "end"),
        [
            ("2025-01-31", "1m", AFTER, "2025-02-28"),
            ("2024-01-31", "1m", AFTER, "2024-02-29"),
            ("2024-02-29", "1y", AFTER, "2025-02-28"),
            ("2024-02-29", "4y", AFTER, "2028-02-29"),
            ("2025-03-31", "1m", BEFORE, "2025-02-28"),
            ("2025-01-15", "1m", BEFORE, "2024-12-15"),
            ("2025-12-31", "2m", AFTER, "2026-02-28"),
            ("2025-10-31", "13m", AFTER, "2026-11-30"),
            ("2025-01-01", "31d", AFTER, "2025-02-01"),
            ("2025-03-01", "1d", BEFORE, "2025-02-28"),
        ],
    )
    def test_months_clamp(self, start, length, direction, end):
        moved = shift(clock.parse(day(start)), duration(length), direction)
        assert clock.text_of(moved) == day(end)

    @given(
        st.datetimes(timezones=st.just(UTC)).filter(lambda moment: moment.year < 9000),
        st.integers(1, 1200),
    )
    def test_years_are_twelve_months_and_the_day_moves_back_at_most_three(self, moment, amount):
        months = shift(moment, Duration(12 * amount % 1200 + 12, Unit.MONTHS), AFTER)
        years = shift(moment, Duration((12 * amount % 1200 + 12) // 12, Unit.YEARS), AFTER)
        assert months == years
        one = shift(moment, Duration(amount, Unit.MONTHS), AFTER)
        assert 0 <= moment.day - one.day <= 3
        assert (one.year * 12 + one.month) - (moment.year * 12 + moment.month) == amount
        assert one.time() == moment.time()

    @pytest.mark.parametrize(
        "text", ["", "y", "1", "0d", "-1d", "1w", "1 d", "36501d", "1d\n", "٣d"]
    )
    def test_what_is_no_duration(self, text):
        with pytest.raises(Invalid):
            duration(text)

    @given(st.integers(1, 36_500), st.sampled_from("ymd"))
    def test_a_duration_reads_as_it_is_written(self, amount, unit):
        assert str(duration(f"{amount}{unit}")) == f"{amount}{unit}"

    @pytest.mark.parametrize("direction", Direction)
    def test_outside_the_calendar(self, direction):
        with pytest.raises(Invalid) as caught:
            shift(clock.parse(day("2025-01-01")), duration("9999y"), direction)
        assert caught.value.code == "rule.too_far"


class TestRule:
    def test_forms(self):
        for wrong in (
            (None, None, None, None),
            (None, duration("1y"), AFTER, None),
            (day("2030-01-01"), duration("1y"), AFTER, Base.ACTIVATED),
            (day("2030-01-01"), None, AFTER, None),
        ):
            with pytest.raises(Invalid) as caught:
                Rule(Date.EXPIRATION, 1, *wrong)
            assert caught.value.code == "rule.form"

    @pytest.mark.parametrize("date", Date)
    def test_nothing_waits_for_itself(self, date):
        order = list(Date)
        for base in Base:
            circle = base.value in order and order.index(Date(base.value)) >= order.index(date)
            if circle:
                with pytest.raises(Invalid) as caught:
                    rule(date, base=base)
                assert caught.value.code == "rule.circle"
            else:
                rule(date, base=base)

    def row(self, **given_dates: str) -> dict[str, Any]:
        return {**dict.fromkeys(c.name for c in KEYS.columns), **given_dates}

    def test_the_first_that_gives_a_date_decides(self):
        found = dates(
            [
                rule(Date.EXPIRATION, "5y", order=9),
                rule(Date.EXPIRATION, "1y", Base.ROTATED, order=1),
                rule(Date.EXPIRATION, "2y", order=3),
                rule(Date.ROTATION, "30d", Base.EXPIRATION, BEFORE),
                Rule(Date.DESTRUCTION, 1, day("2040-01-01")),
            ],
            self.row(activated_at=day("2025-01-31")),
        )
        assert found == {
            "activate_at": None,
            "expires_at": day("2027-01-31"),
            "renew_at": None,
            "rotate_at": day("2027-01-01"),
            "destroy_at": day("2040-01-01"),
        }

    def test_a_renewed_key_keeps_the_expiry_of_its_renewal(self):
        row = self.row(
            activated_at=day("2025-01-01"),
            renewed_at=day("2025-06-01"),
            expires_at=day("2028-01-01"),
        )
        assert dates([rule(Date.EXPIRATION)], row)["expires_at"] == day("2028-01-01")


class Site:
    """A site whose rules are applied at moments of the future."""

    def __init__(self, site: Any) -> None:
        self.site = site

    def add(self, *added: Rule, module: str = "standard") -> None:
        for one in added:
            with self.site.transaction() as tx:
                rules.add_rule(tx, self.site.hierarchy, module, one, ACTOR)

    def apply(self, now: str, **more: Any) -> list[tuple[str, str | None]]:
        needs = census.needs(self.site.database, self.site.hierarchy)
        with self.site.transaction() as tx:
            done = keys.apply_due(tx, self.site.hierarchy, needs, now, **more)
        return [(one.action, one.held_back) for one in done if one.module == "global.standard"]

    def states(self) -> list[str]:
        return [key["state"] for key in self.site.keys_of("standard")]

    def in_years(self, years: int) -> str:
        return clock.text_of(shift(clock.parse(clock.now()), Duration(years, Unit.YEARS), AFTER))


@pytest.fixture
def ruled(site) -> Site:
    return Site(site)


class TestApplying:
    def test_without_rules_nothing_happens(self, ruled):
        before = ruled.site.everything()
        assert ruled.apply(ruled.in_years(100)) == []
        assert ruled.site.everything() == before

    def test_before_it_is_due_only_dates_are_written(self, ruled):
        ruled.add(rule(Date.EXPIRATION), rule(Date.ROTATION, "10m"))
        assert ruled.apply(clock.now()) == []
        (key,) = ruled.site.keys_of("standard")
        wanted = shift(clock.parse(key["activated_at"]), duration("10m"), AFTER)
        assert key["rotate_at"] == clock.text_of(wanted)
        before = ruled.site.everything()
        assert ruled.apply(clock.now()) == []
        assert ruled.site.everything() == before

    def test_a_whole_life(self, sealed, people):
        ruled = Site(sealed)
        ruled.add(rule(Date.ROTATION, "1y"), rule(Date.DESTRUCTION, "30d", Base.DEACTIVATED))
        in_a_year = ruled.in_years(1)
        assert ruled.apply(in_a_year) == [("rotate", None)]
        old, new = sealed.keys_of("standard")
        assert (old["state"], new["state"]) == ("deactivated", "active")
        assert old["deactivated_at"] == old["rotated_at"] == new["activated_at"] == in_a_year
        # once is once
        assert ruled.apply(in_a_year) == []
        later = clock.text_of(shift(clock.parse(in_a_year), duration("31d"), AFTER))
        assert ruled.apply(later) == [("destroy", "key.needed")]
        assert sealed.rows() == people
        sealed.rekey()
        # the census is asked once an hour, not every minute
        assert ruled.apply(later) == []
        later = clock.text_of(clock.parse(later) + schedule.NEEDED_PAUSE)
        assert ruled.apply(later) == [("destroy", None)]
        assert ruled.states() == ["destroyed", "active"]
        assert sealed.rows() == people

    def test_renewing_before_the_expiry_goes_on_and_on(self, ruled):
        ruled.add(rule(Date.EXPIRATION), rule(Date.RENEWAL, "1m", Base.EXPIRATION, BEFORE))
        ruled.apply(clock.now())
        # each renewal counts from the activation, so each gives twice the time of the one before
        for year in (1, 2, 4, 8):
            assert ruled.apply(ruled.in_years(year)) == [("renew", None)]
            assert ruled.apply(ruled.in_years(year)) == []
        (key,) = ruled.site.keys_of("standard")
        assert key["state"] == "renewed"
        assert key["expires_at"] > ruled.in_years(15)

    def test_an_expired_key_is_replaced_by_none(self, ruled):
        ruled.add(rule(Date.EXPIRATION))
        assert ruled.apply(ruled.in_years(1)) == [("expire", None)]
        assert ruled.states() == ["deactivated"]

    def test_a_suspended_key_does_not_expire(self, ruled):
        ruled.add(rule(Date.EXPIRATION))
        with ruled.site.transaction() as tx:
            (key,) = ruled.site.keys_of("standard")
            keys.suspend(tx, ruled.site.hierarchy, key, ACTOR)
        assert ruled.apply(ruled.in_years(5)) == []
        assert ruled.states() == ["suspended"]

    def test_a_waiting_key_becomes_active_when_no_other_is(self, ruled):
        with ruled.site.transaction() as tx:
            keys.generate(tx, ruled.site.hierarchy, "standard", ACTOR, waiting=True)
        ruled.add(rule(Date.ACTIVATION, "1y", Base.GENERATED), rule(Date.EXPIRATION, "18m"))
        assert ruled.apply(ruled.in_years(1)) == [("activate", "key.active_exists")]
        assert ruled.apply(ruled.in_years(2)) == [("expire", None), ("activate", None)]
        assert ruled.states() == ["deactivated", "active"]

    def test_rotating_by_rule_takes_the_key_that_waits(self, ruled):
        with ruled.site.transaction() as tx:
            keys.generate(tx, ruled.site.hierarchy, "standard", ACTOR, waiting=True)
        ruled.add(rule(Date.ROTATION))
        assert ruled.apply(ruled.in_years(1)) == [("rotate", None)]
        assert ruled.states() == ["deactivated", "active"]

    def test_a_customer_supplied_key_is_not_replaced_by_one_of_ours(self, ruled):
        (key,) = ruled.site.keys_of("standard")
        with ruled.site.transaction() as tx:
            ruled.site.integrity.update(tx, KEYS, key, "the key", origin=Origin.SUPPLIED)
        ruled.add(rule(Date.ROTATION))
        assert ruled.apply(ruled.in_years(1)) == [("rotate", "key.supply")]
        assert ruled.states() == ["active"]

    @pytest.mark.parametrize(
        "one",
        [
            rule(Date.ROTATION, "2y", Base.EXPIRATION, BEFORE),
            Rule(Date.ROTATION, 1, clock.after(3600)),
        ],
        ids=["before it began", "absolute"],
    )
    def test_a_date_that_was_over_when_the_key_began_rotates_nothing(self, ruled, one):
        ruled.add(rule(Date.EXPIRATION, "1y"), one)
        moment = clock.after(7200)
        first = ruled.apply(moment)
        assert first == ([] if one.at is None else [("rotate", None)])
        assert ruled.apply(moment) == []

    def test_while_a_job_counts_on_the_key_it_is_held_back(self, sealed):
        ruled = Site(sealed)
        ruled.add(rule(Date.ROTATION))
        sealed.start(JobKind.REKEY)
        assert ruled.apply(ruled.in_years(1)) == [("rotate", "job.busy")]
        assert ruled.states() == ["active"]

    def test_a_rule_that_was_changed_is_refused(self, ruled):
        ruled.add(rule(Date.DESTRUCTION))
        ruled.site.sql("UPDATE keystead_key_rule SET amount = 2")
        with pytest.raises(Tampered):
            ruled.apply(clock.now())

    def test_a_removed_rule_takes_its_date_back(self, ruled):
        ruled.add(rule(Date.EXPIRATION))
        ruled.apply(clock.now())
        (key,) = ruled.site.keys_of("standard")
        assert key["expires_at"] is not None
        with ruled.site.transaction() as tx:
            (row,) = rules.rule_rows(tx, ruled.site.hierarchy, key["spec_id"])
            rules.remove_rule(tx, ruled.site.hierarchy, row["sys_id"], ACTOR)
            with pytest.raises(NotFound):
                rules.remove_rule(tx, ruled.site.hierarchy, row["sys_id"], ACTOR)
        assert ruled.apply(ruled.in_years(9)) == []
        assert ruled.site.keys_of("standard")[0]["expires_at"] is None


class TestCaps:
    def cap(self, ruled: Site, date: Date, most: str | None, name: str | None = None) -> None:
        with ruled.site.transaction() as tx:
            rules.set_cap(
                tx,
                ruled.site.hierarchy,
                date,
                duration(most) if most else None,
                ACTOR,
                name=name,
            )

    def refused(self, ruled: Site, one: Rule) -> None:
        before = ruled.site.everything()
        with pytest.raises(Conflict) as caught:
            ruled.add(one)
        assert caught.value.code == "rule.beyond"
        assert ruled.site.everything() == before

    def test_a_rule_beyond_is_refused_and_an_exception_permits_it(self, ruled):
        self.cap(ruled, Date.EXPIRATION, "2y")
        self.refused(ruled, rule(Date.EXPIRATION, "25m"))
        self.refused(ruled, Rule(Date.EXPIRATION, 1, ruled.in_years(3)))
        ruled.add(rule(Date.EXPIRATION, "24m"))
        ruled.add(rule(Date.ROTATION, "3y"))
        self.cap(ruled, Date.EXPIRATION, "5y", "equal")
        ruled.add(rule(Date.EXPIRATION, "5y"), module="equal")
        with pytest.raises(Conflict):
            ruled.add(rule(Date.EXPIRATION, "5y", order=2))

    def test_an_exception_may_be_stricter(self, ruled):
        self.cap(ruled, Date.EXPIRATION, "2y")
        self.cap(ruled, Date.EXPIRATION, "1y", "standard")
        self.refused(ruled, rule(Date.EXPIRATION, "2y"))

    def test_a_rule_that_counts_from_another_one(self, ruled):
        self.cap(ruled, Date.ROTATION, "1y")
        ruled.add(rule(Date.EXPIRATION, "3y"))
        self.refused(ruled, rule(Date.ROTATION, "1y", Base.EXPIRATION, BEFORE))
        ruled.add(rule(Date.ROTATION, "2y", Base.EXPIRATION, BEFORE))
        # a rule of its own date may not carry the other one beyond
        with ruled.site.transaction() as tx:
            (key,) = ruled.site.keys_of("standard")
            (row, _) = rules.rule_rows(tx, ruled.site.hierarchy, key["spec_id"])
            rules.remove_rule(tx, ruled.site.hierarchy, row["sys_id"], ACTOR)
        self.refused(ruled, rule(Date.EXPIRATION, "4y"))

    def test_a_cap_below_a_rule_that_is_there(self, ruled):
        ruled.add(rule(Date.EXPIRATION, "2y"))
        before = ruled.site.everything()
        with pytest.raises(Conflict):
            self.cap(ruled, Date.EXPIRATION, "1y")
        assert ruled.site.everything() == before

    def test_a_cap_that_was_changed_is_refused(self, ruled):
        self.cap(ruled, Date.EXPIRATION, "1y")
        ruled.site.sql("UPDATE keystead_key_rule_cap SET amount = 9")
        with pytest.raises(Tampered):
            ruled.add(rule(Date.EXPIRATION, "2y"))

    def test_places_and_dates_that_are_refused(self, ruled):
        ruled.add(rule(Date.EXPIRATION, "2y"))
        with pytest.raises(Conflict) as caught:
            ruled.add(rule(Date.EXPIRATION, "1y"))
        assert caught.value.code == "rule.place"
        with pytest.raises(Invalid) as past:
            ruled.add(Rule(Date.ROTATION, 1, clock.after(-1)))
        assert past.value.code == "rule.past"
