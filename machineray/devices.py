"""Where a network draws: on a GPU where there is one, else on the CPU."""

from typing import Literal


def drawing_device() -> Literal["cpu", "cuda"]:
    """The GPU where torch sees one that it has code for, else the CPU.

    The GPU is told to keep to single precision and to one algorithm, for this process: TF32 has 10
    bits of mantissa, which moves levels, and a picture has to come again as it was.
    """
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    try:
        torch.ones(1, device="cuda").add_(1)
        torch.cuda.synchronize()
    except torch.OutOfMemoryError:
        raise  # it is told as any other that comes later
    except RuntimeError:  # a card older than what this torch was built for
        return "cpu"
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    return "cuda"
