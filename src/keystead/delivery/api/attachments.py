"""The Attachment API: files of records, in the shapes that clients of ServiceNow's know.

`/api/now/attachment`, also under v1 and v2. Bodies stream both ways: neither is ever held whole,
nor written anywhere but into the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from litestar import Response, Router, delete, get, post
from litestar.concurrency import sync_to_thread
from litestar.response import Stream
from litestar.status_codes import HTTP_201_CREATED, HTTP_204_NO_CONTENT
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from keystead.access.recorder import Recorder
from keystead.base.errors import Invalid
from keystead.database.port import Database
from keystead.delivery.api.bodies import refuse_foreign
from keystead.delivery.api.log_in import Call, Door, Path
from keystead.delivery.api.paging import number, paging
from keystead.delivery.api.tables import caller
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.usage import Meter
from keystead.records.attached import Attachment, Desk, Download, Upload

PREFIXES: Final = ("/api/now/attachment", "/api/now/v1/attachment", "/api/now/v2/attachment")
MOST: Final = 10_000
BYTES: Final = "application/octet-stream"
_GATHERED = 1024 * 1024
_LONGEST_FIELD = 4096
_MOST_PARTS = 20
_CHUNKS_AT_ONCE = 16


class AttachmentApi:
    """What the routes do, for whom the request proves to be."""

    def __init__(
        self,
        database: Database,
        hierarchy: Hierarchy,
        recorder: Recorder,
        door: Door,
        limit: int,
    ) -> None:
        self._database = database
        self._hierarchy = hierarchy
        self._recorder = recorder
        self._meter = Meter(database, hierarchy)
        self._door = door
        self._limit = limit

    def list(self, call: Call) -> Response[Any]:
        """The attachments that meet a query."""
        limit = min(number(call, "sysparm_limit", MOST), MOST)
        offset = number(call, "sysparm_offset", 0)
        query = call.query_params.get("sysparm_query", "")
        found, total = self._desk(call).listed(query, limit, offset)
        result = [_shown(call, one) for one in found]
        return Response({"result": result}, headers=paging(call, limit, offset, total))

    def one(self, call: Call, sys_id: str) -> Response[Any]:
        """What is known of one attachment."""
        return Response({"result": _shown(call, self._desk(call).one(sys_id))})

    def download(self, call: Call, sys_id: str) -> Stream:
        """Its content."""
        return content_of(self._desk(call).download(sys_id), {})

    def remove(self, call: Call, sys_id: str) -> None:
        """Nothing; the attachment is gone."""
        self._desk(call).remove(sys_id)

    async def take_body(self, call: Call) -> Response[Any]:
        """A new attachment from a body that is the file."""
        return await self._take(call, await sync_to_thread(self._body, call))

    async def take_form(self, call: Call) -> Response[Any]:
        """A new attachment from a form: what is said about the file, then the file."""
        return await self._take(call, await sync_to_thread(self._form, call))

    async def _take(self, call: Call, intake: _Body | FormIntake) -> Response[Any]:
        made = await taken_in(call, intake)
        return Response(
            {"result": _shown(call, made)},
            status_code=HTTP_201_CREATED,
            headers={"Location": _link(made)},
        )

    def _body(self, call: Call) -> _Body:
        given = call.query_params
        size = call.headers.get("content-length", "")
        return _Body(
            self._desk(call),
            given.get("table_name", ""),
            given.get("table_sys_id", ""),
            given.get("file_name", ""),
            call.headers.get("content-type") or BYTES,
            int(size) if size.isascii() and size.isdecimal() else None,
        )

    def _form(self, call: Call) -> FormIntake:
        return FormIntake(self._desk(call), call.headers.get("content-type", ""))

    def _desk(self, call: Call) -> Desk:
        who = caller(self._door.caller(call))
        return Desk(self._database, self._hierarchy, self._recorder, self._meter, who, self._limit)


def routes(
    database: Database, hierarchy: Hierarchy, recorder: Recorder, door: Door, limit: int
) -> list[Router]:
    """The Attachment API under each of its prefixes; `limit` is the largest file, in MiB."""
    api = AttachmentApi(database, hierarchy, recorder, door, limit)

    @get("/", sync_to_thread=True)
    def list_attachments(request: Call) -> Response[Any]:
        return api.list(request)

    @get("/{sys_id:str}", sync_to_thread=True)
    def one_attachment(request: Call, sys_id: Path) -> Response[Any]:
        return api.one(request, sys_id)

    @get("/{sys_id:str}/file", sync_to_thread=True)
    def download(request: Call, sys_id: Path) -> Stream:
        return api.download(request, sys_id)

    # the desk refuses what is too large, by the setting
    @post("/file", request_max_body_size=None, guards=[refuse_foreign])
    async def upload_file(request: Call) -> Response[Any]:
        return await api.take_body(request)

    @post("/upload", request_max_body_size=None, guards=[refuse_foreign])
    async def upload_form(request: Call) -> Response[Any]:
        return await api.take_form(request)

    @delete(
        "/{sys_id:str}",
        status_code=HTTP_204_NO_CONTENT,
        guards=[refuse_foreign],
        sync_to_thread=True,
    )
    def remove_attachment(request: Call, sys_id: Path) -> None:
        api.remove(request, sys_id)

    handlers = [
        *(list_attachments, one_attachment, download),
        *(upload_file, upload_form, remove_attachment),
    ]
    return [Router(prefix, route_handlers=handlers) for prefix in PREFIXES]


class _Body:
    """A file that is the whole body."""

    def __init__(
        self,
        desk: Desk,
        table: str,
        record: str,
        file_name: str,
        content_type: str,
        size: int | None,
    ) -> None:
        self._left = size
        self._upload = desk.upload(table, record, file_name, content_type, size)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        if self._left is not None:
            self._left -= len(data)
        self._upload.write(data)

    def finish(self) -> Attachment:
        """Keep the file, now that the body has ended.

        Raises:
            Invalid: when it is not as long as was announced.
        """
        if self._left:
            raise Invalid("attachment.body")
        return self._upload.finish()

    def give_up(self) -> None:
        """Let nothing come of it."""
        self._upload.give_up()


class FormIntake:
    """A form (RFC 7578) with the fields `table_name` and `table_sys_id`, then one file.

    `check` is given the fields before the file is taken in, and raises to refuse it.
    """

    def __init__(
        self,
        desk: Desk,
        content_type: str,
        check: Callable[[Mapping[str, str]], None] = lambda _fields: None,
    ) -> None:
        self._desk = desk
        self._check = check
        kind, options = parse_options_header(content_type)
        if kind != "multipart/form-data" or not options.get("boundary"):
            raise Invalid("attachment.body")
        self._parser = PushMultipartParser(
            options["boundary"], max_segment_count=_MOST_PARTS, strict=True
        )
        self._fields: dict[str, str] = {}
        self._part: MultipartSegment | None = None
        self._field = bytearray()
        self._upload: Upload | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            Invalid: when it is no such form.
        """
        try:
            for event in self._parser.parse(data):
                self._take(event)
        except (MultipartError, UnicodeDecodeError):
            raise Invalid("attachment.body") from None

    def finish(self) -> Attachment:
        """Keep the file, now that the body has ended.

        Raises:
            Invalid: when the form is not whole, or has no file.
        """
        try:
            self._parser.close()
        except MultipartError:
            raise Invalid("attachment.body") from None
        if self._upload is None:
            raise Invalid("attachment.body")
        return self._upload.finish()

    def give_up(self) -> None:
        """Let nothing come of the file."""
        if self._upload is not None:
            self._upload.give_up()

    def _take(self, event: MultipartSegment | bytearray | bytes | None) -> None:
        if isinstance(event, MultipartSegment):
            self._part = event
            if event.filename is not None:
                self._begin(event)
        elif self._part is None:
            raise Invalid("attachment.body")
        elif event is None:
            if self._part.filename is None:
                self._fields[self._part.name or ""] = self._field.decode()
            self._field.clear()
        elif self._part.filename is not None and self._upload is not None:
            self._upload.write(bytes(event))
        else:
            self._field += event
            if len(self._field) > _LONGEST_FIELD:
                raise Invalid("attachment.body")

    def _begin(self, part: MultipartSegment) -> None:
        if self._upload is not None:
            raise Invalid("attachment.body")
        self._check(self._fields)
        self._upload = self._desk.upload(
            self._fields.get("table_name", ""),
            self._fields.get("table_sys_id", ""),
            part.filename or "",
            part.content_type or BYTES,
        )


