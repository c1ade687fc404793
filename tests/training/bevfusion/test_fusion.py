"""Training of bevfusion-lite on both sensors: cameras in the augmentation, features, missing sensors, resuming."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.bevfusion.calibration import CameraCalibration
from models.bevfusion.lite.build import build_network as build_camera
from models.bevfusion.lite.build import facts_of as camera_facts
from models.bevfusion.lite.fused_build import build_network, config, facts_of
from models.bevfusion.lite.session import LiteSession
from models.errors import ModelError
from models.facts import load_facts
from models.official import save_model
from training.bevfusion.augment import BevAugment, augmented
from training.bevfusion.camera.pictures import HEIGHT, WIDTH, BoxRows, Picture, World
from training.bevfusion.camera.pictures import world_path as pictures_path
from training.bevfusion.camera.pictures import write_world as write_pictures
from training.bevfusion.evaluate import main as evaluate
from training.bevfusion.features import NOMINAL, UNKNOWN, Cache, Features, moved_intrinsics, seen
from training.bevfusion.features import main as make_features
from training.bevfusion.frames import Cameras, world_path, write_world
from training.bevfusion.fusion import FusionConfig, FusionTrainer, Sample, answer, by_mode, main, pictured
from training.common.loop import Limits, train
from training.common.trainee import OptimiserConfig

from .test_bev_training import moment

K = np.array([[600.0, 0, WIDTH / 2], [0, 600.0, HEIGHT / 2], [0, 0, 1]])
OPTICAL = np.array([[0.0, 0, 1, 0.2], [-1, 0, 0, 0], [0, -1, 0, -0.3], [0, 0, 0, 1]])  # looks along x


def cameras(count=6):
    poses = np.tile(OPTICAL, (count, 1, 1))
    for i, pose in enumerate(poses):
        angle = 2 * np.pi * i / count
        c, s = np.cos(angle), np.sin(angle)
        pose[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ OPTICAL[:3, :3]
    return Cameras(np.tile(K, (count, 1, 1)), poses)


def picture(seed):
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 255, (HEIGHT // 16, WIDTH // 16, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    depth = np.full((HEIGHT // 2, WIDTH // 2), 12.0, np.float32)
    pixels = np.zeros(depth.shape, np.uint8)
    return Picture(rgb, depth, pixels, BoxRows.build([], [], [], []), 600.0, f"{seed}")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Pictures, moments, features and a camera-lite of random weights."""
    root = tmp_path_factory.mktemp("fusion")
    for split, seed in (("train", 1), ("val", 900_000)):
        write_pictures(pictures_path(root / "pictures", split, seed), [picture(seed + i) for i in range(6)], {})
        one = replace(moment(seed), cameras=cameras())
        write_world(world_path(root / "moments", split, seed), [one], {"seed": seed})
    write_world(world_path(root / "frames", "train", 2), [moment(2)], {"seed": 2})
    facts = replace(camera_facts("camera-lite"), trained=True)
    save_model(build_camera(facts, seed=3), facts, root / "camera-lite")
    call = ["--pictures", root / "pictures", "--moments", root / "moments", "--out", root / "features"]
    splits = ["--splits", "train", "val"]
    assert make_features([str(v) for v in (root / "camera-lite", *call, *splits)]) == 0
    return root


SMALL = FusionConfig(
    steps=4, channels=8, edge=12.8, batch=1, pictured=2, held=1, missing=0.5,
    optimiser=OptimiserConfig(lr=3e-3, warmup=0.0, clip=35.0),
)  # fmt: skip


def trainer(data):
    return FusionTrainer(SMALL, data / "frames", data / "moments", Cache(data / "features"))


