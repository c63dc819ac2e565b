"""Keys in SoftHSM2 tokens, each test's in a folder of its own."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType
from tests.external.subject import PATIENCE

from keystead.adapters.external_keys.hsm import Hsm
from keystead.external.provider import Provider, Settings

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
CONFIGURATION = "SOFTHSM2_CONF"
LABEL = "keystead"


class HsmKey:
    """A `Subject`: a key in a token, whose owner acts through a session of his own each time."""

    kind = "pkcs11"

    def __init__(self, folder: Path) -> None:
        self.pin, self.so_pin = secrets.token_hex(8), secrets.token_hex(8)
        self.token = f"token {secrets.token_hex(4)}"
        self.settings: Settings = {
            "module": str(MODULE),
            "token": self.token,
            "key_label": LABEL,
            "pin": self.pin,
        }
        self.secrets: tuple[str, ...] = (self.pin, self.so_pin)
        self._tokens, self._away = folder / "tokens", folder / "away"
        self._numbers = count(1)

    def open(self, seconds: float = PATIENCE) -> Provider:
        return Hsm(self.settings, seconds)

    def disable(self) -> None:
        self.allow(encrypt=False, decrypt=False)

    def enable(self) -> None:
        self.allow(encrypt=True, decrypt=True)

    def rotate(self) -> None:
        self.generate(next(self._numbers).to_bytes(1, "big"))

    def schedule_deletion(self, days: int) -> None:
        raise NotImplementedError

    def cancel_deletion(self) -> None:
        raise NotImplementedError

    def remove(self) -> None:
        with self.session() as session:
            for key in list(session.get_objects({Attribute.LABEL: LABEL})):
                key.destroy()

    def take_away(self) -> None:
        self._tokens.rename(self._away)
        self._tokens.mkdir()

    def give_back(self) -> None:
        self._tokens.rmdir()
        self._away.rename(self._tokens)

    def wrong_credentials(self) -> Provider:
        return Hsm({**self.settings, "pin": secrets.token_hex(8)}, PATIENCE)

    @contextmanager
    def session(self) -> Iterator[pkcs11.Session]:
        """The owner's session; SoftHSM finds what others changed when it begins anew."""
        library = pkcs11.lib(str(MODULE))
        try:
            token = library.get_token(token_label=self.token)
            with token.open(rw=True, user_pin=self.pin) as session:
                yield session
        finally:
            library.finalize()

    def generate(self, name: bytes, bits: int = 256, **wanted: Any) -> None:
        """Another key of the label; `wanted` are its attributes."""
        template = {Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: True}
        template.update({Attribute[each.upper()]: value for each, value in wanted.items()})
        with self.session() as session:
            session.generate_key(
                KeyType.AES, bits, label=LABEL, id=name, store=True, template=template
            )

    def allow(self, *, encrypt: bool, decrypt: bool, name: bytes | None = None) -> None:
        """What the versions may be used for, or the one of that CKA_ID."""
        wanted: dict[Attribute, Any] = {Attribute.LABEL: LABEL}
        if name is not None:
            wanted[Attribute.ID] = name
        with self.session() as session:
            for key in list(session.get_objects(wanted)):
                key[Attribute.ENCRYPT] = encrypt
                key[Attribute.DECRYPT] = decrypt

    def initialize(self) -> None:
        """Make the token, or one more of its label."""
        command = ["softhsm2-util", "--init-token", "--free", "--label", self.token]
        pins = ["--pin", self.pin, "--so-pin", self.so_pin]
        subprocess.run([*command, *pins], check=True, capture_output=True)


@contextmanager
def new_token(folder: Path) -> Iterator[HsmKey]:
    """A token without a key, where every process that is started meanwhile finds it."""
    if shutil.which("softhsm2-util") is None or not MODULE.exists():
        pytest.skip("install SoftHSM2 first; on Debian: apt-get install softhsm2")
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n"
    )
    key = HsmKey(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIGURATION, str(configuration))
        key.initialize()
        yield key


@contextmanager
def new_key(folder: Path) -> Iterator[HsmKey]:
    """A `Subject` for the contract suite."""
    with new_token(folder) as key:
        key.rotate()
        yield key
