"""SHA-256, through `sign.digest`."""

from __future__ import annotations

import pytest

from keystead.crypto import sign

from .files import CRYPTOGRAPHY, rsp

NIST = CRYPTOGRAPHY / "hashes" / "SHA2"


@pytest.mark.parametrize(("file", "count"), [("SHA256ShortMsg.rsp", 65), ("SHA256LongMsg.rsp", 64)])
def test_messages(file: str, count: int) -> None:
    cases = [fields for fields in rsp(NIST / file) if "Msg" in fields]
    assert len(cases) == count
    for fields in cases:
        message = bytes.fromhex(fields["Msg"])[: int(fields["Len"]) // 8]
        assert sign.digest(message) == fields["MD"], fields["Len"]


def test_monte_carlo() -> None:
    """SHAVS §6.4: each hundredth of the file is a thousand digests over the three before."""
    records = list(rsp(NIST / "SHA256Monte.rsp"))
    [seed] = [bytes.fromhex(fields["Seed"]) for fields in records if "Seed" in fields]
    checkpoints = [fields["MD"] for fields in records if "COUNT" in fields]
    assert len(checkpoints) == 100
    for expected in checkpoints:
        last = [seed, seed, seed]
        for _ in range(1000):
            last = [last[1], last[2], bytes.fromhex(sign.digest(b"".join(last)))]
        seed = last[2]
        assert seed.hex() == expected