def test_augmentation_keeps_a_point_on_its_pixel():
    one = replace(moment(), cameras=cameras())
    point = np.array([6.0, 0.8, -0.5])
    marked = replace(one, points=np.array([[*point, 7.0, 0.0]], np.float32))
    how = BevAugment(turn=40.0, scale=(0.9, 1.1), shift=0.5, mirror=1.0, keep=1.0)
    moved = augmented(marked, how, np.random.default_rng(0))

    def pixel(xyz, some):
        ray = K @ (np.linalg.inv(some.points_from_camera[0]) @ [*xyz, 1.0])[:3]
        return ray[:2] / ray[2]

    np.testing.assert_allclose(pixel(moved.points[0, :3], moved.cameras), pixel(point, one.cameras), atol=1e-3)
    assert np.linalg.det(moved.cameras.points_from_camera[0][:3, :3]) < 0  # mirrored
    assert one.cameras.points_from_camera[0, 0, 3] == 0.2  # the original stays


def test_features_on_disk_are_the_backbones_within_their_int8_step(data):
    cache, facts = Cache(data / "features"), camera_facts("camera-lite")
    (path,) = cache.files("train")
    world = World(pictures_path(data / "pictures", "train", 1))
    network = build_camera(facts, seed=3)
    shown = np.stack([seen(world.picture(i), NOMINAL, None, network.bins)[0] for i in range(6)])
    given = (shown.astype(np.float32) / 255 - np.array(facts.image["mean"])) / np.array(facts.image["std"])
    with torch.inference_mode():
        true = network.branch.backbone(torch.from_numpy(given.transpose(0, 3, 1, 2)).float())
    found = cache.read(path, 0)
    for name, value, scale in zip(("c8", "c16"), true, cache.scales):
        assert float(((getattr(found, name) - value) / scale).abs().max()) < 0.6, name
    np.testing.assert_allclose(found.intrinsics[0], moved_intrinsics(K, NOMINAL))
    assert found.intrinsics[0, 0, 2] == K[0, 2] - 32 and found.intrinsics[0, 1, 2] == K[1, 2] - 48
    other = cache.read(path, 1)
    assert other.intrinsics[0, 0, 0] != K[0, 0] and set(np.unique(other.depth)) <= {*range(49), UNKNOWN}


def test_the_trained_network_sees_what_the_session_sees(data):
    facts = replace(facts_of(config(8, 12.8), "bevfusion-lite"), trained=True)
    network = build_network(facts, seed=5)
    one = replace(moment(1), cameras=cameras(2))
    world = World(pictures_path(data / "pictures", "train", 1))
    rgb = [world.picture(i).rgb for i in range(2)]
    session = LiteSession(network, facts, runtime="torch", threads=1)
    calibration = {
        str(i): CameraCalibration.build(K, pose, (HEIGHT, WIDTH))
        for i, pose in enumerate(one.cameras.points_from_camera)
    }
    said = session.step({str(i): image for i, image in enumerate(rgb)}, one.points, calibration)
    mean, std = (torch.tensor(facts.image[name])[:, None, None] for name in ("mean", "std"))
    cut = torch.stack([torch.from_numpy(image[48:, 32:736].copy()).permute(2, 0, 1) for image in rgb])
    with torch.inference_mode():
        c8, c16 = network.lift.branch.backbone((cut / 255.0 - mean) / std)
        intrinsics = np.tile(moved_intrinsics(K, NOMINAL), (2, 1, 1))
        depth = torch.zeros(2, 32, 88, dtype=torch.long)
        found, logits = answer(network, [pictured(one, Features(c8, c16, depth, intrinsics))])
    assert logits.shape == (2, 49, 32, 88)
    np.testing.assert_allclose(found.map[0].sigmoid(), said.map.probability, atol=2e-4)


def test_training_goes_down_and_goes_on_exactly_where_it_was(data, tmp_path):
    torch.set_num_threads(1)
    whole = trainer(data)
    before = {k: v.clone() for k, v in whole.network.state_dict().items()}
    losses = train(whole, tmp_path / "whole", Limits())
    assert len(losses) == 4 and all(np.isfinite(list(row.values())).all() for row in losses)
    after = whole.network.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before if k.startswith("lift.branch.backbone."))
    assert not torch.equal(before["lift.context.weight"], after["lift.context.weight"])
    half = trainer(data)
    for i in range(2):
        half.step(i / 4)
    (tmp_path / "half").mkdir()
    half.save(tmp_path / "half")
    resumed = trainer(data)
    resumed.resume(tmp_path / "half")
    for i in range(2, 4):
        resumed.step(i / 4)
    for key, value in resumed.network.state_dict().items():
        torch.testing.assert_close(value, after[key], msg=key)


