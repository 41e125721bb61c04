"""Opens the metadata store where several servers share one database.

Why: the ml-metadata library expects to be alone. Two that make its tables at once spoil the database for good, and two
that make a type of one name at once make two of it. So both are done under a lock in that database.
"""

from __future__ import annotations

from penstock_server.rpc.metadata_store import MetadataDatabase
from penstock_server.storage.locks import alone_on


def open_metadata(url: str) -> MetadataDatabase:
    """Raises InvalidArgumentError for a URL it does not know, UnavailableError when it cannot be opened."""
    with alone_on(url, "metadata"):
        return MetadataDatabase.open(url, lambda: alone_on(url, "metadata"))
