"""A database server's own programs for copying a database out and in, at the ends of pipes.

Only they know all that a server's tables can have. They are told how to connect by a file without
a name, so no password is on a command line or on a disk. What they say is not passed on from the
first quotation mark on, since they quote values.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Final

from keystead.base.errors import Invalid, KeysteadError, Misconfigured, Unavailable

_PIECE: Final = 1024 * 1024
_MOST_SAID: Final = 4096
_QUOTE: Final = re.compile(r"[\"'`«]")
_LOGIN = ("authentication failed", "no password supplied", "(using password")
_RIGHTS = ("permission denied", "must be owner", "insufficient privileg", "access denied")
_AWAY = ("could not connect", "connection refused", "can't connect", "server closed the connection")
_FULL = ("no space left", "disk full", "could not extend file", "is full")
_CHANGED = ("table definition has changed", "doesn't exist", "does not exist")
_Meaning = tuple[tuple[str, ...], type[KeysteadError], str]
_MEANINGS: Final[tuple[_Meaning, ...]] = (
    (_LOGIN, Misconfigured, "database.login"),
    (_RIGHTS, Misconfigured, "database.rights"),
    (_AWAY, Unavailable, "database.away"),
    (_FULL, Unavailable, "disk.full"),
    (_CHANGED, Unavailable, "backup.changed"),
)


def find(
    name: str,
    known: Sequence[Path],
    version: re.Pattern[str],
    server: tuple[int, ...],
    engine: str,
) -> Path:
    """The first of the known programs, or the one on the path, that is as new as the server.

    Raises:
        Misconfigured: when there is none, or only older ones, which cannot know all tables.
    """
    on_path = shutil.which(name)
    candidates = [*known, *([Path(on_path)] if on_path else [])]
    older = []
    for program in candidates:
        if not os.access(program, os.X_OK):
            continue
        command = [str(program), "--version"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        found = version.search(asked.stdout)
        if found is None:
            continue
        numbers = tuple(int(part) for part in found.groups())
        if numbers >= server:
            return program
        older.append(numbers)
    wanted = ".".join(map(str, server))
    if not older:
        raise Misconfigured("backup.tool_missing", tool=name, engine=engine, wanted=wanted)
    newest = ".".join(map(str, max(older)))
    raise Misconfigured("backup.tool_old", tool=name, engine=engine, wanted=wanted, newest=newest)


@contextmanager
def private_file(content: str) -> Iterator[tuple[str, int]]:
    """A file without a name that only a child of this process can read: its path and number."""
    descriptor = os.memfd_create("keystead")
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, content.encode())
        yield f"/dev/fd/{descriptor}", descriptor
    finally:
        os.close(descriptor)


def expecting(copy: Iterator[bytes], beginnings: tuple[bytes, ...]) -> Iterator[bytes]:
    """The same pieces, of which the first was looked at.

    Raises:
        Invalid: when they do not begin in one of these ways.
    """
    first = next(copy, b"")
    if not first.startswith(beginnings):
        raise Invalid("backup.engine")
    return chain((first,), copy)


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run: its words, what is added to the environment, and the file it may read."""

    words: list[str]
    environment: Mapping[str, str]
    descriptor: int
    server: str

    def read(self) -> Iterator[bytes]:
        """What it writes, in pieces; whole when they end without an error."""
        with self._running(reads=True) as process:
            while piece := _pipe(process.stdout).read(_PIECE):
                yield piece

    def feed(self, pieces: Iterator[bytes]) -> None:
        """Give it pieces; it does not see their end when one of them cannot be had."""
        with self._running(reads=False) as process:
            pipe = _pipe(process.stdin)
            with suppress(BrokenPipeError):  # it has ended; how, is asked next
                for piece in pieces:
                    pipe.write(piece)
                pipe.close()

    @contextmanager
    def _running(self, *, reads: bool) -> Iterator[subprocess.Popen[bytes]]:
        said = os.memfd_create("keystead")
        try:
            process = subprocess.Popen(  # noqa: S603 - a tool that `find` found
                self.words,
                stdin=subprocess.DEVNULL if reads else subprocess.PIPE,
                stdout=subprocess.PIPE if reads else subprocess.DEVNULL,
                stderr=said,
                env={**os.environ, **self.environment},
                pass_fds=(self.descriptor,),
            )
            try:
                yield process
            except BaseException:
                process.kill()  # before its input is closed: it must not take that for the end
                raise
            finally:
                for pipe in (process.stdin, process.stdout):
                    _let_go(pipe)
                process.wait()
            if process.returncode:
                raise self._failure(process.returncode, os.pread(said, _MOST_SAID, 0))
        finally:
            os.close(said)

    def _failure(self, code: int, said: bytes) -> KeysteadError:
        lines = said.decode(errors="replace").strip().splitlines() or [""]
        lower = "\n".join(lines).lower()
        for words, family, meaning in _MEANINGS:
            if any(word in lower for word in words):
                return family(meaning, server=self.server)
        tool, first = Path(self.words[0]).name, _QUOTE.split(lines[0])[0].strip()
        return Unavailable("backup.tool", tool=tool, status=code, said=first or "nothing")


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("a pipe that was asked for is missing")
    return pipe


def _let_go(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with suppress(BrokenPipeError):  # what was still to be written to one that has ended
            pipe.close()
