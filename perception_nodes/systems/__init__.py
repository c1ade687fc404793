"""Every system: a network with its inputs, outputs and scores. A new one is a declaration and its name here."""

from perception_nodes.evaluation.scorer import Scorer
from perception_nodes.systems import bevfusion, gan, spvcnn, tsm
from perception_nodes.systems.system import System, check_together
from perception_nodes.viewer.panel import Panel

SYSTEMS: tuple[System, ...] = check_together((spvcnn.SYSTEM, tsm.SYSTEM, bevfusion.SYSTEM, gan.SYSTEM))
SCORERS: tuple[Scorer, ...] = tuple(scorer for system in SYSTEMS for scorer in system.scorers)
PANELS: tuple[Panel, ...] = tuple(panel for system in SYSTEMS for panel in system.panels)

__all__ = ["PANELS", "SCORERS", "SYSTEMS", "System"]
