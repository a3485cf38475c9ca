"""The genuine ISR 2.2.0 (idealo) on TensorFlow, fed with the weights that ship with MachineRay.

It cannot stand beside torch in one environment (it pins packages of 2019): `make isr` gives it
its own. Nothing is downloaded.
"""

import contextlib
import functools
import io
import tempfile
from typing import Any

import numpy as np

from machineray.errors import ConfigurationError
from machineray.finish.pretrained import read_weights

ARCHITECTURE = {"C": 4, "D": 3, "G": 32, "G0": 32, "T": 10, "x": 4}


@functools.cache
def load_isr() -> Any:
    """ISR's own RRDN with the shipped weights, once a process.

    Raises:
        ConfigurationError: ISR or TensorFlow is not installed here.
    """
    try:
        # At import ISR begins a file "log_file" in the working folder, which may be read-only.
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            from ISR.models import RRDN
    except ImportError as reason:
        raise ConfigurationError(
            f"engine isr: {reason}: run `make isr`, then "
            "`.venv-isr/bin/mray run finish --engine isr`"
        ) from reason
    # Without `weights` the constructor asks the network for nothing.
    rrdn = RRDN(arch_params=ARCHITECTURE)
    weights = read_weights()
    for name in {variable.rpartition("/")[0] for variable in weights}:
        rrdn.model.get_layer(name).set_weights([weights[f"{name}/kernel"], weights[f"{name}/bias"]])
    return rrdn


def enlarge(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (4H, 4W, 3) uint8 by ISR's `RRDN.predict`, the whole picture at once."""
    with contextlib.redirect_stdout(io.StringIO()):  # Keras draws a progress bar for each picture
        enlarged: np.ndarray = load_isr().predict(pixels)
    return enlarged
