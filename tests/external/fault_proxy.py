"""What stands in front of moto's KMS: stricter than moto, with what moto lacks, and with faults.

Stricter: signatures are checked, a user may do what he is allowed, a key that is disabled, about
to be deleted or gone is refused, and a context is bound as it is. Added: the ids of key material.
A ciphertext is the id of its material and moto's own ciphertext, whose context has that id in it.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import math
import secrets
import socket
import threading
from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USED = ("DescribeKey", "Encrypt", "Decrypt")
"""The operations that the product needs."""

_TARGET = "TrentService."
_MATERIAL = 32
_LONGEST = 6_144
Body = dict[str, Any]
Headers = Message


@dataclass(frozen=True)
class Request:
    """What somebody asked for."""

    operation: str
    body: Body
    headers: Headers


class Refusal(Exception):
    """An error as AWS gives it."""

    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        super().__init__(code)
        self.code, self.message, self.status = code, message, status

    def body(self) -> bytes:
        return json.dumps({"__type": self.code, "message": self.message}).encode()


@dataclass(frozen=True)
class Raw:
    """An answer of any kind, as a load balancer or a firewall gives it."""

    status: int
    body: bytes = b""


class Hang:
    """No answer, as long as the fault is there."""


class Drip:
    """An answer that goes on and on, a byte at a time, for 20 seconds."""


class Cut:
    """The connection ends in the midst of an answer."""


class WrongPlaintext:
    """Decrypt gives other bytes than were encrypted."""


class OldCiphertext:
    """Encrypt gives what it gave first for this key."""


Fault = Refusal | Raw | Hang | Drip | Cut | WrongPlaintext | OldCiphertext


@dataclass
class _Key:
    """What is known here of a key and unknown to moto."""

    materials: list[bytes] = field(default_factory=lambda: [secrets.token_bytes(_MATERIAL)])
    first: str | None = None
    is_gone: bool = False


class FaultProxy:
    """A KMS at `url`, on the keys of a moto server.

    `users` are secret access keys and allowed operations by access key id; an empty set allows all.
    `described` is said of every key, whatever moto says.
    """

    def __init__(self, moto_port: int) -> None:
        self.requests: list[Request] = []
        self.users: dict[str, tuple[str, frozenset[str]]] = {}
        self.names_material = True
        self.described: Body = {}
        self._moto_port = moto_port
        self._faults: dict[str, tuple[Fault, float]] = {}
        self._keys: dict[str, _Key] = {}
        self._lock = threading.Lock()
        self._healed = threading.Event()
        self._connections: set[socket.socket] = set()
        self._server = _Server(("127.0.0.1", 0), self)
        self._port = self._server.server_address[1]
        self._blocked: socket.socket | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def fault(self, fault: Fault, *operations: str, times: float = math.inf) -> None:
        """From now on each of these operations, or of all that are used, goes wrong in this way."""
        with self._lock:
            self._faults.update(dict.fromkeys(operations or USED, (fault, times)))

    def heal(self) -> None:
        """No more faults; what hangs ends without an answer."""
        with self._lock:
            self._faults.clear()
        self._healed.set()
        self._healed = threading.Event()

    def refuse_connections(self) -> None:
        """Nobody listens at the port, which stays ours."""
        self._server.end()
        self._blocked = _bound(self._port)
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def take_connections(self) -> None:
        """Somebody listens again."""
        if self._blocked is not None:
            self._blocked.close()
            self._blocked = None
            self._server = _Server(("127.0.0.1", self._port), self)

    def remove_key(self, key_id: str) -> None:
        """What AWS does when the days of waiting are over."""
        self._key(key_id).is_gone = True

    def material_id(self, key_id: str) -> str:
        """The id of the present bytes of a key."""
        return self._key(key_id).materials[-1].hex()

    def asked(self, operation: str) -> list[Request]:
        """The requests for one operation, oldest first."""
        return [one for one in self.requests if one.operation == operation]

    def close(self) -> None:
        self.heal()
        if self._blocked is None:
            self.refuse_connections()
        assert self._blocked is not None
        self._blocked.close()

    def _key(self, key_id: str) -> _Key:
        with self._lock:
            return self._keys.setdefault(key_id.rsplit("/", maxsplit=1)[-1], _Key())

    def answer(self, headers: Headers, raw: bytes) -> Raw | Hang | Drip | Cut:
        """The answer to a request, or what is done instead of answering."""
        operation = headers.get("X-Amz-Target", "").removeprefix(_TARGET)
        body = json.loads(raw)
        self.requests.append(Request(operation, body, headers))
        fault = self._next_fault(operation)
        try:
            match fault:
                case Refusal():
                    raise fault
                case Raw() | Hang() | Drip() | Cut():
                    return fault
            self._authorise(operation, headers, raw)
            answer = self._answered(operation, body, headers)
        except Refusal as refusal:
            return Raw(refusal.status, refusal.body())
        if isinstance(fault, WrongPlaintext):
            plain = b64decode(answer["Plaintext"])
            answer["Plaintext"] = _text(bytes([plain[0] ^ 1]) + plain[1:])
        if isinstance(fault, OldCiphertext):
            answer["CiphertextBlob"] = self._key(body["KeyId"]).first
        return Raw(200, json.dumps(answer).encode())

    def wait(self, seconds: float | None = None) -> bool:
        """Until the faults are taken away, which it says, or for so many seconds."""
        return self._healed.wait(seconds)

    def _next_fault(self, operation: str) -> Fault | None:
        with self._lock:
            fault, times = self._faults.get(operation, (None, 0))
            if fault is None or times <= 0:
                return None
            self._faults[operation] = (fault, times - 1)
            return fault

    def _authorise(self, operation: str, headers: Headers, raw: bytes) -> None:
        fields = dict(
            part.strip().split("=", 1)
            for part in headers["Authorization"].split(" ", 1)[1].split(",")
        )
        user, _, region, service, _ = fields["Credential"].split("/")
        if user not in self.users:
            said = "The security token included in the request is invalid."
            raise Refusal("UnrecognizedClientException", said)
        secret, allowed = self.users[user]
        signed = {name: headers[name] for name in fields["SignedHeaders"].split(";")}
        text, signature = _signature(signed, raw, user, secret, region, service)
        if not hmac.compare_digest(signature, fields["Signature"]):
            raise Refusal("InvalidSignatureException", f"It should have been\n{text}")
        if allowed and operation not in allowed:
            said = f"User: {user} is not authorized to perform: kms:{operation}"
            raise Refusal("AccessDeniedException", said)

    def _answered(self, operation: str, body: Body, headers: Headers) -> Body:
        if "KeyId" not in body:
            return self._forwarded(operation, body, headers)
        key = self._key(body["KeyId"])
        if key.is_gone:
            raise Refusal("NotFoundException", f"Key '{body['KeyId']}' does not exist")
        if operation in ("Encrypt", "Decrypt", "RotateKeyOnDemand"):
            self._refuse_unless_enabled(body["KeyId"], headers)
        match operation:
            case "Encrypt":
                return self._encrypted(key, body, headers)
            case "Decrypt":
                return self._decrypted(key, body, headers)
        answer = self._forwarded(operation, body, headers)
        if operation == "RotateKeyOnDemand":
            key.materials.append(secrets.token_bytes(_MATERIAL))
        if operation == "DescribeKey":
            answer["KeyMetadata"].update(self.described)
            if self.names_material:
                answer["KeyMetadata"]["CurrentKeyMaterialId"] = key.materials[-1].hex()
        return answer

    def _refuse_unless_enabled(self, key_id: str, headers: Headers) -> None:
        metadata = self._forwarded("DescribeKey", {"KeyId": key_id}, headers)["KeyMetadata"]
        match metadata["KeyState"]:
            case "Disabled":
                raise Refusal("DisabledException", f"{metadata['Arn']} is disabled.")
            case "PendingDeletion":
                said = f"{metadata['Arn']} is pending deletion."
                raise Refusal("KMSInvalidStateException", said)

    def _encrypted(self, key: _Key, body: Body, headers: Headers) -> Body:
        material = key.materials[-1]
        answer = self._forwarded("Encrypt", _bound_to(material, body), headers)
        answer["CiphertextBlob"] = _text(material + b64decode(answer["CiphertextBlob"]))
        key.first = key.first or answer["CiphertextBlob"]
        return answer

    def _decrypted(self, key: _Key, body: Body, headers: Headers) -> Body:
        blob = b64decode(body["CiphertextBlob"])
        if not 0 < len(blob) <= _LONGEST:
            raise Refusal("ValidationException", "Member must have length less than or equal to")
        material, rest = blob[:_MATERIAL], blob[_MATERIAL:]
        if material not in key.materials:
            others = [one for one in self._keys.values() if material in one.materials]
            raise Refusal("IncorrectKeyException" if others else "InvalidCiphertextException")
        if not rest.startswith(body["KeyId"].split("/")[-1].encode()):
            raise Refusal("InvalidCiphertextException")
        asked = _bound_to(material, {**body, "CiphertextBlob": _text(rest)})
        answer = self._forwarded("Decrypt", asked, headers)
        if self.names_material:
            answer["KeyMaterialId"] = material.hex()
        return answer

    def _forwarded(self, operation: str, body: Body, headers: Headers) -> Body:
        """Moto's answer; it looks for a key by its bare id in some operations."""
        if "KeyId" in body:
            body = {**body, "KeyId": body["KeyId"].split(":key/")[-1]}
        passed = {name: headers[name] for name in ("Content-Type", "Authorization", "X-Amz-Date")}
        passed["X-Amz-Target"] = f"{_TARGET}{operation}"
        moto = http.client.HTTPConnection("127.0.0.1", self._moto_port, timeout=30)
        try:
            moto.request("POST", "/", json.dumps(body).encode(), passed)
            response = moto.getresponse()
            answer: Body = json.loads(response.read()) or {}
        finally:
            moto.close()
        if response.status != 200:
            code = answer["__type"].split("#")[-1]
            raise Refusal(code, answer.get("message", ""), response.status)
        return answer


