from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from batchcolor_foreign import ForeignOptions, batchcolor_colorizers

from batchcolor.color import rgb_to_ycbcr
from batchcolor.errors import ExitCode, ModelError
from batchcolor.testing import check_colorizer

Make = Callable[..., Path]
(SPEC,) = batchcolor_colorizers()
GREY = torch.full((3, 1, 512, 512), 0.6)


def coloured(path: Path | None, luma: torch.Tensor = GREY, **options: Any) -> torch.Tensor:
    with torch.inference_mode():
        return SPEC.build(ForeignOptions(path=path, **options))(luma)


def test_a_torchscript_network_of_lab_is_run(torchscript: Make) -> None:
    chroma = coloured(torchscript(1, (20.0, 30.0)))
    assert chroma.shape == (3, 2, 256, 256)
    cb, cr = chroma[0, :, 5, 5]
    assert cb < -0.03  # b* of 30 is yellow
    assert cr > 0.03  # a* of 20 is red


def test_onnx_and_torchscript_of_one_network_agree(torchscript: Make, onnx_file: Make) -> None:
    first = coloured(torchscript(1, (0.2, -0.3)), scale="110", input="l50")
    second = coloured(onnx_file(1, (0.2, -0.3)), scale="110", input="l50")
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize(
    ("scale", "colour"),
    [("plain", (22.0, 33.0)), ("110", (0.2, 0.3)), ("128", (22 / 128, 33 / 128))],
)
def test_the_scale_of_a_and_b_is_undone(
    onnx_file: Make, scale: str, colour: tuple[float, float]
) -> None:
    chroma = coloured(onnx_file(1, colour), scale=scale)
    torch.testing.assert_close(chroma, coloured(onnx_file(1, (22.0, 33.0))), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("scale", "white"), [("plain", (0.0, 1.0)), ("signed", (-1.0, 1.0)), ("255", (0.0, 255.0))]
)
def test_rgb_becomes_the_chroma_of_its_colour(
    onnx_file: Make, scale: str, white: tuple[float, float]
) -> None:
    black, full = white
    rgb = (0.8, 0.4, 0.2)
    given = tuple(black + part * (full - black) for part in rgb)
    chroma = coloured(onnx_file(3, given), space="rgb", input="rgb", scale=scale)
    _, cb, cr = rgb_to_ycbcr(*map(torch.tensor, rgb))
    torch.testing.assert_close(chroma[1, :, 3, 3], torch.stack([cb, cr]), atol=1e-5, rtol=0)


def test_a_network_file_keeps_the_contract(onnx_file: Make) -> None:
    check_colorizer(SPEC, path=onnx_file(1, (20.0, 30.0)))
    check_colorizer(SPEC, path=str(onnx_file(1, (0.0, 0.0), gain=0.1)), size=64)


def test_cbcr_output_is_unchanged(onnx_file: Make) -> None:
    chroma = coloured(onnx_file(1, (0.1, -0.2)), space="cbcr", input="grey")
    torch.testing.assert_close(chroma[0, :, 0, 0], torch.tensor([0.1, -0.2]))


def test_the_lightness_of_a_network_with_three_lab_channels_is_ignored(
    onnx_file: Make,
) -> None:
    with_lightness = coloured(onnx_file(1, (99.0, 20.0, 30.0)))
    torch.testing.assert_close(with_lightness, coloured(onnx_file(1, (20.0, 30.0))))


@pytest.mark.parametrize(
    ("kind", "value"),
    [("l100", 0.6322), ("l", 63.22), ("l-50", 13.22), ("l50", 0.2644), ("grey", 0.6)],
)
def test_each_one_channel_input_has_its_stated_range(
    onnx_file: Make, kind: str, value: float
) -> None:
    """The network returns its input as Cb, divided by 1,000 so that nothing is clipped."""
    echo = onnx_file(1, (0.0, 0.0), gain=1e-3)
    cb = coloured(echo, input=kind, space="cbcr")[0, 0, 0, 0]
    assert float(cb) * 1000 == pytest.approx(value, rel=2e-3)


def test_a_file_exported_for_one_picture_is_called_for_each_picture(
    onnx_file: Make,
) -> None:
    chroma = coloured(onnx_file(1, (20.0, 30.0), shape=(1, 1, 128, 128)))
    assert chroma.shape == (3, 2, 128, 128)


