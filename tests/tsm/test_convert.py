"""Offline weights made online: the channels that saw the past see it still, the rest sees the present."""

import pytest
import torch

from models.facts import ModelError
from models.tsm.builder import build_tsm
from models.tsm.convert import exchange_folds, to_online
from models.tsm.official import adapt
from models.tsm.spec import TsmSpec
from tests.tsm.lively import close
from tests.tsm.lively import exact as lively
from tests.tsm.lively import exact_clip as clip

CASES = [("mobilenetv2", 0.5), ("efficientnet-lite0", 0.5), ("resnet18", 0.25), ("resnet50", 0.25)]


class PastOnly:
    """The offline shift with its future part taken out: channels fold:2 fold hold the frame before."""

    def __init__(self, segments: int):
        self.segments = segments

    def shift(self, x: torch.Tensor, fold_div: int) -> torch.Tensor:
        fold, out = x.shape[1] // fold_div, x.clone()
        source, target = (v.unflatten(0, (-1, self.segments))[:, :, fold : 2 * fold] for v in (x, out))
        target[:, 1:] = source[:, :-1]
        target[:, 0] = 0
        return out


@pytest.mark.parametrize("backbone, width", CASES)
def test_it_equals_the_offline_network_without_its_future(backbone, width):
    offline = lively(backbone, "offline", 6, width=width)
    before = {k: v.clone() for k, v in offline.state_dict().items()}
    online = to_online(offline)
    assert online.spec.mode == "online" and all(torch.equal(v, before[k]) for k, v in offline.state_dict().items())
    x = clip(1, 4, 32, 32)
    with torch.inference_mode():
        expected = offline.new_fc(offline.base_model(x[0], PastOnly(4)))
        assert close(online.frame_logits(x)[0], expected)
        assert not close(offline.frame_logits(x)[0], expected, 1e-3)  # the future did matter


@pytest.mark.parametrize("backbone, width", CASES)
def test_without_shift_the_exchange_changes_nothing_and_twice_gives_the_weights_back(backbone, width):
    offline = lively(backbone, "offline", 6, width=width)
    turned = exchange_folds(offline)
    assert all(torch.equal(v, offline.state_dict()[k]) for k, v in exchange_folds(turned).state_dict().items())
    plain = [build_tsm(TsmSpec(backbone, "none", 6, width=width, architecture="tsn")).double() for _ in range(2)]
    for network, source in zip(plain, (offline, turned)):
        network.load_state_dict(adapt(source.state_dict(), network))
    with torch.inference_mode():
        x = clip(1, 2, 32, 32)
        assert close(plain[0](x), plain[1](x))


def test_networks_without_an_exact_exchange_are_refused():
    for numbers in ({"mode": "online"}, {"mode": "none", "architecture": "tsn"}):
        with pytest.raises(ModelError, match="only an offline tsm without tpool and non_local"):
            to_online(lively("mobilenetv2", width=0.25, **numbers))
    with pytest.raises(ModelError, match="fold_div 1 leaves no two folds"):
        to_online(lively("mobilenetv2", "offline", 3, width=0.25, fold_div=1))
