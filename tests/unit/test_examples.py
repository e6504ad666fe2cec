"""Examples in the documents use what there is as it is: names, attributes, arguments."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import bridge.public
from bridge import (
    ActiveCall,
    Client,
    Observer,
    Recording,
    Transfer,
    TransferRequest,
    Voicemail,
)

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    *(
        f"docs/{page}.md"
        for page in (
            "sdk",
            "transfers",
            "waiting",
            "recording",
            "restart",
            "remote",
            "webhooks",
            "websockets",
        )
    ),
]

MEANT: dict[str, type] = {
    "call": ActiveCall,
    "client": Client,
    "observer": Observer,
    "coach": Observer,
    "boss": Observer,
    "transfer": Transfer,
    "recording": Recording,
    "message": Voicemail,
    "request": TransferRequest,
}
"""What a name stands for in the examples."""
LIVE: dict[str, set[str]] = {"call": {"since", "own", "at"}}
"""Of a LiveCall, which some examples call ``call``, too."""
PUBLIC = frozenset(bridge.public.__all__)


def examples(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def check(example: str) -> None:
    """Fail unless every attribute is there, and every call has arguments that are taken."""
    if example.startswith("except"):
        example = f"try:\n    ...\n{example}"
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(example, "example", "exec", flags)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(name), attr=attribute) if name in MEANT:
                assert attribute in names_of(MEANT[name]) | LIVE.get(name, set()), attribute
            case ast.Attribute(value=ast.Name(name), attr=attribute) if name in PUBLIC:
                assert hasattr(getattr(bridge.public, name), attribute), f"{name}.{attribute}"
            case ast.ImportFrom(module=str(module), names=names) if module.startswith("bridge"):
                there = importlib.import_module(module)
                assert [a.name for a in names if not hasattr(there, a.name)] == []
            case ast.Call() if (function := called(node)) is not None:
                bind(function, node)


def names_of(kind: type) -> set[str]:
    """Return the names that an object of a class has."""
    return set(dir(kind)) | set(getattr(kind, "__dataclass_fields__", ()))


def called(node: ast.Call) -> Callable[..., object] | None:
    """Return what of ours an example calls; None for what is not ours."""
    match node.func:
        case ast.Attribute(value=ast.Name(name), attr=attribute) if name in MEANT:
            method: Callable[..., object] | None = getattr(MEANT[name], attribute, None)
            return method
        case ast.Name(name) if name in PUBLIC:
            function: Callable[..., object] = getattr(bridge.public, name)
            # What makes a client is said by __init__: __new__ only chooses which.
            return Client.__init__ if function is Client else function
        case _:
            return None


def bind(function: Callable[..., object], node: ast.Call) -> None:
    """Fail unless the function takes these arguments."""
    signature = inspect.signature(function)
    given = [None] * (len(node.args) + ("self" in signature.parameters))
    named = {keyword.arg: None for keyword in node.keywords if keyword.arg}
    try:
        signature.bind(*given, **named)
    except TypeError as error:
        pytest.fail(f"{ast.unparse(node)}: {error}")


@pytest.mark.parametrize("page", PAGES)
def test_examples_use_what_there_is_as_it_is(page: str) -> None:
    found = examples(page)
    assert found
    for example in found:
        check(example)


@pytest.mark.parametrize(
    "wrong",
    [
        "await call.transfers('1003')",
        "await call.transfer('1003', breif=b'')",
        "await call.transfer()",
        "print(transfer.result)",
        "client = Client(musik='jazz')",
        "CallState.TALKING",
        "from bridge import Transferral",
        "await (",
    ],
)
def test_a_wrong_example_is_seen(wrong: str) -> None:
    with pytest.raises((AssertionError, SyntaxError, pytest.fail.Exception)):
        check(wrong)
