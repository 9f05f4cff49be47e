"""Creates network files: TorchScript with torch, ONNX with the onnx package."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn


class Constant(nn.Module):
    """Returns one colour everywhere, whatever its input."""

    def __init__(self, inputs: int, colour: tuple[float, ...]) -> None:
        super().__init__()
        self.paint = nn.Conv2d(inputs, len(colour), 1)
        nn.init.zeros_(self.paint.weight)
        with torch.no_grad():
            self.paint.bias.copy_(torch.tensor(colour))  # type: ignore[union-attr]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.paint(x)


@pytest.fixture
def torchscript(tmp_path: Path) -> Callable[..., Path]:
    """Saves a network of one colour as TorchScript."""

    def save(inputs: int, colour: tuple[float, ...]) -> Path:
        path = tmp_path / "net.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(torch.jit.script(Constant(inputs, colour)), str(path))
        return path

    return save


@pytest.fixture
def onnx_file(tmp_path: Path) -> Callable[..., Path]:
    """Saves a 1 x 1 convolution as ONNX, with the given input shape."""

    def save(
        inputs: int,
        colour: tuple[float, ...],
        shape: tuple[int | str, ...] | None = None,
        channels_last: bool = False,
        gain: float = 0.0,
    ) -> Path:
        weight = np.full((len(colour), inputs, 1, 1), gain, np.float32)
        constants = [
            numpy_helper.from_array(weight, "w"),
            numpy_helper.from_array(np.array(colour, np.float32), "b"),
        ]
        if channels_last:
            nodes = [
                helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
                helper.make_node("Conv", ["t", "w", "b"], ["u"]),
                helper.make_node("Transpose", ["u"], ["y"], perm=[0, 2, 3, 1]),
            ]
            usual: tuple[int | str, ...] = ("n", "h", "w", inputs)
        else:
            nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y"])]
            usual = ("n", inputs, "h", "w")
        graph = helper.make_graph(
            nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape or usual)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        path = tmp_path / "net.onnx"
        onnx.save(model, str(path))
        return path

    return save
