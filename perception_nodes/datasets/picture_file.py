"""A data set's picture file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.datasets.errors import DatasetError
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.image import decode_picture


def read_picture(path: Path) -> NDArray[np.uint8]:
    """RGB uint8 [H, W, 3] of a JPEG or PNG file; raises DatasetError."""
    try:
        return decode_picture(path.read_bytes())
    except (OSError, MessageError) as err:
        raise DatasetError(f"cannot read the picture {path}: {err}") from err
