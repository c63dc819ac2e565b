"""The kinds of providers, and what a configuration of each says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from keystead.base.errors import Invalid, NotFound
from keystead.external.provider import Settings

_LONGEST: Final = 2_000


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. A `critical` one names the key: it stays as long as keys are wrapped by it."""

    name: str
    label: str
    help: str
    required: bool = False
    critical: bool = True
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of provider; `extra` is the part of Keystead's package that brings its library."""

    name: str
    label: str
    settings: tuple[Setting, ...]
    extra: str | None = None

    def checked(self, given: Mapping[str, str]) -> dict[str, str]:
        """The settings without the empty ones.

        Raises:
            Invalid: when one is unknown, missing, or too long.
        """
        known = {one.name for one in self.settings}
        kept = {name: value.strip() for name, value in given.items() if value.strip()}
        for name, value in kept.items():
            if name not in known:
                raise Invalid("external.setting_unknown", setting=name, kind=self.name)
            if len(value) > _LONGEST or not value.isprintable():
                raise Invalid("external.setting_form", setting=name)
        for one in self.settings:
            if one.required and one.name not in kept:
                raise Invalid("external.setting_missing", setting=one.name, kind=self.name)
        return kept

    def secrets(self, settings: Settings) -> dict[str, str]:
        """The credentials among the settings."""
        names = {one.name for one in self.settings if one.secret}
        return {name: value for name, value in settings.items() if name in names}

    def critical(self, settings: Settings) -> dict[str, str]:
        """What names the key among the settings."""
        names = {one.name for one in self.settings if one.critical}
        return {name: value for name, value in settings.items() if name in names}


AWS_KMS: Final = Kind(
    "aws_kms",
    "AWS KMS",
    (
        Setting("region", "Region", "The region of the key: eu-central-1.", required=True),
        Setting("key_arn", "Key ARN", "The ARN of a symmetric key of one Region.", required=True),
        Setting("endpoint_url", "Endpoint", "Another address than the Region's own."),
        Setting(
            "access_key_id",
            "Access key",
            "Empty: as the machine is set up (environment, profile, role).",
            critical=False,
        ),
        Setting(
            "secret_access_key",
            "Secret access key",
            "Kept encrypted, and never shown.",
            critical=False,
            secret=True,
        ),
    ),
    extra="aws",
)
PKCS11: Final = Kind(
    "pkcs11",
    "PKCS#11",
    (
        Setting("module", "Module", "The vendor's library: a full path to a .so.", required=True),
        Setting("token", "Token label", "The token that holds the key.", required=True),
        Setting("key_label", "Key label", "The label of an AES key of 256 bits.", required=True),
        Setting("pin", "PIN", "Kept encrypted, and never shown.", critical=False, secret=True),
    ),
    extra="pkcs11",
)
FILE: Final = Kind(
    "file",
    "Key file",
    (
        Setting(
            "path",
            "File",
            "A key file that only the owner reads, best on a medium that can be taken away.",
            required=True,
        ),
    ),
)
KINDS: Final[dict[str, Kind]] = {kind.name: kind for kind in (AWS_KMS, PKCS11, FILE)}


def kind(name: str) -> Kind:
    """The kind of that name.

    Raises:
        NotFound: when there is none.
    """
    if name not in KINDS:
        raise NotFound("external.kind_unknown", kind=name, kinds=", ".join(KINDS))
    return KINDS[name]
