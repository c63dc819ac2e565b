"""AWS KMS: every documented state and error, faults on the way, and what is sent."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.external import aws
from tests.external.aws import Account, AwsKey
from tests.external.fault_proxy import (
    USED,
    Cut,
    Drip,
    Fault,
    Hang,
    OldCiphertext,
    Raw,
    Refusal,
    WrongPlaintext,
)
from tests.external.subject import PATIENCE

from keystead.adapters.external_keys import aws_kms
from keystead.adapters.external_keys.aws_kms import AwsKms
from keystead.base import clock
from keystead.base.errors import Invalid, Misconfigured
from keystead.external.provider import Answer, Call, Provider, Refused

PLAIN = b"\x01 the wrapped key \xff"
CONTEXT = {"instance": "5f0c", "configuration": "aws", "key": "9b1d"}
SECONDS = 1.0
OPERATIONS = {Call.DESCRIBE: "DescribeKey", Call.WRAP: "Encrypt", Call.UNWRAP: "Decrypt"}

# by the pages of the API: each operation's own errors and those that all operations have
ERRORS = {
    Answer.DISABLED: ["DisabledException"],
    Answer.MISSING: ["NotFoundException"],
    Answer.WRONG: ["InvalidCiphertextException", "IncorrectKeyException"],
    Answer.DENIED: [
        *("AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException"),
        *("ExpiredTokenException", "ExpiredToken", "InvalidClientTokenId", "NotAuthorized"),
        *("IncompleteSignature", "MissingAuthenticationToken", "OptInRequired", "RequestExpired"),
        *("InvalidGrantTokenException", "SignatureDoesNotMatch"),
    ],
    Answer.THROTTLED: [
        *("ThrottlingException", "LimitExceededException", "TooManyRequestsException"),
    ],
    Answer.UNREACHABLE: [
        *("DependencyTimeoutException", "KMSInternalException", "InternalFailure"),
        *("ServiceUnavailable",),
    ],
    Answer.UNUSABLE: [
        *("KMSInvalidStateException", "KeyUnavailableException", "InvalidKeyUsageException"),
        *("InvalidArnException", "UnsupportedOperationException", "ValidationException"),
        "DryRunOperationException",
    ],
}
STATES = {
    "Creating": Answer.UNUSABLE,
    "Enabled": Answer.ENABLED,
    "Disabled": Answer.DISABLED,
    "PendingDeletion": Answer.PENDING_DELETION,
    "PendingImport": Answer.UNUSABLE,
    "PendingReplicaDeletion": Answer.PENDING_DELETION,
    "Unavailable": Answer.UNUSABLE,
    "Updating": Answer.ENABLED,
    "SomethingNew": Answer.UNUSABLE,
}
TIME_IS_UP = (Answer.UNREACHABLE, "no answer within 1 s")
PAGE = b"<html>who knows whose page</html>"

properties = settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def shared_key() -> Iterator[AwsKey]:
    with aws.account() as account:
        yield account.new_key()


@pytest.fixture(scope="module")
def shared_provider(shared_key: AwsKey) -> Iterator[Provider]:
    opened = shared_key.open(PATIENCE)
    yield opened
    opened.close()


@pytest.fixture
def key(shared_key: AwsKey, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsKey]:
    """A key that many tests share, each leaving it as it was; a second try comes at once."""
    monkeypatch.setattr(aws_kms, "_PAUSE", 0)
    shared_key.proxy.requests.clear()
    yield shared_key
    shared_key.proxy.heal()
    shared_key.proxy.described = {}
    shared_key.proxy.names_material = True
    shared_key.account.user.allow(*USED)


@pytest.fixture
def provider(key: AwsKey, shared_provider: Provider) -> Provider:
    return shared_provider


def ask(provider: Provider, call: Call, wrapped: bytes = b"x" * 200) -> object:
    match call:
        case Call.DESCRIBE:
            return provider.describe()
        case Call.WRAP:
            return provider.wrap(PLAIN, CONTEXT)
        case Call.UNWRAP:
            return provider.unwrap(wrapped, CONTEXT)


def refused(provider: Provider, call: Call) -> Refused:
    with pytest.raises(Refused) as caught:
        ask(provider, call)
    assert caught.value.call is call
    return caught.value


def answers(provider: Provider) -> set[Answer]:
    return {refused(provider, call).answer for call in Call}


class TestTables:
    @pytest.mark.parametrize(
        ("answer", "code"), [(answer, code) for answer, codes in ERRORS.items() for code in codes]
    )
    def test_each_documented_error(
        self, key: AwsKey, provider: Provider, answer: Answer, code: str
    ) -> None:
        key.proxy.fault(Refusal(code, "said by the vendor"))
        refusals = [refused(provider, call) for call in Call]
        assert {one.answer for one in refusals} == {answer}
        assert {one.reason for one in refusals} == {code}

    def test_a_state_that_does_not_allow_it_says_when_it_is_the_last(
        self, key: AwsKey, provider: Provider
    ) -> None:
        disabled, invalid = "DisabledException", "KMSInvalidStateException"
        said = {
            (disabled, "is pending deletion (or pending replica deletion)."): "pending deletion",
            (invalid, "is pending deletion."): "pending deletion",
            (disabled, "is disabled."): "disabled",
            (invalid, "is pending import."): "unusable",
            (invalid, "is unavailable."): "unusable",
            (invalid, "is not pending deletion."): "unusable",
        }
        for (code, message), answer in said.items():
            key.proxy.fault(Refusal(code, f"{key.arn} {message}"))
            assert answers(provider) == {answer}

    def test_the_page_on_aws_kms_says_the_same(self) -> None:
        page = Path("docs/reference/aws-kms.md").read_text(encoding="utf-8")
        rows = re.findall(r"^\| (`.+`) \| ([a-z ]+) \|", page, re.MULTILINE)
        written = {name: said for names, said in rows for name in re.findall(r"`(\w+)`", names)}
        assert written == {**aws_kms.STATES, **aws_kms.CODES}

    @pytest.mark.parametrize(
        ("status", "answer"),
        [
            *((status, Answer.UNREACHABLE) for status in (400, 401, 403, 404, 407, 500, 502, 503)),
            (429, Answer.THROTTLED),
        ],
    )
    def test_an_answer_without_a_code_is_not_of_the_provider(
        self, key: AwsKey, provider: Provider, status: int, answer: Answer
    ) -> None:
        for body in (b"", PAGE, b"{}"):
            key.proxy.fault(Raw(status, body))
            assert refused(provider, Call.DESCRIBE).answer is answer

    @pytest.mark.parametrize(
        ("status", "answer"),
        [
            (400, Answer.UNUSABLE),
            (404, Answer.UNUSABLE),
            (401, Answer.DENIED),
            (403, Answer.DENIED),
            (500, Answer.UNREACHABLE),
            (503, Answer.UNREACHABLE),
        ],
    )
    def test_a_code_that_is_not_documented(
        self, key: AwsKey, provider: Provider, status: int, answer: Answer
    ) -> None:
        key.proxy.fault(Refusal("SomethingNewException", "There is no such key.", status))
        assert answers(provider) == {answer}

    @pytest.mark.parametrize("state", STATES)
    def test_each_state_of_a_key(self, key: AwsKey, provider: Provider, state: str) -> None:
        key.proxy.described = {"KeyState": state}
        described = provider.describe()
        assert (described.answer, described.unfit) == (STATES[state], None)

    @properties
    @given(
        code=st.text(max_size=70).filter(lambda code: "NotFoundException" not in code),
        status=st.integers(400, 599),
        message=st.text(max_size=50),
    )
    def test_nothing_else_says_that_a_key_is_missing(
        self, code: str, status: int, message: str
    ) -> None:
        answer, reason = aws_kms._answer_to(
            {
                "Error": {"Code": code, "Message": message},
                "ResponseMetadata": {"HTTPStatusCode": status},
            }
        )
        assert answer not in (Answer.MISSING, Answer.ENABLED)
        assert len(reason) <= 100


class TestKeysThatCannotBeUsed:
    @pytest.mark.parametrize(
        "wanted",
        [
            {"KeySpec": "RSA_2048"},
            {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
            {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
            {"MultiRegion": True},
        ],
    )
    def test_keys_of_another_kind(self, aws_account: Account, wanted: dict[str, Any]) -> None:
        unfit = aws_account.new_key(**wanted).open().describe()
        assert unfit.unfit is not None
        assert aws_account.new_key().open().describe().unfit is None

    @pytest.mark.parametrize(
        "said",
        [
            {"KeyManager": "AWS"},
            {"MultiRegion": True},
            {"KeyUsage": "SIGN_VERIFY"},
            {"KeySpec": "SM2"},
            {"Arn": "arn:aws:kms:eu-central-1:210987654321:key/1234abcd"},
        ],
    )
    def test_each_reason(self, key: AwsKey, provider: Provider, said: dict[str, Any]) -> None:
        key.proxy.described = said
        assert provider.describe().unfit is not None

    def test_imported_bytes_are_as_good(self, key: AwsKey, provider: Provider) -> None:
        key.proxy.described = {"Origin": "EXTERNAL", "ExpirationModel": "KEY_MATERIAL_EXPIRES"}
        assert provider.describe().unfit is None

    @pytest.mark.parametrize(
        "name",
        [
            "arn:aws:kms:eu-central-1:123456789012:alias/ours",
            "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "alias/ours",
        ],
    )
    def test_a_name_that_is_no_arn_of_a_key_here_is_not_asked_about(
        self, key: AwsKey, name: str
    ) -> None:
        provider = AwsKms({**key.settings, "key_arn": name}, SECONDS)
        described = provider.describe()
        assert described.unfit is not None
        assert described.answer is Answer.UNUSABLE
        assert refused(provider, Call.WRAP).answer is Answer.UNUSABLE
        assert refused(provider, Call.UNWRAP).answer is Answer.UNUSABLE
        assert key.proxy.requests == []


class TestFaults:
    @pytest.mark.parametrize("fault", [Hang(), Cut(), Raw(500), Raw(502, PAGE)])
    def test_no_answer_is_unreachable_and_ends(
        self, key: AwsKey, provider: Provider, fault: Fault
    ) -> None:
        wrapped = provider.wrap(PLAIN, CONTEXT)
        key.proxy.fault(fault)
        hasty = key.open(SECONDS)
        assert answers(hasty) == {Answer.UNREACHABLE}
        hasty.close()
        key.proxy.heal()
        assert provider.unwrap(wrapped, CONTEXT).plain == PLAIN

    def test_an_answer_that_does_not_end_is_not_waited_for(self, key: AwsKey) -> None:
        hasty = key.open(SECONDS)
        key.proxy.fault(Drip())
        refusals = [refused(hasty, call) for call in Call]
        assert {(one.answer, one.reason) for one in refusals} == {TIME_IS_UP}

    def test_a_name_that_is_not_resolved_is_not_waited_for(
        self, key: AwsKey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ended = threading.Event()
        resolve = socket.getaddrinfo

        def never(host: str, *rest: Any, **more: Any) -> Any:
            if host == "kms.example":
                ended.wait(10)
            return resolve(host, *rest, **more)

        monkeypatch.setattr(socket, "getaddrinfo", never)
        provider = AwsKms({**key.settings, "endpoint_url": "https://kms.example"}, SECONDS)
        refusal = refused(provider, Call.DESCRIBE)
        ended.set()
        assert (refusal.answer, refusal.reason) == TIME_IS_UP

    @pytest.mark.parametrize(
        "fault", [Cut(), Raw(503), Refusal("ThrottlingException"), Refusal("KMSInternalException")]
    )
    def test_one_blip_is_not_noticed(self, key: AwsKey, provider: Provider, fault: Fault) -> None:
        key.proxy.fault(fault, times=1)
        wrapped = provider.wrap(PLAIN, CONTEXT)
        assert provider.unwrap(wrapped, CONTEXT).plain == PLAIN
        assert provider.describe().answer is Answer.ENABLED

    def test_time_is_left_for_a_second_try(self, key: AwsKey) -> None:
        provider = key.open(10.0)
        assert provider.describe().answer is Answer.ENABLED
        key.proxy.fault(Hang(), times=1)
        assert provider.describe().answer is Answer.ENABLED
        assert len(key.proxy.asked("DescribeKey")) == 3
        provider.close()

    @pytest.mark.parametrize(
        ("code", "times"),
        [
            ("DisabledException", 1),
            ("AccessDeniedException", 1),
            ("NotFoundException", 1),
            ("ThrottlingException", 2),
            ("KMSInternalException", 2),
        ],
    )
    def test_only_what_may_pass_is_asked_again_and_once(
        self, key: AwsKey, provider: Provider, code: str, times: int
    ) -> None:
        key.proxy.fault(Refusal(code))
        answers(provider)
        assert [len(key.proxy.asked(operation)) for operation in USED] == [times] * 3

    @pytest.mark.parametrize("body", [b"", PAGE, b"{", b"{}", b'{"KeyMetadata": {"Arn": "a'])
    def test_an_answer_without_what_was_asked_for(
        self, key: AwsKey, provider: Provider, body: bytes
    ) -> None:
        key.proxy.fault(Raw(200, body))
        assert answers(provider) == {Answer.UNREACHABLE}

    @pytest.mark.parametrize(
        "body",
        [
            *(b"[]", b'"x"', b"7"),
            b'{"KeyMetadata": [], "Plaintext": 7, "CiphertextBlob": {}}',
            b'{"KeyMetadata": {"Arn": 1, "KeyState": []}, "Plaintext": "!", "CiphertextBlob": "!"}',
        ],
    )
    def test_an_answer_in_no_known_form(self, key: AwsKey, provider: Provider, body: bytes) -> None:
        key.proxy.fault(Raw(200, body))
        assert answers(provider) == {Answer.WRONG}

    @pytest.mark.parametrize(
        "said",
        [
            {"KeyState": {}},
            {"DeletionDate": "soon"},
            {"DeletionDate": []},
            {"CurrentKeyMaterialId": 7},
            {"CurrentKeyMaterialId": "7" * 200},
        ],
    )
    def test_a_description_in_no_known_form(
        self, key: AwsKey, provider: Provider, said: dict[str, Any]
    ) -> None:
        key.proxy.names_material = "CurrentKeyMaterialId" not in said
        key.proxy.described = said
        assert refused(provider, Call.DESCRIBE).answer is Answer.WRONG

    @properties
    @given(
        answer=st.dictionaries(
            st.sampled_from(["KeyMetadata", "Plaintext", "CiphertextBlob", "KeyMaterialId"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                lambda one: (
                    st.lists(one, max_size=3)
                    | st.dictionaries(st.sampled_from(["Arn", "KeyState", "KeySpec"]), one)
                ),
                max_leaves=6,
            ),
        )
    )
    def test_any_answer_is_taken_or_refused(
        self, key: AwsKey, provider: Provider, answer: dict[str, Any]
    ) -> None:
        key.proxy.fault(Raw(200, json.dumps(answer).encode()))
        for call in Call:
            try:
                ask(provider, call)
            except Refused as refusal:
                assert refusal.answer in (Answer.WRONG, Answer.UNREACHABLE)  # noqa: PT017

    def test_a_wrong_plaintext_and_an_old_ciphertext_are_passed_on(self, aws_key: AwsKey) -> None:
        key, provider = aws_key, aws_key.open()
        old = provider.wrap(b"old", CONTEXT)
        key.proxy.fault(OldCiphertext(), "Encrypt")
        assert provider.unwrap(provider.wrap(PLAIN, CONTEXT), CONTEXT).plain != PLAIN
        key.proxy.fault(WrongPlaintext(), "Decrypt")
        opened = provider.unwrap(old, CONTEXT).plain
        assert opened != b"old"
        assert len(opened) == len(b"old")

    def test_a_vendor_that_repeats_what_it_was_sent_is_not_quoted(
        self, key: AwsKey, provider: Provider
    ) -> None:
        for code in (key.settings["access_key_id"], key.settings["secret_access_key"], "x" * 5_000):
            for message in (code, "Disabled\n" * 50):
                key.proxy.fault(Refusal(code, message, 400))
                for call in Call:
                    reason = refused(provider, call).reason
                    assert code not in reason
                    assert reason.isprintable()
                    assert len(reason) < 100


class TestWhatIsSent:
    def test_every_request_names_the_key_and_the_context(
        self, key: AwsKey, provider: Provider
    ) -> None:
        contexts = [CONTEXT, {**CONTEXT, "key": "zoë \U0001f511"}, {"instance": ""}]
        for context in contexts:
            assert provider.unwrap(provider.wrap(PLAIN, context), context).plain == PLAIN
        provider.describe()
        for operation in ("Encrypt", "Decrypt"):
            sent = [one.body for one in key.proxy.asked(operation)]
            assert [one["EncryptionContext"] for one in sent] == contexts
            assert {one["KeyId"] for one in sent} == {key.arn}
        assert {one.operation for one in key.proxy.requests} == set(USED)

    def test_a_ciphertext_of_another_key(self, aws_account: Account) -> None:
        wrapped = aws_account.new_key().open().wrap(PLAIN, CONTEXT)
        other = aws_account.new_key().open()
        with pytest.raises(Refused) as caught:
            other.unwrap(wrapped, CONTEXT)
        assert (caught.value.answer, caught.value.reason) == (Answer.WRONG, "IncorrectKeyException")

    def test_a_user_who_may_do_less_is_told_which_call(
        self, key: AwsKey, provider: Provider
    ) -> None:
        for call, operation in OPERATIONS.items():
            key.account.user.allow(*(one for one in USED if one != operation))
            assert refused(provider, call).answer is Answer.DENIED


class TestRotations:
    """What is known of the present bytes where DescribeKey does not say it."""

    @pytest.fixture(autouse=True)
    def _silent(self, key: AwsKey) -> None:
        key.proxy.names_material = False

    def test_they_need_not_be_allowed(self, key: AwsKey, provider: Provider) -> None:
        described = provider.describe()
        assert (described.answer, described.material_id) == (Answer.ENABLED, None)
        assert len(key.proxy.asked("ListKeyRotations")) == 1
        assert provider.unwrap(provider.wrap(PLAIN, CONTEXT), CONTEXT).material_id is None

    def test_the_last_of_them_names_the_bytes(self, key: AwsKey, provider: Provider) -> None:
        key.account.user.allow(*USED, "ListKeyRotations")
        seen = [provider.describe().material_id]
        for moment in (1_700_000_000, 1_750_000_000):
            rotations = [{"RotationDate": moment}, {"RotationDate": 1_600_000_000}]
            answer = json.dumps({"Rotations": rotations}).encode()
            key.proxy.fault(Raw(200, answer), "ListKeyRotations")
            seen.append(provider.describe().material_id)
        moments = (1_700_000_000, 1_750_000_000)
        texts = [clock.text_of(datetime.fromtimestamp(one, UTC)) for one in moments]
        assert seen == [None, *texts]

    def test_or_it_is_said_which_are_current(self, key: AwsKey, provider: Provider) -> None:
        rotations = [
            {"KeyMaterialId": "a" * 64, "KeyMaterialState": "NON_CURRENT"},
            {"KeyMaterialId": "b" * 64, "KeyMaterialState": "CURRENT"},
        ]
        answer = json.dumps({"Rotations": rotations}).encode()
        key.proxy.fault(Raw(200, answer), "ListKeyRotations")
        assert provider.describe().material_id == "b" * 64

    def test_a_date_is_no_name_where_bytes_have_one(self, key: AwsKey, provider: Provider) -> None:
        rotations = [{"KeyMaterialId": "a" * 64, "RotationDate": 1_700_000_000}]
        answer = json.dumps({"Rotations": rotations}).encode()
        key.proxy.fault(Raw(200, answer), "ListKeyRotations")
        assert provider.describe().material_id is None

    def test_they_are_not_asked_for_without_need(self, key: AwsKey, provider: Provider) -> None:
        key.proxy.names_material = True
        assert provider.describe().material_id == key.proxy.material_id(key.key_id)
        assert key.proxy.asked("ListKeyRotations") == []


class TestCredentials:
    """Those that the machine has, when the settings have none."""

    @pytest.fixture(autouse=True)
    def _bare(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            monkeypatch.setenv(name, str(tmp_path / name))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)

    @pytest.fixture
    def bare(self, key: AwsKey) -> Iterator[Provider]:
        kept = ("region", "key_arn", "endpoint_url")
        opened = AwsKms({name: key.settings[name] for name in kept}, 5.0)
        yield opened
        opened.close()

    def test_they_are_looked_for_again_after_a_refusal(
        self, key: AwsKey, bare: Provider, tmp_path: Path
    ) -> None:
        assert refused(bare, Call.DESCRIBE).reason == "NoCredentialsError"
        assert answers(bare) == {Answer.DENIED}
        file = tmp_path / "AWS_SHARED_CREDENTIALS_FILE"
        pair = "aws_access_key_id = {access_key_id}\naws_secret_access_key = {secret_access_key}"
        stale = pair.format(access_key_id="AKIAOLD", secret_access_key="of last year")
        for text, works in ((stale, False), (pair.format_map(key.settings), True)):
            file.write_text(f"[default]\n{text}\n")
            if works:
                assert bare.describe().answer is Answer.ENABLED
            else:
                assert answers(bare) == {Answer.DENIED}

    @pytest.mark.parametrize(
        ("name", "value"),
        [("AWS_PROFILE", "nobody"), ("AWS_ACCESS_KEY_ID", "AKIAHALF")],
    )
    def test_a_machine_that_is_set_up_wrong(
        self, bare: Provider, monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        monkeypatch.setenv(name, value)
        assert answers(bare) == {Answer.DENIED}

    def test_the_machine_does_not_say_where_the_key_is(
        self, key: AwsKey, provider: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", key.proxy.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", key.proxy.url)
        asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_a, **_k: asked.append(host))
        settings = {name: one for name, one in key.settings.items() if name != "endpoint_url"}
        assert refused(AwsKms(settings, SECONDS), Call.DESCRIBE).answer is Answer.UNREACHABLE
        assert set(asked) == {"kms.eu-central-1.amazonaws.com"}
        assert key.proxy.requests == []


class TestSettings:
    @pytest.mark.parametrize(
        ("changed", "code"),
        [
            ({"region": "Frankfurt am Main"}, "external.setting_value"),
            ({"region": "x" * 64}, "external.setting_value"),
            ({"endpoint_url": "localhost:4566"}, "external.setting_value"),
            ({"endpoint_url": "http://"}, "external.setting_value"),
            ({"endpoint_url": "http://host:port"}, "external.setting_value"),
            ({"endpoint_url": "http://kms.example"}, "external.setting_value"),
            ({"endpoint_url": "http://[::1"}, "external.setting_value"),
            ({"endpoint_url": "https://user:password@host"}, "external.setting_value"),
            ({"endpoint_url": "file:///etc/passwd"}, "external.setting_value"),
            ({"access_key_id": None}, "external.setting_missing"),
            ({"secret_access_key": None}, "external.setting_missing"),
        ],
    )
    def test_what_cannot_be_used_is_refused_before_anybody_is_asked(
        self, key: AwsKey, changed: dict[str, str | None], code: str
    ) -> None:
        merged = {**key.settings, **changed}
        given = {name: value for name, value in merged.items() if value is not None}
        with pytest.raises(Invalid) as caught:
            AwsKms(given, SECONDS)
        assert caught.value.code == code

    def test_without_boto3(self, key: AwsKey, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "boto3", None)
        with pytest.raises(Misconfigured) as caught:
            key.open()
        assert caught.value.code == "external.library"

    def test_the_library_is_loaded_by_who_has_such_keys(self) -> None:
        script = (
            "import sys, keystead.adapters.external_keys.aws_kms;"
            "sys.exit(any(name in sys.modules for name in ('boto3', 'botocore')))"
        )
        assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
