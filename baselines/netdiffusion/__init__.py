"""NetDiffusion (Jiang et al., SIGMETRICS 2024, arXiv 2310.08543) without its pretrained weights.

The published method fine-tunes Stable Diffusion on nPrint images of packet traces. Here a transformer learns the
same images from scratch, and the rest is kept: a row a packet and a column a header bit, a class for what is
asked, guidance, colours quantised to 1, 0 and -1, a fixed number of packets, and a repair afterwards, which is
the harness's and the same for every method.

What differs, and why: no prior from photographs; no ControlNet, which copies the edges of one real trace;
classes instead of prompts; columns that never change are left out; a packet's pixels are the channels of one
token, since no two columns of a header are alike; the direction is one column more, where the published method
draws it from a Markov chain; an image may start at any packet, for the harness joins them to whole traces.

The published images have no times. Gaps drawn i.i.d. from training (``gaps: drawn``) are as near as that comes, and
no network makes up for them: real images of 64 packets joined so are told from real traffic as surely as packets
drawn independently (c2st 1.00; with their own gaps 0.91). So the gap before a packet is eight columns more
(``gaps: image``).

As published, an image is of one flow: of a trace with several, the largest is learnt, and its gaps.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from baselines.gpt.conditions import WITHOUT_PATH, check_scheme
from baselines.netdiffusion.colours import Palette
from baselines.netdiffusion.gap_bits import read_gaps
from baselines.netdiffusion.header_image import Columns, choose_columns, read_rows
from baselines.netdiffusion.image_set import ImageSet
from baselines.netdiffusion.image_size import ImageSize, image_size
from baselines.netdiffusion.network import Denoiser
from baselines.netdiffusion.training import SCHEDULE, train
from baselines.parts.threads import one_thread
from benchmark.corpus import Corpus
from benchmark.errors import ConfigError, nearest
from benchmark.method import Budget, Conditioning, Log, Method
from benchmark.synthesis.compiler import CLIENT_PREFIX
from benchmark.trace import Condition, Trace

# Gaps kept of the training traces: their quantiles, so that a corpus of any size gives a small file.
GAPS = 1 << 18
GAPS_OF = ("image", "drawn")
OPTIONS: dict[str, object] = {"gaps": "image", "rounds": 3}
# Guidance acts while noise is most of the image: later it only costs (Kynkäänniemi et al., NeurIPS 2024).
GUIDED_SIGNAL = 0.2


def build(method: Method) -> NetDiffusion:
    """Return the generator for a method's conditioning and options.

    Options: ``gaps``, image or drawn; ``rounds``, steps for each of the budget's ``image.train_steps``.
    """
    options = {**OPTIONS, **method.options}
    for name in sorted(options):
        if name not in OPTIONS:
            raise ConfigError(f"netdiffusion has no option {name!r}{nearest(name, OPTIONS)}")
    gaps, rounds = str(options["gaps"]), options["rounds"]
    if gaps not in GAPS_OF:
        raise ConfigError(f"netdiffusion: gaps {gaps!r} isn't one of {', '.join(GAPS_OF)}{nearest(gaps, GAPS_OF)}")
    if not isinstance(rounds, int) or rounds < 1:
        raise ConfigError(f"netdiffusion: rounds {rounds!r} isn't a whole number of at least 1")
    return NetDiffusion(method.conditioning, gaps == "image", rounds)


class NetDiffusion:
    """Generator of images of ``fixed_packets`` rows, which the harness joins into traces.

    timed: whether the gaps are in the images, or drawn. rounds: steps for each of the budget's.
    """

    def __init__(self, conditioning: Conditioning, timed: bool, rounds: int) -> None:
        check_scheme(conditioning.name, "netdiffusion", WITHOUT_PATH)
        if conditioning.guidance != 1 and not 0 < conditioning.dropout < 1:
            raise ConfigError("netdiffusion: guidance needs a conditioning.dropout between 0 and 1")
        self.conditioning = conditioning
        self.timed, self.rounds = timed, rounds
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.size = ImageSize()
        self.classes: dict[str, int] = {}

    @property
    def fixed_packets(self) -> int:
        """The most packets that a sample has."""
        return self.size.rows

    @property
    def figures(self) -> dict[str, float]:
        """What it says of itself: how many numbers were learnt."""
        return {"parameters": sum(weight.numel() for weight in self.network.parameters())}

    def fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        """Train the network on images of the training traces, each starting at a random packet."""
        with one_thread():
            self._fit(corpus, budget, seed, log)

    def _fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        began = time.monotonic()
        random = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.size = image_size(budget.image)
        self.columns = choose_columns(corpus.train, self.size.every_column, self.timed)
        images = ImageSet(corpus.train, self.columns, self.size.rows, self._class_name)
        self.gaps = _quantiles(images.gaps)
        # Class 0 is none: what guidance leads away from.
        self.classes = {str(name): number for number, name in enumerate(images.names, start=1)}
        groups = images.groups()
        self.palette = Palette(torch.from_numpy(groups).to(self.device))
        self.network = self._new_network()
        self.network.start_from(torch.from_numpy(images.shares(groups)).float())
        deadline = began + budget.fit_seconds
        size = replace(self.size, train_steps=self.size.train_steps * self.rounds)
        train(self.network, self.palette, images, size, self.conditioning.dropout, random, deadline, log)
        self.network.eval()

    def sample(self, conditions: Sequence[Condition], seed: int) -> Iterator[Trace]:
        """Yield a trace of at most ``fixed_packets`` packets a condition, of the class it begins with."""
        random = np.random.default_rng([seed, 1])
        step = self.size.sample_batch
        batches = [conditions[first : first + step] for first in range(0, len(conditions), step)]
        seeds = np.random.SeedSequence(seed).generate_state(len(batches), np.uint64)
        workers = torch.get_num_threads()
        number = 0
        for first in range(0, len(batches), workers):
            round_of_batches = batches[first : first + workers]
            with one_thread(), ThreadPoolExecutor(workers) as pool:
                images = list(pool.map(self._denoise, round_of_batches, seeds[first : first + workers]))
            for condition, pixels in zip(chain(*round_of_batches), chain(*images), strict=True):
                packets, gaps = read_rows(pixels, self.columns), self._gaps(pixels, random)
                timed = replace(packets, ts=np.cumsum(gaps) - gaps[:1].sum())
                yield Trace(f"synthetic-{number:04d}", timed, condition, CLIENT_PREFIX)
                number += 1

    def _gaps(self, pixels: NDArray[np.int8], random: np.random.Generator) -> NDArray[np.int64]:
        """Return the gap before each packet of an image, ns."""
        pixels = pixels[self.columns.holds_packet(pixels)]
        if self.timed:
            return read_gaps(self.columns.gap_bits(pixels), random)
        return random.choice(self.gaps, len(pixels))

    @torch.inference_mode()
    def _denoise(self, conditions: Sequence[Condition], seed: int) -> NDArray[np.int8]:
        """Return images, int8 [conditions, rows, columns], by DDIM with classifier-free guidance."""
        names = [self._class_name(condition, 0) for condition in conditions]
        # A class never seen in training is asked for as no class.
        asked = torch.tensor([self.classes.get(name, 0) for name in names], device=self.device)
        guidance = self.conditioning.guidance
        scheduler = DDIMScheduler(**SCHEDULE, timestep_spacing="trailing")
        scheduler.set_timesteps(self.size.denoise_steps)
        shape = (len(names), self.size.rows, self.palette.depth)
        image = torch.randn(shape, generator=torch.Generator().manual_seed(int(seed))).to(self.device)
        for time_step in scheduler.timesteps:
            signal = scheduler.alphas_cumprod[time_step].expand(len(names)).to(self.device)
            times = time_step.expand(len(names)).to(self.device)
            odds = self.network(image, signal, times, asked)
            if guidance != 1 and signal[0] <= GUIDED_SIGNAL:
                without = self.network(image, signal, times, asked * 0)
                odds = without + guidance * (odds - without)
            image = scheduler.step(self.palette.expect(odds), time_step, image).prev_sample
        return self.palette.quantise(image).cpu().numpy()

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``model.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"network.{name}": weight.cpu().contiguous() for name, weight in self.network.state_dict().items()}
        tensors["columns.used"] = torch.from_numpy(self.columns.used)
        tensors["columns.constant"] = torch.from_numpy(self.columns.constant)
        tensors["columns.groups"] = self.palette.groups.cpu()
        tensors["gaps"] = torch.from_numpy(self.gaps)
        save_file(tensors, folder / "model.safetensors")
        told = {"size": asdict(self.size), "classes": self.classes}
        (folder / "model.json").write_text(json.dumps(told, indent=1))

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        told = json.loads((folder / "model.json").read_text())
        tensors = load_file(folder / "model.safetensors")
        self.columns = Columns(tensors["columns.used"].numpy(), tensors["columns.constant"].numpy(), self.timed)
        self.palette = Palette(tensors["columns.groups"].to(self.device))
        self.size = image_size(told["size"])
        self.gaps = tensors["gaps"].numpy()
        self.classes = {str(name): int(number) for name, number in told["classes"].items()}
        self.network = self._new_network()
        weights = {name[8:]: weight for name, weight in tensors.items() if name.startswith("network.")}
        self.network.load_state_dict(weights)
        self.network.eval()

    def _new_network(self) -> Denoiser:
        size = self.size
        network = Denoiser(size.rows, self.palette.depth, size.width, size.layers, size.heads, len(self.classes) + 1)
        return network.to(self.device)

    def _class_name(self, condition: Condition, window: int) -> str:
        """Name what an image that starts in a window shows, as far as the conditioning tells.

        The rung is that window's (trajectory) or the commonest of all (quality); -1 where there is none.
        """
        if self.conditioning.name == "none":
            return ""
        if self.conditioning.name == "application":
            return condition.application
        rungs = condition.labels.rung
        rung = -1
        if self.conditioning.name == "quality":
            rung = int(np.bincount(rungs[rungs >= 0]).argmax()) if (rungs >= 0).any() else -1
        elif len(rungs):
            rung = int(rungs[min(window, len(rungs) - 1)])
        return f"{condition.application} {rung}"


def _quantiles(gaps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return at most ``GAPS`` of the gaps, evenly through their ranks, sorted."""
    if len(gaps) == 0:
        return np.zeros(1, np.int64)
    kept = min(GAPS, len(gaps))
    ranks = ((np.arange(kept) + 0.5) * len(gaps) / kept).astype(np.int64)
    return np.sort(gaps)[ranks]
