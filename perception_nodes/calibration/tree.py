"""The TF tree: parents and children from tf_static (and tf), looked up without ROS. Never an identity in disguise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.se3 import Matrix, invert, is_rigid
from perception_nodes.messages.transforms import Transform, read_transforms


class TransformTree:
    """Frames and the transforms between them; the latest transform of a child replaces the one before."""

    def __init__(self, transforms: Iterable[Transform] = ()) -> None:
        self._parents: dict[str, Transform] = {}
        self.changes = 0  # counts what really changed, so that whoever caches a lookup knows when to repeat it
        for transform in transforms:
            self.add(transform)

    def add(self, transform: Transform) -> None:
        """Raises CalibrationError for a frame that would become its own ancestor, or a matrix that is not rigid."""
        parent, child = transform.parent, transform.child
        if not parent or not child:
            raise CalibrationError(f"a transform from {child!r} to {parent!r}: frame names must not be empty")
        if not is_rigid(transform.parent_from_child):
            raise CalibrationError(f"the transform {parent} <- {child} is not rigid")
        if parent == child or child in self._ancestors(parent):
            raise CalibrationError(f"the transform {parent} <- {child} closes a cycle in the TF tree")
        old = self._parents.get(child)
        self._parents[child] = transform
        if (
            old is None
            or old.parent != parent
            or not np.array_equal(old.parent_from_child, transform.parent_from_child)
        ):
            self.changes += 1

    def add_message(self, msg: Any) -> None:
        """Every transform of a TFMessage; raises MessageError or CalibrationError."""
        for transform in read_transforms(msg):
            self.add(transform)

    def frames(self) -> list[str]:
        """All known frames, sorted."""
        return sorted(set(self._parents) | {t.parent for t in self._parents.values()})

    def lookup(self, target: str, source: str) -> Matrix:
        """target_from_source, float64 [4, 4]; raises CalibrationError naming the link that is missing."""
        known = self.frames()
        for frame in (target, source):
            if frame not in known and target != source:
                have = ", ".join(known) or "none"
                raise CalibrationError(
                    f"no transform {target} <- {source}: the frame {frame!r} is not in the TF tree (frames: {have});"
                    " publish it on /tf_static or give a rig YAML"
                )
        up_source = self._ancestors(source)
        up_target = self._ancestors(target)
        common = next((frame for frame in up_source if frame in up_target), None)
        if common is None:
            raise CalibrationError(
                f"no transform {target} <- {source}: they hang in separate trees, under {up_target[-1]!r} and"
                f" {up_source[-1]!r}; publish the link on /tf_static or give a rig YAML"
            )
        return invert(self._up(target, common)) @ self._up(source, common)

    def transforms(self) -> list[Transform]:
        """Every link, sorted by child."""
        return [self._parents[child] for child in sorted(self._parents)]

    def _ancestors(self, frame: str) -> list[str]:
        """The frame itself, its parent, ... up to the root."""
        chain = [frame]
        while chain[-1] in self._parents:
            chain.append(self._parents[chain[-1]].parent)
        return chain

    def _up(self, frame: str, ancestor: str) -> Matrix:
        """ancestor_from_frame."""
        out = np.eye(4)
        while frame != ancestor:
            link = self._parents[frame]
            out = link.parent_from_child @ out
            frame = link.parent
        return out
