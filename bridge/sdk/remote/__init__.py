"""The SDK by URL: the same classes, whose calls are at a daemon (``callbridge serve``).

``Client(url=…, key=…)`` is a RemoteClient, which hands out RemoteCall, RemoteObserver,
RemoteTransfer and RemoteRecording. Commands are the operations of ``bridge.protocol.operations``
over HTTP; what happens comes over WebSockets (``bridge.protocol.frames``), and so does the audio.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.sdk.remote.client import RemoteClient
else:
    from bridge.lazy import lazily

    __getattr__ = lazily(__name__, {"RemoteClient": "bridge.sdk.remote.client:RemoteClient"})

__all__ = ["RemoteClient"]
