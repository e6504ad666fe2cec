"""Which recordings there are, in order, by whose they are."""

from __future__ import annotations

import random

from bridge.api.archive_index import ArchiveIndex, InCall, Key, Scope

SCOPES = (Scope("acme", "sales"), Scope("acme", "support"), Scope("other", ""))


def listed(index: ArchiveIndex) -> list[Key]:
    return list(index.newest_first(lambda _tenant, _queue: True, None))


def test_it_knows_what_was_put_last_and_is_not_forgotten() -> None:
    """Calls without recordings come and go, too: one whose first recording is just beginning."""
    dice = random.Random(1)
    index, known = ArchiveIndex(), dict[str, InCall]()
    for step in range(2000):
        if dice.random() < 0.4:
            gone = f"call{dice.randrange(6)}"
            index.forget(gone)
            known.pop(gone, None)
        else:
            found = {
                call_id: InCall(
                    dice.choice(SCOPES),
                    tuple(
                        (float(step), f"{call_id}-{number}") for number in range(dice.randrange(3))
                    ),
                )
                for call_id in {f"call{dice.randrange(6)}" for _ in range(3)}
            }
            index.put(found)
            known |= found
        keys = [key for call in known.values() for key in call.keys]
        assert listed(index) == sorted(keys, reverse=True)
        assert index.calls == known.keys()
