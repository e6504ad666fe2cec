"""Loaded by schemathesis: lets it ask about what there is, and not wait for hours.

Environment: API_URL, API_KEY (one that sees everything).
"""

from __future__ import annotations

import json
import os
import random
import re
import time
import urllib.request
from typing import Any, Final

import schemathesis

URL: Final = os.environ["API_URL"]
KEY: Final = os.environ["API_KEY"]
SHORT: Final = {
    "ring_time_seconds": 1,
    "timeout_seconds": 0.05,
    "between_seconds": 0.05,
    "accept_seconds": 0.05,
    "announce_every_seconds": 60.0,
    "after_audio": 0,
}
"""Lengths of time, by the name of the field: no request takes longer than a moment."""
LISTS: Final = {"webhook_id": "webhooks", "key_id": "keys", "recording_id": "recordings"}
FRESH_SECONDS: Final = 0.2
VISIBLE: Final = re.compile("[!-~]+")
ASTERISKS: Final = (502, 503, 504)

_chance: Final = random.Random(5)


_shown: Final[dict[str, tuple[float, Any]]] = {}


def shown(path: str) -> Any:
    """Ask for what there is, or was a moment ago."""
    at, known = _shown.get(path, (float("-inf"), None))
    if time.monotonic() - at < FRESH_SECONDS:
        return known
    request = urllib.request.Request(  # noqa: S310 - of this machine
        f"{URL}/api/v1/{path}", headers={"Authorization": f"Bearer {KEY}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - see above
        _shown[path] = time.monotonic(), json.load(answer)
    return _shown[path][1]


def there(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return path parameters that name what there is, as far as there is any."""
    found: dict[str, Any] = {}
    for name, listed in LISTS.items():
        if name in parameters and (items := shown(listed)["items"]):
            found[name] = _chance.choice(items)[name]
    if "call_id" in parameters and (calls := shown("calls")["items"]):
        call = _chance.choice(calls)
        found["call_id"] = call["call_id"]
        inside = {
            "party": [party["name"] for party in call["parties"]],
            "observer": [observer["name"] for observer in call["observers"]],
            "transfer_id": [call["transfer"]["transfer_id"]] if call["transfer"] else [],
        }
        for name, known in inside.items():
            if name in parameters and known:
                found[name] = _chance.choice(known)
    return found


def shorten(value: object) -> None:
    """Make every length of time in a body short, where it is one."""
    if not isinstance(value, dict):
        return
    for name, short in SHORT.items():
        if isinstance(value.get(name), int | float) and value[name] > short:
            value[name] = short
    if "max_digits" in value:
        value.setdefault("timeout_seconds", SHORT["timeout_seconds"])


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:  # noqa: ARG001 - theirs
    """Change a request before it is sent."""
    if case.path_parameters and _chance.random() < 0.8:
        case.path_parameters.update(there(case.path_parameters))
    shorten(case.body)
    shorten(case.query)
    if isinstance(case.body, dict) and str(case.body.get("url", "")).startswith("http"):
        # Nobody's name is looked up; nobody listens there.
        case.body["url"] = "http://127.0.0.1:9/"
    key = (case.headers or {}).get("Idempotency-Key")
    if key and VISIBLE.fullmatch(key) and _chance.random() < 0.9:
        # What is generated is mostly the same key, and so most would be refused as used.
        case.headers["Idempotency-Key"] = f"{_chance.getrandbits(64):x}"


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:  # noqa: ARG001
    """Leave out what tells Asterisk's failure, as the document says that it may be told."""
    kind = (response.headers.get("content-type") or [""])[0]
    problem = kind.startswith("application/problem+json")
    asterisks = response.status_code in ASTERISKS and problem
    return not (asterisks and type(failure).__name__ == "ServerError")
