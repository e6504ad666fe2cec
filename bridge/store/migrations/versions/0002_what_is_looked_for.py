"""Indexes for what is looked for: who is first in line, what is old, what has no end yet."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the indexes."""
    # Without it, each delivery that waits is compared with all that wait for the same webhook.
    op.create_index(
        "ix_deliveries_webhook_id_call_id_state_row_id",
        "deliveries",
        ["webhook_id", "call_id", "state", "row_id"],
    )
    op.create_index("ix_deliveries_created_at", "deliveries", ["created_at"])
    op.create_index("ix_calls_ended_at", "calls", ["ended_at"])
    op.create_index("ix_notes_at", "notes", ["at"])
    op.create_index("ix_contexts_saved_at", "contexts", ["saved_at"])
