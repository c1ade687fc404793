"""Every system: a network with its inputs, outputs and scores. A new one is a declaration and its name here."""

from perception_nodes.systems import spvcnn, tsm
from perception_nodes.systems.system import System, check_together

SYSTEMS: tuple[System, ...] = check_together((spvcnn.SYSTEM, tsm.SYSTEM))

__all__ = ["SYSTEMS", "System"]
