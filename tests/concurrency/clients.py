"""Clients that change a table while jobs work on it, each with a journal of what was acknowledged.

There are three kinds. A *user* writes as the Table API does, by `Writer`, and a *caller* by calls
over HTTPS. An *application* writes by SQL of its own and knows nothing of Keystead. Each row
belongs to one of them; of a user's or caller's row, an application writes the name and the note, so
that both change the same row at once.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
from tests.concurrency.foreign import Foreign, Gone, Refused, Twice, Values
from tests.concurrency.places import ACTOR, Place

from keystead.access.accounts import make_token
from keystead.access.permissions import Permissions, subject
from keystead.access.rejections import Refusals
from keystead.base.errors import Conflict, KeysteadError, NotFound, Unavailable
from keystead.instance.opening import Instance
from keystead.keys.usage import Meter, Use
from keystead.records.reading import View
from keystead.records.writing import Writer

USER = "ada"
PATIENCE = 300.0
MOST_ROWS = 40
PAUSES = {"user": 0.3, "application": 0.1}  # seconds at most
TEXTS: tuple[str | None, ...] = (
    *("Zoë", "zoë", "ZOË", "Zoe", "zoe ", "Zoë ", " Zoë", "", None, " ", "NULL", "0", "00", "~ks"),
    *("Ve\u0301ra", "V\u00e9ra", "山田", "I", "ı", "ß", "ss", 'O\'Neil, "S"\\', "%s", "x" * 70),
)
NUMBERS: tuple[int | None, ...] = (0, None, -1, 7, 2**63 - 1, -(2**63))
# of a key; a collation may take two of them for one, so there is a number before
ENDINGS = ("a", "A", "á", "a ", "A ", "ä", "山")
Journal = dict[str, Values]
_MEANS = {404: NotFound, 409: Conflict}
# the database was in use, or an application changed the row at the same moment
_NOTHING_TAKEN = ("database.busy", "row.changed")


def writing(at: Instance, act: Callable[[Writer], Any], table: str = "people") -> Any:
    """Write rows as the Table API does, in a transaction."""
    with at.database.transaction() as tx:
        asking = subject(tx, at.hierarchy.integrity, USER)
        permissions = Permissions(tx, at.hierarchy.integrity, asking, Refusals())
        view = View(tx, at.database, at.hierarchy, table, permissions)
        return act(Writer(view, at.hierarchy, Use(Meter(at.database, at.hierarchy))))


class Clients:
    """All clients of one table, their common journal, and what they may do at the moment."""

    def __init__(
        self, place: Place, seed: int, *, users: int, applications: int, callers: int = 0
    ) -> None:
        self.journal: Journal = {}
        self.done: Counter[str] = Counter()
        self.errors: list[BaseException] = []
        self.plain_is_welcome = threading.Event()
        self.plain_is_welcome.set()
        self._stopped = threading.Event()
        self._all: list[Client] = [
            *(User(self, place, f"u{n}", seed) for n in range(users)),
            *(Caller(self, place, f"u{users + n}", seed) for n in range(callers)),
            *(
                Application(self, place, f"a{n}", seed, users + callers)
                for n in range(applications)
            ),
        ]
        self._threads = [threading.Thread(target=self._run, args=(one,)) for one in self._all]

    def fill(self, rows: int) -> None:
        for number in range(rows):
            self._all[number % len(self._all)].begin_with_a_row()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def refuse_plain(self) -> None:
        """From now on no application writes plain values; none is about to."""
        self.plain_is_welcome.clear()
        for one in self._all:
            if isinstance(one, Application):
                with one.turn:
                    pass

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=120)
        if self.errors:
            raise self.errors[0]

    def _run(self, client: Client) -> None:
        try:
            while not self._stopped.is_set():
                with client.turn:
                    name = client.act()
                self.done[name] += 1
                time.sleep(client.chance.uniform(0, PAUSES[name.split()[0]]))
        except BaseException as error:
            self.errors.append(error)
        finally:
            client.close()


class Client:
    """Does one thing after the other to rows of its own."""

    def __init__(self, clients: Clients, place: Place, name: str, seed: int) -> None:
        self.turn = threading.Lock()
        self.name = name
        self.chance = random.Random(f"{seed} {name}")
        self.journal = clients.journal
        self.clients = clients
        self.foreign = Foreign(place)
        self._made = 0

    def begin_with_a_row(self) -> None:
        """Before anything else is there, rows are simply written."""
        values = self.new_row()
        self.foreign.insert(values)
        self.journal[values["uid"]] = values

    def act(self) -> str:
        raise NotImplementedError

    def surely(self, act: Callable[[], Any], *, unless: type[Exception]) -> Any:
        """Do it, again and again where it is not known whether it was done.

        Done again, what was done before is refused with `unless`.
        """
        end, was_tried = time.monotonic() + PATIENCE, False
        while True:
            try:
                return act()
            except Gone:
                self.clients.done["again"] += 1
                was_tried = True
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
            except Refused:
                if not was_tried:  # else the try before may have been taken
                    raise
            except unless:
                if not was_tried:
                    raise
                return None

    def close(self) -> None:
        self.foreign.close()

    def new_row(self) -> Values:
        self._made += 1
        uid = f"{self.name}-{self._made}"
        return {"id": self.new_id(), "uid": uid, **self.texts("name", "city", "note"), **self.age()}

    def new_id(self) -> str:
        self._made += 1
        return f"{self.name} {self.chance.randrange(99)} {self._made} {self.ending()}"

    def other_id(self, old: str) -> str:
        """Another key: a new one, or one that differs in its last letter alone."""
        if self.chance.random() < 0.5:
            return self.new_id()
        return " ".join([*old.split(" ")[:3], self.ending()])

    def ending(self) -> str:
        return self.chance.choice(ENDINGS)

    def texts(self, *names: str) -> Values:
        return {name: self.chance.choice(TEXTS) for name in names}

    def age(self) -> Values:
        return {"age": self.chance.choice(NUMBERS)}

    def has_room(self) -> bool:
        """Whether it may have more rows: no job ends in a table that grows faster than it goes."""
        return sum(uid.startswith(f"{self.name}-") for uid in list(self.journal)) < MOST_ROWS

    def own(self) -> str | None:
        """One of its own rows."""
        found = [uid for uid in list(self.journal) if uid.startswith(f"{self.name}-")]
        return self.chance.choice(found) if found else None


class User(Client):
    """Writes as the Table API does."""

    def __init__(self, clients: Clients, place: Place, name: str, seed: int) -> None:
        super().__init__(clients, place, name, seed)
        self._at: Instance = place.open()

    def act(self) -> str:
        kind = self.chance.choices(("insert", "update", "key", "delete"), (3, 6, 4, 1))[0]
        uid = self.own()
        if uid is None or (kind == "insert" and self.has_room()):
            values = self.new_row()
            if self.write(lambda w: w.insert(values)):
                self.journal[values["uid"]] = values
            return "user insert"
        row = self.journal[uid]
        if kind in ("insert", "delete"):
            if self.write(lambda w: w.delete((row["id"],))):
                del self.journal[uid]
            return "user delete"
        changed = self.texts("city") | self.age()
        if row["city"] is None and changed["city"] == "":
            changed["city"] = None  # NULL is shown as nothing; to write that back changes nothing
        if kind == "key":
            key = {"id": self.other_id(row["id"])}
            changed = self.chance.choice((key, key | changed))
        if self.write(lambda w: w.update((row["id"],), changed)):
            row.update(changed)
        return f"user {kind}"

    def write(self, act: Callable[[Writer], Any]) -> bool:
        """Whether it was taken; when it was not, nothing of it was."""
        try:
            self.surely(lambda: self._written(act), unless=KeysteadError)
        except Refused:
            self.clients.done["user refused"] += 1
            return False
        return True

    def _written(self, act: Callable[[Writer], Any]) -> None:
        try:
            writing(self._at, act)
        except (Conflict, Unavailable) as error:
            if error.code in _NOTHING_TAKEN:
                raise Refused from error
            if isinstance(error, Unavailable):
                raise Gone from error
            raise

    def close(self) -> None:
        super().close()
        self._at.close()


class Caller(User):
    """Writes through a serving instance."""

    def __init__(self, clients: Clients, place: Place, name: str, seed: int) -> None:
        super().__init__(clients, place, name, seed)
        context = ssl.create_default_context(cafile=place.folder / "tls.crt")
        context.check_hostname = False
        self._client = httpx.Client(verify=context, timeout=PATIENCE)
        settings = self._at.settings
        self._table = f"https://{settings.host}:{settings.port}/api/now/table/people"
        with self._at.database.transaction() as tx:
            token = make_token(tx, self._at.hierarchy.integrity, USER, name, 1, ACTOR)
        self._client.headers["Authorization"] = f"Bearer {token}"

    def _written(self, act: Callable[[Any], Any]) -> None:
        act(self)

    def insert(self, values: Values) -> None:
        self._call("POST", "", values)

    def update(self, key: tuple[str], values: Values) -> None:
        self._call("PATCH", f"/{quote(key[0])}", values)

    def delete(self, key: tuple[str]) -> None:
        self._call("DELETE", f"/{quote(key[0])}", None)

    def _call(self, method: str, path: str, values: Values | None) -> None:
        try:
            answer = self._client.request(method, self._table + path, json=values)
        except httpx.TransportError as error:
            raise Gone from error
        if answer.is_error:
            code = answer.json()["error"]["code"]
            if code in _NOTHING_TAKEN:
                raise Refused
            if answer.status_code == 503:
                raise Gone(answer.text)
            assert answer.status_code in _MEANS, answer.text
            raise _MEANS[answer.status_code](code, table="people")

    def close(self) -> None:
        super().close()
        self._client.close()


class Application(Client):
    """Writes by its own SQL."""

    def __init__(self, clients: Clients, place: Place, name: str, seed: int, users: int) -> None:
        super().__init__(clients, place, name, seed)
        self._serves = f"u{int(name[1:]) % users}-" if users else ""

    def act(self) -> str:
        plain = self.clients.plain_is_welcome.is_set()
        kinds = ("insert", "note", "notes", "delete", "name", "save")
        kind = self.chance.choices(kinds, (3, 4, 2, 1, 4 * plain, 4 * plain))[0]
        try:
            getattr(self, f"_{kind}")(plain)
        except Refused:
            self.clients.done["application refused"] += 1
        return f"application {kind}"

    def _insert(self, plain: bool) -> None:
        if not self.has_room():
            self._delete(plain)
            return
        values = self.new_row()
        if not plain:  # what is empty is not encrypted
            values.update(name=self.chance.choice(("", None)), city="", age=None)
        self.surely(lambda: self.foreign.insert(values), unless=Twice)
        self.journal[values["uid"]] = values

    def _note(self, _plain: bool) -> None:
        self._change(self._served(), self.texts("note"))

    def _notes(self, _plain: bool) -> None:
        """Two rows in one transaction, in whatever order."""
        noted = [(uid, self.texts("note")) for uid in (self._served(), self._served()) if uid]
        met = self.surely(lambda: self._both(noted), unless=Twice)
        for (uid, values), number in zip(noted, met, strict=True):
            self._note_down(uid, values, number)

    def _both(self, noted: list[tuple[str, Values]]) -> list[int]:
        with self.foreign.together():
            return [self.foreign.update(uid, values) for uid, values in noted]

    def _name(self, _plain: bool) -> None:
        self._change(self._served(), self.texts("name"))

    def _save(self, _plain: bool) -> None:
        """A whole row of its own, perhaps under another key."""
        uid = self.own()
        if uid is not None:
            key = self.other_id(self.journal[uid]["id"])
            self._change(uid, {"id": key} | self.texts("name", "city", "note") | self.age())

    def _delete(self, _plain: bool) -> None:
        uid = self.own()
        if uid is not None:
            self.surely(lambda: self.foreign.delete(uid), unless=Twice)
            del self.journal[uid]

    def _served(self) -> str | None:
        """A row of the user whose names and notes it keeps."""
        found = [uid for uid in list(self.journal) if uid.startswith(self._serves)]
        return self.chance.choice(found) if found else None

    def _change(self, uid: str | None, values: Values) -> None:
        if uid is not None:
            met = self.surely(lambda: self.foreign.update(uid, values), unless=Twice)
            self._note_down(uid, values, met)

    def _note_down(self, uid: str, values: Values, met: int) -> None:
        row = self.journal.get(uid)
        if met and row is not None:
            row.update(values)
