"""Sessions in a MongoDB collection, shared by all machines.

cachelib's MongoDbCache stays out of it: it deletes what has ended on every read, and its `add` looks and then writes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import MongoClient, ReadPreference
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from gateway.backends.base import RETRY_AFTER_SECONDS, TAG_BYTES, BytesSerializer, Probed
from gateway.backends.lease import LEASE_SECONDS, Leased
from gateway.errors import STORE_DOWN, StoreUnavailable

DATABASE = "gateway"
"""The database, where the URL names none."""

COLLECTION = "sessions"

_NETWORK_MS = 3000
_LAST = "\U0010ffff"

_log = logging.getLogger("gateway.store")

Document = dict[str, Any]


class MongoBackend(Leased, Probed):
    """Entries in a MongoDB collection: the tag of each beside it, and its end, by the clocks of those who use it."""

    def __init__(self, url: str, prefix: str, lease_seconds: int = LEASE_SECONDS) -> None:
        super().__init__(lease_seconds)
        self._url = url
        self._prefix = prefix
        self._opening = threading.Lock()
        self._indexing = threading.Lock()
        self._has_index = False
        self._opened: Collection[Document] | None = None

    def get(self, key: str) -> bytes | None:
        """Return the entry, or None."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return several entries by one `find`."""
        names = [f"{self._prefix}{key}" for key in keys]
        with self._collection() as collection:
            found = {each["_id"]: bytes(each["value"]) for each in collection.find(_living({"_id": {"$in": names}}))}
        return [found.get(name) for name in names]

    def set(self, key: str, value: bytes, seconds: int) -> None:
        """Write an entry."""
        with self._collection() as collection:
            collection.update_one({"_id": f"{self._prefix}{key}"}, _written(value, seconds), upsert=True)

    def add(self, key: str, value: bytes, seconds: int) -> bool:
        """Write an entry where there is none, or one that has ended and is not deleted yet."""
        name = f"{self._prefix}{key}"
        with self._collection() as collection:
            written = _written(value, seconds)
            if collection.update_one({"_id": name, "ends": {"$lte": _now()}}, written).matched_count:
                return True
            try:
                collection.insert_one({"_id": name, **written["$set"]})
            except DuplicateKeyError:
                return False
            return True

    def replace(self, key: str, tag: bytes, value: bytes, seconds: int) -> bool:
        """Write an entry in the place of another, which is found by its tag."""
        with self._collection() as collection:
            wanted = _living({"_id": f"{self._prefix}{key}", "tag": tag})
            return bool(collection.update_one(wanted, _written(value, seconds)).matched_count)

    def delete(self, key: str) -> None:
        """Delete an entry."""
        with self._collection() as collection:
            collection.delete_one({"_id": f"{self._prefix}{key}"})

    def remove(self, key: str, tag: bytes) -> None:
        """Delete the entry that has that tag."""
        with self._collection() as collection:
            collection.delete_one({"_id": f"{self._prefix}{key}", "tag": tag})

    def scan(self, prefix: str) -> Iterator[bytes]:
        """Yield the entries whose keys begin so."""
        start = f"{self._prefix}{prefix}"
        with self._collection() as collection:
            for each in collection.find(_living({"_id": {"$gte": start, "$lt": f"{start}{_LAST}"}})):
                yield bytes(each["value"])

    def close(self) -> None:
        """Let go of all connections."""
        if self._opened is not None:
            self._opened.database.client.close()

    @contextmanager
    def _collection(self) -> Iterator[Collection[Document]]:
        try:
            with self._opening:  # Which connects to nothing yet.
                if self._opened is None:
                    self._opened = _open(self._url)
            self._ask_for_deletion(self._opened)
            yield self._opened
        except (PyMongoError, OSError) as error:
            raise StoreUnavailable(
                STORE_DOWN, f"MongoDB failed: {type(error).__name__}", retry_after=RETRY_AFTER_SECONDS
            ) from error

    def _ask_for_deletion(self, collection: Collection[Document]) -> None:
        # Of several threads that come first, one asks, and none waits for another's answer.
        if self._has_index or not self._indexing.acquire(blocking=False):
            return
        try:
            collection.create_index("ends", expireAfterSeconds=0)
        except OperationFailure as error:
            _log.warning("entries that have ended are not deleted, for the index was refused: %s", error.code)
        finally:
            self._indexing.release()
        self._has_index = True


def connect(url: str, prefix: str, lease_seconds: int) -> MongoBackend:
    """Make the backend of a URL such as mongodb://user:password@host,host2/database?replicaSet=rs0."""
    return MongoBackend(url, prefix, lease_seconds)


def _open(url: str) -> Collection[Document]:
    waits = ("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS")
    options: dict[str, Any] = {name: _NETWORK_MS for name in waits if name.lower() not in url.lower()}
    client: MongoClient[Document] = MongoClient(url, connect=False, tz_aware=True, **options)
    return client.get_default_database(DATABASE).get_collection(
        COLLECTION,
        # What a primary has acknowledged alone may be undone when another takes its place.
        write_concern=WriteConcern("majority", wtimeout=_NETWORK_MS),
        read_concern=ReadConcern("majority"),
        read_preference=ReadPreference.PRIMARY,
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _living(wanted: Mapping[str, Any]) -> Document:
    # The server deletes what has ended once a minute.
    return {**wanted, "ends": {"$gt": _now()}}


def _written(value: bytes, seconds: int) -> dict[str, Document]:
    kept = BytesSerializer().dumps(value)
    return {"$set": {"tag": kept[:TAG_BYTES], "value": kept, "ends": _now() + timedelta(seconds=seconds)}}
