"""LPIPS and FID, if the weights of their networks are on this machine; nothing is downloaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from batchcolor.evaluation.metrics import FloatArray, RgbStack

ALEXNET = "alexnet-owt-7be5be79.pth"
"""Weights of AlexNet (ImageNet) of torchvision, whose features LPIPS compares."""
INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
"""Weights of the Inception network that FID is defined by, as published by torch-fidelity."""
PACKAGES = ("torchmetrics", "torch_fidelity")


def find_missing(metric: str, weights: str) -> str:
    """Returns what a metric lacks on this machine; empty if it can be measured."""
    import torch

    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return f"no {metric}: install it with pip install 'batchcolor[perceptual]'"
    path = Path(torch.hub.get_dir()) / "checkpoints" / weights
    if not path.is_file():
        return f"no {metric}: put the weights of its network at {path}"
    return ""


class Lpips:
    """Learned perceptual distance; 0 for identical pictures.

    Source: Zhang, Isola, Efros, Shechtman, Wang, CVPR 2018; AlexNet, version 0.1.
    """

    def __init__(self, device: str = "cpu") -> None:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        self.device = device
        self.metric: Any = LearnedPerceptualImagePatchSimilarity("alex", normalize=True).to(device)

    def __call__(self, reference: RgbStack, output: RgbStack) -> FloatArray:
        """Returns `(N,)`; NaN for a side below 32 pixels, the minimum of the network."""
        import torch

        distances = np.full(len(reference), np.nan)
        if min(reference.shape[1:3]) < 32:
            return distances
        for index, pair in enumerate(zip(reference, output, strict=True)):
            images = [_to_tensor(rgb[None], self.device).float() / 255 for rgb in pair]
            with torch.inference_mode():
                distances[index] = float(self.metric(*images))
            self.metric.reset()
        return distances


class Fid:
    """Frechet distance between the features of all references and all outputs of one row.

    Source: Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter, NIPS 2017.
    """

    def __init__(self, device: str = "cpu", feature: Any = 2048) -> None:
        from torchmetrics.image.fid import FrechetInceptionDistance

        self.device, self.pictures = device, 0
        self.metric: Any = FrechetInceptionDistance(feature=feature).to(device)

    def add(self, reference: RgbStack, output: RgbStack) -> None:
        """Adds references and their outputs."""
        self.metric.update(_to_tensor(reference, self.device), real=True)
        self.metric.update(_to_tensor(output, self.device), real=False)
        self.pictures += len(reference)

    def compute(self) -> float:
        """Returns the distance; NaN for fewer than two pictures."""
        return float(self.metric.compute()) if self.pictures > 1 else float("nan")


def load_perceptual_metrics(
    rows: Iterable[str], device: str, add_note: Callable[[str], None]
) -> tuple[Lpips | None, dict[str, Fid]]:
    """Returns LPIPS, and FID for each row, if available; otherwise notes what they lack."""
    lpips_lacks, fid_lacks = find_missing("LPIPS", ALEXNET), find_missing("FID", INCEPTION)
    for note in filter(None, (lpips_lacks, fid_lacks)):
        add_note(note)
    lpips = None if lpips_lacks else Lpips(device)
    return lpips, {} if fid_lacks else {row: Fid(device) for row in rows}


def _to_tensor(stack: RgbStack, device: str) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(stack)).permute(0, 3, 1, 2).to(device)
