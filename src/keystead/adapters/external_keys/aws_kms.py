"""External keys in AWS KMS, or at an address that speaks as it does.

`DescribeKey`, `Encrypt` and `Decrypt` are all that the credentials need to allow. Vendors' words
become answers by the tables here, and by nothing else; their messages are never passed on, since
they may repeat what was sent.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from keystead.base import clock
from keystead.base.errors import Invalid, Misconfigured
from keystead.external.kinds import AWS_KMS
from keystead.external.provider import (
    Answer,
    Call,
    Context,
    Described,
    Refused,
    Settings,
    Unwrapped,
)

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient
    from types_boto3_kms.type_defs import KeyMetadataTypeDef

_T = TypeVar("_T")

STATES: Final[dict[str, Answer]] = {
    "Creating": Answer.UNUSABLE,
    "Enabled": Answer.ENABLED,
    "Disabled": Answer.DISABLED,
    "PendingDeletion": Answer.PENDING_DELETION,
    "PendingImport": Answer.UNUSABLE,
    "PendingReplicaDeletion": Answer.PENDING_DELETION,
    "Unavailable": Answer.UNUSABLE,  # its custom key store is disconnected
    "Updating": Answer.ENABLED,  # its primary Region changes; it encrypts and decrypts meanwhile
}
"""What each state of a key in AWS means; one that is not here means UNUSABLE."""

CODES: Final[dict[str, Answer]] = {
    "DisabledException": Answer.DISABLED,
    "NotFoundException": Answer.MISSING,
    **dict.fromkeys(("InvalidCiphertextException", "IncorrectKeyException"), Answer.WRONG),
    **dict.fromkeys(
        (
            *("AccessDenied", "AccessDeniedException", "AuthFailure"),
            *("ExpiredToken", "ExpiredTokenException", "RequestExpired"),
            *("IncompleteSignature", "IncompleteSignatureException"),
            *("InvalidClientTokenId", "InvalidGrantTokenException"),
            *("InvalidSignatureException", "SignatureDoesNotMatch"),
            *("MissingAuthenticationToken", "MissingAuthenticationTokenException"),
            *("NotAuthorized", "OptInRequired", "UnauthorizedOperation"),
            "UnrecognizedClientException",
        ),
        Answer.DENIED,
    ),
    **dict.fromkeys(
        (
            *("LimitExceededException", "RequestLimitExceeded", "Throttling"),
            *("ThrottlingException", "TooManyRequestsException"),
        ),
        Answer.THROTTLED,
    ),
    **dict.fromkeys(
        (
            *("DependencyTimeoutException", "InternalFailure", "InternalServerError"),
            *("KMSInternalException", "RequestTimeout", "RequestTimeoutException"),
            *("ServiceUnavailable", "ServiceUnavailableException"),
        ),
        Answer.UNREACHABLE,
    ),
    **dict.fromkeys(
        (
            *("InvalidArnException", "InvalidKeyUsageException", "KMSInvalidStateException"),
            *("KeyUnavailableException", "UnsupportedOperationException", "ValidationException"),
        ),
        Answer.UNUSABLE,
    ),
}
"""What each error that AWS documents means. `_answer_to` decides about others."""

FAILURES: Final[dict[str, Answer]] = {
    **dict.fromkeys(
        (
            *("ConfigNotFound", "ConfigParseError", "InvalidConfigError"),
            *("LoginError", "NoAuthTokenError", "NoCredentialsError", "PartialCredentialsError"),
            *("ProfileNotFound", "SSOError", "UnknownCredentialError"),
        ),
        Answer.DENIED,
    ),
    "ParamValidationError": Answer.UNUSABLE,
    "ResponseParserError": Answer.WRONG,
    "BotoCoreError": Answer.UNREACHABLE,
}
"""What boto3's own exceptions mean, the nearest family that is here deciding."""

# AWS documents that Encrypt and Decrypt say it of such a key with either of the two codes
_PENDING_DELETION: Final = "is pending deletion"
_STATE_CODES: Final = ("DisabledException", "KMSInvalidStateException")
# raised by boto3 and here when parts of an answer are not of their kind
_MALFORMED: Final = (AttributeError, TypeError, ValueError)
_AGAIN: Final = (Answer.UNREACHABLE, Answer.THROTTLED)
_PAUSE: Final = 0.2
_LONGEST: Final = 6_144
_CODE: Final = re.compile(r"[A-Z][A-Za-z.]{2,60}")
_REGION: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_KEY_ARN: Final = re.compile(r"arn:[a-z-]+:kms:(?P<region>[a-z0-9-]+):\d{12}:key/[A-Za-z0-9-]+")
_UNFIT: Final = (
    ("KeySpec", "SYMMETRIC_DEFAULT", "it is not symmetric"),
    ("KeyUsage", "ENCRYPT_DECRYPT", "it is not for encryption"),
    ("MultiRegion", False, "it is a multi-Region key"),
    ("KeyManager", "CUSTOMER", "it is managed by AWS"),
)


