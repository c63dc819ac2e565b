"""Alerts are sent once each way, to a webhook and by mail, and again when that failed."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.unit.conftest import ACTOR
from tests.unit.external.conftest import Watched
from tests.unit.external.vendor import Vendor

from keystead.access import properties
from keystead.adapters import notices
from keystead.base.errors import Invalid, KeysteadError, Unavailable
from keystead.external.provider import Answer
from keystead.instance import external_watch, scheduled, schedules
from keystead.instance.notices import Destinations, Notice

NOTICE = Notice("1", "prod", "2", "kms", "disabled", "It is disabled.", "2026-01-01", None)
NOWHERE = Destinations("", (), "", "")


class Hook(ThreadingHTTPServer):
    """A webhook on the loopback interface; it answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Posted)
        self.taken: list[dict[str, Any]] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/alerts"


class _Posted(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status == 200:
            self.server.taken.append(json.loads(body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        pass


class Sink(socketserver.ThreadingTCPServer):
    """A mail server on the loopback interface; it keeps each message as text."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Mailed)
        self.taken: list[str] = []
        self.refuses = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Mailed(socketserver.StreamRequestHandler):
    server: Sink

    def handle(self) -> None:
        self._say("220 sink")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "DATA":
                self._say("354 go on")
                lines = []
                while (text := self.rfile.readline().decode()) != ".\r\n":
                    lines.append(text)
                self.server.taken.append("".join(lines))
            if word == "QUIT":
                self._say("221 bye")
                return
            refused = word == "RCPT" and self.server.refuses
            self._say("550 nobody" if refused else "250 well")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


def _running(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    yield from _running(Hook())


@pytest.fixture
def sink() -> Iterator[Sink]:
    yield from _running(Sink())


class Telling(Watched):
    """A site under the external key "kms", which sends notices as a served one does."""

    def __init__(self, folder: Any) -> None:
        super().__init__(folder, Vendor())
        self.configure_external()
        self.wrap_all()
        self.instance = replace(
            self.instance, hierarchy=self.hierarchy, external=self.external, send=notices.send
        )

    def set(self, one: properties.Property, value: str) -> None:
        with self.transaction() as tx:
            properties.change(tx, self.integrity, one.name, value, ACTOR)

    def look(self, state: Answer) -> schedules.Job:
        self.vendor.state = state
        scheduled.run(self.instance, schedules.WATCH_EXTERNAL_KEYS)
        return self.job()

    def job(self) -> schedules.Job:
        with self.snapshot() as tx:
            return schedules.find(tx, self.integrity, schedules.WATCH_EXTERNAL_KEYS.name)


@pytest.fixture
def telling(sealed: Any) -> Iterator[Telling]:
    found = Telling(sealed.folder)
    yield found
    found.close()


def test_an_alert_is_posted_when_raised_and_when_cleared_once_each(
    telling: Telling, hook: Hook
) -> None:
    telling.set(properties.ALERT_WEBHOOK, hook.url)
    for state in (Answer.DISABLED, Answer.DISABLED, Answer.ENABLED, Answer.ENABLED):
        telling.look(state)
    raised, cleared = hook.taken
    assert (raised["configuration"], raised["status"]) == ("kms", "disabled")
    assert raised["instance_id"] == telling.instance.settings.instance_id
    assert "It protects" in raised["what"]
    assert raised["cleared_at"] is None
    assert cleared["cleared_at"] is not None
    assert (cleared["alert"], cleared["raised_at"]) == (raised["alert"], raised["raised_at"])


def test_what_could_not_be_sent_is_said_and_sent_later(telling: Telling, hook: Hook) -> None:
    telling.set(properties.ALERT_WEBHOOK, hook.url)
    hook.status = 503
    job = telling.look(Answer.DISABLED)
    assert job.failed
    assert "503" in str(job.result)
    assert "1 alerts raised" in str(job.result), "the alert itself stands"
    hook.status = 200
    assert not telling.look(Answer.DISABLED).failed
    assert len(hook.taken) == 1


def test_an_alert_that_was_over_before_it_could_be_sent_is_sent_once(
    telling: Telling, hook: Hook
) -> None:
    telling.look(Answer.DISABLED)
    telling.look(Answer.ENABLED)
    telling.set(properties.ALERT_WEBHOOK, hook.url)
    for _ in range(2):
        telling.look(Answer.ENABLED)
    assert [one["cleared_at"] is not None for one in hook.taken] == [True]


def test_an_alert_is_mailed_to_each(telling: Telling, sink: Sink) -> None:
    telling.set(properties.ALERT_MAIL_TO, "ops@example.com, ciso@example.com")
    telling.set(properties.ALERT_MAIL_FROM, "keystead@example.com")
    telling.set(properties.ALERT_MAIL_SERVER, sink.address)
    sink.refuses = True
    assert telling.look(Answer.DISABLED).failed
    sink.refuses = False
    telling.look(Answer.DISABLED)
    (mail,) = sink.taken
    assert "To: ops@example.com, ciso@example.com" in mail
    assert "external key kms disabled" in mail.replace("\r\n ", " ")


def test_a_dead_mail_server_keeps_no_alert_from_the_webhook(telling: Telling, hook: Hook) -> None:
    telling.set(properties.ALERT_WEBHOOK, hook.url)
    telling.set(properties.ALERT_MAIL_TO, "ops@example.com")
    telling.set(properties.ALERT_MAIL_FROM, "keystead@example.com")
    telling.set(properties.ALERT_MAIL_SERVER, "127.0.0.1:1")
    assert telling.look(Answer.DISABLED).failed
    assert telling.look(Answer.PENDING_DELETION).failed
    assert {one["status"] for one in hook.taken} == {"disabled", "pending deletion"}


def test_a_dead_webhook_keeps_no_alert_from_the_mail_server(telling: Telling, sink: Sink) -> None:
    telling.set(properties.ALERT_WEBHOOK, "https://127.0.0.1:1")
    telling.set(properties.ALERT_MAIL_TO, "ops@example.com")
    telling.set(properties.ALERT_MAIL_FROM, "keystead@example.com")
    telling.set(properties.ALERT_MAIL_SERVER, sink.address)
    assert telling.look(Answer.DISABLED).failed
    assert len(sink.taken) == 1


def test_a_webhook_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "_LONGEST", 0.2)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle() -> None:
            taken, _ = server.accept()
            with taken, suppress(OSError):
                taken.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while not ended.wait(0.05):
                    taken.sendall(b".")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            with pytest.raises(Unavailable, match="no end"):
                notices.send(NOTICE, replace(NOWHERE, webhook=url))
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize(
    "url",
    ["http://example.com/x", "ftp://127.0.0.1/x", "https://", "file:///etc/passwd", "http://[", "x",
     "http://127.0.0.1.example.com/x", "http://localhost@example.com/x"],
)  # fmt: skip
def test_a_webhook_is_https_or_on_this_machine(url: str) -> None:
    with pytest.raises(Invalid):
        notices.send(NOTICE, replace(NOWHERE, webhook=url))


@pytest.mark.parametrize(
    ("given", "family"),
    [
        ({"mail_from": "a@x\nBcc: b@x"}, Invalid),
        ({"mail_server": ""}, Invalid),
        ({"mail_server": "127.0.0.1:99999"}, Invalid),
        ({"mail_server": "127.0.0.1:1"}, Unavailable),
    ],
)
def test_a_mail_that_cannot_be_sent(given: dict[str, str], family: type[KeysteadError]) -> None:
    usual = {"mail_from": "a@x", "mail_server": "127.0.0.1:1"}
    with pytest.raises(family):
        notices.send(NOTICE, Destinations("", ("c@x",), **{**usual, **given}))


# --- what leases hear becomes a look -------------------------------------------------------------


def test_a_refusal_that_a_lease_hears_asks_for_a_look_once(telling: Telling) -> None:
    leases = telling.external.leases
    news = external_watch.News(telling.database, telling.hierarchy, leases)
    telling.rows()
    assert not news.ask_for_look(ACTOR), "enabled, as it was seen"
    for state in (Answer.DISABLED, Answer.ENABLED):
        telling.vendor.state = state
        telling.clock.now += 100
        telling.rows()
        assert news.ask_for_look(ACTOR)
        telling.clock.now += 100
        telling.rows()
        assert not news.ask_for_look(ACTOR), "it was asked for already"
        assert telling.job().requested_at
        telling.look(state)
        assert telling.job().requested_at is None
        telling.clock.now += 100
        telling.rows()
        assert not news.ask_for_look(ACTOR), "it is written down now"
