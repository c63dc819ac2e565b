"""What encrypts an attachment: each part opens in its place alone."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.attachments.model import place
from keystead.base.errors import Tampered
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import attachment

EXAMPLE = Path(__file__).parents[3] / "docs" / "formats" / "attachment.md"
KEY, OTHER = Secret(bytes(32)), Secret(bytes(31) + b"\1")
A, B = "a" * 32, "b" * 32
texts = st.text(max_size=20)
fixed = settings(derandomize=True, deadline=None, max_examples=60)


def test_the_worked_example_of_the_format() -> None:
    """docs/formats/attachment.md, clause 8."""
    text = EXAMPLE.read_text(encoding="utf-8").split("## 8.")[1].split("```")[3]
    found: dict[str, str] = {}
    name = ""
    for line in text.strip().splitlines():
        name, _, value = line.partition(" ") if line[0] != " " else (name, "", line)
        found[name] = found.get(name, "") + value.strip()
    sys_id, key_id = "01a2aa2cdafd72a0a70fd8a7d1ae4d65", "000102030405060708090a0b0c0d0e0f"
    module_key = Secret(bytes(range(32)))
    key = attachment.unwrap_key(module_key, found["wrapped_key"], sys_id, key_id)
    assert key.reveal(REVEAL) == bytes(range(32, 64))
    assert opened(bytes.fromhex(found["content"]), key, sys_id) == b"hello"
    where = place("people", ("a1",))
    assert where == found["place"]
    moment = "2026-11-22T09:00:00.000000Z"
    belongs = (sys_id, "people", "a1", where, "5", "user:ada", moment)
    facts = json.loads(attachment.open_facts(key, found["facts"], belongs))
    assert facts == {
        "file_name": "a.txt",
        "content_type": "text/plain",
        "sha256": hashlib.sha256(b"hello").hexdigest(),
    }


def sealed(content: bytes, piece: int, key: Secret = KEY, of: str = A) -> bytes:
    out = BytesIO()
    writer = attachment.content_writer(key, of, out)
    for at in range(0, len(content), piece):
        writer.write(content[at : at + piece])
    writer.finish()
    return out.getvalue()


def opened(stream: bytes, key: Secret = KEY, of: str = A) -> bytes:
    return b"".join(attachment.content_reader(key, of, BytesIO(stream)).chunks())


@fixed
@given(content=st.binary(max_size=150_000), piece=st.integers(1_000, 200_000))
def test_content_comes_back_and_opens_for_its_attachment_alone(content: bytes, piece: int) -> None:
    stream = sealed(content, piece)
    assert opened(stream) == content
    for key, of in ((OTHER, A), (KEY, B)):
        with pytest.raises(Tampered):
            opened(stream, key, of)


@fixed
@given(size=st.integers(0, 140_000), data=st.data())
def test_any_other_bytes_do_not_open(size: int, data: st.DataObject) -> None:
    stream = sealed(bytes(size), 50_000)
    at = data.draw(st.integers(0, len(stream) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "drop", "double", "append"]))
    changed = {
        "flip": stream[:at] + bytes([stream[at] ^ 1]) + stream[at + 1 :],
        "cut": stream[:at],
        "drop": stream[:at] + stream[at + 1 :],
        "double": stream[: at + 1] + stream[at:],
        "append": stream + stream[at : at + 1],
    }[kind]
    with pytest.raises(Tampered):
        opened(changed)


@fixed
@given(key=st.binary(min_size=32, max_size=32), other=texts, key_id=texts)
def test_a_key_is_unwrapped_for_its_attachment_and_module_key_alone(
    key: bytes, other: str, key_id: str
) -> None:
    wrapped = attachment.wrap_key(KEY, Secret(key), A, "k")
    assert attachment.unwrap_key(KEY, wrapped, A, "k").reveal(REVEAL) == key
    wrong = [(OTHER, wrapped, A, "k"), (KEY, wrapped[:-4], A, "k"), (KEY, other, A, "k")]
    wrong += [(KEY, wrapped, other, "k")]
    wrong += [(KEY, wrapped, A, key_id)] if key_id != "k" else []
    for arguments in wrong:
        with pytest.raises(Tampered):
            attachment.unwrap_key(*arguments)


@fixed
@given(facts=st.binary(max_size=500), belongs=st.lists(texts, max_size=4), data=st.data())
def test_facts_open_where_they_belong_alone(
    facts: bytes, belongs: list[str], data: st.DataObject
) -> None:
    stored = attachment.seal_facts(KEY, facts, belongs)
    assert attachment.open_facts(KEY, stored, belongs) == facts
    elsewhere = data.draw(st.lists(texts, max_size=4).filter(lambda found: found != belongs))
    for key, where in ((OTHER, belongs), (KEY, elsewhere)):
        with pytest.raises(Tampered):
            attachment.open_facts(key, stored, where)


@pytest.mark.parametrize("text", ["", "AA==", "not base64", "ÄÖ", "AQ" * 30])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(Tampered):
        attachment.unwrap_key(KEY, text, A, "k")
    with pytest.raises(Tampered):
        attachment.open_facts(KEY, text, [])
