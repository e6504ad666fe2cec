"""The tables. Every change of them is a migration: see ``bridge/store/migrations``.

Times are seconds since 1970. JSON stands in columns of text: what was written is given back byte
for byte, whatever the database makes of numbers.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import BigInteger, Boolean, Double, Index, Integer, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
_Serial = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts rows by itself in a column of type INTEGER alone."""
_GROWING = {"sqlite_autoincrement": True}
"""A row's number is never given out again, so that a cursor stays where it was."""


class Base(DeclarativeBase):
    """Base of the tables."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        float: Double,
        int: BigInteger,
        bool: Boolean,
    }


class Spools(Base):
    """How far each daemon's spool is stored: written in the same transaction as the records."""

    __tablename__ = "spools"
    spool_id: Mapped[str] = mapped_column(primary_key=True)
    stored: Mapped[int]


class Calls(Base):
    """Call detail records."""

    __tablename__ = "calls"
    __table_args__ = (Index(None, "began_at", "call_id"), Index(None, "tenant", "began_at"))
    call_id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    queue: Mapped[str]
    caller_number: Mapped[str] = mapped_column(index=True)
    callee_number: Mapped[str] = mapped_column(index=True)
    direction: Mapped[str]
    program: Mapped[str]
    began_at: Mapped[float]
    answered_at: Mapped[float | None]
    connected_at: Mapped[float | None]
    ended_at: Mapped[float | None] = mapped_column(index=True)
    end_reason: Mapped[str | None]
    talk_seconds: Mapped[float]
    spool_id: Mapped[str]
    """Whose daemon wrote it last."""


class Events(Base):
    """What happened. ``body``: the whole EventView."""

    __tablename__ = "events"
    __table_args__ = (Index("uq_events_epoch_seq", "epoch", "seq", unique=True), _GROWING)
    row_id: Mapped[int] = mapped_column(_Serial, primary_key=True, autoincrement=True)
    epoch: Mapped[str]
    seq: Mapped[int]
    at: Mapped[float] = mapped_column(index=True)
    type: Mapped[str]
    call_id: Mapped[str | None] = mapped_column(index=True)
    tenant: Mapped[str]
    queue: Mapped[str]
    body: Mapped[str]


class Notes(Base):
    """What somebody wrote about a call."""

    __tablename__ = "notes"
    __table_args__ = (Index(None, "call_id", "at"),)
    note_id: Mapped[str] = mapped_column(primary_key=True)
    call_id: Mapped[str]
    at: Mapped[float] = mapped_column(index=True)
    by: Mapped[str]
    text: Mapped[str]


class Contexts(Base):
    """What a program saved about a call. ``body``: the values, a JSON object."""

    __tablename__ = "contexts"
    call_id: Mapped[str] = mapped_column(primary_key=True)
    saved_at: Mapped[float] = mapped_column(index=True)
    body: Mapped[str]


class AuditLog(Base):
    """Who did what. ``spool_id`` and ``serial`` name the record."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("uq_audit_spool_id_serial", "spool_id", "serial", unique=True),
        _GROWING,
    )
    row_id: Mapped[int] = mapped_column(_Serial, primary_key=True, autoincrement=True)
    spool_id: Mapped[str]
    serial: Mapped[int]
    at: Mapped[float] = mapped_column(index=True)
    call_id: Mapped[str | None] = mapped_column(index=True)
    who: Mapped[str]
    what: Mapped[str]
    by: Mapped[str]
    result: Mapped[str]
    tenant: Mapped[str]


class Keys(Base):
    """API keys. ``digest``: of the secret. ``queues``: a JSON list."""

    __tablename__ = "keys"
    key_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[str]
    tenant: Mapped[str]
    queues: Mapped[str]
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    revoked: Mapped[bool]
    digest: Mapped[str]


class Webhooks(Base):
    """Where events are sent. ``events``: a JSON list."""

    __tablename__ = "webhooks"
    webhook_id: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    secret: Mapped[str]
    events: Mapped[str]
    tenant: Mapped[str]
    active: Mapped[bool]
    created_at: Mapped[float]


class Deliveries(Base):
    """Events on their way to webhooks. ``row_id`` is their order, ``spool_id`` who sends them."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index(None, "webhook_id", "state", "row_id"),
        Index(None, "webhook_id", "call_id", "state", "row_id"),
        Index(None, "spool_id", "state", "next_at"),
        _GROWING,
    )
    row_id: Mapped[int] = mapped_column(_Serial, primary_key=True, autoincrement=True)
    delivery_id: Mapped[str] = mapped_column(unique=True)
    webhook_id: Mapped[str]
    spool_id: Mapped[str]
    event_type: Mapped[str]
    call_id: Mapped[str | None]
    created_at: Mapped[float] = mapped_column(index=True)
    body: Mapped[str]
    state: Mapped[str]
    attempts: Mapped[int]
    next_at: Mapped[float | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str]
