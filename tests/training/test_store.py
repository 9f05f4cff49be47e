import hashlib
import io
import os
import pickle

import numpy as np
import pytest
import torchvision
from PIL import Image

from batchcolor.errors import TrainingDataError
from batchcolor.storage.atomic import SUFFIX
from batchcolor.training.store import open_store


def test_broken_grey_tiny_and_duplicate_pictures_are_skipped_and_listed(
    photographs, smooth_colour, tmp_path
):
    folder = photographs(20)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    Image.new("RGB", (48, 48), (90, 90, 90)).save(folder / "grey.png")
    smooth_colour(1, side=6).save(folder / "tiny.png")
    (folder / "twice.png").write_bytes((folder / "album 0" / "000.png").read_bytes())

    store = open_store(str(folder), tmp_path, 32)

    assert {name: store.skipped.get(name) for name in ("broken", "grey", "tiny", "duplicate")} == {
        "broken": 1,
        "grey": 1,
        "tiny": 1,
        "duplicate": 1,
    }
    log = (store.folder / "skipped.log").read_text()
    assert all(name in log for name in ("broken.jpg", "grey.png", "tiny.png", "twice.png"))


def test_pipes_are_not_opened_and_symlink_loops_are_visited_once(photographs, tmp_path):
    folder = photographs(20)
    plain = open_store(str(folder), tmp_path, 32)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "album 0" / "round").symlink_to(folder, target_is_directory=True)

    store = open_store(str(folder), tmp_path, 32)

    assert store.skipped == {**plain.skipped, "broken": 2}
    assert len(store.train) == len(plain.train)
    assert "pipe.jpg: broken: OSError: not a regular file" in (
        (store.folder / "skipped.log").read_text()
    )


def test_renaming_does_not_change_which_pictures_are_held_out(photographs, tmp_path):
    folder = photographs(40)
    expected = sum(
        hashlib.sha256(path.read_bytes()).hexdigest()[0] in "01" for path in folder.rglob("*.png")
    )
    before = open_store(str(folder), tmp_path, 32)
    for path in folder.rglob("*.png"):
        path.rename(path.with_name(f"renamed-{path.name}"))
    after = open_store(str(folder), tmp_path, 32)

    assert len(before.validation) == len(after.validation) == expected
    held_out = {before.pictures[row].tobytes() for row in before.validation}
    assert held_out == {after.pictures[row].tobytes() for row in after.validation}


def test_a_smaller_copy_of_a_held_out_picture_is_not_used_for_training(photographs, tmp_path):
    folder = photographs(30)
    held = next(
        path
        for path in sorted(folder.rglob("*.png"))
        if hashlib.sha256(path.read_bytes()).hexdigest()[0] in "01"
    )
    for side in range(30, 48):  # the hash of at least one selects it for training
        Image.open(held).resize((side, side)).save(folder / f"copy-{side}.jpg", quality=90)

    store = open_store(str(folder), tmp_path, 32)

    original = np.asarray(Image.open(held).resize((32, 32), Image.Resampling.LANCZOS), float)
    nearest = min(np.abs(store.pictures[row] - original).mean() for row in store.train)
    assert nearest > 10
    assert store.skipped["near a held-out picture"] > 0


def test_a_second_run_uses_the_packed_pictures_of_the_first(photographs, tmp_path):
    folder = photographs(12)
    packed: list[int] = []
    for _ in range(2):
        open_store(str(folder), tmp_path, 32, on_progress=lambda done, total: packed.append(done))
    assert packed == list(range(1, 13))


