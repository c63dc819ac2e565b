"""Encrypted columns for applications that use SQLAlchemy (docs/guides/encrypted-columns.md).

The application reads and writes clear text; its database holds envelopes.
"""

from keystead.sqlalchemy.column import Encrypted
from keystead.sqlalchemy.opening import OpenInstance, open

__all__ = ["Encrypted", "OpenInstance", "open"]
