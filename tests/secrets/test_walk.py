"""A walk through the whole product; afterwards, nothing secret is where it has no business.

Two instances live a whole life by the installed commands and over HTTPS, in good and bad cases,
with tracing on. What is said, answered, logged or stored on the way is kept. Every key that either
instance ever held is read out, and looked for in all of it, in each form in which a program might
write it; so are passwords, tokens, recovery keys, passphrases, and clear values of encrypted
columns. On a database server its own logs are kept too: it logs each statement with its values, in
which no clear value stands once the columns are encrypted.
"""

from __future__ import annotations

import base64
import io
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from demo import servers
from demo.servers import Server
from sqlalchemy import URL, make_url
from tests.cli.conftest import Ended, free_port, keystead
from tests.tampering.servers import ServerSite
from tests.unit.exchange.pairs import File, Past, Refused

from keystead.base.secret import REVEAL, Secret
from keystead.crypto import oaep
from keystead.instance.home import Home
from keystead.keys import service as keys
from keystead.programs.instance import open_instance

CLEAR, KEY, RECOVERY, PASSWORD, TOKEN, PASSPHRASE = (
    *("clear value", "key", "recovery key", "password", "token", "passphrase"),
)
ROWS = 40
PASSWORDS = {name: f"pass{secrets.token_hex(12)}" for name in ("rita", "sven", "wrong", "newer")}
PASSPHRASES = {name: f"phrase {secrets.token_hex(12)}" for name in ("right", "wrong")}
VALUES = {
    (column, n): f"{column}{secrets.token_hex(9)}"
    for column in ("name", "city")
    for n in range(ROWS)
}
WRITTEN = [f"written{secrets.token_hex(9)}" for _ in range(4)]


class Said(NamedTuple):
    """What came out of something, and which secrets it is there to give."""

    where: str
    content: bytes
    gives: frozenset[str]


class Walk:
    """What was said, and the secrets there are."""

    def __init__(self, folder: Path, server: Server | None) -> None:
        self.folder = folder
        self.server = server
        self._heard = 0
        self.prod, self.test = folder / "prod", folder / "test"
        self.said: list[Said] = []
        self.refusals = 0
        self.keys: dict[str, bytes] = {}
        self.words: dict[str, set[str]] = {
            CLEAR: {*VALUES.values(), *WRITTEN},
            PASSWORD: set(PASSWORDS.values()),
            PASSPHRASE: set(PASSPHRASES.values()),
            TOKEN: set(),
            RECOVERY: set(),
        }

    def hear(self, where: str, content: bytes, *gives: str) -> None:
        self.said.append(Said(where, content, frozenset(gives)))

    def run(self, *words: object, gives: tuple[str, ...] = (), stdin: str = "") -> Ended:
        kept, sys.stdin = sys.stdin, io.StringIO(stdin)
        try:
            ended = keystead(*words)
        finally:
            sys.stdin = kept
        line = " ".join(map(str, words))
        self.hear(f"{line} (output)", ended.out.encode(), *gives)
        self.hear(f"{line} (errors)", ended.err.encode())
        return ended

    def ok(self, *words: object, gives: tuple[str, ...] = (), stdin: str = "") -> Any:
        ended = self.run(*words, "--json", gives=gives, stdin=stdin)
        assert ended.code == 0, (words, ended.err)
        return ended.json

    def refused(self, *words: object, stdin: str = "") -> None:
        """What must be refused, told in the two forms by turns."""
        self.refusals += 1
        ended = self.run(*words, *(("--json",) if self.refusals % 2 else ()), stdin=stdin)
        assert ended.code not in (0, 1, 2), (words, ended)

    def database(self, name: str) -> tuple[object, ...]:
        """What puts an instance into a database of its own on the server, if there is one."""
        if self.server is None:
            return ()
        servers.create_database(self.server, name)
        return "--database", f"{self.server.url}/{name}"

    def past(self, home: Path) -> Past:
        """The database of an instance for one who goes past all of Keystead."""
        if self.server is None:
            return File(Home(home))
        return ServerSite(self.server.kind, self._url(home)).past(Home(home))

    def _url(self, home: Path) -> URL:
        assert self.server is not None
        return make_url(f"{self.server.url}/{home.name}")

    def log_every_statement(self) -> None:
        """Let the server log all that it is told, values too."""
        for statement in STATEMENT_LOGS[self.server.kind] if self.server else ():
            servers.do(self.server, statement)

    def hear_server(self, *gives: str) -> None:
        """What the server wrote into its logs since it was heard last."""
        if self.server is not None:
            files = (self.server.folder / "server.log", self.server.folder / "data" / "general.log")
            content = b"".join(file.read_bytes() for file in files if file.exists())
            self.hear("the logs of the server", content[self._heard :], *gives)
            self._heard = len(content)

    def read_keys(self, home: Path) -> None:
        """Every key that an instance holds now."""
        (line,) = (home / "root.key").read_text().splitlines()
        self.keys["root key " + line[-4:]] = base64.urlsafe_b64decode(line.split()[1] + "=")
        instance = open_instance(home)
        h = instance.hierarchy
        own = {"kek": h._kek, "signing": h.signing, "sealing": h.sealing}
        own["integrity"] = h.integrity._key
        with instance.database.snapshot() as tx:
            for row in keys.all_keys(tx, h):
                if row["material"] is not None:
                    own[f"key {row['sys_id']}"] = h.unwrap_module_key(tx, row)
        for name, secret in own.items():
            self.add_key(f"{home.name} {name}", secret)
        instance.close()

    def add_key(self, name: str, secret: Secret) -> None:
        raw = secret.reveal(REVEAL)
        for at in range(0, len(raw) - 31, 32):  # a part of a long one is as bad
            part = raw[at : at + 32]
            self.keys[f"{name} at {at} {part[:2].hex()}"] = part

    def files(self, *homes: Path) -> Iterator[Said]:
        """What is stored, but for the files that are there to hold a key."""
        for home in homes:
            for file in sorted(home.rglob("*")):
                if file.is_file() and file.name != "root.key":
                    yield Said(f"file {file}", file.read_bytes(), frozenset())
            if self.server is not None:
                with closing(self.past(home)) as past:
                    for table in past.tables():
                        rows = repr(past.sql(f'SELECT * FROM "{table}"', ())).encode()
                        yield Said(f"table {table} of {home.name}", rows, frozenset())


