"""A file gives back exactly what it holds, or is refused by line and column."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystead.base.errors import Conflict, Invalid, KeysteadError, NotFound
from keystead.database.model import Column, ColumnType
from keystead.records import ingest
from keystead.records.ingest import Format, inspect, read

TEXT, INTEGER = ColumnType.TEXT, ColumnType.INTEGER
MIB = 2**20

properties = settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def written(content: str | bytes, name: str = "t.csv") -> Path:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return written


def rows_of(file: Path, **options: object) -> list[tuple[object, ...]]:
    inspection = inspect(file, **options)
    rows = list(read(inspection))
    assert len(rows) == inspection.rows
    return rows


def types_of(file: Path, **options: object) -> dict[str, ColumnType]:
    return {column.name: column.type for column in inspect(file, **options).columns}


def refused(file: Path, code: str, **options: object) -> Invalid:
    with pytest.raises(Invalid) as caught:
        inspect(file, **options)
    assert caught.value.code == code
    assert "\n" not in caught.value.what
    return caught.value


def place(error: KeysteadError) -> tuple[object, object]:
    return error.facts["line"], error.facts.get("column")


class TestFormat:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("a.csv", Format.CSV),
            ("a.CSV", Format.CSV),
            ("a.b.csv", Format.CSV),
            ("a.jsonl", Format.JSONL),
            ("a.ndjson", Format.JSONL),
        ],
    )
    @pytest.mark.parametrize("packed", [False, True])
    def test_is_told_by_the_name(self, write, name, expected, packed):
        content = b"a\n1\n" if expected is Format.CSV else b'{"a": 1}\n'
        if packed:
            name, content = name + ".gz", gzip.compress(content)
        file = write(content, name)
        assert inspect(file).format is expected
        assert rows_of(file) == [(1,)]

    @pytest.mark.parametrize("name", ["a", "a.txt", "a.gz", "a.csv.zip", "csv"])
    def test_no_other_name_is_guessed(self, write, name):
        refused(write("a\n1\n", name), "file.format")

    def test_may_be_given_against_the_name(self, write):
        assert rows_of(write('{"a": 1}', "a.csv"), format=Format.JSONL) == [(1,)]
        assert rows_of(write(gzip.compress(b"a\n1\n"), "a.gz"), format=Format.CSV) == [(1,)]


class TestOpening:
    def test_a_missing_file(self, tmp_path):
        with pytest.raises(NotFound) as caught:
            inspect(tmp_path / "none.csv")
        assert caught.value.code == "file.missing"

    def test_a_folder(self, tmp_path):
        (tmp_path / "d.csv").mkdir()
        assert "regular" in refused(tmp_path / "d.csv", "file.missing").what

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "p.csv")
        assert "regular" in refused(tmp_path / "p.csv", "file.missing").what

    def test_a_file_on_the_way(self, write):
        refused(write("a\n1\n") / "b.csv", "file.missing")

    def test_no_permission(self, write, monkeypatch):
        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        file = write("a\n1\n")
        monkeypatch.setattr(Path, "open", refuse)
        assert "Permission denied" in refused(file, "file.missing").what

    @pytest.mark.parametrize(
        ("damage", "reason"),
        [
            (lambda packed: packed[:-4], "too early"),
            (lambda packed: packed[: len(packed) // 2], "too early"),
            (lambda packed: packed[:5], "too early"),
            (lambda packed: b"a,b\n1,2\n", "not gzip"),
            (lambda packed: packed + b"more", "not gzip"),
            (lambda packed: packed[:12] + b"\xff" * 8 + packed[20:], "damaged"),
            (lambda packed: packed[:-8] + b"\0" * 8, "damaged"),
        ],
    )
    def test_broken_gzip(self, write, damage, reason):
        packed = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(999)))
        assert reason in refused(write(damage(packed), "t.csv.gz"), "file.missing").what

    def test_gzip_of_several_members(self, write):
        file = write(gzip.compress(b"a\n1\n") + gzip.compress(b"2\n"), "t.csv.gz")
        assert rows_of(file) == [(1,), (2,)]

    @pytest.mark.parametrize("content", ["", "\ufeff", "\n\n", "a,b", "a,b\n", "a,b\n\n\r\n"])
    def test_nothing_in_a_csv(self, write, content):
        refused(write(content), "file.empty")

    @pytest.mark.parametrize("content", ["", "\ufeff", "\n \n", "{}\n{}\n"])
    def test_nothing_in_json_lines(self, write, content):
        refused(write(content, "t.jsonl"), "file.empty")


class TestCsv:
    def test_columns_types_and_rows(self, write):
        file = write('n,full name,名称\r\n1,Zoë,"say ""hi"""\r\n-2,"two\r\nlines",\r\n')
        inspection = inspect(file, key="n")
        assert inspection.columns == (
            Column("n", INTEGER, nullable=False),
            Column("full name", TEXT),
            Column("名称", TEXT),
        )
        assert (inspection.format, inspection.null, inspection.rows) == (Format.CSV, None, 2)
        assert list(read(inspection)) == [(1, "Zoë", 'say "hi"'), (-2, "two\r\nlines", "")]

    def test_byte_order_mark(self, write):
        assert types_of(write("\ufeffa,b\n1,x\n")) == {"a": INTEGER, "b": TEXT}
        assert types_of(write('\ufeff"a",b\n1,x\n')) == {"a": INTEGER, "b": TEXT}

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_the_last_line_may_lack_its_end(self, write, end):
        assert rows_of(write(f"a,b{end}1,x{end}2,y")) == [(1, "x"), (2, "y")]

    def test_blank_lines_are_ignored(self, write):
        assert rows_of(write("\n\r\na,b\n\n1,x\n\r\n2,y\n\n\r\n")) == [(1, "x"), (2, "y")]

    def test_in_one_column_only_a_quoted_empty_value_is_a_row(self, write):
        assert rows_of(write('a\nx\n\n""\ny\n')) == [("x",), ("",), ("y",)]

    def test_spaces_are_kept(self, write):
        assert rows_of(write('a,b\n x , \n" y ",\u3000\n')) == [(" x ", " "), (" y ", "\u3000")]

    def test_line_separators_of_unicode_end_no_line(self, write):
        assert rows_of(write("a,b\nx\u2028y\x0b\x0c\x1c\x85,2\n")) == [
            ("x\u2028y\x0b\x0c\x1c\x85", 2)
        ]

    @pytest.mark.parametrize(
        ("content", "line", "reason"),
        [
            ("a,b\n1,2\n3\n", 3, "2 fields expected, 1 found"),
            ("a,b\n1,2\n3,4,5\n", 3, "2 fields expected, 3 found"),
            ('a,b\n"1\n\n",2\n"3\n3"\n', 5, "2 fields expected, 1 found"),
            ("a,b\n\n1,2\n\n3,4,\n", 5, "2 fields expected, 3 found"),
            ('a,b\n1,2\n3,"4\n5,6\n', 3, "never closed"),
            ('a,b\n1,2\n"3"x,4\n', 3, "after its closing quote"),
            ("a,b\n1\r,2\n", 2, "new-line character"),
            ("a,b\r1,2\r", 1, "new-line character"),
            (b"a,b\n1,2\n3,\xff\n", 3, "UTF-8"),
            (b"a,b\n1,2\n3,\xed\xa0\x80\n", 3, "UTF-8"),
            (b'a,b\n"1\n\xe9",2\n', 3, "UTF-8"),
            (b"a,b\n1,2\n3,\xe4\xb8", 3, "UTF-8"),
            (b"\xff\xfea\0,\0b\0", 1, "UTF-8"),
        ],
    )
    def test_a_bad_row_is_named(self, write, content, line, reason):
        error = refused(write(content), "file.row")
        assert error.facts["line"] == line
        assert reason in error.what

    @pytest.mark.parametrize("value", ["x\0", '"\0"', '"x\n\0"'])
    def test_a_nul_character_is_named(self, write, value):
        error = refused(write(f'a,b\n1,2\n"3\n",{value}\n'), "file.value")
        assert place(error) == (3, "b")
        assert "NUL" in error.what

    def test_errors_do_not_quote_values(self, write):
        secret = "4111 1111 1111 1111"
        for content in (f"a,b\n{secret}\n", f'a,b\n"{secret}"x,2\n', f"a,b\n{secret}\0,2\n"):
            with pytest.raises(Invalid) as caught:
                inspect(write(content))
            assert secret not in caught.value.what
        assert secret not in refused(write(f"a\n{secret}\n{secret}\n"), "file.value", key="a").what


