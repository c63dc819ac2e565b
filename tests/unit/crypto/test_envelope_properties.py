"""Whatever is done to an envelope, it opens to what was sealed or raises Tampered."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keystead.base.errors import Tampered
from keystead.base.secret import Secret
from keystead.crypto import ciphers, envelope
from keystead.crypto.ciphers import ColumnCipher, column_cipher
from keystead.crypto.encoding import b64_decode, b64_encode, length_prefixed
from keystead.crypto.envelope import PREFIX_LENGTH, Scheme

FORMAT = Path(__file__).parents[3] / "docs" / "formats" / "envelope.md"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

properties = settings(derandomize=True, deadline=None, max_examples=35)
both_schemes = pytest.mark.parametrize("scheme", Scheme)

any_character = st.characters(exclude_categories=["Cs"])
replacements = st.one_of(
    st.sampled_from(ALPHABET + ".~+/= \t\r\n\0"),
    st.characters(max_codepoint=127),
    any_character,
    st.sampled_from("\ud800\udcff\udfff"),
)
values = st.text(any_character, min_size=1, max_size=40)
names = st.text(any_character, max_size=10)
key_parts = st.one_of(st.integers(), st.text(any_character, max_size=8))
primary_keys = st.lists(key_parts, min_size=1, max_size=3)

KEY, OTHER_KEY = Secret(bytes(range(32))), Secret(bytes(range(1, 33)))
KEY_ID, OTHER_KEY_ID = bytes(range(16)), bytes(range(1, 17))
ROW = envelope.record(["a1"])


def cipher_of(
    scheme: Scheme,
    *,
    key_id: bytes = KEY_ID,
    key: Secret = KEY,
    table: str = "people",
    column: str = "email",
) -> ColumnCipher:
    return column_cipher(scheme, key_id, key, table, column)


def seal_value(cipher: ColumnCipher, value: str, record: bytes = ROW) -> str:
    [sealed] = cipher.seal_many([value], [record])
    return sealed


def open_value(cipher: ColumnCipher, value: str, record: bytes = ROW) -> str:
    """As a caller opens one value: outline, key, then the body."""
    head, body = envelope.split(value)
    if head != cipher.prefix:
        raise Tampered("envelope.malformed")
    [opened] = cipher.open_many([body], [record])
    return opened


def refuses(cipher: ColumnCipher, value: str, record: bytes = ROW) -> bool:
    """Whether `value` raises Tampered; any other exception passes through."""
    try:
        open_value(cipher, value, record)
    except Tampered:
        return True
    return False


# encoding


@properties
@given(st.binary(max_size=80))
def test_base64url_round_trip(raw: bytes) -> None:
    text = b64_encode(raw)
    assert text == urlsafe_b64encode(raw).decode().rstrip("=")
    assert b64_decode(text) == raw


@properties
@given(st.one_of(st.text(st.sampled_from(ALPHABET), max_size=12), st.text(replacements)))
def test_base64url_is_decoded_from_one_spelling_only(text: str) -> None:
    try:
        raw = b64_decode(text)
    except Tampered:
        return
    assert b64_encode(raw) == text


def test_base64url_of_the_last_character() -> None:
    """Of all characters after one whole byte, those are taken that leave no bits behind."""
    for head, expected in (("A", 4), ("AA", 16), ("AAA", 64), ("AAAA", 0)):
        taken = 0
        for code in range(256):
            try:
                b64_decode(head + chr(code))
            except Tampered:
                continue
            taken += 1
        assert taken == expected


@pytest.mark.parametrize("junk", "+/=.~!* \t\r\n\0é\ud800")
def test_base64url_with_characters_that_a_lenient_decoder_skips(junk: str) -> None:
    for text in ("AAAA", "AAA", "AA", ""):
        for at in range(len(text) + 1):
            for count in range(1, 9):
                with pytest.raises(Tampered):
                    b64_decode(text[:at] + junk * count + text[at:])


@properties
@given(st.binary(), st.binary(), st.binary(), st.binary())
def test_length_prefixes_keep_parts_apart(a: bytes, b: bytes, c: bytes, d: bytes) -> None:
    together = length_prefixed(a) + length_prefixed(b)
    assert (together == length_prefixed(c) + length_prefixed(d)) == ((a, b) == (c, d))


# prefix, split, context, record


@properties
@given(st.sampled_from(Scheme), st.binary(min_size=16, max_size=16), st.binary(min_size=16))
def test_split_takes_apart_what_was_joined(scheme: Scheme, key_id: bytes, raw: bytes) -> None:
    head, body = envelope.prefix(scheme, key_id), b64_encode(raw)
    assert len(head) == PREFIX_LENGTH
    assert envelope.split(head + body + "~") == (head, body)
    assert envelope.is_marked(head)
    assert b64_decode(head[6:28]) == key_id


@properties
@given(st.text(any_character))
def test_split_of_any_text(text: str) -> None:
    for value in (text, envelope.MARKER + text, envelope.prefix(Scheme.STANDARD, KEY_ID) + text):
        try:
            head, body = envelope.split(value)
        except Tampered:
            continue
        assert head + body + "~" == value
        assert len(body) >= 22


@pytest.mark.parametrize(
    "value",
    [
        "",
        "~",
        "~ks1",
        "~ks1s.AAECAwQFBgcICQoLDA0ODw.~",
        "~ks1s.AAECAwQFBgcICQoLDA0ODw." + 21 * "A" + "~",
        "~ks1s.AAECAwQFBgcICQoLDA0ODw." + 24 * "A",
        "~ks1s.AAECAwQFBgcICQoLDA0ODw." + 24 * "A" + "~\n",
        "~ks1s.AAECAwQFBgcICQoLDA0ODw-" + 24 * "A" + "~",
        "~ks2s.AAECAwQFBgcICQoLDA0ODw." + 24 * "A" + "~",
        " ~ks1s.AAECAwQFBgcICQoLDA0ODw." + 24 * "A" + "~",
        "~KS1s.AAECAwQFBgcICQoLDA0ODw." + 24 * "A" + "~",
    ],
)
def test_split_of_what_is_no_envelope(value: str) -> None:
    with pytest.raises(Tampered):
        envelope.split(value)


@properties
@given(st.sampled_from(Scheme), names, names, st.sampled_from(Scheme), names, names)
def test_context_is_injective(
    scheme: Scheme, table: str, column: str, scheme_2: Scheme, table_2: str, column_2: str
) -> None:
    same = (scheme, table, column) == (scheme_2, table_2, column_2)
    one = envelope.context(scheme, KEY_ID, table, column)
    two = envelope.context(scheme_2, KEY_ID, table_2, column_2)
    assert (one == two) == same


def typed(primary_key: list[int | str]) -> list[tuple[type, int | str]]:
    return [(type(part), part) for part in primary_key]


@properties
@given(primary_keys, primary_keys)
def test_record_is_injective(one: list[int | str], two: list[int | str]) -> None:
    assert (envelope.record(one) == envelope.record(two)) == (typed(one) == typed(two))


def test_record_in_bytes() -> None:
    """Clause 4.2, by its letter."""
    assert envelope.record([-10, "é"]) == b"\x02i\0\0\0\x03-10t\0\0\0\x02\xc3\xa9"
    assert envelope.record([0]) == b"\x01i\0\0\0\x010"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ([1], ["1"]),
        (["a", "b"], ["ab"]),
        (["a", "b"], ["b", "a"]),
        (["ab", "c"], ["a", "bc"]),
        ([1, 2], [12]),
        ([1, "2"], ["1", 2]),
        ([-1], [1]),
        (["a", ""], ["a"]),
        ([""], []),
        (["é"], ["e\u0301"]),
    ],
)
def test_record_of_keys_that_look_alike(one: list[int | str], two: list[int | str]) -> None:
    assert envelope.record(one) != envelope.record(two)


# round trips


@both_schemes
@properties
@given(
    st.lists(st.tuples(values, primary_keys), min_size=1, max_size=5),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=16, max_size=16),
    names,
    names,
)
def test_round_trip(
    scheme: Scheme,
    rows: list[tuple[str, list[int | str]]],
    key: bytes,
    key_id: bytes,
    table: str,
    column: str,
) -> None:
    cipher = column_cipher(scheme, key_id, Secret(key), table, column)
    clear = [value for value, _ in rows]
    records = [envelope.record(primary_key) for _, primary_key in rows]
    sealed = cipher.seal_many(clear, records)
    heads, bodies = zip(*map(envelope.split, sealed), strict=True)
    assert set(heads) == {cipher.prefix} == {envelope.prefix(scheme, key_id)}
    again = column_cipher(scheme, key_id, Secret(key), table, column)
    assert again.open_many(bodies, records) == clear
    overhead = 28 if scheme is Scheme.STANDARD else 16
    for value, whole in zip(clear, sealed, strict=True):
        assert re.fullmatch(r"[A-Za-z0-9_.~-]+", whole)
        assert "~" not in whole[1:-1]
        assert len(b64_decode(envelope.split(whole)[1])) == len(value.encode()) + overhead


@properties
@given(st.lists(values, min_size=1, max_size=6))
def test_equal_values_in_standard_envelopes(clear: list[str]) -> None:
    cipher = cipher_of(Scheme.STANDARD)
    sealed = cipher.seal_many(clear * 2, [ROW] * (2 * len(clear)))
    assert len(set(sealed)) == len(sealed)


@properties
@given(st.lists(values, min_size=1, max_size=6))
def test_equal_values_in_equality_envelopes(clear: list[str]) -> None:
    cipher = cipher_of(Scheme.EQUALITY)
    rows = [envelope.record([number]) for number in range(2 * len(clear))]
    sealed = cipher.seal_many(clear * 2, rows)
    assert len(set(sealed)) == len(set(clear))
    assert [seal_value(cipher_of(Scheme.EQUALITY), value) for value in clear] == sealed[
        : len(clear)
    ]


class Counting:
    """AES-SIV that counts its calls."""

    def __init__(self, siv: AESSIV) -> None:
        self.siv, self.calls = siv, 0

    def encrypt(self, data: bytes, context: list[bytes]) -> bytes:
        self.calls += 1
        return self.siv.encrypt(data, context)

    def decrypt(self, data: bytes, context: list[bytes]) -> bytes:
        self.calls += 1
        return self.siv.decrypt(data, context)


def test_equal_values_of_a_batch_are_worked_on_once() -> None:
    cipher = cipher_of(Scheme.EQUALITY)
    cipher._siv = counting = Counting(cipher._siv)
    clear = ["a", "b", "a", "c", "b", "a"]
    sealed = cipher.seal_many(clear, [ROW] * 6)
    assert counting.calls == 3
    assert cipher.open_many([envelope.split(each)[1] for each in sealed], [ROW] * 6) == clear
    assert counting.calls == 6


# changes


@both_schemes
@properties
@given(values, replacements)
def test_any_character_replaced(scheme: Scheme, clear: str, replacement: str) -> None:
    cipher = cipher_of(scheme)
    sealed = seal_value(cipher, clear)
    for at, character in enumerate(sealed):
        if character != replacement:
            assert refuses(cipher, sealed[:at] + replacement + sealed[at + 1 :]), at


@both_schemes
def test_any_character_replaced_by_any_ascii_character(scheme: Scheme) -> None:
    cipher = cipher_of(scheme)
    sealed = seal_value(cipher, "zoë@example.com")
    for at, character in enumerate(sealed):
        for code in range(256):
            if chr(code) != character:
                assert refuses(cipher, sealed[:at] + chr(code) + sealed[at + 1 :]), (at, code)


@both_schemes
@properties
@given(values, st.text(replacements, min_size=1, max_size=5))
def test_anything_inserted(scheme: Scheme, clear: str, inserted: str) -> None:
    """In front, at the end and everywhere between."""
    cipher = cipher_of(scheme)
    sealed = seal_value(cipher, clear)
    for at in range(len(sealed) + 1):
        assert refuses(cipher, sealed[:at] + inserted + sealed[at:]), at


@both_schemes
@pytest.mark.parametrize("junk", "+/=.~!* \t\r\n\0é")
def test_junk_inserted(scheme: Scheme, junk: str) -> None:
    """Four characters at a time, so that the length stays right for a decoder that skips them."""
    cipher = cipher_of(scheme)
    sealed = seal_value(cipher, "zoë@example.com")
    for at in range(len(sealed) + 1):
        for count in (1, 2, 3, 4):
            assert refuses(cipher, sealed[:at] + junk * count + sealed[at:]), at


@both_schemes
@properties
@given(values, values)
def test_anything_cut_off_or_out(scheme: Scheme, clear: str, other: str) -> None:
    cipher = cipher_of(scheme)
    sealed = seal_value(cipher, clear)
    for at in range(len(sealed)):
        assert refuses(cipher, sealed[:at]), at
        assert refuses(cipher, sealed[at + 1 :]), at
        if at < len(sealed) - 1:
            assert refuses(cipher, sealed[:at] + "~"), at
        assert refuses(cipher, sealed[:at] + sealed[at + 1 :]), at
    assert refuses(cipher, sealed + seal_value(cipher, other))


@both_schemes
@properties
@given(values, st.data())
def test_characters_swapped(scheme: Scheme, clear: str, data: st.DataObject) -> None:
    cipher = cipher_of(scheme)
    sealed = seal_value(cipher, clear)
    positions = st.integers(0, len(sealed) - 1)
    one, two = sorted((data.draw(positions), data.draw(positions)))
    assume(sealed[one] != sealed[two])
    swapped = list(sealed)
    swapped[one], swapped[two] = sealed[two], sealed[one]
    assert refuses(cipher, "".join(swapped))


@both_schemes
@properties
@given(values, st.binary(min_size=16, max_size=16))
def test_prefix_of_another_key(scheme: Scheme, clear: str, key_id: bytes) -> None:
    assume(key_id != KEY_ID)
    cipher = cipher_of(scheme)
    head, body = envelope.split(seal_value(cipher, clear))
    swapped = envelope.prefix(scheme, key_id) + body + "~"
    assert refuses(cipher, swapped)
    assert refuses(cipher_of(scheme, key_id=key_id), swapped)
    assert refuses(cipher_of(scheme, key_id=key_id, key=OTHER_KEY), swapped)
    assert refuses(cipher_of(scheme, key=OTHER_KEY), head + body + "~")


@properties
@given(values)
def test_prefix_of_the_other_scheme(clear: str) -> None:
    for scheme, other in ((Scheme.STANDARD, Scheme.EQUALITY), (Scheme.EQUALITY, Scheme.STANDARD)):
        _, body = envelope.split(seal_value(cipher_of(scheme), clear))
        swapped = envelope.prefix(other, KEY_ID) + body + "~"
        assert refuses(cipher_of(scheme), swapped)
        assert refuses(cipher_of(other), swapped)


@both_schemes
@properties
@given(st.text(replacements, max_size=60), st.binary(max_size=60))
def test_any_body(scheme: Scheme, text: str, raw: bytes) -> None:
    cipher = cipher_of(scheme)
    for body in (text, b64_encode(raw)):
        with pytest.raises(Tampered):
            cipher.open_many([body], [ROW])
        assert refuses(cipher, cipher.prefix + body + "~")


@both_schemes
@properties
@given(st.text(replacements))
def test_any_text_at_all(scheme: Scheme, text: str) -> None:
    assert refuses(cipher_of(scheme), text)


@both_schemes
@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_bad_body_in_a_batch(scheme: Scheme, at: int) -> None:
    cipher = cipher_of(scheme)
    records = [envelope.record([number]) for number in range(3)]
    bodies = [
        envelope.split(value)[1] for value in cipher.seal_many(["same", "same", "other"], records)
    ]
    assert cipher.open_many(bodies, records) == ["same", "same", "other"]
    bodies[at] = ("B" if bodies[at][0] == "A" else "A") + bodies[at][1:]
    with pytest.raises(Tampered):
        cipher.open_many(bodies, records)


@both_schemes
def test_bytes_that_are_not_text(scheme: Scheme) -> None:
    cipher = cipher_of(scheme)
    if scheme is Scheme.STANDARD:
        nonce = bytes(12)
        raw = nonce + cipher._aead.encrypt(nonce, b"\xff", cipher._context + ROW)
    else:
        raw = cipher._siv.encrypt(b"\xff", cipher._context)
    assert refuses(cipher, cipher.prefix + b64_encode(raw) + "~")


# moves


@properties
@given(values, primary_keys, primary_keys)
def test_moved_to_another_row(clear: str, home: list[int | str], away: list[int | str]) -> None:
    """Bound to the row: standard envelopes (clause 5), not equality preserving ones (clause 6)."""
    assume(typed(home) != typed(away))
    here, there = envelope.record(home), envelope.record(away)
    standard, equality = cipher_of(Scheme.STANDARD), cipher_of(Scheme.EQUALITY)
    assert refuses(standard, seal_value(standard, clear, here), there)
    assert open_value(equality, seal_value(equality, clear, here), there) == clear


@both_schemes
@properties
@given(values, names, names)
def test_moved_to_another_table_or_column(
    scheme: Scheme, clear: str, table: str, column: str
) -> None:
    assume((table, column) != ("people", "email"))
    sealed = seal_value(cipher_of(scheme), clear)
    assert refuses(cipher_of(scheme, table=table, column=column), sealed)
    if table != "people":
        assert refuses(cipher_of(scheme, table=table), sealed)
    if column != "email":
        assert refuses(cipher_of(scheme, column=column), sealed)


@both_schemes
@pytest.mark.parametrize(("table", "column"), [("peoplee", "mail"), ("peopl", "eemail")])
def test_moved_where_the_names_join_alike(scheme: Scheme, table: str, column: str) -> None:
    assert refuses(
        cipher_of(scheme, table=table, column=column), seal_value(cipher_of(scheme), "value")
    )


@both_schemes
@properties
@given(values, st.binary(min_size=32, max_size=32))
def test_opened_under_another_key(scheme: Scheme, clear: str, key: bytes) -> None:
    assume(key != bytes(range(32)))
    sealed = seal_value(cipher_of(scheme), clear)
    assert refuses(cipher_of(scheme, key=Secret(key)), sealed)
    assert refuses(cipher_of(scheme, key_id=OTHER_KEY_ID), sealed)


# the worked example of clause 8, read from the document


@pytest.fixture(scope="module")
def example() -> SimpleNamespace:
    clause = FORMAT.read_text().partition("\n## 8. A worked example\n")[2]
    assert clause

    def one(pattern: str) -> str:
        [found] = re.findall(pattern, clause, re.MULTILINE)
        return found

    [standard] = re.findall(r"^~ks1s\..*~$", clause, re.MULTILINE)
    [equality] = re.findall(r"^~ks1e\..*~$", clause, re.MULTILINE)
    return SimpleNamespace(
        key=Secret(bytes.fromhex(one(r"^module key +([0-9a-f]{64})$"))),
        key_id=bytes.fromhex(one(r"^key id +([0-9a-f]{32})$")),
        table=one(r'^table +"(\w+)"'),
        column=one(r'column +"(\w+)"'),
        primary_key=one(r'primary key \w+ = "(\w+)" \(text\)$'),
        plain=one(r'^plain text +"(.+)"$'),
        context=bytes.fromhex(one(r"^context \(s\) +([0-9a-f ]+)$")),
        record=bytes.fromhex(one(r"^record +([0-9a-f ]+)$")),
        nonce=bytes.fromhex(one(r"nonce `([0-9a-f]{24})`")),
        envelopes={Scheme.STANDARD: standard, Scheme.EQUALITY: equality},
    )


def test_example_binding(example: SimpleNamespace) -> None:
    made = envelope.context(Scheme.STANDARD, example.key_id, example.table, example.column)
    assert made == example.context
    assert envelope.record([example.primary_key]) == example.record


@both_schemes
def test_example_opens(scheme: Scheme, example: SimpleNamespace) -> None:
    cipher = column_cipher(scheme, example.key_id, example.key, example.table, example.column)
    assert open_value(cipher, example.envelopes[scheme], example.record) == example.plain


@both_schemes
def test_example_is_sealed(
    scheme: Scheme, example: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ciphers, "os", SimpleNamespace(urandom=lambda size: example.nonce[:size]))
    cipher = column_cipher(scheme, example.key_id, example.key, example.table, example.column)
    assert seal_value(cipher, example.plain, example.record) == example.envelopes[scheme]


def test_example_in_any_row(example: SimpleNamespace) -> None:
    cipher = column_cipher(
        Scheme.EQUALITY, example.key_id, example.key, example.table, example.column
    )
    sealed = example.envelopes[Scheme.EQUALITY]
    assert seal_value(cipher, example.plain, envelope.record([7])) == sealed
    assert open_value(cipher, sealed, envelope.record([7])) == example.plain
