"""The images that training traces hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from baselines.netdiffusion.header_image import Columns, draw_rows
from benchmark.trace import Condition, Trace


class ImageSet:
    """The images that training traces hold: ``rows`` consecutive packets of the largest flow, from any packet on.

    name_class: the class of an image, from its trace's condition and the window it starts in.
    gaps: int64, ns between packets that follow each other.
    """

    def __init__(
        self,
        traces: Sequence[Trace],
        columns: Columns,
        rows: int,
        name_class: Callable[[Condition, int], str],
    ) -> None:
        self.rows = rows
        self.pixels: list[NDArray[np.int8]] = []
        starts: list[NDArray[np.int64]] = []
        names: list[str] = []
        gaps: list[NDArray[np.int64]] = []
        for trace in traces:
            pixels, index = draw_rows(trace, columns)
            gaps.append(np.diff(trace.packets.ts[index]))
            short = max(0, rows - len(pixels))
            self.pixels.append(np.pad(pixels, ((0, short), (0, 0)), constant_values=-1))
            first = np.arange(len(self.pixels[-1]) - rows + 1)
            windows = trace.windows()[index[first]] if len(index) else np.zeros(1, np.int64)
            named = {window: name_class(trace.condition, int(window)) for window in np.unique(windows)}
            starts.append(np.column_stack([np.full(len(first), len(starts)), first]))
            names += [named[window] for window in windows]
        self.starts, self.gaps = np.concatenate(starts), np.concatenate(gaps)
        self.names, self.classes = np.unique(np.array(names), return_inverse=True)

    def groups(self) -> NDArray[np.int64]:
        """Number the columns, int64 [columns]: those that are absent in the same rows of all have one number."""
        random = np.random.default_rng(0)
        marks = np.zeros(self.pixels[0].shape[1], np.int64)
        for pixels in self.pixels:
            # Sums of what was drawn for each row, modulo 2^64: equal for two columns only where they agree.
            drawn = random.integers(-(1 << 62), 1 << 62, len(pixels))
            marks += drawn @ (pixels < 0)
        return np.unique(marks, return_inverse=True)[1].astype(np.int64)

    def shares(self, groups: NDArray[np.int64]) -> NDArray[np.float64]:
        """Shares of rows that have each group, and of 1 among a column's bits: [classes + 1, groups + columns].

        Row 0 is all classes together. Half a pixel is added to every count, so that no share is 0 or 1.
        """
        depth = self.pixels[0].shape[1]
        counts = np.zeros((len(self.names), 3, depth))
        for trace, pixels in enumerate(self.pixels):
            own = self.starts[:, 0] == trace
            first, classes = self.starts[own, 1], self.classes[own]
            for name in np.unique(classes):
                rows = pixels[first[classes == name]]
                counts[name, 0] += len(rows)
                counts[name, 1] += (rows >= 0).sum(axis=0)
                counts[name, 2] += (rows > 0).sum(axis=0)
        total, present, ones = np.concatenate([counts.sum(axis=0, keepdims=True), counts]).swapaxes(0, 1)
        _, first = np.unique(groups, return_index=True)
        presence = (present[:, first] + 0.5) / (total[:, first] + 1)
        return np.concatenate([presence, (ones + 0.5) / (present + 1)], axis=1)

    def draw(self, random: np.random.Generator, count: int) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Return images, int8 [count, rows, columns], and the number of each one's class among ``names``."""
        chosen = random.integers(0, len(self.starts), count)
        images = [self.pixels[trace][first : first + self.rows] for trace, first in self.starts[chosen]]
        return np.stack(images), self.classes[chosen]
