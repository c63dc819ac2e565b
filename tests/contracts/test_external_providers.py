"""What every provider of external keys keeps, with the real thing behind each."""

from __future__ import annotations

import threading
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.external import aws, hsm, key_file
from tests.external.subject import Subject

from keystead.base import clock
from keystead.external.kinds import KINDS
from keystead.external.provider import Answer, Call, Provider, Refused, Unwrapped

SUBJECTS: dict[str, Callable[[Path], AbstractContextManager[Subject]]] = {
    "aws_kms": aws.new_key,
    "pkcs11": hsm.new_key,
    "file": key_file.new_key,
}
DELETE_LATER = ("aws_kms", "file")
LOG_IN = ("aws_kms", "pkcs11")
PLAIN = bytes(range(72, 72 + 76))
CONTEXT = {"instance": "5f0c", "configuration": "aws", "key": "9b1d"}
SIZES = (1, 2, 16, 32, 76, 1_000, 4_096)
THREADS = 8
# what opens nothing that was wrapped for CONTEXT
OTHERS: tuple[dict[str, str], ...] = (
    {},
    {**CONTEXT, "key": "9b1e"},
    {**CONTEXT, "more": "x"},
    {name: value for name, value in CONTEXT.items() if name != "key"},
    {"instance": "5f0c", "configuration": "aw", "skey": "9b1d"},
    {"instance": "9b1d", "configuration": "aws", "key": "5f0c"},
)

