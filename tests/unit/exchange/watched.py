"""Instances of a network whose modules are under external keys of vendors in memory."""

from __future__ import annotations

from tests.unit.external.conftest import Clock
from tests.unit.external.vendor import Vendor

from keystead.external import configurations
from keystead.external.leases import Leases
from keystead.external.service import ExternalKeys

from .pairs import ACTOR, Node

NAME = "kms"


class Watched:
    """A node with its external keys; `end` gives it back as it was opened."""

    def __init__(self, node: Node, vendor: Vendor) -> None:
        self.node, self.vendor, self.clock = node, vendor, Clock()
        self._before = node.hierarchy
        self.leases = Leases(node.hierarchy, vendor.open_provider, self.clock)
        node.hierarchy = node.hierarchy.with_ekeks(self.leases)
        node.handlers = node._honest_handlers()
        self.keys = ExternalKeys(node.db, node.hierarchy, self.leases)

    def end(self) -> None:
        self.leases.close()
        self.node.hierarchy = self._before

    def configure(self, name: str = NAME, **seconds: int) -> str:
        with self.node.db.transaction() as tx:
            made = configurations.create(
                tx,
                self.node.hierarchy,
                name=name,
                kind="file",
                settings={"path": "/none"},
                actor=ACTOR,
                **seconds,
            )
        self.keys.activate(name, ACTOR)
        return str(made["sys_id"])

    def wrap(self, *modules: str, name: str = NAME) -> None:
        for module in modules:
            assert self.keys.wrap_module(module, name, ACTOR).left == 0

    def lapse(self) -> None:
        """Let every lease end."""
        self.clock.now += 10_000