class AwsKms:
    """A key in AWS KMS, with `seconds` for each call.

    Credentials that the machine provides are looked for again after a refusal, so that a call
    works once they are put right.

    Raises:
        Invalid: when a setting is in no form that can be used.
        Misconfigured: when boto3 is not installed.
    """

    def __init__(self, settings: Settings, seconds: float) -> None:
        try:
            import boto3  # noqa: F401, PLC0415 - only whoever has such keys needs it
        except ImportError as error:
            raise Misconfigured(
                "external.library", kind=AWS_KMS.label, extra=AWS_KMS.extra
            ) from error
        _check(settings)
        self._settings = settings
        self._seconds = seconds
        self._arn = settings["key_arn"]
        self._misnamed = _misnamed(self._arn, settings["region"])
        self._lock = Lock()
        self._client: KMSClient | None = None

    def describe(self) -> Described:
        """The key as it is now; see `Provider`."""
        if self._misnamed:
            return Described(self._arn, Answer.UNUSABLE, unfit=self._misnamed)
        return self._asked(Call.DESCRIBE, self._describe)

    def wrap(self, plain: bytes, context: Context) -> bytes:
        """Up to 4,096 bytes under the key's newest bytes; see `Provider`."""

        def encrypt(client: KMSClient) -> bytes:
            answer = client.encrypt(KeyId=self._arn, Plaintext=plain, EncryptionContext=context)
            return _bytes(answer["CiphertextBlob"])

        return self._asked(Call.WRAP, encrypt)

    def unwrap(self, wrapped: bytes, context: Context) -> Unwrapped:
        """What `wrap` was given; see `Provider`."""
        if not 0 < len(wrapped) <= _LONGEST:
            raise Refused(Call.UNWRAP, Answer.WRONG, "it is not as long as a ciphertext of AWS KMS")

        def decrypt(client: KMSClient) -> Unwrapped:
            answer = client.decrypt(
                KeyId=self._arn, CiphertextBlob=wrapped, EncryptionContext=context
            )
            return Unwrapped(_bytes(answer["Plaintext"]), _id(answer.get("KeyMaterialId")))

        return self._asked(Call.UNWRAP, decrypt)

    def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            self._client.close()

    def _describe(self, client: KMSClient) -> Described:
        metadata = client.describe_key(KeyId=self._arn)["KeyMetadata"]
        deletion = metadata.get("DeletionDate")
        return Described(
            reference=self._arn,
            answer=STATES.get(metadata["KeyState"], Answer.UNUSABLE),
            material_id=_id(metadata.get("CurrentKeyMaterialId")) or self._rotated(client),
            deletion_at=clock.text_of(deletion) if deletion else None,
            unfit=_unfit(metadata, self._arn),
        )

    def _rotated(self, client: KMSClient) -> str | None:
        """The present bytes by the list of rotations, which need be neither allowed nor known."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        try:
            rotations = client.list_key_rotations(
                KeyId=self._arn, IncludeKeyMaterial="ALL_KEY_MATERIAL", Limit=1000
            )["Rotations"]
        except ClientError:
            return None
        for one in rotations:
            if one.get("KeyMaterialState") == "CURRENT":
                return _id(one["KeyMaterialId"])
        # a date stands for bytes only where Decrypt will not name them by an id
        dates = [one["RotationDate"] for one in rotations if "KeyMaterialId" not in one]
        return clock.text_of(max(dates)) if dates else None

    def _asked(self, call: Call, ask: Callable[[KMSClient], _T]) -> _T:
        """The answer, within the seconds of a call.

        boto3's time-outs are for each read of a socket, and names and credentials are looked up
        without any, so the call has a thread of its own, which is left behind when time is up.
        """
        if self._misnamed:
            raise Refused(call, Answer.UNUSABLE, self._misnamed)
        outcome: Future[_T] = Future()

        def run() -> None:
            try:
                outcome.set_result(self._answered(call, ask))
            except BaseException as error:
                outcome.set_exception(error)

        Thread(target=run, name=f"aws-kms {call}", daemon=True).start()
        try:
            return outcome.result(self._seconds)
        except TimeoutError:
            reason = f"no answer within {self._seconds:g} s"
            raise Refused(call, Answer.UNREACHABLE, reason) from None

    def _answered(self, call: Call, ask: Callable[[KMSClient], _T]) -> _T:
        try:
            return self._tried(call, ask)
        except Refused as refused:
            if refused.answer not in _AGAIN:
                raise
        time.sleep(min(_PAUSE, self._seconds / 10))
        return self._tried(call, ask)

    def _tried(self, call: Call, ask: Callable[[KMSClient], _T]) -> _T:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
        from botocore.parsers import ResponseParserError  # noqa: PLC0415

        try:
            return ask(self._connection())
        except ClientError as error:
            answer, reason = _answer_to(error.response)
        except (BotoCoreError, ResponseParserError) as error:
            answer, reason = _failed(error)
        except KeyError:
            # what was cut off, or is the page of a firewall, has nothing that was asked for
            answer, reason = Answer.UNREACHABLE, "the answer is none of AWS KMS"
        except _MALFORMED:
            answer, reason = Answer.WRONG, "the answer is in no form that is known"
        if answer is Answer.DENIED and "access_key_id" not in self._settings:
            with self._lock:
                self._client = None
        raise Refused(call, answer, reason)

    def _connection(self) -> KMSClient:
        with self._lock:
            if self._client is None:
                self._client = _connected(self._settings, self._seconds)
            return self._client


def _check(settings: Settings) -> None:
    """Raises Invalid: when one of the settings is in no form that can be used."""
    if not _REGION.fullmatch(settings["region"]):
        reason = "a Region is written as eu-central-1"
        raise Invalid("external.setting_value", setting="region", reason=reason)
    if not _is_address(settings.get("endpoint_url", "https://host")):
        reason = "it is no https://host:port, nor http on the loopback interface"
        raise Invalid("external.setting_value", setting="endpoint_url", reason=reason)
    pair = ("access_key_id", "secret_access_key")
    for one, other in (pair, pair[::-1]):
        if one in settings and other not in settings:
            raise Invalid("external.setting_missing", setting=other, kind=AWS_KMS.name)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    host = parts.hostname
    if not host or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _misnamed(arn: str, region: str) -> str | None:
    """Why it is not the ARN of a key in the Region; AWS would say that there is no such key."""
    found = _KEY_ARN.fullmatch(arn)
    if not found:
        return "it is not named by the ARN of a key"
    if found["region"] != region:
        return f"it is in the Region {found['region']}, not in {region}"
    return None


def _unfit(metadata: KeyMetadataTypeDef, arn: str) -> str | None:
    if metadata["Arn"] != arn:
        return "its own ARN is another"
    said: dict[str, Any] = dict(metadata)
    return next((why for name, fit, why in _UNFIT if said.get(name, fit) != fit), None)


def _connected(settings: Settings, seconds: float) -> KMSClient:
    """A client; the environment may give it credentials, and nothing else that decides."""
    from boto3.session import Session  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    each = (seconds - min(_PAUSE, seconds / 10)) / 2
    config = Config(
        connect_timeout=each,
        read_timeout=each,
        retries={"mode": "standard", "total_max_attempts": 1},
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]
    )
    return Session().client(
        "kms",
        region_name=settings["region"],
        endpoint_url=settings.get("endpoint_url"),
        aws_access_key_id=settings.get("access_key_id"),
        aws_secret_access_key=settings.get("secret_access_key"),
        config=config,
    )


def _answer_to(response: Any) -> tuple[Answer, str]:
    """What an error of the vendor means, and its code.

    A key is missing by NotFoundException alone. Without a code it was not KMS that spoke, but
    something on the way: 502, or the page of a firewall.
    """
    code = str(response.get("Error", {}).get("Code", ""))
    message = str(response.get("Error", {}).get("Message", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _STATE_CODES and _PENDING_DELETION in message:
        return Answer.PENDING_DELETION, f"{code}: it {_PENDING_DELETION}"
    if code in CODES:
        return CODES[code], code
    if not _CODE.fullmatch(code):
        return (
            Answer.THROTTLED if status == 429 else Answer.UNREACHABLE,
            f"HTTP {status} without a code of AWS",
        )
    if status >= 500:
        return Answer.UNREACHABLE, code
    return Answer.DENIED if status in (401, 403) else Answer.UNUSABLE, code


def _failed(error: Exception) -> tuple[Answer, str]:
    family = next(one.__name__ for one in type(error).__mro__ if one.__name__ in FAILURES)
    return FAILURES[family], type(error).__name__


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes) and value:
        return value
    raise TypeError("no bytes")


def _id(value: object) -> str | None:
    if value is None or (isinstance(value, str) and len(value) <= 128 and value.isprintable()):
        return value
    raise TypeError("no id")