class TestNames:
    @pytest.mark.parametrize(
        "name", ["", " ", " a", "a ", "x" * 61, "x\ty", "x\x7f", "x\u2028", *"'`^=<>![];"]
    )
    def test_an_unusable_name_is_refused(self, write, name):
        error = refused(write(f"ok,{name}\n1,2\n"), "file.column")
        assert "column 2" in error.what
        error = refused(write(json.dumps({"ok": 1, name: 2}), "t.jsonl"), "file.column")
        assert "column 2" in error.what

    @pytest.mark.parametrize("header", ['"a""b"', '"a,b"', '"a\nb"', "a\0", "x" * 2000])
    def test_an_unusable_name_is_shown_short_in_one_line(self, write, header):
        assert len(refused(write(f"{header}\n1\n"), "file.column").facts["reason"]) < 250

    @pytest.mark.parametrize("header", ["a,b,a", "a,b,A", "straße,x,STRASSE"])
    def test_a_repeated_name_is_refused(self, write, header):
        error = refused(write(f"{header}\n1,2,3\n"), "file.column")
        assert "column 3" in error.what
        assert "already" in error.what

    def test_keys_that_differ_in_case_only_are_refused(self, write):
        refused(write('{"a": 1}\n{"A": 1}\n', "t.jsonl"), "file.column")

    @pytest.mark.parametrize(
        "name", ["x", "x" * 60, "sys_created_at", "出生 日期", "e-mail (1)", "7"]
    )
    def test_other_names_are_taken(self, write, name):
        assert types_of(write(f"{name},other\n1,\n")) == {name: INTEGER, "other": TEXT}

    def test_columns_without_end_are_refused(self, write):
        header = ",".join(f"c{i}" for i in range(2000))
        values = ",".join("1" * 2000)
        assert len(rows_of(write(f"{header}\n{values}\n"))[0]) == 2000
        refused(write(f"{header},d\n{values},1\n"), "file.column")
        objects = "".join(json.dumps({f"c{i}": 1}) + "\n" for i in range(2001))
        refused(write(objects, "t.jsonl"), "file.column")


