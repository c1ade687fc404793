"""Road users' meshes: sizes, labels, hollow cabins, gait, sharing."""

import numpy as np
import pytest

from perception_nodes.classes import BOX_CLASSES, IGNORE, POINT_CLASSES, point_class
from perception_nodes.simulator.scene import Surface
from perception_nodes.simulator.shapes import VARIANTS, Catalogue, shape_catalogue
from perception_nodes.simulator.shapes.cars import FORMS, car
from perception_nodes.simulator.shapes.people import PHASES, draw_figure

LABELS = {
    "car": "car", "pickup": "truck", "lorry": "truck", "light_trailer": "other-vehicle",
    "truck": "truck", "tractor": "truck", "trailer": "truck",
    "parked_trailer": "other-vehicle", "bus": "other-vehicle", "construction_vehicle": "other-vehicle",
    "motorcycle": "motorcycle", "motorcyclist": "motorcyclist", "bicycle": "bicycle", "bicyclist": "bicyclist",
    "adult": "person", "child": "person",
}  # fmt: skip
NUSCENES_MEANS = {  # l, w, h of the annotated boxes (simulator notes, item 9)
    "car": (4.62, 1.95, 1.73), "truck": (6.93, 2.51, 2.84), "bus": (10.5, 2.94, 3.47), "trailer": (12.3, 2.92, 3.87),
    "bicycle": (1.7, 0.6, 1.28), "motorcyclist": (2.1, 0.77, 1.47), "adult": (0.73, 0.67, 1.77),
    "cone": (0.41, 0.41, 1.07), "barrier": (0.5, 2.53, 0.98),
}  # fmt: skip


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(3)


def first_two(catalogue: Catalogue, kind: str):
    return [catalogue.body(kind, i) for i in range(min(2, VARIANTS[kind]))]


@pytest.mark.parametrize("kind", VARIANTS)
def test_every_kind_is_a_sound_mesh_that_fills_its_box(catalogue, kind):
    for body in first_two(catalogue, kind):
        mesh = body.shape(0).mesh
        assert 20 <= len(mesh.triangles) <= 1700
        assert mesh.triangles.min() >= 0 and mesh.triangles.max() < len(mesh.vertices)
        assert np.isfinite(mesh.vertices).all() and mesh.vertices.dtype == np.float32
        for column in (mesh.surface, mesh.label, mesh.rgb, mesh.porosity):
            assert len(column) == len(mesh.triangles)
        assert body.category in {c.name for c in BOX_CLASSES}
        half = np.array([body.size[0] / 2, body.size[1] / 2])
        if kind not in ("adult", "child"):  # what people push and carry is not in their box
            flat = np.abs(mesh.vertices[:, :2]) - half
            assert flat.max() < 0.45, "mirrors and lamps may stand out, nothing else"
            assert np.mean(flat.max(1) < 0.03) > 0.8
        assert -0.06 < mesh.vertices[:, 2].min() < 0.12
        assert abs(mesh.vertices[:, 2].max() - body.size[2]) < 0.6


@pytest.mark.parametrize("kind", LABELS)
def test_points_get_semantickittis_class(catalogue, kind):
    for body in first_two(catalogue, kind):
        labels = set(body.shape(0).mesh.label.tolist()) - {IGNORE}
        assert labels == {point_class(LABELS[kind])}


def test_cones_and_barriers_have_no_point_class(catalogue):
    for kind in ("cone", "barrier"):
        assert set(catalogue.body(kind, 0).shape().mesh.label.tolist()) == {IGNORE}
    assert len(POINT_CLASSES) <= IGNORE


@pytest.mark.parametrize("kind", NUSCENES_MEANS)
def test_mean_sizes_are_near_those_of_nuscenes(catalogue, kind):
    count = VARIANTS[kind] if kind != "adult" else 8
    sizes = np.array([catalogue.body(kind, i).size for i in range(count)])
    tolerance = 0.35 if kind in ("bicycle", "motorcyclist", "bus", "truck") else 0.22
    assert np.abs(sizes.mean(0) / NUSCENES_MEANS[kind] - 1).max() < tolerance
    assert sizes.std(0).max() > 0.01


def test_a_persons_width_depth_and_height_vary_independently():
    rng = np.random.default_rng(0)
    figures = [draw_figure(rng) for _ in range(400)]
    size = np.array([(f.depth, f.width, f.height) for f in figures])
    correlation = np.corrcoef(size.T) - np.eye(3)
    assert np.abs(correlation).max() < 0.15
    assert (size.std(0) / size.mean(0) > (0.1, 0.08, 0.03)).all()


def test_people_fill_their_boxes_whatever_their_shape(catalogue):
    """Over a walk the body reaches about as far forward and aside as its box, for thin and broad people alike."""
    for i in range(4):
        body = catalogue.body("adult", i)
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        for phase in range(0, PHASES, 2):
            mesh = body.shape(phase).mesh
            person = mesh.vertices[np.unique(mesh.triangles[mesh.label == point_class("person")])]
            low, high = np.minimum(low, person[:, :2].min(0)), np.maximum(high, person[:, :2].max(0))
        assert ((high - low) / body.size[:2] > 0.6).all() and ((high - low) / body.size[:2] < 1.7).all()


