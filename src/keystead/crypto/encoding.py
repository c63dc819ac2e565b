"""Length prefixes and strict base64url, as the envelope format defines them."""

from __future__ import annotations

import binascii

from keystead.base.errors import Tampered

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")
# what the last character may be when 1 or 2 bytes remain: its unused low bits are zero
_LAST = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}


def length_prefixed(value: bytes) -> bytes:
    """`value` after its length as an unsigned 32-bit big-endian integer."""
    return len(value).to_bytes(4, "big") + value


def b64_encode(value: bytes) -> str:
    """Base64url without padding (RFC 4648 §5)."""
    text = binascii.b2a_base64(value, newline=False).translate(_TO_URL).decode("ascii")
    return text.rstrip("=")


def b64_decode(text: str) -> bytes:
    """The bytes that `b64_encode` turned into exactly `text`.

    Raises:
        Tampered: for text that `b64_encode` never writes.
    """
    remainder = len(text) % 4
    if remainder and (remainder == 1 or text[-1] not in _LAST[remainder]):
        raise Tampered("envelope.malformed")
    try:
        raw = text.encode("ascii").translate(_FROM_URL)
        return binascii.a2b_base64(raw + b"=" * (-len(text) % 4), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise Tampered("envelope.malformed") from None
