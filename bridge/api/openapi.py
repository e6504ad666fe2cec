"""OpenAPI 3.1, made of the one table of operations and the types that the code itself uses."""

from __future__ import annotations

import importlib.metadata
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, TypeAlias, get_args

import msgspec
from aiohttp import hdrs

from bridge.api import idempotency
from bridge.api.decoding import PATH_CHARACTERS, optional
from bridge.api.docstrings import described, described_fields
from bridge.api.examples import EXAMPLES
from bridge.model.errors import ErrorCode
from bridge.protocol import frames
from bridge.protocol.operations import BASE, OPERATIONS, Operation
from bridge.protocol.problems import CONTENT_TYPE, EVERY_OPERATION, STATUS, Problem
from bridge.protocol.requests import Request
from bridge.protocol.views import EventView

Json: TypeAlias = dict[str, Any]

REF: Final = "#/components/schemas/{name}"
_BODY_TOO_LARGE: Final = 413
_NOT_JSON: Final = 415
_TAGS: Final = {
    "calls": "Live calls of the PBX, and what is done with them.",
    "parties": "Those who talk with each other.",
    "observers": "Those who listen, whisper and barge in.",
    "transfers": "Handing a customer over to a human.",
    "recordings": "WAV files of calls.",
    "notes": "What people and programs write about a call.",
    "history": "What was: call detail records, events, audit.",
    "pbx": "Asterisk's endpoints and channels.",
    "programs": "Who takes incoming calls.",
    "webhooks": "Where events are sent.",
    "keys": "Who may ask.",
    "health": "How the daemon does.",
}
_ABOUT: Final = """\
Call control for Asterisk.

Every request but that for health shows a key or a token: `Authorization: Bearer …`. Errors are
problem details (RFC 9457): `code` is for programs and stable, `detail` is for people. What belongs
to a foreign tenant or queue is answered as if it were not there. Lists have parts: `next` is the
`cursor` of the part that follows. A POST or DELETE with an `Idempotency-Key` happens once, however
often it is sent within 24 hours. 502, 503 and 504 tell that Asterisk or the store failed, or that
the daemon is about to stop. The WebSockets are described by `x-websockets`.
"""
_SOCKETS: Final = {
    frames.EVENTS_SOCKET: "Calls as they are, and then every event.",
    frames.AUDIO_SOCKET: "Audio of a call, both ways.",
    frames.PROGRAM_SOCKET: "Incoming calls for a program.",
}


@lru_cache(maxsize=1)
def encoded_document() -> bytes:
    """Return the document as JSON."""
    return msgspec.json.format(msgspec.json.encode(openapi_document()))


def openapi_document() -> Json:
    """Return the document."""
    schemas, components = _schemas()
    paths: dict[str, Json] = defaultdict(dict)
    for operation in OPERATIONS:
        written = _operation(operation, schemas, components)
        paths[BASE + operation.path][operation.method.lower()] = written
    bodies = {operation.body for operation in OPERATIONS}
    queries = {o.query.__name__ for o in OPERATIONS if o.query and o.query not in bodies}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "callbridge",
            "version": importlib.metadata.version("callbridge"),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "security": [{"bearer": []}],
        "paths": dict(paths),
        "webhooks": {"event": {"post": _webhook(schemas)}},
        "components": {
            "schemas": {name: s for name, s in components.items() if name not in queries},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key (`cbk_…`) or a token (JWT) of the identity provider.",
                }
            },
        },
        "x-websockets": _sockets(schemas),
    }


def problem_codes(operation: Operation) -> dict[int, list[ErrorCode]]:
    """Return what an operation may answer with when it says no: codes by status."""
    codes: dict[int, list[ErrorCode]] = defaultdict(list)
    for code in dict.fromkeys([*_every(operation), *operation.errors]):
        codes[STATUS[code]].append(code)
    if operation.method != hdrs.METH_GET:
        codes[_BODY_TOO_LARGE].append(ErrorCode.BAD_ARGUMENT)
    if operation.body is not None:
        codes[_NOT_JSON].append(ErrorCode.BAD_ARGUMENT)
    return dict(sorted(codes.items()))


def _every(operation: Operation) -> Iterator[ErrorCode]:
    if operation.open:
        yield ErrorCode.BAD_ARGUMENT
        return
    for code in EVERY_OPERATION:
        if code is ErrorCode.FORBIDDEN and operation.permission is None:
            continue
        if code is ErrorCode.DRAINING and operation.method == hdrs.METH_GET:
            continue
        yield code


def _types() -> list[Any]:
    found: list[Any] = [Problem, EventView]
    for operation in OPERATIONS:
        found += [operation.query, operation.body, operation.answer]
    found += [*get_args(frames.ClientMessage), *get_args(frames.ServerMessage)]
    return list(dict.fromkeys(kind for kind in found if kind is not None))


def _schemas() -> tuple[dict[Any, Json], dict[str, Json]]:
    """Return what to write for each type, and the components, with all that is said of them."""
    types = _types()
    made, components = msgspec.json.schema_components(types, ref_template=REF)
    for kind in _structs(types):
        schema = components.get(kind.__name__)
        if schema is None:
            continue
        schema["description"] = described(kind)
        for name, text in described_fields(kind).items():
            if name in schema.get("properties", {}):
                # Beside a $ref a description is allowed in 3.1; it says what this field is.
                schema["properties"][name]["description"] = text
    return dict(zip(types, made, strict=True)), components


