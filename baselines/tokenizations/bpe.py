"""BPE: Hugging Face ``tokenizers`` merges over header bytes, trained on the training split; a clock token a packet.

Source: Sennrich et al., arXiv 1508.07909, over bytes as in Wang et al., arXiv 1909.03341. A packet is what a word is
to text, so no token crosses packets; merges are learnt from ``packets`` training packets, evenly spread.

Exact: the number and order of packets, every captured byte up to ``slot``; times as the clock's tokens say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numba
import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from baselines.parts.clocked_packets import END, FIRST_CLOCK
from baselines.parts.packet_slots import PacketSlots
from benchmark.errors import ConfigError
from benchmark.method import IntArray
from benchmark.trace import Packets, Trace

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


class Bpe(PacketSlots):
    """See the module."""

    name = "bpe"

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
        super().__init__(slot, timing, per_decade, most_tokens)
        self._size, self._packets = size, packets
        letters = {chr(_LETTER + value): value for value in range(256)}
        self._take(Tokenizer(BPE(letters, [])))

    def encode(self, trace: Trace) -> IntArray:
        """Return the token numbers of a trace, int64 [tokens]."""
        clock = FIRST_CLOCK + self._clock.encode(trace.packets.ts)
        data, offsets = self._cut(trace.packets)
        tokens = np.empty(len(data) + len(clock) + 1, np.int64)
        size = _merge(data, offsets, clock, self._letters, self._merged, self._first, tokens)
        tokens[size] = END
        return tokens[: size + 1].copy()

    def _names(self) -> Iterable[str]:
        """Return the strings of bytes in hexadecimal digits."""
        return (self._bytes[a:b].tobytes().hex() for a, b in pairwise(self._starts))

    def _learn(self, traces: Sequence[Trace]) -> None:
        """Learn the merges, and which bytes and sizes occur where."""
        step = max(1, sum(len(trace.packets) for trace in traces) // max(1, self._packets))
        tokenizer = Tokenizer(BPE())
        letters = [chr(_LETTER + value) for value in range(256)]
        trainer = BpeTrainer(vocab_size=self._size, initial_alphabet=letters, show_progress=False)
        tokenizer.train_from_iterator(self._words(traces, step), trainer)
        self._take(tokenizer)
        super()._learn(traces)

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "tokenizer": json.loads(self._tokenizer.to_str())}

    def _recall(self, facts: Mapping[str, Any]) -> None:
        super()._recall(facts)
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
