"""The baseline of `throughput`: one picture at a time, to CIELAB and back with scikit-image.

Run as `python -m benchmarks.lab_script FOLDER OUTPUT MODEL`. The network, working size and device
are those of batchcolor, so only the processing of the pictures differs. The network's chroma is
used as a* and b* divided by 128: the colours are wrong, the time is that of a CIELAB network.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage import color, io, transform

from batchcolor.hooks.manager import load_plugins
from batchcolor.inference import weights


def colour_folder(folder: Path, output: Path, model: str) -> None:
    """Colours each picture of a folder, as scripts of published networks do."""
    output.mkdir(parents=True, exist_ok=True)
    registered = load_plugins().find(model)
    side = registered.spec.working_size
    network: Any = registered.spec.build(None)
    weights_path = weights.find(registered, None)
    if weights_path:
        weights.load(network, weights_path)
    network.eval()
    resize: Any = transform.resize
    for path in sorted(folder.iterdir()):
        lab = color.rgb2lab(io.imread(path))  # (H, W, 3)
        lightness = resize(lab[..., 0], (side, side)) / 100
        with torch.no_grad():
            ab = network(torch.from_numpy(lightness).float()[None, None])[0].numpy() * 128
        ab = resize(ab.transpose(1, 2, 0), lab.shape[:2])  # (H, W, 2)
        rgb = color.lab2rgb(np.dstack([lab[..., :1], ab]))
        io.imsave(output / path.name, (rgb * 255).round().astype(np.uint8), check_contrast=False)


if __name__ == "__main__":
    colour_folder(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
