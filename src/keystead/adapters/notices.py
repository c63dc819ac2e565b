"""Notices by webhook (HTTPS) and by mail (SMTP)."""

from __future__ import annotations

import ipaddress
import smtplib
import ssl
from collections.abc import Callable
from concurrent.futures import Future
from email.message import EmailMessage
from threading import Thread
from typing import Final
from urllib.parse import urlsplit

import httpx

from keystead.base.errors import Invalid, KeysteadError, Unavailable
from keystead.instance.notices import Destinations, Notice

_SECONDS: Final = 10.0  # for each read and write
_LONGEST: Final = 30.0
_MAIL_PORT: Final = 25


def send(notice: Notice, destinations: Destinations) -> None:
    """Send a notice to every destination.

    Nothing leaves this machine in the clear: a webhook is HTTPS and mail takes STARTTLS, unless
    they are on the loopback interface. One that fails keeps it from no other.

    Raises:
        Unavailable: when one cannot be reached, or does not take it in time.
        Invalid: when an address cannot be used.
    """
    ways: list[tuple[str, Callable[[], None]]] = []
    if destinations.webhook:
        ways.append(("the webhook", lambda: _post(notice, destinations.webhook)))
    if destinations.mail_to:
        ways.append(("the mail server", lambda: _mail(notice, destinations)))
    refused = None
    for where, way in ways:
        try:
            _in_time(where, way)
        except KeysteadError as error:
            refused = refused or error
    if refused is not None:
        raise refused


def _in_time(where: str, way: Callable[[], None]) -> None:
    """Send one way; who answers a byte now and then holds back a thread, and nobody else."""
    sent: Future[None] = Future()

    def run() -> None:
        try:
            way()
            sent.set_result(None)
        except Exception as error:  # whoever waits for it raises it
            sent.set_exception(error)

    Thread(target=run, name="notice", daemon=True).start()
    try:
        sent.result(_LONGEST)
    except TimeoutError:
        reason = f"no end within {_LONGEST:g} s"
        raise Unavailable("alert.unsent", where=where, reason=reason) from None


def _post(notice: Notice, url: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise Invalid("alert.webhook") from None
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))):
        raise Invalid("alert.webhook")
    try:
        answer = httpx.post(url, json=notice.as_json(), timeout=_SECONDS, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        raise Unavailable("alert.unsent", where=host, reason=f"status {status}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable("alert.unsent", where=host, reason=type(error).__name__) from None


def _mail(notice: Notice, destinations: Destinations) -> None:
    host, port = _server(destinations.mail_server)
    message = EmailMessage()
    try:
        message["Subject"] = notice.subject
        message["From"] = destinations.mail_from
        message["To"] = ", ".join(destinations.mail_to)
    except ValueError:
        raise Invalid("alert.mail") from None
    cleared = f"\nCleared: {notice.cleared_at}" if notice.cleared_at else ""
    message.set_content(f"{notice.what}\n\nRaised: {notice.raised_at}{cleared}\n")
    try:
        with smtplib.SMTP(host, port, timeout=_SECONDS) as server:
            if not _is_loopback(host):
                server.starttls(context=ssl.create_default_context())
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise Unavailable("alert.unsent", where=host, reason=type(error).__name__) from None


def _server(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Invalid("alert.mail") from None
    if not host:
        raise Invalid("alert.mail")
    return host, port or _MAIL_PORT


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
