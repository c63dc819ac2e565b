"""What can be done with modules, specifications and keys, under one name for those who call.

Each function is part of one transaction.
"""

from __future__ import annotations

from keystead.keys.destruction import (
    Needs,
    approve_destruction,
    destroy,
    destroy_request,
    destroy_requests,
    drop_key,
    quorum,
    refuse_while_needed,
    request_destruction,
    set_quorum,
)
from keystead.keys.held import (
    active_key,
    all_keys,
    can_open,
    key,
    keys_of,
    named_key,
    open_key,
    openable,
    refusal,
)
from keystead.keys.life_cycle import (
    activate,
    encrypting_key,
    expire,
    generate,
    publish_module,
    renew,
    resume,
    revoke,
    rotate,
    suspend,
)
from keystead.keys.modules import (
    all_specifications,
    create_module,
    full_name,
    module,
    module_name,
    module_of,
    published_module,
    published_specification,
    restore,
    scheme_of,
    specification,
    specification_of,
)
from keystead.keys.received import import_key
from keystead.keys.schedule import apply_due, rotate_if_used_up
from keystead.keys.supplied import import_supplied, make_token

__all__ = [
    "Needs",
    "activate",
    "active_key",
    "all_keys",
    "all_specifications",
    "apply_due",
    "approve_destruction",
    "can_open",
    "create_module",
    "destroy",
    "destroy_request",
    "destroy_requests",
    "drop_key",
    "encrypting_key",
    "expire",
    "full_name",
    "generate",
    "import_key",
    "import_supplied",
    "key",
    "keys_of",
    "make_token",
    "module",
    "module_name",
    "module_of",
    "named_key",
    "open_key",
    "openable",
    "publish_module",
    "published_module",
    "published_specification",
    "quorum",
    "refusal",
    "refuse_while_needed",
    "renew",
    "request_destruction",
    "restore",
    "resume",
    "revoke",
    "rotate",
    "rotate_if_used_up",
    "scheme_of",
    "set_quorum",
    "specification",
    "specification_of",
    "suspend",
]