class TestTypes:
    @pytest.mark.parametrize(
        "values",
        [["0"], ["-1", "10"], ["9223372036854775807", "-9223372036854775808"], ["5"] * 1000],
    )
    def test_integers(self, write, values):
        file = write("a\n" + "\n".join(values))
        assert types_of(file) == {"a": INTEGER}
        assert rows_of(file) == [(int(value),) for value in values]

    @pytest.mark.parametrize(
        "value",
        [
            *(
                "007",
                "+1",
                "-0",
                "00",
                "1_000",
                " 1",
                "1 ",
                "１",
                "٣",
                "1.0",
                "1e3",
                "0x1",
                "-",
                "?",
            ),
            *("−1", "9223372036854775808", "-9223372036854775809", "9" * 5000, "NaN", '""', "True"),
        ],
    )
    def test_text_that_would_not_come_back_as_it_was(self, write, value):
        many = ["1"] * 500
        for values in ([value, *many], [*many, value]):
            file = write("a\n" + "\n".join(values))
            assert types_of(file) == {"a": TEXT}
            assert rows_of(file) == [(v.strip('"'),) for v in values]

    def test_nothing_but_nulls_is_text(self, write):
        assert types_of(write("a,b\n?,1\n?,2\n"), null="?") == {"a": TEXT, "b": INTEGER}

    def test_empty_is_a_string_without_a_null_token(self, write):
        assert rows_of(write("a,b\n,1\n2,\n")) == [("", "1"), ("2", "")]

    @pytest.mark.parametrize(
        ("null", "shown"), [("", ""), ("?", "?"), ("NULL", "NULL"), ("0", "0")]
    )
    def test_the_null_token(self, write, null, shown):
        file = write(f"a,b\n1,{shown}\n{shown},x\n3,z{shown}\n")
        assert types_of(file, null=null) == {"a": INTEGER, "b": TEXT}
        expected = [(1, None), (None, "x"), (3, "z" + shown)]
        assert rows_of(file, null=null) == expected

    def test_the_null_token_is_whole_and_exact(self, write):
        rows = rows_of(write("a,b\nnull,NULL\nNULL ,NULLs\n"), null="NULL")
        assert rows == [("null", None), ("NULL ", "NULLs")]


