"""Shipping to Elasticsearch and OpenSearch by `_bulk`.

A record is written to the index `<index>-<log type>-<UTC day>` under its event_id by the
operation `create`: a second copy is refused with 409, so each record exists once, however often it
is sent.
"""

import base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import orjson

from leadlog.core.records import json_schema
from leadlog.reading.shipments import Erased
from leadlog.shipping.contract import (
    AGAIN,
    BatchRefusedError,
    DestinationError,
    Item,
    UnreachableError,
    Verdict,
)
from leadlog.shipping.destination import Destination
from leadlog.shipping.transport import Transport
from leadlog_processors.fields import CATEGORIES

__all__ = ["BulkSender", "document", "index_template"]

_LOG_TYPES: Final = {category: log_type for log_type, category in CATEGORIES.items()}
_BULK: Final = "/_bulk?filter_path=errors,items.*.status,items.*.error"
_NDJSON: Final = "application/x-ndjson"
_LATER: Final = (429, 502, 503, 504)
_LONGEST_KEYWORD: Final = 8191  # Lucene takes 32,766 bytes, and a character up to 4
_WORDS: Final = (str, type(None))
_FLAGS: Final = (bool, type(None))
_OWN: Final = ("timestamp", "level", "event_name", "event_id", "session_id", "trace_id", "span_id")


def document(event_id: str, category: str, event: dict[str, Any]) -> dict[str, Any]:
    """Return a record in the Elastic Common Schema, with all of its sections.

    Values for which ECS has a field stand in that field; everything else stands under `leadlog`.
    """
    rest = {key: value for key, value in event.items() if key not in _OWN}
    found: dict[str, Any] = {
        "@timestamp": event["timestamp"],
        "log": {"level": event.get("level")},
        "event": {
            "id": event_id,
            "action": event.get("event_name"),
            "dataset": f"leadlog.{_LOG_TYPES[category]}",
        },
        "labels": {"session_id": event.get("session_id")},
        "leadlog": rest,
    }
    if "trace_id" in event:
        found["trace"] = {"id": event["trace_id"]}
    if "span_id" in event:
        found["span"] = {"id": event["span_id"]}
    details = event.get("operation_details")
    if type(details) is dict:
        own = found["event"]
        success, took = details.get("success"), details.get("execution_time_ms")
        own["outcome"] = "unknown" if success is None else "success" if success else "failure"
        if isinstance(took, int | float):
            own["duration"] = int(took * 1_000_000)
        rest["entity"] = details.get("entity")
        rest["operation"] = details.get("operation_type")
    error = event.get("error_details")
    if type(error) is dict:
        found["error"] = _error(error)
    return found


def _error(error: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": error.get("exception_class") or error.get("error_type"),
        "message": error.get("error_message"),
        "stack_trace": error.get("stack_trace"),
        "code": error.get("error_code"),
        "id": error.get("error_id"),
    }


@lru_cache(maxsize=4096)
def _quoted(value: str | None) -> str:
    return orjson.dumps(value).decode()


_OUTCOMES: Final = {None: "unknown", True: "success", False: "failure"}
_SPLICED: Final = frozenset(("entity", "operation"))
"""Keys that are added under `leadlog`; records do not have them."""


def _spliced(event_id: str, category: str, event: dict[str, Any], line: bytes) -> bytes | None:
    """Return the JSON of `document` with the line's own bytes; None if the line cannot be reused.

    It cannot if leadlog did not write it: another order of keys, or an escape in its first keys.
    """
    get = event.get
    stamp, level, name = event["timestamp"], get("level"), get("event_name")
    session, log_type = get("session_id"), get("log_type")
    begins = (
        f'{{"timestamp":"{stamp}","level":"{level}","log_type":"{log_type}",'
        f'"event_name":"{name}","session_id":"{session}","event_id":"{event_id}",'
    ).encode()
    end = len(line) - 1
    if not (line.startswith(begins) and line.endswith(b"}") and _SPLICED.isdisjoint(event)):
        return None
    traced = ""
    if "trace_id" in event or "span_id" in event:
        trace, span = get("trace_id"), get("span_id")
        ends = f',"trace_id":"{trace}","span_id":"{span}"}}'.encode()
        if not line.endswith(ends):
            return None
        end = len(line) - len(ends)
        traced = f'"trace":{{"id":"{trace}"}},"span":{{"id":"{span}"}},'
    details, own, more = get("operation_details"), "", ""
    if type(details) is dict:
        success, took = details.get("success"), details.get("execution_time_ms")
        entity, operation = details.get("entity"), details.get("operation_type")
        if type(entity) not in _WORDS or type(operation) not in _WORDS:
            return None
        own = f',"outcome":"{_OUTCOMES[success]}"' if type(success) in _FLAGS else ""
        if not own:
            return None
        if isinstance(took, int | float):
            own += f',"duration":{int(took * 1_000_000)}'
        more = f'"entity":{_quoted(entity)},"operation":{_quoted(operation)},'
    error = get("error_details")
    if type(error) is dict:
        traced += f'"error":{orjson.dumps(_error(error)).decode()},'
    head = (
        f'{{"@timestamp":"{stamp}","log":{{"level":"{level}"}},"event":{{"id":"{event_id}",'
        f'"action":"{name}","dataset":"leadlog.{_LOG_TYPES[category]}"{own}}},'
        f'"labels":{{"session_id":"{session}"}},{traced}"leadlog":{{"log_type":"{log_type}",{more}'
    ).encode()
    return b"".join((head, line[len(begins) : end], b"}}"))


