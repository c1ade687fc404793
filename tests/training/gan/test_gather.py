"""Packs of pictures from folders, videos and pairs."""

import cv2
import numpy as np
import pytest

from models.facts import ModelError
from training.gan.gather import main, pairs_of
from training.gan.packs import read_pack
from training.gan.picture_files import fitted


def folder(path, names, value=100):
    path.mkdir()
    for i, name in enumerate(names):
        cv2.imwrite(str(path / name), np.full((20, 40, 3), value + i, np.uint8))
    return path


def test_pictures_are_cut_around_the_middle_and_averaged():
    picture = np.zeros((4, 8, 3), np.uint8)
    picture[:, 2:4] = 100
    assert fitted(picture, 2, 2)[:, :, 0].tolist() == [[100, 0], [100, 0]]
    assert fitted(picture[..., 0], 2, 2, nearest=True).tolist() == [[100, 0], [100, 0]]


def test_pairs_are_matched_by_name_and_folders_without_partners_refused(tmp_path, capsys):
    a, b = folder(tmp_path / "a", ["1.png", "2.png"]), folder(tmp_path / "b", ["2.jpg", "1.jpg"], 200)
    out = tmp_path / "pairs.npz"
    assert main([str(out), "--pairs", str(a), str(b), "--size", "10", "20"]) == 0
    found = read_pack(out, ("a", "b"), paired=True)
    assert found["a"].shape == (2, 3, 10, 20)
    assert [int(v) for v in found["a"][:, 0, 0, 0]] == [100, 101]
    assert [int(v) for v in found["b"][:, 0, 0, 0]] == [201, 200]
    (a / "3.png").write_bytes((a / "1.png").read_bytes())
    with pytest.raises(ModelError, match="3 is in one of"):
        pairs_of(a, b, (8, 8))
    assert main([str(out), "--folder", str(tmp_path / "none")]) == 2
    assert "give a folder that holds some" in capsys.readouterr().err


def test_frames_of_a_video_join_the_pictures_of_a_folder(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 32))
    for i in range(6):
        writer.write(np.full((32, 32, 3), 40 * i, np.uint8))
    writer.release()
    folder(tmp_path / "a", ["1.png"])
    command = [str(tmp_path / "p.npz"), "--folder", str(tmp_path / "a"), "--video", str(tmp_path / "v.avi")]
    assert main([*command, "--every", "2", "--size", "16", "16"]) == 0
    assert len(read_pack(tmp_path / "p.npz", ("pictures",))) == 4
