"""Whether there is a GPU to compute on; where a network draws."""

from functools import cache
from typing import Literal


@cache
def has_gpu() -> bool:
    """Whether torch sees a GPU, and has code for it: for a card not older than it knows.

    Asked of the current device. Of another card torch itself warns, and the CPU does the work.
    """
    import torch

    if not torch.cuda.is_available():
        return False
    try:
        torch.ones(1, device="cuda").add_(1)
        torch.cuda.synchronize()
    except RuntimeError as error:
        if "no kernel image" not in str(error):
            raise
        return False
    return True


def drawing_device() -> Literal["cpu", "cuda"]:
    """The GPU where there is one, else the CPU.

    The GPU is told to keep to single precision and to one algorithm, for this process: TF32 has 10
    bits of mantissa, which moves levels, and a picture has to come again as it was.
    """
    import torch

    if not has_gpu():
        return "cpu"
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    return "cuda"