class BulkSender:
    """Sends to Elasticsearch or OpenSearch.

    Args:
        destination: The destination.
        token: An API key or, with a user, that user's password; empty for none.
    """

    can_erase = True

    def __init__(self, destination: Destination, token: str) -> None:
        self._destination = destination
        self._index = destination.index or "leadlog"
        authorization = f"ApiKey {token}" if token else ""
        if token and destination.user:
            pair = base64.b64encode(f"{destination.user}:{token}".encode()).decode()
            authorization = f"Basic {pair}"
        self._http = Transport(destination, authorization, token)
        self._heads: dict[str, bytes] = {}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def prepare(self) -> None:
        """Install the index templates, unless the destination turns them off.

        Raises:
            UnreachableError: It cannot be reached now.
            DestinationError: The destination refuses, or is neither Elasticsearch nor OpenSearch.
        """
        answer = self._http.decoded(self._http.request("GET", "/"), "/")
        version = answer.get("version") if isinstance(answer, dict) else None
        if not isinstance(version, dict):
            raise DestinationError(
                f"{self._destination.url} is neither Elasticsearch nor OpenSearch; set url to the "
                "root of its API"
            )
        flavour = "opensearch" if version.get("distribution") else "elasticsearch"
        if not self._destination.templates:
            return
        for log_type in CATEGORIES:
            template = index_template(log_type, self._index, flavour)
            path = f"/_index_template/{self._index}-{log_type}"
            try:
                self._http.request("PUT", path, orjson.dumps(template))
            except (BatchRefusedError, DestinationError) as error:
                raise DestinationError(
                    f"the index template of {log_type} was refused: {error}; have an admin install "
                    f"what `leadlog ship template --type {flavour}` prints, and set templates = "
                    "false"
                ) from error

    def _head(self, verb: str, category: str, date: str, event_id: str) -> bytes:
        index = f"{self._index}-{_LOG_TYPES[category]}-{date}"
        return orjson.dumps({verb: {"_index": index, "_id": event_id}})

    def _action(self, event_id: str, category: str, day: str) -> bytes:
        if not event_id.isalnum():
            return self._head("create", category, day, event_id)
        key = f"{category}{day}"
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) > 1000:
                self._heads.clear()
            index = f"{self._index}-{_LOG_TYPES[category]}-{day}"
            head = self._heads[key] = f'{{"create":{{"_index":"{index}","_id":"'.encode()
        return head + event_id.encode() + b'"}}'

    def encode(
        self, event_id: str, category: str, event: dict[str, Any], line: bytes | None
    ) -> bytes:
        """Return the two lines of `_bulk` that create a record."""
        found = None if line is None else _spliced(event_id, category, event, line)
        if found is None:
            found = orjson.dumps(document(event_id, category, event))
        return b"%b\n%b\n" % (self._action(event_id, category, event["timestamp"][:10]), found)

    def send(self, items: Sequence[Item]) -> Sequence[Verdict]:
        """Create the records that do not exist yet.

        Raises:
            UnreachableError: No answer, or one that asks to retry later.
            BatchRefusedError: The request was refused for its content.
            DestinationError: The destination refuses everything.
        """
        return self._bulk(b"".join([item.body for item in items]), len(items))

    def _bulk(self, body: bytes, count: int) -> Sequence[Verdict]:
        path = "/_bulk"
        answer = self._http.decoded(
            self._http.request("POST", _BULK, body, content_type=_NDJSON), path
        )
        if not isinstance(answer, dict) or type(answer.get("errors")) is not bool:
            raise UnreachableError(f"{self._destination.url}{path} did not answer as _bulk does")
        if not answer["errors"]:
            return [None] * count
        found = [next(iter(one.items())) for one in answer.get("items", ())]
        if len(found) != count:
            raise UnreachableError(
                f"{self._destination.url}{path} answered for {len(found)} of {count} records"
            )
        return [_verdict(verb, one) for verb, one in found]

    def erase(self, events: Sequence[Erased], items: Sequence[Item]) -> None:
        """Delete records by their ids; index the changed ones again.

        Raises:
            UnreachableError: Nothing, or not everything, was deleted.
            DestinationError: The destination refuses.
        """
        lines = [
            self._head("delete", one.category, one.date, one.event_id) + b"\n"
            for one in events
            if one.line is None
        ]
        # The action of a create, but one that overwrites an existing record.
        lines += [item.body.replace(b'{"create":', b'{"index":', 1) for item in items]
        verdicts = self._bulk(b"".join(lines), len(lines)) if lines else ()
        for verdict in verdicts:
            if verdict is AGAIN:
                raise UnreachableError(f"{self._destination.url} could not delete all of it now")
            if verdict is not None:
                raise DestinationError(f"{self._destination.url} refuses to delete: {verdict}")


