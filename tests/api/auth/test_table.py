"""Every operation by every role and reach.

The table is written by hand, from what each role is for, and knows nothing of
``bridge.protocol.permissions``: what is changed there by mistake fails here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from bridge.api.auth.keys import new_key
from bridge.api.auth.limits import FailureLimits
from bridge.lab.fake_ari import FakeAri
from bridge.protocol.operations import OPERATIONS, Operation
from bridge.protocol.permissions import Role
from bridge.protocol.requests import AuditListing
from bridge.protocol.views import CallView
from bridge.store.records import EVERYTHING
from tests.api.auth.scene import REACHES, Scene, arranged, key_of
from tests.support.daemon import OFTEN

TABLE: Final = """
# operation             who    about     the answer about one's own
list_calls              ospa   list      200
originate               --pa   free      403 DIAL_DENIED
show_call               ospa   call      200
hang_up                 -spa   call      204                         fresh
answer                  -spa   call      409 INVALID_STATE
connect                 -spa   call      403 DIAL_DENIED
leave                   -spa   call      200                         fresh
change_mode             -spa   call      409 INVALID_STATE
collect_digits          -spa   call      422 BAD_ARGUMENT
announce                -spa   call      409 INVALID_STATE
say                     -spa   call      409 NOT_SUPPORTED
set_music               -spa   call      200
show_audibility         ospa   call      200
list_parties            ospa   call      200
add_party               -spa   call      403 DIAL_DENIED
change_party            -spa   call      404 NOT_FOUND
remove_party            -spa   call      404 NOT_FOUND
park                    -spa   call      422 BAD_ARGUMENT
unpark                  -spa   call      409 INVALID_STATE
list_parked             ospa   list      200
list_observers          ospa   call      200
observe                 ospa   call      403 DIAL_DENIED
show_observer           ospa   call      404 NOT_FOUND               nobody
change_observer_mode    ospa   call      404 NOT_FOUND               nobody
take_over               -spa   call      404 NOT_FOUND               nobody
give_back               -spa   call      404 NOT_FOUND               nobody
move_observer           ospa   call      404 NOT_FOUND               nobody
dismiss_observer        ospa   call      404 NOT_FOUND               nobody
start_transfer          -spa   call      403 DIAL_DENIED
show_transfer           ospa   call      404 NOT_FOUND
complete_transfer       -spa   call      404 NOT_FOUND
cancel_transfer         -spa   call      404 NOT_FOUND
toggle_transfer         -spa   call      404 NOT_FOUND
conference_transfer     -spa   call      404 NOT_FOUND
list_recordings         -s-a   list      200
start_recording         -spa   call      201
show_recording          -s-a   thing     200
change_recording        -spa   thing     200
stop_recording          -spa   thing     200                         fresh
fetch_recording         -s-a   thing     200
list_notes              ospa   call      200
write_note              -spa   call      201
show_context            ospa   call      200
save_context            -spa   call      200
list_history            ospa   list      200
show_history            ospa   thing     200
list_events             ospa   list      200
list_audit              -s-a   list      200
list_endpoints          ---a   free      200
show_endpoint           ---a   free      200
list_channels           ---a   list      200
show_capabilities       ospa   free      200
list_programs           ospa   free      200
list_webhooks           ---a   tenants   200
create_webhook          ---a   tenant    201
delete_webhook          ---a   tenant    204                         fresh
list_deliveries         ---a   tenant    200
replay_deliveries       ---a   tenant    200
list_keys               ---a   tenants   200
create_key              ---a   tenant    201
revoke_key              ---a   tenant    204                         fresh
show_me                 ospa   free      200
show_health             ospa   open      200
"""
"""who: observer, supervisor, program, admin. about: a call or a thing, which is not there for who
does not see it; a list, which has nothing in it that one does not see; what is a whole tenant's,
which is not there for who is limited to queues; or free: nobody's. Then: ``fresh``, made to be
lost; ``nobody``: about an observer who is not there."""

BODIES: Final[dict[str, dict[str, Any]]] = {
    "originate": {"to": "PJSIP/1@trunk"},
    "connect": {"to": "PJSIP/1@trunk"},
    "leave": {},
    "change_mode": {"mode": "spy"},
    "collect_digits": {"max_digits": 1, "timeout_seconds": 0.01, "speaker": "nobody"},
    "announce": {"sound": "sound:beep", "to": "nobody"},
    "say": {"text": "hello"},
    "set_music": {"music": "default"},
    "add_party": {"to": "PJSIP/1@trunk"},
    "change_party": {"muted": True},
    "park": {"name": "nobody"},
    "observe": {"phone": "PJSIP/1@trunk"},
    "change_observer_mode": {"mode": "spy"},
    "take_over": {},
    "move_observer": {"to": "nobody"},
    "start_transfer": {"to": [["PJSIP/1@trunk"]]},
    "complete_transfer": {},
    "cancel_transfer": {},
    "toggle_transfer": {},
    "conference_transfer": {},
    "start_recording": {},
    "change_recording": {"paused": False},
    "write_note": {"text": "hello"},
    "save_context": {"values": {"seen": True}},
    "create_webhook": {
        "url": "http://127.0.0.1:9/",
        "secret": "x" * 32,
        "tenant": "default",
        "events": ["SERVER_LOST"],
    },
    "replay_deliveries": {},
    "create_key": {"name": "made", "role": "observer", "tenant": "default"},
}
SEES: Final = {
    "all": {"default/sales", "default/support", "acme/sales"},
    "own": {"default/sales", "default/support"},
    "own queue": {"default/sales"},
    "other queue": {"default/support"},
    "foreign": {"acme/sales"},
    "foreign queue": {"acme/sales"},
}
"""Of which of the three calls a key of each reach knows."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    operation: Operation
    who: str
    about: str
    status: int
    code: str
    how: str


