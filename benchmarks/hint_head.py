"""Trains the part of delta that takes colour hints, on photographs whose features are stored.

Needs `--data`, a folder of colour photographs, and `--fit WEIGHTS`, a safetensors file of delta,
which gets the parameters. All else in it stays as it is, so the features of each photograph are
computed once. Hints are patches of the true chroma at random places, more of them where the network
is wrong: 1 to 128 patches that are 1 to 8 positions wide, after iColoriT (J. Yun et al., WACV
2023).
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from batchcolor.color import rgb_to_ycbcr
from batchcolor.evaluation.references import read_reference
from batchcolor.inference.weights import hash_file
from batchcolor.models.delta import Delta
from batchcolor.models.delta_hints import STATISTICS, HintHead, Positions, make_positions
from batchcolor.models.delta_inference import DeltaForInference

LIMIT = 2000
SIDE = 256
FIELD = SIDE // 4
FEATURES = 80
STEPS = 2500
BATCH = 8
QUERIES = 512
"""Positions of a picture whose error is computed in a step."""
MAX_PATCHES = 128
MAX_POSITIONS = 256
"""Of the hints of a picture in training."""
RATE = 3e-3
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""
TOLERANCE = 0.01
"""Distance in the CbCr plane below which an error counts by its square, and above as it is."""
CHANGE_COST = 0.1
"""Price of a change of chroma, in errors of the same size: what a hint has likely nothing to do
with stays as it is, so that one hint does not tint a picture."""

Floats = NDArray[np.float16]


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Trains the parameters and writes them into the weights."""
    if not options.data or not options.fit:
        print("hint-head: needs --data and --fit")
        return
    torch.manual_seed(0)
    state = load_file(options.fit)
    network = Delta()
    network.load_state_dict(state)
    network.eval()
    files = spread_files(options.data, options.limit or LIMIT)
    with tempfile.TemporaryDirectory(dir=folder) as stored:
        started = time.process_time()
        photographs = Photographs(Path(stored), network, files)
        print(f"{len(photographs)} photographs, {time.process_time() - started:.0f} s of CPU time")
        if len(photographs) == 0:
            print(f"hint-head: {options.data} has no photographs; name a folder of them")
            return
        train(network.hints, photographs, options.steps or STEPS)
        print(f"trained, {time.process_time() - started:.0f} s of CPU time")
    write(options.fit, state, network.hints, len(photographs))


