"""People with articulated limbs: eight phases of a walk, standing, carrying things, and seated on a two-wheeler.

Segment lengths are shares of body height after Winter, "Biomechanics and Motor Control of Human Movement" (4.1);
hip, knee and arm angles follow the shape of his normal-gait curves. nuScenes' mean pedestrian is 0.73 x 0.67 x 1.77 m.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import IGNORE, point_class
from perception_nodes.simulator.scene import Mesh, Surface
from perception_nodes.simulator.shapes.builder import RGB, MeshBuilder

PHASES = 8
THIGH, SHIN = 0.245, 0.246
UPPER_ARM, FOREARM = 0.186, 0.15
DEPTH, WIDTH = 0.42, 0.38  # box of the unstretched figure, shares of its height
HIP_HALF, SHOULDER_HALF, TORSO = 0.058, 0.118, 0.288

SKIN_TONES: tuple[RGB, ...] = ((236, 196, 168), (214, 160, 126), (170, 118, 84), (116, 76, 54), (74, 50, 38))
HAIR: tuple[RGB, ...] = ((30, 24, 20), (70, 46, 28), (120, 84, 50), (190, 160, 110), (150, 150, 150))


@dataclass(frozen=True)
class Figure:
    """One person's looks; lengths in metres."""

    height: float
    depth: float  # of the box, along the walk
    width: float  # of the box
    girth: float  # 1 is lean
    skin: RGB
    hair: RGB
    top: RGB
    legs: RGB
    shoes: RGB
    coat: bool = False
    skirt: bool = False
    hat: bool = False
    carries: str = ""  # "" | backpack | handbag | umbrella | pushchair | suitcase | child


@dataclass(frozen=True)
class Pose:
    """Joint angles in radians, forward positive, (left, right); knees and elbows bend from straight."""

    hip: tuple[float, float] = (0.0, 0.0)
    knee: tuple[float, float] = (0.05, 0.05)
    shoulder: tuple[float, float] = (0.05, -0.05)
    elbow: tuple[float, float] = (0.2, 0.2)
    lean: float = 0.03


def draw_figure(rng: np.random.Generator, child: bool = False) -> Figure:
    """A random person; children are 1.0 to 1.45 m tall."""

    def cloth(dark: bool) -> RGB:
        base = rng.integers(15, 90, 3) if dark or rng.random() < 0.5 else rng.integers(60, 235, 3)
        mean = base.mean()
        r, g, b = np.clip(mean + (base - mean) * rng.uniform(0.2, 1.0), 0, 255).astype(int)
        return int(r), int(g), int(b)

    height = rng.uniform(1.0, 1.45) if child else float(np.clip(rng.normal(1.74, 0.09), 1.5, 2.0))
    carries = rng.choice(
        ["", "backpack", "handbag", "umbrella", "pushchair", "suitcase"], p=[0.5, 0.2, 0.15, 0.03, 0.06, 0.06]
    )
    share = 0.78 if child else 1.0
    return Figure(
        height=float(height),
        depth=share * float(np.clip(rng.normal(0.73, 0.11), 0.48, 1.05)),
        width=share * float(np.clip(rng.normal(0.67, 0.08), 0.48, 0.92)),
        girth=float(rng.uniform(1.0, 1.35)),
        skin=SKIN_TONES[rng.integers(len(SKIN_TONES))],
        hair=HAIR[rng.integers(len(HAIR))],
        top=cloth(False),
        legs=cloth(True),
        shoes=cloth(True),
        coat=bool(rng.random() < 0.3),
        skirt=bool(rng.random() < 0.15),
        hat=bool(rng.random() < 0.15),
        carries=str(carries) if not child else ("backpack" if rng.random() < 0.4 else ""),
    )


