"""The whole BEVFusion: encoders of cameras and LiDAR, fuser, decoder, heads; each part may be absent.

The tree of modules is that of the released checkpoints: encoders.{camera,lidar}, fuser, decoder, heads.{object,map}.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.bevfusion.blocks import ConvFuser
from models.bevfusion.camera_decoder import LSSFPN, GeneralizedResNet
from models.bevfusion.camera_neck import GeneralizedLSSFPN
from models.bevfusion.center_head import CenterHead
from models.bevfusion.geometry import CameraMatrices
from models.bevfusion.map_head import BEVSegmentationHead
from models.bevfusion.second import SECOND, SECONDFPN
from models.bevfusion.sparse_encoder import SparseEncoder
from models.bevfusion.sparse_maps import EncoderMaps
from models.bevfusion.swin import SwinTransformer
from models.bevfusion.transfusion_head import Queries, TransFusionHead
from models.bevfusion.view_transform import LSSTransform

ObjectHead = TransFusionHead | CenterHead


class CameraInput(NamedTuple):
    """images float32 [B, N, 3, H, W], normalised RGB · matrices: of the N cameras · depth_images [B, N, 1, H, W] for
    the depth-aware transform, None without LiDAR.
    """

    images: Tensor
    matrices: CameraMatrices
    depth_images: Tensor | None = None


class LidarInput(NamedTuple):
    """feats float32 [V, C] of the voxels · maps: their kernel maps (`SparseEncoder.maps`)."""

    feats: Tensor
    maps: EncoderMaps


class Predictions(NamedTuple):
    """objects: what the object head's `decode` takes, or None · map: probabilities [B, classes, X, Y], or None."""

    objects: Queries | list[dict[str, Tensor]] | None
    map: Tensor | None


class CameraEncoder(nn.ModuleDict):
    """Pictures to a BEV map."""

    def __init__(self, backbone: SwinTransformer, neck: GeneralizedLSSFPN, vtransform: LSSTransform):
        super().__init__({"backbone": backbone, "neck": neck, "vtransform": vtransform})

    @property
    def transform(self) -> LSSTransform:
        """The view transform."""
        found = self["vtransform"]
        assert isinstance(found, LSSTransform)
        return found

    def lift(self, images: Tensor, depth_images: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """images [V, 3, H, W] of V pictures -> what `LSSTransform.lift` returns."""
        feats = self["neck"](self["backbone"](images))[0]
        return self.transform.lift(feats, depth_images)

    def forward(self, given: CameraInput) -> Tensor:
        """-> BEV map [B, C, X, Y]."""
        flat = None if given.depth_images is None else given.depth_images.flatten(0, 1)
        depth, context = self.lift(given.images.flatten(0, 1), flat)
        return self.transform.downsample(self.transform.splat(depth, context, self.transform.associate(given.matrices)))


class BEVFusion(nn.Module):
    """camera, lidar: at least one · fuser: where there are both · backbone, neck: the BEV decoder · objects, maps: the
    heads, at least one.
    """

    def __init__(
        self,
        camera: CameraEncoder | None,
        lidar: SparseEncoder | None,
        fuser: ConvFuser | None,
        backbone: SECOND | GeneralizedResNet,
        neck: SECONDFPN | LSSFPN,
        objects: ObjectHead | None,
        maps: BEVSegmentationHead | None,
    ):
        super().__init__()
        if (camera is None and lidar is None) or (objects is None and maps is None):
            raise ValueError("BEVFusion needs an encoder (camera, lidar) and a head (objects, maps): found none of one")
        if (fuser is None) != (camera is None or lidar is None):
            raise ValueError("BEVFusion needs a fuser where it has both encoders, and none where it has one")
        self.encoders, self.heads = nn.ModuleDict(), nn.ModuleDict()
        if camera is not None:
            self.encoders["camera"] = camera
        if lidar is not None:
            self.encoders["lidar"] = nn.ModuleDict({"backbone": lidar})
        self.fuser = fuser
        self.decoder = nn.ModuleDict({"backbone": backbone, "neck": neck})
        if objects is not None:
            self.heads["object"] = objects
        if maps is not None:
            self.heads["map"] = maps

    @property
    def camera(self) -> CameraEncoder | None:
        """The camera encoder."""
        found = self.encoders["camera"] if "camera" in self.encoders else None
        assert found is None or isinstance(found, CameraEncoder)
        return found

    @property
    def lidar(self) -> SparseEncoder | None:
        """The LiDAR encoder."""
        found = self.encoders.get_submodule("lidar.backbone") if "lidar" in self.encoders else None
        assert found is None or isinstance(found, SparseEncoder)
        return found

    @property
    def objects(self) -> ObjectHead | None:
        """The object head."""
        found = self.heads["object"] if "object" in self.heads else None
        assert found is None or isinstance(found, TransFusionHead | CenterHead)
        return found

    @property
    def maps(self) -> BEVSegmentationHead | None:
        """The map head."""
        found = self.heads["map"] if "map" in self.heads else None
        assert found is None or isinstance(found, BEVSegmentationHead)
        return found

    def decode_bev(self, maps: list[Tensor]) -> Tensor:
        """BEV maps of the encoders, the camera's first -> the decoder's map."""
        x = maps[0] if self.fuser is None else self.fuser(torch.cat(maps, 1))
        return self.decoder["neck"](self.decoder["backbone"](x))

    def forward(self, camera: CameraInput | None, lidar: LidarInput | None) -> Predictions:
        """Both inputs as the model has encoders. Raises ValueError where one is missing."""
        maps = []
        if self.camera is not None:
            if camera is None:
                raise ValueError("this BEVFusion has a camera encoder: give a CameraInput")
            maps.append(self.camera(camera))
        if self.lidar is not None:
            if lidar is None:
                raise ValueError("this BEVFusion has a LiDAR encoder: give a LidarInput")
            maps.append(self.lidar(*lidar))
        x = self.decode_bev(maps)
        return Predictions(
            None if self.objects is None else self.objects(x), None if self.maps is None else self.maps(x)
        )
