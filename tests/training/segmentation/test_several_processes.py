"""Training in two processes (gloo) takes the very step that one process takes with the mean of both gradients."""

from pathlib import Path

import pytest
import torch

from perception_nodes.classes import IGNORE
from tests.training.street import street
from training.common.processes import Process
from training.common.trainee import OptimiserConfig
from training.segmentation.losses import class_weights, segmentation_loss
from training.segmentation.trainer import TrainConfig, Trainer
from training.segmentation.validation import run

CONFIG = TrainConfig(batch=2, capacity=4, bf16=False, optimiser=OptimiserConfig(lr=0.01))
STEPS = 2
pytestmark = pytest.mark.timeout(900)


def trainer(rank: int, world: int) -> Trainer:
    torch.manual_seed(0)
    made = Trainer(("spvcnn-lite",), CONFIG, Process(rank, world))
    for seed in range(3):
        made.buffer.add(street(seed + 10 * rank, 400))
    made.trainees[0].network.dropout.p = 0.0  # its draws are the process's own
    return made


def _train(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    made = trainer(rank, 2)
    losses = [made.step(0.3)["spvcnn-lite"] for _ in range(STEPS)]
    weights = {k: v.detach().clone() for k, v in made.trainees[0].network.named_parameters()}
    torch.save({"losses": torch.tensor(losses), "weights": weights}, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_take_the_step_of_the_mean_gradient(tmp_path: Path):
    torch.multiprocessing.spawn(_train, (str(tmp_path),), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert all(torch.equal(v, found[1]["weights"][k]) for k, v in found[0]["weights"].items())

    alone = [trainer(rank, 1) for rank in (0, 1)]  # each with its process's sweeps and draws
    for step in range(STEPS):
        for made, told in zip(alone, found):
            trainee = made.trainees[0]
            trainee.network.train()
            trainee.begin(0.3)
            data = made.batch()
            weights = class_weights(made.buffer.counts).float()
            logits = run(trainee.network, trainee.network, data)
            loss = segmentation_loss(logits, data.labels, weights, IGNORE, CONFIG.lovasz)
            assert float(loss.detach()) == pytest.approx(float(told["losses"][step]), rel=1e-4)
            loss.backward()
        pairs = list(zip(*(made.trainees[0].network.parameters() for made in alone)))
        for a, b in pairs:
            a.grad = b.grad = (a.grad + b.grad) / 2
        for made in alone:
            assert made.trainees[0].finish()
    for name, value in alone[0].trainees[0].network.named_parameters():
        torch.testing.assert_close(value, found[0]["weights"][name], atol=1e-4, rtol=1e-3)
