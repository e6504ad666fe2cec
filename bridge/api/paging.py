"""Parts of lists that are in memory. A cursor says behind which item the next part begins.

Items may come and go between two parts: nothing that stays is shown twice or left out.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

from bridge.api.decoding import wrong
from bridge.protocol.requests import Listing
from bridge.protocol.views import Page

T = TypeVar("T")
Key = tuple[str | float | int, ...]

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(tuple[str | float, ...])


def paged(
    items: Iterable[T], listing: Listing, key: Callable[[T], Key], *, newest_first: bool = False
) -> Page[T]:
    """Return the part of ``items`` that is asked for, sorted by ``key``, which is unique.

    newest_first: the greatest key first. Raises BadArgumentError for a cursor of another list.
    """
    ordered = sorted(items, key=key, reverse=newest_first)
    if listing.cursor is not None:
        last = opened(listing.cursor)
        if ordered and len(last) != len(key(ordered[0])):
            raise wrong("$.cursor", "is of another list")
        try:
            ordered = [i for i in ordered if (key(i) < last if newest_first else key(i) > last)]
        except TypeError:
            raise wrong("$.cursor", "is of another list") from None
    part = tuple(ordered[: listing.limit])
    more = len(ordered) > listing.limit
    return Page(items=part, next=cursor(key(part[-1])) if more else None)


def whole(items: Iterable[T]) -> Page[T]:
    """Return a list that is too short to have parts."""
    return Page(items=tuple(items))


def cursor(key: Key) -> str:
    """Return the cursor behind the item of this key. It is opaque to who gets it."""
    return base64.urlsafe_b64encode(_ENCODER.encode(key)).rstrip(b"=").decode()


def opened_as(text: str, kinds: type[T]) -> T:
    """Return the key that a cursor was made of. kinds: a tuple type. Raises BadArgumentError."""
    try:
        return msgspec.convert(opened(text), kinds)
    except msgspec.ValidationError:
        raise wrong("$.cursor", "is of another list") from None


def opened(text: str) -> Key:
    """Return the key that a cursor was made of. Raises BadArgumentError."""
    try:
        raw = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
        return _DECODER.decode(raw)
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError):
        raise wrong("$.cursor", "is none that this server gave") from None
