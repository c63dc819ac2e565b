"""The console over a real instance, visited as a browser does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from litestar.testing import TestClient

from keystead.access import people
from keystead.access.accounts import LogIn
from keystead.access.sessions import Sessions
from keystead.delivery.api.peers import application
from keystead.delivery.console.routes import routes
from keystead.delivery.console.site import Parts
from keystead.exchange.identity import own_identity
from keystead.keys.usage import Meter
from keystead.records.attached import Desk
from keystead.records.session import Records

PASSWORD = "correct horse battery"
ROLES = {
    "root": ["admin", "security_admin", "sn_kmf.admin"],
    "manager": ["sn_kmf.cryptographic_manager"],
    "auditor": ["sn_kmf.cryptographic_auditor"],
    "plain": [],
}
BASE = "https://console.test"


class Channel:
    """Peers that nobody calls."""

    def send(self, peer: Any, purpose: str, body: Any) -> dict[str, Any]:
        raise AssertionError("no peer is called")


class Browser:
    """A browser: it keeps cookies, follows redirects, and sends forms as pages have them."""

    def __init__(self, site: Any, app: Any) -> None:
        self.site = site
        self.client = TestClient(app, base_url=BASE)

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **options)

    def csrf(self, path: str = "/") -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.get(path).text)
        assert found
        return found[1]

    def post(self, path: str, data: dict[str, Any] | None = None, **options: Any) -> Any:
        """Send a form of this session, from a page of this site."""
        headers = {"Origin": BASE, **options.pop("headers", {})}
        form = {"csrf": self.csrf(), **(data or {})} if options.pop("ours", True) else data
        return self.client.post(path, data=form, headers=headers, **options)

    def log_in(self, user: str, password: str = PASSWORD, **more: str) -> Any:
        form = {"user": user, "password": password, "csrf": self.csrf("/login"), **more}
        return self.client.post("/login", data=form, headers={"Origin": BASE})

    def elevate(self) -> Any:
        return self.post("/elevate", {"password": PASSWORD, "next": "/"})


class World:
    """An instance with people, and its console."""

    def __init__(self, site: Any) -> None:
        self.site = site
        instance = site.instance
        self.sessions = Sessions(site.database, site.integrity)
        records = Records(site.database, site.hierarchy, site.recorder)
        meter = Meter(site.database, site.hierarchy)
        parts = Parts(
            instance,
            Channel(),
            records,
            self.sessions,
            LogIn(site.integrity),
            lambda caller: Desk(site.database, site.hierarchy, site.recorder, meter, caller, 4),
        )
        identity = own_identity(site.hierarchy, "prod", instance.certificate)
        self.app = application(identity, lambda frame: frame, [routes(parts)])
        with site.transaction() as tx:
            for user, roles in ROLES.items():
                people.create_user(tx, site.integrity, user, roles, "test")

    def browser(self) -> Browser:
        """A browser in which nobody is logged in."""
        return Browser(self.site, self.app)

    def as_(self, user: str) -> Browser:
        """A browser in which somebody is logged in; his password was asked for before."""
        browser = self.browser()
        session = self.sessions.open(user)
        name = f"__Host-keystead-{self.site.instance.settings.instance_id[:12]}"
        browser.client.cookies.set(name, session.secret)
        return browser


def text_of(page: Any) -> str:
    """What is to be read on a page."""
    return unescape(re.sub(r"<[^>]+>", " ", page.text))


@pytest.fixture
def world(sealed: Any) -> World:
    return World(sealed)


@pytest.fixture(scope="module")
def shown(templates: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The same, for tests that change nothing."""
    site = templates.copy("sealed", tmp_path_factory.mktemp("shown") / "home")
    yield World(site)
    site.close()
