"""The networks of GAN Compression: trained teachers, and super networks in checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from models.facts import ModelError, ModelFacts, load_network
from models.gan.build import build_network, facts_of
from models.gan.resnet_config import choices_of
from models.gan.spade_generator import SPADE_SEARCH_SPACES
from models.state import load_weights
from training.common.checkpoints import averaged_weights

TEACHERS = {"gan-resnet": "resnet", "gan-mobile-resnet": "resnet", "gan-spade": "spade", "gan-mobile-spade": "spade"}
SUPER = {"resnet": "gan-super-mobile-resnet", "spade": "gan-super-mobile-spade"}
SUB = {"resnet": "gan-sub-mobile-resnet", "spade": "gan-mobile-spade"}


@dataclass(frozen=True)
class Teacher:
    """A trained generator, frozen. kind: "resnet" or "spade"."""

    network: nn.Module
    facts: ModelFacts
    kind: str

    @classmethod
    def open(cls, text: str) -> Teacher:
        """The network of a model folder. ModelError where it is not a generator that can be compressed."""
        if not text:
            raise ModelError("no teacher was given: --set teacher=MODEL, a folder with model.yaml")
        network, facts = load_network(text)
        if facts.architecture not in TEACHERS:
            raise ModelError(f"{text} is a {facts.architecture}: expected one of {', '.join(TEACHERS)} as a teacher")
        return cls(network.eval().requires_grad_(False), facts, TEACHERS[facts.architecture])

    @property
    def ngf(self) -> int:
        """Its width."""
        return int(self.facts.network.get("ngf", 64))

    @property
    def blocks(self) -> int:
        """Residual blocks of a ResNet."""
        return int(self.facts.network.get("n_blocks", 9))

    def shared_numbers(self) -> dict[str, Any]:
        """Constructor arguments that its students take over."""
        own = ("ngf", "hidden", "config", "dropout", "z_dim")
        return {k: v for k, v in self.facts.network.items() if k not in own}


def search_space(kind: str, space: str) -> tuple[tuple[int, ...], ...]:
    """Widths per position. ValueError for an unknown space."""
    if kind == "resnet":
        return choices_of(space)
    if space not in SPADE_SEARCH_SPACES:
        raise ValueError(f"search space {space!r} is unknown: expected one of {', '.join(SPADE_SEARCH_SPACES)}")
    return SPADE_SEARCH_SPACES[space]


def super_network(checkpoint: str | Path) -> tuple[Any, str, dict[str, Any]]:
    """(averaged super network in eval mode, its kind, notes) of a checkpoint. Raises ModelError."""
    state, notes = averaged_weights(Path(checkpoint))
    architecture = notes.get("architecture", "")
    kinds = [kind for kind, name in SUPER.items() if name == architecture]
    if not kinds:
        raise ModelError(f"{checkpoint} holds a {architecture or 'network without facts'}: expected a super network")
    network = build_network(facts_of(architecture, notes["network"], str(checkpoint)))
    load_weights(network, state, str(checkpoint))
    return network, kinds[0], notes
