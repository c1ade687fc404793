"""Which sub-networks a super network has, and how they are drawn: SPVNAS's widths, ratios and depths."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from models.facts import ModelError
from models.spvcnn.subnet import MAX_DEPTH, Subnet, SubnetStage

Bounds = tuple[float, float]
FULL: Bounds = (0.125, 1.0)


@dataclass(frozen=True)
class SearchSpace:
    """lower, upper: least and largest output widths (stem, four down, four up); the stem is fixed at `upper` · middle,
    up_middle, transition, up_transition: least and largest share of the widest possible middle and transition widths,
    of down and up stages · min_depth: residual blocks that a stage has at least, 1 or 2 · divisor: widths are rounded
    down to its multiples · floor: but not below this.

    The released code of 2021 rounds down to multiples of 4 (`divisor` 4, `floor` 0); that of 2023 to multiples of
    16, but not below 16.
    """

    lower: tuple[int, ...]
    upper: tuple[int, ...]
    middle: Bounds = FULL
    up_middle: Bounds = FULL
    transition: Bounds = FULL
    up_transition: Bounds = FULL
    min_depth: int = 1
    divisor: int = 4
    floor: int = 0

    def __post_init__(self) -> None:
        shaped = len(self.lower) == len(self.upper) == 9 and all(0 < a <= b for a, b in zip(self.lower, self.upper))
        if not shaped or not 1 <= self.min_depth <= MAX_DEPTH or self.divisor < 1:
            raise ModelError(
                f"a search space from {list(self.lower)} to {list(self.upper)}, depth {self.min_depth} to {MAX_DEPTH}, "
                f"divisor {self.divisor}: expected nine widths each, none above its upper one, depth 1 or 2"
            )

    def rounded(self, width: float) -> int:
        """A width as the released code rounds it, at least one."""
        return max(int(width) // self.divisor * self.divisor, self.floor, 1)

    def largest(self) -> Subnet:
        """The whole super network."""
        u = self.upper
        stages = [
            SubnetStage(u[i] if i < 4 else u[i + 1], u[i + 1], (u[i + 1],) * MAX_DEPTH) for i in range(8)
        ]  # fmt: skip
        return Subnet(u[0], tuple(stages))

    def smallest(self) -> Subnet:
        """The least of everything."""
        return self._subnet(lambda low, high: low, self.min_depth)

    def sample(self, rng: random.Random, min_depth: int | None = None) -> Subnet:
        """A sub-network drawn as published: output widths and depths uniformly among the whole numbers between the
        bounds, middle and transition widths by a uniform share, all rounded. min_depth: instead of the space's own."""
        return self._subnet(rng.uniform, min_depth or self.min_depth, rng)

    def _subnet(self, share: Any, min_depth: int, rng: random.Random | None = None) -> Subnet:
        pairs = list(zip(self.lower, self.upper))
        widths = [low if rng is None else rng.randint(low, high) for low, high in pairs]
        widths = [min(self.rounded(w), high) for w, (_, high) in zip(widths, pairs)]
        widths[0] = self.upper[0]
        stages = []
        for i in range(8):
            most = self.upper[i + 1]
            bounds, ratios = (
                (self.up_transition, self.up_middle) if i >= 4 else (self.transition, self.middle)
            )  # fmt: skip
            transition = min(self.rounded(share(*bounds) * (most if i >= 4 else self.upper[i])), self.most(i))
            depth = min_depth if rng is None else rng.randint(min_depth, MAX_DEPTH)
            middles = [min(self.rounded(share(*ratios) * most), most) for _ in range(depth)]
            stages.append(SubnetStage(transition, widths[i + 1], tuple(middles)))
        return Subnet(widths[0], tuple(stages))

    def most(self, stage: int) -> int:
        """The widest transition of stage 0..7."""
        return self.upper[stage + 1] if stage >= 4 else self.upper[stage]

    def mutate(self, subnet: Subnet, rng: random.Random, chance: float = 0.1) -> Subnet:
        """Every choice is drawn anew with probability `chance`: output width, transition, depth, each middle."""
        fresh = self.sample(rng)
        stages = []
        for i, (old, new) in enumerate(zip(subnet.stages, fresh.stages)):
            depth = len(new.middles) if rng.random() < chance else len(old.middles)
            spare = [
                min(self.rounded(self._share(i, rng) * self.upper[i + 1]), self.upper[i + 1]) for _ in range(depth)
            ]
            middles = [
                old.middles[j] if j < len(old.middles) and rng.random() >= chance else spare[j] for j in range(depth)
            ]  # fmt: skip
            stages.append(
                SubnetStage(
                    new.transition if rng.random() < chance else old.transition,
                    new.outputs if rng.random() < chance else old.outputs,
                    tuple(middles),
                )
            )
        return Subnet(subnet.stem, tuple(stages))

    def _share(self, stage: int, rng: random.Random) -> float:
        return rng.uniform(*(self.up_middle if stage >= 4 else self.middle))

    def cross(self, one: Subnet, other: Subnet, rng: random.Random) -> Subnet:
        """Every stage's transition, output width and blocks come from either parent, each with probability one half."""
        stages = []
        for a, b in zip(one.stages, other.stages):
            t, c, m = (rng.random() < 0.5 for _ in range(3))
            stages.append(
                SubnetStage(a.transition if t else b.transition, a.outputs if c else b.outputs, (a if m else b).middles)
            )
        return Subnet(one.stem, tuple(stages))

    def contains(self, subnet: Subnet) -> bool:
        """Whether a super network of this space has the sub-network (its widths may be any up to the largest)."""
        if subnet.stem != self.upper[0]:
            return False
        return all(
            s.outputs <= self.upper[i + 1] and s.transition <= self.most(i) and max(s.middles) <= self.upper[i + 1]
            for i, s in enumerate(subnet.stages)
        )


OFFICIAL = SearchSpace((32, 16, 32, 64, 128, 128, 64, 48, 48), (32, 48, 96, 192, 384, 384, 192, 128, 128))
OFFICIAL_16 = SearchSpace(OFFICIAL.lower, OFFICIAL.upper, divisor=16, floor=16)
# Around spvcnn-lite (presets.LITE_WIDTHS), for real time on two CPU cores: layers at full resolution cannot grow, those
# at strides 4 to 16 can. The compiled engine computes 8 or 16 channels at once, so widths are multiples of 8.
LITE = SearchSpace(
    (16, 16, 16, 32, 32, 32, 16, 16, 16), (16, 16, 32, 64, 96, 64, 32, 16, 16), middle=(0.5, 1.0), up_middle=(0.5, 1.0),
    transition=(0.5, 1.0), up_transition=(0.5, 1.0), divisor=8, floor=8,
)  # fmt: skip
SPACES = {"official": OFFICIAL, "official-16": OFFICIAL_16, "lite": LITE}
