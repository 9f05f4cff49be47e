"""Makes a folder of JPEGs of about one megapixel from random crops of the samples."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageOps

SAMPLES = Path(__file__).parent.parent / "samples" / "photos"
SIZE = (1152, 896)  # 1.03 megapixels


def make_sample_folder(folder: Path, count: int) -> Path:
    """Writes `count` different JPEGs (quality 90, RGB, as scanners write grey) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    originals = []
    for path in sorted(SAMPLES.iterdir()):
        with Image.open(path) as image:
            if image.mode != "I;16":
                originals.append(ImageOps.exif_transpose(image).convert("RGB"))
    generator = random.Random(0)
    for index in range(count):
        original = originals[index % len(originals)]
        share = generator.uniform(0.6, 0.95)
        width, height = round(original.width * share), round(original.height * share)
        left = generator.randint(0, original.width - width)
        top = generator.randint(0, original.height - height)
        picture = original.crop((left, top, left + width, top + height)).resize(SIZE)
        if generator.random() < 0.5:
            picture = ImageOps.mirror(picture)
        picture.save(folder / f"{index:05d}.jpg", quality=90)
    return folder
