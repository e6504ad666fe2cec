"""What the keys of an observer's phone may do, over a restart, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.api.auth.principal import Principal
from bridge.api.auth.tenancy import Tenancy
from bridge.api.views import Views
from bridge.model.keys import KeyAction, KeyLimits
from bridge.protocol.permissions import Role
from bridge.sdk import Client

HEARD = {KeyAction.WHISPER, KeyAction.BARGE, KeyAction.TAKE_OVER}


def allowed(limits: KeyLimits) -> set[KeyAction]:
    return {action for action in KeyAction if limits.allow(action)}


@pytest.mark.parametrize("role", Role)
def test_the_next_life_of_the_daemon_knows_the_limits(role: Role, tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:1/ari", "user", "secret")
    views = Views(client, Tenancy(), recordings=tmp_path)
    limits = views.limits(Principal("boss", role, "acme", frozenset({"b", "a"})))
    again = client.limits_of(limits.note)
    assert again.note == limits.note
    assert allowed(again) == allowed(limits)
    assert allowed(limits) == set(KeyAction) - (HEARD if role is Role.OBSERVER else set())
    assert not again.reaches("no call")


@pytest.mark.parametrize("note", ["", "rubbish", '{"by":"x"}', '{"by":"x","role":"king"}'])
def test_of_whom_nothing_is_known_hears_and_leaves(note: str, tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:1/ari", "user", "secret")
    Views(client, Tenancy(), recordings=tmp_path)
    limits = client.limits_of(note)
    assert allowed(limits) == set(KeyAction) - HEARD
    assert not limits.reaches("any")
