"""Adam by torch's own kernel, and its state (Kingma & Ba 2015, arXiv 1412.6980).

The class `torch.optim.Adam` imports torch's compiler at its first call: 1.7 CPU seconds and 70 MB
for each process of a training (DECISIONS.md). The function that it calls does not.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

EPSILON = 1e-8


class Adam:
    """Moves parameters; `state` has, by torch's names, what it remembers of each of them."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], rate: float, betas: tuple[float, float]
    ) -> None:
        """`rate` is how far a weight goes in a step; `betas` are those of the two means."""
        self.parameters: list[Tensor] = list(parameters)
        self.rate, self.betas = rate, betas
        self.state = {
            "step": [torch.zeros((), device=parameter.device) for parameter in self.parameters],
            "exp_avg": [torch.zeros_like(parameter) for parameter in self.parameters],
            "exp_avg_sq": [torch.zeros_like(parameter) for parameter in self.parameters],
        }

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move all parameters by their gradients, of the same shapes."""
        pairs = zip(gradients, self.parameters, strict=True)
        beta1, beta2 = self.betas
        adam(
            self.parameters,
            [laid_out(gradient, parameter) for gradient, parameter in pairs],
            self.state["exp_avg"],
            self.state["exp_avg_sq"],
            [],
            self.state["step"],
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=self.rate,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )

    def tensors(self) -> dict[str, Tensor]:
        """The state as "NUMBER/NAME" of a parameter."""
        return {
            f"{number}/{name}": value
            for name, values in self.state.items()
            for number, value in enumerate(values)
        }

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `tensors` gave; ValueError when it is that of other parameters."""
        own = self.tensors()
        shapes = {name: value.shape for name, value in own.items()}
        if shapes != {name: value.shape for name, value in tensors.items()}:
            raise ValueError("Adam's state is that of other weights")
        for name, value in own.items():
            value.copy_(tensors[name])


def laid_out(values: Tensor, like: Tensor) -> Tensor:
    """The values in the order of memory of `like`.

    Fused Adam on a CPU takes it for granted and would move other weights; the plain one takes
    several times as long (DECISIONS.md).
    """
    same = values.stride() == like.stride()
    return values if same else torch.empty_like(like).copy_(values)
