"""AWS KMS for tests: moto's server in a process of its own, one in a session, and a proxy each.

`account()` gives an `Account`, whose `new_key()` is a `Subject`; `aws_account` and `aws_key` are
the same as fixtures. A test elsewhere uses `with aws.account() as account`, or imports the fixtures
into its folder's conftest. What it runs in other processes reaches the keys by `key.settings`.
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest
from demo.servers import Server
from tests.external.fault_proxy import USED, FaultProxy
from tests.external.subject import PATIENCE
from tests.shared_servers import shared

from keystead.adapters.external_keys.aws_kms import AwsKms
from keystead.external.provider import Provider, Settings

REGION = "eu-central-1"


def _start() -> Server:
    folder, port = Path(mkdtemp(prefix="moto-")), _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    server = Server("moto", f"http://127.0.0.1:{port}", folder, port, process.pid)
    end = time.monotonic() + PATIENCE
    while not _is_ready(server):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError((folder / "server.log").read_text())
        time.sleep(0.02)
    return server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ready(server: Server) -> bool:
    try:
        with build_opener(ProxyHandler({})).open(f"{server.url}/moto-api/data.json", timeout=5):
            return True
    except OSError:
        return False


@cache
def _session() -> Any:
    from boto3.session import Session  # heavy, and this module is read wherever tests are gathered

    return Session()


class User:
    """Somebody who has an access key, with the operations that he is allowed; none: all."""

    def __init__(self, proxy: FaultProxy, *allowed: str) -> None:
        self.access_key_id = f"AKIA{secrets.token_hex(8).upper()}"
        self.secret_access_key = secrets.token_urlsafe(30)
        self._proxy = proxy
        self.allow(*allowed)

    def allow(self, *operations: str) -> None:
        """He may do these, and nothing else; none: all."""
        self._proxy.users[self.access_key_id] = (self.secret_access_key, frozenset(operations))


class Account:
    """An account of AWS with its keys, seen through a proxy of its own; `user` is Keystead's."""

    def __init__(self, moto: Server) -> None:
        self.proxy = FaultProxy(moto.port)
        self.user = User(self.proxy, *USED)
        self._owner = User(self.proxy)

    @cached_property
    def owner(self) -> Any:
        """The client of whoever owns the keys."""
        return _session().client(
            "kms",
            region_name=REGION,
            endpoint_url=self.proxy.url,
            aws_access_key_id=self._owner.access_key_id,
            aws_secret_access_key=self._owner.secret_access_key,
        )

    def new_key(self, **wanted: Any) -> AwsKey:
        """A new key; `wanted` is given to CreateKey."""
        asked = {"KeyUsage": "ENCRYPT_DECRYPT", "MultiRegion": False, **wanted}
        return AwsKey(self, self.owner.create_key(**asked)["KeyMetadata"]["Arn"])


class AwsKey:
    """A `Subject`: a key in an account."""

    kind = "aws_kms"

    def __init__(self, account: Account, arn: str) -> None:
        self.account = account
        self.proxy = account.proxy
        self.arn = arn
        self.key_id = arn.rsplit(":key/", maxsplit=1)[-1]
        self.settings: Settings = {
            "region": REGION,
            "key_arn": arn,
            "endpoint_url": account.proxy.url,
            "access_key_id": account.user.access_key_id,
            "secret_access_key": account.user.secret_access_key,
        }
        self.secrets: tuple[str, ...] = (account.user.secret_access_key, account.user.access_key_id)

    def open(self, seconds: float = PATIENCE) -> Provider:
        return AwsKms(self.settings, seconds)

    def disable(self) -> None:
        self.account.owner.disable_key(KeyId=self.key_id)

    def enable(self) -> None:
        self.account.owner.enable_key(KeyId=self.key_id)

    def rotate(self) -> None:
        self.account.owner.rotate_key_on_demand(KeyId=self.key_id)

    def schedule_deletion(self, days: int) -> None:
        self.account.owner.schedule_key_deletion(KeyId=self.key_id, PendingWindowInDays=days)

    def cancel_deletion(self) -> None:
        self.account.owner.cancel_key_deletion(KeyId=self.key_id)

    def remove(self) -> None:
        self.proxy.remove_key(self.key_id)

    def take_away(self) -> None:
        self.proxy.refuse_connections()

    def give_back(self) -> None:
        self.proxy.take_connections()

    def wrong_credentials(self) -> Provider:
        return AwsKms({**self.settings, "secret_access_key": secrets.token_urlsafe(30)}, PATIENCE)


@contextmanager
def account() -> Iterator[Account]:
    """An account without keys, for as long as the block lasts."""
    opened = Account(shared("moto", _start))
    try:
        yield opened
    finally:
        opened.proxy.close()


@contextmanager
def new_key(_folder: Path) -> Iterator[AwsKey]:
    """A `Subject` for the contract suite."""
    with account() as opened:
        yield opened.new_key()


@pytest.fixture
def aws_account() -> Iterator[Account]:
    """An account of AWS without keys."""
    with account() as opened:
        yield opened


@pytest.fixture
def aws_key(aws_account: Account) -> AwsKey:
    """A new key in `aws_account`."""
    return aws_account.new_key()
