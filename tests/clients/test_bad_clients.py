"""Clients that are slow, cut off or no clients at all: a served instance answers the others."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cli.conftest import make, ok, serving

CLIENTS = 40
ROWS = "sys_id,name\n1,Ann\n2,Zoë\n"


class Served:
    """A served instance, and how to reach it."""

    def __init__(self, home: Path, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        url = httpx.URL(ok("peer", "identity", home)["url"])
        token = ok("user", "token", "make", home, "ada", "--name", "t", "--days", 1)["token"]
        self.trust = ssl.create_default_context(cafile=str(home / "tls.crt"))
        self.address = (url.host, url.port or 0)
        self.let_in = f"Host: {url.host}\r\nAuthorization: Bearer {token}\r\n"
        self.client = httpx.Client(
            base_url=url,
            verify=self.trust,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=30,
            # who refuses a body unread ends the connection
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(self.address, timeout=30)
        return self.trust.wrap_socket(plain, server_hostname=self.address[0])

    def send(self, text: str) -> ssl.SSLSocket:
        connection = self.connect()
        connection.sendall(text.encode())
        return connection

    def is_healthy(self) -> bool:
        """Whether it lives, reads and writes."""
        made = self.client.post("/api/now/table/people", json={"name": "Ñ"})
        path = f"/api/now/table/people/{made.json()['result']['sys_id']}"
        seen = self.client.get(path).json()["result"]["name"]
        gone = self.client.delete(path).status_code
        return (made.status_code, seen, gone, self.process.poll()) == (201, "Ñ", 204, None)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("clients")
    home = make(folder / "prod")
    file = folder / "people.csv"
    file.write_text(ROWS, encoding="utf-8")
    ok("load", home, "people", file, "--key", "sys_id")
    ok("user", "add", home, "ada")
    with serving(home) as (process,):
        made = Served(home, process)
        with made.client:
            yield made


POST = "POST /api/now/table/people HTTP/1.1\r\n"
BODY = "Content-Type: application/json\r\nContent-Length: 900000\r\n\r\n"
UPLOAD = "POST /api/now/attachment/file?table_name=people&table_sys_id=1&file_name=x HTTP/1.1\r\n"
SLOW: dict[str, Callable[[Served], Any]] = {
    "nothing": lambda served: socket.create_connection(served.address),
    "no request": Served.connect,
    "half a header": lambda served: served.send("GET /health HTTP/1.1\r\nHost: "),
    "half a body": lambda served: served.send(POST + served.let_in + BODY + '{"name": "'),
    "half a file": lambda served: served.send(UPLOAD + served.let_in + BODY + "x" * 5_000),
}


@pytest.mark.parametrize("kind", SLOW)
def test_many_that_never_finish_keep_nobody_waiting(served: Served, kind: str) -> None:
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(SLOW[kind](served))
        assert served.is_healthy()
    assert served.is_healthy()
    assert served.client.get("/api/now/attachment").json()["result"] == []


@pytest.mark.parametrize(
    "text",
    [
        "nonsense\r\n\r\n",
        "GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
        "GET " + "/" * 100_000 + " HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /health HTTP/1.1\r\n" + "".join(f"X-{n}: {n}\r\n" for n in range(5_000)) + "\r\n",
        "POST /api/now/batch HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /api/now/batch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "\0" * 1_000,
    ],
)
def test_what_is_no_request_ends_its_own_connection_alone(served: Served, text: str) -> None:
    # it may be cut off before it is answered
    with suppress(ConnectionError, ssl.SSLError), served.send(text) as connection:
        answer = connection.recv(65_536)
        assert answer == b"" or answer.split(b" ")[1][:1] == b"4", answer[:100]
    assert served.is_healthy()


def test_http_without_tls_is_not_answered(served: Served) -> None:
    with socket.create_connection(served.address, timeout=30) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionError):
            assert not connection.recv(4096).startswith(b"HTTP/1.1 200")
    assert served.is_healthy()


@pytest.mark.parametrize(
    ("path", "kind", "size", "status"),
    [
        ("/api/now/table/people", "application/json", 2 * 1024 * 1024, 413),
        ("/api/keystead/v1/modules", "application/json", 2 * 1024 * 1024, 413),
        ("/api/now/batch", "application/json", 17 * 1024 * 1024, 413),
        ("/api/now/table/people", "text/xml", 10, 415),
        ("/api/keystead/v1/modules", "text/xml", 10, 415),
        ("/api/now/attachment/upload", "application/json", 10, 400),
    ],
)
def test_bodies_that_are_not_taken(
    served: Served, path: str, kind: str, size: int, status: int
) -> None:
    answer = served.client.post(path, content=b"x" * size, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.json()["status"] == "failure"
    assert served.is_healthy()
