"""A session: one labelled capture to be made, as a plan asks for it. Everything random in it is drawn already."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

CLIENT_ADDRESS = "10.77.0.2"
SERVER_ADDRESS = "10.77.0.1"
HOST = "video.test"
CROSS_PORT = 8443  # of the server, for the traffic of others
HEIGHTS = (144, 240, 360, 480, 720, 1080)

KINDS = ("streaming", "call")
CLIENTS = ("light", "chromium", "aiortc")
PROTOCOLS = ("h2", "h3", "webrtc")
ADAPTATIONS = ("rate", "buffer", "shaka", "none")
CONGESTIONS = ("cubic", "bbr")
CROSS_TRAFFIC = ("none", "web", "bulk")
BACKENDS = ("relay", "netem")


@dataclass(frozen=True)
class Link:
    """An access link between client and server.

    down: (second since the session began, Mbit/s) steps, the first at 0; 0 Mbit/s is an outage: the queue holds.
    up: Mbit/s. delay: one way, each direction, ms. queue: how much each direction holds, ms at the rate of
    the moment the packet arrives, never less than ``QUEUE_FLOOR`` bytes. loss: share lost at random, each direction.
    """

    down: tuple[tuple[float, float], ...]
    up: float = 5.0
    delay: float = 20.0
    queue: float = 150.0
    loss: float = 0.0
    seed: int = 0
    backend: str = "relay"


@dataclass(frozen=True)
class Session:
    """One session.

    adaptation: how the player picks a rung; "shaka" is shaka-player's own, "none" a call's. congestion: TCP's, on the
    server (QUIC's and a call's own are their software's). clip: the film. offset: where in it playback starts, s.
    duration: seconds captured from the first packet. buffer: the player's buffer goal, s. cross: traffic of others
    over the same link. codec: of a call, "VP8" or "H264". height: of a call's camera, lines.
    """

    name: str
    kind: str
    client: str
    protocol: str
    link: Link
    adaptation: str = "rate"
    congestion: str = "cubic"
    clip: str = ""
    offset: float = 0.0
    duration: float = 60.0
    buffer: float = 30.0
    cross: str = "none"
    codec: str = ""
    height: int = 360
    seed: int = 0
    notes: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)