def _bound_to(material: bytes, body: Body) -> Body:
    """A request whose context is one text: moto itself takes {a: bc} and {ab: c} as equal."""
    context = json.dumps([material.hex(), body.get("EncryptionContext", {})], sort_keys=True)
    return {**body, "EncryptionContext": {"": hashlib.sha256(context.encode()).hexdigest()}}


def _signature(
    headers: dict[str, str], raw: bytes, user: str, secret: str, region: str, service: str
) -> tuple[str, str]:
    """What is to be signed, and how it is signed by a user."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest("POST", f"http://{headers['host']}/", headers=headers, data=raw)
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(user, secret), service, region)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return text, signer.signature(text, request)


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()


def _bound(port: int) -> socket.socket:
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", port))
    return holder


class _Server(ThreadingHTTPServer):
    """Takes connections from the moment it is made."""

    request_queue_size = 64

    def __init__(self, address: tuple[str, int], proxy: FaultProxy) -> None:
        super().__init__(address, _Handler)
        self.proxy = proxy
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        self.shutdown()
        self._thread.join()
        self.socket.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections are cut here on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.proxy._connections.add(self.connection)

    def finish(self) -> None:
        self.server.proxy._connections.discard(self.connection)
        super().finish()

    def do_POST(self) -> None:
        proxy = self.server.proxy
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        answer = proxy.answer(self.headers, raw)
        match answer:
            case Hang():
                proxy.wait()
                self.close_connection = True
            case Drip():
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n")
                for _ in range(400):
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    if proxy.wait(0.05):
                        break
                self.close_connection = True
            case Cut():
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
                self.close_connection = True
            case Raw():
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""
