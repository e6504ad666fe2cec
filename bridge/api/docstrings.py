"""What the types of the protocol say of themselves, in Markdown: of the type, of each field."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache


@cache
def described_fields(kind: type) -> dict[str, str]:
    """Return the docstrings of a class's fields, inherited ones too, by name."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        found.update(_own_fields(base))
    return found


def described(kind: type) -> str:
    """Return a class's own docstring; empty if it has none."""
    return _markdown(inspect.cleandoc(kind.__dict__.get("__doc__") or ""))


def _own_fields(kind: type) -> dict[str, str]:
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):  # built in, or installed without its source
        return {}
    body = ast.parse(textwrap.dedent(source)).body[0]
    if not isinstance(body, ast.ClassDef):
        return {}
    found: dict[str, str] = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(said))),
            ):
                found[name] = _markdown(" ".join(said.split()))
            case _:
                pass
    return found


def _markdown(text: str) -> str:
    return text.replace("``", "`")
