"""The roles of key management. None contains another; each is held only by being given."""

from __future__ import annotations

from typing import Final

ADMIN: Final = "sn_kmf.admin"
MANAGER: Final = "sn_kmf.cryptographic_manager"
OPERATOR: Final = "sn_kmf.cryptographic_operator"
AUDITOR: Final = "sn_kmf.cryptographic_auditor"
INTEGRATOR: Final = "sn_kmf.cryptographic_integrator"

CATALOGUE: Final[dict[str, str]] = {
    ADMIN: "gives the other roles of key management, and may do what the manager may",
    MANAGER: "modules, module access policies, life cycle of keys",
    OPERATOR: "extends, rotates and revokes keys; imports keys",
    AUDITOR: "reads modules, keys, policies and the audit log",
    INTEGRATOR: "external key stores",
}