def _verdict(verb: str, one: dict[str, Any]) -> Verdict:
    status = one.get("status", 0)
    # 409: the record exists already; 404: the record to delete does not exist.
    if 200 <= status < 300 or status == (404 if verb == "delete" else 409):
        return None
    if status in _LATER:
        return AGAIN
    error = one.get("error") or {}
    reason = f"{error.get('type')}: {error.get('reason')}" if isinstance(error, dict) else error
    cause = error.get("caused_by") if isinstance(error, dict) else None
    if isinstance(cause, dict) and cause.get("reason"):
        reason += f" ({cause['reason']})"
    return f"{status} {reason}"


# ----------------------------------------------------------------------------------- templates


def index_template(log_type: str, index: str, flavour: str) -> dict[str, Any]:
    """Return the index template of a log type.

    Every field of the record contract has its type from the first record on. Objects with keys that
    the user chooses are one field each (`flat_object`, `flattened`), so they neither use up the
    limit of fields nor have a record refused for the type of a value.

    Args:
        log_type: The log type.
        index: Prefix of the index names.
        flavour: elasticsearch or opensearch.
    """
    flat: dict[str, Any] = {"type": "flat_object"}
    if flavour == "elasticsearch":
        flat = {"type": "flattened", "ignore_above": _LONGEST_KEYWORD}
    schema = json_schema(log_type)
    own = _properties(schema, schema.get("$defs", {}), flat)
    for key in _OWN:
        own.pop(key, None)
    word = {"type": "keyword", "ignore_above": _LONGEST_KEYWORD}
    own |= {"entity": word, "operation": word, "extra": flat, "context": flat}
    text = {"type": "text"}
    return {
        "index_patterns": [f"{index}-{log_type}-*"],
        "priority": 200,
        "template": {
            "settings": {"index.mapping.total_fields.limit": 2000},
            "mappings": {
                "date_detection": False,
                "dynamic_templates": [
                    {"texts": {"match_mapping_type": "string", "mapping": word}},
                    {"numbers": {"match_mapping_type": "long", "mapping": {"type": "double"}}},
                ],
                "properties": {
                    "@timestamp": {"type": "date_nanos"},
                    "log": {"properties": {"level": word}},
                    "event": {
                        "properties": {
                            "id": word,
                            "action": word,
                            "dataset": word,
                            "outcome": word,
                            "duration": {"type": "long"},
                        }
                    },
                    "labels": {"properties": {"session_id": word}},
                    "trace": {"properties": {"id": word}},
                    "span": {"properties": {"id": word}},
                    "error": {
                        "properties": {
                            "type": word,
                            "code": word,
                            "id": word,
                            "message": text,
                            "stack_trace": text,
                        }
                    },
                    "leadlog": {"properties": own},
                },
            },
        },
        "_meta": {"description": f"{log_type} records of leadlog"},
    }


def _properties(
    schema: dict[str, Any], definitions: dict[str, Any], flat: dict[str, Any]
) -> dict[str, Any]:
    return {
        key: found
        for key, value in schema.get("properties", {}).items()
        if (found := _field(key, value, definitions, flat)) is not None
    }


def _field(
    key: str, schema: dict[str, Any], definitions: dict[str, Any], flat: dict[str, Any]
) -> dict[str, Any] | None:
    """Return the mapping of one key; None if its type is unknown."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        open_ended = target.get("additionalProperties") is not False
        inner = {} if open_ended else _properties(target, definitions, flat)
        return {"properties": inner} if inner else flat
    options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if options:
        return _field(key, options[0], definitions, flat) if len(options) == 1 else None
    kinds = schema.get("type")
    kind = next((one for one in [kinds] if isinstance(one, str)), None)
    if isinstance(kinds, list):
        (kind,) = [one for one in kinds if one != "null"][:1] or [None]
    if kind == "array":
        return _field(key, schema.get("items", {}), definitions, flat)
    if kind == "object":
        return flat
    if kind == "string":
        if key in ("error_message", "stack_trace", "message", "statement"):
            return {"type": "text"}
        return {"type": "keyword", "ignore_above": _LONGEST_KEYWORD}
    simple = {"integer": "long", "number": "double", "boolean": "boolean"}.get(kind or "")
    return None if simple is None else {"type": simple}