@contextmanager
def serving(walk: Walk, *homes: Path) -> Iterator[None]:
    """Serve homes; what they say ends up in the walk."""
    started = list[subprocess.Popen[bytes]]()
    with ExitStack() as stack:
        for home in homes:
            errors = stack.enter_context((walk.folder / f"{home.name}.err").open("w+b"))
            process = subprocess.Popen(
                [sys.executable, "-m", "keystead.programs.cli", "serve", str(home)],
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "KEYSTEAD_TRACE": "1"},
            )
            stack.callback(_end, walk, home, process, errors)
            started.append(process)
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"Serving")
        yield


def _end(walk: Walk, home: Path, process: subprocess.Popen[bytes], errors: Any) -> None:
    """End a server; what its job engine keeps while it runs is taken down first."""
    for file in sorted((home / "processes").glob("*.db*")):
        walk.said.append(Said(f"job engine {file}", file.read_bytes(), frozenset()))
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    errors.seek(0)
    walk.hear(f"serve {home.name}", out + errors.read())


PLACES = ["sqlite", *(pytest.param(kind, marks=pytest.mark.long) for kind in servers.KINDS)]
STATEMENT_LOGS = {
    "postgresql": (
        "ALTER SYSTEM SET log_statement = 'all'",
        "ALTER SYSTEM SET log_parameter_max_length_on_error = -1",
        "SELECT pg_reload_conf()",
    ),
    "mariadb": ("SET GLOBAL general_log_file = 'general.log'", "SET GLOBAL general_log = ON"),
}


@pytest.fixture(scope="module", params=PLACES)
def walk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Walk]:
    with ExitStack() as stack:
        server = None
        if request.param != "sqlite":
            try:
                server = stack.enter_context(servers.running(str(request.param)))
            except servers.Missing as missing:
                pytest.skip(str(missing))
        made = Walk(tmp_path_factory.mktemp("walk"), server)
        made.log_every_statement()
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("KEYSTEAD_TRACE", "1")
        patch.setenv("KEYSTEAD_PEER_PATIENCE", "1")
        through_everything(made)
        yield made