def rows() -> list[Row]:
    """Read the table."""
    known = {operation.operation_id: operation for operation in OPERATIONS}
    found = []
    for line in TABLE.strip().splitlines()[1:]:
        name, who, about, status, *rest = line.split()
        code = rest.pop(0) if rest and rest[0].isupper() else ""
        found.append(Row(known[name], who, about, int(status), code, rest[0] if rest else ""))
    return found


ROWS: Final = rows()


def test_every_operation_is_in_the_table_once() -> None:
    assert [row.operation.operation_id for row in ROWS] == [one.operation_id for one in OPERATIONS]


@pytest.fixture
async def scene(fake: FakeAri, tmp_path: Path) -> AsyncIterator[Scene]:
    async with arranged(fake, tmp_path) as scene:
        yield scene


def expected(row: Row, role: Role, reach: str) -> tuple[int, str]:
    """Return status and code of the answer to a key."""
    if row.about == "open":
        return row.status, row.code
    if role.value[0] not in row.who:
        return 403, "FORBIDDEN"
    sees = "default/sales" in SEES[reach]
    match row.about:
        case "call" if not sees:
            return 404, "CALL_NOT_FOUND"
        case "thing" if not sees:
            return 404, "NOT_FOUND"
        case "tenant" if reach not in {"own", "all"}:
            making = row.operation.operation_id.startswith("create_")
            return (403, "FORBIDDEN") if making else (404, "NOT_FOUND")
        case _:
            return row.status, row.code


async def asked_for(scene: Scene, row: Row, role: Role, reach: str) -> tuple[int, str]:
    """Ask for what the row is about; return status and code.

    Where the answer is to be a yes nothing is done to what others ask for later.
    """
    name = row.operation.operation_id
    ids = {
        **scene.ids,
        "party": "nobody",
        "transfer_id": "none",
        "technology": "PJSIP",
        "resource": "1002",
    }
    if name == "show_history":
        ids["call_id"] = scene.over
    if expected(row, role, reach) == (row.status, row.code):
        if row.how == "nobody":
            ids["observer"] = "nobody"
        if row.how == "fresh":
            ids |= await fresh(scene, name)
    path = row.operation.url(**{one: ids[one] for one in row.operation.parameters})
    key = key_of(role, reach)
    query = {"limit": "500"} if row.about in {"list", "tenants"} and row.operation.query else None
    reply = await scene.api.ask(row.operation.method, path, BODIES.get(name), key=key, query=query)
    if reply.status >= 400:
        return reply.status, reply.code
    for identity, is_seen in listed(scene, name, reach).items():
        assert (identity.encode() in reply.raw) is is_seen, (name, role, reach, identity)
    return reply.status, ""


async def fresh(scene: Scene, name: str) -> dict[str, str]:
    """Have something that will be gone; return its id by the name of the parameter."""
    made = {
        "delete_webhook": ("webhook_id", "/webhooks", "create_webhook"),
        "revoke_key": ("key_id", "/keys", "create_key"),
        "stop_recording": ("recording_id", f"/calls/{scene.call}/recordings", "start_recording"),
    }
    if name not in made:
        return {"call_id": await scene.ring("1002")}
    parameter, path, by = made[name]
    return {parameter: (await scene.api.done("POST", path, BODIES[by]))[parameter]}


