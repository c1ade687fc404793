"""Which seeds of the driving world are for training, which for validation, which for testing. They never overlap.

A seed makes a world, its traffic, weather and scenario (`random_scenario(seed)`), so a seed seen in training is a
street seen in training. Held-out drives (demo, evaluation) take theirs from TEST.
"""

TRAIN = range(900_000)
VAL = range(900_000, 950_000)
TEST = range(950_000, 1_000_000)

SPLITS = {"train": TRAIN, "val": VAL, "test": TEST}


def split_of(seed: int) -> str:
    """Name of the split that owns `seed`; ValueError for a seed of none."""
    for name, seeds in SPLITS.items():
        if seed in seeds:
            return name
    raise ValueError(f"seed {seed} belongs to no split; train {TRAIN}, val {VAL}, test {TEST}")
