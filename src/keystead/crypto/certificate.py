"""The certificate an instance shows to its peers: self-signed, pinned by them, never by a CA."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

_LIFETIME = timedelta(days=20 * 365)
_DNS_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")


def self_signed(name: str, host: str) -> tuple[bytes, bytes]:
    """A PEM private key (PKCS#8) and a PEM certificate for it, for `name`, `host` and this machine.

    Trust is by pinning this very certificate, so its dates only say when it was made.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.now(UTC) - timedelta(minutes=5)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName(_names(name, host)), critical=False)
        .sign(key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, certificate.public_bytes(Encoding.PEM)


def _names(name: str, host: str) -> list[x509.GeneralName]:
    """Under which clients that check names may reach it."""
    found: list[x509.GeneralName] = [x509.DNSName("localhost")]
    if _DNS_NAME.fullmatch(name):
        found.append(x509.DNSName(name))
    for address in dict.fromkeys(("127.0.0.1", "::1", host)):
        try:
            found.append(x509.IPAddress(ip_address(address)))
        except ValueError:
            found.append(x509.DNSName(address))
    return found
