"""Opens and runs a network file: TorchScript with torch, ONNX with onnxruntime.

Neither unpickles Python objects (see the README). Files whose loading would (`.pt2`, pickled
modules, state dicts) are refused.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from batchcolor.errors import ModelError
from batchcolor_foreign import ForeignOptions
from batchcolor_foreign.spaces import CHANNELS, convert_output, prepare_input, resize

DEFAULT_SIDE = 256
EXPORT = "torch.onnx.export(net.eval(), example, 'net.onnx')"


@dataclass(frozen=True)
class Network:
    """An opened network, with the number of channels and the side of its input, where stated."""

    call: Callable[[torch.Tensor], torch.Tensor]
    """`(N, C, side, side)` float32 in, four dimensions out, on the input's device."""
    channels: int | None = None
    side: int | None = None


class Foreign:
    """Predicts chroma from luma `(N, 1, S, S)` with a foreign network, which runs in float32."""

    def __init__(self, options: ForeignOptions) -> None:
        self.options = options
        path = _check_path(options.path)
        self.network = _open_network(path)
        expected = CHANNELS[options.input]
        if self.network.channels not in (None, expected):
            fitting = [k for k, n in CHANNELS.items() if n == self.network.channels]
            hint = f"; try --set input={fitting[0]}" if fitting else ""
            raise ModelError(
                f"{path} takes {self.network.channels} channels, input={options.input} "
                f"has {expected}{hint}"
            )
        if options.size and self.network.side not in (None, options.size):
            raise ModelError(f"{path} was exported for {self.network.side} pixels: omit --set size")
        self.side = options.size or self.network.side or DEFAULT_SIDE
        try:  # options that do not fit are reported once, and not for every picture
            with torch.inference_mode():
                self(torch.full((1, 1, self.side, self.side), 0.5))
        except Exception as error:
            raise ModelError(
                f"{path} cannot be run with input={options.input}, space={options.space}, "
                f"size={self.side}: {_format_error(error)}"
            ) from error

    def __call__(self, luma: torch.Tensor) -> torch.Tensor:
        """Returns chroma `(N, 2, s, s)` in the precision of `luma`; the network determines s."""
        small = resize(luma.float(), self.side)
        output = self.network.call(prepare_input(small, self.options.input).contiguous())
        chroma = convert_output(output.float(), small, self.options.space, self.options.scale)
        return chroma.clamp(-0.5, 0.5).to(luma.dtype)


def _check_path(path: Path | None) -> Path:
    if path is None:
        raise ModelError("foreign needs a network file: --set path=net.onnx, or a TorchScript .pt")
    path = path.expanduser()
    if not path.is_file():
        raise ModelError(f"{path}: no such network file")
    return path


def _open_network(path: Path) -> Network:
    """Opens a network file, whose kind its first bytes state. Raises ModelError."""
    with path.open("rb") as file:
        head = file.read(4)
    if path.suffix == ".pt2":
        raise ModelError(
            f"{path}: a torch.export archive may contain code that runs when it is opened, and is "
            f"not supported; export to ONNX instead: {EXPORT}"
        )
    if head.startswith(b"PK"):
        return _open_torchscript(path)
    if head.startswith(b"\x80") and path.suffix != ".onnx":
        raise ModelError(f"{path}: a pickle, not TorchScript; {_export_hint()}")
    return _open_onnx(path)


def _export_hint() -> str:
    return f"export the network with its layers: {EXPORT}"


def _open_torchscript(path: Path) -> Network:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(f"{path}: damaged: {error}") from error
    if not any("/code/" in name for name in names):
        raise ModelError(f"{path}: contains only weights; {_export_hint()}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the loader is deprecated, not gone
        try:
            # Its unpickler, in C++, accepts only tensors and TorchScript types.
            module = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        except Exception as error:
            raise ModelError(
                f"{path}: not TorchScript that this torch reads: {_format_error(error)}"
            ) from error

    def call(batch: torch.Tensor) -> torch.Tensor:
        module.to(batch.device)
        output = module(batch)
        return _check_dimensions(output[0] if isinstance(output, tuple | list) else output)

    return Network(call)


def _open_onnx(path: Path) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    available = onnxruntime.get_available_providers()
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in available]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        raise ModelError(f"{path}: neither TorchScript nor ONNX: {_format_error(error)}") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        shapes = ", ".join(f"{one.name} {one.shape}" for one in inputs)
        raise ModelError(f"{path} takes {shapes}, not one picture (N, C, H, W)")
    name, shape = inputs[0].name, inputs[0].shape
    is_channels_last = shape[3] in (1, 3) and shape[1] not in (1, 3)  # as Keras exports them
    batch_of_one = shape[0] == 1
    dtype = {"tensor(float16)": np.float16, "tensor(double)": np.float64}.get(
        inputs[0].type, np.float32
    )

    def call(batch: torch.Tensor) -> torch.Tensor:
        array = batch.cpu().numpy().astype(dtype)
        array = array.transpose(0, 2, 3, 1) if is_channels_last else array
        parts = np.split(array, len(array)) if batch_of_one else [array]
        output = np.concatenate([np.asarray(session.run(None, {name: p})[0]) for p in parts])
        field = _check_dimensions(torch.from_numpy(output))
        field = field.permute(0, 3, 1, 2) if is_channels_last else field
        return field.to(batch.device)

    height, channels = (shape[1], shape[3]) if is_channels_last else (shape[2], shape[1])
    return Network(
        call,
        channels=channels if isinstance(channels, int) else None,
        side=height if isinstance(height, int) else None,
    )


def _check_dimensions(output: object) -> torch.Tensor:
    """Returns the output if it has four dimensions. Raises ValueError."""
    if not isinstance(output, torch.Tensor) or output.ndim != 4:
        shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise ValueError(f"the network returns {shape}, not a picture (N, C, H, W)")
    return output


def _format_error(error: Exception) -> str:
    """Returns the line of a long error message that states the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # TorchScript prints the stack first and the cause last.
    cause = lines[-1] if lines and lines[0].startswith("The following operation") else None
    return (cause or (lines or [type(error).__name__])[0])[:200]
