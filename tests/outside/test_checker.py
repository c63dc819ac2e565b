"""The checker must be able to fail; the encrypting side here is written from the document, too."""

import ast
import base64
import csv
import gzip
import json
import random
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import checker
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TABLE = "people"
STANDARD, EQUALITY = ["email", "note"], ["city"]
HEADER = ["name", "age", "email", "note", "city"]
KEY_ID, KEY = bytes(range(16)), bytes(range(32))
OTHER_ID, OTHER_KEY = bytes(range(100, 116)), bytes(range(200, 232))
ROWS = [
    ("Ada", "36", "ada@example.com", "likes tea and engines", "Zürich-Altstetten"),
    ("Zoë", "41", "zoë@example.com", "", "Zürich-Altstetten"),
    ("Bob", "7", "bob@example.org", 'says "hello"\nand leaves', "Kraków Nowa Huta"),
    ("Bob", "7", "", "0123456789", ""),
]


def lp(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def context(scheme: str, key_id: bytes, column: str, table: str) -> bytes:
    return b"KS1" + scheme.encode() + key_id + lp(table.encode()) + lp(column.encode())


def record(key: str | int) -> bytes:
    return b"\x01" + (b"i" if isinstance(key, int) else b"t") + lp(str(key).encode())


@dataclass
class Sealer:
    key_id: bytes = KEY_ID
    key: bytes = KEY
    table: str = TABLE

    def standard(self, plain: str, column: str, row: str | int, nonce: bytes | None = None) -> str:
        nonce = nonce or random.randbytes(12)
        bound = context("s", self.key_id, column, self.table) + record(row)
        body = nonce + AESGCM(self.key).encrypt(nonce, plain.encode(), bound)
        return f"~ks1s.{b64(self.key_id)}.{b64(body)}~" if plain else ""

    def equality(self, plain: str, column: str) -> str:
        info = b"keystead/1/equality" + lp(self.table.encode()) + lp(column.encode())
        key = HKDF(SHA256(), 64, None, info).derive(self.key)
        bound = context("e", self.key_id, column, self.table)
        if not plain:
            return ""
        return f"~ks1e.{b64(self.key_id)}.{b64(AESSIV(key).encrypt(plain.encode(), [bound]))}~"


@dataclass
class Estate:
    """A home with an encrypted table, the CSV it came from, and the exported keys."""

    folder: Path
    integer_keys: bool = False

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        (self.home / "jobs").mkdir(parents=True)
        (self.home / "jobs" / "state.json").write_text('{"done": 4, "table": "people"}')
        self.csv = self.folder / "original.csv"
        self.keys = self.folder / "keys.json"
        self.database = self.home / "instance.db"
        self.write_csv(ROWS)
        self.write_keys({KEY_ID: KEY, OTHER_ID: OTHER_KEY})
        self.create()

    def write_csv(self, rows: list[tuple[str, ...]]) -> None:
        with self.csv.open("w", encoding="utf-8-sig", newline="") as target:
            csv.writer(target).writerows([HEADER, *rows])

    def write_keys(self, keys: dict[bytes, bytes]) -> None:
        listed = [{"key_id": i.hex(), "key": k.hex(), "module": "hr"} for i, k in keys.items()]
        self.keys.write_text(json.dumps({"keys": listed, "made": "today"}))

    def create(self) -> None:
        kind = "INTEGER" if self.integer_keys else "TEXT"
        self.run(f"CREATE TABLE people (sys_id {kind} PRIMARY KEY, age INTEGER, name, email, note,"
                 " city, extra)")  # fmt: skip
        for number, (name, age, email, note, city) in enumerate(ROWS, 1):
            key = self.key(number)
            sealer = Sealer() if number % 2 else Sealer(OTHER_ID, OTHER_KEY)
            self.run(
                "INSERT INTO people (sys_id, age, name, email, note, city) VALUES (?,?,?,?,?,?)",
                key,
                int(age),
                name,
                sealer.standard(email, "email", key),
                sealer.standard(note, "note", key),
                sealer.equality(city, "city"),
            )

    def key(self, number: int) -> str | int:
        return number if self.integer_keys else f"a{number}"

    def run(self, statement: str, *values: object) -> list[tuple]:
        connection = sqlite3.connect(self.database)
        connection.execute("PRAGMA secure_delete = ON")
        rows = connection.execute(statement, values).fetchall()
        connection.commit()
        connection.close()
        return rows

    def get(self, column: str, number: int = 1) -> str:
        return self.run(f"SELECT {column} FROM people WHERE sys_id = ?", self.key(number))[0][0]

    def put(self, column: str, value: object, number: int = 1) -> None:
        statement = f"UPDATE people SET {column} = ? WHERE sys_id = ?"
        self.run(statement, value, self.key(number))

    def arguments(self, *more: str) -> list[str]:
        given = {
            "--database": self.database,
            "--table": TABLE,
            "--csv": self.csv,
            "--encrypted": ",".join(STANDARD),
            "--equality": ",".join(EQUALITY),
            "--keys": self.keys,
            "--home": self.home,
        }
        return [str(part) for pair in given.items() for part in pair] + [*more]


FAULTS = {
    "plaintext_left",
    "unreadable",
    "wrong_scheme",
    "envelopes_repeated",
    "nonces_repeated",
    "equality_split",
    "rows_missing",
    "rows_extra",
    "files_unreadable",
    "findings_values",
    "findings_keys",
}
NOT_READ = {"unreadable": 1, "rows_missing": 1, "rows_extra": 1}


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(tmp_path)


@pytest.fixture
def examine(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict]:
    def run(estate: Estate, *more: str) -> dict:
        code = checker.main(estate.arguments("--json", *more))
        report = json.loads(capsys.readouterr().out)
        assert code == (0 if report["agrees"] else 1)
        return report

    return run


def faults(report: dict) -> dict[str, int]:
    return {name: report[name] for name in FAULTS if report[name]}


# --- all is right ---------------------------------------------------------------------------


def test_agrees_when_all_is_right(estate, examine):
    report = examine(estate)
    assert report["agrees"]
    assert faults(report) == {}
    assert report["values_total"] == report["values_opened"] == 9
    assert report["values_by_key"] == {KEY_ID.hex(): 6, OTHER_ID.hex(): 3}
    assert report["rows_csv"] == report["rows_database"] == 4
    assert (report["values_sought"], report["keys_sought"]) == (8, 2)
    assert report["files_searched"] == 2


def test_agrees_with_integer_keys_a_compressed_csv_and_nulls(tmp_path, examine):
    estate = Estate(tmp_path, integer_keys=True)
    estate.put("note", None, 2)
    estate.put("age", None, 2)
    estate.write_csv([(*row[:1], "NULL", row[2], "NULL", row[4]) if row[0] == "Zoë" else row
                      for row in ROWS])  # fmt: skip
    packed = tmp_path / "original.csv.gz"
    packed.write_bytes(gzip.compress(estate.csv.read_bytes()))
    estate.csv = packed
    assert examine(estate, "--null", "NULL")["agrees"]
    assert faults(examine(estate)) == {"rows_missing": 1, "rows_extra": 1}


def test_another_key_column_binds_the_record(estate, examine):
    estate.run("UPDATE people SET extra = sys_id, sys_id = 'x' || sys_id")
    assert examine(estate)["unreadable"] == 6
    assert examine(estate, "--key", "extra")["agrees"]


def test_reads_what_lies_in_the_write_ahead_log(estate, examine):
    writer = sqlite3.connect(estate.database)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("UPDATE people SET name = 'Eve' WHERE sys_id = 'a1'")
    writer.commit()
    report = examine(estate)
    writer.close()
    assert faults(report) == {"rows_missing": 1, "rows_extra": 1}


# --- the worked example, clause 8 -----------------------------------------------------------

EXAMPLE_S = (
    "~ks1s.AAECAwQFBgcICQoLDA0ODw.AAECAwQFBgcICQoLPW0VsIWAunrgMfvun4oXAGJoOihvWaXcoHOwBpSPOss~"
)
EXAMPLE_E = "~ks1e.AAECAwQFBgcICQoLDA0ODw.gOqbsClVW5c7gzxbUTJ4VkK4Rcc11ezSahKljf4uzP0~"


@pytest.mark.parametrize(("text", "row"), [(EXAMPLE_S, "a1"), (EXAMPLE_E, "any other")])
def test_the_worked_example_opens(text, row):
    opener = checker.Opener({KEY_ID: KEY}, "people")
    envelope = checker.parse_envelope(text)
    assert opener.open(envelope, "email", checker.record_of(row)) == "zoë@example.com"


def test_the_worked_example_is_what_the_tests_write():
    sealer = Sealer()
    plain = "zoë@example.com"
    assert sealer.standard(plain, "email", "a1", nonce=bytes(range(12))) == EXAMPLE_S
    assert sealer.equality(plain, "email") == EXAMPLE_E


def test_record_of_numbers_and_text_differ():
    assert checker.record_of(-12) == bytes.fromhex("016900000003") + b"-12"
    assert checker.record_of("12") == bytes.fromhex("017400000002") + b"12"
    assert checker.record_of(1.5) is None


# --- strict form, clause 1.3 ----------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-1],
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text + text,
        lambda text: text[:-1] + "=~",
        lambda text: text.replace(".", ":"),
        lambda text: text[:-2] + "t~",  # unused low bits of the body
        lambda text: text[:27] + "x" + text[28:],  # unused low bits of the key id
        lambda text: text[:50] + "~",  # too short for nonce and tag
        lambda text: text[:-3] + "~",  # a length that no byte string has
        lambda text: text[:40] + "+" + text[41:],
        lambda text: text[:40] + "é" + text[41:],
        lambda text: text.replace("~ks1s", "~ks2s"),
        lambda text: text.replace("~ks1s", "~ks1S"),
    ],
)
def test_a_form_not_exactly_right_is_refused(damage):
    assert damage(EXAMPLE_S) != EXAMPLE_S
    with pytest.raises(checker.UnreadableError, match="form"):
        checker.parse_envelope(damage(EXAMPLE_S))


