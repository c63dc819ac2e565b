"""EKEKs in memory, under a lease that only the provider of their external key renews.

A lease begins when the provider is asked to open the EKEK, and ends after the configuration's
`lease_seconds`. It is renewed beforehand, in the background, once a third of it is over and
somebody uses it; who finds none asks himself. So data is dark, in every process:

- when the provider refuses: as soon as a renewal is answered, a third of a lease after the refusal
  at the latest while data is being used
- when the provider says nothing: when the lease ends, or `grace_seconds` later
- when the configuration was revoked here: with the next transaction in the same process

A lease lasts as its configuration said when it began, or less: times that are changed later do not
prolong it. What has lapsed is forgotten.

Who is refused is refused without asking again until a third of a lease has passed, so a provider
that does not answer costs its time-out once in that time.
"""

from __future__ import annotations

import base64
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from keystead.base.errors import Denied, KeysteadError, NotFound, Tampered, Unavailable
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import wrap
from keystead.database.integrity import Fields
from keystead.external import configurations
from keystead.external.model import EkekState, State
from keystead.external.provider import Answer, Call, OpenProvider, Provider, Refused, Unwrapped
from keystead.external.status import STATUS_AFTER, TRANSIENT
from keystead.external.tables import CONFIGURATIONS, EKEKS, STATUSES
from keystead.keys.hierarchy import Hierarchy

_PARTS: Final = 3  # of a lease, after the first of which it is renewed
# goes on while the machine sleeps, where the system has such a clock
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_HARMLESS: Final = TRANSIENT | {Answer.ENABLED}
_OTHER_BYTES: Final = "what was given back is not what was wrapped"


def _seconds() -> float:
    return time.clock_gettime(_CLOCK)


@dataclass(slots=True)
class _Lease:
    """One EKEK as this process knows it."""

    ekek: Fields
    configuration: Fields
    heard: int = 0  # the revision of the status that was seen last
    secret: Secret | None = None
    granted: float = 0.0
    lasting: float = 0.0
    grace: float = 0.0
    tried: float | None = None
    refused: Refused | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def pause(self) -> float:
        """Seconds between two calls to the provider."""
        return float(self.configuration["lease_seconds"]) / _PARTS

    def opened(self, now: float) -> Secret | None:
        """The EKEK, while its lease lasts."""
        until = self.granted + min(self.lasting, float(self.configuration["lease_seconds"]))
        if self.refused is not None and self.refused.answer in TRANSIENT:
            until += min(self.grace, float(self.configuration["grace_seconds"]))
        return self.secret if now < until else None

    def grant(self, secret: Secret, begun: float, configuration: Fields) -> None:
        """Begin anew, with what the provider opened when it was asked at `begun`."""
        self.lasting = float(configuration["lease_seconds"])
        self.grace = float(configuration["grace_seconds"])
        self.secret, self.granted, self.refused = secret, begun, None

    def forget_lapsed(self, now: float) -> None:
        """Forget an EKEK that may not be used any more, not even in a time of grace."""
        if now >= self.granted + self.lasting + self.grace:
            self.secret = None

    def is_due(self, now: float) -> bool:
        """Whether the provider is to be asked again."""
        return self.tried is None or now >= self.tried + self.pause