async def taken_in(call: Call, intake: _Body | FormIntake) -> Attachment:
    """The attachment that a body brings, streamed; nothing comes of it when that fails."""
    try:
        async for data in _gathered(call):
            await sync_to_thread(intake.feed, data)
        return await sync_to_thread(intake.finish)
    except BaseException:
        # also when the client is gone and this task is cancelled
        await asyncio.shield(sync_to_thread(intake.give_up))
        raise


async def _gathered(call: Call) -> AsyncIterator[bytes]:
    """The body in larger parts, so that few of them go to another thread."""
    held = bytearray()
    async for data in call.stream():
        held += data
        if len(held) >= _GATHERED:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def content_of(
    found: Download, headers: Mapping[str, str], media_type: str | None = None
) -> Stream:
    """The content of an attachment as it is sent: to be kept, never to be shown in a page.

    It is of the type that was said of it, unless `media_type` is given.
    """
    facts = found.attachment.facts
    name = quote(facts.file_name, safe="")
    told = {
        **headers,
        "Content-Length": str(found.attachment.size_bytes),
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "X-Content-Type-Options": "nosniff",
    }
    return Stream(_sent(found), media_type=media_type or facts.content_type, headers=told)


async def _sent(found: Download) -> AsyncIterator[bytes]:
    while chunks := await sync_to_thread(lambda: list(islice(found.chunks, _CHUNKS_AT_ONCE))):
        yield b"".join(chunks)


def _link(found: Attachment) -> str:
    """Where its content is; without a host, since the one in a request is the caller's word."""
    return f"/api/now/v1/attachment/{found.sys_id}/file"


def _shown(call: Call, found: Attachment) -> dict[str, Any]:
    """An attachment as clients expect it: every value a text, and a time without a zone is UTC."""
    facts = found.facts
    record = {
        "sys_id": found.sys_id,
        "table_name": found.table,
        "table_sys_id": found.table_sys_id,
        "file_name": facts.file_name,
        "content_type": facts.content_type,
        "size_bytes": str(found.size_bytes),
        "hash": facts.sha256,
        "encrypted": str(found.encrypted).lower(),
        "sys_created_by": found.created_by.removeprefix("user:"),
        "sys_created_on": found.created_at[:19].replace("T", " "),
        "download_link": _link(found),
    }
    if call.query_params.get("sysparm_display_value") == "all":
        return {name: {"display_value": v, "value": v} for name, v in record.items()}
    return record
