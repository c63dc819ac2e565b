"""Who an instance is to its peers: its public keys and certificate, and their fingerprint."""

from __future__ import annotations

import base64
import re
import ssl
from dataclasses import dataclass
from typing import Any

from keystead.base.errors import Invalid
from keystead.base.ids import is_id
from keystead.crypto import seal, sign
from keystead.keys.hierarchy import Hierarchy

_NAME_FORM = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")


def check_instance_name(name: str) -> None:
    """Refuse a name that cannot stand in commands and certificates.

    Raises:
        Invalid: naming it.
    """
    if not _NAME_FORM.fullmatch(name):
        raise Invalid("home.name", name=name)


@dataclass(frozen=True, slots=True)
class Identity:
    """The public side of an instance. The fingerprint covers all of it."""

    instance_id: str
    name: str
    signing: bytes
    sealing: bytes
    certificate: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all of it, as eight groups of eight hexadecimal digits."""
        digest = sign.digest(sign.canonical(self.as_json()))
        return "-".join(digest[i : i + 8] for i in range(0, len(digest), 8))

    def as_json(self) -> dict[str, str]:
        """The identity as plain data."""
        return {
            "instance_id": self.instance_id,
            "name": self.name,
            "signing": base64.b64encode(self.signing).decode(),
            "sealing": base64.b64encode(self.sealing).decode(),
            "certificate": self.certificate,
        }


def own_identity(hierarchy: Hierarchy, name: str, certificate: str) -> Identity:
    """The identity of this instance."""
    return Identity(
        hierarchy.instance_id,
        name,
        sign.public_of(hierarchy.signing),
        seal.public_of(hierarchy.sealing),
        certificate,
    )


def from_json(document: Any) -> Identity:
    """An identity that a peer sent.

    Raises:
        Invalid: when it is not in the form of one.
    """
    try:
        identity = Identity(
            instance_id=str(document["instance_id"]),
            name=str(document["name"]),
            signing=base64.b64decode(document["signing"], validate=True),
            sealing=base64.b64decode(document["sealing"], validate=True),
            certificate=str(document["certificate"]),
        )
        ssl.PEM_cert_to_DER_cert(identity.certificate)
        check_instance_name(identity.name)
    except (KeyError, TypeError, ValueError, Invalid):
        raise Invalid("message.invalid", reason="it is not an identity") from None
    if not is_id(identity.instance_id):
        raise Invalid("message.invalid", reason="it is not an identity")
    return identity


def check_fingerprint_form(given: str) -> None:
    """Refuse what cannot be a fingerprint.

    Raises:
        Invalid: naming it.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", _bare(given)):
        raise Invalid("peer.fingerprint_form", fingerprint=given)


def same_fingerprint(shown: str, given: str) -> bool:
    """Whether two fingerprints are the same but for case, spaces, dashes and colons."""
    return _bare(shown) == _bare(given)


def _bare(fingerprint: str) -> str:
    return fingerprint.translate(str.maketrans("", "", " -:\t\n")).lower()
