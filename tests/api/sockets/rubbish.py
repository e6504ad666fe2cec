"""What no client in its right mind sends: frames of any kind, in any order, whole or in part."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import msgspec
from hypothesis import strategies as st

from bridge.protocol.operations import BASE
from tests.support.daemon import RunningApi

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def frame(opcode: int, content: bytes, *, final: bool = True, masked: bool = True) -> bytes:
    """Return a frame as a client sends it, masked with zeros."""
    first, mask = opcode | (0x80 if final else 0), 0x80 if masked else 0
    size = len(content)
    if size < 126:
        head = struct.pack("!BB", first, size | mask)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, 126 | mask, size)
    else:
        head = struct.pack("!BBQ", first, 127 | mask, size)
    return head + (bytes(4) if masked else b"") + content


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
types = st.sampled_from(
    ["authenticate", "subscribe", "clear_audio", "attach", "accept", "hand_over", "event", "", 7]
)
names = st.sampled_from(["call_id", "types", "after", "key", "epoch", "seq", "routes", "more"])
positions = st.fixed_dictionaries(
    {"epoch": st.text(max_size=5), "seq": st.integers(-(1 << 70), 1 << 70)}
)
messages = st.builds(
    lambda kind, rest: _encoded({**rest, "type": kind}),
    types,
    st.dictionaries(names, json_values | positions | st.just("c-1"), max_size=3),
)
valid = st.sampled_from(
    [
        b'{"type":"subscribe"}',
        b'{"type":"subscribe","call_id":"c-1"}',
        b'{"type":"subscribe","types":["X"],"after":{"epoch":"x","seq":1}}',
        b'{"type":"clear_audio"}',
        b'{"type":"attach"}',
        b'{"type":"attach","routes":[{"dialled":"1*"}],"instance":"x","client":"y"}',
        b'{"type":"attach","lease_seconds":0.5,"after":{"epoch":"x","seq":1}}',
        b'{"type":"accept","call_id":"c-1"}',
        b'{"type":"hand_over"}',
    ]
)
texts = st.one_of(
    valid,
    messages,
    st.binary(max_size=200),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.just(b"[" * 20_000),
    st.just(b'{"type":"subscribe","call_id":"' + b"x" * 60_000 + b'"}'),
)
audio = st.integers(0, 4000).map(lambda size: b"\x01\x02" * (size // 2) + b"\x03" * (size % 2))
frames = st.one_of(
    st.builds(frame, st.just(TEXT), texts),
    st.builds(frame, st.just(BINARY), audio),
    st.builds(frame, st.just(TEXT), valid, final=st.booleans(), masked=st.booleans()),
    st.builds(frame, st.integers(0, 15), st.binary(max_size=130), final=st.booleans()),
    st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125)),
    st.builds(frame, st.just(CLOSE), st.binary(max_size=125)),
    st.just(frame(TEXT, b"x" * 300_000)),
    st.just(struct.pack("!BBQ", 0x81, 0xFF, 1 << 62) + bytes(100)),
    st.just(struct.pack("!BBQ", 0x82, 0xFF, (1 << 64) - 1) + bytes(100)),
    st.binary(max_size=300),
)


@dataclass(frozen=True)
class Nonsense:
    """What one client does: all of ``sent``, in pieces, and then it leaves, in order or not."""

    sent: tuple[bytes, ...]
    cut: int
    """Bytes of the last that are not sent."""
    abrupt: bool
    reads: bool


nonsense = st.builds(
    Nonsense,
    sent=st.lists(frames, min_size=1, max_size=6).map(tuple),
    cut=st.integers(0, 20),
    abrupt=st.booleans(),
    reads=st.booleans(),
)


async def misbehave(api: RunningApi, path: str, query: dict[str, str], what: Nonsense) -> None:
    """Open a socket, do that, and leave."""
    address = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(
            f"GET {BASE}{path}?{urlencode(query)} HTTP/1.1\r\nHost: callbridge\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {api.keys['admin']}\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        *whole, last = what.sent
        for piece in (*whole, last[: len(last) - min(what.cut, len(last))]):
            writer.write(piece)
            await asyncio.sleep(0)
        if what.reads:
            async with asyncio.timeout(0.02):
                while await reader.read(1 << 16):
                    pass
    except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
        pass  # It was closed in the middle, or there is nothing more to be read.
    finally:
        if what.abrupt:
            writer.transport.abort()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def _encoded(message: dict[str, object]) -> bytes:
    try:
        return msgspec.json.encode(message)
    except (UnicodeEncodeError, OverflowError):
        return b'{"type":"subscribe","call_id":"\xed\xa0\x80"}'
