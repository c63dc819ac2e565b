"""Attachments by the command line, and by a served instance with its memory watched."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import keystead, ok, serving

MIB = 1024 * 1024
BOUND_KIB = 64 * 1024
SIZE = 96 * MIB


@pytest.fixture
def home(prod: Path, people: Path) -> Path:
    ok("load", prod, "people", people, "--key", "number")
    ok("module", "create", prod, "std", "--publish")
    ok("policy", "add", prod, "--module", "std", "--role", "support", "--operation", "both")
    ok("user", "add", prod, "ada", "--role", "support")
    ok("user", "add", prod, "eve")
    return prod


def test_a_file_goes_in_and_comes_out(home: Path, tmp_path: Path) -> None:
    file, back = tmp_path / "report.pdf", tmp_path / "back.pdf"
    file.write_bytes(os.urandom(MIB + 1))
    plain = ok("attachment", "add", home, "people", "2", file)
    assert (plain["encrypted"], plain["type"]) == (False, "application/pdf")
    (made,) = ok("field", "add", home, "people", "--attachments", "--module", "std")
    assert (made["column"], made["phase"]) == ("[attachments]", "mixed")
    added = ok("attachment", "add", home, "people", "1", file, "--as", "ada")
    assert (added["encrypted"], added["bytes"], added["name"]) == (True, MIB + 1, "report.pdf")
    assert added["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert ok("attachment", "list", home, "people", "1", "--as", "ada") == [added]
    both = ok("attachment", "list", home, "people", "--as", "eve")
    assert [(found["record"], found["name"]) for found in both] == [("2", ""), ("1", "")]
    assert ok("attachment", "get", home, added["attachment"], back, "--as", "ada")["file"]
    assert back.read_bytes() == file.read_bytes()
    assert keystead("attachment", "get", home, added["attachment"], back, "--as", "ada").code == 6
    other = tmp_path / "other.pdf"
    refused = keystead("attachment", "get", home, added["attachment"], other, "--as", "eve")
    assert (refused.code, other.exists()) == (4, False)
    (counted,) = ok("census", home, "--open")
    assert (counted["column"], counted["plain"], counted["opened"]) == ("[attachments]", 1, 1)
    ok("attachment", "remove", home, plain["attachment"])
    assert [a["attachment"] for a in ok("attachment", "list", home, "people")] == [
        added["attachment"]
    ]
    assert [p.name for p in tmp_path.glob(".*")] == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("add", "people", "9", "FILE"), 5),
        (("add", "nothing", "1", "FILE"), 5),
        (("add", "people", "1", "missing"), 5),
        (("add", "people", "1", "FILE", "--type", "nonsense"), 3),
        (("list", "nothing"), 5),
        (("get", "0" * 32, "out"), 5),
        (("remove", "0" * 32), 5),
    ],
)
def test_what_cannot_be_done_says_why(
    home: Path, people: Path, words: tuple[str, ...], code: int
) -> None:
    verb, *others = [str(people) if word == "FILE" else word for word in words]
    ended = keystead("attachment", verb, home, *others)
    assert (ended.code, len(ended.err.splitlines())) == (code, 2)


def test_a_configuration_names_something(home: Path) -> None:
    assert keystead("field", "add", home, "people", "--module", "std").code == 3


class Client:
    """Talks to a served instance, a part at a time."""

    def __init__(self, home: Path, process: subprocess.Popen[bytes], token: str) -> None:
        self.port = ok("config", home)["port"]
        self.status = Path(f"/proc/{process.pid}/status")
        self._peak = Path(f"/proc/{process.pid}/clear_refs")
        self._headers = {"Authorization": f"Bearer {token}"}

    def connect(self) -> http.client.HTTPSConnection:
        context = ssl._create_unverified_context()
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=120)

    def ask(self, method: str, path: str, body: Any = None, size: int = 0) -> Any:
        connection = self.connect()
        headers = {**self._headers, **({"Content-Length": str(size)} if body else {})}
        connection.request(method, f"/api/now/attachment{path}", body, headers)
        return connection.getresponse()

    def put(self, size: int) -> dict[str, Any]:
        path = "/file?table_name=people&table_sys_id=1&file_name=big.bin"
        answer = self.ask("POST", path, blocks(size), size)
        assert answer.status == 201
        return dict(json.loads(answer.read())["result"])

    def memory(self, name: str) -> int:
        """A line of the process's status, in KiB."""
        lines = self.status.read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1])

    def forget_peak(self) -> None:
        self._peak.write_text("5", encoding="ascii")


def blocks(size: int) -> Iterator[bytes]:
    for at in range(0, size, MIB):
        yield hashlib.sha256(str(at).encode()).digest() * (MIB // 32)


def digest_of(size: int) -> str:
    whole = hashlib.sha256()
    for block in blocks(size):
        whole.update(block)
    return whole.hexdigest()


@pytest.fixture
def encrypting(home: Path) -> Path:
    ok("field", "add", home, "people", "--attachments", "--module", "std")
    return home


def test_a_large_file_passes_through_little_memory(encrypting: Path) -> None:
    token = ok("user", "token", "make", encrypting, "ada", "--name", "t")["token"]
    with serving(encrypting) as (process,):
        client = Client(encrypting, process, token)
        client.put(MIB)
        idle = client.memory("VmRSS")
        client.forget_peak()
        made = client.put(SIZE)
        assert made["hash"] == digest_of(SIZE)
        assert client.memory("VmHWM") - idle < BOUND_KIB
        client.forget_peak()
        answer, whole = client.ask("GET", f"/{made['sys_id']}/file"), hashlib.sha256()
        while data := answer.read(MIB):
            whole.update(data)
        assert whole.hexdigest() == made["hash"]
        assert client.memory("VmHWM") - idle < BOUND_KIB


def test_a_server_killed_during_an_upload_shows_nothing_of_it(encrypting: Path) -> None:
    token = ok("user", "token", "make", encrypting, "ada", "--name", "t")["token"]
    with serving(encrypting) as (process,):
        client = Client(encrypting, process, token)

        def body() -> Iterator[bytes]:
            for at, block in enumerate(blocks(20 * MIB)):
                if at == 10:
                    os.kill(process.pid, signal.SIGKILL)
                    process.wait()
                yield block

        path = "/file?table_name=people&table_sys_id=1&file_name=big.bin"
        with pytest.raises(OSError):  # noqa: PT011 - whichever way the connection breaks
            client.ask("POST", path, body(), 20 * MIB)
    assert ok("attachment", "list", encrypting, "people", "--as", "ada") == []


def test_a_client_that_goes_away_leaves_nothing(encrypting: Path) -> None:
    token = ok("user", "token", "make", encrypting, "ada", "--name", "t")["token"]
    with serving(encrypting) as (process,):
        client = Client(encrypting, process, token)
        connection = client.connect()
        path = "/api/now/attachment/file?table_name=people&table_sys_id=1&file_name=big.bin"
        connection.putrequest("POST", path)
        connection.putheader("Authorization", f"Bearer {token}")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        block = next(blocks(MIB))
        connection.send(f"{len(block):x}\r\n".encode() + block + b"\r\n")
        connection.send(f"{len(block):x}\r\n".encode() + block[:9])
        connection.close()
        # what comes after it is answered after it was noticed
        client.put(MIB)
        found = ok("attachment", "list", encrypting, "people", "--as", "ada")
    assert [one["bytes"] for one in found] == [MIB]