def test_scores_are_given_for_each_set_of_sensors(data):
    cache = Cache(data / "features")
    one = trainer(data).network.eval()
    found = by_mode(one, cache, data / "moments", cache.files("val"), "val")
    assert set(found) == {"fused", "lidar", "camera"} and found["camera"]["frames"] == 1


def test_a_release_says_which_sensors_the_model_uses(data, tmp_path):
    trainer(data).save(tmp_path)
    checkpoint = str(tmp_path / "bevfusion-lite.checkpoint.safetensors")
    call = [checkpoint, "--frames", str(data / "moments"), "--out", str(tmp_path), "--split", "val"]
    assert evaluate([*call, "--features", str(data / "features"), "--real", str(tmp_path)]) == 0
    facts = load_facts(tmp_path / "bevfusion-lite")
    assert facts.network["sensors"] == ["cameras", "lidar"] and "fused, 3 of 6 cameras missing" in facts.metrics
    assert "| camera |" in (tmp_path / "bevfusion-lite" / "CARD.md").read_text()
    session = LiteSession.from_weights(tmp_path / "bevfusion-lite", runtime="torch")
    assert session.uses_cameras and not session.temporal


def test_a_model_of_the_lidar_alone_leaves_pictures_out():
    facts = facts_of(config(8, 12.8, sensors=("lidar",), temporal=False), "bevfusion-lite")
    session = LiteSession(build_network(facts, seed=5), facts, runtime="torch", threads=1)
    one = moment(1)
    picture = {"0": np.full((HEIGHT, WIDTH, 3), 90, np.uint8)}
    place = {"0": CameraCalibration.build(K, OPTICAL, (HEIGHT, WIDTH))}
    bare, shown = session.step({}, one.points, {}), session.step(picture, one.points, place, np.eye(4))
    np.testing.assert_array_equal(bare.map.probability, shown.map.probability)
    with pytest.raises(ValueError, match="nothing to look at"):
        session.step(picture, None, place)


def test_a_missing_sensor_is_a_map_of_zeros(data):
    network, cache = trainer(data).network.eval(), Cache(data / "features")
    (path,) = cache.files("val")
    one = replace(moment(900_000), cameras=cameras())
    with torch.inference_mode():
        bare, logits = answer(network, [Sample(one, None)])
        both, _ = answer(network, [Sample(one, None), pictured(one, cache.read(path, 0), kept=[0, 3])])
    assert logits is None
    torch.testing.assert_close(both.boxes[:1], bare.boxes, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(both.boxes[1], both.boxes[0])


def test_a_start_from_the_two_branches(data, tmp_path):
    lidar = trainer(data)
    lidar.save(tmp_path)
    fused = trainer(data)
    fused.start(tmp_path / "bevfusion-lite.checkpoint.safetensors", str(data / "camera-lite"))
    camera = build_camera(camera_facts("camera-lite"), seed=3)
    own = fused.network.state_dict()
    for key, value in camera.depth.state_dict().items():
        assert torch.equal(own[f"lift.depth.{key}"], value)
    assert torch.equal(own["trunk.fuse.0.weight"], lidar.network.state_dict()["trunk.fuse.0.weight"])


def test_what_is_missing_is_one_sentence(data, tmp_path, capsys):
    with pytest.raises(ModelError, match="no features in .*; type python -m training.bevfusion.features"):
        Cache(tmp_path)
    assert main(["--out", str(tmp_path), "--steps", "1"]) == 2
    assert "give either --start" in capsys.readouterr().err