def test_trailing_bits_in_a_stored_value(estate, examine):
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    stored = estate.get("email")
    last = alphabet[alphabet.index(stored[-2]) + 1]
    estate.put("email", stored[:-2] + last + "~")
    report = examine(estate)
    assert faults(report) == NOT_READ
    assert report["unreadable_reasons"] == {"form": 1}


# --- values that do not belong --------------------------------------------------------------


def test_a_changed_value(estate, examine):
    stored = estate.get("email")
    estate.put("email", stored[:45] + ("A" if stored[45] != "A" else "B") + stored[46:])
    report = examine(estate)
    assert faults(report) == NOT_READ
    assert report["unreadable_reasons"] == {"authentication": 1}


def test_a_standard_value_moved_to_another_row(estate, examine):
    estate.put("email", estate.get("email", 1), 3)
    report = examine(estate)
    assert faults(report) == NOT_READ | {"envelopes_repeated": 1, "nonces_repeated": 1}


def test_standard_values_exchanged(estate, examine):
    one, three = estate.get("email", 1), estate.get("email", 3)
    estate.put("email", three, 1)
    estate.put("email", one, 3)
    assert faults(examine(estate)) == {"unreadable": 2, "rows_missing": 2, "rows_extra": 2}


def test_an_equality_value_moved_to_another_row_opens_but_the_row_differs(estate, examine):
    estate.put("city", estate.get("city", 1), 3)
    assert faults(examine(estate)) == {"rows_missing": 1, "rows_extra": 1}