def walking_pose(phase: float, vigour: float = 1.0) -> Pose:
    """Pose at a share `phase` in [0, 1) of the gait cycle; the left heel strikes at 0, the right one at 0.5."""

    def leg(p: float) -> tuple[float, float]:
        hip = 0.12 + 0.42 * math.cos(2 * math.pi * p)
        swing = max(0.0, math.sin(2 * math.pi * (p - 0.55)))  # the knee folds while the leg is in the air
        return hip * vigour, (
            0.08 + 0.95 * swing**1.5 + 0.18 * max(0.0, math.sin(4 * math.pi * p)) * (p < 0.25)
        ) * vigour

    (hl, kl), (hr, kr) = leg(phase), leg((phase + 0.5) % 1.0)
    arm = 0.38 * math.cos(2 * math.pi * phase) * vigour
    return Pose((hl, hr), (kl, kr), (-arm, arm), (0.3 - 0.2 * arm, 0.3 + 0.2 * arm), 0.05)


def person(figure: Figure, phase: int | None) -> Mesh:
    """Mesh of a person walking (`phase` 0 to 7) or standing (None); origin on the ground under the pelvis.

    Depth and width are stretched on their own: neither follows from the height."""
    b = MeshBuilder(point_class("person"))
    pose = Pose() if phase is None else walking_pose(phase / PHASES)
    holds = figure.carries
    if holds in ("pushchair",):
        pose = Pose(pose.hip, pose.knee, (0.55, 0.55), (0.7, 0.7), 0.1)
    elif holds in ("umbrella", "handbag"):
        pose = Pose(
            pose.hip,
            pose.knee,
            (pose.shoulder[0], 0.25),
            (pose.elbow[0], 1.7 if holds == "umbrella" else 0.4),
            pose.lean,
        )
    elif holds == "suitcase":
        pose = Pose(pose.hip, pose.knee, (pose.shoulder[0], -0.45), (pose.elbow[0], 0.05), pose.lean)
    hands = _stand(b, figure, pose)
    _load(b, figure, hands)
    stretch = (figure.depth / (DEPTH * figure.height), figure.width / (WIDTH * figure.height), 1.0)
    return b.mesh().moved(scale=stretch)


def _swing(angle: float) -> NDArray[np.float64]:
    return np.array([math.sin(angle), 0.0, -math.cos(angle)])