def test_packing_that_is_stopped_leaves_nothing_and_the_next_run_removes_what_a_kill_left(
    photographs, tmp_path
):
    folder, cache = photographs(12), tmp_path / "stores"
    killed = cache / f".x.999999999-5{SUFFIX}"
    killed.mkdir(parents=True)
    (killed / "pictures.npy").write_bytes(b"half")

    def stop(done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_store(str(folder), tmp_path, 32, cache=cache, on_progress=stop)
    assert list(cache.iterdir()) == []
    store = open_store(str(folder), tmp_path, 32, cache=cache)
    assert list(cache.iterdir()) == [store.folder]
    assert len(store.train) + len(store.validation) == 12


def test_pictures_whose_names_are_not_utf8_are_listed(photographs, tmp_path):
    folder = photographs(12)
    (folder / os.fsdecode(b"gr\xfcn.jpg")).write_bytes(b"broken")
    store = open_store(str(folder), tmp_path, 32)
    assert "n.jpg: broken" in (store.folder / "skipped.log").read_text()


@pytest.mark.parametrize(("count", "message"), [(0, "no photographs"), (1, "1 of 1")])
def test_an_empty_folder_or_one_picture_is_a_data_error(photographs, tmp_path, count, message):
    folder = photographs(count)
    folder.mkdir(exist_ok=True)
    with pytest.raises(TrainingDataError, match=message):
        open_store(str(folder), tmp_path, 32)


def test_a_folder_of_grey_pictures_is_a_data_error(tmp_path):
    for value in range(5):
        Image.new("L", (40, 40), 40 * value).save(tmp_path / f"{value}.png")
    with pytest.raises(TrainingDataError, match="5 grey"):
        open_store(str(tmp_path), tmp_path, 32)


def test_cifar10_is_read_in_torchvisions_layout(smooth_colour, tmp_path, monkeypatch):
    """Uses torchvision's reader on a small archive, with replaced checksums."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    kind = torchvision.datasets.CIFAR10

    def batch(name: str, first: int) -> tuple[str, str]:
        pictures = [np.asarray(smooth_colour(first + i, 32)) for i in range(5)]
        rows = np.stack([p.transpose(2, 0, 1).reshape(-1) for p in pictures])
        content = pickle.dumps({"data": rows, "labels": [0] * 5})
        (folder / name).write_bytes(content)
        return name, hashlib.md5(content).hexdigest()

    train = [list(batch(f"data_batch_{i}", 100 * i)) for i in range(1, 6)]
    test = [list(batch("test_batch", 900))]
    meta = pickle.dumps({"label_names": ["a"]})
    (folder / "batches.meta").write_bytes(meta)
    monkeypatch.setattr(kind, "train_list", train)
    monkeypatch.setattr(kind, "test_list", test)
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": hashlib.md5(meta).hexdigest()})

    store = open_store("cifar10", tmp_path, 32)

    assert (len(store.train), len(store.validation)) == (25, 5)
    first_of_test = np.asarray(smooth_colour(900, 32))
    assert np.array_equal(store.pictures[store.validation[0]], first_of_test)


def test_flowers102_is_read_in_torchvisions_layout(smooth_colour, tmp_path):
    folder = tmp_path / "flowers-102" / "jpg"
    folder.mkdir(parents=True)
    for index in range(20):
        smooth_colour(index).save(folder / f"image_{index:05d}.jpg", quality=95)
    store = open_store("flowers102", tmp_path, 32)
    assert len(store.train) + len(store.validation) == 20


def test_a_missing_data_set_that_cannot_be_downloaded_is_a_data_error(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # no network, also where there is one
    for name in ("cifar10", "flowers102"):
        with pytest.raises(TrainingDataError, match="use a folder of photographs"):
            open_store(name, tmp_path / "nothing", 32)


def test_a_jpeg_with_exif_orientation_is_packed_upright(smooth_colour, tmp_path):
    for index in range(4):
        picture = smooth_colour(index, 64)
        exif = Image.Exif()
        exif[0x0112] = 3  # upside down
        turned = io.BytesIO()
        picture.rotate(180).save(turned, "JPEG", quality=98, subsampling=0, exif=exif)
        (tmp_path / f"{index}.jpg").write_bytes(turned.getvalue())
    store = open_store(str(tmp_path), tmp_path, 32)
    for packed in store.pictures[:4]:
        nearest = min(
            np.abs(packed - np.asarray(smooth_colour(i, 64).resize((32, 32)), float)).mean()
            for i in range(4)
        )
        assert nearest < 6
