"""Whom ``connect()`` rings: the number that the caller dialled, unless a hook says otherwise."""

from __future__ import annotations

import re

from bridge.model.errors import BadArgumentError

_NUMBER = re.compile(r"\+?[0-9A-Za-z_.*#-]{1,64}")
_ENDPOINT = re.compile(r"[A-Za-z][A-Za-z0-9]*/[^\s,;|&]+")

DEFAULT_ENDPOINT = "PJSIP/{number}"


def endpoint_for(target: str, template: str, *, dialled: str) -> str:
    """Return what Asterisk dials for ``target``: a number, or an endpoint (``PJSIP/1002``).

    template: how a number becomes an endpoint, with ``{number}`` in it.
    dialled: what the caller dialled. It is only ever taken for a number, so that nobody dials his
    way into another technology or a second endpoint. Raises BadArgumentError.
    """
    if "/" in target and target != dialled:
        if not _ENDPOINT.fullmatch(target):
            raise BadArgumentError(f"{target!r} is no endpoint: one like PJSIP/1002 is")
        return target
    if not _NUMBER.fullmatch(target):
        raise BadArgumentError(
            f"{target!r} is no number that can be dialled: digits, letters, + * # _ . - are"
        )
    return template.format(number=target)