def _stand(b: MeshBuilder, f: Figure, pose: Pose) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A figure on its feet; returns where the left and the right hand are."""
    h: float = f.height
    drops = []  # from the pelvis to the lowest corner of each shoe, as shares of height
    for hip, knee in zip(pose.hip, pose.knee):
        toe = hip - knee
        sole = 0.016 - 0.045 * math.sin(toe) + 0.075 * abs(math.sin(toe)) + 0.0225 * math.cos(toe)
        drops.append(THIGH * math.cos(hip) + SHIN * math.cos(toe) + sole)
    pelvis = np.array([0.0, 0.0, h * max(drops)])
    for i, side in enumerate((1, -1)):
        root = pelvis + [0, side * HIP_HALF * h * f.girth, 0]
        bend = root + THIGH * h * _swing(pose.hip[i])
        ankle = bend + SHIN * h * _swing(pose.hip[i] - pose.knee[i])
        draw_leg(b, f, root, bend, ankle, toe=pose.hip[i] - pose.knee[i])
    shoulders, centre = draw_trunk(b, f, pelvis, pose.lean)
    hands = []
    for i in range(2):
        elbow = shoulders[i] + UPPER_ARM * h * _swing(pose.shoulder[i])
        hand = elbow + FOREARM * h * _swing(pose.shoulder[i] + pose.elbow[i])
        draw_arm(b, f, shoulders[i], elbow, hand)
        hands.append(hand)
    if f.skirt or f.coat:
        low = pelvis - [0, 0, 0.17 * h]
        spread = 0.5 * abs(pose.hip[0] - pose.hip[1]) * 0.12 * h
        _rings(
            b,
            [
                (low, 0.085 * h * f.girth + spread, 0.105 * h * f.girth),
                (pelvis + [0, 0, 0.03 * h], 0.07 * h * f.girth, 0.1 * h * f.girth),
            ],
            f.top if f.coat else f.legs,
        )
    return hands[0], hands[1]


def draw_leg(b: MeshBuilder, f: Figure, hip, knee, ankle, toe: float = 0.0) -> None:
    """Thigh, shin and shoe between given joints; `toe` tips the shoe (radians, positive: toes up)."""
    h, g = f.height, f.girth
    bare = f.skirt
    b.tube(hip, knee, 0.048 * h * g, Surface.CLOTH, f.legs, 0.034 * h * g)
    b.tube(knee, ankle, 0.034 * h * g, Surface.SKIN if bare else Surface.CLOTH, f.skin if bare else f.legs, 0.022 * h)
    forward = np.array([math.cos(toe), 0.0, math.sin(toe)])
    b.box(
        np.asarray(ankle) + forward * 0.045 * h - [0, 0, 0.016 * h],
        [0.15 * h, 0.052 * h, 0.045 * h],
        Surface.RUBBER,
        f.shoes,
        pitch=toe,
    )


def draw_arm(b: MeshBuilder, f: Figure, shoulder, elbow, hand) -> None:
    """Sleeves and a hand."""
    h, g = f.height, f.girth
    b.tube(shoulder, elbow, 0.03 * h * g, Surface.CLOTH, f.top, 0.024 * h * g)
    b.tube(elbow, hand, 0.024 * h * g, Surface.CLOTH, f.top, 0.018 * h)
    b.ellipsoid(hand, [0.026 * h, 0.018 * h, 0.03 * h], Surface.SKIN, f.skin, sides=5, rows=3)


def draw_trunk(b: MeshBuilder, f: Figure, pelvis, lean: float, helmet: RGB | None = None):
    """Trunk, neck and head above the pelvis, leaning forward; returns the shoulders ([2, 3], left first), the chest."""
    h, g = f.height, f.girth
    up = np.array([math.sin(lean), 0.0, math.cos(lean)])
    base = np.asarray(pelvis, np.float64)
    rings = [
        (base - up * 0.04 * h, 0.055 * h * g, 0.075 * h * g),
        (base + up * 0.03 * h, 0.064 * h * g, 0.095 * h * g),
        (base + up * 0.11 * h, 0.056 * h * g, 0.082 * h * g),
        (base + up * 0.21 * h, 0.068 * h * g, 0.1 * h * g),
        (base + up * (TORSO - 0.01) * h, 0.05 * h * g, 0.112 * h * (0.5 + 0.5 * g)),
        (base + up * (TORSO + 0.025) * h, 0.03 * h, 0.045 * h),
    ]
    _rings(b, rings, f.top)
    neck = base + up * (TORSO + 0.02) * h
    head_up = np.array([math.sin(lean * 0.4), 0.0, math.cos(lean * 0.4)])
    head = neck + head_up * 0.105 * h
    b.tube(neck - up * 0.02 * h, head - head_up * 0.03 * h, 0.03 * h, Surface.SKIN, f.skin, caps=False)
    b.ellipsoid(head, [0.056 * h, 0.044 * h, 0.068 * h], Surface.SKIN, f.skin, sides=8, rows=5)
    crown = head + head_up * 0.018 * h
    if helmet is not None:
        b.ellipsoid(crown, [0.08 * h, 0.064 * h, 0.066 * h], Surface.PLASTIC, helmet, sides=8, rows=5)
    elif f.hat:
        b.ellipsoid(
            crown + head_up * 0.012 * h, [0.07 * h, 0.058 * h, 0.055 * h], Surface.CLOTH, f.top, sides=8, rows=4
        )
    else:
        b.ellipsoid(
            crown - [0.012 * h, 0, 0], [0.055 * h, 0.049 * h, 0.058 * h], Surface.CLOTH, f.hair, sides=8, rows=4
        )
    top = base + up * (TORSO - 0.02) * h
    shoulders = np.stack([top + [0, s * SHOULDER_HALF * h * (0.6 + 0.4 * g), 0] for s in (1, -1)])
    return shoulders, base + up * 0.2 * h


def _rings(b: MeshBuilder, rings, rgb: RGB, sides: int = 8) -> None:
    """Sheet around elliptic rings (centre, half depth x, half width y), from bottom to top, closed on top."""
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    circle = np.stack([np.cos(angle), np.sin(angle), np.zeros(sides + 1)], 1)
    sheet = np.stack([np.asarray(c) + circle * [dx, dy, 1.0] for c, dx, dy in rings])
    b.grid(sheet[::-1], Surface.CLOTH, rgb)


def _load(b: MeshBuilder, f: Figure, hands) -> None:
    """What the person carries: worn or held is person (Cityscapes' rule), what rolls on the ground is IGNORE."""
    h = f.height
    shade: RGB = (f.shoes[2], f.shoes[0], f.legs[1])
    if f.carries == "backpack":
        b.ellipsoid([-0.1 * h, 0, 0.73 * h], [0.075 * h, 0.085 * h, 0.13 * h], Surface.CLOTH, shade, sides=6, rows=4)
    elif f.carries == "handbag":
        b.box(hands[1] - [0, 0, 0.12 * h], [0.17 * h, 0.06 * h, 0.14 * h], Surface.CLOTH, shade)
        b.tube(hands[1], hands[1] - [0, 0, 0.06 * h], 0.012, Surface.CLOTH, shade, sides=3)
    elif f.carries == "umbrella":
        tip = hands[1] + [-0.03, 0.06, 0.52 * h]
        b.tube(hands[1], tip, 0.012, Surface.METAL, (60, 60, 60), sides=4)
        angle = np.linspace(0, 2 * np.pi, 9)
        rim = np.stack([tip[0] + 0.52 * np.cos(angle), tip[1] + 0.52 * np.sin(angle), np.full(9, tip[2] - 0.2)], 1)
        half = np.stack([tip[0] + 0.28 * np.cos(angle), tip[1] + 0.28 * np.sin(angle), np.full(9, tip[2] - 0.06)], 1)
        b.grid(np.stack([np.broadcast_to(tip, (9, 3)), half, rim]), Surface.CLOTH, f.top)
    elif f.carries == "suitcase":
        x = hands[1] + [-0.28, 0, -0.2 * h]
        b.tube(hands[1], x, 0.012, Surface.METAL, (90, 90, 90), sides=4, label=IGNORE)
        b.box([x[0], x[1], 0.33], [0.24, 0.4, 0.56], Surface.PLASTIC, shade, pitch=0.35, label=IGNORE)
    elif f.carries == "pushchair":
        _pushchair(b, (hands[0] + hands[1]) / 2, shade)


def _pushchair(b: MeshBuilder, grip, cloth: RGB) -> None:
    x, z = float(grip[0]), float(grip[2])
    kw: dict[str, Any] = {"label": IGNORE}
    frame: RGB = (70, 72, 76)
    for y in (0.22, -0.22):
        b.tube([x, y, z], [x + 0.75, y, 0.12], 0.013, Surface.METAL, frame, sides=4, **kw)
        b.tube([x + 0.15, y, 0.12], [x + 0.45, y, 0.55], 0.013, Surface.METAL, frame, sides=4, **kw)
        b.wheel([x + 0.75, y, 0.12], 0.12, 0.05, sides=8, **kw)
        b.wheel([x + 0.15, y, 0.14], 0.14, 0.05, sides=8, **kw)
    b.tube([x, 0.22, z], [x, -0.22, z], 0.016, Surface.RUBBER, (30, 30, 30), sides=4, **kw)
    b.box([x + 0.5, 0, 0.5], [0.5, 0.4, 0.12], Surface.CLOTH, cloth, **kw)
    b.box([x + 0.24, 0, 0.68], [0.08, 0.4, 0.45], Surface.CLOTH, cloth, pitch=0.4, **kw)
    b.ellipsoid([x + 0.3, 0, 0.85], [0.3, 0.22, 0.2], Surface.CLOTH, cloth, sides=6, rows=4, **kw)
    b.ellipsoid([x + 0.42, 0, 0.72], [0.09, 0.09, 0.11], Surface.SKIN, SKIN_TONES[1])
