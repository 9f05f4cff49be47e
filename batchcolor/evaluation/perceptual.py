"""LPIPS and FID, where the weights of their networks lie on this machine; nothing is downloaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from batchcolor.evaluation.metrics import Numbers, Stack

ALEXNET = "alexnet-owt-7be5be79.pth"
"""torchvision's AlexNet (ImageNet), which LPIPS looks through."""
INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
"""torch-fidelity's copy of the Inception network that FID is defined by."""
PACKAGES = ("torchmetrics", "torch_fidelity")


def missing_reason(metric: str, file: str) -> str:
    """Why a metric cannot be had here, in words; empty where it can."""
    import torch

    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return f"no {metric}: it needs pip install 'batchcolor[perceptual]'"
    path = Path(torch.hub.get_dir()) / "checkpoints" / file
    if not path.is_file():
        return f"no {metric}: its network's weights are not at hand ({path})"
    return ""


class Lpips:
    """Learned perceptual distance; 0 is the same picture.

    Source: Zhang, Isola, Efros, Shechtman, Wang, CVPR 2018; AlexNet, version 0.1.
    """

    def __init__(self, device: str = "cpu") -> None:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        self.device = device
        self.metric: Any = LearnedPerceptualImagePatchSimilarity("alex", normalize=True).to(device)

    def __call__(self, truth: Stack, output: Stack) -> Numbers:
        """One number a picture, `(N,)`; NaN where a side is below the network's 32 pixels."""
        import torch

        made = np.full(len(truth), np.nan)
        if min(truth.shape[1:3]) < 32:
            return made
        for index, pair in enumerate(zip(truth, output, strict=True)):
            one, other = (_tensor(rgb[None], self.device).float() / 255 for rgb in pair)
            with torch.inference_mode():
                made[index] = float(self.metric(one, other))
            self.metric.reset()
        return made


class Fid:
    """Frechet distance between the features of all truths and all outputs of one row.

    Source: Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter, NIPS 2017.
    """

    def __init__(self, device: str = "cpu", feature: Any = 2048) -> None:
        from torchmetrics.image.fid import FrechetInceptionDistance

        self.device, self.pictures = device, 0
        self.metric: Any = FrechetInceptionDistance(feature=feature).to(device)

    def add(self, truth: Stack, output: Stack) -> None:
        """See these pictures."""
        self.metric.update(_tensor(truth, self.device), real=True)
        self.metric.update(_tensor(output, self.device), real=False)
        self.pictures += len(truth)

    def value(self) -> float:
        """The distance; NaN of fewer than two pictures."""
        return float(self.metric.compute()) if self.pictures > 1 else float("nan")


def load_perceptual_metrics(
    rows: Iterable[str], device: str, say: Callable[[str], None]
) -> tuple[Lpips | None, dict[str, Fid]]:
    """LPIPS, and a FID for each row, where they are available; `say` gets the reason otherwise."""
    without_lpips, without_fid = missing_reason("LPIPS", ALEXNET), missing_reason("FID", INCEPTION)
    for reason in dict.fromkeys(filter(None, (without_lpips, without_fid))):
        say(reason)
    lpips = None if without_lpips else Lpips(device)
    return lpips, {} if without_fid else {row: Fid(device) for row in rows}


def _tensor(stack: Stack, device: str) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(stack)).permute(0, 3, 1, 2).to(device)