@pytest.mark.parametrize("kind", ["cone", "bicycle", "bicyclist", "motorcycle", "motorcyclist"])
def test_small_things_vary_in_every_dimension(catalogue, kind):
    sizes = np.array([catalogue.body(kind, i).size for i in range(VARIANTS[kind])])
    assert (sizes.std(0) > 0.03 * sizes.mean(0))[1:].all()
    assert len(np.unique(np.round(sizes[:, 1], 3))) >= VARIANTS[kind] // 2


def test_pickups_and_lorries_come_in_many_forms(catalogue):
    """Boxes, decks and fences; short and long; with and without something on the bed."""
    for kind, count in (("pickup", 12), ("lorry", 12)):
        bodies = [catalogue.body(kind, i) for i in range(count)]
        assert {b.category for b in bodies} == {"truck"}
        assert len({len(b.shape().mesh.triangles) for b in bodies}) >= 6
        lengths = [b.size[0] for b in bodies]
        assert max(lengths) - min(lengths) > 0.8


@pytest.mark.parametrize("form", FORMS)
def test_beams_through_side_windows_meet_the_inside_of_a_car(form):
    mesh, (length, width, height), _ = car(form, 5)
    solid = mesh.surface != Surface.CAR_GLASS
    inside = met = 0
    for x in np.linspace(-0.1, 0.28, 20) * length:
        z = height * (0.66 if form == "van" else 0.76)
        for z_ray in (z, z - 0.08):
            near = first_hit(mesh.vertices, mesh.triangles, np.array([x, 3.0, z_ray + 0.25]), np.array([0, -1, -0.12]))
            behind = first_hit(
                mesh.vertices, mesh.triangles[solid], np.array([x, 3.0, z_ray + 0.25]), np.array([0, -1, -0.12])
            )
            if mesh.surface[near[1]] == Surface.CAR_GLASS:
                met += 1
                inside += bool(behind[0] > near[0] + 0.15)
    assert met >= 3, "some beams meet side glass"
    assert inside >= met // 2, "and find room behind it"


def first_hit(vertices, triangles, origin, direction):
    """(distance, triangle) of the first triangle that a ray meets; (inf, -1) for none (Moeller and Trumbore)."""
    a, b, c = (vertices[triangles[:, i]].astype(float) for i in range(3))
    e1, e2 = b - a, c - a
    p = np.cross(direction, e2)
    det = (e1 * p).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        s = origin - a
        u = (s * p).sum(1) / det
        q = np.cross(s, e1)
        v = (direction * q).sum(1) / det
        t = (e2 * q).sum(1) / det
        ok = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
    if not ok.any():
        return np.inf, -1
    t = np.where(ok, t, np.inf)
    return float(t.min()), int(t.argmin())


def test_windows_are_glass_that_lets_beams_pass():
    mesh, _, _ = car("estate", 1)
    glass = mesh.surface == Surface.CAR_GLASS
    assert glass.sum() > 20
    assert (mesh.porosity[glass] > 0.2).all() and (mesh.porosity[~glass] == 0).all()


def test_a_walk_has_eight_phases_with_the_feet_on_the_ground(catalogue):
    body = catalogue.body("adult", 1)
    meshes = [body.shape(p).mesh for p in range(PHASES)]
    for a, b in zip(meshes, meshes[1:]):
        assert np.abs(a.vertices - b.vertices).max() > 0.05
    for mesh in meshes:
        assert abs(mesh.vertices[:, 2].min()) < 0.07
    assert body.shape_after(0.0) is body.shape(0)
    assert body.shape_after(body.cycle * 0.51) is body.shape(4)
    assert body.shape_after(3.0, moving=False) is body.shape(None)


def test_left_and_right_step_are_mirror_images(catalogue):
    """Nothing in a walk tells left from right but time: half a cycle on, the legs have changed places."""
    body = catalogue.body("adult", 2)
    ankles = []
    for phase in (1, 5):
        low = body.shape(phase).mesh.vertices
        low = low[low[:, 2] < 0.12 * body.size[2]]
        ankles.append(sorted(np.round(low[:, 0], 2).tolist())[:: max(1, len(low) // 4)])
    assert np.allclose(ankles[0][0], ankles[1][0], atol=0.03) and np.allclose(ankles[0][-1], ankles[1][-1], atol=0.03)


def test_shapes_are_shared_and_the_same_for_every_process():
    assert shape_catalogue(1) is shape_catalogue(1)
    body = shape_catalogue(1).body("car", 2)
    assert body is shape_catalogue(1).body("car", 2) and body.shape() is body.shape()
    again = Catalogue(1).body("car", 2)
    assert again.shape().mesh.vertices.tobytes() == body.shape().mesh.vertices.tobytes()
    assert again.shape().mesh.rgb.tobytes() == body.shape().mesh.rgb.tobytes()
    other = Catalogue(2).body("car", 2)
    assert other.size != body.size


def test_an_unknown_kind_is_named():
    with pytest.raises(KeyError, match="hovercraft"):
        Catalogue(0).draw("hovercraft", np.random.default_rng(0))
