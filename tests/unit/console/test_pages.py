"""Every page answers, for who may see it."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    "path",
    ["/", "/stats.do", "/nav_to.do?q=key", "/home/values", "/home/jobs", "/elevate",
     "/sys_kmf_crypto_module.list", "/sys_kmf_module_key.list", "/people.list", "/people.form",
     "/people.form?sys_id=p01", "/people.csv", "/sys_kmf_module_key.csv",
     "/history?table=people&sys_id=p01", "/sys_kmf_crypto_module.do?operation=module.create"],
)  # fmt: skip
def test_pages_answer(shown: Any, path: str) -> None:
    page = shown.as_("root").get(path)
    assert page.status_code == 200, page.text
