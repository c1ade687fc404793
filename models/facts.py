"""What travels with a model's weights: `models/weights/<name>/model.yaml`, and how a network is loaded by its name.

A model folder holds `weights.safetensors`, `model.yaml` (these facts) and CARD.md. Weights are read from safetensors
only, after their sha256 was compared with the facts: nothing in a model folder can run code. Random weights exist only
where they are asked for by name (`random:spvcnn-lite`), and say so in `ModelFacts.trained`.
"""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import TypeAdapter, ValidationError

from models.errors import ModelError
from models.state import load_weights
from models.yaml_file import YamlError, read_yaml

if TYPE_CHECKING:
    import torch
    from torch import nn

WEIGHTS = Path(__file__).resolve().parent / "weights"
FACTS_FILE = "model.yaml"
RANDOM = "random:"
# Architecture -> the module that builds it: each has build_network(facts, seed), preset_facts(preset) and PRESETS (the
# names that `random:` takes).
FAMILIES = {
    "camera-lite": "models.bevfusion.lite.build",
    "bevfusion": "models.bevfusion.build",
    "bevfusion-lite": "models.bevfusion.lite.fused_build",
    **dict.fromkeys(
        (
            "gan-resnet",
            "gan-mobile-resnet",
            "gan-sub-mobile-resnet",
            "gan-super-mobile-resnet",
            "gan-unet",
            "gan-patchgan",
            "gan-spade",
            "gan-mobile-spade",
            "gan-super-mobile-spade",
            "gan-spade-discriminator",
            "gan-spade-encoder",
            "gan-anycost",
            "gan-anycost-discriminator",
            "gan-stylegan2-discriminator",
            "gan-stylegan2-ada",
            "gan-stylegan2-ada-discriminator",
            "gan-msg",
            "gan-msg-discriminator",
            "gan-plain",
            "gan-plain-discriminator",
            "gan-tone",
            "gan-tone-residual",
            "gan-range-style",
        ),
        "models.gan.build",
    ),
    "minkunet": "models.spvcnn.build",
    "pointnet": "models.pvcnn.build",
    "pvcnn-s3dis": "models.pvcnn.build",
    "pvcnn-shapenet": "models.pvcnn.build",
    "spvcnn": "models.spvcnn.build",
    "spvnas": "models.spvcnn.build",
    "tsm": "models.tsm.build",
    "tsn": "models.tsm.build",
    "tsm-detector": "models.tsm.detector_build",
    "tsm-i3d": "models.tsm.build",
    "tsm-two-stream": "models.tsm.build",
    "tsm-lstm": "models.tsm.build",
    "voxel-unet": "models.pvcnn.build",
}


@dataclass(frozen=True)
class ModelFacts:
    """Facts of one trained network.

    name · architecture: a key of FAMILIES and of that family's builder · network: the builder's numbers (channels, …) ·
    classes: rows {name, rgb}, id = position · voxel_size m, 0 for networks without voxels · features: names of the
    input channels in order · normalisation: how they are scaled, in words · point_range: x, y, z least and most (m) or
    None · image: for networks that see: {size: [height, width] px, mean, std: RGB of 0..1, period_s: s between frames,
    taught: "frame" where every frame was taught its label, "clip" where the mean over a clip was} · sha256 of the
    weights file · trained: False for random weights · training_data, licence: text · metrics: nested numbers · folder:
    where the files are.
    """

    name: str
    architecture: str
    network: dict[str, Any]
    classes: tuple[dict[str, Any], ...]
    voxel_size: float = 0.0
    features: tuple[str, ...] = ()
    normalisation: str = ""
    point_range: tuple[float, ...] | None = None
    image: dict[str, Any] | None = None
    weights: str = "weights.safetensors"
    sha256: str = ""
    trained: bool = True
    training_data: str = ""
    licence: str = "Apache-2.0"
    metrics: dict[str, Any] = field(default_factory=dict)
    folder: str = ""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes by id."""
        return tuple(str(c["name"]) for c in self.classes)

    @property
    def weights_path(self) -> Path:
        """The weights file."""
        return Path(self.folder) / self.weights


def sha256_of(path: str | Path) -> str:
    """Hex digest of a file, read in blocks."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def list_models(folder: str | Path = WEIGHTS) -> list[str]:
    """Names of the models at hand, sorted."""
    return sorted(p.parent.name for p in Path(folder).glob(f"*/{FACTS_FILE}"))


