"""What the header of a snapshot tells; nothing heavy is loaded for it."""

import json
import re
from dataclasses import dataclass
from typing import Any

from machineray.errors import InputError

METADATA = "machineray"
LIGHT_LAYERS = 2  # where its z comes in: light.LightGenerator.PLACES


@dataclass(frozen=True)
class Header:
    """The names of a snapshot's tensors, and the JSON beside them."""

    tensors: frozenset[str]
    about: dict[str, Any]

    @property
    def layers(self) -> int:
        """How many layers take a w of their own (StyleGAN2: two a resolution)."""
        blocks = {name for name in self.tensors if re.fullmatch(r"blocks\.\d+\.rgb_bias", name)}
        return 2 * len(blocks) or LIGHT_LAYERS


def header_of(data: bytes, name: str) -> Header:
    """The header of a safetensors file of ours; InputError when it is none."""
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        about = json.loads(header.pop("__metadata__")[METADATA])
        return Header(frozenset(header), about)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{name}: not a snapshot of MachineRay ({error})") from error
