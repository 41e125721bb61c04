"""Opens the metadata store, also where several servers share its database.

Why: the ml-metadata library expects to be the only user. Two programs that create its tables at once corrupt the
database, and two that create the same type at once create it twice. Both are done under a lock in that database.
"""

from __future__ import annotations

from penstock_server.rpc.metadata_store import MetadataDatabase
from penstock_server.storage.locks import exclusive_on


def open_metadata(url: str) -> MetadataDatabase:
    """Raises InvalidArgumentError for a URL it does not know, UnavailableError when it cannot be opened."""
    with exclusive_on(url, "metadata"):
        return MetadataDatabase.open(url, lambda: exclusive_on(url, "metadata"))
