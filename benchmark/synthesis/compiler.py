"""The compiler: turns a sketch into the packets of one flow that keeps the rules of its protocols.

A sketch says when packets pass, which way and with how much payload. All else is decided here, from the
seed: addresses and ports, handshake, teardown, sequence numbers, options, lengths, checksums.
The rows of a sketch keep their times, directions and payloads, with these exceptions, made by the protocols:

* a payload that doesn't fit a packet of 1500 bytes is split over several packets at the row's time;
* TCP: an acknowledgement has as many SACK blocks as the rows before it can have lost and not yet repaired;
* TCP: where data would overrun the window that the receiver announced, the receiver acknowledges first;
* QUIC: a flow that doesn't open with a client datagram of 1200 bytes gets one put ahead (RFC 9000 §14.1);
* QUIC and RTP: a datagram below the protocol's smallest (21 and 12 bytes) is padded up to it, and times
  count from the first datagram.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError, nearest
from benchmark.synthesis.datagram import compile_quic, compile_rtp
from benchmark.synthesis.sketch import Endpoints, Sketch
from benchmark.synthesis.tcp import compile_tcp
from benchmark.trace import NANOSECONDS, Condition, Packets, Trace

CLIENT = (10, 0, 0, 2)
CLIENT_PREFIX = "10.0.0.2/32"
LARGEST_ROW = 65_535  # bytes: what an IP packet, or a capture's reassembled one, can hold

# Set aside for documentation (RFC 5737) and for benchmarks (RFC 2544, RFC 6890): nobody's address.
_SERVERS = ((192, 0, 2), (198, 51, 100), (203, 0, 113), (198, 18, 7), (198, 19, 7))
_COMPILERS = {"tcp": compile_tcp, "quic": compile_quic, "rtp": compile_rtp}


def compile_sketch(sketch: Sketch, seed: int, application: str = "", end: int | None = None) -> Packets:
    """Compile a sketch to packets; the same sketch, seed and application give the same bytes.

    The application only varies the endpoints. end: ns, when the teardown is over; by default it follows the
    last row at the round trip's pace, and never comes before that row.
    """
    if sketch.transport not in _COMPILERS:
        raise ConfigError(f"unknown transport {sketch.transport!r}{nearest(sketch.transport, _COMPILERS)}")
    random = np.random.default_rng([abs(int(seed)), zlib.crc32(application.encode())])
    ends = choose_endpoints(sketch.transport, random)
    return _COMPILERS[sketch.transport](_tidy(sketch), ends, random, end)


def trace_of(sketch: Sketch, condition: Condition, name: str, seed: int) -> Trace:
    """Compile a sketch to a trace of the condition's duration, teardown included; later rows are cut."""
    # One microsecond short, so that the last packet isn't rounded into the next window when stored.
    end = max(0, round(condition.duration * NANOSECONDS) - 1000)
    origin = 0 if sketch.transport == "tcp" or not len(sketch) else int(sketch.ts[0])
    kept = sketch.ts - origin <= end
    shown = replace(
        sketch, ts=sketch.ts[kept], up=sketch.up[kept], payload=sketch.payload[kept], blocks=sketch.blocks[kept]
    )  # fmt: skip
    packets = compile_sketch(shown, seed, condition.application, end)
    return Trace(name, packets, condition, CLIENT_PREFIX)


def choose_endpoints(transport: str, random: np.random.Generator) -> Endpoints:
    """Draw a server and ports: 443 for TCP and QUIC, a high port for RTP, an ephemeral one for the client."""
    network = _SERVERS[random.integers(len(_SERVERS))]
    server = (*network, int(random.integers(1, 255)))
    server_port = int(random.integers(40_000, 60_000)) if transport == "rtp" else 443
    # Linux's default ephemeral range.
    return Endpoints(CLIENT, server, int(random.integers(32_768, 61_000)), server_port)


def _tidy(sketch: Sketch) -> Sketch:
    """Return the sketch with its types fixed, times non-decreasing and from 0 on, payloads within bounds."""
    ts: NDArray[np.int64] = np.maximum.accumulate(np.maximum(np.asarray(sketch.ts, np.int64), 0))
    payload = np.clip(np.asarray(sketch.payload, np.int64), 0, LARGEST_ROW).astype(np.int32)
    return replace(
        sketch, ts=ts, up=np.asarray(sketch.up, np.bool_), payload=payload, round_trip=max(1, int(sketch.round_trip))
    )  # fmt: skip