def spread_files(folder: Path, limit: int) -> list[Path]:
    """Returns at most `limit` files below a folder, each of its folders in equal shares."""
    by_folder: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*.*")):
        if path.is_file():
            by_folder.setdefault(path.parent, []).append(path)
    found: list[Path] = []
    groups = sorted(by_folder.values(), key=len)
    for number, group in enumerate(groups):
        share = min(len(group), (limit - len(found)) // (len(groups) - number))
        found += [group[index * len(group) // share] for index in range(share)]
    return found


class Photographs:
    """Features, chroma and true chroma of photographs, in files of a folder."""

    def __init__(self, folder: Path, network: Delta, files: list[Path]) -> None:
        self.values = self._open(
            folder / "values.npy", (len(files), FIELD**2, FEATURES + STATISTICS)
        )
        self.chroma = self._open(folder / "chroma.npy", (len(files), FIELD**2, 2))
        self.truth = self._open(folder / "truth.npy", (len(files), FIELD**2, 2))
        self._network = DeltaForInference(network).eval()
        self._count = 0
        for path in files:
            try:
                rgb = read_reference(path, SIDE)
            except Exception:  # not a picture
                continue
            self._add(rgb)

    def __len__(self) -> int:
        return self._count

    @staticmethod
    def _open(path: Path, shape: tuple[int, ...]) -> Floats:
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)

    def _add(self, rgb: NDArray[np.uint8]) -> None:
        picture = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255
        square = torch.nn.functional.interpolate(picture, size=(SIDE, SIDE), mode="area")
        luma, cb, cr = (it[:, None] for it in rgb_to_ycbcr(*square.unbind(1)))
        with torch.inference_mode():
            fine, coarse = self._network.multi_scale_features(luma)
            features = (fine + coarse) / 2
            chroma = self._network.head(fine, coarse, luma)[:, :2]
            positions = make_positions(features, luma, chroma)
            truth = torch.nn.functional.interpolate(
                torch.cat([cb, cr], dim=1), size=(FIELD, FIELD), mode="area"
            )
        self.values[self._count] = positions.values[0].numpy()
        self.chroma[self._count] = positions.chroma[0].numpy()
        self.truth[self._count] = truth[0].flatten(1).T.numpy()
        self._count += 1

    def take(
        self, numbers: NDArray[np.int64], index: NDArray[np.int64]
    ) -> tuple[Positions, torch.Tensor]:
        """Returns positions `(N, P)` of pictures `(N,)`, and their true chroma `(N, P, 2)`."""
        rows = numbers[:, None]
        values, chroma, truth = (
            torch.from_numpy(np.asarray(it[rows, index], np.float32))
            for it in (self.values, self.chroma, self.truth)
        )
        places = np.stack([index // FIELD, index % FIELD], axis=-1)
        return Positions(values, chroma, torch.from_numpy((places + 0.5) / FIELD).float()), truth


def train(head: HintHead, photographs: Photographs, steps: int) -> None:
    """Trains on random patches of the truth."""
    chance = np.random.default_rng(0)
    numbers = chance.integers(0, len(photographs), 64)
    some = chance.integers(0, FIELD**2, (64, 64))
    head.start_training(photographs.take(numbers, some)[0].values.flatten(0, 1))
    optimizer = torch.optim.AdamW(head.parameters(), RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: find_rate(step, steps))
    sums, interval = np.zeros(2), max(1, steps // 10)
    for step in range(1, steps + 1):
        numbers = chance.integers(0, len(photographs), BATCH)
        hinted, colors = draw_hints(photographs, numbers, chance)
        every, truth = photographs.take(numbers, chance.integers(0, FIELD**2, (BATCH, QUERIES)))
        found = head.spread(every, hinted, colors)
        change = (found - every.chroma).norm(dim=-1).mean()
        loss = measure_error(found, truth) + CHANGE_COST * change
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        sums += measure_error(found, truth).item(), measure_error(every.chroma, truth).item()
        if step % interval == 0:
            mean, without = sums / interval
            print(f"step {step}: error {mean:.5f}, without hints {without:.5f}", flush=True)
            sums[:] = 0
    head.requires_grad_(False)


def find_rate(step: int, steps: int) -> float:
    """Returns the learning rate of a step as a share of `RATE`: it rises, and falls as a cosine."""
    rise = max(1, round(WARM_UP * steps))
    return min(1.0, (step + 1) / rise) * (1 + math.cos(math.pi * step / steps)) / 2


def measure_error(chroma: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Returns the mean error of chroma `(N, P, 2)`: one that does not reward a faint tint."""
    squares = (chroma - truth).square().sum(dim=-1)
    return ((squares + TOLERANCE**2).sqrt() - TOLERANCE).mean()


def draw_hints(
    photographs: Photographs, numbers: NDArray[np.int64], chance: np.random.Generator
) -> tuple[Positions, torch.Tensor]:
    """Returns the positions of hints, as many in each picture, and their chroma `(N, M, 2)`."""
    count = round(math.exp(chance.uniform(0, math.log(MAX_PATCHES))))
    largest = min(8, math.isqrt(MAX_POSITIONS // count))
    width = round(math.exp(chance.uniform(0, math.log(largest))))
    corners = np.stack([draw_places(photographs, number, count, chance) for number in numbers])
    rows, columns = (np.clip(it, 0, FIELD - width) for it in (corners // FIELD, corners % FIELD))
    steps = np.arange(width)
    index = (rows[..., None, None] + steps[:, None]) * FIELD + columns[..., None, None] + steps
    index = index.reshape(len(numbers), -1)
    hinted, truth = photographs.take(numbers, index)
    patches = truth.reshape(len(numbers), count, width**2, 2)
    colors = patches.mean(dim=2, keepdim=True).expand_as(patches).flatten(1, 2)
    return hinted, colors


def draw_places(
    photographs: Photographs, number: int, count: int, chance: np.random.Generator
) -> NDArray[np.int64]:
    """Returns places in a picture: of each two, one is likelier where the network is wrong."""
    error = photographs.truth[number].astype(np.float32) - photographs.chroma[number]
    share = np.hypot(*error.T).cumsum() + 1e-6 * np.arange(1, FIELD**2 + 1)
    wrong = share.searchsorted(chance.random(count) * share[-1])
    return np.where(
        chance.random(count) < 0.5,
        wrong.clip(max=FIELD**2 - 1),
        chance.integers(0, FIELD**2, count),
    )


def write(path: Path, state: dict[str, torch.Tensor], head: HintHead, count: int) -> None:
    """Writes the parameters into a weights file of delta, and how they were made into its card."""
    mode = path.stat().st_mode
    own = {f"hints.{name}": value.detach().clone() for name, value in head.state_dict().items()}
    save_file(state | own, path)
    path.chmod(mode)
    card_path = path.with_suffix(".json")
    if card_path.is_file():
        card = json.loads(card_path.read_text())
        card["sha256"] = hash_file(path)
        card["hints"] = {"photographs": count}
        card_path.write_text(json.dumps(card, indent=2) + "\n")
