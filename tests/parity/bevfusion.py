"""Systems of BEVFusion: the parts of the official model, each with the official state dict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.bevfusion.blocks import ConvFuser
from models.bevfusion.box_coder import BoxCoder
from models.bevfusion.camera_neck import GeneralizedLSSFPN
from models.bevfusion.fused_encoder import FusedSparseEncoder
from models.bevfusion.geometry import CameraMatrices, depth_images, frustum_in_lidar
from models.bevfusion.map_head import BEVSegmentationHead, focal_loss
from models.bevfusion.pool import Grid, pool_points
from models.bevfusion.second import SECOND, SECONDFPN
from models.bevfusion.sparse_encoder import SparseEncoder
from models.bevfusion.transfusion_head import TransFusionHead
from models.bevfusion.view_transform import DepthLSSTransform, LSSTransform
from models.state import load_weights
from tests.parity.vectors import Vector

Outputs = dict[str, np.ndarray]


def filled(network: nn.Module, vector: Vector) -> nn.Module:
    """The module with the vector's weights, in eval mode; every key must fit."""
    load_weights(network, {k: torch.from_numpy(v) for k, v in vector.weights.items()}, vector.name)
    return network.eval()


def tensors(vector: Vector) -> dict[str, Tensor]:
    return {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in vector.inputs.items()}


def numbered(inputs: dict[str, Tensor]) -> list[Tensor]:
    """x0, x1, … in order."""
    return [inputs[f"x{i}"] for i in range(len(inputs))]


def run_pool(vector: Vector) -> Outputs:
    """y of bev_pool."""
    given, told = tensors(vector), vector.meta["constructor"]
    y = pool_points(given["feats"], given["coords"].long(), told["B"], told["D"], told["H"], told["W"])
    return {"y": y.numpy()}


def run_neck(vector: Vector) -> Outputs:
    """y0, y1, … of the camera's pyramid."""
    told = vector.meta["constructor"]
    neck = filled(GeneralizedLSSFPN(told["in_channels"], told["out_channels"]), vector)
    return {f"y{i}": y.numpy() for i, y in enumerate(neck(numbered(tensors(vector))))}


def run_fuser(vector: Vector) -> Outputs:
    """y of the fuser."""
    told, given = vector.meta["constructor"], tensors(vector)
    fuser = filled(ConvFuser(told["in_channels"], told["out_channels"]), vector)
    return {"y": fuser(torch.cat([given["camera"], given["lidar"]], 1)).numpy()}


def run_second(vector: Vector) -> Outputs:
    """y0, y1, … of SECOND."""
    told = vector.meta["constructor"]
    network = SECOND(told["in_channels"], told["out_channels"], told["layer_nums"], told["layer_strides"])
    found = filled(network, vector)(tensors(vector)["x"])
    return {f"y{i}": y.numpy() for i, y in enumerate(found)}


def run_second_fpn(vector: Vector) -> Outputs:
    """y of SECOND's FPN."""
    told = vector.meta["constructor"]
    network = SECONDFPN(told["in_channels"], told["out_channels"], told["upsample_strides"])
    return {"y": filled(network, vector)(numbered(tensors(vector))).numpy()}


def run_map_head(vector: Vector) -> Outputs:
    """prob, grid_only and focal of the map head."""
    told, given = vector.meta["constructor"], tensors(vector)
    scopes = told["grid_transform"]
    head = BEVSegmentationHead(told["in_channels"], scopes["input_scope"], scopes["output_scope"], len(told["classes"]))
    filled(head, vector)
    prob = head(given["x"])
    focal = focal_loss(prob.clamp(1e-6, 1 - 1e-6).logit(), given["target"])
    return {"prob": prob.numpy(), "grid_only": head.transform(given["x"][:, :2]).numpy(), "focal": focal[None].numpy()}


def coder_of(told: dict[str, Any]) -> BoxCoder:
    """The box coder of a constructor."""
    return BoxCoder(
        tuple(told["pc_range"]),
        tuple(told["voxel_size"]),
        told["out_size_factor"],
        tuple(told["post_center_range"]),
        told.get("score_threshold") or 0.0,
    )


def run_box_coder(vector: Vector) -> Outputs:
    """encoded, decoded, scores and labels of the box coder."""
    given, coder = tensors(vector), coder_of(vector.meta["constructor"])
    codes = coder.encode(given["boxes"])
    center, height, dim, rot, vel = (codes.t()[None, a:b] for a, b in ((0, 2), (2, 3), (3, 6), (6, 8), (8, 10)))
    boxes = coder.decode(center, height, dim, rot, vel)[0]
    scores, labels = given["heat"][0].max(0)
    kept = coder.keep(boxes, scores)
    return {
        "encoded": codes.numpy(),
        "decoded": boxes[kept].numpy(),
        "scores": scores[kept].numpy(),
        "labels": labels[kept].numpy(),
    }


