"""Messages of the events WebSocket and answers of either transport, as bytes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from bridge.ari.faults import UNAUTHORIZED, unauthorized
from bridge.ari.generated.events import AnyMessage
from bridge.model.errors import RequestFailedError

MAX_WEBSOCKET_REQUEST = 65_000
"""Bytes of a message that goes over the WebSocket; Asterisk closes it (1009) for a frame over
65,535 (http_websocket.h, AST_WEBSOCKET_MAX_RX_PAYLOAD_SIZE)."""
FIRST_ERROR = 400

_message_decoder: msgspec.json.Decoder[AnyMessage] = msgspec.json.Decoder(AnyMessage)
_encoder = msgspec.json.Encoder()


class _Type(msgspec.Struct):
    type: str = ""


_type_decoder = msgspec.json.Decoder(_Type)


@dataclass(frozen=True)
class Answer:
    """What the server said to one request."""

    status: int
    reason: str
    body: bytes | str


class UndecodableMessageError(Exception):
    """A message is of a type that we do not know, or not of the shape that its type has."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        """The ``type`` it has, or a word in angle brackets when it has none."""


def decode_message(data: str | bytes) -> AnyMessage:
    """Read one message of the events WebSocket. Raises UndecodableMessageError."""
    try:
        return _message_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UndecodableMessageError(_type_of(data), str(error)) from error


def _type_of(data: str | bytes) -> str:
    try:
        return _type_decoder.decode(data).type or "<no type>"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "<not JSON>"


def encode_body(body: object) -> str | None:
    """Write a JSON body, or None."""
    return None if body is None else _encoder.encode(body).decode()


def encode_request(
    request_id: str, method: str, resource: str, pairs: list[tuple[str, str]], body: str | None
) -> bytes:
    """Write a RESTRequest message."""
    message: dict[str, object] = {
        "type": "RESTRequest",
        "transaction_id": request_id,
        "request_id": request_id,
        "method": method,
        "uri": resource,
    }
    if pairs:
        message["query_strings"] = [{"name": name, "value": value} for name, value in pairs]
    if body is not None:
        message["content_type"] = "application/json"
        message["message_body"] = body
    return _encoder.encode(message)


def read_answer(answer: Answer, method: str, resource: str, root: str) -> object:
    """Return the JSON value of an answer, None when it has no body.

    Raises RequestFailedError for a refusal, AuthenticationError for refused credentials.
    """
    try:
        value = msgspec.json.decode(answer.body) if answer.body else None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if answer.status < FIRST_ERROR:
            raise RequestFailedError(
                status=answer.status,
                method=method,
                resource=resource,
                reason=f"the answer is not JSON: {error}",
            ) from error
        value = None
    if answer.status < FIRST_ERROR:
        return value
    if answer.status == UNAUTHORIZED:
        raise unauthorized(root)
    said = value.get("message") or value.get("error") if isinstance(value, dict) else None
    raise RequestFailedError(
        status=answer.status,
        method=method,
        resource=resource,
        reason=said if isinstance(said, str) else answer.reason,
    )
