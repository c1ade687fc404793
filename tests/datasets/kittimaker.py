"""A tiny KITTI raw drive and SemanticKITTI sequence in their official layouts, whose content is known."""

import cv2
import numpy as np

CAM_TO_CAM = """calib_time: 09-Jan-2012 13:57:47
S_rect_02: 6.2e+01 3.8e+01
R_rect_00: 1 0 0 0 1 0 0 0 1
P_rect_02: 40 0 30.5 4 0 40 18.5 0 0 0 1 0
S_rect_03: 6.2e+01 3.8e+01
P_rect_03: 40 0 30.5 -16 0 40 18.5 0 0 0 1 0
"""
VELO_TO_CAM = "calib_time: 15-Mar-2012 11:37:16\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0 -0.08 -0.27\ndelta_f: 0 0\n"
IMU_TO_VELO = "R: 1 0 0 0 1 0 0 0 1\nT: -0.81 0.32 -0.8\n"


def points(i, count=40):
    rng = np.random.default_rng(i)
    return np.c_[rng.normal(0, 10, (count, 3)), rng.random(count)].astype("<f4")


def stamps(count, offset_ns=0):
    return "".join(f"2011-09-26 13:02:{25 + i // 10}.{(i % 10) * 100_000_000 + offset_ns:09d}\n" for i in range(count))


def kitti_raw(root, frames=3, oxts=True, right=True):
    date = root / "2011_09_26"
    drive = date / "2011_09_26_drive_0001_sync"
    for name, text in (("cam_to_cam", CAM_TO_CAM), ("velo_to_cam", VELO_TO_CAM), ("imu_to_velo", IMU_TO_VELO)):
        date.mkdir(parents=True, exist_ok=True)
        (date / f"calib_{name}.txt").write_text(text)
    for folder in ("velodyne_points", "image_02", *(["image_03"] if right else []), *(["oxts"] if oxts else [])):
        (drive / folder / "data").mkdir(parents=True)
        (drive / folder / "timestamps.txt").write_text(stamps(frames, 7 if folder == "image_02" else 0))
    for i in range(frames):
        points(i).tofile(drive / "velodyne_points/data" / f"{i:010d}.bin")
        picture = np.full((38, 62, 3), 40 + 10 * i, np.uint8)
        for folder in ("image_02", *(["image_03"] if right else [])):
            cv2.imwrite(str(drive / folder / "data" / f"{i:010d}.png"), picture)
        if oxts:  # one metre east a frame, heading east
            row = np.zeros(30)
            row[0], row[1], row[2] = 49.0, 8.4 + np.degrees(i / (6378137.0 * np.cos(np.radians(49.0)))), 110.0
            row[8], row[22] = 10.0, 0.1
            (drive / "oxts/data" / f"{i:010d}.txt").write_text(" ".join(f"{v:.12f}" for v in row))
    return date


def semantickitti(root, sequences=("00",), frames=3, extras=True, labels=True):
    for name in sequences:
        folder = root / "sequences" / name
        (folder / "velodyne").mkdir(parents=True)
        for i in range(frames):
            points(i).tofile(folder / "velodyne" / f"{i:06d}.bin")
        if labels:
            (folder / "labels").mkdir()
            ids = np.array([0, 10, 252, 40, 60, 81, 99, 259], "<u4")
            for i in range(frames):
                (np.resize(ids, 40) | (np.arange(40, dtype="<u4") << 16)).tofile(folder / "labels" / f"{i:06d}.label")
        if extras:
            (folder / "times.txt").write_text("".join(f"{i * 0.104:e}\n" for i in range(frames)))
            (folder / "calib.txt").write_text("P0: " + "0 " * 12 + "\nTr: 0 -1 0 0 0 0 -1 -0.08 1 0 0 -0.27\n")
            rows = (f"1 0 0 0 0 1 0 0 0 0 1 {i * 1.5}\n" for i in range(frames))  # ahead is camera z
            (folder / "poses.txt").write_text("".join(rows))
    return root


TRACKLETS = """<?xml version="1.0"?><boost_serialization><tracklets class_id="0"><count>2</count>
<item><objectType>Van</objectType><h>2</h><w>1.8</w><l>5</l><first_frame>1</first_frame><poses><count>2</count>
<item><tx>10</tx><ty>1</ty><tz>-1.7</tz><rz>0.5</rz></item><item><tx>11</tx><ty>1</ty><tz>-1.7</tz><rz>0.5</rz></item>
</poses></item><item><objectType>Tram</objectType><h>3</h><w>2</w><l>20</l><first_frame>0</first_frame>
<poses><item><tx>1</tx><ty>1</ty><tz>0</tz><rz>0</rz></item></poses></item></tracklets></boost_serialization>"""
