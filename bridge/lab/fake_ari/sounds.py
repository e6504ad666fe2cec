"""What the fake server plays: sounds and tones, to channels and bridges."""

from __future__ import annotations

import uuid
from collections import deque
from typing import TYPE_CHECKING, Final

from bridge.lab.fake_ari.objects import FakeChannel, FakePlayback, Json, Refusal

if TYPE_CHECKING:
    from bridge.lab.fake_ari.world import World

LENGTHS: Final = {"sound:beep": 0.42, "sound:silence/1": 1.0}
"""Seconds of the sounds that every installation has."""


ENDED: Final = {"done", "failed"}


class Sounds:
    """Playbacks: each channel plays one after the other."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.lengths: dict[str, float] = dict(LENGTHS)
        """Seconds that media plays; a sound that is not here does not exist."""

    def play_to_channel(self, identity: str, media: str, playback_id: str) -> Json:
        """Play to a channel, behind what it plays already."""
        channel = self._world.stasis_channel(identity)
        playback = self._made(f"channel:{identity}", media, playback_id)
        channel.playbacks.append(playback)
        answer = playback.json()
        if len(channel.playbacks) == 1:
            self._world.later(0.0, lambda: self._next_of(channel, playback))
        return answer

    def play_to_bridge(self, identity: str, media: str, playback_id: str) -> Json:
        """Play to all that are in a bridge."""
        bridge = self._world.bridging.own(identity)
        playback = self._made(f"bridge:{identity}", media, playback_id)
        answer = playback.json()
        self._world.later(0.0, lambda: self._next_of(None, playback))
        bridge.playback = playback
        return answer

    def get(self, playback_id: str) -> FakePlayback:
        """Return a playback or refuse with 404."""
        found = self._world.playbacks.get(playback_id)
        if found is None:
            raise Refusal(404, "Playback not found")
        return found

    def stop(self, playback_id: str) -> None:
        """Stop a playback."""
        playback = self.get(playback_id)
        kind, _, identity = playback.target_uri.partition(":")
        channel = self._world.channels.get(identity) if kind == "channel" else None
        self._finish(channel, playback, "done")

    def channel_gone(self, channel: FakeChannel) -> None:
        """End what plays to a channel that is going."""
        playbacks, channel.playbacks = channel.playbacks, deque()
        for playback in playbacks:
            if playback.state == "playing":
                self._finish(None, playback, "failed")
            else:
                playback.state = "failed"
                self._world.playbacks.pop(playback.id, None)

    def _made(self, target: str, media: str, playback_id: str) -> FakePlayback:
        if not media:
            raise Refusal(500, "Failed to queue media for playback")
        items = deque(media.split(","))
        playback = FakePlayback(playback_id or str(uuid.uuid4()), target, items)
        playback.current = items.popleft()
        self._world.playbacks[playback.id] = playback
        return playback

    def _next_of(self, channel: FakeChannel | None, playback: FakePlayback) -> None:
        """Begin with the current media of a playback."""
        if playback.state in ENDED:
            return
        playback.state = "playing"
        self._tell("PlaybackStarted", playback)
        media = playback.current
        if media in self.lengths:
            self._world.later(self.lengths[media], lambda: self._played(channel, playback))
        elif not media.startswith("tone:"):
            # A tone goes on until it is stopped, even one that is heard but once (main/app.c).
            self._world.later(0.0, lambda: self._finish(channel, playback, "failed"))

    def _played(self, channel: FakeChannel | None, playback: FakePlayback) -> None:
        if playback.state in ENDED:
            return
        if not playback.media:
            self._finish(channel, playback, "done")
            return
        playback.state = "continuing"
        self._tell("PlaybackContinuing", playback)
        playback.current = playback.media.popleft()
        self._next_of(channel, playback)

    def _finish(self, channel: FakeChannel | None, playback: FakePlayback, state: str) -> None:
        if playback.state in ENDED:
            return
        self._world.playbacks.pop(playback.id, None)
        playback.state = state
        self._tell("PlaybackFinished", playback)
        if channel is not None and playback in channel.playbacks:
            was_first = channel.playbacks[0] is playback
            channel.playbacks.remove(playback)
            if was_first and channel.playbacks:
                self._next_of(channel, channel.playbacks[0])

    def _tell(self, kind: str, playback: FakePlayback) -> None:
        target, _, identity = playback.target_uri.partition(":")
        event: Json = {"type": kind, "playback": playback.json()}
        if target == "channel":
            self._world.applications.publish(event, (identity,))
        else:
            self._world.applications.publish(event, (), identity)
