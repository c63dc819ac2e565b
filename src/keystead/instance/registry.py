"""The tables of every capability. Importing one registers it, so whoever opens a home has them all.

A table that were missing in one program would be missing in the heads which that program signs.
"""

from typing import Final

from keystead.access.accounts import TOKENS
from keystead.access.tables import USERS
from keystead.attachments.tables import ATTACHMENTS
from keystead.audit.tables import AUDIT
from keystead.clone.tables import CLONES
from keystead.exchange.messages import SEEN_MESSAGES
from keystead.exchange.peers import PEERS
from keystead.exchange.tables import REQUESTS
from keystead.external.tables import EKEKS
from keystead.fields.tables import CONFIGURATIONS
from keystead.instance.epochs import EPOCHS
from keystead.instance.schedules import SCHEDULES
from keystead.jobs.processes import PROCESSES
from keystead.jobs.service import JOBS
from keystead.keys.tables import KEYS

CAPABILITIES: Final = (
    *(AUDIT, JOBS, USERS, TOKENS, KEYS, EKEKS, CONFIGURATIONS),
    *(PEERS, SEEN_MESSAGES, REQUESTS, CLONES, EPOCHS, PROCESSES, ATTACHMENTS, SCHEDULES),
)
