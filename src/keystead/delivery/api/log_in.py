"""Who calls: HTTP basic authentication (RFC 7617) with a password, or a bearer token (RFC 6750)."""

from __future__ import annotations

import base64
from binascii import Error as Base64Error

from sqlalchemy import Connection

from keystead.access.accounts import LogIn
from keystead.base.errors import Denied


def caller(tx: Connection, log_in: LogIn, authorization: str) -> str:
    """The name of the user whom an Authorization header proves.

    Raises:
        Denied: when it is missing or proves nobody.
    """
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return log_in.by_token(tx, given.strip())
    if scheme.lower() != "basic":
        raise Denied("login.needed")
    try:
        name, colon, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (Base64Error, UnicodeDecodeError, ValueError):
        raise Denied("login.refused") from None
    if not colon:
        raise Denied("login.refused")
    return log_in.by_password(tx, name, password)
