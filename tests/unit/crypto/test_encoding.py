"""Many values of many lengths in one call: each comes out in its place, and one bad one is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.base.errors import Tampered
from keystead.crypto.encoding import b64_decode_many, b64_encode, b64_encode_many

HEAD = 12
LAST_CHARACTERS = {2: "AQgw", 3: "AEIMQUYcgkosw048"}  # RFC 4648 §3.5: unused bits are zero


@given(st.lists(st.binary(max_size=9), max_size=40))
def test_values_of_mixed_lengths_keep_their_order(values: list[bytes]) -> None:
    texts = b64_encode_many(values)
    assert texts == [b64_encode(value) for value in values]
    assert b64_decode_many(texts) == [(b"", value) for value in values]


@given(st.lists(st.binary(min_size=HEAD, max_size=HEAD + 9), max_size=40))
def test_each_is_cut_after_its_head(values: list[bytes]) -> None:
    cut = [(value[:HEAD], value[HEAD:]) for value in values]
    assert b64_decode_many(b64_encode_many(values), HEAD) == cut


@pytest.mark.parametrize("place", [0, 1, 7])
@pytest.mark.parametrize("size", [16, 17, 18])
def test_one_bad_text_among_good_ones_is_refused(size: int, place: int) -> None:
    texts = b64_encode_many([bytes(range(at, at + size)) for at in range(8)])
    good = texts[place]
    bad = [good[:-1] + "!", good[:-1] + "=", good[:-1] + "+", good + "é", "A"]
    if allowed := LAST_CHARACTERS.get(len(good) % 4):
        bad += [good[:-1] + last for last in "BCDxyz_-" if last not in allowed]
    for text in bad:
        with pytest.raises(Tampered):
            b64_decode_many([*texts[:place], text, *texts[place + 1 :]], HEAD)


def test_a_text_shorter_than_the_head_is_refused() -> None:
    with pytest.raises(Tampered):
        b64_decode_many(b64_encode_many([bytes(HEAD), bytes(HEAD - 1)]), HEAD)
    with pytest.raises(Tampered):
        b64_decode_many([""], HEAD)
