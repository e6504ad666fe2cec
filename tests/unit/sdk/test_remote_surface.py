"""One surface, two implementations: what the classes in process have, those by URL have, too."""

from __future__ import annotations

import inspect

import pytest

from bridge.sdk import ActiveCall, Client, Observer
from bridge.sdk.recording import Recording
from bridge.sdk.remote import RemoteClient
from bridge.sdk.remote.call import RemoteCall
from bridge.sdk.remote.observer import RemoteObserver
from bridge.sdk.remote.recording import RemoteRecording
from bridge.sdk.remote.transfer import RemoteTransfer
from bridge.sdk.transfer import Transfer

PAIRS = [
    (Client, RemoteClient),
    (ActiveCall, RemoteCall),
    (Observer, RemoteObserver),
    (Transfer, RemoteTransfer),
    (Recording, RemoteRecording),
]

INHERITED = {
    Client: {"calls", "get_call", "on"},
    ActiveCall: {"end_reason", "on", "target", "wait_ended"},
    Observer: {"on"},
    Transfer: {"error_code", "error_message", "wait_accepted"},
    Recording: set[str](),
}
"""What is made of what both have: handlers, ends, and the list of calls."""


def public(kind: type) -> set[str]:
    """Return the names of what programs use of a class."""
    return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}


def own(kind: type) -> set[str]:
    """Return what the classes by URL define themselves."""
    return {
        name
        for one in kind.__mro__
        if one.__module__.startswith("bridge.sdk.remote")
        for name in vars(one)
    }


@pytest.mark.parametrize(("here", "there"), PAIRS)
def test_every_member_is_overridden(here: type, there: type) -> None:
    assert public(here) - own(there) == INHERITED[here]


@pytest.mark.parametrize(("here", "there"), PAIRS)
def test_signatures_and_kinds_are_the_same(here: type, there: type) -> None:
    for name in sorted(public(here) & own(there)):
        one = inspect.getattr_static(here, name)
        other = inspect.getattr_static(there, name)
        assert type(one) is type(other), name
        if inspect.isfunction(one):
            assert inspect.iscoroutinefunction(one) == inspect.iscoroutinefunction(other), name
            ours, theirs = inspect.signature(one), inspect.signature(other)
            assert list(ours.parameters.values()) == list(theirs.parameters.values()), name


def test_the_clients_are_made_with_the_same_arguments() -> None:
    here, there = inspect.signature(Client.__init__), inspect.signature(RemoteClient.__init__)
    shown = {p.name: (p.kind, p.default) for p in here.parameters.values()}
    assert shown == {p.name: (p.kind, p.default) for p in there.parameters.values()}


@pytest.mark.parametrize(("here", "there"), PAIRS)
def test_the_contract_is_said(here: type, there: type) -> None:
    """By the docstring of the one in process, whose first line is there for both."""
    for name in sorted(public(here) & own(there)):
        if name in INHERITED[here]:
            continue
        ours = inspect.getdoc(inspect.getattr_static(here, name))
        theirs = inspect.getdoc(inspect.getattr_static(there, name))
        assert bool(ours) == bool(theirs), name


def test_which_of_them_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALLBRIDGE_URL", raising=False)
    ari = ("http://127.0.0.1:8088/ari", "user", "secret")
    assert type(Client(*ari)) is Client
    assert type(Client(url="http://127.0.0.1:8100", key="k")) is RemoteClient
    monkeypatch.setenv("CALLBRIDGE_URL", "http://127.0.0.1:8100")
    monkeypatch.setenv("CALLBRIDGE_KEY", "k")
    assert type(Client()) is RemoteClient
    assert type(Client(*ari)) is Client