def test_a_value_moved_to_another_column(estate, examine):
    estate.put("note", estate.get("email"))
    estate.put("email", "")
    report = examine(estate)
    assert faults(report) == NOT_READ
    assert report["unreadable_reasons"] == {"authentication": 1}


def test_a_value_of_another_table(estate, examine):
    estate.put("city", Sealer(table="staff").equality(ROWS[0][4], "city"))
    assert faults(examine(estate)) == NOT_READ


def test_a_value_of_the_other_scheme(estate, examine):
    estate.put("email", Sealer().equality(ROWS[0][2], "email"))
    assert faults(examine(estate)) == {"wrong_scheme": 1, "rows_missing": 1, "rows_extra": 1}


def test_a_key_that_was_not_exported(estate, examine):
    estate.write_keys({KEY_ID: KEY})
    report = examine(estate)
    assert report["unreadable_reasons"] == {"key": 3}


def test_an_envelope_around_nothing(estate, examine):
    bound = context("s", KEY_ID, "note", TABLE) + record("a2")
    body = bytes(12) + AESGCM(KEY).encrypt(bytes(12), b"", bound)
    estate.put("note", f"~ks1s.{b64(KEY_ID)}.{b64(body)}~", 2)
    assert examine(estate)["unreadable_reasons"] == {"empty": 1}