def through_everything(walk: Walk) -> None:
    prod, test, run, ok, refused = walk.prod, walk.test, walk.run, walk.ok, walk.refused
    for home in (prod, test):
        place = walk.database(home.name)
        words = ("init", home, "--name", home.name, "--port", free_port(), *place)
        walk.words[RECOVERY].add(ok(*words, gives=(RECOVERY,))["recovery_key"])
    tables(walk)
    tokens = accounts(walk)
    imports(walk)
    walk.read_keys(prod)
    walk.read_keys(test)
    with serving(walk, prod, test):
        for home, other in ((prod, test), (test, prod)):
            shown = ok("peer", "identity", other)
            ok("peer", "add", home, shown["url"], "--fingerprint", shown["fingerprint"])
        ok("encrypt", prod, "people")
        walk.hear_server(CLEAR)  # what is loaded and encrypted comes in the clear
        over_https(walk, tokens)
        plan = ok("clone", "plan", prod, "--target", "test", "--keys", "exchange and rekey")
        ok("clone", "run", prod, plan["clone"])
        ok("job", "wait", test)
        walk.read_keys(test)
        ok("exchange", "list", prod)
        ok("exchange", "list", test)
        ok("key", "rotate", prod, "std")
        refused("clone", "plan", prod, "--target", "test")
        ok("rekey", prod, "people")
    old = next(k for k in ok("key", "list", prod) if k["state"] == "deactivated")
    ok("key", "destroy", prod, old["key"])
    ok("key", "revoke", prod, "eq", "--reason", "a leak")
    walk.read_keys(prod)
    refused("peer", "add", prod, "https://127.0.0.1:9", "--fingerprint", "-".join(["0a1b2c3d"] * 8))
    for user in ("rita", "sven"):
        for query in ("", "name=" + VALUES["name", 1], "city=" + VALUES["city", 1]):
            gives = (CLEAR,) if user == "rita" else ()
            run("show", prod, "people", "--as", user, "--query", query, gives=gives)
    run("census", prod, "--open")
    run("audit", "verify", prod)
    ok("audit", "export", prod, walk.folder / "audit.jsonl")
    walk.hear("audit export", (walk.folder / "audit.jsonl").read_bytes())
    for group in ("audit list", "job list", "policy list", "user list", "user token list"):
        run(*group.split(), prod)
    refused("key", "export", prod, "--out", walk.folder / "none.json")
    ok("key", "export", prod, "--out", walk.folder / "keys.json", "--reveal-key-bytes")
    backups(walk)
    walk.hear_server()
    tampered(walk)
    walk.hear_server(CLEAR)  # it was told so by us
    damaged(walk)
    walk.hear_server()


def tables(walk: Walk) -> None:
    prod, ok = walk.prod, walk.ok
    file = walk.folder / "people.csv"
    lines = [f"{n},{VALUES['name', n]},{VALUES['city', n]},plain" for n in range(ROWS)]
    file.write_text("\n".join(["number,name,city,note", *lines]) + "\n", encoding="utf-8")
    broken = walk.folder / "broken.csv"
    for more in ("1,2,3,4,5\n", f"7,{VALUES['name', 7]},x,y\n", '9,"x\n', "9,\0,x,y\n"):
        broken.write_text(file.read_text() + more, encoding="utf-8")
        walk.refused("load", prod, "broken", broken, "--key", "number")
    ok("load", prod, "people", file, "--key", "number")
    ok("module", "create", prod, "std", "--publish")
    ok("module", "create", prod, "eq", "--equality", "--publish")
    ok("field", "add", prod, "people", "name", "--module", "std")
    ok("field", "add", prod, "people", "city", "--module", "eq")
    for module in ("std", "eq"):
        ok("policy", "add", prod, "--module", module, "--role", "readers")


