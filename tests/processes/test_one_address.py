"""Two that serve one database behind one address: people work through either, and do not notice."""

from __future__ import annotations

import re
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import suppress
from html import unescape
from io import StringIO
from itertools import cycle
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any

import httpx
import pytest
from tests.cli.conftest import keystead, ok
from tests.processes.conftest import Running, Site, until

PASSWORD = "correct horse battery"
ROWS = 300
RATE = 150  # rows per second, slow enough to be seen on its way
CONFIGURATIONS = "sys_platform_encryption_configuration"


class Address(ThreadingTCPServer):
    """One address for several servers: each connection goes to the next, which it notes."""

    daemon_threads = True

    def __init__(self, ports: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self._next = cycle(ports)
        self.taken: list[int] = []

    def next_port(self) -> int:
        self.taken.append(next(self._next))
        return self.taken[-1]


class _Passing(BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Address)
        with socket.create_connection(("127.0.0.1", self.server.next_port())) as behind:
            back = Thread(target=_pass, args=(behind, self.request), daemon=True)
            back.start()
            _pass(self.request, behind)
            back.join()


def _pass(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class Browser:
    """A browser that opens a connection for each request, so that both servers have their turn."""

    def __init__(self, address: Address, certificate: str) -> None:
        context = ssl.create_default_context(cafile=certificate)
        context.check_hostname = False
        self.base = f"https://127.0.0.1:{address.server_address[1]}"
        self._address = address
        self.client = httpx.Client(
            base_url=self.base,
            verify=context,
            limits=httpx.Limits(max_keepalive_connections=0),
            timeout=30,
        )

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def post(self, path: str, csrf: str, **form: str) -> httpx.Response:
        """Send a form to the other server than the one that was asked last."""
        headers = {"Origin": self.base}
        return self.client.post(path, data={"csrf": csrf, **form}, headers=headers)

    def csrf(self, path: str) -> str:
        return _csrf(self.get(path))


def _csrf(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


@pytest.fixture
def served(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Address, Browser]]:
    site.load("people", ROWS)
    roles = ("admin", "security_admin", "sn_kmf.admin")
    ok("user", "add", site.home, "ada", *(word for role in roles for word in ("--role", role)))
    monkeypatch.setattr(sys, "stdin", StringIO(PASSWORD))
    assert keystead("user", "password", site.home, "ada").code == 0
    running: list[Running] = site.start(("serve", site.home), ("serve", site.copy))
    with Address([one.port for one in running]) as address:
        Thread(target=address.serve_forever, daemon=True).start()
        browser = Browser(address, str(site.home / "tls.crt"))
        with browser.client:
            yield address, browser
        address.shutdown()


def test_people_work_through_either(site: Site, served: tuple[Address, Browser]) -> None:
    address, browser = served
    entrance = browser.csrf("/login")
    logged_in = browser.post("/login", entrance, user="ada", password=PASSWORD, next="/")
    assert (logged_in.status_code, logged_in.headers["location"]) == (303, "/")
    assert len(set(address.taken[-2:])) == 2, "the form came from one and went to the other"
    homes = [browser.get("/") for _ in range(2)]
    assert [home.status_code for home in homes] == [200, 200]
    assert len({_csrf(home) for home in homes}) == 1

    _rises_on_one_for_both(browser)
    _sees_a_job_on_either(site, address, browser)
    assert browser.post("/lower", browser.csrf("/")).status_code == 303
    for _ in range(2):
        assert 'action="/lower"' not in browser.get("/").text

    left = browser.post("/logout", browser.csrf("/"))
    assert left.headers["location"] == "/login"
    assert [browser.get("/").status_code for _ in range(2)] == [303, 303]


def _rises_on_one_for_both(browser: Browser) -> None:
    before = dict(browser.client.cookies)
    foreign = browser.post("/elevate", "made up", password=PASSWORD, next="/")
    assert foreign.status_code == 403
    risen = browser.post("/elevate", browser.csrf("/elevate"), password=PASSWORD, next="/")
    assert risen.status_code == 303, risen.text
    for _ in range(2):
        assert 'action="/lower"' in browser.get("/").text
    held = [httpx.Client(cookies=before, verify=False) for _ in range(2)]
    for old in held:
        with old:
            assert old.get(f"{browser.base}/").status_code == 303, "the secret from before it"


def _sees_a_job_on_either(site: Site, address: Address, browser: Browser) -> None:
    listed = browser.get(f"/{CONFIGURATIONS}.list")
    link = re.search(r'href="([^"]*\.form\?sys_id=[^"]+)"', unescape(listed.text))
    assert link, listed.text
    action = link[1].replace(".form?", ".do?operation=field.encrypt&")
    asking = browser.get(action)
    started = browser.post(action, _csrf(asking), rows_per_second=str(RATE))
    assert started.status_code == 303, started.text
    job = httpx.URL(started.headers["location"]).params["sys_id"]
    seen: dict[int, set[str]] = {}

    def ended() -> bool:
        part = browser.get(f"/progress?table=keystead_job&sys_id={job}")
        state = re.search(r'class="state [^"]*">([^<]+)<', part.text)
        assert state, part.text
        seen.setdefault(address.taken[-1], set()).add(state[1])
        return state[1] not in ("new", "running")

    until(ended, "the job ends")
    assert set(address.taken) == set(seen)
    assert all("running" in states for states in seen.values())
    shown: list[Any] = [browser.get(f"/keystead_job.form?sys_id={job}").text for _ in range(2)]
    assert all(f"{ROWS} of {ROWS}" in page for page in shown)
    assert site.job(job)["state"] == "done"
