"""Sessions in a DynamoDB table, shared by all machines.

The table is like one of cachelib's DynamoDbCache, which stays out of it: it reads what may be old, takes a failure for
a missing entry, and its client is not for several threads.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gateway.backends.base import GARBLED, RETRY_AFTER_SECONDS, TAG_BYTES, BytesSerializer, Probed
from gateway.backends.lease import LEASE_SECONDS, Leased
from gateway.errors import STORE_DOWN, StoreUnavailable

KEY = "cache_key"
"""The table's partition key, a string."""

END = "expiration_time"
"""When an entry ends, in seconds since the epoch; the table's TTL attribute."""

_VALUE = "response"
_TAG = "tag"
_BATCH = 100
_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 0.02
_NETWORK = Config(
    connect_timeout=3, read_timeout=3, max_pool_connections=50, retries={"mode": "standard", "total_max_attempts": 2}
)
_LIVING = f"{END} > :now"
_SAME = f"{_TAG} = :tag"

Item = Mapping[str, Mapping[str, Any]]
"""What the table keeps of an entry, with the type beside each value."""


class DynamoBackend(Leased, Probed):
    """Entries in a DynamoDB table that exists, which end by the clocks of those who use it."""

    def __init__(
        self,
        table: str,
        prefix: str,
        lease_seconds: int = LEASE_SECONDS,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        super().__init__(lease_seconds)
        self._table = table
        self._prefix = prefix
        self._region, self._endpoint_url = region, endpoint_url
        self._opening = threading.Lock()
        self._connect()

    @property
    def _client(self) -> Any:
        if self._process != os.getpid():  # A parent's connections are not ours to read answers from.
            with self._opening:
                if self._process != os.getpid():
                    self._connect()
        return self._connected

    def _connect(self) -> None:
        with _network():
            self._connected: Any = boto3.client(
                "dynamodb", region_name=self._region, endpoint_url=self._endpoint_url, config=_NETWORK
            )
        self._process = os.getpid()

    def get(self, key: str) -> bytes | None:
        """Return the entry, or None."""
        with _network():
            answer = self._client.get_item(TableName=self._table, Key=self._key(key), ConsistentRead=True)
        return _value(answer.get("Item"))

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return several entries by `BatchGetItem`."""
        found: dict[str, bytes | None] = {}
        once = list(dict.fromkeys(keys))
        with _network():
            for start in range(0, len(once), _BATCH):
                wanted = [self._key(key) for key in once[start : start + _BATCH]]
                found |= {item[KEY]["S"]: _value(item) for item in self._items(wanted)}
        return [found.get(f"{self._prefix}{key}") for key in keys]

    def set(self, key: str, value: bytes, seconds: int) -> None:
        """Write an entry; one beyond 400 KB is a failure."""
        with _network():
            self._client.put_item(TableName=self._table, Item=self._item(key, value, seconds))

    def add(self, key: str, value: bytes, seconds: int) -> bool:
        """Write an entry where there is none, or one that has ended and is not deleted yet."""
        return self._put_if(f"attribute_not_exists({KEY}) OR NOT {_LIVING}", self._item(key, value, seconds), _now())

    def replace(self, key: str, tag: bytes, value: bytes, seconds: int) -> bool:
        """Write an entry in the place of another on the condition that its tag is still the same."""
        item = self._item(key, value, seconds)
        return self._put_if(f"{_SAME} AND {_LIVING}", item, {**_now(), ":tag": {"B": tag}})

    def delete(self, key: str) -> None:
        """Delete an entry."""
        with _network():
            self._client.delete_item(TableName=self._table, Key=self._key(key))

    def remove(self, key: str, tag: bytes) -> None:
        """Delete the entry on the condition that its tag is still the same."""
        request = {"TableName": self._table, "Key": self._key(key)}
        _met(self._client.delete_item, {**request, **_only_if(_SAME, {":tag": {"B": tag}})})

    def scan(self, prefix: str) -> Iterator[bytes]:
        """Yield the entries whose keys begin so, from a read of the whole table."""
        with _network():
            pages = self._client.get_paginator("scan").paginate(
                TableName=self._table,
                ConsistentRead=True,
                FilterExpression=f"begins_with({KEY}, :start) AND {_LIVING}",
                ExpressionAttributeValues={":start": {"S": f"{self._prefix}{prefix}"}, **_now()},
            )
            for page in pages:
                yield from (item[_VALUE]["B"] for item in page["Items"])

    def close(self) -> None:
        """Let go of all connections."""
        self._client.close()

    def _items(self, keys: list[Item]) -> Iterator[Item]:
        wanted: Mapping[str, Any] = {self._table: {"Keys": keys, "ConsistentRead": True}}
        for attempt in range(_ATTEMPTS):
            answer = self._client.batch_get_item(RequestItems=wanted)
            yield from answer["Responses"].get(self._table, ())
            wanted = answer["UnprocessedKeys"]
            if not wanted:
                return
            time.sleep(_FIRST_PAUSE_SECONDS * 2**attempt)
        raise OSError("the table is throttled")

    def _put_if(self, condition: str, item: Item, values: Item) -> bool:
        request = {"TableName": self._table, "Item": item}
        return _met(self._client.put_item, {**request, **_only_if(condition, values)})

    def _key(self, key: str) -> Item:
        return {KEY: {"S": f"{self._prefix}{key}"}}

    def _item(self, key: str, value: bytes, seconds: int) -> Item:
        kept = BytesSerializer().dumps(value)
        ends_at = {"N": str(math.ceil(time.time()) + seconds)}
        return {**self._key(key), _VALUE: {"B": kept}, _TAG: {"B": kept[:TAG_BYTES]}, END: ends_at}


def connect(url: str, prefix: str, lease_seconds: int) -> DynamoBackend:
    """Make the backend of a URL such as dynamodb://table?region=eu-west-1; boto3 finds the credentials by itself."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return DynamoBackend(
        parts.netloc, prefix, lease_seconds, region=options.get("region"), endpoint_url=options.get("endpoint_url")
    )


def _now() -> Item:
    return {":now": {"N": f"{time.time():.3f}"}}


def _value(item: Item | None) -> bytes | None:
    # The server deletes what has ended within days.
    if item is None or float(item[END]["N"]) <= time.time():
        return None
    value: bytes = item[_VALUE]["B"]
    return value


def _only_if(condition: str, values: Item) -> Mapping[str, Any]:
    return {"ConditionExpression": condition, "ExpressionAttributeValues": values}


def _met(send: Callable[..., Any], request: Mapping[str, Any]) -> bool:
    with _network():
        try:
            send(**request)
        except ClientError as error:
            if _code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True


@contextmanager
def _network() -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError, OSError, *GARBLED) as error:
        reason = _code(error) if isinstance(error, ClientError) else type(error).__name__
        raise StoreUnavailable(STORE_DOWN, f"DynamoDB failed: {reason}", retry_after=RETRY_AFTER_SECONDS) from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))
