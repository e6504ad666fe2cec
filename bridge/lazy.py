"""Packages whose names are imported when somebody asks for them."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable, Mapping


def lazily(package: str, names: Mapping[str, str]) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a package that imports its names at their first use.

    names: where each is, ``module:name``, or ``module:`` for a module. Whoever needs one part of a
    package then does not wait for all of it.
    """

    def get(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found: object = pkgutil.resolve_name(names[name])
        # From now on it is found without this function.
        setattr(sys.modules[package], name, found)
        return found

    return get
