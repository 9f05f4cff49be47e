"""The usual script: one picture at a time through scikit-image's Lab and back.

Run as `python -m benchmarks.usual FOLDER OUTPUT MODEL`. The network is batchcolor's own, at the
same working size and on the same device, so that only the way of a picture differs; its chroma
is taken as a*, b* scaled by 128, which costs what a Lab network costs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from skimage import color, io, transform

from batchcolor.hooks.manager import load_plugins
from batchcolor.inference import weights


def main(folder: Path, output: Path, model: str) -> None:
    output.mkdir(parents=True, exist_ok=True)
    owned = load_plugins().find(model)
    side = owned.spec.working_size
    network = owned.spec.build(None)
    path = weights.find(owned, None)
    if path:
        weights.load(network, path)
    network.eval()
    for path in sorted(folder.iterdir()):
        image = io.imread(path)
        lab = color.rgb2lab(image)
        small = transform.resize(lab[..., 0], (side, side)) / 100
        with torch.no_grad():
            ab = network(torch.from_numpy(small).float()[None, None])[0].numpy() * 128
        ab = transform.resize(ab.transpose(1, 2, 0), lab.shape[:2])
        rgb = color.lab2rgb(np.dstack([lab[..., :1], ab]))
        io.imsave(output / path.name, (rgb * 255).round().astype(np.uint8), check_contrast=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