class TestJsonLines:
    def test_columns_are_all_keys_as_first_seen(self, write):
        file = write('{"b": 1, "a": "x"}\n\n \t\r\n{"c": null}\r\n{"c": 7, "b": -2}', "t.jsonl")
        assert types_of(file) == {"b": INTEGER, "a": TEXT, "c": INTEGER}
        assert rows_of(file) == [(1, "x", None), (None, None, None), (-2, None, 7)]

    def test_a_key_that_comes_late(self, write):
        file = write("".join(f'{{"a": {i}}}\n' for i in range(999)) + '{"z": "x"}\n', "t.jsonl")
        assert types_of(file) == {"a": INTEGER, "z": TEXT}
        assert rows_of(file) == [*((i, None) for i in range(999)), (None, "x")]

    def test_strings_stay_text_and_integers_among_them_become_text(self, write):
        file = write('{"a": "1", "b": 1}\n{"a": "2", "b": "x"}\n{"a": null, "b": 3}\n', "t.jsonl")
        assert types_of(file) == {"a": TEXT, "b": TEXT}
        assert rows_of(file) == [("1", "1"), ("2", "x"), (None, "3")]

    def test_the_whole_range_of_integers(self, write):
        file = write(f'{{"a": {2**63 - 1}}}\n{{"a": {-(2**63)}}}\n{{"a": 0}}\n', "t.jsonl")
        assert rows_of(file) == [(2**63 - 1,), (-(2**63),), (0,)]

    def test_the_null_token_is_ignored(self, write):
        file = write('{"a": "?"}\n', "t.jsonl")
        assert inspect(file, null="?").null is None
        assert rows_of(file, null="?") == [("?",)]

    def test_escapes(self, write):
        text = '\ufeff{"a": "\\ud83d\\ude00 \\u00eb \\\\u0000 \\n\u2028", "n\\u00eb": 1}\n'
        file = write(text, "t.jsonl")
        assert types_of(file) == {"a": TEXT, "në": INTEGER}
        assert rows_of(file) == [("\U0001f600 ë \\u0000 \n\u2028", 1)]

    @pytest.mark.parametrize(
        "value",
        [
            *("1.0", "1e2", "-0", "0.5", "true", "false", "[]", "[1]", "{}", '{"a": 1}'),
            *("NaN", "Infinity", "-Infinity", "9223372036854775808", "-9223372036854775809"),
            *("9" * 5000, "1e999"),
        ],
    )
    def test_a_value_without_a_column_type_is_named(self, write, value):
        error = refused(write(f'{{"a": 1}}\n\n{{"a": 1, "b": {value}}}\n', "t.jsonl"), "file.value")
        assert place(error) == (3, "b")
        assert "write it as a string" in error.what

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ("\\ud800", "surrogate"),
            ("x\\uDfffy", "surrogate"),
            ("\\ude00\\ud83d", "surrogate"),
            ("\\u0000", "NUL"),
        ],
    )
    def test_text_no_database_keeps_is_named(self, write, value, reason):
        error = refused(write(f'{{"a": 1}}\n{{"a": 1, "b": "{value}"}}\n', "t.jsonl"), "file.value")
        assert place(error) == (2, "b")
        assert reason in error.what

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ('{"a": 1', "not JSON"),
            ('{"a": 1}}', "not JSON"),
            ('{"a": 1} {"a": 2}', "not JSON"),
            ("{'a': 1}", "not JSON"),
            ('{"a": 01}', "not JSON"),
            ('{"a": "x\ty"}', "not JSON"),
            ('{"a": "\0"}', "not JSON"),
            ('{"a": "\\x"}', "not JSON"),
            ("a,b", "not JSON"),
            ("\u3000", "not JSON"),
            ("\ufeff{}", "not JSON"),
            ("[1]", "not a JSON object"),
            ("null", "not a JSON object"),
            ('"a"', "not a JSON object"),
            ("1", "not a JSON object"),
            ('{"a": 1, "b": 2, "a": 1}', "twice"),
            ('{"a": 1, "\\u0061": 1}', "twice"),
            ("[" * 100_000, "recursion"),
            ('{"a":' * 100_000, "recursion"),
            (b'{"a": "\xff"}', "UTF-8"),
        ],
    )
    def test_a_bad_line_is_named(self, write, line, reason):
        raw = line if isinstance(line, bytes) else line.encode()
        error = refused(write(b'{"a": 1}\n\n' + raw + b'\n{"a": 2}', "t.jsonl"), "file.row")
        assert error.facts["line"] == 3
        assert reason in error.what

    def test_a_half_surrogate_in_a_key(self, write):
        refused(write('{"\\ud800": 1}', "t.jsonl"), "file.column")

    def test_errors_do_not_quote_values(self, write):
        for line in (
            '{"a": "4111}',
            '{"a": 4111.5}',
            '{"a": "4111\\u0000"}',
            "4111",
            '{"a": 4111x}',
        ):
            with pytest.raises(Invalid) as caught:
                inspect(write(line, "t.jsonl"))
            assert "4111" not in caught.value.what


