"""Released checkpoints: keys and sizes of all six, the port's names, refusals, and the command."""

import copy

import pytest
import torch
from typer.testing import CliRunner

from models.bevfusion import build, official
from models.bevfusion.build import PRESETS, build_network, preset_facts
from models.bevfusion.swin import relative_positions
from models.facts import ModelError, load_facts, load_network, verify
from models.official import convert
from perception_nodes.cli import app
from tests.bevfusion.small import config

OFFICIAL = {
    "bevfusion-det": (
        40.8e6 - 118 * 32 * 88 * 3,  # the published count includes the frustum
        {"heads.object.decoder.0.multihead_attn.in_proj_weight": (384, 128)},
    ),
    "bevfusion-seg": (None, {"heads.map.classifier.0.weight": (512, 512, 3, 3)}),
    "lidar-only-det": (None, {"encoders.lidar.backbone.conv_out.0.weight": (1, 1, 3, 128, 128)}),
    "lidar-only-seg": (None, {"decoder.backbone.blocks.0.0.weight": (128, 256, 3, 3)}),
    "camera-only-det": (None, {"heads.object.task_heads.5.heatmap.1.weight": (2, 64, 3, 3)}),
    "camera-only-seg": (None, {"decoder.neck.fuse.0.weight": (256, 800, 1, 1)}),
}


@pytest.mark.parametrize("preset", OFFICIAL)
def test_the_released_configurations_have_the_released_sizes(preset):
    with torch.device("meta"):
        network = build.build(PRESETS[preset]())
    parameters, known = OFFICIAL[preset]
    state = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    for key, shape in known.items():
        assert state[key] == shape
    assert all(k.startswith(official.PARTS) for k in state)
    if parameters is not None:
        assert sum(p.numel() for p in network.parameters()) == pytest.approx(parameters, rel=0.01)


def test_the_released_grids():
    with torch.device("meta"):
        fused = build.build(PRESETS["bevfusion-det"]())
    assert fused.lidar.shape == (1440, 1440, 41) and fused.lidar.out_shape == (180, 180, 2)
    assert fused.camera.transform.grid.cells == (360, 360, 1) and fused.camera.transform.bins == 118
    assert preset_facts("bevfusion-seg").network["camera"]["grid"][0] == [-51.2, 51.2, 0.4]
    assert preset_facts("lidar-only-seg").voxel_size == 0.1


@pytest.fixture
def small(monkeypatch):
    """The presets replaced by small ones of the same parts, so that whole checkpoints are quick to make."""
    parts = {
        "bevfusion-det": ("camera", "lidar", "object"), "bevfusion-seg": ("camera", "lidar", "map"),
        "lidar-only-det": ("lidar", "object"), "lidar-only-seg": ("lidar", "map"),
        "camera-only-det": ("camera", "object"), "camera-only-seg": ("camera", "map"),
        "bevfusion-both": ("camera", "lidar", "object", "map"),
    }  # fmt: skip
    for name, chosen in parts.items():
        monkeypatch.setitem(PRESETS, name, lambda chosen=chosen: config(*chosen))


def released(preset):
    """A random state dict as the released file holds it, with the constants that are stored as parameters."""
    network = build_network(preset_facts(preset), seed=1)
    state = network.state_dict()
    for key in [k for k in state if k.endswith("relative_position_bias_table")]:
        state[key.replace("bias_table", "index")] = relative_positions(7)
    if network.camera is not None:
        t = network.camera.transform
        for name, value in {"frustum": t.frustum, "dx": t.grid.step, "bx": t.grid.first, "nx": t.grid.cells}.items():
            state[f"encoders.camera.vtransform.{name}"] = torch.as_tensor(value)
    return state


def saved(state, path):
    torch.save({"meta": {"epoch": 6, "config": "…"}, "state_dict": state}, path)
    return path


@pytest.mark.parametrize("preset", [*OFFICIAL, "bevfusion-both"])
def test_every_released_file_becomes_a_model_folder(preset, small, tmp_path):
    state = released(preset)
    facts = convert(saved(state, tmp_path / f"{preset}.pth"), tmp_path / preset, "auto")
    assert facts.architecture == "bevfusion" and facts.trained and verify(tmp_path / preset).sha256
    assert facts.network == {**PRESETS[preset](), "boxes": "mmdet3d-0.x"}
    network, told = load_network(tmp_path / preset)
    own = network.state_dict()
    assert set(own) < set(state) or set(own) == set(state)
    assert all(torch.equal(own[k], state[k]) for k in own)
    if "lidar" in preset:
        assert told.image is None and told.point_range[0] == -12.8 and told.features[-1] == "age"
    else:
        assert told.image["size"] == [64, 96] and told.image["mean"][0] == 0.485
    assert told.class_names[0] == ("drivable_area" if preset.endswith("seg") else "car")


