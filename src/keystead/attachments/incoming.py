"""Content on its way into a pending attachment: encrypted, written, then opened again."""

from __future__ import annotations

from keystead.attachments import service as attachments
from keystead.attachments.contents import ContentReader, ContentWriter, Keep
from keystead.base.secret import Secret
from keystead.crypto import attachment
from keystead.crypto.sha256 import Digest
from keystead.crypto.stream import Source
from keystead.database.integrity import Fields
from keystead.database.port import Database


class Incoming:
    """Takes the clear content of the attachment `attachment_id`, which a pending row holds for it.

    `keep` is part of each transaction that writes, and raises when nobody wants it any more.
    """

    def __init__(
        self, database: Database, row: Fields, attachment_id: str, key: Secret | None, keep: Keep
    ) -> None:
        self._database = database
        self._row = row
        self._attachment_id = attachment_id
        self._key = key
        self._pieces = ContentWriter(database, row["content_id"], keep)
        self._stream = (
            None if key is None else attachment.content_writer(key, attachment_id, self._pieces)
        )
        self._digest = Digest()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._digest.update(data)
        self.size += len(data)
        (self._stream or self._pieces).write(data)

    def finish(self) -> str:
        """Write the rest, and open what was written; the SHA-256 of the clear content.

        Raises:
            Tampered: when it does not come back as it was given.
        """
        if self._stream is not None:
            self._stream.finish()
        self._pieces.finish()
        again = Digest()
        stored: Source = ContentReader(self._database, self._row["content_id"])
        if self._key is not None:
            stored = attachment.content_reader(self._key, self._attachment_id, stored)
        for chunk in attachments.chunks(stored):
            again.update(chunk)
        if again.hex() != self._digest.hex():
            raise attachments.tampered(self._row)
        return again.hex()
