"""A tiny data set in nuScenes' official table layout: a scene with two keyframes, a sweep between, a camera, a map."""

import json

import numpy as np

from perception_nodes.calibration.se3 import from_euler, to_quaternion
from perception_nodes.messages.image import encode_jpeg

ORIGIN = (400.0, 1100.0, 0.0)
YAW, SPEED = 0.3, 4.0  # of the vehicle, rad and m/s
TIMES = (1_500_000_000_000_000, 1_500_000_000_250_000, 1_500_000_000_500_000)  # microseconds; the second: no keyframe
CAR_XY, CAR_YAW, CAR_VELOCITY = (420.0, 1105.0), 1.0, (2.0, 1.0)
# LIDAR_TOP: x right, y forward; 0.9 m ahead of the ego frame's origin and 1.8 m up
EGO_FROM_TOP = from_euler(0.0, 0.0, -np.pi / 2, (0.9, 0.0, 1.8))
EGO_FROM_CAMERA = np.array([[0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1.0]])


def ego_pose(time):
    seconds = (time - TIMES[0]) * 1e-6
    place = np.array(ORIGIN) + SPEED * seconds * np.array([np.cos(YAW), np.sin(YAW), 0])
    return from_euler(0, 0, YAW, place)


def car_centre(time):
    seconds = (time - TIMES[0]) * 1e-6
    return np.array([CAR_XY[0] + CAR_VELOCITY[0] * seconds, CAR_XY[1] + CAR_VELOCITY[1] * seconds, 0.8])


def pose_row(matrix):
    x, y, z, w = to_quaternion(matrix).tolist()
    return {"rotation": [w, x, y, z], "translation": matrix[:3, 3].tolist()}


def annotation(token, sample, instance, centre, yaw, size, before="", after="", **more):
    return {
        "token": token, "sample_token": sample, "instance_token": instance, "prev": before, "next": after,
        "size": size, "num_lidar_pts": 9, "num_radar_pts": 1, "visibility_token": "4", "attribute_tokens": [],
        **pose_row(from_euler(0, 0, yaw, centre)), **more,
    }  # fmt: skip


def make_tables(root, version="v1.0-mini"):
    """Write the data set below `root`; returns root."""
    rng = np.random.default_rng(0)
    shots, poses = [], []
    for channel, mount in (("LIDAR_TOP", "m0"), ("CAM_FRONT", "m1")):
        for i, time in enumerate(TIMES):
            own = time - (20_000 if channel == "CAM_FRONT" else 0)
            folder, ending = ("sweeps" if i == 1 else "samples"), ("pcd.bin" if channel == "LIDAR_TOP" else "jpg")
            name = f"{folder}/{channel}/{own}.{ending}"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if channel == "LIDAR_TOP":
                inside = car_centre(time) + rng.uniform(-0.5, 0.5, (9, 3))
                top = np.linalg.inv(ego_pose(time) @ EGO_FROM_TOP) @ np.c_[inside, np.ones(9)].T
                points = np.c_[top.T[:, :3], np.full(9, 51.0), np.arange(9)]
                (root / name).write_bytes(points.astype("<f4").tobytes())
            else:
                (root / name).write_bytes(encode_jpeg(np.full((90, 160, 3), 90, np.uint8)))
            poses.append({"token": f"p{channel}{i}", "timestamp": own, **pose_row(ego_pose(own))})
            size = (900, 1600) if channel != "LIDAR_TOP" else (0, 0)
            shots.append({"token": f"d{channel}{i}", "sample_token": f"s{min(i, 1)}",
                          "ego_pose_token": f"p{channel}{i}", "calibrated_sensor_token": mount,
                          "timestamp": own, "is_key_frame": i != 1, "filename": name,
                          "height": size[0], "width": size[1]})  # fmt: skip
    rack = {"size": [2.0, 6.0, 2.0]}
    cars = [annotation(f"a{i}", f"s{i}", "car", car_centre(t), CAR_YAW, [2.0, 4.5, 1.6], *(("", "a1"), ("a0", ""))[i],
                       attribute_tokens=["t0"]) for i, t in enumerate((TIMES[0], TIMES[2]))]  # fmt: skip
    lonely = annotation("b", "s0", "walker", (405.0, 1098.0, 0.9), 0.0, [0.6, 0.7, 1.8], visibility_token="1")
    other = annotation("c", "s0", "rack", (402.0, 1096.0, 1.0), 0.5, **rack)
    tables = {
        "scene": [{"token": "scene", "name": "scene-0001", "log_token": "log"}],
        "log": [{"token": "log", "location": "tiny-town"}],
        "sample": [{"token": "s0", "scene_token": "scene", "timestamp": TIMES[0]},
                   {"token": "s1", "scene_token": "scene", "timestamp": TIMES[2]}],
        "sample_data": shots,
        "ego_pose": poses,
        "calibrated_sensor": [
            {"token": "m0", "sensor_token": "lidar", "camera_intrinsic": [], **pose_row(EGO_FROM_TOP)},
            {"token": "m1", "sensor_token": "cam", **pose_row(EGO_FROM_CAMERA),
             "camera_intrinsic": [[120.0, 0, 80], [0, 120, 45], [0, 0, 1]]},
        ],
        "sensor": [{"token": "lidar", "channel": "LIDAR_TOP"}, {"token": "cam", "channel": "CAM_FRONT"}],
        "sample_annotation": [*cars, lonely, other],
        "instance": [{"token": n, "category_token": n} for n in ("car", "walker", "rack")],
        "category": [{"token": "car", "name": "vehicle.car"}, {"token": "walker", "name": "human.pedestrian.adult"},
                     {"token": "rack", "name": "static_object.bicycle_rack"}],
        "attribute": [{"token": "t0", "name": "vehicle.moving"}],
    }  # fmt: skip
    (root / version).mkdir()
    for name, rows in tables.items():
        (root / version / f"{name}.json").write_text(json.dumps(rows))
    (root / "maps/expansion").mkdir(parents=True)
    (root / "maps/expansion/tiny-town.json").write_text(json.dumps(make_map()))
    return root


def make_map():
    """Road 20 x 20 m about the first pose with a hole, a divider across it, a walkway a kilometre away."""
    corners = {"a": (390, 1090), "b": (410, 1090), "c": (410, 1110), "d": (390, 1110), "e": (399, 1099),
               "f": (401, 1099), "g": (401, 1101), "h": (399, 1101)}  # fmt: skip
    far = {k + "9": (x + 1000, y) for k, (x, y) in corners.items()}
    hole = [{"node_tokens": list("efgh")}]
    return {
        "node": [{"token": k, "x": x, "y": y} for k, (x, y) in {**corners, **far}.items()],
        "line": [{"token": "l0", "node_tokens": ["a", "c"]}, {"token": "l1", "node_tokens": ["a9", "c9"]}],
        "polygon": [{"token": "p0", "exterior_node_tokens": list("abcd"), "holes": hole},
                    {"token": "p1", "exterior_node_tokens": [k + "9" for k in "abcd"], "holes": []}],
        "drivable_area": [{"token": "x", "polygon_tokens": ["p0", "p1"]}],
        "ped_crossing": [], "stop_line": [], "carpark_area": [], "walkway": [{"token": "w", "polygon_token": "p1"}],
        "road_divider": [{"token": "r", "line_token": "l0"}], "lane_divider": [{"token": "q", "line_token": "l1"}],
    }  # fmt: skip
