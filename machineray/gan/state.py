"""Snapshots and checkpoints as bytes: safetensors with JSON beside; loading runs no code.

A snapshot is G_ema with what is needed to build it. A checkpoint is all that a resume needs.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from machineray.errors import InputError
from machineray.gan.ada import Adaptation
from machineray.gan.adam import Adam
from machineray.gan.header import METADATA, header_of
from machineray.gan.networks import Generator, for_drawing, new_generator
from machineray.gan.presets import Preset
from machineray.gan.steps import Training

FORMAT = 1
_FIRST_MAPS = {"constant", "first.weight"}  # of either generator: their size is the picture's
_FROZEN = "features."  # comes with its package, not with every checkpoint
_CODES, _SCALES = "codes/", "scales/"  # before a weight's name, where it is stored in 8 bits


@dataclass(frozen=True)
class Snapshot:
    """A generator that is ready to draw, and what is known about it."""

    generator: Generator
    about: dict[str, Any]


def packed(tensors: dict[str, Tensor], about: dict[str, Any]) -> bytes:
    """Tensors and JSON in one file, the same bytes for the same values."""
    header = json.dumps({"format": FORMAT, **about}, sort_keys=True)
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(contiguous, {METADATA: header})


def unpacked(data: bytes, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, in single where they are stored as codes, and the JSON.

    InputError when it is no file of ours.
    """
    try:
        stored = load(data)
    except SafetensorError as error:
        raise InputError(f"{name}: not a snapshot of MachineRay ({error})") from error
    about = header_of(data, name).about
    if about.get("format") != FORMAT:
        raise InputError(f"{name}: format {about.get('format')}; this version reads {FORMAT}")
    codes, scales = _below(stored, _CODES), _below(stored, _SCALES)
    try:
        weights = {key: value * scales[key] for key, value in codes.items()}
    except (KeyError, RuntimeError) as error:
        raise InputError(f"{name}: not a snapshot of MachineRay (scales of codes)") from error
    rest = {k: v for k, v in stored.items() if not k.startswith((_CODES, _SCALES))}
    return rest | weights, about


def coded(data: bytes, name: str) -> bytes:
    """The snapshot with its weights as 8-bit codes, for publishing: a quarter of the bytes.

    A weight is code * scale, with one scale for each place of its first dimension. What has but
    one dimension (biases, statistics) stays single.
    """
    tensors, about = unpacked(data, name)
    stored: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if value.dim() < 2:
            stored[key] = value
            continue
        most = value.abs().amax(tuple(range(1, value.dim())), keepdim=True)
        scales = (most / 127).clamp_min(torch.finfo(torch.float32).tiny)
        stored[_CODES + key] = (value / scales).round().to(torch.int8)
        stored[_SCALES + key] = scales
    return packed(stored, {key: value for key, value in about.items() if key != "format"})


def snapshot_bytes(training: Training, about: dict[str, Any]) -> bytes:
    """G_ema in its preset's architecture."""
    about = {**about, "preset": asdict(training.preset), "nimg": training.nimg}
    about["head_start"] = training.head_start
    return packed(training.generator_ema.state_dict(), about)


def load_snapshot(data: bytes, name: str) -> Snapshot:
    """The generator of a snapshot, on the CPU, ready to draw; InputError names the file."""
    tensors, about = unpacked(data, name)
    try:
        named: dict[str, Any] = dict(about["preset"])  # an earlier version's had fewer fields
        known = {field.name for field in fields(Preset)} & named.keys()
        preset = Preset(**{key: named[key] for key in known})
        with torch.device("meta"), _Undrawn():  # no memory for what a bad file claims to be
            generator = new_generator(preset)
        generator.load_state_dict(tensors, assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{name}: not a snapshot that this version can draw ({reason})") from error
    return Snapshot(for_drawing(generator), about)


class _Undrawn(TorchFunctionMode):
    """Networks that get their weights anyway draw none.

    On the meta device torch computes by way of its compiler, whose import takes 4 s of CPU time:
    nothing may be computed there, which is why `layers.drawn` is one operation.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is Tensor.normal_ or getattr(func, "__module__", "") == nn.init.__name__:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def checkpoint_bytes(training: Training, about: dict[str, Any]) -> bytes:
    """Networks, optimisers and statistics."""
    tensors = {"pl_mean": training.pl_mean}
    for name, network in _networks(training).items():
        tensors |= {
            f"{name}/{key}": value
            for key, value in network.state_dict().items()
            if not key.startswith(_FROZEN)
        }
    for name, optimizer in _optimizers(training).items():
        tensors |= {f"{name}/{key}": value for key, value in optimizer.tensors().items()}
    adaptation = asdict(training.adaptation)
    progress = {"nimg": training.nimg, "head_start": training.head_start}
    return packed(tensors, {**about, **progress, "adaptation": adaptation})


def restore(training: Training, data: bytes, name: str) -> dict[str, Any]:
    """Put a checkpoint back into freshly made networks; gives its JSON."""
    tensors, about = unpacked(data, name)
    try:
        for prefix, network in _networks(training).items():
            frozen = {k: v for k, v in network.state_dict().items() if k.startswith(_FROZEN)}
            network.load_state_dict(frozen | _below(tensors, f"{prefix}/"))
        for prefix, optimizer in _optimizers(training).items():
            optimizer.load(_below(tensors, f"{prefix}/"))
        training.pl_mean.copy_(tensors["pl_mean"])
        training.adaptation = Adaptation(**about["adaptation"])
        training.nimg, training.head_start = int(about["nimg"]), _count(about, "head_start")
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{name}: not a checkpoint of these networks ({reason})") from error
    return about


def transfer(training: Training, data: bytes, name: str) -> int:
    """Take from a snapshot what fits by name and shape, also of a lower resolution: how much.

    The first maps of other proportions are resampled. Both generators get it; the discriminator
    begins anew. Where all of it fits, the average has its head start. InputError when nothing does.
    """
    tensors, about = unpacked(data, name)
    wanted = training.generator.state_dict()
    for key in _FIRST_MAPS & wanted.keys() & tensors.keys():
        (*channels, height, width), found = wanted[key].shape, tensors[key]
        is_like = found.dim() == 4 and list(found.shape[:2]) == channels
        if is_like and found.shape != wanted[key].shape:
            tensors[key] = F.interpolate(found, (height, width), mode="bilinear")
    fitting = {
        key: tensors[key]
        for key, value in wanted.items()
        if key in tensors and tensors[key].shape == value.shape
    }
    if not fitting:
        raise InputError(f"{name}: nothing in it fits into {training.preset.name}")
    for network in (training.generator, training.generator_ema):
        network.load_state_dict(fitting, strict=False)
    if len(fitting) == len(wanted):
        training.head_start = _count(about, "nimg") + _count(about, "head_start")
    return len(fitting)


def _count(about: dict[str, Any], name: str) -> int:
    """A number of pictures, 0 where an earlier version or a stranger says none."""
    value = about.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _networks(training: Training) -> dict[str, nn.Module]:
    return {
        "G": training.generator,
        "D": training.discriminator,
        "G_ema": training.generator_ema,
    }


def _optimizers(training: Training) -> dict[str, Adam]:
    return {"adam_g": training.optimizer_g, "adam_d": training.optimizer_d}
