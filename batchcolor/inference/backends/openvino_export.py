"""Exports a torch module as an OpenVINO graph of one input shape."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from batchcolor.hooks.failures import format_error
from batchcolor.hooks.thread_warnings import silence_warnings
from batchcolor.hooks.types import Colorizer, DoubtfulColorizer
from batchcolor.inference.backends.backend import BackendUnavailableError
from batchcolor.inference.backends.openvino_library import openvino
from batchcolor.inference.model_code import isolate_model

if TYPE_CHECKING:
    from torch.export import ExportedProgram


class ExportError(Exception):
    """The module cannot be exported; the message says why."""


class _WithDoubt(nn.Module):
    """A module whose call returns chroma and doubt."""

    def __init__(self, colorizer: Any) -> None:
        super().__init__()
        self.colorizer = colorizer

    def forward(self, luma: torch.Tensor) -> torch.Tensor:
        """Returns `(N, 3, s, s)`."""
        found: torch.Tensor = self.colorizer.colorize_with_doubt(luma)
        return found


def export_module(
    module: Colorizer, shape: tuple[int, ...], rearrange: Callable[[Any], Any] | None
) -> openvino.Model:
    """Returns the graph of a module in eval mode, on the CPU, for input of that shape.

    `rearrange` returns an equivalent of the module with fewer operations. Raises ExportError, and
    BackendUnavailableError where the machine has not enough memory.
    """
    if not isinstance(module, nn.Module):
        raise ExportError("it is not a torch.nn.Module")
    logging.disable(logging.ERROR)  # torch and OpenVINO log what they cannot optimize
    try:
        with isolate_model(), torch.no_grad(), silence_warnings():
            equivalent = rearrange(module) if rearrange is not None else module
            if isinstance(equivalent, DoubtfulColorizer):
                equivalent = _WithDoubt(equivalent)
            program = torch.export.export(equivalent.eval(), (torch.zeros(shape),), strict=False)
            program = program.run_decompositions({})  # lists what in-place operations change
            _check_is_stateless(program)
            graph = _convert(program)
            graph.reshape(list(shape))
            _fold_constants(graph)
            return graph
    except ExportError:
        raise
    except (MemoryError, OSError) as error:  # another time, it may succeed
        raise BackendUnavailableError(f"could not export it ({format_error(error)})") from error
    except (Exception, SystemExit) as error:
        text = format_error(error)
        raise ExportError(text if len(text) < 160 else f"{text[:157]}...") from error
    finally:
        logging.disable(logging.NOTSET)


def _convert(program: ExportedProgram) -> openvino.Model:
    # Here, as openvino_library has to be imported first. Not openvino.convert_model, which sends
    # usage data to Intel.
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder: Any = TorchFXPythonDecoder.from_exported_program(program)
    return openvino.Model(frontend.convert(frontend.load(decoder)))


def _fold_constants(graph: openvino.Model) -> None:
    """Computes what depends only on shapes and weights.

    OpenVINO does so too when it compiles, but after it has decided which operations to fuse: biases
    whose shape is still computed then are not fused into their convolutions.
    """
    from openvino.passes import ConstantFolding, Manager

    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(graph)


def _check_is_stateless(program: ExportedProgram) -> None:
    signature = program.graph_signature
    if signature.buffers_to_mutate:
        raise ExportError("it changes its own state when it is called")
    if signature.user_inputs_to_mutate:
        raise ExportError("it changes its input")
