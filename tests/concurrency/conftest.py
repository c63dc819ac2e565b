"""An instance on each database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL
from tests.concurrency.places import ENGINES, Place


@pytest.fixture(params=ENGINES)
def place(
    request: pytest.FixtureRequest, new_database: Callable[[str], URL], tmp_path: Path
) -> Place:
    engine = str(request.param)
    url = None
    if engine != "sqlite":
        url = new_database(engine).render_as_string(hide_password=False)
    made = Place(engine, tmp_path / "home", url)
    made.init()
    return made
