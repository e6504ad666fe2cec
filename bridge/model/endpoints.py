"""Whose endpoint somebody means by what he types."""

from __future__ import annotations


def is_at(endpoint: str, selector: str) -> bool:
    """Tell whether an endpoint, or its extension, is what somebody means; small letters will do.

    ``PJSIP/1002@trunk`` is meant by itself and by ``1002@trunk``, ``PJSIP/1002`` and ``1002``.
    """
    whole = endpoint.casefold()
    extension = whole.partition("/")[2]
    names = {whole, extension, whole.partition("@")[0], extension.partition("@")[0]}
    return bool(selector) and selector.casefold() in names
