"""External keys put to use, moved, rotated and given up: no key is lost, none is left behind."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.unit.conftest import ACTOR, PEOPLE
from tests.unit.external.conftest import Two
from tests.unit.external.vendor import Vendor

from keystead.access.people import create_user
from keystead.base.errors import Conflict, Denied, IllegalTransition, Invalid, Unavailable
from keystead.external import configurations, settling
from keystead.external.model import TRANSITIONS, Action, EkekState, State, next_state
from keystead.external.provider import Answer, Call
from keystead.external.tables import CONFIGURATIONS, EKEKS, STATUSES
from keystead.keys import service as keys
from keystead.keys.model import KeyState
from keystead.keys.tables import KEYS, MODULES

DARK = [Answer.DISABLED, Answer.PENDING_DELETION, Answer.MISSING, Answer.DENIED]
SILENT = [Answer.UNREACHABLE, Answer.THROTTLED, Answer.UNUSABLE]


@pytest.fixture
def two(rotated):
    """The rotated site: two keys of each module; nothing is under an external key yet."""
    found = Two(rotated.folder, Vendor(), Vendor())
    found.other.reference = "key 2"
    yield found
    found.close()


@pytest.fixture
def held(two):
    """Both modules under "kms"; "other" is active and wraps nothing."""
    for name in ("kms", "other"):
        two.draft(name)
        two.act(Action.ACTIVATE, name)
    two.wrap_all()
    two.vendor.calls.clear()
    return two


def unchanged(site: Two) -> dict[str, Any]:
    """The tables that an action which is refused leaves as they are."""
    with site.snapshot() as tx:
        tables = (CONFIGURATIONS, EKEKS, STATUSES, KEYS)
        held = {table.name: site.integrity.all(tx, table) for table in tables}
        return {**held, "modules": keys.all_modules(tx, site.hierarchy)}


class TestActivate:
    def refused(self, site: Two, family: type[Exception]) -> None:
        site.draft("kms")
        before = unchanged(site)
        with pytest.raises(family):
            site.act(Action.ACTIVATE)
        assert unchanged(site) == before

    @pytest.mark.parametrize("answer", DARK)
    def test_a_key_that_may_not_be_used(self, two, answer):
        two.vendor.state = answer
        self.refused(two, Denied)

    @pytest.mark.parametrize("call", Call)
    @pytest.mark.parametrize("answer", [*DARK, *SILENT])
    def test_a_call_that_is_refused(self, two, call, answer):
        two.vendor.answers[call] = answer
        self.refused(two, Unavailable if answer in SILENT else Denied)

    def test_a_key_of_an_unfit_kind(self, two):
        two.vendor.unfit = "it is a multi-Region key"
        self.refused(two, Invalid)

    def test_a_wrong_plaintext(self, two):
        two.vendor.spoiled = True
        self.refused(two, Denied)

    def test_an_old_ciphertext(self, two):
        two.draft("other")
        context = configurations.context(two.hierarchy, two.configuration("other")["sys_id"])
        provider = two.vendor.open_provider("file", {}, 1.0)
        two.vendor.old_wrapping = provider.wrap(b"an older one", context)
        self.refused(two, Denied)

    def test_a_ciphertext_of_older_bytes(self, two):
        two.vendor.rotate()
        two.vendor.wraps_with = 1
        self.refused(two, Denied)

    def test_it_is_tested_call_by_call(self, two):
        two.draft("kms")
        assert [one.failure for one in two.external.test("kms", ACTOR)] == [None] * 3
        for call in Call:
            two.vendor.answers = {call: Answer.DENIED}
            tried = two.external.test("kms", ACTOR)
            assert [one.call for one in tried if one.failure] == [call]
        assert two.ekeks() == []


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("action", Action)
def test_every_action_in_every_state(two, state, action):
    two.bring_to(state)
    before = unchanged(two)
    if (state, action) in TRANSITIONS:
        two.act(action)
        assert two.configuration()["state"] == TRANSITIONS[state, action]
        return
    with pytest.raises(IllegalTransition):
        next_state("kms", state, action)
    with pytest.raises(IllegalTransition):
        two.act(action)
    assert unchanged(two) == before


class TestWrap:
    def test_every_key_with_material_moves(self, two, monkeypatch):
        monkeypatch.setattr(settling, "_BATCH", 1)
        with two.transaction() as tx:
            keys.generate(tx, two.hierarchy, "standard", ACTOR, waiting=True)
            row = two.keys_of("equal")[1]
            keys.suspend(tx, two.hierarchy, row, ACTOR)
            keys.revoke(tx, two.hierarchy, two.keys_of("standard")[1], "it leaked", ACTOR)
        opened = self.opened(two)
        states = {row["state"] for row in two.all_keys()}
        assert {KeyState.GENERATED, KeyState.REVOKED, KeyState.SUSPENDED} <= states
        two.bring_to(State.ACTIVE)
        steps: list[tuple[int, int]] = []
        for module, count in (("standard", 4), ("equal", 2)):
            settled = two.external.wrap_module(
                module, "kms", ACTOR, lambda *step: steps.append(step)
            )
            assert (settled.moved, settled.left, settled.failure) == (count, 0, None)
        assert steps == [(n, 4) for n in (1, 2, 3, 4)] + [(1, 2), (2, 2)]
        assert self.opened(two) == opened
        assert {row["ekek_id"] for row in two.all_keys()} == {two.ekeks()[0]["sys_id"]}
        before = unchanged(two)
        assert two.external.wrap_module("standard", "kms", ACTOR).moved == 0
        assert unchanged(two) == before

    def test_values_stay_as_they_are_stored_and_new_keys_are_under_it(self, held):
        stored = held.stored()
        held.rotate()
        held.proven()
        assert held.stored() == stored
        assert {row["ekek_id"] for row in held.all_keys()} == {held.ekeks()[0]["sys_id"]}

    def test_from_one_provider_to_the_other(self, held):
        stored, opened = held.stored(), self.opened(held)
        held.wrap_all("other")
        held.proven()
        assert (held.stored(), self.opened(held)) == (stored, opened)
        assert {row["ekek_id"] for row in held.all_keys()} == {held.ekeks("other")[0]["sys_id"]}
        held.act(Action.RETIRE)
        assert held.ekeks() == []
        held.vendor.state = Answer.MISSING
        held.clock.now += 1000
        held.proven()

    @pytest.mark.parametrize("which", ["vendor", "other"])
    @pytest.mark.parametrize("answer", [*DARK, *SILENT])
    def test_one_of_them_is_dark(self, held, which, answer):
        held.clock.now += 1000
        getattr(held, which).answers[Call.UNWRAP] = answer
        before = unchanged(held)
        with pytest.raises(Unavailable if answer in SILENT else Denied):
            held.external.wrap_module("standard", "other", ACTOR)
        assert unchanged(held) == before
        getattr(held, which).answers.clear()
        held.clock.now += 1000
        held.wrap_all("other")
        held.proven()

    def test_one_that_goes_dark_half_way_keeps_its_keys_until_it_is_back(self, held, monkeypatch):
        monkeypatch.setattr(settling, "_BATCH", 1)

        def pull(done: int, _total: int) -> None:
            held.clock.now += 1000
            held.vendor.state = Answer.DISABLED

        settled = held.external.wrap_module("standard", "other", ACTOR, pull)
        assert (settled.moved, settled.left) == (1, len(held.keys_of("standard")) - 1)
        assert isinstance(settled.failure, Denied)
        held.vendor.state = Answer.ENABLED
        held.clock.now += 1000
        assert held.external.settle(ACTOR).left == 0
        held.proven()

    def test_one_dark_module_does_not_keep_another_from_being_settled(self, held):
        held.wrap_one("equal", "other")
        held.vendor.state = Answer.DISABLED
        held.clock.now += 1000
        with pytest.raises(Denied):
            held.external.rotate_ekek("kms", ACTOR)
        assert held.external.rotate_ekek("other", ACTOR).left == 0
        assert {row["ekek_id"] for row in held.keys_of("equal")} == {
            held.ekeks("other")[1]["sys_id"]
        }

    def test_nobody_waits_for_a_provider_to_write(self, held):
        """Another writes while a provider is asked, whatever is done."""
        held.clock.now += 1000
        asked = Vendor.asked
        wrote: list[int] = []

        def slow(vendor: Vendor, call: Call) -> None:
            with held.transaction() as tx:
                create_user(tx, held.integrity, f"u{len(wrote)}", [], ACTOR)
            wrote.append(len(wrote))
            asked(vendor, call)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Vendor, "asked", slow)
            held.external.wrap_module("standard", "other", ACTOR)
            held.clock.now += 1000
            held.external.rotate_ekek("other", ACTOR)
            held.clock.now += 1000
            held.external.rewrap("other", ACTOR)
            held.external.synchronise(ACTOR)
            held.clock.now += 1000
            held.external.settle(ACTOR)
        assert len(wrote) > 10
        held.proven()

    def opened(self, site: Two) -> dict[str, bytes]:
        from keystead.base.secret import REVEAL

        with site.snapshot() as tx:
            return {
                row["sys_id"]: site.hierarchy.unwrap_module_key(tx, row).reveal(REVEAL)
                for row in keys.all_keys(tx, site.hierarchy)
                if row["material"] is not None
            }


class TestRotateAndRewrap:
    def test_a_new_ekek_takes_every_key_and_the_old_one_is_gone(self, held):
        stored, (old,) = held.stored(), held.ekeks()
        assert held.external.rotate_ekek("kms", ACTOR).left == 0
        retired, new = held.ekeks()
        assert (retired["state"], retired["wrapped"]) == (EkekState.RETIRED, None)
        assert {row["ekek_id"] for row in held.all_keys()} == {new["sys_id"]}
        assert held.stored() == stored
        held.proven()
        self.is_gone(held, old["wrapped"])

    def test_rewrap_keeps_the_ekek_and_drops_the_old_wrapping(self, held):
        (old,), material = held.ekeks(), [row["material"] for row in held.all_keys()]
        held.vendor.rotate()
        assert held.external.rewrap("kms", ACTOR) == 1
        (new,) = held.ekeks()
        assert (new["sys_id"], new["version"]) == (old["sys_id"], old["version"])
        assert (old["material_id"], new["material_id"]) == ("1", "2")
        assert [row["material"] for row in held.all_keys()] == material
        held.vendor.versions[0] = held.vendor.versions[1]  # the old bytes are needed no more
        held.clock.now += 1000
        held.proven()
        self.is_gone(held, old["wrapped"])

    def test_a_rotation_outside_is_followed_once(self, held):
        (old,) = held.ekeks()
        held.vendor.rotate()
        found = {one.name: one.rewrapped for one in held.external.synchronise(ACTOR)}
        assert found == {"kms": True, "other": False}
        calls = len(held.vendor.calls)
        assert not any(one.rewrapped for one in held.external.synchronise(ACTOR))
        assert held.vendor.calls[calls:].count(Call.WRAP) == 0
        assert held.ekeks()[0]["material_id"] == "2"
        self.is_gone(held, old["wrapped"])

    @pytest.mark.parametrize("broken", ["spoiled", "old_wrapping", "denied", "older bytes"])
    def test_what_does_not_open_replaces_nothing(self, held, broken):
        (old,) = held.ekeks()
        held.vendor.rotate()
        match broken:
            case "spoiled":
                held.vendor.spoiled = True
            case "old_wrapping":
                held.vendor.old_wrapping = base64.b64decode(old["wrapped"])
            case "denied":
                held.vendor.answers[Call.WRAP] = Answer.DENIED
            case _:
                held.vendor.wraps_with = 1
        before = unchanged(held)
        for action in (Action.REWRAP, Action.ROTATE):
            with pytest.raises(Denied):
                held.act(action)
            assert unchanged(held) == before
        looked = {one.name: one for one in held.external.synchronise(ACTOR)}
        assert not looked["kms"].rewrapped
        assert held.ekeks() == [old]

    def test_an_ekek_that_a_key_names_is_not_retired(self, held, monkeypatch):
        (old,) = held.ekeks()
        with monkeypatch.context() as patch:
            patch.setattr(held.external, "settle", lambda *_arguments: None)
            held.external.rotate_ekek("kms", ACTOR)
        for _ in range(2):
            assert settling.retire_replaced(held.database, held.hierarchy, ACTOR) == 0
        replaced, _ = held.ekeks()
        assert (replaced["state"], replaced["wrapped"]) == (EkekState.REPLACED, old["wrapped"])
        held.clock.now += 1000
        assert [row[1] for row in held.rows()] == [person[1] for person in PEOPLE]
        held.external.settle(ACTOR)
        held.proven()

    def test_two_rotations_before_the_first_is_settled(self, held, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(held.external, "settle", lambda *_arguments: None)
            for _ in range(3):
                held.external.rotate_ekek("kms", ACTOR)
        held.external.settle(ACTOR)
        states = [row["state"] for row in held.ekeks()]
        assert states == [EkekState.RETIRED] * 3 + [EkekState.ACTIVE]
        held.proven()

    def is_gone(self, site: Two, wrapped: str) -> None:
        assert wrapped.encode() not in site.on_disk()


class TestConfigurations:
    def test_what_is_needed_is_not_given_up(self, held):
        with pytest.raises(Conflict):
            held.act(Action.RETIRE)
        held.wrap_one("standard", "other")
        with pytest.raises(Conflict):
            held.act(Action.RETIRE)
        held.wrap_one("equal", "other")
        held.act(Action.RETIRE)
        held.proven()

    def test_keys_that_are_still_to_be_moved_keep_it(self, held, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(held.external, "settle", lambda *_arguments: None)
            for module in ("standard", "equal"):
                held.external.wrap_module(module, "other", ACTOR)
        with pytest.raises(Conflict):
            held.act(Action.RETIRE)
        held.external.settle(ACTOR)
        held.act(Action.RETIRE)
        held.proven()

    def test_what_names_the_key_stays(self, held):
        row = held.configuration()
        with pytest.raises(Conflict), held.transaction() as tx:
            configurations.change(tx, held.hierarchy, row, ACTOR, {"path": "/elsewhere"})
        with held.transaction() as tx:
            configurations.change(tx, held.hierarchy, row, ACTOR, lease_seconds=10)
        held.proven()

    def test_another_key_in_its_place_is_refused(self, held):
        held.vendor.reference = "another key"
        for action in (Action.REWRAP, Action.ROTATE):
            with pytest.raises(Invalid):
                held.act(action)

    def test_a_destroyed_key_keeps_nothing_needed(self, held):
        old = held.keys_of("standard")[0]
        held.rekey()
        with held.transaction() as tx:
            row = keys.key(tx, held.hierarchy, old["sys_id"])
            held.hierarchy.integrity.update(
                tx, KEYS, row, "the key", material=None, ekek_id=None, state=KeyState.DESTROYED
            )
        held.wrap_all("other")
        held.act(Action.RETIRE)
        held.proven()


def test_neither_half_opens_an_ekek(held, tmp_path):
    """The root key opens the inner wrapping, and has it from the provider alone; nor he from us."""
    from keystead.base.errors import Tampered
    from keystead.base.secret import REVEAL, Secret
    from keystead.crypto import wrap as wrapping
    from keystead.external.provider import Refused

    (row,), configuration = held.ekeks(), held.configuration()
    configuration_id, wrapped = configuration["sys_id"], base64.b64decode(row["wrapped"])
    context = configurations.context(held.hierarchy, configuration_id)
    provider = held.vendor.open_provider("file", {}, 1.0)
    inner = provider.unwrap(wrapped, context).plain
    with held.snapshot() as tx:
        ekek = held.hierarchy.ekeks.open(tx, row["sys_id"]).reveal(REVEAL)

    # the provider sees no EKEK, and what it opens opens no key
    assert ekek not in inner
    key = held.keys_of("standard")[0]
    place = ("module key", held.hierarchy.instance_id, key["sys_id"], key["spec_id"])
    for candidate in (inner[:32], inner[-32:], inner[12:44], inner[-48:-16]):
        with pytest.raises(Tampered):
            wrapping.unwrap(Secret(candidate), base64.b64decode(key["material"]), *place)
    # the database and its opened root, without the provider's answer
    for blob in (wrapped, wrapped[1:], b"", inner[:-1]):
        with pytest.raises(Tampered):
            held.hierarchy.unwrap_ekek(configuration_id, row["sys_id"], blob)
    # a provider's answer for another configuration, another EKEK, another instance
    other_id = held.configuration("other")["sys_id"]
    for place_of in ((other_id, row["sys_id"]), (configuration_id, other_id)):
        with pytest.raises(Tampered):
            held.hierarchy.unwrap_ekek(*place_of, inner)
    for name, value in (
        ("keystead:instance", "f" * 32),
        ("keystead:configuration", other_id),
        ("more", "x"),
    ):
        with pytest.raises(Refused):
            provider.unwrap(wrapped, {**context, name: value})
    assert held.hierarchy.unwrap_ekek(configuration_id, row["sys_id"], inner).reveal(REVEAL) == ekek


@pytest.mark.parametrize("said", [{"unfit": "it can be read"}, {"reference": "another"}])
def test_nothing_follows_to_a_key_that_does_not_fit(held: Two, said: dict[str, str]) -> None:
    before = held.ekeks()
    held.vendor.rotate()
    vars(held.vendor).update(said)
    (found,) = [one for one in held.external.synchronise(ACTOR) if one.name == "kms"]
    assert not found.rewrapped
    assert found.failure
    assert held.ekeks() == before


def test_an_ekek_that_was_replaced_follows_a_rotation_outside(held: Two) -> None:
    with held.transaction() as tx:  # its keys wait for a provider that is away
        row, chosen = keys.module(tx, held.hierarchy, "standard"), held.configuration("other")
        held.integrity.update(tx, MODULES, row, "it", external_configuration=chosen["sys_id"])
    held.other.state = Answer.UNREACHABLE
    held.vendor.rotate()
    assert held.external.rotate_ekek("kms", ACTOR).left == 2
    assert {ekek["material_id"] for ekek in held.ekeks()} == {"1", "2"}
    held.external.synchronise(ACTOR)
    assert {ekek["material_id"] for ekek in held.ekeks()} == {"2"}


# --- rotations that are owed ---------------------------------------------------------------------


def _rotate_all(site: Two) -> keys.Rotated:
    with site.transaction() as tx:
        return keys.rotate_all(tx, site.hierarchy, ACTOR)


def _key_to_encrypt_with(site: Two, spec_id: str) -> dict[str, Any]:
    with site.transaction() as tx:
        return keys.encrypting_key(tx, site.hierarchy, spec_id, ACTOR)


def test_a_rotation_that_is_owed_comes_before_anything_is_encrypted(held: Two) -> None:
    two, old = held, held.keys_of("standard")[-1]
    two.vendor.state = Answer.DISABLED
    two.clock.now += 61
    assert _rotate_all(two).owed == 2
    with pytest.raises(Denied):
        _key_to_encrypt_with(two, old["spec_id"])
    two.vendor.state = Answer.ENABLED
    two.clock.now += 61
    new = _key_to_encrypt_with(two, old["spec_id"])
    assert new["sys_id"] != old["sys_id"]
    assert _key_to_encrypt_with(two, old["spec_id"]) == new


def test_a_waiting_key_that_is_dark_makes_a_rotation_owed(held: Two) -> None:
    two = held
    with two.transaction() as tx:
        keys.generate(tx, two.hierarchy, "standard", ACTOR, waiting=True)
    with two.transaction() as tx:  # as a move leaves it that was killed at once
        row, chosen = keys.module(tx, two.hierarchy, "standard"), two.configuration("other")
        two.integrity.update(tx, MODULES, row, "it", external_configuration=chosen["sys_id"])
    two.vendor.state = Answer.DISABLED
    two.clock.now += 61
    assert _rotate_all(two).owed == 2