def test_a_nonce_used_twice(estate, examine):
    for number in (1, 3):
        plain = ROWS[number - 1][2]
        estate.put("email", Sealer().standard(plain, "email", f"a{number}", b"n" * 12), number)
    assert faults(examine(estate)) == {"nonces_repeated": 1}


def test_equal_values_in_unequal_envelopes():
    counts = checker.EnvelopeCounts()
    envelope = checker.parse_envelope(EXAMPLE_E)
    counts.note_equality("email", EXAMPLE_E, envelope, "same")
    counts.note_equality("email", EXAMPLE_E, envelope, "same")
    counts.note_equality("city", EXAMPLE_S, envelope, "same")
    assert counts.equality_split == 0
    counts.note_equality("email", EXAMPLE_S, envelope, "same")
    assert counts.equality_split == 1


# --- rows -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ("ada@example.com", {"findings_values": 1}),
        ("~ks2 is a marker to come", {"rows_missing": 1, "rows_extra": 1}),
    ],
)
def test_plain_text_left(estate, examine, left, expected):
    estate.put("email", left)
    assert faults(examine(estate)) == {"plaintext_left": 1} | expected


@pytest.mark.parametrize("left", [17, b"~ks1s.blob"])
def test_a_value_that_is_not_text_is_plain_text_left(estate, examine, left):
    estate.put("email", left)
    assert examine(estate)["plaintext_left"] == 1


def test_a_row_missing(estate, examine):
    estate.run("DELETE FROM people WHERE sys_id = 'a3'")
    assert faults(examine(estate)) == {"rows_missing": 1}


def test_a_row_twice(estate, examine):
    estate.run("INSERT INTO people (sys_id, age, name, email, note, city)"
               " VALUES ('b4', 7, 'Bob', '', ?, '')",
               Sealer().standard("0123456789", "note", "b4"))  # fmt: skip
    assert faults(examine(estate)) == {"rows_extra": 1}


@pytest.mark.parametrize("gone", [None, ""])
def test_a_value_replaced_by_nothing(estate, examine, gone):
    estate.put("email", gone)
    assert faults(examine(estate)) == {"rows_missing": 1, "rows_extra": 1}


def test_a_clear_column_changed(estate, examine):
    estate.put("age", 37)
    assert faults(examine(estate)) == {"rows_missing": 1, "rows_extra": 1}


# --- what lies in the homes -----------------------------------------------------------------

CITY = "Zürich-Altstetten"


@pytest.mark.parametrize(
    ("planted", "column", "form"),
    [
        (b"mail to ada@example.com sent", "email", "utf-8"),
        (CITY.encode(), "city", "utf-8"),
        (json.dumps({"city": CITY}).encode(), "city", "json"),
        (json.dumps(CITY).replace("00fc", "00FC").encode(), "city", "json"),
        (json.dumps({"note": ROWS[2][3]}).encode(), "note", "json"),
        (b"call 0123456789 now", "note", "utf-8"),
    ],
)
def test_a_clear_value_in_a_log(estate, examine, planted, column, form):
    (estate.home / "jobs" / "run.log").write_bytes(b"\x00\xff" * 99 + planted)
    report = examine(estate)
    assert faults(report) == {"findings_values": 1}
    (found,) = report["findings"]
    assert found["file"].endswith("run.log")
    assert 198 <= found["offset"] < 198 + len(planted)
    assert (found["kind"], found["source"], found["form"]) == ("value", column, form)


@pytest.mark.parametrize(
    ("planted", "form"),
    [
        (OTHER_KEY, "raw"),
        (OTHER_KEY.hex().encode(), "hex"),
        (OTHER_KEY.hex().upper().encode(), "hex"),
        (base64.b64encode(OTHER_KEY), "base64"),
        (b64(OTHER_KEY).encode(), "base64url"),
    ],
)
def test_key_bytes_in_a_second_home(estate, examine, tmp_path, planted, form):
    second = tmp_path / "second"
    second.mkdir()
    (second / "core.bin").write_bytes(b"key=" + planted + b";")
    report = examine(estate, "--home", str(second))
    assert faults(report) == {"findings_keys": 1}
    assert report["findings"] == [
        {"file": str(second / "core.bin"), "offset": 4, "kind": "key", "form": form,
         "source": OTHER_ID.hex(), "length": 32}
    ]  # fmt: skip


