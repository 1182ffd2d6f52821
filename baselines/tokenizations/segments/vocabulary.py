"""The tokens of a fitted tokenization: their numbers, names and meanings, and in which order they may come."""

from __future__ import annotations

import numpy as np

from baselines.parts.learnt_symbols import LARGEST_PAYLOAD, PacketSymbols
from baselines.parts.sketches import REQUEST_BYTES, TCP_REQUEST_BYTES, TRANSPORTS
from baselines.tokenizations.segments.alphabet import (
    CYCLE,
    CYCLES,
    DATA,
    END,
    OPEN_LATER,
    OPEN_NOW,
    QUIET,
    RATE,
    RATES,
    REQUEST,
    RTP,
    SHORT,
    SIZE,
    SIZES,
    TRANSPORT,
    TRIP,
    TRIPS,
)
from baselines.tokenizations.segments.playing import Lexicon
from benchmark.method import Grammar, IntArray

# Kinds of tokens ahead of the packets', how many there are of each, in order.
_AHEAD = ((END, 1), (TRANSPORT, len(TRANSPORTS)), (TRIP, TRIPS), (SIZE, SIZES), (RATE, RATES), (CYCLE, CYCLES))


def name_tokens(plain: PacketSymbols, opening: PacketSymbols) -> tuple[str, ...]:
    """Return the names of all tokens; plain: symbols of packets that open nothing, opening: of those that do."""
    return (
        "end",
        *(f"transport {name}" for name in TRANSPORTS),
        *(f"round trip {k}" for k in range(TRIPS)),
        *(f"size {k}" for k in range(SIZES)),
        *(f"rate {k}" for k in range(RATES)),
        *(f"wait {k}" for k in range(CYCLES)),
        *plain.names(),
        *(f"open {name}" for name in opening.names()),
        *(f"open later {opening.low[c]}" for c in range(len(opening.up))),
    )


def first_tokens(plain: PacketSymbols, opening: PacketSymbols) -> dict[int, int]:
    """Return the first token of each kind; QUIET's is that of all packets that open nothing."""
    sizes = [*_AHEAD, (QUIET, len(plain)), (OPEN_NOW, len(opening)), (OPEN_LATER, 0)]
    starts = np.cumsum([0, *(size for _, size in sizes)])
    return {kind: int(at) for (kind, _), at in zip(sizes, starts, strict=False)}


def make_lexicon(plain: PacketSymbols, opening: PacketSymbols) -> Lexicon:
    """Return what each token is. A request that waited has no gap of its own: its header says when it comes."""
    asking = np.where(plain.high <= REQUEST_BYTES, SHORT, REQUEST)
    bare = (plain.high <= TCP_REQUEST_BYTES) | (plain.low > LARGEST_PAYLOAD)
    quiet = np.where(plain.up, bare, plain.high <= 1)
    packet = np.where(quiet, QUIET, np.where(plain.up, asking, DATA))
    later = len(opening.up)
    ahead = np.concatenate([np.full(size, kind) for kind, size in _AHEAD])
    nothing = np.zeros((len(ahead), plain.gaps.shape[1]))
    kinds = np.concatenate([ahead, packet[plain.classes], np.full(len(opening), OPEN_NOW), np.full(later, OPEN_LATER)])
    places = [*(np.arange(size) for _, size in _AHEAD), np.zeros(len(kinds) - len(ahead), np.int64)]
    up = [np.zeros(len(ahead), bool), plain.up[plain.classes], np.ones(len(opening) + later, bool)]
    return Lexicon(
        kinds.astype(np.int64),
        np.concatenate(places).astype(np.int64),
        np.concatenate(up),
        np.concatenate([nothing, plain.gaps, opening.gaps, np.zeros((later, plain.gaps.shape[1]))]),
        np.concatenate([nothing, plain.sizes[plain.classes], opening.sizes[opening.classes], opening.sizes]),
    )


def make_grammar(kinds: IntArray) -> Grammar:
    """Legal sequences: for each transport, packets after headers, headers after requests (or seconds)."""
    first, last, per = 0, 1, 5
    legal = np.zeros((2 + (per + 1) * len(TRANSPORTS), len(kinds)), np.bool_)
    following = np.zeros(legal.shape, np.int32)
    transports = np.flatnonzero(kinds == TRANSPORT)
    for way, token in enumerate(transports):
        trip, ready, sized, rated, inside, opened = (2 + way * (per + 1) + k for k in range(per + 1))
        legal[first, token], following[first, token] = True, trip
        rules = {
            trip: {TRIP: ready},
            ready: {SIZE: sized},
            opened: {SIZE: sized},
            sized: {RATE: rated},
            rated: {CYCLE: inside},
            inside: {QUIET: inside, SHORT: inside, REQUEST: inside, DATA: inside},
        }
        for at in (ready, inside, opened):
            rules[at][END] = last
        if way == RTP:
            rules[inside][SIZE] = sized
        else:
            for at in (ready, inside):
                rules[at] |= {OPEN_NOW: opened, OPEN_LATER: opened}
        for at, moves in rules.items():
            for kind, to in moves.items():
                legal[at, kinds == kind] = True
                following[at, kinds == kind] = to
    return Grammar(legal, following, first)
