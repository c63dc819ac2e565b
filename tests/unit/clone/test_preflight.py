"""Which modules may go along with a clone, by their external keys on both sides."""

from __future__ import annotations

from itertools import product

import pytest
from exchange.pairs import ACTOR, Network, Node
from exchange.watched import NAME, Watched
from tests.unit.external.vendor import Vendor

from keystead.base.errors import Conflict, KeysteadError
from keystead.clone import plan, preflight, source
from keystead.clone.model import KeyOption, State
from keystead.clone.preflight import MATRIX, Ours, Theirs
from keystead.external import configurations
from keystead.external.provider import Answer
from keystead.jobs import service as jobs
from keystead.keys import service as keys
from keystead.keys.tables import KEYS, MODULES

from .test_clone import Case, assert_nothing_in_place

SENT = (KeyOption.EXCHANGE, KeyOption.EXCHANGE_AND_REKEY)
INTERNAL = (Ours.ABSENT, Ours.INTERNAL)
EXTERNAL = (Ours.ENABLED, Ours.DARK, Ours.MOVING)


def test_the_matrix_says_something_of_each_case_that_can_be():
    for option, ours, theirs in product(KeyOption, Ours, Theirs):
        can_be = ours in EXTERNAL or theirs not in (Theirs.ENABLED, Theirs.DARK)
        assert ((option, ours, theirs) in MATRIX) == can_be


@pytest.mark.parametrize("option", SENT)
def test_keys_go_along_only_to_the_same_key_enabled_on_both_sides(option):
    allowed = {case for case, reason in MATRIX.items() if reason is None and case[0] is option}
    assert allowed == {
        (option, Ours.ABSENT, Theirs.UNKNOWN),
        (option, Ours.ABSENT, Theirs.NONE),
        *((option, Ours.INTERNAL, theirs) for theirs in list(Theirs)[:3]),
        (option, Ours.ENABLED, Theirs.ENABLED),
    }


def test_withheld_keys_ask_only_for_a_target_that_can_make_its_own():
    blocked = {case[1:] for case, why in MATRIX.items() if why and case[0] is KeyOption.WITHHELD}
    assert blocked == set(product(EXTERNAL, (Theirs.UNKNOWN, Theirs.DARK)))