def test_a_long_value_is_found_by_its_beginning(estate, examine):
    long_note = "It began on a rainy day. " * 400
    estate.put("note", Sealer().standard(long_note, "note", "a1"))
    estate.write_csv([(*ROWS[0][:3], long_note, ROWS[0][4]), *ROWS[1:]])
    assert examine(estate)["agrees"]
    (estate.home / "page").write_text(long_note[:3000])
    assert examine(estate)["findings_values"] > 0


def test_what_stands_in_clear_columns_is_not_sought(estate, examine):
    estate.put("name", "knows ada@example.com")
    estate.write_csv([("knows ada@example.com", *ROWS[0][1:]), *ROWS[1:]])
    report = examine(estate)
    assert report["agrees"]
    assert report["values_sought"] == 7


@pytest.mark.parametrize(
    ("value", "telling"),
    [
        ("short", False),
        ("six ch", True),
        ("12345678", False),
        ("123456789", True),
        ("abc-_90", False),
        ("abcdefgh", True),
        ("Zürich", True),
    ],
)
def test_values_that_chance_could_write_are_not_sought(value, telling):
    assert checker.is_telling(value) is telling


def test_the_report_never_shows_a_value_or_a_key(estate, capsys):
    estate.put("email", "ada@example.com")
    (estate.home / "run.log").write_text(KEY.hex() + CITY)
    for more in ([], ["--json"]):
        assert checker.main(estate.arguments(*more)) == 1
        shown = capsys.readouterr().out
        assert "run.log" in shown
        for secret in ("ada@", KEY.hex(), CITY):
            assert secret not in shown


def test_the_search_finds_exactly_what_a_plain_search_finds(tmp_path, monkeypatch):
    rng = random.Random(7)
    data = bytes(rng.choices(b"ab", k=200_000))
    needles = {data[at : at + rng.randint(9, 40)] for at in rng.choices(range(199_900), k=60)}
    needles |= {data[-11:], data[:9], bytes(8)}
    path = tmp_path / "data"
    path.write_bytes(data)
    expected = {
        (at, needle) for needle in needles for at in range(len(data)) if data.startswith(needle, at)
    }
    for chunk in (checker.CHUNK, 60_001, 2 * checker.BLOCK):
        monkeypatch.setattr(checker, "CHUNK", chunk)
        found = list(checker.search_file(path, checker.Needles(needles)))
        assert len(found) == len(set(found))
        assert set(found) == expected


# --- the command ----------------------------------------------------------------------------


def test_the_script_runs_by_itself_and_says_so_by_its_exit_code(estate):
    command = [sys.executable, "-I", checker.__file__, *estate.arguments()]
    right = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (right.returncode, right.stdout.splitlines()[0]) == (0, "agrees")
    estate.put("email", "")
    wrong = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout.splitlines()[0]) == (1, "DOES NOT AGREE")


@pytest.mark.parametrize(
    "more",
    [
        ["--key", "nothing"],
        ["--table", "nobody"],
        ["--encrypted", "email,nothing"],
        ["--key", "email"],
        ["--home", "/nowhere/at/all"],
        ["--database", "/nowhere/at/all.db"],
    ],
)
def test_a_check_that_cannot_be_carried_out_does_not_agree(estate, examine, more):
    report = examine(estate, *more)
    assert set(report) == {"agrees", "error"}


def test_keys_of_a_wrong_form(estate, examine):
    for text in ("[]", "{", '{"keys": [{"key_id": "00", "key": "00"}]}', '{"keys": [{}]}'):
        estate.keys.write_text(text)
        assert "key" in examine(estate)["error"]


def test_a_database_is_not_changed(estate, examine):
    before = estate.database.read_bytes()
    examine(estate)
    assert estate.database.read_bytes() == before


@pytest.mark.parametrize("path", [Path(checker.__file__), Path(__file__)])
def test_nothing_comes_from_the_package(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported.update(name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported <= set(sys.stdlib_module_names) | {"cryptography", "pytest", "checker"}