def _structs(types: list[Any]) -> Iterator[type]:
    """Go through all structs that the types are made of."""
    seen: set[type] = set()
    waiting = [*types]
    while waiting:
        kind = waiting.pop()
        waiting += get_args(kind)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in seen:
            seen.add(kind)
            waiting += [field.type for field in msgspec.structs.fields(kind)]
            yield kind


def _operation(operation: Operation, schemas: dict[Any, Json], components: dict[str, Json]) -> Json:
    written: Json = {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "x-permission": operation.permission.value if operation.permission else None,
        "parameters": [*_parameters(operation, components)],
        "responses": _responses(operation, schemas),
    }
    if operation.open:
        written["security"] = []
    if operation.body is not None:
        content: Json = {"schema": schemas[operation.body]}
        if (example := EXAMPLES.get(operation.operation_id)) is not None:
            content["example"] = example
        written["description"] = described(operation.body)
        written["requestBody"] = {
            "required": not optional(operation.body),
            "content": {"application/json": content},
        }
    return written


def _parameters(operation: Operation, components: dict[str, Json]) -> Iterator[Json]:
    for name in operation.parameters:
        # NUL is no text that a database takes; a slash is written %2F.
        text = {
            "type": "string",
            "minLength": 1,
            "maxLength": PATH_CHARACTERS,
            "pattern": "^[^\\u0000]+$",
        }
        yield {"name": name, "in": "path", "required": True, "schema": text}
    if operation.query is not None:
        yield from _query(operation.query, components)
    if operation.idempotent_by_key:
        yield {
            "name": idempotency.HEADER,
            "in": "header",
            "required": False,
            "description": "Names this command: sent again, it is not carried out again.",
            "schema": {
                "type": "string",
                "minLength": 1,
                "maxLength": 200,
                "pattern": "^[!-~]+$",
            },
        }


def _query(kind: type[Request], components: dict[str, Json]) -> Iterator[Json]:
    schema = components[kind.__name__]
    for name, given in schema.get("properties", {}).items():
        wanted = dict(given)
        parameter = {"name": name, "in": "query", "required": name in schema.get("required", ())}
        if (text := wanted.pop("description", None)) is not None:
            parameter["description"] = text
        yield {**parameter, "schema": _without_null(wanted)}


def _without_null(schema: Json) -> Json:
    """Nothing in a query is null: what is not given is left out."""
    if "anyOf" in schema:
        kinds = [one for one in schema["anyOf"] if one != {"type": "null"}]
        rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
        return {**rest, **kinds[0]} if len(kinds) == 1 else {**rest, "anyOf": kinds}
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]
    if schema.get("default", 0) is None:
        del schema["default"]
    return schema


def _responses(operation: Operation, schemas: dict[Any, Json]) -> Json:
    answered: Json = {"description": operation.summary}
    if operation.answer is not None:
        answered["content"] = {operation.content_type: {"schema": schemas[operation.answer]}}
    elif operation.content_type != "application/json":
        answered["content"] = {operation.content_type: {"schema": {}}}
    responses: Json = {str(operation.status): answered}
    if operation.content_type != "application/json":
        responses["206"] = {**answered, "description": "The part that `Range` asks for"}
        responses["304"] = {"description": "It has not changed"}
        responses["416"] = {"description": "It has no such part"}
    for status, codes in problem_codes(operation).items():
        responses[str(status)] = _problems(status, codes, schemas)
    return responses


def _problems(status: int, codes: list[ErrorCode], schemas: dict[Any, Json]) -> Json:
    listed = sorted(code.value for code in codes)
    written: Json = {
        "description": ", ".join(listed),
        "content": {
            CONTENT_TYPE: {
                "schema": {
                    "allOf": [
                        schemas[Problem],
                        {"properties": {"code": {"enum": listed}, "status": {"const": status}}},
                    ]
                }
            }
        },
    }
    if {ErrorCode.RATE_LIMITED, ErrorCode.DRAINING} & {*codes}:
        written["headers"] = {
            "Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}
        }
    return written


def _webhook(schemas: dict[Any, Json]) -> Json:
    return {
        "summary": "An event, sent to the address of a webhook",
        "operationId": "receive_event",
        "parameters": [
            {
                "name": "Callbridge-Signature",
                "in": "header",
                "required": True,
                "description": "`t=SECONDS,v1=HMAC`: HMAC-SHA256, in hex, of `SECONDS.BODY`.",
                "schema": {"type": "string"},
            },
            {
                "name": "Callbridge-Delivery",
                "in": "header",
                "required": True,
                "description": "Names the delivery: the same one may come twice.",
                "schema": {"type": "string"},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schemas[EventView]}},
        },
        "responses": {"2XX": {"description": "It was taken. Anything else is tried again."}},
    }


def _sockets(schemas: dict[Any, Json]) -> Json:
    return {
        "description": (frames.__doc__ or "").strip(),
        "paths": {BASE + path: {"summary": text} for path, text in _SOCKETS.items()},
        "client": {"oneOf": [schemas[kind] for kind in get_args(frames.ClientMessage)]},
        "server": {"oneOf": [schemas[kind] for kind in get_args(frames.ServerMessage)]},
    }
