"""What a request says, as the types of ``bridge.protocol.requests``, and what is wrong with it."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final, TypeVar, get_args

import msgspec
from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError

from bridge.model.errors import BadArgumentError
from bridge.protocol.operations import Operation
from bridge.protocol.problems import FieldError
from bridge.protocol.requests import Audio, Request

R = TypeVar("R", bound=Request)

BODY_BYTES: Final = 1 << 20
"""Most that a body may have, where it carries no audio."""
AUDIO_BODY_BYTES: Final = 12 << 20
"""Most that a body may have that carries audio, as base64."""
BODY_SECONDS: Final = 30.0
"""How long a body may take to come."""
DEPTH: Final = 64
"""How deep a body may be nested."""
INTEGER: Final = 1 << 63
"""No whole number may be as great as this: no database keeps it."""
PATH_CHARACTERS: Final = 255
"""Most that a parameter of the path may have: what is not found by it is audited, and a database
indexes no text of any length."""

_AS_IT_IS: Final = "identity"

_AT: Final = re.compile(r"^(?P<message>.*?)(?: - at `(?:key in )?(?P<at>\$.*)`)?$", re.DOTALL)
_FIELD: Final = re.compile(r"field `(\w+)`")


class FieldsError(BadArgumentError):
    """Fields of a request are wrong. ``fields`` says which, by JSON path, and why."""

    def __init__(self, *fields: FieldError) -> None:
        super().__init__("; ".join(f"{field.at}: {field.message}" for field in fields))
        self.fields = fields


class TooLargeError(Exception):
    """The body has more bytes than ``limit``."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"a body may have {limit} bytes at most")


class ContentTypeError(Exception):
    """The body is not JSON."""


def wrong(at: str, message: str) -> FieldsError:
    """Return the error for one field; at: its JSON path."""
    return FieldsError(FieldError(at=at, message=message))


def query_of(request: web.Request, kind: type[R] | None) -> R | None:
    """Return a request's query. Raises FieldsError."""
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name in given:
            raise wrong(f"$.{name}", "is given twice")
        given[name] = value
    if kind is None:
        if given:
            raise FieldsError(
                *(FieldError(at=f"$.{n}", message="there is no such parameter") for n in given)
            )
        return None
    try:
        query = msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _field_of(error) from None
    _check(msgspec.to_builtins(query))
    for name in given:
        # The text "null" would be read as nothing.
        if getattr(query, name) is None:
            raise wrong(f"$.{name}", "leave it out instead of null")
    return query


def path_of(request: web.Request) -> Mapping[str, str]:
    """Return what stands in the path, by parameter. Raises FieldsError."""
    given = dict(request.match_info)
    _check(given)
    for name, value in given.items():
        if len(value) > PATH_CHARACTERS:
            raise wrong(f"$.{name}", f"has more than {PATH_CHARACTERS} characters")
    return given


async def raw_body_of(request: web.Request, operation: Operation) -> bytes:
    """Return a request's body as it came.

    Raises TooLargeError; FieldsError when it stalls, breaks off, or is compressed: of a few bytes
    as many could be made as one likes.
    """
    if request.headers.get(hdrs.CONTENT_ENCODING, _AS_IT_IS).lower() != _AS_IT_IS:
        raise wrong("$", "is compressed: leave out Content-Encoding, and send it as it is")
    kind = operation.body
    return await _read(request, AUDIO_BODY_BYTES if kind and _has_audio(kind) else BODY_BYTES)


def body_of(raw: bytes, content_type: str, operation: Operation) -> Request | None:
    """Return what a body says, None where the operation has none.

    Raises FieldsError, ContentTypeError.
    """
    if operation.body is None:
        if raw.strip() not in {b"", b"{}"}:
            raise wrong("$", "this operation has no body")
        return None
    if raw.strip() and content_type != "application/json":
        raise ContentTypeError
    return decoded(raw, operation.body)


def decoded(raw: bytes, kind: type[R]) -> R:
    """Return a body; an empty one has only defaults. Raises FieldsError."""
    try:
        body = msgspec.json.decode(raw.strip() or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise _field_of(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise wrong("$", f"this is not JSON in UTF-8: {error}") from None
    except RecursionError:
        raise wrong("$", "this is nested too deeply") from None
    _check(msgspec.to_builtins(body, builtin_types=(bytes,)))
    return body


def one_of(**sounds: bytes | str | None) -> bytes | str | None:
    """Return which of two ways to give a sound was taken. Raises BadArgumentError for both."""
    given = [sound for sound in sounds.values() if sound is not None]
    if len(given) > 1:
        raise BadArgumentError(f"give one of {' and '.join(sounds)}")
    return given[0] if given else None


def optional(kind: type[Request]) -> bool:
    """Tell whether a body may be left out: every field of it has a default."""
    return not any(field.required for field in msgspec.structs.fields(kind))


async def _read(request: web.Request, limit: int) -> bytes:
    if request.content_length is not None and request.content_length > limit:
        raise TooLargeError(limit)
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                raw += chunk
                if len(raw) > limit:
                    raise TooLargeError(limit)
    except TimeoutError:
        raise wrong("$", f"the body did not come within {BODY_SECONDS:g} s") from None
    except (ConnectionError, HttpProcessingError, web.RequestPayloadError) as error:
        raise wrong("$", f"the body did not come whole: {error}") from None
    return bytes(raw)


@cache
def _has_audio(kind: type[Request]) -> bool:
    fields = msgspec.structs.fields(kind)
    return any(Audio in {field.type, *get_args(field.type)} for field in fields)


def _field_of(error: msgspec.ValidationError) -> FieldsError:
    """Msgspec says ``MESSAGE - at `$.path```; a field too many or too few is named in MESSAGE."""
    found = _AT.match(str(error))
    message, at = (found["message"], found["at"] or "$") if found else (str(error), "$")
    if named := _FIELD.search(message):
        at = f"{at}.{named[1]}"
    return wrong(at, message)


def _check(value: object) -> None:
    """Refuse what is JSON, but what neither a database nor Asterisk takes."""
    faults = [*_faults(value, "$", 0)]
    if faults:
        raise FieldsError(*faults[:20])


def _faults(value: object, at: str, depth: int) -> Iterator[FieldError]:
    if depth > DEPTH:
        yield FieldError(at="$", message=f"this is nested more than {DEPTH} deep")
        return
    match value:
        case dict():
            for name, item in value.items():
                if fault := _text_fault(name):
                    yield FieldError(at=at, message=f"a name: {fault}")
                yield from _faults(item, f"{at}.{name}", depth + 1)
        case list() | tuple():
            for index, item in enumerate(value):
                yield from _faults(item, f"{at}[{index}]", depth + 1)
        case str() | int() | float():
            if fault := _fault(value):
                yield FieldError(at=at, message=fault)
        case _:
            return


def _fault(value: str | float) -> str | None:
    match value:
        case str():
            return _text_fault(value)
        case int() if not -INTEGER <= value < INTEGER:
            return "whole numbers have 64 bits at most"
        case float() if not math.isfinite(value):
            return "numbers are finite"
        case _:
            return None


def _text_fault(text: str) -> str | None:
    if "\0" in text:
        return "a text has no NUL character"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "a text has no half of a pair of surrogates"
    return None
