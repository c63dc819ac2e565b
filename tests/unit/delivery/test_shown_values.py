"""What somebody was shown and sends back is no change: nothing is lost by saving a form."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.delivery.test_table_api import PEOPLE, Api, api

__all__ = ["api"]
HIDDEN = ("name", "city", "salary", "email", "team")
EVERYBODY = ("guest", "writer", "reader", "both")
ROWS = [f"p{n:02}" for n in range(1, 13)]


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("user", EVERYBODY)
def test_the_whole_record(api: Api, user: str, method: str) -> None:
    before = api.site.stored()
    for row in ROWS:
        record = api.call("GET", f"{PEOPLE}/{row}", user).json()["result"]
        answer = api.call(method, f"{PEOPLE}/{row}", user, json=record)
        assert answer.status_code == 200, (row, answer.text)
        assert answer.json()["result"] == record
    assert api.site.stored() == before


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("user", ["guest", "writer"])
@pytest.mark.parametrize("column", HIDDEN)
def test_an_empty_value_of_who_may_not_decrypt(
    api: Api, user: str, method: str, column: str
) -> None:
    before = api.site.stored()
    shown = api.call("GET", f"{PEOPLE}/p01", user).json()["result"][column]
    for value in (shown, "", None):
        answer = api.call(method, f"{PEOPLE}/p01", user, json={column: value})
        assert answer.status_code == 200, answer.text
        assert api.site.stored() == before


@pytest.mark.parametrize("user", EVERYBODY)
def test_a_record_made_anew_under_a_key_that_is_there(api: Api, user: str) -> None:
    before = api.site.stored()
    record = api.call("GET", f"{PEOPLE}/p01", user).json()["result"]
    answers = [
        api.call("POST", PEOPLE, user, json=body)
        for body in (record, {**record, **dict.fromkeys(HIDDEN, "")}, {"id": "p01"})
    ]
    assert {answer.status_code for answer in answers} <= {403, 409}
    assert api.site.stored() == before


@pytest.mark.parametrize("user", ["guest", "writer", "reader"])
def test_who_may_not_seal_every_value_anew_saves_no_record_as_another(api: Api, user: str) -> None:
    before = api.site.stored()
    moved = {**_shown(api, user), "id": "p99", "sys_id": "p99"}
    assert api.call("PUT", f"{PEOPLE}/p01", user, json=moved).status_code == 403
    assert api.site.stored() == before


def test_one_record_saved_as_another(api: Api) -> None:
    """Every value is sealed for its new key."""
    clear = _shown(api, "reader")
    moved = {**_shown(api, "both"), "id": "p99", "sys_id": "p99"}
    assert api.call("PUT", f"{PEOPLE}/p01", "both", json=moved).status_code == 200
    found = api.call("GET", f"{PEOPLE}/p99", "reader").json()["result"]
    assert found == {**clear, "id": "p99", "sys_id": "p99"}


def _shown(api: Api, user: str) -> dict[str, Any]:
    record: dict[str, Any] = api.call("GET", f"{PEOPLE}/p01", user).json()["result"]
    return record
