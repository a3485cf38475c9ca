"""The weights that ship with the package: RRDN GANS x4 as 8-bit codes.

weights/README.md names their origin and licences. Free of torch and TensorFlow: both engines
read the same arrays.
"""

import functools
import hashlib
import json
from importlib import resources

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load

from machineray.errors import ConfigurationError

WEIGHTS_FILE = "rrdn_gans_x4_u8.safetensors"
WEIGHTS_SHA256 = "433081793be0749c3ae9abe75d65abf257d6e73cae9409002417d23c9abfd54c"


@functools.cache
def read_weights() -> dict[str, np.ndarray]:
    """Every variable of the network by its ISR name, float32.

    `F_1_1_1/kernel` is (3, 3, in, out), `F_1_1_1/bias` is (out,): the layout of Keras.
    weight = code * scale + minimum, in float64, then rounded to float32.

    Raises:
        ConfigurationError: the file of this installation is not the one that was published.
    """
    with resources.as_file(resources.files("machineray.finish") / "weights" / WEIGHTS_FILE) as path:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != WEIGHTS_SHA256:
            raise ConfigurationError(
                f"{path}: not the published weights: sha256 differs: reinstall machineray"
            )
        with safe_open(path, "np") as tensors:
            scales: dict[str, list[float]] = json.loads(tensors.metadata()["quant"])
    return {
        name: (codes.astype(np.float64) * scales[name][0] + scales[name][1]).astype(np.float32)
        for name, codes in load(data).items()
    }
