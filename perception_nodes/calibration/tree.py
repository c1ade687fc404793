"""The TF tree: links of /tf_static and /tf, looked up without ROS. A missing link is an error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.links import FixedLink, MovingLink
from perception_nodes.calibration.se3 import Matrix, invert, is_rigid
from perception_nodes.messages.transforms import Transform, read_transforms

MAX_FRAMES = 1000


class TransformTree:
    """Frames and the links between them.

    A fixed link (/tf_static, a rig) is the same at any time: the latest transform of a child replaces the one before.
    A moving link (/tf) keeps its last seconds and is interpolated.
    """

    def __init__(self, transforms: Iterable[Transform] = ()) -> None:
        self._links: dict[str, FixedLink | MovingLink] = {}
        self.changes = 0  # counts changes of fixed links and of the tree's shape: when to repeat a lookup that is kept
        for transform in transforms:
            self.add(transform)

    def add(self, transform: Transform, moving: bool = False) -> None:
        """Adds or replaces a link (`moving`: adds a transform to it).

        Raises:
            CalibrationError: a frame would become its own ancestor, a matrix is not rigid, or too many frames.
        """
        parent, child = transform.parent, transform.child
        if not parent or not child:
            raise CalibrationError(f"a transform from {child!r} to {parent!r}: frame names must not be empty")
        if not is_rigid(transform.parent_from_child):
            raise CalibrationError(f"the transform {parent} <- {child} is not rigid")
        if parent == child or child in self._ancestors(parent):
            raise CalibrationError(f"the transform {parent} <- {child} closes a cycle in the TF tree")
        old = self._links.get(child)
        if old is None and len(self._links) >= MAX_FRAMES:
            raise CalibrationError(f"the TF tree has {MAX_FRAMES} frames already; {child!r} is refused")
        if moving:
            self._add_moving(transform, old)
            return
        self._links[child] = FixedLink(transform)
        if (
            not isinstance(old, FixedLink)
            or old.parent != parent
            or not np.array_equal(old.newest.parent_from_child, transform.parent_from_child)
        ):
            self.changes += 1

    def _add_moving(self, transform: Transform, old: FixedLink | MovingLink | None) -> None:
        if not isinstance(old, MovingLink) or old.parent != transform.parent:
            old = self._links[transform.child] = MovingLink(transform.parent, transform.child)
            self.changes += 1
        old.add(transform)

    def add_message(self, msg: Any) -> None:
        """Every transform of a TFMessage, as fixed links; raises MessageError or CalibrationError."""
        for transform in read_transforms(msg):
            self.add(transform)

    def time_jumped(self) -> None:
        """Forgets what moving links were; fixed ones stay."""
        for link in self._links.values():
            if isinstance(link, MovingLink):
                link.clear()

    def is_moving(self, target: str, source: str) -> bool:
        """True where the lookup depends on the stamp; raises as `lookup` does for frames that are not connected."""
        common = self._common(target, source)
        chains = [*self._chain(target, common), *self._chain(source, common)]
        return any(link.moving for link in chains)

    def frames(self) -> list[str]:
        """All known frames, sorted."""
        return sorted(set(self._links) | {link.parent for link in self._links.values()})

    def below(self, frame: str) -> list[str]:
        """All frames that hang below one, sorted."""
        return [child for child in sorted(self._links) if frame in self._ancestors(child)[1:]]

    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> Matrix:
        """target_from_source, float64 [4, 4], at a stamp (None: the newest).

        Raises:
            CalibrationError: names the frame or the link that is missing, or the time that is not covered.
        """
        common = self._common(target, source)
        return invert(self._up(target, common, stamp_ns)) @ self._up(source, common, stamp_ns)

    def transforms(self) -> list[Transform]:
        """The newest transform of every link, sorted by child."""
        newest = (self._links[child].newest for child in sorted(self._links))
        return [transform for transform in newest if transform is not None]

    def _common(self, target: str, source: str) -> str:
        """The nearest frame above both."""
        if target == source:
            return target
        known = self.frames()
        for frame in (target, source):
            if frame not in known:
                have = ", ".join(known[:30]) or "none"
                raise CalibrationError(
                    f"no transform {target} <- {source}: the frame {frame!r} is not in the TF tree (frames: {have});"
                    " publish it on /tf_static or give a rig YAML"
                )
        up_source, up_target = self._ancestors(source), self._ancestors(target)
        common = next((frame for frame in up_source if frame in up_target), None)
        if common is None:
            raise CalibrationError(
                f"no transform {target} <- {source}: they hang in separate trees, under {up_target[-1]!r} and"
                f" {up_source[-1]!r}; publish the link on /tf_static or give a rig YAML"
            )
        return common

    def _ancestors(self, frame: str) -> list[str]:
        """The frame itself, its parent, ... up to the root."""
        chain = [frame]
        while chain[-1] in self._links:
            chain.append(self._links[chain[-1]].parent)
        return chain

    def _chain(self, frame: str, ancestor: str) -> list[FixedLink | MovingLink]:
        """The links from a frame up to an ancestor."""
        links = []
        while frame != ancestor:
            links.append(self._links[frame])
            frame = links[-1].parent
        return links

    def _up(self, frame: str, ancestor: str, stamp_ns: int | None) -> Matrix:
        """ancestor_from_frame."""
        out = np.eye(4)
        for link in self._chain(frame, ancestor):
            out = link.at(stamp_ns) @ out
        return out