properties = settings(
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    with SUBJECTS[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def provider(subject: Subject) -> Iterator[Provider]:
    opened = subject.open()
    yield opened
    opened.close()


@pytest.fixture
def wrapped(provider: Provider) -> bytes:
    return provider.wrap(PLAIN, CONTEXT)


def refused(call: Call, ask: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as caught:
        ask()
    assert caught.value.call is call
    return caught.value


def used(provider: Provider, wrapped: bytes) -> list[Refused]:
    """The refusals to wrap and to open."""
    return [
        refused(Call.WRAP, lambda: provider.wrap(PLAIN, CONTEXT)),
        refused(Call.UNWRAP, lambda: provider.unwrap(wrapped, CONTEXT)),
    ]


def asked(provider: Provider, wrapped: bytes) -> list[Refused]:
    """The refusals of all three calls."""
    return [refused(Call.DESCRIBE, provider.describe), *used(provider, wrapped)]


def answers(refusals: list[Refused]) -> set[Answer]:
    return {one.answer for one in refusals}


def works(provider: Provider, wrapped: bytes) -> bool:
    """Whether it is enabled, opens what was wrapped, and wraps."""
    again = provider.wrap(PLAIN, CONTEXT)
    return (
        provider.describe().answer is Answer.ENABLED
        and provider.unwrap(wrapped, CONTEXT).plain == PLAIN
        and provider.unwrap(again, CONTEXT).plain == PLAIN
    )


def test_it_says_what_it_is(subject: Subject, provider: Provider) -> None:
    first = provider.describe()
    assert subject.kind in KINDS
    assert KINDS[subject.kind].checked(subject.settings) == dict(subject.settings)
    assert first.answer is Answer.ENABLED
    assert first.reference
    assert first.unfit is None
    assert first.deletion_at is None
    assert provider.describe() == first


def test_what_is_wrapped_opens_and_is_not_to_be_read(provider: Provider) -> None:
    material = provider.describe().material_id
    for size in SIZES:
        plain = (PLAIN * (size // len(PLAIN) + 1))[:size]
        wrapped = provider.wrap(plain, CONTEXT)
        assert provider.unwrap(wrapped, CONTEXT) == Unwrapped(plain, material)
        assert len(wrapped) > size
        assert wrapped != provider.wrap(plain, CONTEXT)
        assert size < 16 or plain not in wrapped


def test_another_provider_of_the_key_opens_it(subject: Subject, wrapped: bytes) -> None:
    other = subject.open()
    assert other.unwrap(wrapped, CONTEXT).plain == PLAIN
    other.close()


def test_the_order_of_a_context_says_nothing(provider: Provider, wrapped: bytes) -> None:
    turned = dict(reversed(CONTEXT.items()))
    assert provider.unwrap(wrapped, turned).plain == PLAIN


def test_another_context_opens_nothing(provider: Provider, wrapped: bytes) -> None:
    for context in OTHERS:
        refusal = refused(Call.UNWRAP, lambda one=context: provider.unwrap(wrapped, one))
        assert refusal.answer is Answer.WRONG


@properties
@given(data=st.data())
def test_changed_bytes_open_nothing(
    provider: Provider, wrapped: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(wrapped) - 1))
    mask = data.draw(st.integers(1, 255))
    changed = wrapped[:at] + bytes([wrapped[at] ^ mask]) + wrapped[at + 1 :]
    refusal = refused(Call.UNWRAP, lambda: provider.unwrap(changed, CONTEXT))
    assert refusal.answer is Answer.WRONG


@properties
@given(data=st.data())
def test_fewer_or_more_bytes_open_nothing(
    provider: Provider, wrapped: bytes, data: st.DataObject
) -> None:
    cut = wrapped[: data.draw(st.integers(0, len(wrapped) - 1))]
    grown = wrapped + data.draw(st.binary(min_size=1, max_size=100))
    for changed in (cut, grown, grown + bytes(10_000)):
        refusal = refused(Call.UNWRAP, lambda one=changed: provider.unwrap(one, CONTEXT))
        assert refusal.answer is Answer.WRONG


@properties
@given(made_up=st.binary(max_size=200))
def test_what_was_never_wrapped_opens_nothing(provider: Provider, made_up: bytes) -> None:
    refusal = refused(Call.UNWRAP, lambda: provider.unwrap(made_up, CONTEXT))
    assert refusal.answer is Answer.WRONG


def test_disabled_and_enabled_again(subject: Subject, provider: Provider, wrapped: bytes) -> None:
    before = provider.describe()
    subject.disable()
    disabled = provider.describe()
    assert disabled.answer is Answer.DISABLED
    assert disabled.reference == before.reference
    assert answers(used(provider, wrapped)) == {Answer.DISABLED}
    subject.enable()
    assert provider.describe() == before
    assert works(provider, wrapped)


def test_rotated(subject: Subject, provider: Provider, wrapped: bytes) -> None:
    materials = [provider.describe().material_id]
    wrappings = [wrapped]
    for _ in range(2):
        subject.rotate()
        wrappings.append(provider.wrap(PLAIN, CONTEXT))
        materials.append(provider.describe().material_id)
    assert None not in materials
    assert len(set(materials)) == 3
    opened = [provider.unwrap(one, CONTEXT) for one in wrappings]
    assert opened == [Unwrapped(PLAIN, one) for one in materials]


@pytest.mark.parametrize("subject", DELETE_LATER, indirect=True)
@pytest.mark.parametrize("days", [7, 30])
def test_about_to_be_deleted(
    subject: Subject, provider: Provider, wrapped: bytes, days: int
) -> None:
    earliest = datetime.now(UTC) + timedelta(days=days - 1)
    subject.schedule_deletion(days)
    latest = datetime.now(UTC) + timedelta(days=days, seconds=1)
    pending = provider.describe()
    assert pending.answer is Answer.PENDING_DELETION
    assert pending.deletion_at is not None
    assert earliest <= clock.parse(pending.deletion_at) <= latest
    assert answers(used(provider, wrapped)) == {Answer.PENDING_DELETION}

    subject.cancel_deletion()
    cancelled = provider.describe()
    assert (cancelled.answer, cancelled.deletion_at) == (Answer.DISABLED, None)
    assert answers(used(provider, wrapped)) == {Answer.DISABLED}
    subject.enable()
    assert works(provider, wrapped)


def test_removed(subject: Subject, provider: Provider, wrapped: bytes) -> None:
    subject.remove()
    assert answers(asked(provider, wrapped)) == {Answer.MISSING}


def test_taken_away_and_given_back(subject: Subject, provider: Provider, wrapped: bytes) -> None:
    before = provider.describe()
    subject.take_away()
    assert answers(asked(provider, wrapped)) == {Answer.UNREACHABLE}
    opened_meanwhile = subject.open()
    assert answers(asked(opened_meanwhile, wrapped)) == {Answer.UNREACHABLE}
    subject.give_back()
    for one in (provider, opened_meanwhile):
        assert one.describe() == before
        assert works(one, wrapped)
    opened_meanwhile.close()


@pytest.mark.parametrize("subject", LOG_IN, indirect=True)
def test_wrong_credentials(subject: Subject, provider: Provider, wrapped: bytes) -> None:
    stranger = subject.wrong_credentials()
    assert answers(asked(stranger, wrapped)) == {Answer.DENIED}
    stranger.close()
    assert works(provider, wrapped)


def test_many_threads(provider: Provider) -> None:
    together = threading.Barrier(THREADS, timeout=60)

    def round_trips(number: int) -> list[bytes]:
        context = {**CONTEXT, "thread": str(number)}
        plain = bytes([number]) * 32
        together.wait()
        done = []
        for _ in range(5):
            wrapped = provider.wrap(plain, context)
            provider.describe()
            done.append(provider.unwrap(wrapped, context).plain)
        return done

    with ThreadPoolExecutor(THREADS) as threads:
        done = list(threads.map(round_trips, range(THREADS)))
    assert done == [[bytes([number]) * 32] * 5 for number in range(THREADS)]


def test_a_closed_one_leaves_others_alone(subject: Subject, provider: Provider) -> None:
    closed = subject.open()
    wrapped = closed.wrap(PLAIN, CONTEXT)
    closed.close()
    assert works(provider, wrapped)


def test_reasons_hold_no_secrets(subject: Subject, provider: Provider, wrapped: bytes) -> None:
    refusals = [refused(Call.UNWRAP, lambda: provider.unwrap(wrapped, {}))]
    if subject.kind in LOG_IN:
        stranger = subject.wrong_credentials()
        refusals += asked(stranger, wrapped)
        stranger.close()
    subject.disable()
    refusals += used(provider, wrapped)
    subject.take_away()
    refusals += asked(provider, wrapped)
    subject.give_back()
    subject.remove()
    refusals += asked(provider, wrapped)
    held = [
        *subject.secrets,
        *(form for raw in (PLAIN, wrapped) for form in (raw.hex(), b64encode(raw).decode())),
    ]
    for refusal, secret in product(refusals, held):
        assert secret not in "".join(traceback.format_exception(refusal))
    for refusal in refusals:
        assert refusal.reason.isprintable()
        assert 0 < len(refusal.reason) <= 300
