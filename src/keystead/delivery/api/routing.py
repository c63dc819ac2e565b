"""All that users call over HTTPS, put together."""

from __future__ import annotations

from litestar import Router

from keystead.access.recorder import Recorder
from keystead.delivery.api import administration, attachments, batch, openapi, stats, tables
from keystead.delivery.api.administration import Administration
from keystead.delivery.api.declared import OwnTables
from keystead.delivery.api.errors import HEADERS
from keystead.delivery.api.log_in import Door
from keystead.exchange.peers import PeerChannel
from keystead.instance.opening import Instance
from keystead.records.session import Records


def routers(
    instance: Instance,
    channel: PeerChannel,
    records: Records,
    recorder: Recorder,
    door: Door | None = None,
) -> list[Router]:
    """The paths for users, who prove who they are to one door, others let in by it or not."""
    database, hierarchy = instance.database, instance.hierarchy
    door = door or Door(database, hierarchy.integrity, recorder)
    administering = Administration(instance, channel, door)
    own, limit = OwnTables(administering), instance.settings.attachment_limit
    paths = [
        *tables.routes(records, own, door),
        *stats.routes(records, own, door),
        *attachments.routes(database, hierarchy, recorder, door, limit),
        batch.routes(door),
        administration.routes(administering),
        openapi.routes(),
    ]
    return [Router("/", route_handlers=paths, response_headers=HEADERS)]