def test_a_channels_last_file_is_recognized(onnx_file: Make) -> None:
    last = coloured(onnx_file(3, (0.8, 0.4, 0.2), channels_last=True), space="rgb", input="rgb")
    first = coloured(onnx_file(3, (0.8, 0.4, 0.2)), space="rgb", input="rgb")
    torch.testing.assert_close(last, first)


@pytest.mark.parametrize("size", [64, 320])
def test_the_network_gets_the_requested_size(torchscript: Make, size: int) -> None:
    assert coloured(torchscript(1, (1.0, 1.0)), size=size).shape[-1] == size


def test_colour_out_of_range_is_clipped(onnx_file: Make) -> None:
    assert coloured(onnx_file(1, (500.0, -500.0))).abs().max() <= 0.5


class TestErrors:
    def message_of(self, path: Path | None, **options: Any) -> str:
        with pytest.raises(ModelError) as caught:
            coloured(path, **options)
        assert caught.value.exit_code == ExitCode.MODEL_ERROR
        message = str(caught.value)
        assert "\n" not in message
        return message

    def test_a_missing_path_option_is_suggested(self) -> None:
        assert "--set path=" in self.message_of(None)

    def test_a_missing_file_is_reported(self, tmp_path: Path) -> None:
        assert "nowhere.onnx: no such network file" in self.message_of(tmp_path / "nowhere.onnx")

    def test_a_file_of_other_bytes_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "net.onnx"
        path.write_bytes(b"not a network at all")
        assert "neither TorchScript nor ONNX" in self.message_of(path)

    def test_a_truncated_torchscript_file_is_damaged(
        self, torchscript: Make, tmp_path: Path
    ) -> None:
        whole = torchscript(1, (1.0, 1.0)).read_bytes()
        path = tmp_path / "half.pt"
        path.write_bytes(whole[: len(whole) // 2])
        assert "damaged" in self.message_of(path)

    def test_a_state_dict_is_not_a_network(self, tmp_path: Path) -> None:
        path = tmp_path / "weights.pt"
        torch.save({"w": torch.zeros(3)}, path)
        assert "contains only weights" in self.message_of(path)

    def test_a_pickle_is_never_opened(self, tmp_path: Path) -> None:
        trace = tmp_path / "ran"
        path = tmp_path / "net.pt"
        path.write_bytes(pickle.dumps(Creates(str(trace))))
        assert "a pickle" in self.message_of(path)
        assert not trace.exists()

    def test_a_pickle_in_a_torchscript_archive_does_not_run(
        self, torchscript: Make, tmp_path: Path
    ) -> None:
        trace, path = tmp_path / "ran", tmp_path / "dressed.pt"
        with zipfile.ZipFile(torchscript(1, (1.0, 1.0))) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                hostile = name.endswith(("data.pkl", "constants.pkl"))
                new.writestr(name, pickle.dumps(Creates(str(trace))) if hostile else old.read(name))
        assert "not TorchScript" in self.message_of(path)
        assert not trace.exists()

    def test_a_torch_export_archive_is_refused(self, torchscript: Make) -> None:
        path = torchscript(1, (1.0, 1.0)).rename(torchscript(1, (1.0, 1.0)).with_suffix(".pt2"))
        assert "export to ONNX instead" in self.message_of(path)

    def test_a_wrong_number_of_input_channels_names_an_input_that_fits(
        self, onnx_file: Make
    ) -> None:
        assert "try --set input=rgb" in self.message_of(onnx_file(3, (1.0, 1.0)))

    def test_a_torchscript_file_of_other_channels_is_refused_before_any_picture(
        self, torchscript: Make
    ) -> None:
        assert "cannot be run with input=l100" in self.message_of(torchscript(3, (1.0, 1.0)))

    def test_a_wrong_number_of_output_channels_is_refused(self, onnx_file: Make) -> None:
        assert "returns 2 channels; space=rgb has 3" in self.message_of(
            onnx_file(3, (1.0, 1.0)), space="rgb", input="rgb"
        )

    def test_a_size_other_than_that_of_the_file_is_refused(self, onnx_file: Make) -> None:
        path = onnx_file(1, (1.0, 1.0), shape=("n", 1, 128, 128))
        assert "exported for 128 pixels" in self.message_of(path, size=256)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"space": "rgb", "scale": "110"}, "does not fit space=rgb"),
            ({"size": 4}, "below 16"),
        ],
    )
    def test_contradictory_options_are_refused(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            ForeignOptions(**options)


class Creates:
    """Unpickling this creates a file: the proof that code ran."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))
