"""How many examples the fuzz tests take: few in `make test`, many in `make fuzz` (PERCEPTION_FUZZ is the factor)."""

import os

import pytest
from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("PERCEPTION_FUZZ", "1"))


def fuzzed(examples: int):
    """Decorator: `examples` times the factor, no deadline; the test belongs to `make fuzz`."""

    def wrap(test):
        bounded = settings(
            max_examples=examples * FACTOR, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
        )
        return pytest.mark.fuzz(pytest.mark.timeout(300 * FACTOR)(bounded(test)))

    return wrap
