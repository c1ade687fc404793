"""Health: counters, events that fade, conditions that hold."""

from perception_nodes.streaming.health import Health, Level, RepeatedErrors
from perception_nodes.streaming.stopwatch import Percentiles, Stopwatch


def one(health, name="input"):
    return next(s for s in health.report() if s.name == name)


def test_all_is_well_before_anything_happened():
    assert [(s.name, s.level, s.message) for s in Health(("input", "qos")).report()] == [
        ("input", Level.OK, "ok"),
        ("qos", Level.OK, "ok"),
    ]


def test_an_event_raises_the_level_for_a_while_and_stays_counted():
    now = [0.0]
    health = Health(("input",), hold_s=5.0, now=lambda: now[0])
    health.event("input", "rejected", Level.ERROR, "bad message")
    assert one(health).level == Level.ERROR
    now[0] = 5.1
    assert one(health).level == Level.OK and one(health).values == (("rejected", "1"),)


def test_a_condition_holds_until_cleared():
    health = Health(("model",))
    health.condition("model", "untrained", Level.WARN, "untrained")
    assert one(health, "model").message == "untrained"
    health.clear("model", "untrained")
    health.clear("model", "never stated")
    assert one(health, "model").level == Level.OK


def test_the_worst_level_speaks():
    health = Health()
    health.event("input", "late", Level.WARN, "late")
    health.event("input", "bad", Level.ERROR, "bad")
    assert (one(health).level, one(health).message) == (Level.ERROR, "bad")


def test_repeated_errors_are_known_by_type_and_place():
    errors, seen = RepeatedErrors(remembered=2), []

    def fail(kind):
        try:
            raise kind("text that differs")
        except Exception as error:
            seen.append(errors.note(error))

    for kind in (ValueError, ValueError, TypeError):
        fail(kind)
    assert seen == [1, 2, 1]
    assert errors.summary()[0].endswith("2 times")
    fail(KeyError)  # memory is bounded
    assert len(errors._seen) == 2


def test_percentiles_are_absent_without_values():
    values = Percentiles()
    assert values.at(50) is None
    for v in range(1, 101):
        values.add(v)
    assert (values.at(50), values.at(99), values.at(100)) == (50, 99, 100)


def test_stages_add_up():
    watch = Stopwatch()
    for _ in range(2):
        with watch.stage("inference"):
            pass
    found = watch.milliseconds()
    assert set(found) == {"preprocess", "inference", "postprocess", "total"}
    assert found["preprocess"] == 0 and found["total"] >= found["inference"] > 0