class TestKey:
    def test_must_be_a_column(self, write):
        for file in (write("a\n1\n"), write('{"a": 1}', "t.jsonl")):
            assert "there is no column 'x'" in refused(file, "file.column", key="x").what

    @pytest.mark.parametrize(
        ("content", "null", "reason"),
        [
            ("k,v\n1,a\n2,b\n,c\n", None, "empty"),
            ("k,v\n1,a\n2,b\n,c\n", "", "null"),
            ("k,v\n1,a\n2,b\n?,c\n", "?", "null"),
            ("k,v\n1,a\n2,b\n1,c\n", None, "earlier row"),
            ("k,v\nx,a\n2,b\nx,c\n", None, "earlier row"),
        ],
    )
    def test_a_bad_key_is_named(self, write, content, null, reason):
        error = refused(write(content), "file.value", key="k", null=null)
        assert place(error) == (4, "k")
        assert reason in error.what

    @pytest.mark.parametrize(
        ("last", "reason"),
        [
            ("{}", "null"),
            ('{"k": null}', "null"),
            ('{"k": ""}', "empty"),
            ('{"k": 1}', "earlier row"),
            ('{"k": "1"}', "earlier row"),
        ],
    )
    def test_a_bad_key_in_json_lines_is_named(self, write, last, reason):
        file = write(f'{{"k": 1}}\n{{"k": "x"}}\n{last}\n', "t.jsonl")
        error = refused(file, "file.value", key="k")
        assert place(error) == (3, "k")
        assert reason in error.what

    def test_a_key_repeated_far_away(self, write):
        content = "k\n" + "".join(f"{i}\n" for i in range(5000))
        assert inspect(write(content), key="k").rows == 5000
        assert place(refused(write(content + "0\n"), "file.value", key="k")) == (5002, "k")

    def test_the_line_is_where_the_row_begins(self, write):
        file = write('k,v\n1,"a\nb\nc"\n\n1,"d\ne"\n')
        assert place(refused(file, "file.value", key="k")) == (6, "k")

    def test_01_and_1_are_different_keys(self, write):
        assert rows_of(write("k\n01\n1\n"), key="k") == [("01",), ("1",)]


