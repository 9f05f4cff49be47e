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
        wanted = CHANNELS[options.input]
        if self.network.channels not in (None, wanted):
            instead = [k for k, n in CHANNELS.items() if n == self.network.channels]
            hint = f"; try --set input={instead[0]}" if instead else ""
            raise ModelError(
                f"{path} takes {self.network.channels} channels, input={options.input} "
                f"has {wanted}{hint}"
            )
        if options.size and self.network.side not in (None, options.size):
            raise ModelError(
                f"{path} was exported for {self.network.side} pixels: leave --set size out"
            )
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
        """Chroma `(N, 2, s, s)`, s as the network gives it, in the precision of `luma`."""
        small = resize(luma.float(), self.side)
        given = self.network.call(prepare_input(small, self.options.input).contiguous())
        chroma = convert_output(given.float(), small, self.options.space, self.options.scale)
        return chroma.clamp(-0.5, 0.5).to(luma.dtype)


def _check_path(path: Path | None) -> Path:
    if path is None:
        raise ModelError("foreign needs a network file: --set path=net.onnx, or a TorchScript .pt")
    path = path.expanduser()
    if not path.is_file():
        raise ModelError(f"{path}: there is no such network file")
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
        raise ModelError(f"{path}: holds weights only; {_export_hint()}")
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
        given = module(batch)
        given = given[0] if isinstance(given, tuple | list) else given
        return _four_dimensional(given)

    return Network(call)


def _open_onnx(path: Path) -> Network:
    import onnxruntime

    silent = onnxruntime.SessionOptions()
    silent.log_severity_level = 4
    here = onnxruntime.get_available_providers()
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in here]
    try:
        session = onnxruntime.InferenceSession(str(path), silent, providers=providers)
    except Exception as error:
        raise ModelError(f"{path}: neither TorchScript nor ONNX: {_format_error(error)}") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        shapes = ", ".join(f"{one.name} {one.shape}" for one in inputs)
        raise ModelError(f"{path} takes {shapes}, not one picture (N, C, H, W)")
    name, shape = inputs[0].name, inputs[0].shape
    last = shape[3] in (1, 3) and shape[1] not in (1, 3)  # channels last, as Keras exports them
    batch_of_one = shape[0] == 1
    dtype = {"tensor(float16)": np.float16, "tensor(double)": np.float64}.get(
        inputs[0].type, np.float32
    )

    def call(batch: torch.Tensor) -> torch.Tensor:
        array = batch.cpu().numpy().astype(dtype)
        array = array.transpose(0, 2, 3, 1) if last else array
        parts = np.split(array, len(array)) if batch_of_one else [array]
        given = np.concatenate([np.asarray(session.run(None, {name: p})[0]) for p in parts])
        field = _four_dimensional(torch.from_numpy(given))
        field = field.permute(0, 3, 1, 2) if last else field
        return field.to(batch.device)

    high, channels = (shape[1], shape[3]) if last else (shape[2], shape[1])
    return Network(
        call,
        channels=channels if isinstance(channels, int) else None,
        side=high if isinstance(high, int) else None,
    )


def _four_dimensional(given: object) -> torch.Tensor:
    if not isinstance(given, torch.Tensor) or given.ndim != 4:
        shape = tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
        raise ValueError(f"the network returns {shape}, not a picture (N, C, H, W)")
    return given


def _format_error(error: Exception) -> str:
    """The telling line of an error that may have many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # TorchScript tells where it was first, and what was wrong last.
    telling = lines[-1] if lines and lines[0].startswith("The following operation") else None
    return (telling or (lines or [type(error).__name__])[0])[:200]
