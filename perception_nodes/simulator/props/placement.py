"""Put everything beside the roads of a drafted world."""

from __future__ import annotations

from perception_nodes.simulator.draft import Draft
from perception_nodes.simulator.props.backdrop import add_backdrop
from perception_nodes.simulator.props.library import draw_library
from perception_nodes.simulator.props.lots import Pool, fill_lot
from perception_nodes.simulator.props.placer import Placer
from perception_nodes.simulator.props.streetside import add_signals, furnish


def place_props(draft: Draft) -> None:
    """Lots, street edges, traffic lights and the backdrop; adds to `draft.prop_soup` and `draft.lamps`."""
    assert draft.ground is not None
    library = draw_library(draft.rng)
    pool = Pool()
    placer = Placer(draft.warp, draft.ground)
    for front in draft.fronts:
        for lot in front.lots:
            fill_lot(draft.prop_soup, placer, library, pool, draft.plan.style, front, lot)
        furnish(draft, placer, library, front)
    add_signals(draft, placer, library)
    add_backdrop(draft, placer, library, [front for front in draft.fronts if front.key == -1])
    placer.flush(draft.prop_soup)