class TestSize:
    def test_a_value_of_10_mb_is_taken(self, write):
        big = ("é" * 50 + "\n") * (10 * MIB // 101)
        assert rows_of(write(f'a,b\n1,"{big}"\n2,x\n')) == [(1, big), (2, "x")]
        plain = "x" * 10 * MIB
        assert rows_of(write(f"a,b\n1,{plain}\n2,x\n")) == [(1, plain), (2, "x")]
        line = json.dumps({"a": 1, "b": big})
        assert rows_of(write(line, "t.jsonl")) == [(1, big)]

    @pytest.mark.parametrize("quote", ["", '"'])
    def test_a_value_above_16_mib_is_named(self, write, quote):
        file = write(f"a,b,c\n1,2,3\n1,{quote}{'é' * (8 * MIB)}x{quote},3\n")
        error = refused(file, "file.value")
        assert place(error) == (3, "b")
        assert "16 MiB" in error.what

    def test_a_value_above_16_mib_in_json_lines_is_named(self, write):
        file = write('{"a": 1}\n{"a": 1, "b": "' + "x" * (16 * MIB + 1) + '"}\n', "t.jsonl")
        assert place(refused(file, "file.value")) == (2, "b")

    def test_a_value_of_16_mib_is_taken(self, write):
        value = "x" * 16 * MIB
        assert rows_of(write(f"a,b\n{value},1\n")) == [(value, 1)]

    @pytest.fixture
    def _small(self, monkeypatch):
        monkeypatch.setattr(ingest, "VALUE_LIMIT", 100)
        monkeypatch.setattr(ingest, "RECORD_LIMIT", 400)

    @pytest.mark.usefixtures("_small")
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("a,b,c\n1,2,3\n1," + "x" * 1000 + ",3\n", (3, "b")),
            ("a,b,c\n1,2,3\n1,2," + "é" * 1000, (3, "c")),
            ('a,b,c\n1,2,3\n1,"' + "x\n" * 500 + '",3\n', (3, "b")),
            ('a,b,c\n1,2,3\n1,"2\n' + "4,5,6\n" * 500, (3, "b")),
        ],
    )
    def test_a_value_that_passes_the_limit_of_its_row_is_named(self, write, content, expected):
        assert place(refused(write(content), "file.value")) == expected

    @pytest.mark.usefixtures("_small")
    @pytest.mark.parametrize(
        ("content", "name", "line"),
        [
            ("a\n1\n" + ",".join(["x"] * 500), "t.csv", 3),
            ('a\n1\n"\n",' + '"\n",' * 500, "t.csv", 3),
            ("x" * 1000, "t.csv", 1),
            ('"' + "a\n" * 1000, "t.csv", 1),
            ('{"a": 1}\n{"a": "' + "x" * 1000 + '"}', "t.jsonl", 2),
        ],
    )
    def test_a_row_without_end_is_named(self, write, content, name, line):
        error = refused(write(content, name), "file.row")
        assert error.facts["line"] == line
        assert "64 MiB" in error.what

    @pytest.mark.usefixtures("_small")
    def test_a_row_may_be_as_large_as_its_limit(self, write):
        row = ",".join(["x" * 99] * 4)
        assert len(row) == 399
        assert rows_of(write(f"a,b,c,d\n{row}\n{row}\n")) == [tuple(row.split(","))] * 2
        quoted = '"' + '","'.join(["x" * 96 + "\n"] * 4) + '"'
        assert len(quoted) == 399
        assert rows_of(write(f"a,b,c,d\n{quoted}\n{quoted}\n")) == [("x" * 96 + "\n",) * 4] * 2

    @pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
    def test_memory_stays_flat(self, write, name):
        line = {"t.csv": "{0},{0}x\n", "t.jsonl": '{{"a": {0}, "b": "{0}x"}}\n'}[name]
        head = "a,b\n" if name == "t.csv" else ""
        file = write(head + "".join(line.format(i) for i in range(12_000)), name)
        tracemalloc.start()
        try:
            assert sum(1 for _ in read(inspect(file))) == 12_000
            assert tracemalloc.get_traced_memory()[1] < MIB
        finally:
            tracemalloc.stop()

    def test_memory_stays_flat_with_large_values(self, write):
        file = write("a,b\n" + f"1,{'x' * (MIB // 2)}\n" * 40)
        tracemalloc.start()
        try:
            assert sum(1 for _ in read(inspect(file))) == 40
            assert tracemalloc.get_traced_memory()[1] < 10 * MIB
        finally:
            tracemalloc.stop()


