"""One step of training: both networks move, the average generator follows.

The batch is cut into groups (randomness.py); a process does its share of them in one pass or in
several, and gradients are sums over groups, so that neither changes the mathematics.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from machineray.gan import ada, diffaug
from machineray.gan.ada import Adaptation
from machineray.gan.adam import Adam
from machineray.gan.compute import Compute
from machineray.gan.kinds import (
    PATH_LENGTH_EVERY,
    R1_EVERY,
    Kind,
    has_energy,
    has_path_length,
    has_r1,
    kind_of,
)
from machineray.gan.layers import at_least_single
from machineray.gan.losses import (
    energy_distance,
    hinge_g,
    hinge_gen,
    hinge_real,
    logistic_g,
    logistic_gen,
    logistic_real,
    path_lengths,
    r1_penalty,
)
from machineray.gan.networks import (
    Discriminator,
    Generator,
    learned_parameters,
    new_discriminator,
    new_generator,
)
from machineray.gan.presets import Preset
from machineray.gan.randomness import BatchRandom, batch_random
from machineray.gan.recording import Inputs, Recordings, Values
from machineray.gan.stylegan2 import StyleGAN2Generator
from machineray.gan.world import World

PATH_LENGTH_DECAY = 0.01
W_AVG_DECAY = 0.998
ENERGY_WEIGHT = 1.0
BETAS = (0.0, 0.99)


@dataclass
class Training:
    """All that learns: two networks, the average generator, two optimisers, the statistics."""

    preset: Preset
    seed: int
    compute: Compute
    generator: Generator
    discriminator: Discriminator
    generator_ema: Generator
    optimizer_g: Adam
    optimizer_d: Adam
    pl_mean: Tensor
    adaptation: Adaptation = field(default_factory=Adaptation)
    nimg: int = 0
    head_start: int = 0  # pictures that the weights it began with had seen
    recordings: Recordings = field(default_factory=Recordings)
    inputs: Inputs | None = None  # of a step that is recorded, or is to be

    def __post_init__(self) -> None:
        self.synthesis = self.compute.compiled(self.generator.synthesis)
        self.judge = self.compute.compiled(self.discriminator.judge)

    def random(self, purpose: str, groups: range) -> BatchRandom:
        """What chance decides for these groups of the next batch: the same at every call."""
        group, device = self.preset.group, self.compute.device
        return batch_random(purpose, self.seed, self.nimg, groups, group, device)


def new_training(preset: Preset, seed: int, compute: Compute | None = None) -> Training:
    """Fresh networks, as `seed` fixes them; torch's own random state stays as it is."""
    compute = compute or Compute()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = new_generator(preset)
        discriminator = new_discriminator(preset, seed)
        ema = new_generator(preset)
    ema.load_state_dict(generator.state_dict())
    compute.place(ema.requires_grad_(False).eval())
    compute.place(generator)
    compute.place(discriminator)
    return Training(
        preset,
        seed,
        compute,
        generator,
        discriminator,
        ema,
        _adam(generator, preset.learning_rate_g, PATH_LENGTH_EVERY, has_path_length(preset)),
        _adam(discriminator, preset.learning_rate_d, R1_EVERY, has_r1(preset)),
        torch.zeros((), device=compute.device),
    )


def _adam(network: torch.nn.Module, rate: float, every: int, is_lazy: bool) -> Adam:
    """Adam, corrected for one more step in `every` (StyleGAN2, app. B, "lazy regularization")."""
    ratio = every / (every + 1) if is_lazy else 1.0
    betas = (BETAS[0] ** ratio, BETAS[1] ** ratio)
    return Adam(learned_parameters(network), rate * ratio, betas)


# Of the discriminator: for real pictures and for generated ones.
_LOSSES_D = {"stylegan2": (logistic_real, logistic_gen), "projected": (hinge_real, hinge_gen)}
_LOSSES_G = {"stylegan2": logistic_g, "projected": hinge_g}


# -- a process's part of a batch


