"""Command line of the generators of worlds: a file a world, progress, and going on where an earlier call stopped."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from training.common.progress import Progress
from training.common.seeds import SPLITS


def generation_parser(prog: str, doc: str | None, out: Path, moments: int) -> argparse.ArgumentParser:
    """Options that every generator has."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {prog}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", choices=sorted(SPLITS), default="train")
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first world in the split")
    parser.add_argument("--moments", type=int, default=moments, help="of each world")
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    return parser


def seeds_of(options: Any) -> Sequence[int]:
    """Seeds that a call's options ask for: worker w of W takes w, w + W, …"""
    worlds = SPLITS[options.split][options.first : options.first + options.worlds]
    return worlds[options.worker :: options.workers]


def generate(seeds: Sequence[int], path_of: Callable[[int], Path], make: Callable[[int], int], title: str) -> int:
    """Makes the missing worlds; exit status. make: writes one world, returns how many moments it has.

    A world that fails is reported and left out.
    """
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    bar, failed = Progress(title, len(seeds)), 0
    for seed in seeds:
        if not path_of(seed).is_file():
            try:
                make(seed)
            except KeyboardInterrupt:
                return 130
            except Exception:
                failed += 1
                print(f"world {seed} failed:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        bar.step()
    return 1 if failed else 0
