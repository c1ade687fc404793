"""The step network of any clip network."""

from __future__ import annotations

from models.tsm.lstm import LstmNetwork, OnlineLstm
from models.tsm.network import ClipNetwork, VideoNetwork
from models.tsm.online import OnlineTsm, streams
from models.tsm.step import StepNetwork
from models.tsm.window import WindowStep


def step_network(network: VideoNetwork) -> StepNetwork:
    """Frame by frame: with caches of features where the network does not look ahead, else a window of frames."""
    if isinstance(network, ClipNetwork) and streams(network.spec):
        return OnlineTsm(network).eval()
    if isinstance(network, LstmNetwork):
        return OnlineLstm(network).eval()
    return WindowStep(network).eval()