@dataclass(frozen=True)
class Pass:
    """Neighbouring groups of a batch that are computed together."""

    training: Training
    groups: range
    weight: float  # of the batch: means over the pass, so weighted, add up to the batch's mean
    place: slice  # of its pictures among those of this process

    def random(self, purpose: str) -> BatchRandom:
        """What chance decides for `purpose`: the same at every call."""
        training = self.training
        if training.inputs:
            return training.inputs.random(purpose, self.groups, training.random)
        return training.random(purpose, self.groups)


def passes(training: Training, groups: int) -> list[Pass]:
    """This process's share of the first `groups` of a batch, cut as memory wants it."""
    group, compute = training.preset.group, training.compute
    share = compute.world.share(training.preset.batch // group)
    at_a_time = max(1, compute.micro_batch // group) if compute.micro_batch else len(share)
    mine = range(share.start, max(share.start, min(share.stop, groups)))
    parts = [mine[i : i + at_a_time] for i in range(0, len(mine), at_a_time)]
    return [
        Pass(
            training,
            part,
            len(part) / groups,
            slice((part.start - share.start) * group, (part.stop - share.start) * group),
        )
        for part in parts
    ]


class Sums:
    """Gradients of a network and named values, summed over passes and then over processes."""

    def __init__(self, optimizer: Adam, **values: Tensor) -> None:
        """Zeros, in the shapes of the optimiser's parameters and of the values."""
        self.optimizer = optimizer
        self.gradients: list[Tensor | None] = [None] * len(optimizer.parameters)
        self.values: Values = values

    def add(self, loss: Tensor, weight: float, **values: Tensor) -> None:
        """Add weight times the loss's gradient and each value; no other gradient is made."""
        found = torch.autograd.grad(loss * weight, self.optimizer.parameters, allow_unused=True)
        for i, gradient in enumerate(found):
            before = self.gradients[i]
            self.gradients[i] = (
                gradient if before is None or gradient is None else before + gradient
            )
        for name, value in values.items():
            self.values[name] = self.values[name] + value.detach() * weight

    def descend(self, world: World) -> Values:
        """Take the step of the whole batch's gradient; gives the values of the whole batch."""
        gradients = [
            torch.zeros_like(parameter) if gradient is None else gradient
            for parameter, gradient in zip(self.optimizer.parameters, self.gradients, strict=True)
        ]
        total = world.total([*gradients, *self.values.values()])
        self.optimizer.step(total[: len(gradients)])
        return dict(zip(self.values, total[len(gradients) :], strict=True))


# -- the step


def step(training: Training, real_img: Tensor) -> dict[str, float]:
    """Look at one batch: this process's share of it (N, 3, H, W) in [-1, 1]; what it was like."""
    return ended_step(training, begun_step(training, real_img))


def begun_step(training: Training, real_img: Tensor) -> Values:
    """A step as far as it goes without waiting for a GPU; `ended_step` wants its values."""
    preset, p = training.preset, training.adaptation.p
    kind = kind_of(preset, training.nimg // preset.batch, p)
    if training.compute.cuda_graphs:
        compute = partial(_computed_from, training, kind)
        values = training.recordings.run(kind, compute, real_img, p, training.random)
    else:
        values = _computed(training, kind, real_img)
    training.nimg += preset.batch
    _update_ema(training)
    return values


def ended_step(training: Training, values: Values) -> dict[str, float]:
    """The numbers that a step gave, when they are there."""
    told = dict(zip(values, torch.stack(list(values.values())).tolist(), strict=True))
    _adapt(training, told)
    return told


def _computed_from(training: Training, kind: Kind, inputs: Inputs) -> Values:
    training.inputs = inputs
    try:
        return _computed(training, kind, inputs.real_img)
    finally:
        training.inputs = None


def _computed(training: Training, kind: Kind, real_img: Tensor) -> Values:
    """All that moves the weights of the two networks."""
    preset = training.preset
    groups = preset.batch // preset.group
    todo = passes(training, groups)
    training.discriminator.iterate()
    # In one pass, the pictures that the discriminator learns from are judged for the generator,
    # too. Several save memory, which kept pictures would cost: they are made once more.
    kept = [_made(part) for part in todo] if len(todo) == 1 else None
    values, real_means = _discriminator_step(training, real_img, todo, kept)
    values |= _generator_step(training, todo, kept, real_means)
    # The regularisers come last: until the generator's step the graph of its pictures is kept.
    if kind.r1:
        values |= _r1_step(training, real_img, todo)
    if kind.path_length:
        values |= _path_length_step(training, passes(training, max(1, groups // 2)))
    return values


@dataclass(frozen=True)
class Made:
    """Generated pictures as the discriminator sees them, and the mean w (w_dim,) they came from."""

    maps: list[Tensor]
    w_mean: Tensor


def _made(part: Pass) -> Made:
    training = part.training
    with training.compute.autocast():
        images, w, _ = _generated(part, "generated", training.synthesis)
        seen = _augmented(training, images, part.random("augment generated"))
        return Made(training.discriminator.project(seen), w.detach().mean(dim=0))


def _discriminator_step(
    training: Training, real_img: Tensor, todo: list[Pass], kept: list[Made] | None
) -> tuple[Values, list[list[Tensor]]]:
    """The values, and what the real pictures of each pass are as a whole."""
    real_means = []
    discriminator, zero = training.discriminator, torch.zeros((), device=training.compute.device)
    loss_real, loss_gen = _LOSSES_D[training.preset.discriminator]
    told = ("loss_d", "logits_real", "logits_gen", "sign_real")
    sums = Sums(training.optimizer_d, **dict.fromkeys(told, zero))
    for number, part in enumerate(todo):
        with torch.no_grad(), training.compute.autocast():
            made = kept[number] if kept else _made(part)
            seen = _augmented(training, real_img[part.place], part.random("augment real"))
            real_maps = discriminator.project(seen)
            real_means.append(discriminator.means(real_maps))
        # One after the other: the maps of only one are kept at a time.
        with training.compute.autocast():
            logits = at_least_single(training.judge(real_maps))
        loss = loss_real(logits)
        signs = logits.sign().mean()
        sums.add(loss, part.weight, loss_d=loss, logits_real=logits.mean(), sign_real=signs)
        with training.compute.autocast():
            logits = at_least_single(training.judge([x.detach() for x in made.maps]))
        loss = loss_gen(logits)
        sums.add(loss, part.weight, loss_d=loss, logits_gen=logits.mean())
    return sums.descend(training.compute.world), real_means


def _generator_step(
    training: Training,
    todo: list[Pass],
    kept: list[Made] | None,
    real_means: list[list[Tensor]],
) -> Values:
    """Be taken for real, and, where there are features to see it by, be as varied as the real."""
    zero = torch.zeros((), device=training.compute.device)
    generator, w_mean = training.generator, torch.zeros_like(training.generator.w_avg)
    sums = Sums(training.optimizer_g, loss_g=zero, energy=zero, w_mean=w_mean)
    for number, part in enumerate(todo):
        made = kept[number] if kept else _made(part)
        with training.compute.autocast():
            logits = at_least_single(training.judge(made.maps))
        loss = _LOSSES_G[training.preset.discriminator](logits)
        energy = _energy(training, made.maps, real_means[number])
        whole = loss + ENERGY_WEIGHT * energy
        sums.add(whole, part.weight, loss_g=loss, energy=energy, w_mean=made.w_mean)
    values = sums.descend(training.compute.world)
    w_mean = values.pop("w_mean")
    if not has_energy(training.preset):
        values.pop("energy")
    if isinstance(generator, StyleGAN2Generator):  # the mean of the light one is 0 by definition
        generator.w_avg.lerp_(w_mean, 1 - W_AVG_DECAY)
    return values


def _energy(training: Training, maps: list[Tensor], real_means: list[Tensor]) -> Tensor:
    """Distance of generated pictures from real ones as wholes; mean over groups and levels.

    The heads judge patches, and each picture by itself. This compares what batches are like in
    the frozen features: generative moment matching there (dos Santos et al. 2019, 1904.02762), by
    the energy distance, which also drives the pictures of a batch apart (DECISIONS.md).
    """
    group = training.preset.group
    found = [
        energy_distance(one, other)
        for means, real in zip(training.discriminator.means(maps), real_means, strict=True)
        for one, other in zip(_grouped(means, group), _grouped(real, group), strict=True)
    ]
    return torch.stack(found).mean() if found else maps[0].new_zeros(())


def _grouped(rows: Tensor, group: int) -> tuple[Tensor, ...]:
    return torch.unbind(rows.reshape(-1, group, rows.shape[1]))


def _r1_step(training: Training, real_img: Tensor, todo: list[Pass]) -> Values:
    """R1, through the augmentation, in single precision."""
    sums = Sums(training.optimizer_d, r1=torch.zeros((), device=training.compute.device))
    for part in todo:
        leaf = real_img[part.place].detach().requires_grad_()
        seen = _augmented(training, leaf, part.random("augment real"))
        penalty = r1_penalty(training.discriminator(seen), leaf)
        sums.add(penalty * (training.preset.r1_gamma / 2 * R1_EVERY), part.weight, r1=penalty)
    return sums.descend(training.compute.world)


def _path_length_step(training: Training, todo: list[Pass]) -> Values:
    """Path lengths shall be their running mean (StyleGAN2, eq. 4); that of the steps before."""
    zero = torch.zeros((), device=training.compute.device)
    sums = Sums(training.optimizer_g, path_length=zero)
    for part in todo:
        images, _, ws = _generated(part, "path length", training.generator.synthesis)
        y = part.random("path direction").normal(*images.shape[1:])
        lengths = path_lengths(images, ws, y)
        penalty = (lengths - training.pl_mean).square().mean()
        weight = training.preset.pl_weight * PATH_LENGTH_EVERY
        sums.add(penalty * weight, part.weight, path_length=lengths.mean())
    values = sums.descend(training.compute.world)
    training.pl_mean.lerp_(values["path_length"], PATH_LENGTH_DECAY)
    return values


def _generated(
    part: Pass, purpose: str, synthesis: Callable[..., Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """(pictures (N, 3, H, W), w (N, w_dim), ws (N, num_ws, w_dim)) of new z, some mixed."""
    training, random = part.training, part.random(purpose)
    generator = training.generator
    w = generator.mapping(random.normal(training.preset.z_dim))
    ws = w[:, None].repeat(1, generator.num_ws, 1)
    if isinstance(generator, StyleGAN2Generator):
        ws = _mixed(generator, ws, training.preset.style_mixing, random)
    return synthesis(ws, random.noise(generator.noise_shapes)), w, ws


def _mixed(
    generator: StyleGAN2Generator, ws: Tensor, probability: float, random: BatchRandom
) -> Tensor:
    """Style mixing (Karras 2019, sec. 3.1): from a random layer on, the w of another z."""
    layers = ws.shape[1]
    z = random.normal(generator.z_dim)
    first = random.integers(1, layers, 1)
    mixing = random.uniform(1) < probability
    other = (torch.arange(layers, device=ws.device) >= first) & mixing
    return torch.where(other[:, :, None], generator.mapping(z)[:, None], ws)


def _augmented(training: Training, images: Tensor, random: BatchRandom) -> Tensor:
    """What the discriminator is shown of (N, 3, H, W)."""
    if training.preset.augment == "ada":
        p: float | Tensor = training.adaptation.p
        return ada.augmented(images, random, training.inputs.p if training.inputs and p else p)
    return diffaug.augmented(images, random) if training.preset.augment == "fixed" else images


def _adapt(training: Training, told: dict[str, float]) -> None:
    """Follow the signs of the real pictures' logits; what is told gains r_t and p."""
    batch = training.preset.batch
    told["r_t"] = told.pop("sign_real")
    if training.preset.augment != "ada":
        return
    training.adaptation.saw(told["r_t"] * batch, batch)
    if training.nimg // batch % ada.INTERVAL == 0:
        training.adaptation.adapt(training.preset.ada_target, batch * ada.INTERVAL)
    told["ada_p"] = training.adaptation.p


@torch.no_grad()
def _update_ema(training: Training) -> None:
    """G_ema moves with a half-life of ema_kimg, shorter in the beginning."""
    preset = training.preset
    seen = training.head_start + training.nimg
    half_life_nimg = min(preset.ema_kimg * 1000, seen * preset.ema_ramp)
    weight = 1 - 0.5 ** (preset.batch / max(half_life_nimg, 1e-8))
    average, now = training.generator_ema, training.generator
    means = [*average.parameters(), average.w_avg]
    torch._foreach_lerp_(means, [*now.parameters(), now.w_avg], weight)
