"""What encrypts one attachment (docs/formats/attachment.md, clauses 3 to 5).

Each attachment has a key of its own, wrapped by a key of the module. Under it are the content, as a
stream bound to the attachment, and the facts about it, bound to where it belongs.
"""

from __future__ import annotations

import base64
from binascii import Error as Base64Error
from collections.abc import Sequence

from keystead.base.errors import Tampered
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import wrap
from keystead.crypto.encoding import length_prefixed
from keystead.crypto.stream import Sink, Source, StreamReader, StreamWriter

_KEY = "attachment"
_FACTS = "attachment facts"


def wrap_key(module_key: Secret, key: Secret, attachment_id: str, key_id: str) -> str:
    """An attachment's key as it is stored: wrapped for the module's key (clause 3)."""
    wrapper = wrap.derive(module_key, _KEY)
    return base64.b64encode(wrap.wrap(wrapper, key, _KEY, attachment_id, key_id)).decode()


def unwrap_key(module_key: Secret, wrapped: str, attachment_id: str, key_id: str) -> Secret:
    """What `wrap_key` was given.

    Raises:
        Tampered: when key, text, attachment or key id are not those of `wrap_key`.
    """
    wrapper = wrap.derive(module_key, _KEY)
    return wrap.unwrap(wrapper, _bytes(wrapped), _KEY, attachment_id, key_id)


def content_writer(key: Secret, attachment_id: str, out: Sink) -> StreamWriter:
    """Encrypts the content on its way to `out` (clause 4)."""
    return StreamWriter(key, _header(attachment_id), out)


def content_reader(key: Secret, attachment_id: str, source: Source) -> StreamReader:
    """Opens the content that comes from `source`.

    Raises:
        Tampered: when it is not the content of this attachment under this key.
    """
    return StreamReader(key, _header(attachment_id), source)


def seal_facts(key: Secret, facts: bytes, belongs: Sequence[str]) -> str:
    """The facts about an attachment as they are stored, bound to where it `belongs` (clause 5)."""
    sealed = wrap.wrap(wrap.derive(key, _FACTS), Secret(facts), _FACTS, *belongs)
    return base64.b64encode(sealed).decode()


def open_facts(key: Secret, sealed: str, belongs: Sequence[str]) -> bytes:
    """What `seal_facts` was given.

    Raises:
        Tampered: when key, text or place are not those of `seal_facts`.
    """
    opened = wrap.unwrap(wrap.derive(key, _FACTS), _bytes(sealed), _FACTS, *belongs)
    return opened.reveal(REVEAL)


def _header(attachment_id: str) -> bytes:
    return b"keystead/1/attachment content" + length_prefixed(attachment_id.encode())


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise Tampered("attachment.sealed") from None
