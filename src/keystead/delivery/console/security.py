"""What keeps a session its owner's: headers, cookies, and proof that a form was ours."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final
from urllib.parse import quote, urlsplit

from litestar.datastructures import Cookie

from keystead.access.sessions import LONGEST_SECONDS, Session
from keystead.base.errors import Denied
from keystead.delivery.api.log_in import Call

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "x-keystead-csrf"
_IN_ADDRESS: Final = "/?&=%+#;:@!$'()*,~"  # what stays as it is in an address


class Cookies:
    """The cookies of one instance: another one on the same host has others, whatever its port."""

    def __init__(self, instance_id: str) -> None:
        mark = instance_id[:12]
        self.session: Final = f"__Host-keystead-{mark}"
        self.entering: Final = f"__Host-keystead-entering-{mark}"
        self.said: Final = f"__Host-keystead-said-{mark}"
        self.columns: Final = f"__Host-keystead-columns-{mark}"


def cookie(name: str, value: str, seconds: int = LONGEST_SECONDS) -> Cookie:
    """A cookie that scripts do not see and other sites do not send; no seconds take it away."""
    return Cookie(
        name,
        value=value,
        path="/",
        max_age=seconds,
        secure=True,
        httponly=True,
        samesite="strict",
    )


def refuse_foreign(call: Call, session: Session, given: str) -> None:
    """Refuse what was sent from elsewhere than a page of this session.

    Raises:
        Denied: then.
    """
    refuse_other_site(call)
    if not session.gave(given):
        raise Denied("console.foreign")


def refuse_other_site(call: Call) -> None:
    """Refuse what a browser says was sent from a page of another site.

    Raises:
        Denied: then, and when it does not say from which.
    """
    site = call.headers.get("sec-fetch-site")
    origin = urlsplit(call.headers.get("origin", ""))
    ours = origin.scheme == "https" and origin.netloc == call.headers.get("host")
    if not (ours if site is None else site == "same-origin"):
        raise Denied("console.foreign")


def new_entrance() -> str:
    """A secret for who is about to log in."""
    return secrets.token_urlsafe(32)


def entrance_csrf(secret: str) -> str:
    """What proves that the log-in form was given to the holder of that secret."""
    return hashlib.sha256(f"log in: {secret}".encode(errors="replace")).hexdigest()


def refuse_foreign_entrance(call: Call, secret: str | None, given: str) -> None:
    """Refuse a log-in that was sent from elsewhere than the log-in page.

    Raises:
        Denied: then.
    """
    refuse_other_site(call)
    expected = entrance_csrf(secret or "").encode()
    if not secret or not hmac.compare_digest(expected, given.encode(errors="replace")):
        raise Denied("console.entrance")


def local(path: str) -> str:
    """A path of this site to go on to; the first page in place of anything else."""
    plain = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return quote(path, safe=_IN_ADDRESS) if plain and path.isprintable() else "/"