def accounts(walk: Walk) -> dict[str, str]:
    prod, made = walk.prod, {}
    for user in ("rita", "sven"):
        role = "readers" if user == "rita" else "guests"
        walk.ok("user", "add", prod, user, "--role", role)
        walk.ok("user", "password", prod, user, stdin=PASSWORDS[user] + "\n")
        words = ("user", "token", "make", prod, user, "--name", "t")
        made[user] = walk.ok(*words, gives=(TOKEN,))["token"]
        walk.refused(*words)
    walk.refused("user", "password", prod, "nobody", stdin=PASSWORDS["wrong"] + "\n")
    walk.refused("user", "password", prod, "rita", stdin=PASSWORDS["wrong"][:9] + "\n")
    walk.words[TOKEN] |= set(made.values())
    return made


def imports(walk: Walk) -> None:
    """A customer brings a key; what is wrong with others is said without them."""
    prod, folder = walk.prod, walk.folder / "import"
    walk.ok("key", "import-token", prod, "std", "--out", folder)
    (token_file,) = [f for f in folder.iterdir() if "token" in f.name]
    (public_file,) = [f for f in folder.iterdir() if f != token_file]
    walk.words[TOKEN].add(token_file.read_text().strip())
    brought = Secret(secrets.token_bytes(32))
    walk.add_key("the customer's", brought)
    wrapped = folder / "wrapped.bin"
    for content in (brought.reveal(REVEAL), b"", secrets.token_bytes(512)):
        wrapped.write_bytes(content)
        walk.refused("key", "import", prod, "std", "--token", token_file, "--wrapped", wrapped)
    wrapped.write_bytes(oaep.wrap(public_file.read_bytes(), brought))
    walk.refused("key", "import", prod, "eq", "--token", token_file, "--wrapped", wrapped)
    walk.refused("key", "import", prod, "std", "--token", wrapped, "--wrapped", wrapped)
    walk.ok("key", "import", prod, "std", "--token", token_file, "--wrapped", wrapped)
    walk.refused("key", "import", prod, "std", "--token", token_file, "--wrapped", wrapped)


def over_https(walk: Walk, tokens: dict[str, str]) -> None:
    """Reads and writes of who may and who may not, and of who is nobody."""
    port = walk.ok("config", walk.prod)["port"]
    url = f"https://127.0.0.1:{port}/api/now/table/people"
    basic: dict[str, Any] = {
        user: httpx.BasicAuth(user, password) for user, password in PASSWORDS.items()
    }
    callers: list[tuple[str, bool, dict[str, Any]]] = [
        (f"{user} by {how}", user == "rita", given)
        for user in ("rita", "sven")
        for how, given in (
            ("password", {"auth": basic[user]}),
            ("token", {"headers": {"Authorization": f"Bearer {tokens[user]}"}}),
        )
    ]
    callers += [
        ("a wrong password", False, {"auth": httpx.BasicAuth("rita", PASSWORDS["wrong"])}),
        ("nobody", False, {"auth": basic["wrong"]}),
        ("a wrong token", False, {"headers": {"Authorization": f"Bearer {tokens['rita']}x"}}),
        ("no scheme", False, {"headers": {"Authorization": PASSWORDS["rita"]}}),
        ("nothing", False, {}),
    ]
    bodies = (b'{"name": "%s"}' % WRITTEN[0].encode(), b"{", b"[" * 5000, b'{"name": {"x": 1}}')
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "?sysparm_limit=3", {}),
        ("GET", "/3", {}),
        ("GET", f"?city={VALUES['city', 3]}", {}),
        ("GET", f"?sysparm_query=name={VALUES['name', 3]}", {}),
        ("GET", f"/{VALUES['name', 3]}", {}),
        *((method, "/3", {"content": body}) for method in ("PATCH", "PUT") for body in bodies),
        ("POST", "", {"json": {"number": 3, "name": WRITTEN[1]}}),
        ("POST", "", {"json": {"number": 900, "nothing": WRITTEN[1]}}),
        ("DELETE", "/none", {}),
    ]
    with httpx.Client(verify=False, timeout=30) as client:
        for who, may_read, given in callers:
            # each wrong password costs the server a good part of a second
            for method, path, options in calls if who[:4] in tokens else calls[:5:2]:
                answer = client.request(method, url + path, **given, **options)
                head = f"{answer.status_code} {dict(answer.headers)}".encode()
                gives = (CLEAR,) if may_read else ()
                walk.hear(f"{method} {path[:9]} of {who}", head + answer.content, *gives)
        for frame in (b"", b"x", b"\0\0\0\2{}", WRITTEN[2].encode()):
            answer = client.post(f"https://127.0.0.1:{port}/peer/v1/messages", content=frame)
            walk.hear("a message of nobody", answer.content)


