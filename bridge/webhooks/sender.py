"""One attempt to hand one event to one receiver."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import hdrs

from bridge.model.errors import BadArgumentError
from bridge.store.records import Delivery, StoredWebhook
from bridge.webhooks.addresses import Addresses, AddressRefusedError, CarefulResolver
from bridge.webhooks.signing import HEADER, sign

DELIVERY_HEADER: Final = "Callbridge-Delivery"
EVENT_HEADER: Final = "Callbridge-Event"
ATTEMPT_HEADER: Final = "Callbridge-Attempt"
ATTEMPT_SECONDS: Final = 10.0
"""How long a receiver has to take an event."""
_ANSWER_BYTES: Final = 4096
"""Of an answer's body are read, so that the connection can be used again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended.

    status: HTTP's, None when no answer came. error: for people; empty when the event was taken.
    asked: seconds that the receiver wants to be left alone.
    """

    status: int | None = None
    error: str = ""
    asked: float | None = None

    @property
    def taken(self) -> bool:
        """Whether the receiver has the event."""
        return not self.error

    @property
    def final(self) -> bool:
        """Whether there is no sense in another attempt: the receiver says that it is no more."""
        return self.status == HTTPStatus.GONE


class Sender:
    """Sends. at_once: connections at most; seconds: that one attempt may take."""

    def __init__(
        self,
        addresses: Addresses,
        *,
        version: str,
        at_once: int,
        seconds: float = ATTEMPT_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._addresses = addresses
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=CarefulResolver(addresses), limit=at_once, ssl=tls or True
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=seconds),
            headers={hdrs.USER_AGENT: f"callbridge/{version}"},
            # Neither a proxy nor a password of this machine's environment is a receiver's business.
            trust_env=False,
        )
        self._seconds = seconds

    async def close(self) -> None:
        """End. Attempts that are under way fail."""
        await self._session.close()

    async def attempt(self, webhook: StoredWebhook, delivery: Delivery, *, at: float) -> Outcome:
        """Try once; at: now, in seconds since 1970. Never raises but what cancels."""
        body = delivery.body.encode()
        headers = {
            hdrs.CONTENT_TYPE: "application/json",
            HEADER: sign(webhook.secret, body, at=at),
            DELIVERY_HEADER: delivery.delivery_id,
            EVENT_HEADER: delivery.event_type,
            ATTEMPT_HEADER: str(delivery.attempts + 1),
        }
        try:
            # A literal address is not resolved, and so is judged here.
            self._addresses.checked(webhook.url)
            async with self._session.post(
                webhook.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                await answer.content.read(_ANSWER_BYTES)
                return _judged(answer, at=at)
        except (BadArgumentError, AddressRefusedError) as error:
            return Outcome(error=str(error))
        except TimeoutError:
            return Outcome(error=f"no answer within {self._seconds:g} s")
        except aiohttp.ClientConnectorError as error:
            return Outcome(error=str(error.os_error) or str(error))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(error=str(error) or type(error).__name__)


def _judged(answer: aiohttp.ClientResponse, *, at: float) -> Outcome:
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome(answer.status)
    if answer.status < HTTPStatus.BAD_REQUEST:
        return Outcome(answer.status, f"{answer.status}: redirects are not followed")
    said = f"{answer.status} {answer.reason or ''}".strip()
    return Outcome(answer.status, said, _asked(answer, at=at))


def _asked(answer: aiohttp.ClientResponse, *, at: float) -> float | None:
    """Return how long the receiver wants to be left alone: as seconds or a date (RFC 9110)."""
    given = answer.headers.get(hdrs.RETRY_AFTER, "")
    if given.isascii() and given.isdigit():
        return float(given)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - at)
    except (ValueError, OverflowError):
        return None