class Sides:
    """Both sides of a clone, each with an external key or without."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.watched: list[Watched] = []

    def here(self, vendor: Vendor) -> Watched:
        return self._watch(self.net.prod, vendor)

    def there(self, vendor: Vendor) -> Watched:
        return self._watch(self.net.test, vendor)

    def _watch(self, node: Node, vendor: Vendor) -> Watched:
        self.watched.append(Watched(node, vendor))
        return self.watched[-1]

    def told(self) -> preflight.Told:
        return source.ask(self.net.channel(self.net.prod), self.net.prod.peer(self.net.test))

    def cases(self, option: KeyOption = KeyOption.EXCHANGE) -> dict[str, tuple[Ours, Theirs]]:
        told, node = self.told(), self.net.prod
        with node.db.snapshot() as tx:
            found = preflight.cases(tx, node.hierarchy, option, told)
        return {case.module.removeprefix("global."): (case.ours, case.theirs) for case in found}

    def plan(self, option: KeyOption = KeyOption.EXCHANGE) -> plan.Plan:
        node = self.net.prod
        made = source.make_plan(
            node.db, node.hierarchy, self.net.channel(node), self.net.test.id, option, ACTOR
        )
        return plan.content(made)

    def refused(self, reason: str, option: KeyOption = KeyOption.EXCHANGE) -> None:
        before = self.net.prod.rows("keystead_clone")
        with pytest.raises(Conflict, match=reason) as caught:
            self.plan(option)
        assert caught.value.code == "clone.refused"
        assert self.net.prod.rows("keystead_clone") == before


@pytest.fixture
def sides(net):
    found = Sides(net)
    yield found
    for one in found.watched:
        one.end()


def test_without_external_keys_nothing_is_in_the_way(sides):
    assert set(sides.cases().values()) == {(Ours.ABSENT, Theirs.NONE)}
    assert {case["blocked"] for case in sides.plan()["external"]} == {None}


def test_the_same_key_on_both_sides_goes_along(sides):
    vendor = Vendor()
    here = sides.here(vendor)
    here.configure()
    here.wrap("people")
    sides.there(vendor).configure("elsewhere")
    assert sides.cases() == {
        "people": (Ours.ENABLED, Theirs.ENABLED),
        "names": (Ours.INTERNAL, Theirs.OTHER),
        "spare": (Ours.INTERNAL, Theirs.OTHER),
    }
    shown = {case["module"]: case for case in sides.plan()["external"]}
    assert shown["global.people"] == {
        "module": "global.people",
        "here": "external, enabled",
        "target": "the same, enabled",
        "blocked": None,
    }


def test_a_target_without_external_keys_is_refused(sides):
    here = sides.here(Vendor())
    here.configure()
    here.wrap("people")
    sides.refused("would escape this one")
    assert sides.plan(KeyOption.WITHHELD)["keys"] == "withheld"


def test_a_target_with_another_key_is_refused(sides):
    here = sides.here(Vendor())
    here.configure()
    here.wrap("people")
    sides.there(Vendor(reference="key 2")).configure()
    sides.refused("has other external keys than this one")


def test_a_target_with_external_keys_is_refused_what_has_none(sides):
    sides.there(Vendor()).configure()
    sides.refused("this instance has none")


def test_a_target_of_an_older_release_is_refused(sides):
    here = sides.here(Vendor())
    here.configure()
    here.wrap("people")
    sides.net.test.answer_with("clone.preflight", {"state": "ready"})
    sides.refused("knows no external keys")
    sides.refused("knows no external keys", KeyOption.WITHHELD)


def test_what_is_in_no_known_form_says_nothing():
    for answer in (None, 1, [1], [{"reference": "key 1"}], "key 1"):
        assert preflight.told(answer) == preflight.SILENT
    told = preflight.told([{"reference": "key 1", "enabled": "yes"}])
    assert told.of("key 1") is Theirs.DARK


@pytest.mark.parametrize("answer", [Answer.DISABLED, Answer.PENDING_DELETION, Answer.UNREACHABLE])
def test_a_key_that_is_dark_here_is_refused(sides, answer):
    vendor = Vendor()
    here = sides.here(vendor)
    here.configure()
    here.wrap("people")
    sides.there(vendor).configure()
    vendor.state = answer
    here.lapse()
    sides.refused("may not be used here now")


def test_a_key_that_is_dark_there_is_refused(sides):
    vendor, away = Vendor(), Vendor()
    here = sides.here(vendor)
    here.configure()
    here.wrap("people")
    there = sides.there(away)
    there.configure()
    away.state = Answer.DISABLED
    there.lapse()
    sides.refused("may not be used at the target now")
    sides.refused("may not be used at the target now", KeyOption.WITHHELD)


def test_a_key_revoked_at_the_target_is_refused(sides):
    vendor = Vendor()
    here, there = sides.here(vendor), sides.there(vendor)
    here.configure()
    here.wrap("people")
    there.configure()
    node = there.node
    with node.db.transaction() as tx:
        row = configurations.named(tx, node.hierarchy, NAME)
        configurations.revoke(tx, node.hierarchy, row, "a drill", ACTOR)
    sides.refused("may not be used at the target now")


def test_keys_that_are_still_moving_are_refused(sides):
    vendor = Vendor()
    here = sides.here(vendor)
    configuration_id = here.configure()
    sides.there(vendor).configure()
    node = here.node
    with node.db.transaction() as tx:
        # as a process leaves it that was killed after the choice
        row = keys.module(tx, node.hierarchy, "people")
        node.hierarchy.integrity.update(
            tx, MODULES, row, "people", external_configuration=configuration_id
        )
    assert sides.cases()["people"] == (Ours.MOVING, Theirs.ENABLED)
    sides.refused("not all under the external key")
    here.keys.settle(ACTOR)
    assert sides.cases()["people"] == (Ours.ENABLED, Theirs.ENABLED)


# --- a clone that is run -------------------------------------------------------------------------


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


def planned(net: Network, option: KeyOption = KeyOption.EXCHANGE) -> Case:
    """A clone of `prod` into `test`, planned after the target was asked."""
    made = Case.__new__(Case)
    made.net, made.option, made.source, made.target = net, option, net.prod, net.test
    made.channel = net.channel(made.source)
    made.clone = source.make_plan(
        made.source.db, made.source.hierarchy, made.channel, made.target.id, option, ACTOR
    )
    made.channel.sent.clear()
    return made


@pytest.fixture
def both(sides, vendor):
    """A planned clone; `people` is under an external key that both sides may use."""
    here, there = sides.here(vendor), sides.there(vendor)
    here.configure()
    here.wrap("people")
    there.configure()
    return planned(sides.net), here, there


def modules_of(node: Node) -> dict[str, str | None]:
    rows = node.sql("SELECT name, external_configuration FROM sys_kmf_crypto_module")
    return {name.removeprefix("global."): chosen for name, chosen in rows}


def test_a_module_comes_under_the_targets_own_configuration(both):
    case, here, there = both
    case.run()
    (own,) = there.node.sql("SELECT sys_id FROM keystead_external_configuration")
    (other,) = here.node.sql("SELECT sys_id FROM keystead_external_configuration")
    assert modules_of(case.target) == {"people": own[0], "names": None, "spare": None}
    assert own != other
    case.fetch_keys()
    case.assert_in_place()
    rows = {row["sys_id"]: row for row in case.target.key_rows()}
    people = {row["spec_id"] for row in case.source.key_rows() if row["ekek_id"]}
    assert {row["ekek_id"] is not None for row in rows.values() if row["spec_id"] in people} == {
        True
    }
    assert not any(row["ekek_id"] for row in rows.values() if row["spec_id"] not in people)


def test_withheld_keys_leave_no_module_under_a_configuration_that_is_not_there(sides):
    here = sides.here(Vendor())
    here.configure()
    here.wrap("people")
    case = planned(sides.net, KeyOption.WITHHELD)
    case.run()
    assert set(modules_of(case.target).values()) == {None}


def test_a_key_that_went_dark_since_the_plan_blocks_the_run_and_not_the_next(both, vendor):
    case, here, there = both
    vendor.state = Answer.DISABLED
    here.lapse()
    there.lapse()
    case.refuse_run(Conflict, "clone.refused")
    vendor.state = Answer.ENABLED
    here.lapse()
    there.lapse()
    case.run()
    case.fetch_keys()
    case.assert_in_place()


def test_a_target_that_lost_its_configuration_puts_nothing_in_place(both):
    case, _here, there = both

    def retire(purpose: str) -> None:
        if purpose == "clone.commit":
            node = there.node
            with node.db.transaction() as tx:
                row = configurations.named(tx, node.hierarchy, NAME)
                configurations.retire(tx, node.hierarchy, row, ACTOR)

    case.channel.before = retire
    case.refuse_run(Conflict, "peer.refused")


def test_a_key_that_goes_dark_at_the_commit_puts_nothing_in_place(both, vendor):
    case, here, there = both

    def darken(purpose: str) -> None:
        if purpose == "clone.commit":
            vendor.state = Answer.DISABLED
            there.lapse()

    case.channel.before = darken
    with pytest.raises(KeysteadError) as caught:
        case.run()
    assert caught.value.code == "peer.refused"
    assert_nothing_in_place(case.target)
    case.channel.before = lambda _purpose: None
    vendor.state = Answer.ENABLED
    here.lapse()
    there.lapse()
    case.run()
    case.fetch_keys()
    case.assert_in_place()
    assert case.state(case.source) == State.COMMITTED


def test_a_key_that_goes_dark_before_the_keys_travel_lets_them_travel_later(both, vendor):
    case, here, there = both
    case.run()
    for side in (here, there):
        vendor.state = Answer.DISABLED
        side.lapse()
        before = case.target.rows(KEYS.name)
        with pytest.raises(KeysteadError) as caught:
            case.fetch_keys()
        assert caught.value.code in ("peer.refused", "external.dark")
        assert case.target.rows(KEYS.name) == before
        ((job_id,),) = case.target.sql(
            "SELECT sys_id FROM keystead_job WHERE kind = 'key exchange'"
        )
        with case.target.db.transaction() as tx:
            assert jobs.get(tx, job_id)["state"] == "failed"
            jobs.resume(tx, job_id, ACTOR)
        vendor.state = Answer.ENABLED
        here.lapse()
        there.lapse()
    assert case.fetch_keys()["status"] == "Exchange Complete"
