"""Training of the denoiser: noise of random strength is added to images, and the network tells the clean ones."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler

from baselines.netdiffusion.colours import Palette
from baselines.netdiffusion.image_set import ImageSet
from baselines.netdiffusion.image_size import ImageSize
from baselines.netdiffusion.network import Denoiser
from benchmark.method import Log

NOISE_STEPS = 1000
SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": NOISE_STEPS,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "sample",
    "clip_sample": True,
}


def train(
    network: Denoiser,
    palette: Palette,
    images: ImageSet,
    size: ImageSize,
    dropout: float,
    random: np.random.Generator,
    deadline: float,
    log: Log,
) -> None:
    """Train for ``size.train_steps``, or to the deadline, of ``time.monotonic``.

    dropout: the share of images whose class is hidden, so that guidance has something to lead away from.
    """
    device = network.prior.weight.device
    steps = size.train_steps
    optimiser = torch.optim.AdamW(network.parameters(), lr=size.learning_rate, weight_decay=0.01, betas=(0.9, 0.98))
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, size.learning_rate, total_steps=max(2, steps), pct_start=0.1)
    noising = DDPMScheduler(**SCHEDULE)
    network.train()
    for step in range(steps):
        pixels, classes = images.draw(random, size.batch)
        hidden = random.random(len(classes)) < dropout
        asked = torch.from_numpy(np.where(hidden, 0, classes + 1)).to(device)
        clean = palette.paint(torch.from_numpy(pixels).to(device))
        times = torch.from_numpy(random.integers(0, NOISE_STEPS, len(clean)))
        noise = torch.randn(clean.shape).to(device)
        noisy = noising.add_noise(clean, noise, times.to(device))
        signal = noising.alphas_cumprod[times.to(noising.alphas_cumprod.device)].to(device)
        loss = palette.cross_entropy(network(noisy, signal, times.to(device), asked), clean)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        rate.step()
        if (step + 1) % 20 == 0 or step + 1 == steps:
            log.report("fit", step + 1, steps, loss=float(loss.detach()))
        if time.monotonic() > deadline:
            log.report("fit", step + 1, steps, stopped_early=1.0)
            break
