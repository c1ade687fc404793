"""Ground truth of pixels: depth, point class, instance."""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.render.jit import kernel


@kernel
def label(drawn, ids, inverse, geometry, objects, instances, ignore, top, stop, depth, semantic, instance):
    """Rows [top, stop): depth float32 [H, W] m (infinite: nothing), semantic uint8 [H, W], instance uint16 [H, W]."""
    for i in range(top, stop):
        for j in range(ids.shape[1]):
            m = ids[i, j]
            if m < 0:
                depth[i, j] = np.inf
                semantic[i, j] = ignore
                instance[i, j] = 0
                continue
            depth[i, j] = np.float32(1.0 / inverse[i, j])
            semantic[i, j] = geometry.label[drawn.source[m, 1]]
            instance[i, j] = instances[objects.number[drawn.source[m, 0]]]
