"""The demonstration's phones: they say a tone, and record what they hear."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.lab.asterisk import InstanceInfo
from bridge.lab.demo.ears import PhoneEar
from bridge.lab.demo.settings import RATE, SENT_DBFS
from bridge.lab.phones import Behaviour, Codec, Phone, PhoneSettings, Tone, start_phone


@asynccontextmanager
async def handset(
    info: InstanceInfo,
    number: str,
    codec: Codec,
    *,
    hz: float,
    record: Path,
    silent: bool = False,
    answer: Behaviour = Behaviour.ANSWER,
) -> AsyncIterator[tuple[Phone, PhoneEar]]:
    """Start a phone that says ``hz``, or sends nothing at all, and stop it at the end.

    Raises PhoneError.
    """
    password = next(a.password for a in info.accounts if a.number == number)
    phone = await start_phone(
        PhoneSettings(
            number=number,
            password=password,
            host=info.sip.host,
            port=info.sip.port,
            codec=codec,
            answer=answer,
            source=Tone(hz, SENT_DBFS),
            silence_suppression=silent,
            record=record,
            sample_rate_hz=RATE,
        )
    )
    try:
        if silent:
            await phone.mute(on=True)
        yield phone, PhoneEar(phone, record, RATE)
    finally:
        await phone.stop()
