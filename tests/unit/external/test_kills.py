"""`kill -9` at every call to a provider and on each side of every commit; then it is settled."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.unit.conftest import ACTOR, PEOPLE
from tests.unit.external.conftest import Two
from tests.unit.external.vendor import Vendor

from keystead.external import settling
from keystead.external.model import Action, EkekState, State
from keystead.external.provider import Call
from keystead.external.tables import EKEKS
from keystead.instance import external_watch

Act = Callable[[Two], object]


def look(site: Two) -> external_watch.Looked:
    return external_watch.look(site.database, site.hierarchy, site.external, ACTOR)


def both(site: Two) -> None:
    for name in ("kms", "other"):
        site.draft(name)
        site.act(Action.ACTIVATE, name)
    site.wrap_one("standard", "kms")


def unsettled(site: Two) -> None:
    """The module wants another provider, whose EKEK was rotated as well."""
    both(site)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site.external, "settle", lambda *_arguments: None)
        site.external.wrap_module("standard", "other", ACTOR)
        site.external.rotate_ekek("other", ACTOR)


ACTS: dict[str, tuple[Act, Act]] = {
    # what is done before, and what is killed
    "activate": (lambda s: s.draft("kms"), lambda s: s.act(Action.ACTIVATE)),
    "wrap": (lambda s: s.bring_to(State.ACTIVE), lambda s: s.wrap_one("standard", "kms")),
    "move": (both, lambda s: s.wrap_one("standard", "other")),
    "rotate": (both, lambda s: s.external.rotate_ekek("kms", ACTOR)),
    "rewrap": (lambda s: (both(s), s.vendor.rotate()), lambda s: s.act(Action.REWRAP)),
    "look": (lambda s: (both(s), s.vendor.rotate()), look),
    "settle": (unsettled, lambda s: s.external.settle(ACTOR)),
}


def killed_at(number: int, site: Callable[[], Two], act: Act) -> bool:
    """Whether the so-manyth event came, in a process of its own that was killed at it."""
    child = os.fork()
    if child == 0:  # pragma: no cover - it never returns
        seen = 0

        def happened() -> None:
            nonlocal seen
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            opened = site()
            commit, asked = Connection._commit_impl, Vendor.asked

            def watched_commit(connection: Connection) -> None:
                happened()
                commit(connection)
                happened()

            def watched_call(vendor: Vendor, call: Call) -> None:
                happened()
                asked(vendor, call)
                happened()

            Connection._commit_impl = watched_commit  # type: ignore[method-assign]
            Vendor.asked = watched_call  # type: ignore[method-assign]
            act(opened)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.mark.parametrize("name", ACTS)
def test_killed_at_every_step(templates, tmp_path, monkeypatch, name):
    monkeypatch.setattr(settling, "_BATCH", 1)
    before, act = ACTS[name]
    vendors = Vendor(), Vendor()
    vendors[1].reference = "key 2"

    def opened(folder: Path) -> Two:
        return Two(folder, *vendors)

    templates.copy("sealed", tmp_path / "home").close()
    prepared = opened(tmp_path / "home")
    before(prepared)
    prepared.instance.close()
    events = 0
    while True:
        folder = tmp_path / f"killed-{events}"
        shutil.copytree(tmp_path / "home", folder)
        was_killed = killed_at(events + 1, partial(opened, folder), act)
        site = opened(folder)
        clear = [row[1] for row in site.rows()]
        assert clear == [person[1] for person in PEOPLE]
        site.external.settle(ACTOR)
        if name == "activate" and site.configuration()["state"] == State.DRAFT:
            assert site.ekeks() == []
        act_again(site, name, act)
        site.proven()
        with site.snapshot() as tx:
            rows = site.integrity.all(tx, EKEKS)
        assert EkekState.REPLACED not in {row["state"] for row in rows}
        site.close()
        shutil.rmtree(folder)
        if not was_killed:
            break
        events += 1
    assert events >= 6, events


def act_again(site: Two, name: str, act: Act) -> None:
    """What was asked for is done when it is run again, if it was not."""
    if name != "activate" or site.configuration()["state"] == State.DRAFT:
        act(site)
