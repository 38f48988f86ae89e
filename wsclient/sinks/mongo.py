"""MongoDB, through `pymongo` (the extra `wsclient[mongo]`). Tested on the MongoDB wire protocol."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from decimal import DecimalException
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from ..errors import InvalidRequest, SinkError
from ..extras import how_to_install
from .contract import Record, Refusal

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.collection import Collection

logger = logging.getLogger("wsclient")

Document = dict[str, Any]

_INDEXES: Final = (("venue", "product", "type", "time"), ("time",))
_DATABASE: Final = "wsclient"
_COLLECTION: Final = "messages"
_TIMEOUTS: Final = {  # milliseconds; pymongo's own would have close() wait for half a minute or for ever
    "serverSelectionTimeoutMS": 3000,
    "connectTimeoutMS": 3000,
    "socketTimeoutMS": 20000,
}
_LARGEST: Final = 16 * 1024 * 1024  # bytes of a document, see "MongoDB Limits and Thresholds"

_DUPLICATE_KEY: Final = 11000
# the server will say the same of that document for ever: BadValue, FailedToParse, TypeMismatch, BadDBRef or field
# names, DocumentValidationFailure, BSONObjectTooLarge, DuplicateKey. Any other error may pass
_FOR_EVER: Final = {2, 9, 14, 52, 53, 57, 121, 10334, _DUPLICATE_KEY}


class MongoSink:
    """Keeps records in a collection, each exactly once: a batch that fails half way is tried again whole, and the
    documents that are there already are recognized by their `_id`, which was chosen before the first try.

    Nothing is looked up or connected before the first batch. A batch counts as written when it is in the server's
    journal (write concern `j`).

    target: a `pymongo` collection, which stays the caller's; or a URL, `mongodb://host/database.collection`, where
        "wsclient" and "messages" are used unless given
    documents: "records" keeps {_id, time, exchange_time, venue, product, type, message}, numbers with a fraction
        as Decimal128, and `text` instead of `message` where the text is no JSON or can't be a document. "messages"
        keeps the decoded message itself, with an `_id`, and {_id, text} for what is no JSON object
    indexes: the fields of each index to be made on first use; for "records", by default, (venue, product, type,
        time) and (time), for "messages" none
    Raises `InvalidRequest` for a URL that can't be understood, `ImportError` where pymongo is not installed.
    """

    def __init__(
        self,
        target: "str | Collection[Any]",
        *,
        documents: Literal["records", "messages"] = "records",
        indexes: Sequence[Sequence[str]] | None = None,
    ) -> None:
        try:
            from pymongo import WriteConcern
        except ImportError as error:
            raise ImportError(f"MongoDB needs pymongo: {how_to_install('mongo')}") from error
        if documents not in ("records", "messages"):
            raise InvalidRequest(f'documents is "records" or "messages", not {documents!r}')
        self._client: MongoClient[Any] | None = None
        if isinstance(target, str):
            self._client, collection = _connect(target)
        else:
            collection = target
        concern = {**collection.write_concern.document, "j": True}
        if concern.get("w") == 0:
            concern["w"] = 1  # nothing could be said of what isn't acknowledged
        self._collection = collection.with_options(write_concern=WriteConcern(**concern))
        self._document: Callable[[Record], Document] = (
            _record_document if documents == "records" else _message_document
        )
        self._indexes = indexes if indexes is not None else _INDEXES if documents == "records" else ()
        self._indexed = False
        self._closed = False

    @property
    def collection(self) -> str:
        """Where the records are kept: "database.collection"."""
        return self._collection.full_name

    def write_many(self, records: Sequence[Record], /) -> Sequence[Refusal]:
        """Inserts the records, unordered. Returns those that the server, or BSON, refuses for good.

        Raises `SinkError` while the server is away, and what else pymongo raises.
        """
        if self._closed:
            raise SinkError("the sink is closed")
        if not records:
            return ()
        from pymongo.errors import ConnectionFailure

        try:
            return self._write(records)
        except ConnectionFailure as error:
            # what pymongo says of it is a page: the timeouts, and all it knows of the server
            told = str(error).partition(" (configured")[0].partition(", Timeout:")[0]
            raise SinkError(f"MongoDB is away: {told}") from error

    def _write(self, records: Sequence[Record]) -> list[Refusal]:
        if not self._indexed:
            self._make_indexes()
        documents = [self._document(record) for record in records]
        refused: list[Refusal] = []
        try:
            outcome = self._insert(documents)
        except _unfit():
            # one of them can't be sent as it is: find out which
            records, documents, refused = self._fitting(records, documents)
            outcome = self._insert(documents)
        return [*refused, *(Refusal(records[index], reason) for index, reason in outcome)]

    def close(self) -> None:
        """Lets go of the collection, and ends the connection if it was made from a URL."""
        self._closed = True
        if self._client is not None:
            self._client.close()

    def _insert(self, documents: list[Document]) -> list[tuple[int, str]]:
        """The places of the documents that were refused for good, each with the reason."""
        from pymongo.errors import BulkWriteError

        if not documents:
            return []
        try:
            self._collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            failures = error.details["writeErrors"]
            if error.details["writeConcernErrors"] or any(
                failure["code"] not in _FOR_EVER for failure in failures
            ):
                raise
            there = self._there(failures, documents)
            return [
                (failure["index"], str(failure.get("errmsg", failure["code"])))
                for failure in failures
                if documents[failure["index"]]["_id"] not in there
            ]
        return []

    def _there(self, failures: Sequence[Mapping[str, Any]], documents: list[Document]) -> set[Any]:
        """The ids of the documents that couldn't be inserted because an earlier try has inserted them."""
        there, unsure = set(), []
        for failure in failures:
            if failure["code"] == _DUPLICATE_KEY:
                ident = documents[failure["index"]]["_id"]
                if list(failure.get("keyPattern", ())) == ["_id"]:
                    there.add(ident)
                else:
                    # a unique index of the user's, or an older server; of two broken rules only one is named
                    unsure.append(ident)
        if unsure:
            found = self._collection.find({"_id": {"$in": unsure}}, {"_id": True})
            there.update(document["_id"] for document in found)
        return there

    def _fitting(
        self, records: Sequence[Record], documents: list[Document]
    ) -> tuple[list[Record], list[Document], list[Refusal]]:
        """The documents that BSON can hold, those that it can't as text instead, and what fits in no way."""
        kept_records, kept, refused = [], [], []
        for record, document in zip(records, documents, strict=True):
            if not _fits(document):
                text = record.text.encode("utf-8", "backslashreplace").decode()
                document = {**self._document(record._replace(text=text, message=None)), "_id": document["_id"]}
            if _fits(document):
                kept_records.append(record)
                kept.append(document)
            else:
                reason = f"a message of {len(record.text)} characters is too large for MongoDB"
                refused.append(Refusal(record, reason))
        return kept_records, kept, refused

    def _make_indexes(self) -> None:
        from pymongo.errors import ConnectionFailure, OperationFailure

        for fields in self._indexes:
            try:
                self._collection.create_index([(field, 1) for field in fields])
            except ConnectionFailure:
                raise  # the store is away
            except OperationFailure as error:
                # not allowed, or there under another name: the messages can be kept without it
                logger.warning("sink: the index on %s wasn't made: %s", ", ".join(fields), error)
        self._indexed = True