def load_facts(name_or_path: str | Path) -> ModelFacts:
    """Facts of a model: a name in models/weights, a model folder, its model.yaml, or `random:<preset>`.

    Raises ModelError where there is no such model or its facts are incomplete.
    """
    text = str(name_or_path)
    if text.startswith(RANDOM):
        return _random_facts(text[len(RANDOM) :])
    path = Path(text)
    if not path.exists():
        path = WEIGHTS / text
    if path.is_dir():
        path = path / FACTS_FILE
    if not path.is_file():
        raise ModelError(
            f"no model {text!r}: expected one of {', '.join(list_models()) or '(none trained yet)'}, a folder with "
            f"{FACTS_FILE}, or an explicit `{RANDOM}<preset>`; `perception weights list` shows what is there"
        )
    if path.suffix not in (".yaml", ".yml"):
        raise ModelError(
            f"{path} is not a model folder but a single file: make a folder of a checkpoint with "
            f"`perception weights import {path}`, and give that folder"
        )
    try:
        found = read_yaml(path)
    except (YamlError, OSError) as error:
        raise ModelError(f"{path} cannot be read: {error}; restore it from the repository") from None
    return _from_dict(found, path)


def _from_dict(found: Any, path: Path) -> ModelFacts:
    known = set(ModelFacts.__dataclass_fields__) - {"folder"}
    needed = {"name", "architecture", "network", "classes", "sha256"}
    if not isinstance(found, dict):
        raise ModelError(
            f"{path} holds {type(found).__name__}, expected a mapping of facts; restore it from the repository"
        )
    missing, unknown = sorted(needed - set(found)), sorted(set(map(str, found)) - known)
    if missing or unknown:
        said = [f"misses {', '.join(missing)}"] * bool(missing) + [f"has unknown keys {', '.join(unknown)}"] * bool(
            unknown
        )
        raise ModelError(f"{path} {' and '.join(said)}; known keys: {', '.join(sorted(known))}")
    try:
        return TypeAdapter(ModelFacts).validate_python(dict(found, folder=str(path.parent)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ModelError(
            f"{path}: {where} is {str(first['input'])[:80]!r}: {first['msg']}; restore it from the repository"
        ) from None


def save_facts(facts: ModelFacts, folder: str | Path) -> None:
    """Writes model.yaml into `folder`."""
    out = {k: v for k, v in asdict(facts).items() if k != "folder"}
    out.update(classes=[dict(c, rgb=list(c["rgb"])) for c in facts.classes], features=list(facts.features))
    out["point_range"] = None if facts.point_range is None else list(facts.point_range)
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / FACTS_FILE).write_text(yaml.safe_dump(out, sort_keys=False, default_flow_style=None, width=120))


def verify(name_or_path: str | Path) -> ModelFacts:
    """Facts of a model whose weights file is there and has the right hash; raises ModelError otherwise."""
    facts = load_facts(name_or_path)
    if not facts.trained and not facts.sha256:
        return facts
    path = facts.weights_path
    if path.suffix != ".safetensors":
        raise ModelError(f"{path} is no .safetensors file; convert it: `perception weights import {path} OUT`")
    if not path.is_file():
        raise ModelError(
            f"weights of {facts.name!r} are missing: expected {path}; restore the file from the repository"
        )
    found = sha256_of(path)
    if found != facts.sha256:
        raise ModelError(
            f"{path} has sha256 {found}, {FACTS_FILE} says {facts.sha256 or '(nothing)'}: the weights are damaged or "
            "belong to another model; restore both files from the repository"
        )
    return facts


def load_state(path: str | Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file. Raises ModelError where it cannot be read or holds NaN or infinite numbers."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is not a readable safetensors file ({error}); restore it from the repository"
        ) from None
    refuse_not_finite(state, str(path))
    return state


def refuse_not_finite(state: dict[str, torch.Tensor], source: str) -> None:
    """Raises ModelError for weights with NaN or infinite numbers: every answer of such a network is NaN."""
    for key, tensor in state.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            count = int((~tensor.isfinite()).sum())
            raise ModelError(
                f"{source}: {key} holds {count} numbers that are NaN or infinite: the training diverged or the file is "
                "damaged; take an earlier checkpoint"
            )


def family_of(facts: ModelFacts) -> ModuleType:
    """The module that builds this architecture; ModelError names the known ones."""
    if facts.architecture not in FAMILIES:
        raise ModelError(f"{facts.name}: architecture {facts.architecture!r} is unknown; known: {', '.join(FAMILIES)}")
    return importlib.import_module(FAMILIES[facts.architecture])


def load_network(name_or_path: str | Path) -> tuple[nn.Module, ModelFacts]:
    """The network of a model, in eval mode on the CPU, and its facts. Raises ModelError."""
    facts = verify(name_or_path)
    family = family_of(facts)
    if not facts.trained and not facts.sha256:
        return family.build_network(facts, seed=0), facts
    network = family.build_network(facts)
    load_weights(network, load_state(facts.weights_path), str(facts.weights_path))
    return network, facts


def _random_facts(preset: str) -> ModelFacts:
    known = []
    for module in dict.fromkeys(FAMILIES.values()):
        family = importlib.import_module(module)
        if preset in family.PRESETS:
            return family.preset_facts(preset)
        known += list(family.PRESETS)
    raise ModelError(f"no preset {preset!r}; known: {', '.join(known)}")
