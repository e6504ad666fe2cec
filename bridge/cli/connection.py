"""The way from a command to a running ``callbridge serve``."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import msgspec

from bridge.daemon import runfile
from bridge.model.errors import (
    CallbridgeError,
    ConfigurationError,
    ErrorCode,
    ServerUnreachableError,
)
from bridge.protocol import operations as ops
from bridge.protocol.operations import Operation
from bridge.protocol.requests import Request
from bridge.protocol.views import CallView
from bridge.sdk.address import KEY_VARIABLE, URL_VARIABLE, DaemonAddress, find_daemon
from bridge.sdk.remote.http import USUAL_SECONDS, Http

T = TypeVar("T")

CA_VARIABLE: Final = "CALLBRIDGE_CA"
"""Path of the certificate that a daemon's is signed by, where the system does not know it."""
_PAGE: Final = 500
_LINKED: Final = "ok"


class Shown(msgspec.Struct, frozen=True):
    """An answer: as it came, and as it is understood here."""

    raw: msgspec.Raw
    view: Any


class _RawPage(msgspec.Struct):
    items: tuple[msgspec.Raw, ...]
    next: str | None = None


class Api:
    """What commands ask a daemon. Errors are those of ``bridge.errors``."""

    def __init__(self, http: Http, url: str) -> None:
        self.http = http
        self.url = url

    async def ask(
        self,
        operation: Operation,
        *,
        query: Request | None = None,
        body: Request | None = None,
        seconds: float = USUAL_SECONDS,
        **path: str,
    ) -> Shown:
        """Carry an operation out and return its answer."""
        raw = await self.http.ask(
            operation, msgspec.Raw, query=query, body=body, seconds=seconds, **path
        )
        return Shown(raw, _understood(raw, operation.answer, self.url))

    async def tell(
        self,
        operation: Operation,
        *,
        query: Request | None = None,
        body: Request | None = None,
        **path: str,
    ) -> None:
        """Carry an operation out that answers nothing."""
        await self.http.tell(operation, query=query, body=body, seconds=USUAL_SECONDS, **path)

    async def listed(
        self,
        operation: Operation,
        query: Request | None = None,
        *,
        most: int | None = None,
        **path: str,
    ) -> list[Shown]:
        """Return a list, all its pages, or ``most`` of it."""
        kind = msgspec.structs.fields(operation.answer)[0].type.__args__[0]
        found: list[Shown] = []
        cursor: str | None = None
        while most is None or len(found) < most:
            page = await self.http.ask(
                operation,
                _RawPage,
                query=_paged(operation, query, cursor, most),
                body=None,
                seconds=USUAL_SECONDS,
                **path,
            )
            found += [Shown(raw, _understood(raw, kind, self.url)) for raw in page.items]
            cursor = page.next
            if cursor is None:
                break
        return found[:most]

    async def calls(self) -> list[CallView]:
        """Return all live calls. Raises what ``listed_calls`` raises."""
        return [one.view for one in await self.listed_calls()]

    async def listed_calls(self, query: Request | None = None) -> list[Shown]:
        """Return the live calls that are asked for.

        Raises ServerUnreachableError where that there are none says no more than that the daemon
        has lost its Asterisk.
        """
        found = await self.listed(ops.LIST_CALLS, query)
        if not found:
            link = (await self.ask(ops.SHOW_HEALTH)).view.parts.get("ari", _LINKED)
            if link != _LINKED:
                raise ServerUnreachableError(f"the daemon has no Asterisk: {link}")
        return found


def _understood(raw: msgspec.Raw, kind: type[T], url: str) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise CallbridgeError(
            f"an answer of {url} is not understood: {error}; see whether that is the address of "
            "`callbridge serve`, of about the same version",
            code=ErrorCode.REQUEST_FAILED,
        ) from None


def _paged(
    operation: Operation, query: Request | None, cursor: str | None, most: int | None
) -> Request | None:
    if operation.query is None:
        return query
    asked = operation.query() if query is None else query
    limit = _PAGE if most is None else max(1, min(_PAGE, most))
    return msgspec.structs.replace(asked, limit=limit, cursor=cursor)


def daemon(url: str | None, key: str | None) -> tuple[DaemonAddress, str]:
    """Return where the daemon is, and the path of a certificate to trust, or "".

    What is given wins, then the environment (CALLBRIDGE_URL, CALLBRIDGE_KEY), then a daemon that
    this user runs here. Raises ServerUnreachableError when there is none, ConfigurationError.
    """
    named = url or os.environ.get(URL_VARIABLE)
    here = runfile.find()
    if named:
        same = here is not None and here.url.rstrip("/") == named.rstrip("/")
        secret = key or os.environ.get(KEY_VARIABLE) or (here.key if same and here else None)
        certificate = here.certificate if same and here else ""
        if not secret:
            raise ConfigurationError(f"no key for {named}: give one by --key, or {KEY_VARIABLE}")
        try:
            address = find_daemon(url=named, key=secret)
        except ConfigurationError:
            raise ConfigurationError(
                f"{named!r} is no address of a daemon: one like http://127.0.0.1:8100 is, by --url "
                f"or {URL_VARIABLE}"
            ) from None
    elif here is None:
        raise ServerUnreachableError(
            "no callbridge runs here: start it with `callbridge serve`, or say where one is by "
            f"--url and --key, or {URL_VARIABLE} and {KEY_VARIABLE}"
        )
    else:
        address, certificate = (
            DaemonAddress(here.url.rstrip("/"), key or here.key),
            here.certificate,
        )
    return address, os.environ.get(CA_VARIABLE, certificate)


@asynccontextmanager
async def connected(url: str | None, key: str | None) -> AsyncIterator[Api]:
    """Be ready to ask a daemon."""
    address, certificate = daemon(url, key)
    http = Http(address, _trusting(certificate) if certificate else None)
    await http.open()
    try:
        yield Api(http, address.url)
    finally:
        await http.close()


def _trusting(certificate: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=certificate)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{certificate} is no certificate: {error}") from error
