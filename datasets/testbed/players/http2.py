"""One HTTP/2 connection over TLS, for a client with a single thread: h2 for the protocol, OpenSSL for the rest.

``receive`` waits inside OpenSSL until a whole TLS record is there, so that Python wakes once for 16 kB, not for each
packet, while the kernel's acknowledgements stay those of a client that reads at once. (httpx's synchronous client
breaks when two threads share its connection, and its asynchronous one wakes for each packet.) Windows are Chromium's:
6 MiB a stream, 15 MiB a connection, so that congestion control, not the client, limits the rate.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

STREAM_WINDOW = 6 << 20
CONNECTION_WINDOW = 15 << 20
READ = 1 << 16


class ConnectionBroken(Exception):
    """The connection, and all that was asked for over it, is lost."""


@dataclass(frozen=True)
class Piece:
    """News of a stream: bytes that came, whether they were the last, and why it failed if it did."""

    stream: int
    size: int = 0
    ended: bool = False
    failure: str = ""


class Connection:
    """A connection to ``host`` at an address, its certificate pinned; ``patience`` limits connecting, s."""

    def __init__(self, address: str, port: int, host: str, certificate: str, patience: float) -> None:
        context = ssl.create_default_context(cafile=certificate)
        context.set_alpn_protocols(["h2"])
        try:
            plain = socket.create_connection((address, port), timeout=patience)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = context.wrap_socket(plain, server_hostname=host)
        except OSError as error:
            raise ConnectionBroken(f"{type(error).__name__}: {error}") from error
        self.protocol = self._socket.selected_alpn_protocol() or ""
        if self.protocol != "h2":
            raise ConnectionBroken(f"the server speaks '{self.protocol}', not h2")
        self._host = host
        self._state = H2Connection(H2Configuration(client_side=True))
        wanted = {SettingCodes.ENABLE_PUSH: 0, SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW}
        self._state.local_settings = Settings(client=True, initial_values=wanted)
        self._state.initiate_connection()
        self._state.increment_flow_control_window(CONNECTION_WINDOW - 65_535)
        self._send()

    def get(self, path: str) -> int:
        """Ask for a file; return its stream. Raises ConnectionBroken."""
        stream = self._state.get_next_available_stream_id()
        headers = [
            (":method", "GET"),
            (":authority", self._host),
            (":scheme", "https"),
            (":path", path),
            ("accept", "*/*"),
            ("accept-encoding", "identity"),
            ("user-agent", "light"),
        ]
        try:
            self._state.send_headers(stream, headers, end_stream=True)
        except ProtocolError as error:
            raise ConnectionBroken(f"{type(error).__name__}: {error}") from error
        self._send()
        return stream

    def receive(self, timeout: float) -> list[Piece]:
        """Wait for news, at most ``timeout`` s; return them, none if none came. Raises ConnectionBroken."""
        self._socket.settimeout(max(timeout, 1e-3))
        try:
            data = self._socket.recv(READ)
        except TimeoutError:
            return []
        except OSError as error:
            raise ConnectionBroken(f"{type(error).__name__}: {error}") from error
        if not data:
            raise ConnectionBroken("the server closed the connection")
        pieces = []
        try:
            for event in self._state.receive_data(data):
                if isinstance(event, DataReceived):
                    self._state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    pieces.append(Piece(event.stream_id, len(event.data)))
                elif isinstance(event, ResponseReceived):
                    status = dict(event.headers)[b":status"]
                    if status != b"200":
                        pieces.append(Piece(event.stream_id, failure=f"status {status.decode('ascii', 'replace')}"))
                elif isinstance(event, StreamReset):
                    pieces.append(Piece(event.stream_id, failure=f"reset by the server ({event.error_code})"))
                elif isinstance(event, StreamEnded):
                    pieces.append(Piece(event.stream_id, ended=True))
                elif isinstance(event, ConnectionTerminated):
                    raise ConnectionBroken(f"the server ended the connection ({event.error_code})")
        except ProtocolError as error:
            raise ConnectionBroken(f"{type(error).__name__}: {error}") from error
        self._send()
        return pieces

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self) -> None:
        # What a player says is small: it fits into the socket's buffer unless the connection is dead.
        try:
            self._socket.settimeout(10.0)
            self._socket.sendall(self._state.data_to_send())
        except OSError as error:
            raise ConnectionBroken(f"{type(error).__name__}: {error}") from error
