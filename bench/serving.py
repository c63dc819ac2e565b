"""Servers in processes of their own, ours and a rival's, and a client of them."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar

from keystead.instance.home import Home

PROGRAM = (sys.executable, "-m")
_PATIENCE = 60


async def serve(application: Litestar, home: Home, port: int) -> None:
    """Serve a rival as `keystead serve` serves us, with the certificate of our home."""
    server = Server(
        application,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        ssl_cert=home.tls_certificate,
        ssl_key=home.tls_key,
        log_enabled=False,
        websockets=False,
    )
    await server.serve()


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[None]:
    """A server in a process of its own, for as long as the block lasts."""
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, env=os.environ)
    try:
        end = time.monotonic() + _PATIENCE
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"it does not start: {command}")
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def client(home: Home, port: int, headers: Mapping[str, str]) -> Iterator[httpx.Client]:
    """A client that trusts the home's certificate."""
    context = ssl.create_default_context(cafile=home.tls_certificate)
    context.check_hostname = False
    address = f"https://127.0.0.1:{port}"
    with httpx.Client(base_url=address, verify=context, headers=dict(headers)) as made:
        yield made


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