class TestReading:
    def test_progress_is_told_in_rows_more(self, write):
        told: list[int] = []
        inspect(write("a\n" + "1\n" * 4321), on_rows=told.append)
        assert sum(told) == 4321
        assert len(told) > 10

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("a,b\n1,x\n", "a,c\n1,x\n"),
            ("a,b\n1,x\n", "a,b\n1,x\n2,y\n"),
            ("a,b\n1,x\n2,y\n", "a,b\n1,x\n"),
            ("a,b\n1,x\n", "a,b\n01,x\n"),
            ("a,b\n1,x\n", ""),
        ],
    )
    def test_a_csv_that_changed_is_not_read_as_the_one_inspected(self, write, before, after):
        inspection = inspect(write(before))
        write(after)
        with pytest.raises(Conflict):
            list(read(inspection))

    @pytest.mark.parametrize("after", ['{"a": "1"}', '{"a": 1, "b": 1}', '{"a": 1}\n{"a": 2}', ""])
    def test_json_lines_that_changed_are_not_read_as_inspected(self, write, after):
        inspection = inspect(write('{"a": 1}\n', "t.jsonl"))
        write(after, "t.jsonl")
        with pytest.raises(Conflict):
            list(read(inspection))

    def test_a_file_that_broke_is_refused_as_at_first(self, write):
        inspection = inspect(write("a,b\n1,x\n"))
        write("a,b\n1,x,y\n")
        with pytest.raises(Invalid):
            list(read(inspection))

    def test_can_be_repeated_and_left_early(self, write):
        inspection = inspect(write("a\n" + "1\n" * 1000))
        for _ in range(3):
            assert next(read(inspection)) == (1,)


any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
tricky = st.text(st.sampled_from(list("01-_ ,\"'\r\n\t\u2028\ufeff１é名")), max_size=6)
texts = st.one_of(any_text, tricky, st.integers().map(str), st.just("007"))
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(texts, min_size=width, max_size=width), min_size=1, max_size=12)
)