def backups(walk: Walk) -> None:
    prod, folder = walk.prod, walk.folder
    for name, phrase in PASSPHRASES.items():
        (folder / name).write_text(phrase + "\n")
    ok, refused = walk.ok, walk.refused
    file, again = folder / "prod.backup", folder / "again"
    ok("backup", prod, file, "--passphrase-file", folder / "right")
    walk.hear("backup", file.read_bytes())
    refused("restore", file, again, "--passphrase-file", folder / "wrong")
    refused("restore", file, again, "--key-file", folder / "wrong")
    for recovery in sorted(walk.words[RECOVERY]):
        (folder / "recovery").write_text(recovery[:-1] + ("A" if recovery[-1] != "A" else "B"))
        refused("restore", file, again, "--key-file", folder / "recovery")
    place = walk.database(again.name)
    ok("restore", file, again, "--passphrase-file", folder / "right", *place)
    walk.read_keys(again)
    for more in ((), ("--kek",)):
        made = walk.run("root", "rotate", prod, *more, "--json", gives=(RECOVERY,))
        walk.words[RECOVERY].add(json.loads(made.out)["recovery_key"])
        walk.read_keys(prod)
    (prod / "root.key").unlink()
    for given in (folder / "wrong", folder / "recovery", folder / "none"):
        refused("root", "recover", prod, "--key-file", given)
    refused("root", "recover", prod, stdin=PASSPHRASES["wrong"] + "\n")
    (folder / "recovery").write_text(json.loads(made.out)["recovery_key"])
    ok("root", "recover", prod, "--key-file", folder / "recovery")


def tampered(walk: Walk) -> None:
    """Values that do not open, and clear ones where none belong."""
    prod = walk.prod
    for value in (WRITTEN[3], "~ks1 damaged", b"\xff"):
        with closing(walk.past(prod)) as past:
            ((kept,),) = past.sql("SELECT name FROM people WHERE number = 5", ())
            with suppress(Refused):  # a server takes no bytes for text
                past.sql("UPDATE people SET name = ? WHERE number = 5", (value,))
                walk.refused("show", prod, "people", "--as", "rita")
                walk.run("show", prod, "people", "--as", "sven")
                walk.run("census", prod, "--open")
                walk.refused("clone", "plan", prod, "--target", "test")
            if walk.server is None:
                past.sql("PRAGMA secure_delete = ON", ())
            past.sql("UPDATE people SET name = ? WHERE number = 5", (kept,))
            if walk.server is None:
                past.sql("VACUUM", ())
                past.sql("PRAGMA wal_checkpoint(TRUNCATE)", ())


def damaged(walk: Walk) -> None:
    """Homes in which something is not right."""
    copy, root = walk.folder / "damaged", walk.prod / "root.key"
    shutil.copytree(walk.prod, copy)
    kept = root.read_bytes()
    for content in (b"", kept[:-9], kept + b"x", kept[::-1], (walk.test / "root.key").read_bytes()):
        (copy / "root.key").write_bytes(content)
        (copy / "root.key").chmod(0o600)
        walk.refused("key", "list", copy)
    walk.refused("serve", copy)
    (copy / "root.key").chmod(0o644)
    walk.refused("key", "list", copy)
    (copy / "root.key").chmod(0o600)
    (copy / "root.key").write_bytes(kept)
    for table in ("sys_kmf_module_key", "keystead_credential", "keystead_instance_key"):
        with closing(walk.past(copy if walk.server is None else walk.prod)) as past:
            column = "password" if table == "keystead_credential" else "material"
            past.sql(f"UPDATE {table} SET {column} = substr({column}, 2) || 'A'", ())
        walk.run("show", copy, "people", "--as", "rita")
        walk.run("key", "rotate", copy, "std")
    shutil.rmtree(copy)


# --- what is looked for ---