def listed(scene: Scene, name: str, reach: str) -> dict[str, bool]:
    """Return what may stand in a list, and whether it is to for who has this reach."""
    own, support, foreign = (
        one in SEES[reach] for one in ("default/sales", "default/support", "acme/sales")
    )
    calls = {scene.call: own, scene.support_call: support, scene.foreign_call: foreign}
    match name:
        case "list_calls" | "list_events" | "list_channels":
            return calls
        case "list_history" | "list_audit":
            return {scene.over: own, scene.foreign_over: foreign}
        case "list_recordings":
            kind = "recording_id"
        case "list_webhooks" | "list_keys":
            kind = "webhook_id" if name == "list_webhooks" else "key_id"
            # Of a whole tenant: who has a queue alone is not shown them.
            own, foreign = reach in {"own", "all"}, reach in {"foreign", "all"}
        case _:
            return {}
    return {scene.ids[kind]: own, scene.foreign_ids[kind]: foreign}


def as_it_is(scene: Scene, call_id: str) -> tuple[CallView, list[tuple[str, str]]]:
    """Return a call, without what changes by itself: how long its recordings are by now."""
    view = scene.api.service.views.call(call_id)
    assert view is not None
    recordings = [(one.recording_id, one.state) for one in view.recordings]
    return msgspec.structs.replace(view, recordings=(), revision=0), recordings


@pytest.mark.parametrize("reach", REACHES)
async def test_who_may_do_what(scene: Scene, reach: str) -> None:
    cells = [(row, role) for role in Role for row in ROWS]
    wrong = []
    for row, role in cells:
        wanted = expected(row, role, reach)
        found = await asked_for(scene, row, role, reach)
        if found != wanted:
            wrong.append((row.operation.operation_id, role.value, reach, found, wanted))
    assert wrong == []
    await check_audit(scene, reach, cells)


async def check_audit(scene: Scene, reach: str, cells: list[tuple[Row, Role]]) -> None:
    """Every command stands in the audit by who gave it, in order, with how it ended."""
    for role in Role:
        wanted = [
            (row.operation.operation_id, expected(row, role, reach)[0] < 400)
            for row, of in cells
            if of is role and row.operation.method != "GET"
        ]
        page = await scene.api.service.store.audit(
            AuditListing(by=key_of(role, reach), limit=500), EVERYTHING
        )
        names = {name for name, _ in wanted}
        found = [
            (record.what, record.result == "done")
            for record in reversed(page.items)
            if record.who == "api" and record.what in names
        ]
        assert found == wanted, role


async def test_who_is_refused_changes_nothing(scene: Scene) -> None:
    before = [as_it_is(scene, one) for one in (scene.call, scene.foreign_call)]
    for reach in ("other queue", "foreign", "foreign queue"):
        for role in Role:
            for row in ROWS:
                if row.about in {"call", "thing"}:
                    await asked_for(scene, row, role, reach)
    after = [as_it_is(scene, one) for one in (scene.call, scene.foreign_call)]
    assert after == before
    kept = await scene.api.done("GET", f"/calls/{scene.call}/context")
    assert kept["values"] == {"tenant": "default"}
    assert (await scene.api.done("GET", f"/calls/{scene.call}/notes"))["items"] == []


async def test_without_a_good_key_nobody_gets_in(scene: Scene) -> None:
    # So many wrong keys would be told to come later.
    scene.api.service.authenticator._failures = FailureLimits(OFTEN)
    for kind in ("none", "nonsense", "unknown", "wrong", "revoked", "expired"):
        assert await answers_to(scene, await bad_key(scene, kind)) == {(401, "UNAUTHENTICATED")}


async def answers_to(scene: Scene, key: str | None) -> set[tuple[int, str]]:
    """Ask for everything; return what is answered where it is not open to all."""
    found = set()
    for row in ROWS:
        path = row.operation.url(
            **{one: scene.ids.get(one, "x") for one in row.operation.parameters}
        )
        body = BODIES.get(row.operation.operation_id)
        reply = await scene.api.ask(row.operation.method, path, body, key=key)
        if row.about == "open":
            assert reply.status == 200
        else:
            assert reply.headers["WWW-Authenticate"].startswith("Bearer"), row
            found.add((reply.status, reply.code))
    return found


async def bad_key(scene: Scene, kind: str) -> str | None:
    """Return a key that is good for nothing."""
    store = scene.api.service.store
    good = scene.api.keys[key_of(Role.ADMIN, "all")]
    key, text = new_key(kind, Role.ADMIN, "*", now=0.0, expires_at=1.0)
    match kind:
        case "none":
            return None
        case "nonsense":
            return "hunter2"
        case "unknown":
            return text
        case "wrong":
            return good[:21] + text[21:]
        case "expired":
            await store.add_key(key)
            return text
    fresh_key = await scene.api.done(
        "POST", "/keys", {"name": "gone", "role": "admin", "tenant": "*"}
    )
    await scene.api.done("GET", "/me", key=fresh_key["secret"])
    await scene.api.done("DELETE", f"/keys/{fresh_key['key_id']}")
    return str(fresh_key["secret"])