class Leases:
    """The EKEKs of one instance in one process (`keys.hierarchy.Ekeks`). Safe for threads."""

    def __init__(
        self,
        hierarchy: Hierarchy,
        open_provider: OpenProvider,
        clock: Callable[[], float] = _seconds,
    ) -> None:
        self._hierarchy = hierarchy
        self._open_provider = open_provider
        self._clock = clock
        self._leases: dict[str, _Lease] = {}
        self._providers: dict[str, tuple[str, Provider]] = {}
        self._lock = threading.Lock()
        self._news: dict[str, Answer] = {}
        self.calls: Counter[Call] = Counter()

    # --- what the hierarchy asks for ---

    def current(self, tx: Connection, configuration_id: str) -> str:
        """The id of the EKEK that wraps new keys under a configuration.

        Raises:
            NotFound: when the configuration has none.
            Denied: when it was revoked here.
        """
        configuration = self._configuration(tx, configuration_id)
        _refuse_revoked(configuration)
        return str(active_ekek(tx, self._hierarchy, configuration)["sys_id"])

    def open(self, tx: Connection, ekek_id: str) -> Secret:
        """An EKEK whose lease lasts; the provider is asked when there is none.

        Raises:
            Denied: when the external key may not be used.
            Unavailable: when its provider does not answer.
            Tampered: when a row about it is not as it was written.
        """
        ekek = self._hierarchy.integrity.remembered(
            tx, (EKEKS,), ("ekek", ekek_id), lambda: _ekek(tx, self._hierarchy, ekek_id)
        )
        configuration = self._configuration(tx, ekek["configuration_id"])
        status = self._status(tx, configuration["sys_id"])
        return self._secret(self._lease(ekek, configuration, status))

    def refusal(self, ekek_id: str) -> KeysteadError | None:
        """Why what was opened by this EKEK may not be used any more; None while it may."""
        lease = self._leases.get(ekek_id)
        if lease is None:
            return Unavailable("external.not_open")
        try:
            self._secret(lease)
        except KeysteadError as error:
            return error
        return None

    def wrap_transport(
        self, configuration: Fields, transport: Secret, context: Mapping[str, str]
    ) -> bytes:
        """A key that protects others on their way, wrapped by the external key alone.

        Raises:
            Denied, Unavailable: when the external key may not be used, or cannot be asked.
        """
        try:
            _refuse_revoked(configuration)
            self.calls[Call.WRAP] += 1
            wrapped = self.provider(configuration).wrap(transport.reveal(REVEAL), context)
            again = self._transport(configuration, wrapped, context)
        except Refused as refused:
            raise dark(configuration, refused) from None
        if not wrap.same(again, transport):
            raise dark(configuration, Refused(Call.UNWRAP, Answer.WRONG, _OTHER_BYTES))
        return wrapped

    def unwrap_transport(
        self, configuration: Fields, wrapped: bytes, context: Mapping[str, str]
    ) -> Secret:
        """What `wrap_transport` was given, by whoever may use the same external key.

        Raises:
            Denied, Unavailable: when the external key may not be used, did not wrap it for
                `context`, or cannot be asked.
        """
        try:
            return self._transport(configuration, wrapped, context)
        except Refused as refused:
            raise dark(configuration, refused) from None

    # --- what the operations of this package ask for ---

    def provider(self, configuration: Fields) -> Provider:
        """The opened provider of a configuration.

        Raises:
            Misconfigured, Invalid: when it cannot be opened as it is configured.
        """
        stamp = str(configuration["tag"])
        with self._lock:
            known = self._providers.get(configuration["sys_id"])
            if known is not None and known[0] == stamp:
                return known[1]
            made = self._open_provider(
                configuration["kind"],
                configurations.all_settings(self._hierarchy, configuration),
                float(configuration["timeout_seconds"]),
            )
            self._providers[configuration["sys_id"]] = (stamp, made)
        if known is not None:
            known[1].close()
        return made

    def unwrap(
        self, configuration: Fields, ekek_id: str, wrapped: bytes
    ) -> tuple[Secret, str | None]:
        """An EKEK out of its wrapping, and which bytes of the external key opened it.

        Raises:
            Refused: when the provider did not open it; `WRONG` when what it gave back is not it.
        """
        self.calls[Call.UNWRAP] += 1
        context = configurations.context(self._hierarchy, configuration["sys_id"])
        found: Unwrapped = self.provider(configuration).unwrap(wrapped, context)
        try:
            secret = self._hierarchy.unwrap_ekek(configuration["sys_id"], ekek_id, found.plain)
        except Tampered:
            raise Refused(Call.UNWRAP, Answer.WRONG, _OTHER_BYTES) from None
        return secret, found.material_id

    def wrap(self, configuration: Fields, ekek_id: str, ekek: Secret) -> tuple[bytes, str | None]:
        """An EKEK as it is stored, opened again; and which bytes of the external key wrapped it.

        Raises:
            Refused: when the provider did not wrap it, or does not open what it wrapped.
        """
        self.calls[Call.WRAP] += 1
        configuration_id = configuration["sys_id"]
        inner = self._hierarchy.wrap_ekek(configuration_id, ekek_id, ekek)
        context = configurations.context(self._hierarchy, configuration_id)
        wrapped = self.provider(configuration).wrap(inner, context)
        self.calls[Call.UNWRAP] += 1
        again: Unwrapped = self.provider(configuration).unwrap(wrapped, context)
        if again.plain != inner:
            # an older wrapping of the same EKEK opens as well, and is not what was asked for
            raise Refused(Call.UNWRAP, Answer.WRONG, _OTHER_BYTES)
        return wrapped, again.material_id

    def forget_lapsed(self) -> None:
        """Forget the EKEKs that may not be used any more."""
        with self._lock:
            leases = list(self._leases.values())
        for lease in leases:
            if lease.turn.acquire(blocking=False):
                try:
                    lease.forget_lapsed(self._clock())
                finally:
                    lease.turn.release()

    def take_news(self) -> dict[str, Answer]:
        """What was heard of each configuration since this was last asked."""
        with self._lock:
            news, self._news = self._news, {}
        return news

    def close(self) -> None:
        """Forget every EKEK, and close the providers."""
        with self._lock:
            providers, self._providers = self._providers, {}
            self._leases.clear()
        for _, provider in providers.values():
            provider.close()

    def _transport(
        self, configuration: Fields, wrapped: bytes, context: Mapping[str, str]
    ) -> Secret:
        _refuse_revoked(configuration)
        self.calls[Call.UNWRAP] += 1
        return Secret(self.provider(configuration).unwrap(wrapped, context).plain)

    # --- leases ---

    def _secret(self, lease: _Lease) -> Secret:
        _refuse_revoked(lease.configuration)
        now = self._clock()
        opened = lease.opened(now)
        if opened is None:
            return self._asked(lease)
        if lease.is_due(now) and lease.turn.acquire(blocking=False):
            lease.tried = now
            # a daemon: a provider that hangs must not keep a command from ending
            renewing = threading.Thread(target=self._renew_and_release, args=(lease,), daemon=True)
            try:
                renewing.start()
            except RuntimeError:  # the machine gives no more threads; who finds no lease will ask
                lease.turn.release()
        return opened

    def _asked(self, lease: _Lease) -> Secret:
        """Ask the provider now, one thread for all; who was just refused is refused again."""
        if lease.refused is not None and not lease.is_due(self._clock()):
            raise dark(lease.configuration, lease.refused)
        with lease.turn:
            opened = lease.opened(self._clock())
            if opened is None and lease.is_due(self._clock()):
                lease.tried = self._clock()
                self._renew(lease)
                opened = lease.opened(self._clock())
            lease.forget_lapsed(self._clock())
        if opened is not None:
            return opened
        if lease.refused is None:  # it ended while its successor was awaited
            raise Unavailable("external.lapsed", name=lease.configuration["name"])
        raise dark(lease.configuration, lease.refused)

    def _renew_and_release(self, lease: _Lease) -> None:
        try:
            self._renew(lease)
        finally:
            lease.turn.release()

    def _renew(self, lease: _Lease) -> None:
        begun, configuration = self._clock(), lease.configuration
        wrapped = base64.b64decode(lease.ekek["wrapped"])
        try:
            secret, _ = self.unwrap(configuration, lease.ekek["sys_id"], wrapped)
        except Refused as refused:
            lease.refused = refused
            if refused.answer not in TRANSIENT:
                lease.secret = None
        except KeysteadError as error:
            lease.refused = Refused(Call.UNWRAP, Answer.UNREACHABLE, error.what)
        else:
            lease.grant(secret, begun, configuration)
        if lease.refused is not None:
            lease.tried = self._clock()  # however long the call took, the next one waits
        answer = lease.refused.answer if lease.refused else Answer.ENABLED
        with self._lock:
            self._news[lease.configuration["sys_id"]] = answer

    def _lease(self, ekek: Fields, configuration: Fields, status: Fields | None) -> _Lease:
        """The lease of an EKEK by the newest rows that any transaction has seen.

        The provider is asked again by other credentials or times, for another wrapping, and when
        another process has heard something.
        """
        with self._lock:
            lease = self._leases.get(ekek["sys_id"])
            if lease is None:
                heard = 0 if status is None else int(status["revision"])
                lease = self._leases[ekek["sys_id"]] = _Lease(ekek, configuration, heard)
            if configuration["revision"] > lease.configuration["revision"]:
                lease.configuration, lease.tried = configuration, None
            if ekek["revision"] > lease.ekek["revision"]:
                lease.ekek, lease.tried = ekek, None
            if status is not None and int(status["revision"]) > lease.heard:
                lease.heard, lease.tried = int(status["revision"]), None
                if Answer(status["answer"]) not in _HARMLESS:
                    lease.secret = None
        return lease

    # --- rows ---

    def _configuration(self, tx: Connection, configuration_id: str) -> Fields:
        return self._hierarchy.integrity.remembered(
            tx,
            (CONFIGURATIONS,),
            ("external configuration", configuration_id),
            lambda: configurations.of_id(tx, self._hierarchy, configuration_id),
        )

    def _status(self, tx: Connection, configuration_id: str) -> Fields | None:
        return self._hierarchy.integrity.remembered(
            tx,
            (STATUSES,),
            ("external status", configuration_id),
            lambda: status_row(tx, self._hierarchy, configuration_id),
        )


