"""Once-for-all super network of the mobile SPADE generator (GAN Compression): sub-networks that share weights.

Batch-norm statistics are sliced too. They belong to whichever widths ran last in training mode, so they are measured
anew before a sub-network is scored (training/gan/recalibrate.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.gan.elastic import ELASTIC, copy_slices, set_width
from models.gan.spade_generator import BlockWidths, MobileSpadeGenerator, block_plans, parse_spade_config


class SuperMobileSpadeGenerator(MobileSpadeGenerator):
    """`select(config)` chooses the sub-network of the next calls; `extract(config)` makes it a network of its own.

    Arguments as in SpadeGenerator, without `hidden`, `z_dim` and `config`; ngf is the widest width.
    """

    def __init__(self, semantic_nc: int, ngf: int = 64, **numbers: Any):
        refused = sorted({"hidden", "z_dim", "config", "kit"} & set(numbers))
        if refused:
            raise ValueError(f"{refused[0]} does not apply to the super network")
        super().__init__(semantic_nc, ngf, kit=ELASTIC, **numbers)
        self.numbers = {"semantic_nc": semantic_nc, **numbers}
        self.ngf = ngf

    def select(self, config: str | Sequence[int]) -> None:
        """Chooses the widths of the calls to come. ValueError where one exceeds ngf."""
        self.config = parse_spade_config(config, self.ngf)
        set_width(self.fc, 16 * self.config[0])
        for plan in block_plans(self.config, self.upsampling == "most"):
            self._select_block(plan)

    def _select_block(self, plan: BlockWidths) -> None:
        block: Any = self._modules[plan.name]
        set_width(block.conv_0, plan.inner)
        set_width(block.conv_1, plan.outputs)
        norms = [(block.norm_0, plan.inputs), (block.norm_1, plan.inner)]
        if block.learned_shortcut:
            set_width(block.conv_s, plan.outputs)
            norms.append((block.norm_s, plan.inputs))
        for norm, channels in norms:
            set_width(norm.mlp_shared[0], 2 * plan.width)
            set_width(norm.mlp_gamma, channels)
            set_width(norm.mlp_beta, channels)

    def extract(self, config: str | Sequence[int]) -> MobileSpadeGenerator:
        """The sub-network as a network of its own, with copies of the leading slices."""
        student = MobileSpadeGenerator(**self.numbers, config=parse_spade_config(config, self.ngf))
        copy_slices(self, student)
        return student.train(self.training)
