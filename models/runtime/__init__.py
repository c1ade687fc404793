"""One way to run a dense network fast on the CPU: `compile_network(module, example_inputs)`."""

from models.runtime.agreement import Task
from models.runtime.candidates import RUNTIMES, available
from models.runtime.choose import compile_network, describe
from models.runtime.compiled import Compiled, Stream

__all__ = ["RUNTIMES", "Compiled", "Stream", "Task", "available", "compile_network", "describe"]
