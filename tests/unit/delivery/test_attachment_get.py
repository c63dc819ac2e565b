"""A file that `attachment get` writes: all of it under its name, or nothing anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keystead.base.errors import Conflict
from keystead.delivery.cli.attachments import _drafted


@pytest.fixture(params=["unnamed", "named"])
def way(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the file system can keep a file without a name."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
        return "named"
    try:
        os.close(os.open(tmp_path, os.O_WRONLY | os.O_TMPFILE, 0o600))
    except (AttributeError, OSError):
        pytest.skip("this file system cannot")
    return "unnamed"


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_it_has_its_name_at_the_end(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with _drafted(Path("out.pdf")) as out:
        out.write(b"content")
        # what a kill would leave
        (left,) = names(tmp_path) or [""]
        assert (left == "") == (way == "unnamed")
    assert names(tmp_path) == ["out.pdf"]
    assert (tmp_path / "out.pdf").read_bytes() == b"content"
    assert (tmp_path / "out.pdf").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("way")
def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with _drafted(tmp_path / "out.pdf") as out:
            out.write(b"content")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(tmp_path) == []


@pytest.mark.usefixtures("way")
def test_a_file_that_came_meanwhile_stays(tmp_path: Path) -> None:
    def write() -> None:
        with _drafted(tmp_path / "out.pdf"):
            (tmp_path / "out.pdf").write_bytes(b"another's")

    with pytest.raises(Conflict):
        write()
    assert names(tmp_path) == ["out.pdf"]
    assert (tmp_path / "out.pdf").read_bytes() == b"another's"
