"""The pieces of benchmarks.point_family whose answers are known."""

import numpy as np

from benchmarks.point_parts import PARTS, Clock, orderly, street_parts
from benchmarks.point_picture import COLOURS, draw_parts
from models.pvcnn.session import PointSession
from models.sparse.kernel_map import KernelMap


def test_orderly_maps_have_as_many_pairs_per_offset():
    pairs = np.array([[4, 2, 0, 3], [0, 3, 1, 2]], np.int32)
    found = orderly(KernelMap(pairs, np.array([0, 2, 2, 4]), 5, 4))
    assert found.starts.tolist() == [0, 2, 2, 4] and (found.inputs, found.outputs) == (5, 4)
    assert found.pairs.tolist() == [[0, 1, 0, 1], [0, 1, 0, 1]]


def test_the_clock_times_what_it_wraps_and_puts_it_back():
    class Owner:
        @staticmethod
        def work():
            return sum(range(20000))

    clock, before = Clock(), Owner.work
    with clock.wrap((Owner, "work", "movement")):
        assert Owner.work() == before()
    assert Owner.work is before and clock.seconds["movement"] > 0


def test_parts_of_a_step_add_up():
    rng = np.random.default_rng(0)
    xyz = rng.uniform((-8, -8, -2), (8, 8, 2), (800, 3)).astype(np.float32)
    for engine in ("frugal", "dense"):
        session = PointSession.from_weights("random:pvcnn-lite", threads=1, engine=engine)
        parts = street_parts(session, xyz, np.ones(800, np.float32))
        assert set(parts) == set(PARTS) and all(value >= 0 for value in parts.values())
        assert parts["movement"] > 0 and parts["index"] > 0 and parts["arithmetic"] > 0


def test_the_picture_shows_every_share():
    picture = draw_parts([("one", {"input": 1.0, "arithmetic": 3.0}), ("two", {"movement": 1.0})], ["a table"], "title")
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    for part in ("input", "arithmetic", "movement"):
        assert (picture.reshape(-1, 3) == COLOURS[part]).all(1).any()
