"""The channel to paired instances: TLS pinned to the paired certificate, then signed."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import Any, Final

import httpx

from keystead.base.errors import Denied, KeysteadError, Tampered, Unavailable
from keystead.exchange import messages
from keystead.exchange.identity import Identity, from_json
from keystead.exchange.peers import Peer
from keystead.keys.hierarchy import Hierarchy

MESSAGES_PATH: Final = "/peer/v1/messages"
IDENTITY_PATH: Final = "/peer/v1/identity"
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 300.0
_PAUSE_SECONDS = 0.25


class HttpPeerChannel:
    """Sends signed messages over HTTPS, and tries again while a peer is away."""

    def __init__(self, hierarchy: Hierarchy, patience_seconds: float) -> None:
        self._hierarchy = hierarchy
        self._patience = patience_seconds
        self._clients: dict[str, httpx.Client] = {}

    def send(self, peer: Peer, purpose: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send one message and return the verified answer; each try is a message of its own."""
        deadline = time.monotonic() + self._patience
        while True:
            frame, message_id = messages.compose(self._hierarchy, peer.instance_id, purpose, body)
            try:
                answer = self._client(peer).post(MESSAGES_PATH, content=frame)
            except httpx.TransportError as error:
                refusal = _refusal(peer, error)
                if isinstance(refusal, Denied) or time.monotonic() >= deadline:
                    raise refusal from None
                time.sleep(_PAUSE_SECONDS)
                continue
            return self._read(peer, purpose, message_id, answer)

    def fetch_identity(self, url: str) -> Identity:
        """What the instance at `url` says it is."""
        try:
            answer = httpx.get(
                url.rstrip("/") + IDENTITY_PATH,
                verify=False,  # noqa: S501 - this is what the fingerprint is compared for
                trust_env=False,
                timeout=_CONNECT_SECONDS,
            )
            answer.raise_for_status()
            return from_json(answer.json())
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeysteadError) as error:
            raise Unavailable("peer.nobody", url=url, reason=_reason(error)) from None

    def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _read(
        self, peer: Peer, purpose: str, message_id: str, answer: httpx.Response
    ) -> dict[str, Any]:
        if answer.status_code == httpx.codes.FORBIDDEN:
            raise Denied(
                "peer.refused",
                peer=peer.identity.name,
                reason="it does not accept messages from this instance.",
                advice="Pair both instances with each other; see its audit log for the reason.",
            )
        if answer.status_code != httpx.codes.OK:
            raise Unavailable(
                "peer.unreachable",
                peer=peer.identity.name,
                url=peer.url,
                reason=f"status {answer.status_code}",
            )
        try:
            return messages.read_answer(self._hierarchy, peer, purpose, message_id, answer.content)
        except Tampered as error:
            if error.code == "peer.refused":
                raise
            raise Denied("peer.identity", url=peer.url, peer=peer.identity.name) from None
        except KeysteadError as error:
            if error.code == "peer.refused":
                raise
            raise Unavailable("peer.answer", peer=peer.identity.name) from None

    def _client(self, peer: Peer) -> httpx.Client:
        client = self._clients.get(peer.instance_id)
        if client is None:
            context = ssl.create_default_context(cadata=peer.identity.certificate)
            context.check_hostname = False  # the pin is the certificate itself, not a name in it
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            client = httpx.Client(
                base_url=peer.url,
                verify=context,
                trust_env=False,
                timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            )
            self._clients[peer.instance_id] = client
        return client


def _refusal(peer: Peer, error: httpx.TransportError) -> KeysteadError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Denied("peer.identity", url=peer.url, peer=peer.identity.name)
    return Unavailable(
        "peer.unreachable", peer=peer.identity.name, url=peer.url, reason=_reason(error)
    )


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError | ValueError | KeysteadError):
        return "something else answers there"
    return (str(error).splitlines()[0] if str(error) else type(error).__name__).rstrip(".")