def run_view_transform(vector: Vector) -> Outputs:
    """bev, geometry and (depth-aware) depth_image of the view transform."""
    told, given = dict(vector.meta["constructor"]), tensors(vector)
    grid = Grid(tuple(told["xbound"]), tuple(told["ybound"]), tuple(told["zbound"]))
    kind = DepthLSSTransform if any(k.startswith("dtransform.") for k in vector.weights) else LSSTransform
    network = kind(
        told["in_channels"], told["out_channels"], told["image_size"], told["feature_size"], grid, told["dbound"],
        told.get("downsample", 1),
    )  # fmt: skip
    filled(network, vector)
    matrices = CameraMatrices(
        given["camera2lidar"], given["camera_intrinsics"], given["lidar2image"], given["img_aug_matrix"],
        given["lidar_aug_matrix"],
    )  # fmt: skip
    found = {"geometry": frustum_in_lidar(network.frustum, matrices).numpy()}
    depth = None
    if network.uses_points:
        depth = depth_images([given["points"]], matrices, told["image_size"])
        shape = vector.meta["outputs"]["depth_image"]["shape"]
        found["depth_image"] = depth.reshape(shape).numpy()
    found["bev"] = network(given["feat"], matrices, depth).numpy()
    return found


def run_sparse_encoder(vector: Vector) -> Outputs:
    """y of the LiDAR encoder: of the modules, or of the fused engine that sessions run, whichever is further off."""
    told = vector.meta["constructor"]
    if told["block_type"] != "basicblock" or list(told["order"]) != ["conv", "norm", "act"]:
        raise ValueError(f"block_type {told['block_type']}, order {told['order']}: only the released form is built")
    strided = [paddings[-1] for paddings in told["encoder_paddings"][:-1]]
    network = SparseEncoder(
        told["in_channels"], told["sparse_shape"], told["output_channels"], told["encoder_channels"], strided,
        told["base_channels"],
    )  # fmt: skip
    filled(network, vector)
    coords = vector.inputs["coords_bxyz"][:, [1, 2, 3, 0]].astype(np.int32)
    maps = network.maps(coords, int(vector.meta["outputs"]["y"]["shape"][0]))
    feats = vector.inputs["feats"]
    found = [network(torch.from_numpy(feats), maps).numpy(), FusedSparseEncoder(network)(feats, maps).numpy()]
    reference = vector.expected["y"]
    return {"y": max(found, key=lambda y: np.abs(y - reference).max())}


def run_head(vector: Vector) -> Outputs:
    """Predictions, boxes, scores and labels of the detection head."""
    told = vector.meta["constructor"]
    head = TransFusionHead(
        told["in_channels"], told["num_classes"], coder_of(told), told["num_proposals"], told["hidden_channel"],
        told["num_heads"], told["ffn_channel"], told["num_decoder_layers"], told["nms_kernel_size"],
    )  # fmt: skip
    filled(head, vector)
    found = head(tensors(vector)["x"])
    (boxes, scores, labels), *_ = head.decode(found)
    layers = {name: torch.cat([layer[name] for layer in found.layers], -1) for name in found.layers[0]}
    named = {
        **layers, "query_heatmap_score": found.peak_scores, "dense_heatmap": found.heatmap,
        "query_labels": found.labels, "boxes": boxes, "scores": scores, "labels": labels,
    }  # fmt: skip
    return {name: value.numpy() for name, value in named.items()}


PARTS: dict[str, Callable[[Vector], Outputs]] = {
    "BEV pool": run_pool,
    "BEVFusion camera neck": run_neck,
    "BEVFusion fuser": run_fuser,
    "BEVFusion decoder backbone": run_second,
    "BEVFusion decoder neck": run_second_fpn,
    "BEVFusion BEV segmentation head": run_map_head,
    "BEVFusion box coder": run_box_coder,
    "BEVFusion view transform": run_view_transform,
    "BEVFusion LiDAR encoder": run_sparse_encoder,
    "BEVFusion detection head": run_head,
}


@torch.inference_mode()
def run(vector: Vector) -> Outputs:
    """The outputs of the vector's part."""
    return PARTS[vector.system](vector)
