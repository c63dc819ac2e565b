"""An external key is pulled, given back, and rotated outside, while two processes serve."""

from __future__ import annotations

import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.cli.conftest import keystead, ok
from tests.external.key_file import FileKey
from tests.processes.conftest import Running, Site, until

LEASE = 5.0
LATEST = 3 * LEASE
ROWS = 40
CLEAR, DARK = "value 0", ""


class Reader:
    """A client that stays connected to one process."""

    def __init__(self, one: Running, token: str) -> None:
        context = ssl.create_default_context(cafile=str(one.home / "tls.crt"))
        context.check_hostname = False
        self._client = httpx.Client(
            base_url=f"https://127.0.0.1:{one.port}",
            verify=context,
            trust_env=False,
            headers={"Authorization": f"Bearer {token}"},
        )

    def read(self) -> str:
        answer = self._client.get("/api/now/table/t/000000")
        answer.raise_for_status()
        return str(answer.json()["result"]["name"])

    def close(self) -> None:
        self._client.close()


class Held:
    """Two serving processes with warm caches, and an external key in a file."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.key = site, FileKey(folder)
        home = site.home
        site.load("t", ROWS)
        site.encrypt("t", 100_000)
        path = f"path={self.key.settings['path']}"
        ok("external", "create", home, "kms", "--kind", "file", "--set", path, "--lease", 5)
        ok("external", "activate", home, "kms")
        ok("external", "wrap", home, "m", "kms")
        ok("user", "add", home, "ada", "--role", "support")
        ok("policy", "add", home, "--module", "m", "--role", "support", "--operation", "decrypt")
        token = ok("user", "token", "make", home, "ada", "--name", "t")["token"]
        self.running = site.start(("serve", site.home), ("serve", site.copy))
        ok("job", "wait", home)
        self.readers = [Reader(one, token) for one in self.running]
        assert self.said() == [CLEAR, CLEAR]

    def said(self) -> list[str]:
        return [reader.read() for reader in self.readers]

    def seconds_until(self, wanted: str) -> list[float]:
        """How long after now each process first said so, and after that nothing else."""
        begun, seconds = time.monotonic(), [0.0, 0.0]

        def follow(at: int) -> None:
            until(lambda: self.readers[at].read() == wanted, wanted or "darkness", LATEST)
            seconds[at] = time.monotonic() - begun

        threads = [threading.Thread(target=follow, args=(at,)) for at in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(seconds), f"it never came: {wanted!r}"
        assert self.said() == [wanted] * 2
        return seconds

    def stored(self) -> list[tuple[object, ...]]:
        return self.site.query("SELECT number, name FROM t ORDER BY number")

    def close(self) -> None:
        for reader in self.readers:
            reader.close()


@pytest.fixture
def held(site: Site, tmp_path: Path) -> Iterator[Held]:
    made = Held(site, tmp_path)
    yield made
    made.close()


def test_what_is_pulled_is_dark_everywhere_and_comes_back(held: Held) -> None:
    stored = held.stored()
    for pull, give_back in (
        (held.key.disable, held.key.enable),
        (held.key.take_away, held.key.give_back),
    ):
        pull()
        times = held.seconds_until(DARK)
        print(f"{pull.__name__}: dark after {times[0]:.1f} s and {times[1]:.1f} s")
        refused = keystead("key", "rotate", held.site.home, "m")
        assert refused.code not in (0, 1, 2), refused
        assert all(one.process.poll() is None for one in held.running)
        give_back()
        times = held.seconds_until(CLEAR)
        print(f"{give_back.__name__}: served after {times[0]:.1f} s and {times[1]:.1f} s")
    assert held.stored() == stored
    ok("external", "revoke", held.site.home, "kms", "--reason", "a drill")
    print("revoke: dark after", held.seconds_until(DARK))
    ok("external", "reinstate", held.site.home, "kms")
    print("reinstate: served after", held.seconds_until(CLEAR))
    assert held.stored() == stored


def test_readers_do_not_notice_a_rotation_outside(held: Held) -> None:
    stored = held.stored()
    query = "SELECT sys_id, material FROM sys_kmf_module_key ORDER BY sys_id"
    keys = held.site.query(query)
    wrapped = "SELECT wrapped FROM sys_kmf_external_key"
    old = held.site.query(wrapped)
    ended, said = threading.Event(), Counter[str]()

    def read_on(reader: Reader) -> None:
        while not ended.is_set():
            try:
                said[reader.read()] += 1
            except Exception as error:
                said[repr(error)] += 1

    threads = [threading.Thread(target=read_on, args=(one,)) for one in held.readers]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            before = sum(said.values())
            held.key.rotate()
            ok("external", "sync", held.site.copy)
            until(lambda least=before + 50: sum(said.values()) > least, "reads after it")
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    print(f"{said.total()} reads during 3 rotations outside")
    assert set(said) == {CLEAR}
    assert held.stored() == stored
    assert held.site.query(query) == keys
    new = held.site.query(wrapped)
    assert len(new) == len(old) == 1
    assert new != old
