"""From a camera's picture to the network's input, as the facts say."""

import numpy as np
import pytest

from models.facts import ModelError
from models.tsm.preprocess import ImageFacts, Preprocessor, fitted

PLAIN = {"size": [24, 32], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.5]}


def test_values_are_normalised_per_channel():
    rgb = np.zeros((24, 32, 3), np.uint8)
    rgb[..., 0], rgb[..., 1], rgb[..., 2] = 255, 51, 0
    x = Preprocessor(ImageFacts.of(PLAIN))(rgb)
    assert x.shape == (3, 24, 32) and x.dtype == np.float32
    np.testing.assert_allclose(x[:, 0, 0], [(1 - 0.5) / 0.2, (0.2 - 0.4) / 0.25, -0.3 / 0.5], rtol=1e-5)


@pytest.mark.parametrize("size", [(24, 32), (1, 1), (5, 400), (375, 1242), (1080, 1920), (49, 65)])
@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_pictures_of_any_size_fit(size, fit):
    grey = np.full((*size, 3), 100, np.uint8)
    out = fitted(grey, ImageFacts.of(dict(PLAIN, fit=fit, margin=1.2)))
    assert out.shape == (24, 32, 3) and (out == 100).all()


def test_the_official_test_crop_is_the_middle_of_the_picture_at_256():
    image = {"size": [224, 224], "mean": [0.5] * 3, "std": [0.5] * 3, "fit": "crop", "margin": 256 / 224}
    official = ImageFacts.of(image)
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3)).copy()
    out = fitted(ramp, official)
    assert out[0, :, 0].tolist() == list(range(16, 240))
    wide = np.broadcast_to(np.arange(320, dtype=np.uint8)[None, :, None], (256, 320, 3)).copy()
    assert out.shape == (224, 224, 3) and fitted(wide, official)[0, 0, 0] == 48


def test_shrinking_averages_areas():
    board = np.zeros((96, 128, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 200
    assert (fitted(board, ImageFacts.of(PLAIN)) == 100).all()


@pytest.mark.parametrize(
    "image, said",
    [
        (None, "expected a mapping with size, mean and std"),
        ({"size": [1, 2]}, "expected a mapping with size, mean and std"),
        (dict(PLAIN, colour="rgb"), "`image` has unknown keys colour; known: size"),
        (dict(PLAIN, size=["a", 2]), "holds something other than numbers"),
        (dict(PLAIN, size=[0, 32]), "expected a size of positive numbers"),
        (dict(PLAIN, std=[0.2, 0.2, 0.0]), "three positive std"),
        (dict(PLAIN, mean=[0.2]), "three means"),
        (dict(PLAIN, fit="zoom"), "image.fit 'zoom' is unknown; known: stretch, crop"),
    ],
)
def test_facts_that_do_not_fit_are_one_sentence(image, said):
    with pytest.raises(ModelError, match=said) as error:
        ImageFacts.of(image, "tiny")
    assert str(error.value).startswith("tiny: ") and "\n" not in str(error.value)
