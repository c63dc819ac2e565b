"""The roles of those who administer. None contains another; each is held only by being given."""

from __future__ import annotations

from typing import Final

SYSTEM: Final = "admin"
SECURITY: Final = "security_admin"
ADMIN: Final = "sn_kmf.admin"
MANAGER: Final = "sn_kmf.cryptographic_manager"
OPERATOR: Final = "sn_kmf.cryptographic_operator"
AUDITOR: Final = "sn_kmf.cryptographic_auditor"
INTEGRATOR: Final = "sn_kmf.cryptographic_integrator"
EDGE: Final = "edge_encryption"
AGENT: Final = "mid_server"

CATALOGUE: Final[dict[str, str]] = {
    SYSTEM: "users, groups, properties, scheduled jobs, plans of clones",
    SECURITY: "what needs elevation: roles, policies, destruction; asked for again in each session",
    ADMIN: "gives the other roles of key management, may do what the manager may, and runs clones",
    MANAGER: "modules, module access policies, life cycle of keys",
    OPERATOR: "extends, rotates and revokes keys; imports keys",
    AUDITOR: "reads modules, keys, policies and the audit log",
    INTEGRATOR: "external key stores",
    EDGE: "encryption proxies",
    AGENT: "agents that run signed code",
}
# other names under which the same role is known
ALIASES: Final[dict[str, str]] = {"sn_kmf.crypto_manager": MANAGER}


def meant(role: str) -> str:
    """A role by its own name."""
    return ALIASES.get(role, role)