def _connect(url: str) -> "tuple[MongoClient[Any], Collection[Any]]":
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError
    from pymongo.uri_parser import parse_uri

    try:
        parts = parse_uri(url)
        timeouts = {name: value for name, value in _TIMEOUTS.items() if name not in parts["options"]}
        client: MongoClient[Any] = MongoClient(url, **timeouts)  # type: ignore[arg-type]
    except (PyMongoError, ValueError):
        # without the reason, which may quote a part of a password
        raise InvalidRequest("the mongodb url can't be understood") from None
    return client, client[parts["database"] or _DATABASE][parts["collection"] or _COLLECTION]


def _ident(record: Record) -> Any:
    from bson import ObjectId

    return ObjectId(record.id)  # a new one where the record brings none


def _record_document(record: Record) -> Document:
    document: Document = {
        "_id": _ident(record),
        "time": record.time,
        "exchange_time": record.exchange_time,
        "venue": record.venue,
        "product": record.product,
        "type": record.type,
    }
    message = _exact(record.text) if record.message is not None else None
    if message is None:
        document["text"] = record.text
    else:
        document["message"] = message
    return document


def _message_document(record: Record) -> Document:
    message = record.message
    if isinstance(message, dict) and "_id" not in message:
        return {**message, "_id": _ident(record)}
    return {"_id": _ident(record), "text": record.text}


@cache
def _decoder() -> Callable[[str], Any]:
    from bson.decimal128 import Decimal128

    return json.JSONDecoder(parse_float=Decimal128).decode


def _exact(text: str) -> Any:
    """The text decoded, its fractions as Decimal128; None where one of them doesn't fit that."""
    try:
        return _decoder()(text)
    except (DecimalException, ValueError):
        return None


def _unfit() -> tuple[type[Exception], ...]:
    """What pymongo raises for a document that can't be sent."""
    from bson.errors import BSONError
    from pymongo.errors import DocumentTooLarge

    return (BSONError, DocumentTooLarge, OverflowError, UnicodeError, RecursionError)


def _fits(document: Document) -> bool:
    import bson

    try:
        return len(bson.encode(document)) <= _LARGEST
    except _unfit():
        return False
