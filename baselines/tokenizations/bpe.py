"""BPE: Hugging Face ``tokenizers`` merges over header bytes, trained on the training split; a clock token a packet.

Source: Sennrich et al., arXiv 1508.07909, over bytes as in Wang et al., arXiv 1909.03341. A packet is what a word is
to text, so no token crosses packets; merges are learnt from ``packets`` training packets, evenly spread.

Exact: the number and order of packets, every captured byte up to ``slot``; times as the clock's tokens say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from baselines.parts.packet_clock import PacketClock, common_client, told_lengths
from baselines.tokenizations.bytes import LARGEST_SLOT, decoded, mark_places
from benchmark.capture.gather import gather
from benchmark.errors import ConfigError
from benchmark.method import Grammar, IntArray, Vocabulary
from benchmark.trace import Packets, Trace

END, FIRST_CLOCK = 0, 1
_LETTER = 0x100  # a byte's letter is the code point this far above it: all are letters, none a space or a control
_MOST_TOKENS = 4096  # of the vocabulary: the table of pairs takes its square, eight bytes each
_AT_ONCE = 4096  # packets encoded together


def build(options: Mapping[str, Any]) -> Bpe:
    """Build the tokenization.

    Options: ``size``, tokens beside the clock's, 256 bytes included; ``packets``, training packets that merges are
    learnt from; ``slot``, most bytes of a packet; ``timing`` and ``per_decade``, see ``PacketClock``;
    ``most_tokens``, at which a generator cuts a trace, in training and in sampling.
    """
    return Bpe(**options)


class Bpe:
    """See the module."""

    whole = True  # all packets of a trace are tokenized, not those of one flow alone

    def __init__(
        self,
        size: int = 1024,
        packets: int = 20_000,
        slot: int = 128,
        timing: str = "gaps",
        per_decade: int = 48,
        most_tokens: int = 65_536,
    ) -> None:
        if not 256 <= size <= _MOST_TOKENS:
            raise ConfigError(f"bpe: size must be from 256 to {_MOST_TOKENS}, not {size}")
        if not 1 <= slot <= LARGEST_SLOT:
            raise ConfigError(f"bpe: slot must be from 1 to {LARGEST_SLOT}, not {slot}")
        self._size, self._packets, self._slot = size, packets, slot
        self.most_tokens = most_tokens
        self._clock = PacketClock(timing, per_decade)
        self._first = FIRST_CLOCK + len(self._clock)
        self._client = ""
        letters = {chr(_LETTER + value): value for value in range(256)}
        self._take(Tokenizer(BPE(letters, [])))
        self._seen = np.ones((slot, 256), np.bool_)
        self._sizes = np.ones(slot + 1, np.bool_)

    @property
    def vocabulary(self) -> Vocabulary:
        """The end, the clock's tokens, then strings of bytes in hexadecimal digits."""
        spelt = (self._bytes[a:b].tobytes().hex() for a, b in pairwise(self._starts))
        return Vocabulary(("end", *self._clock.names(), *spelt))

    @property
    def loses(self) -> tuple[str, ...]:
        """What doesn't come back."""
        return (
            f"captured bytes beyond the first {self._slot} of a packet",
            "a packet's length where its IP header tells another",
            "the link type",
            self._clock.loses,
        )

    @property
    def advance(self) -> NDArray[np.float64]:
        """Seconds that each token stands for."""
        return np.concatenate([[0.0], self._clock.advance, np.zeros(len(self._starts) - 1)])

    def fit(self, traces: Sequence[Trace], seed: int) -> None:
        """Learn the gaps, the client's prefix, the merges, and which bytes and sizes occur where."""
        self._clock.fit(traces)
        self._client = common_client(traces)
        total = sum(len(trace.packets) for trace in traces)
        if not total:
            return
        step = max(1, total // max(1, self._packets))
        tokenizer = Tokenizer(BPE())
        letters = [chr(_LETTER + value) for value in range(256)]
        trainer = BpeTrainer(vocab_size=self._size, initial_alphabet=letters, show_progress=False)
        tokenizer.train_from_iterator(self._words(traces, step), trainer)
        self._take(tokenizer)
        self._seen[:], self._sizes[:] = False, False
        for trace in traces:
            data, offsets = self._cut(trace.packets)
            mark_places(data, offsets, self._seen, self._sizes)

    def encode(self, trace: Trace) -> IntArray:
        """Return the token numbers of a trace, int64 [tokens]."""
        clock = FIRST_CLOCK + self._clock.encode(trace.packets.ts)
        data, offsets = self._cut(trace.packets)
        tokens = np.empty(len(data) + len(clock) + 1, np.int64)
        size = _merge(data, offsets, clock, self._letters, self._merged, self._first, tokens)
        tokens[size] = END
        return tokens[: size + 1].copy()

    def decode(self, tokens: IntArray) -> Trace:
        """Return the trace that the tokens describe, whatever they are; what stands ahead of a packet is skipped."""
        tokens = np.asarray(tokens, np.int64)
        opens = (tokens >= FIRST_CLOCK) & (tokens < self._first)
        owner = np.cumsum(opens) - 1
        held = (tokens >= self._first) & (owner >= 0)
        numbers = tokens[held] - self._first
        widths = np.diff(self._starts)[numbers]
        whole, _ = gather(self._bytes, self._starts[numbers], widths)
        sizes = np.bincount(owner[held], widths, minlength=int(opens.sum())).astype(np.int64)
        all_offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        data, offsets = gather(whole, all_offsets[:-1], np.minimum(sizes, self._slot))
        ts = self._clock.decode(tokens[opens] - FIRST_CLOCK)
        packets = Packets(ts, told_lengths(data, offsets), data, offsets)
        return decoded(Packets(self._clock.pace(packets), packets.length, data, offsets), self._client)

    def grammar(self) -> Grammar:
        """Legal sequences: a clock token, then strings whose bytes training has shown at their places.

        State 0 stands ahead of all packets; state 1 + p has p bytes of a packet, which ends where one in training did.
        """
        slot, widths = self._slot, np.diff(self._starts)
        count = len(widths)
        fits = np.arange(slot + 1)[:, None] + widths <= slot
        seen = np.concatenate([self._seen, np.zeros((1 + int(widths.max()), 256), np.bool_)])
        for k in range(int(widths.max())):
            longer = np.flatnonzero(widths > k)
            fits[:, longer] &= seen[k : slot + 1 + k, self._bytes[self._starts[:-1][longer] + k]]
        legal = np.zeros((slot + 3, self._first + count), np.bool_)
        following = np.zeros(legal.shape, np.int32)
        legal[1:-1, self._first :] = fits
        following[1:-1, self._first :] = np.where(fits, 1 + np.arange(slot + 1)[:, None] + widths, 0)
        legal[0, END], legal[0, FIRST_CLOCK : self._first] = True, self._clock.seen
        legal[1:-1, END] = self._sizes
        legal[1:-1, FIRST_CLOCK : self._first] = self._sizes[:, None] & self._clock.seen
        following[:, FIRST_CLOCK : self._first] = 1
        following[:, END] = slot + 2
        return Grammar(legal, following)

    def save(self, folder: Path) -> None:
        """Write what was learnt."""
        folder.mkdir(parents=True, exist_ok=True)
        facts = {
            "client": self._client,
            "clock": self._clock.facts(),
            "sizes": np.flatnonzero(self._sizes).tolist(),
            "seen": [np.flatnonzero(row).tolist() for row in self._seen],
            "tokenizer": json.loads(self._tokenizer.to_str()),
        }
        (folder / "bpe.json").write_text(json.dumps(facts))

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        facts = json.loads((folder / "bpe.json").read_text())
        self._client = str(facts["client"])
        self._clock.recall(facts["clock"])
        self._sizes[:], self._seen[:] = False, False
        self._sizes[facts["sizes"]] = True
        for row, values in zip(self._seen, facts["seen"], strict=True):
            row[values] = True
        self._take(Tokenizer.from_str(json.dumps(facts["tokenizer"])))

    def _take(self, tokenizer: Tokenizer) -> None:
        """Use a tokenizer; keep its tokens' bytes, one behind the other."""
        self._tokenizer = tokenizer
        strings = sorted(tokenizer.get_vocab().items(), key=lambda item: int(item[1]))
        letters = [[ord(letter) - _LETTER for letter in string] for string, _ in strings]
        self._bytes = np.array([value for string in letters for value in string], np.uint8)
        self._starts = np.concatenate([[0], np.cumsum([len(string) for string in letters])]).astype(np.int64)
        numbers = dict(strings)
        self._letters = np.array([numbers[chr(_LETTER + value)] for value in range(256)], np.int64)
        # The merge of a pair and its rank, so that encoding is one compiled pass; -1 where there is none.
        self._merged = np.full((len(strings), len(strings), 2), -1, np.int32)
        for rank, (first, second) in enumerate(json.loads(tokenizer.to_str())["model"]["merges"]):
            self._merged[numbers[first], numbers[second]] = rank, numbers[first + second]

    def _cut(self, packets: Packets) -> tuple[NDArray[np.uint8], IntArray]:
        """Return the bytes of every packet, at most a slot of each, and their offsets."""
        return gather(packets.data, packets.offsets[:-1], np.minimum(packets.captured, self._slot))

    def _batches(self, packets: Packets, step: int = 1) -> Iterator[list[str]]:
        """Yield every ``step``th packet as a word of letters, many at once."""
        for start in range(0, len(packets), _AT_ONCE * step):
            data, offsets = self._cut(packets.take(slice(start, start + _AT_ONCE * step, step)))
            text = (data.astype(np.uint32) + _LETTER).astype("<u4").tobytes().decode("utf-32-le")
            edges = offsets.tolist()
            yield [text[a:b] for a, b in pairwise(edges)]

    def _words(self, traces: Sequence[Trace], step: int) -> Iterator[list[str]]:
        for trace in traces:
            yield from self._batches(trace.packets, step)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _merge(data: Any, offsets: Any, clock: Any, letters: Any, merged: Any, first: int, tokens: Any) -> int:
    """Write each packet's clock token and strings; the earliest learnt pair merges first, leftmost of these."""
    at = 0
    for i in range(len(clock)):
        tokens[at] = clock[i]
        begin = at + 1
        size = offsets[i + 1] - offsets[i]
        for k in range(size):
            tokens[begin + k] = letters[data[offsets[i] + k]]
        while True:
            best, place = np.int32(2147483647), -1
            for k in range(size - 1):
                rank = merged[tokens[begin + k], tokens[begin + k + 1], 0]
                if 0 <= rank < best:
                    best, place = rank, k
            if place < 0:
                break
            tokens[begin + place] = merged[tokens[begin + place], tokens[begin + place + 1], 1]
            for k in range(place + 1, size - 1):
                tokens[begin + k] = tokens[begin + k + 1]
            size -= 1
        for k in range(size):
            tokens[begin + k] += first
        at = begin + size
    return at
