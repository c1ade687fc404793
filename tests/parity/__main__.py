"""python -m tests.parity DIR: every parity vector in DIR whose system is implemented, compared with our networks.

Prints name, largest relative error (max|ours - reference| / max|reference| over each output), tolerance, result, then
the systems without an implementation. Exit code 0 only if at least one vector ran and every one that ran passed.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from pathlib import Path

import numpy as np

from tests.parity.vectors import Vector, load_vector, system_of

SYSTEMS = {
    "TSM shift": ("tests.parity.tsm", "run_shift"),
    "TSM MobileNetV2 online": ("tests.parity.tsm", "run_online"),
    **{
        f"TSM {backbone} offline": ("tests.parity.tsm", "run_offline")
        for backbone in ("mobilenetv2", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
    },
    "BEV pool": ("tests.parity.bevfusion", "run"),
    **{
        f"BEVFusion {part}": ("tests.parity.bevfusion", "run")
        for part in (
            "camera neck", "view transform", "LiDAR encoder", "fuser", "decoder backbone", "decoder neck",
            "detection head", "box coder", "BEV segmentation head",
        )  # fmt: skip
    },
    "sparse convolution layers": ("tests.parity.sparse_layers", "run"),
    "MinkUNet": ("tests.parity.spvcnn", "run"),
    "SPVCNN": ("tests.parity.spvcnn", "run"),
    "SPVNAS supernet": ("tests.parity.spvnas", "run"),
    "PVConv": ("tests.parity.pvcnn", "run_layer"),
    "PVCNN S3DIS": ("tests.parity.pvcnn", "run_network"),
    "PVCNN ShapeNet": ("tests.parity.pvcnn", "run_network"),
    "GAN Compression teacher generator": ("tests.parity.gan_translation", "run_generator"),
    "GAN Compression mobile generator": ("tests.parity.gan_translation", "run_generator"),
    "GAN Compression compressed generator": ("tests.parity.gan_translation", "run_generator"),
    "GAN Compression once-for-all generator": ("tests.parity.gan_translation", "run_supernet"),
    "PatchGAN discriminator": ("tests.parity.gan_translation", "run_patchgan"),
    "SPADE generator (NVlabs layout)": ("tests.parity.gan_spade", "run_nvlabs"),
    "SPADE generator (gan-compression layout)": ("tests.parity.gan_spade", "run_compressed"),
    "SPADE multi-scale discriminator": ("tests.parity.gan_spade", "run_discriminator"),
    "SPADE VAE image encoder": ("tests.parity.gan_spade", "run_encoder"),
    "AnyCost GAN generator": ("tests.parity.gan_style", "run_anycost"),
    "AnyCost GAN generator-conditioned discriminator": ("tests.parity.gan_style", "run_multi_resolution"),
    "StyleGAN2 discriminator": ("tests.parity.gan_style", "run_discriminator"),
    "StyleGAN2-ADA generator": ("tests.parity.gan_style", "run_ada_generator"),
    "StyleGAN2-ADA discriminator": ("tests.parity.gan_style", "run_ada_discriminator"),
    "MSG-GAN generator": ("tests.parity.gan_style", "run_msg_generator"),
    "MSG-GAN discriminator": ("tests.parity.gan_style", "run_msg_discriminator"),
    "DiffAugment": ("tests.parity.gan_translation", "run_diffaugment"),
}


def relative_error(ours: np.ndarray, reference: np.ndarray) -> float:
    """max|ours - reference| / max|reference|; infinity where shapes or integers differ or values are not finite."""
    if ours.shape != reference.shape:
        return float("inf")
    if reference.dtype.kind in "iub":
        return 0.0 if np.array_equal(ours.astype(np.int64), reference.astype(np.int64)) else float("inf")
    if not reference.size:
        return 0.0
    difference = np.abs(ours.astype(np.float64) - reference.astype(np.float64)).max()
    return float(difference / max(np.abs(reference).max(), 1e-30)) if np.isfinite(difference) else float("inf")


def compare(vector: Vector, found: dict[str, np.ndarray]) -> tuple[float, list[str]]:
    """(largest relative error over the outputs, names of outputs that were not computed)."""
    missing, worst = [], 0.0
    for name, reference in vector.expected.items():
        if name not in found:
            missing.append(name)
            continue
        steps = vector.meta["outputs"].get(name, {}).get("stride")
        ours = found[name][tuple(slice(None, None, s) for s in steps)] if steps else found[name]
        worst = max(worst, relative_error(np.asarray(ours), reference))
    return worst, missing


def check(path: Path) -> tuple[float, float, str]:
    """(error, tolerance, result) of one vector whose system is implemented."""
    vector = load_vector(path)
    tolerance = float(vector.meta["rtol"] or 0.0)  # no tolerance means exact
    module, name = SYSTEMS[vector.system]
    try:
        found = getattr(importlib.import_module(module), name)(vector)
    except Exception as error:  # one broken vector must not hide the others
        traceback.print_exc()
        return float("inf"), tolerance, f"FAILED ({type(error).__name__}: {error})"
    worst, missing = compare(vector, found)
    if missing:
        return worst, tolerance, f"FAILED (not computed: {', '.join(missing)})"
    return worst, tolerance, "ok" if worst <= tolerance else "FAILED"


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of .npz vectors")
    folder = parser.parse_args(arguments).folder
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        print(
            f"{folder} holds no .npz vectors: give the folder that does (beside a checkout: ../shared/parity)",
            file=sys.stderr,
        )
        return 2
    width = max(len(p.stem) for p in paths)
    print(f"{'name':{width}}  largest relative error  tolerance  result")
    ran, passed, absent = 0, 0, {}
    for path in paths:
        try:
            system = system_of(path)
        except Exception as error:
            print(f"{path.stem:{width}}  {'':22}  {'':9}  FAILED (not a parity vector: {error})")
            ran += 1
            continue
        if system not in SYSTEMS:
            absent.setdefault(system, []).append(path.stem)
            continue
        error, tolerance, result = check(path)
        ran, passed = ran + 1, passed + (result == "ok")
        print(f"{path.stem:{width}}  {error:22.2e}  {tolerance:9.0e}  {result}", flush=True)
    if absent:
        print(f"\nnot implemented ({len(absent)} systems):")
        for system, names in absent.items():
            print(f"  {system}: {', '.join(names)}")
    print(f"\n{passed} of {ran} vectors passed")
    return 0 if ran and passed == ran else 1


if __name__ == "__main__":
    sys.exit(main())
