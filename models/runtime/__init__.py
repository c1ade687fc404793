"""One way to run a dense network fast on the CPU: `compile_network(module, example_inputs)`."""

from models.runtime.choose import RUNTIMES, RuntimeFallback, available, compile_network, describe
from models.runtime.compiled import Compiled, Stream

__all__ = ["RUNTIMES", "Compiled", "RuntimeFallback", "Stream", "available", "compile_network", "describe"]