def ported(state):
    """The state dict under the names of mmdetection3d's port, kernels as spconv 2.x stores them."""
    names = {
        "encoders.camera.backbone.": "img_backbone.", "encoders.camera.neck.": "img_neck.",
        "encoders.camera.vtransform.": "view_transform.", "encoders.lidar.backbone.": "pts_middle_encoder.",
        "fuser.": "fusion_layer.", "decoder.backbone.": "pts_backbone.", "decoder.neck.": "pts_neck.",
        "heads.object.": "bbox_head.",
    }  # fmt: skip
    inner = {
        ".self_attn.": ".self_attn.attn.", ".multihead_attn.": ".cross_attn.attn.", ".linear1.": ".ffn.layers.0.0.",
        ".linear2.": ".ffn.layers.1.", ".norm1.": ".norms.0.", ".norm2.": ".norms.1.", ".norm3.": ".norms.2.",
    }  # fmt: skip
    out = {}
    for key, value in state.items():
        prefix = next(p for p in names if key.startswith(p))
        if prefix == "encoders.lidar.backbone." and value.ndim == 5:
            value = value.permute(4, 0, 1, 2, 3).contiguous()
        key = names[prefix] + key[len(prefix) :]
        if key.startswith("bbox_head.decoder."):
            for old, new in inner.items():
                key = key.replace(old, new)
        out[key] = value
    return out


def test_the_ports_names_and_kernels_are_understood(small, tmp_path):
    state = released("bevfusion-det")
    port = ported(state)
    assert "bbox_head.decoder.0.cross_attn.attn.in_proj_weight" in port and "img_backbone.norm1.weight" in port
    facts = convert(saved(port, tmp_path / "port.pth"), tmp_path / "port", "auto")
    assert facts.network["boxes"] == "mmdet3d-1.x"
    own = load_network(tmp_path / "port")[0].state_dict()
    assert all(torch.equal(own[k], state[k]) for k in own)
    kept = copy.deepcopy(port)
    for key in [k for k in kept if k.startswith("pts_middle_encoder.") and kept[k].ndim == 5]:
        kept[key] = kept[key].permute(1, 2, 3, 4, 0).contiguous()  # the port on spconv 1.x
    network, _ = official.read_state(kept, "port", "port")
    assert torch.equal(
        network.state_dict()["encoders.lidar.backbone.conv_input.0.weight"],
        own["encoders.lidar.backbone.conv_input.0.weight"],
    )


def spoiled(how):
    state = released("bevfusion-det")
    if how == "radar encoder":
        state["encoders.radar.backbone.conv.weight"] = torch.zeros(3)
    elif how == "depth of six channels":
        state["encoders.camera.vtransform.dtransform.0.weight"] = torch.zeros(8, 6, 1, 1)
    elif how == "another grid":
        state["encoders.camera.vtransform.nx"] = torch.tensor([256, 256, 1])
    elif how == "missing":
        del state["fuser.0.weight"]
    elif how == "unexpected":
        state["heads.object.img_feat_pos"] = torch.zeros(3)
    elif how == "another shape":
        state["fuser.0.weight"] = torch.zeros(4, 4, 3, 3)
    elif how == "resnet":
        state = {k: v for k, v in state.items() if "camera.backbone" not in k}
        state["encoders.camera.backbone.layer1.0.conv1.weight"] = torch.zeros(3)
    return state


@pytest.mark.parametrize(
    "how, said",
    [
        ("radar encoder", "HEAD .the radar version.*db75150"),
        ("depth of six channels", "reads 6 channels.*expected 1 channel"),
        ("another grid", r"vtransform.nx is \[256, 256, 1\], expected \[64, 64, 1\]"),
        ("missing", "1 keys are missing .first: fuser.0.weight"),
        ("unexpected", "1 keys are unknown .first: heads.object.img_feat_pos"),
        ("another shape", "1 shapes differ .first: fuser.0.weight"),
        ("resnet", "not a Swin-T"),
    ],
)
def test_another_revision_is_refused_by_one_sentence(how, said, small, tmp_path):
    path = saved(spoiled(how), tmp_path / "wrong.pth")
    with pytest.raises(ModelError, match=said) as error:
        convert(path, tmp_path / "out", "auto")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


class Malicious:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


def test_a_malicious_pickle_is_refused_and_nothing_runs(small, tmp_path):
    state = {**released("lidar-only-seg"), "encoders.lidar.backbone.evil": Malicious(tmp_path / "ran")}
    path = saved(state, tmp_path / "bevfusion-det.pth")
    done = CliRunner().invoke(app, ["weights", "import", str(path), str(tmp_path / "out")])
    assert done.exit_code != 0 and isinstance(done.exception, ModelError | SystemExit)
    assert not (tmp_path / "ran").exists() and not (tmp_path / "out").exists()


def test_the_command_needs_nothing_but_the_file(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(released("bevfusion-det"), tmp_path / "bevfusion-det.pth")
    done = CliRunner().invoke(app, ["weights", "import", "bevfusion-det.pth"])
    assert done.exit_code == 0, done.output
    assert load_facts(tmp_path / "bevfusion-det").class_names[:2] == ("car", "truck")
    assert sorted(p.name for p in (tmp_path / "bevfusion-det").iterdir()) == ["model.yaml", "weights.safetensors"]


def test_a_random_model_says_so():
    facts = load_facts("random:bevfusion-det")
    assert not facts.trained and facts.network == PRESETS["bevfusion-det"]()
