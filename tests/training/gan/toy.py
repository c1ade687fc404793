"""Toy pictures and small configs for the GAN trainers' tests."""

import numpy as np
import torch

from training.common.processes import Process
from training.gan.packs import Pack, read_pack, write_pack

PROCESS = Process()
SIZE = 16


def pictures(count, seed=0, height=SIZE, width=SIZE):
    """Bright rectangles on dark ground."""
    rng = np.random.default_rng(seed)
    out = np.full((count, height, width, 3), 40, np.uint8)
    for picture in out:
        y, x = rng.integers(0, height // 2), rng.integers(0, width // 2)
        picture[y : y + height // 2, x : x + width // 2] = rng.integers(120, 255, 3)
    return out


def pack(tmp_path, needed, name="pack.npz", count=12, paired=True, **sizes):
    """A pack on disk, read again: `b` is `a` inverted, `labels` say where the rectangle is."""
    a = pictures(count, **sizes)
    labels = (a.mean(3) > 60).astype(np.uint8)
    arrays = {"a": a, "b": 255 - a, "pictures": a, "labels": labels, "classes": labels[:, 8, 8]}
    path = tmp_path / name
    facts = {"source": "toy", "paired": paired, "label_names": ["ground", "box"], "class_names": ["off", "on"]}
    write_pack(path, facts, **{k: v for k, v in arrays.items() if k in needed})
    return read_pack(path, needed, paired)


def same(a, b):
    """Whether two trainers' networks and averages are equal, bit for bit."""
    for one, other in zip(a.trainees, b.trainees):
        states = [(one.network.state_dict(), other.network.state_dict()), (one.ema, other.ema)]
        if not all(torch.equal(x[k], y[k]) for x, y in states for k in x):
            return False
    return True


def resumes_exactly(make, out, steps=3):
    """A run of 2 `steps` in one go equals one that is saved and resumed half-way."""
    whole, first, second = make(), make(), make()
    for i in range(2 * steps):
        whole.step(i / (2 * steps))
    for i in range(steps):
        first.step(i / (2 * steps))
    out.mkdir(exist_ok=True)
    first.save(out)
    second.resume(out)
    assert not same(whole, second)
    for i in range(steps, 2 * steps):
        second.step(i / (2 * steps))
    return same(whole, second)


__all__ = ["PROCESS", "SIZE", "Pack", "pack", "pictures", "resumes_exactly", "same"]
