"""NetShare (Yin et al., SIGCOMM 2022; code netsharecmu/NetShare): a time-series GAN over flows, in the small.

Kept of the published method: a flow as metadata and a series of packets; long flows cut into chunks, with a tag that
says whether a chunk opens its flow; DoppelGANger as the model (Lin et al., IMC 2020), that is attributes by an MLP, the
series by an LSTM a few packets a step, each chunk's range as an attribute of its own, an auxiliary critic of the
attributes, Wasserstein distance with a gradient penalty of weight 10, Adam at 1e-4 and beta 0.5.

What differs, and why: addresses, ports and TCP's numbers are the compiler's, as for every method here, so the metadata
are the application and the rung asked for (which condition the generator) and the range of the gaps; a packet's
direction and size are one discrete field, drawn by its shares, since a size off by a byte is another packet; one model
learns all chunks instead of one fine-tuned for each; no differential privacy; networks of 96 units, not 200 and more,
and a learning rate of 5e-4, for a fit of minutes.

Published figure: NetShare's mean Jensen-Shannon divergence over packet fields is 0.16, as the authors of NetDiffusion
and NetSSM measured it; here it is fidelity.jsd, in bits and on bins of our own. Of a trace with several flows the
largest is learnt; a sampled trace has that one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from baselines.gpt.conditions import WITHOUT_PATH, check_scheme, shown
from baselines.netshare.chunks import KINDS, ChunkSet, Told, restore
from baselines.netshare.networks import ChunkGenerator, Sizes, critic, gradient_penalty
from baselines.parts.chains import Pools, draw_from
from baselines.parts.classes import Classes, read_examples
from baselines.parts.fixed_symbols import SIZES, learn_payloads
from baselines.parts.openings import Opening, Openings
from baselines.parts.threads import one_thread
from benchmark.corpus import Corpus
from benchmark.errors import ConfigError
from benchmark.method import Budget, Conditioning, Log, Method
from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.sketch import Sketch, sketch_of
from benchmark.trace import NANOSECONDS, Condition, Trace

OPTIONS = {"rounds": 4, "critic_steps": 1, "batch": 64, "width": 96, "together": 4, "learning_rate": 5e-4}
PENALTY = 10.0
AT_ONCE = 8  # chunks of one trace that are made in one round
MOST_PACKETS = 400_000  # of one trace


def build(method: Method) -> NetShare:
    """Return the generator.

    Options: ``rounds``, steps of the generator for each of the budget's ``image.train_steps``; ``critic_steps`` before
    each; ``batch``, chunks a step; ``width`` and ``together``, see ``Sizes``; ``learning_rate``.
    """
    unknown = sorted(set(method.options) - set(OPTIONS))
    if unknown:
        raise ConfigError(f"netshare has no option '{unknown[0]}'; it has {', '.join(OPTIONS)}")
    check_scheme(method.conditioning.name, "netshare", WITHOUT_PATH)
    return NetShare({**OPTIONS, **method.options}, method.conditioning)


@dataclass
class _Growing:
    """One trace being made. now: ns of its last packet."""

    condition: Condition
    opening: Opening
    random: np.random.Generator
    now: int
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=list)
    packets: int = 0

    @property
    def full(self) -> bool:
        return self.now >= self.condition.duration * NANOSECONDS or self.packets >= MOST_PACKETS


class NetShare:
    """See the module."""

    def __init__(self, options: dict[str, float], conditioning: Conditioning) -> None:
        self._options, self._conditioning = options, conditioning
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def figures(self) -> dict[str, float]:
        """What it says of itself: how many numbers were learnt that sampling uses."""
        return {"parameters": sum(weight.numel() for weight in self._generator.parameters())}

    def fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        """Train generator and critics against each other on chunks of the training flows."""
        with one_thread():
            self._fit(corpus, budget, seed, log)

    def _fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        began, random = time.monotonic(), np.random.default_rng(seed)
        torch.manual_seed(seed)
        noise = torch.Generator().manual_seed(seed)
        traces = [trace for trace in corpus.train if len(sketch_of(trace))]
        self._classes, examples = read_examples(traces or corpus.train)
        self._told = Told(tuple(self._classes.applications))
        self._payloads = learn_payloads(examples, self._classes.applications)
        self._openings = Openings.learn(examples)
        rows = int(budget.image.get("rows", 64))
        sizes = Sizes(
            rows, KINDS, self._told.width, width=int(self._options["width"]), together=int(self._options["together"])
        )
        conditions = [shown(trace.condition, self._conditioning.name) for trace in traces]
        chunks = ChunkSet([example.sketch for example in examples], conditions, self._told, rows)
        if not chunks.count:
            raise ConfigError(f"netshare: no training flow has {rows} packets; lower budget.image.rows")
        self._generator = self._new(sizes)
        whole = sizes.told + sizes.attributes
        judges = [critic(whole + rows * sizes.features, sizes), critic(whole, sizes)]
        judges = [judge.to(self._device) for judge in judges]
        rate = float(self._options["learning_rate"])
        weights = [weight for judge in judges for weight in judge.parameters()]
        makes = torch.optim.Adam(self._generator.parameters(), rate, betas=(0.5, 0.9))
        judging = torch.optim.Adam(weights, rate, betas=(0.5, 0.9))
        steps = int(budget.image.get("train_steps", 600)) * int(self._options["rounds"])
        batch = int(self._options["batch"])
        for step in range(steps):
            distance = 0.0
            for _ in range(int(self._options["critic_steps"])):
                told, attributes, series = (torch.from_numpy(p).to(self._device) for p in chunks.draw(random, batch))
                with torch.no_grad():
                    made = self._generator(told, self._generator.draw_noise(batch, noise).to(self._device))
                real_parts, made_parts = views(told, attributes, series), views(told, *made)
                loss = torch.zeros((), device=self._device)
                for judge, real, fake in zip(judges, real_parts, made_parts, strict=True):
                    loss = loss + judge(fake).mean() - judge(real).mean()
                    loss = loss + PENALTY * gradient_penalty(judge, real, fake, noise)
                judging.zero_grad(set_to_none=True)
                loss.backward()
                judging.step()
                distance = float(loss.detach())
            made = self._generator(told, self._generator.draw_noise(batch, noise).to(self._device))
            fooled = sum(
                (-judge(view).mean() for judge, view in zip(judges, views(told, *made), strict=True)),
                torch.zeros((), device=self._device),
            )
            makes.zero_grad(set_to_none=True)
            fooled.backward()
            makes.step()
            if (step + 1) % 100 == 0 or step + 1 == steps:
                log.report("fit", step + 1, steps, critic_loss=distance, generator_loss=float(fooled.detach()))
            if time.monotonic() - began > budget.fit_seconds:
                log.report("fit stopped by its time limit", step + 1, steps)
                break
        self._generator.eval()

    def sample(self, conditions: Sequence[Condition], seed: int) -> Iterator[Trace]:
        """Yield one trace a condition, chunk after chunk until its duration is full."""
        with one_thread():
            yield from self._sample(conditions, seed)

    def _sample(self, conditions: Sequence[Condition], seed: int) -> Iterator[Trace]:
        growing = []
        for number, condition in enumerate(conditions):
            random = np.random.default_rng([seed, number])
            opening = self._openings.draw(condition.application, random)
            growing.append(_Growing(condition, opening, random, opening.first))
        noise = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
        while open_traces := [trace for trace in growing if not trace.full]:
            self._extend(open_traces, noise)
        for number, trace in enumerate(growing):
            yield self._finish(trace, f"synthetic-{number:04d}")

    @torch.inference_mode()
    def _extend(self, growing: Sequence[_Growing], noise: torch.Generator) -> None:
        """Add chunks to every trace, of what is asked for where it has got to."""
        told = []
        for trace in growing:
            asked = shown(trace.condition, self._conditioning.name)
            told += [self._told.encode(asked, trace.now, not trace.parts and k == 0) for k in range(AT_ONCE)]
        drawn = self._generator.draw_noise(len(told), noise).to(self._device)
        attributes, series = self._generator(torch.from_numpy(np.stack(told)).to(self._device), drawn)
        logs = restore(series[..., -1].double().cpu().numpy(), attributes.double().cpu().numpy())
        shares = series[..., :-1].double().cumsum(-1).cpu().numpy()
        for place, trace in enumerate(growing):
            for row in range(place * AT_ONCE, (place + 1) * AT_ONCE):
                if trace.full:
                    break
                gaps = (10.0 ** logs[row]).astype(np.int64)
                # The first packet's time is the opening's.
                gaps[0] = gaps[0] if trace.parts else 0
                levels = trace.random.random(len(gaps))[:, None] * shares[row, :, -1:]
                kinds = np.minimum((shares[row] <= levels).sum(axis=1), KINDS - 1)
                trace.parts.append((trace.now + np.cumsum(gaps), kinds))
                trace.now += int(gaps.sum())
                trace.packets += len(gaps)

    def _finish(self, trace: _Growing, name: str) -> Trace:
        ts, kinds = (np.concatenate(parts) for parts in zip(*trace.parts, strict=True))
        names = self._classes.applications
        application = names.index(trace.condition.application) if trace.condition.application in names else 0
        rows = application * KINDS + kinds
        # A kind that the application never shows has no payloads; it is taken for an acknowledgement.
        payload = np.array([max(0, draw_from(self._payloads, int(row), trace.random)) for row in rows], np.int32)
        sketch = Sketch(trace.opening.transport, ts, kinds >= SIZES, payload, trace.opening.round_trip)
        return trace_of(sketch, trace.condition, name, int(trace.random.integers(1 << 31)))

    def save(self, folder: Path) -> None:
        """Write the generator, the payloads and how flows begin."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"generator.{name}": w.cpu().contiguous() for name, w in self._generator.state_dict().items()}
        tensors |= {name: torch.from_numpy(array) for name, array in self._payloads.arrays("payloads").items()}
        save_file(tensors, folder / "netshare.safetensors")
        facts = {
            "sizes": asdict(self._generator.sizes),
            "classes": self._classes.pairs,
            "openings": self._openings.facts(),
        }
        (folder / "netshare.json").write_text(json.dumps(facts, indent=1))

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        facts = json.loads((folder / "netshare.json").read_text())
        tensors = load_file(folder / "netshare.safetensors")
        self._classes = Classes(tuple((name, rung) for name, rung in facts["classes"]))
        self._told = Told(tuple(self._classes.applications))
        self._openings = Openings.of(facts["openings"])
        self._payloads = Pools.of({name: tensor.numpy() for name, tensor in tensors.items()}, "payloads")
        self._generator = self._new(Sizes(**facts["sizes"]))
        own = {name[10:]: tensor for name, tensor in tensors.items() if name.startswith("generator.")}
        self._generator.load_state_dict(own)
        self._generator.eval()

    def _new(self, sizes: Sizes) -> ChunkGenerator:
        return ChunkGenerator(sizes).to(self._device)


def views(told: torch.Tensor, attributes: torch.Tensor, series: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the critic of whole chunks sees, and what the auxiliary one sees, [n, inputs] each."""
    head = torch.cat([told, attributes], 1)
    return torch.cat([head, series.flatten(1)], 1), head