def dark(configuration: Fields, refused: Refused) -> KeysteadError:
    """Why data under an external key is dark; its provider's words are for those who may know."""
    family = Unavailable if refused.answer in TRANSIENT else Denied
    return family(
        "external.dark",
        name=configuration["name"],
        status=STATUS_AFTER[refused.answer],
        answer=refused.answer,
    )


def status_row(tx: Connection, hierarchy: Hierarchy, configuration_id: str) -> Fields | None:
    """What was last heard of a configuration's key; None before anything was."""
    condition = STATUSES.c.configuration_id == configuration_id
    found = hierarchy.integrity.all(tx, STATUSES, condition)
    return found[0] if found else None


def active_ekek(tx: Connection, hierarchy: Hierarchy, configuration: Fields) -> Fields:
    """The EKEK that wraps new keys under a configuration.

    Raises:
        NotFound: when there is none: the configuration was not activated, or is retired.
    """
    missing = NotFound("external.no_ekek", name=configuration["name"])
    return hierarchy.integrity.one(tx, EKEKS, missing, EKEKS.c.active_of == configuration["sys_id"])


def _ekek(tx: Connection, hierarchy: Hierarchy, ekek_id: str) -> Fields:
    found = hierarchy.integrity.all(tx, EKEKS, EKEKS.c.sys_id == ekek_id)
    if not found or found[0]["state"] == EkekState.RETIRED:
        raise Tampered("row.tampered", row=ekek_id, table=EKEKS.name)
    return found[0]


def _refuse_revoked(configuration: Fields) -> None:
    if configuration["state"] == State.REVOKED:
        raise Denied("external.revoked", name=configuration["name"])
