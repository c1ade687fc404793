"""Every model for points opens by its name and labels a sweep; others are refused in one sentence."""

import numpy as np
import pytest

from models.facts import ModelError, list_models, load_facts
from models.segmentation import open_segmentation
from models.spvcnn.inference import Predictor
from models.tsm.builder import build_tsm
from models.tsm.spec import TsmSpec

FACTS = {name: load_facts(name) for name in list_models()}
POINTS = [name for name, facts in FACTS.items() if not facts.image and not facts.architecture.startswith("gan-")]


@pytest.mark.parametrize("name", POINTS)
def test_every_model_for_points_labels_a_sweep(name):
    rng = np.random.default_rng(0)
    xyz = np.concatenate([rng.uniform(-4, 4, (300, 2)), rng.uniform(-2, 1, (300, 1))], 1).astype(np.float32)
    found = open_segmentation(name, threads=1).step(xyz, rng.random(300, np.float32))
    assert len(found) == 300 and found.label.max() < len(load_facts(name).classes) and (found.score > 0).all()


@pytest.mark.parametrize(
    ("name", "precision", "said"),
    [
        (
            "random:tsm-events-online",
            "auto",
            "is a tsm network and does not label LiDAR sweeps: take a model for points",
        ),
        ("random:pvcnn-s3dis-c1", "auto", "is a pvcnn-s3dis network and does not label LiDAR sweeps"),
        ("pvcnn-lite", "int8", "pvcnn-lite runs in fp32 alone: take precision auto or fp32, not 'int8'"),
        ("spvcnn-lite", "int3", "precision 'int3' is unknown"),
    ],
)
def test_others_are_refused_in_one_sentence(name, precision, said):
    with pytest.raises(ModelError, match=said):
        open_segmentation(name, precision)


def test_a_network_of_another_family_is_refused_by_the_predictor():
    with pytest.raises(ModelError, match="expected a MinkUNet, SPVCNN or SPVNAS, got ClipNetwork"):
        Predictor(build_tsm(TsmSpec("mobilenetv2", "online", 12, width=0.25), 0), "fp32", 1)
