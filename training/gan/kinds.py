"""The kinds of GAN training: for each its config's defaults, its trainer and what its packs must hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from training.common.loop import Trainer
from training.gan.anycost import AnycostConfig, AnycostTrainer
from training.gan.compression import CYCLE_STUDENT, PAIRED_STUDENT, SPADE_STUDENT, CompressionTrainer
from training.gan.cycle import CycleConfig, CycleTrainer
from training.gan.latent import MsgConfig, MsgTrainer, PlainConfig, PlainTrainer
from training.gan.paired import Pix2pixConfig, Pix2pixTrainer, SpadeConfig, SpadeTrainer
from training.gan.style_trainer import StyleConfig, StyleTrainer


class Kind(NamedTuple):
    """config: defaults · trainer: (config, process, pack, held pack or None) -> trainer · needs: arrays of the pack ·
    paired: whether they must belong together."""

    config: Any
    trainer: Callable[..., Trainer]
    needs: tuple[str, ...]
    paired: bool = False


KINDS: dict[str, Kind] = {
    "plain": Kind(PlainConfig(), PlainTrainer, ("pictures",)),
    "stylegan2": Kind(StyleConfig(), StyleTrainer, ("pictures",)),
    "msg": Kind(MsgConfig(), MsgTrainer, ("pictures",)),
    "anycost": Kind(AnycostConfig(), AnycostTrainer, ("pictures",)),
    "pix2pix": Kind(Pix2pixConfig(), Pix2pixTrainer, ("a", "b"), paired=True),
    "cyclegan": Kind(CycleConfig(), CycleTrainer, ("a", "b")),
    "spade": Kind(SpadeConfig(), SpadeTrainer, ("labels", "pictures"), paired=True),
    "compress-pix2pix": Kind(PAIRED_STUDENT, CompressionTrainer, ("a", "b"), paired=True),
    "compress-cyclegan": Kind(CYCLE_STUDENT, partial(CompressionTrainer, paired=False), ("a", "b")),
    "compress-spade": Kind(SPADE_STUDENT, CompressionTrainer, ("labels", "pictures"), paired=True),
}
