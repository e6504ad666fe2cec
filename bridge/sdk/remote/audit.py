"""The audit of a daemon, as far as this client has heard of it."""

from __future__ import annotations

from bridge.model.ids import CallId
from bridge.protocol.views import EventView
from bridge.runtime.audit import Audit, AuditRecord


class RemoteAudit(Audit):
    """Who did what since this client listens; the whole of it is ``GET /audit``."""

    def take(self, event: EventView) -> AuditRecord:
        """Take a record that was told; return it."""
        said = event.data
        record = AuditRecord(
            at=event.at,
            call_id=None if event.call_id is None else CallId(event.call_id),
            who=str(said.get("who", "")),
            what=str(said.get("what", "")),
            by=str(said.get("by", "")),
            result=str(said.get("result", "")),
        )
        self.keep(record)
        return record