class TestProperties:
    @properties
    @given(table=tables, quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    def test_a_csv_gives_back_every_text(self, write, table, quoting):
        out = io.StringIO(newline="")
        writer = csv.writer(out, quoting=quoting)
        writer.writerow([f"c{i}" for i in range(len(table[0]))])
        writer.writerows(table)
        rows = rows_of(write(out.getvalue()))
        assert [[str(value) for value in row] for row in rows] == table

    @properties
    @given(table=tables, null=st.sampled_from(["", "0", "?"]))
    def test_a_null_token_is_null_and_nothing_else_is(self, write, table, null):
        out = io.StringIO(newline="")
        writer = csv.writer(out, quoting=csv.QUOTE_ALL)
        writer.writerow([f"c{i}" for i in range(len(table[0]))])
        writer.writerows(table)
        rows = rows_of(write(out.getvalue()), null=null)
        assert [[null if value is None else str(value) for value in row] for row in rows] == table

    @properties
    @given(body=st.text(st.sampled_from('a1,"\r\n '), max_size=25))
    def test_a_csv_reads_as_the_csv_module_reads_it(self, write, body):
        lines = re.findall(r"[^\n]*\n|[^\n]+", f"A,B\n{body}")
        try:
            expected = [fields for fields in csv.reader(lines, strict=True) if fields][1:]
        except csv.Error:
            expected = []
        try:
            rows = rows_of(write(f"A,B\n{body}"))
        except Invalid:
            assert not expected or any(len(fields) != 2 for fields in expected)
        else:
            assert [[str(value) for value in row] for row in rows] == expected

    @properties
    @given(
        objects=st.lists(
            st.dictionaries(
                st.sampled_from("abcd"),
                st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), any_text),
            ),
            min_size=1,
            max_size=12,
        ),
        escaped=st.booleans(),
    )
    def test_json_lines_give_back_every_value(self, write, objects, escaped):
        lines = "\n".join(json.dumps(o, ensure_ascii=escaped) for o in objects)
        file = write(lines, "t.jsonl")
        if not any(objects):
            refused(file, "file.empty")
            return
        inspection = inspect(file)
        names = list(dict.fromkeys(name for o in objects for name in o))
        assert [column.name for column in inspection.columns] == names
        for i, column in enumerate(inspection.columns):
            given_values = [o.get(column.name) for o in objects]
            kinds = {type(value) for value in given_values if value is not None}
            assert (column.type is INTEGER) == (kinds == {int})
            if column.type is TEXT:
                given_values = [None if v is None else str(v) for v in given_values]
            assert [row[i] for row in read(inspection)] == given_values

    @settings(properties, max_examples=600)
    @given(
        content=st.one_of(
            st.binary(max_size=60),
            st.lists(
                st.sampled_from(
                    [
                        *(
                            b"a",
                            b",",
                            b'"',
                            b"\n",
                            b"\r",
                            b"\r\n",
                            b"\0",
                            b"\xff",
                            b"\xef\xbb\xbf",
                            b"1",
                        ),
                        *(
                            b"{",
                            b"}",
                            b":",
                            b'"a"',
                            b'{"a":1}',
                            b'{"b":"x"}\n',
                            b"\\ud800",
                            b"[",
                            b"null",
                        ),
                        *(
                            b"-0",
                            b"1.5",
                            b"true",
                            b"\xe5\x90\x8d",
                            b" ",
                            b"a,b\n",
                            b"1,2\n",
                            b"\x1f\x8b",
                        ),
                    ]
                ),
                max_size=14,
            ).map(b"".join),
        ),
        name=st.sampled_from(["t.csv", "t.jsonl", "t.csv.gz", "t.jsonl.gz"]),
        packed=st.booleans(),
        cut=st.integers(0, 30),
        null=st.sampled_from([None, "", "1"]),
        key=st.sampled_from([None, "a"]),
    )
    def test_any_bytes_are_read_or_refused(self, write, content, name, packed, cut, null, key):
        if packed:
            content = gzip.compress(content)
            content = content[: len(content) - max(0, cut - 20)]
        file = write(content, name)
        try:
            inspection = inspect(file, null=null, key=key)
        except Invalid:
            return
        rows = list(read(inspection))
        assert len(rows) == inspection.rows > 0
        assert {len(row) for row in rows} == {len(inspection.columns)}
