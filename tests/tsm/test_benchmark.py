"""The figures of `benchmarks.tsm`."""

from benchmarks.tsm_latency import Times


def test_a_host_that_changes_its_speed_between_rounds_does_not_change_the_ratio_of_two_networks():
    plain = Times(wall=[1.0, 1.0, 2.0, 2.0], cpu=[1.0] * 4)
    online = Times(wall=[1.1, 1.1, 2.2, 1.1], cpu=[1.0, 1.2, 1.2, 1.2])
    assert abs(online.over(plain, "wall") - 1.1) < 1e-9
    assert abs(online.over(plain, "cpu") - 1.2) < 1e-9