def forms(raw: bytes) -> dict[str, bytes]:
    """The ways in which a program might write bytes."""
    standard, url_safe = base64.b64encode(raw), base64.urlsafe_b64encode(raw)
    return {
        "raw": raw,
        "hexadecimal": raw.hex().encode(),
        "upper hexadecimal": raw.hex().upper().encode(),
        "base64": standard.rstrip(b"=")[:-1],
        "base64url": url_safe.rstrip(b"=")[:-1],
        "base32": base64.b32encode(raw).rstrip(b"=")[:-1],
        "base64 at one": base64.b64encode(b"x" + raw)[4:40],
        "base64 at two": base64.b64encode(b"xy" + raw)[4:40],
        "repr": repr(raw)[2:-1].encode(),
        "numbers": str(list(raw))[1:-1].encode(),
        "tight numbers": str(list(raw))[1:-1].replace(" ", "").encode(),
        "reversed": raw[::-1],
    }


def found(said: Said, what: str, marks: dict[str, bytes]) -> list[str]:
    if what in said.gives:
        return []
    return [f"{name} in {said.where}" for name, mark in marks.items() if mark in said.content]


def words_of(walk: Walk, kind: str) -> dict[str, bytes]:
    marks = {f"{kind} {word[:12]}": word.encode() for word in walk.words[kind]}
    for word in walk.words[kind]:
        marks[f"{kind} {word[:12]} as base64"] = base64.b64encode(word.encode())[:-4]
        marks[f"{kind} {word[:12]} as repr"] = json.dumps(word)[1:-1].encode()
        marks[f"{kind} {word[:12]} joined"] = word.replace("-", "").encode()
    return marks


def everything(walk: Walk) -> list[Said]:
    homes = (walk.prod, walk.test, walk.folder / "again")
    return [*walk.said, *walk.files(*homes)]


def test_the_walk_saw_what_it_looks_for(walk: Walk) -> None:
    """Each secret is found where it belongs, so that finding none elsewhere says something."""
    assert len(walk.keys) > 20
    exported = json.dumps(json.loads((walk.folder / "keys.json").read_bytes())).encode()
    seen = {
        name
        for name, raw in walk.keys.items()
        if any(mark in exported for mark in forms(raw).values())
    }
    assert len(seen) >= 3
    for kind in (CLEAR, RECOVERY, TOKEN):
        given = [s for s in walk.said if kind in s.gives]
        assert any(mark in s.content for s in given for mark in words_of(walk, kind).values())
    names = {Path(s.where).name for s in walk.files(walk.prod)}
    if walk.server is None:
        assert {"instance.db", "audit.heads"} <= names
    else:
        assert {"table people of prod", "audit.heads"} <= names
        assert b"~ks1" in next(s.content for s in walk.said if s.where == "the logs of the server")
    engines = [s for s in walk.said if s.where.startswith("job engine")]
    assert any(b"workflow_status" in engine.content for engine in engines)


def test_no_key_is_said_or_stored(walk: Walk) -> None:
    marks = {
        f"{name} as {form}": mark
        for name, raw in walk.keys.items()
        for form, mark in forms(raw).items()
    }
    assert [f for said in everything(walk) for f in found(said, KEY, marks)] == []


@pytest.mark.parametrize("kind", [CLEAR, RECOVERY, PASSWORD, TOKEN, PASSPHRASE])
def test_nor_are(walk: Walk, kind: str) -> None:
    marks = words_of(walk, kind)
    assert [f for said in everything(walk) for f in found(said, kind, marks)] == []


def test_no_private_key_of_tls_is_said_or_stored_elsewhere(walk: Walk) -> None:
    for home in (walk.prod, walk.test):
        lines = (home / "tls.key").read_bytes().splitlines()[1:-1]
        own = str(home / "tls.key")
        for said in everything(walk):
            if not said.where.endswith(("tls.key", own)):
                assert not any(line in said.content for line in lines), said.where


def test_traces_were_on_and_said_no_more(walk: Walk) -> None:
    """None of the bad cases was one that nobody foresaw."""
    unforeseen = [s.where for s in walk.said if b"Traceback" in s.content]
    assert unforeseen == []
