"""Training of GANs: one kind of training a call, on a pack of pictures (training/gan/gather.py).

    python -m training.gan pix2pix --data runs/pairs.npz --held runs/pairs_val.npz --out runs/night
    python -m training.gan cyclegan --data runs/sides.npz --out runs/cycle --set cycle=10
    python -m training.gan stylegan2 --data runs/world.npz --held runs/world_val.npz --out runs/style
    python -m training.gan spade --data runs/world.npz --out runs/spade
    python -m training.gan pix2pix --data runs/pairs.npz --out runs/night --resume

Release with `python -m training.gan.release`. All kinds take DiffAugment: --set augment.policy=color,translation,cutout
"""

from __future__ import annotations

import sys
from pathlib import Path

from training.common.command import launch, training_parser
from training.common.processes import Process
from training.gan.kinds import KINDS
from training.gan.packs import read_pack


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = training_parser("gan", __doc__ or "")
    parser.add_argument("kind", choices=tuple(KINDS), help="what to train")
    parser.add_argument("--data", type=Path, required=True, help="pack to learn from")
    parser.add_argument("--held", type=Path, help="pack to validate on")
    options = parser.parse_args(arguments)
    kind = KINDS[options.kind]

    def make(config, process: Process):  # type: ignore[no-untyped-def]
        pack = read_pack(options.data, kind.needs, kind.paired, ("classes",))
        held = read_pack(options.held, kind.needs, kind.paired, ("classes",)) if options.held else None
        return kind.trainer(config, process, pack, held)

    return launch(make, kind.config, options)


if __name__ == "__main__":
    sys.exit(main())
