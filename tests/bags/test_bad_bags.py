"""A damaged or unsuitable bag ends in one clear sentence, and foreign bytes never end in another error."""

import re
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

import lz4.frame
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rosbags.typesys import get_types_from_idl

from perception_nodes.bags import limits
from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.typestore import make, to_bytes
from perception_nodes.bags.writer import BagWriter
from tests.bags.bagmaker import START, make_bag, sweep
from tests.fuzzing import fuzzed

POINTS = "sensor_msgs/msg/PointCloud2"


def refused(path, words):
    with pytest.raises(BagError, match=words) as info:
        with BagReader(path) as bag:
            list(bag.messages())
    assert "\n" not in str(info.value)


def test_a_path_without_a_bag(tmp_path):
    refused(tmp_path / "none", "there is no bag at")
    refused(tmp_path, "holds nothing")
    (tmp_path / "notes.txt").write_text("hello")
    refused(tmp_path, "holds notes.txt")
    refused(tmp_path / "notes.txt", "neither an MCAP file nor")
    (tmp_path / "metadata.yaml").write_text("rosbag2_bagfile_information: {}")
    refused(tmp_path, "not a rosbag2 folder")


def test_files_that_are_no_bags(tmp_path):
    for name, data, words in (
        ("a.mcap", b"", "is empty"),
        ("b.mcap", b"hello world, this is no MCAP", "neither an MCAP"),
        ("c.bag", b"#ROSBAG V2.0\n", "ROS 1 bag; .*rosbags-convert"),
        ("d.db3", b"", "is empty"),
        ("e.db3", b"SQLite format 3\x00" + b"\x00" * 100, "cannot be opened"),
    ):
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, words)
    sqlite3.connect(tmp_path / "f.db3").execute("create table t(a)").connection.close()
    refused(tmp_path / "f.db3", "missing tables")


def test_a_truncated_mcap_says_how_far_it_goes_and_what_to_do(tmp_path):
    path = make_bag(tmp_path / "bag", sweeps=12, points=20_000) / "bag.mcap"
    whole = path.read_bytes()
    for share, least, most in ((0.05, 0, 0), (0.5, 4, 7), (0.97, 9, 13)):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(BagError, match="truncated.*mcap recover") as info:
            BagReader(path.parent)
        count = int(str(info.value).split("after ")[1].split(" ")[0])
        assert least <= count <= most
    path.write_bytes(whole[:9])
    refused(path.parent, "truncated")


def test_a_bag_without_metadata_is_read_from_its_one_file(tmp_path):
    path = make_bag(tmp_path / "bag")
    (path / "metadata.yaml").unlink()
    with BagReader(path) as bag:
        assert bag.count == 11 and len(list(bag.messages())) == 11
    shutil.copy(path / "bag.mcap", path / "bag2.mcap")
    refused(path, "ros2 bag reindex")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda m: m.clear(), "cannot be opened"),
        (lambda m: m.update(version=99), "version 99"),
        (lambda m: m.update(storage_identifier="tape"), "tape"),
        (lambda m: m.update(relative_file_paths=["gone.mcap"]), "missing"),
        (lambda m: m.update(topics_with_message_count=[3]), "cannot be opened"),
        (lambda m: m.update(compression_format="lz9", compression_mode="FILE"), "lz9"),
    ],
)
def test_metadata_that_is_wrong(tmp_path, edit, words):
    path = make_bag(tmp_path / "bag", sweeps=1) / "metadata.yaml"
    content = yaml.safe_load(path.read_text())
    edit(content["rosbag2_bagfile_information"])
    path.write_text(yaml.safe_dump(content))
    refused(path.parent, words)
    path.write_text("{[")
    refused(path.parent, "cannot be opened")


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6, 7])
def test_metadata_of_older_distributions_is_read(tmp_path, version):
    path = make_bag(tmp_path / "bag", sweeps=2) / "metadata.yaml"
    content = yaml.safe_load(path.read_text())
    info = content["rosbag2_bagfile_information"]
    info["version"] = version
    for key, since in (("files", 5), ("custom_data", 6), ("ros_distro", 8), ("compression_format", 3)):
        if version < since:
            del info[key]
    for topic in info["topics_with_message_count"]:
        if version < 7:
            del topic["topic_metadata"]["type_description_hash"]
        topic["topic_metadata"]["offered_qos_profiles"] = ""
        if version < 4:
            del topic["topic_metadata"]["offered_qos_profiles"]
    path.write_text(yaml.safe_dump(content))
    with BagReader(path.parent) as bag:
        assert bag.count == 3 and bag.topics()["/tf_static"].qos.latched and bag.notes == {}


def test_a_bag_without_points_says_what_it_holds(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/chatter", make("std_msgs/msg/String", data="x"), START)
    with BagReader(tmp_path / "bag") as bag:
        with pytest.raises(
            BagError, match=r"no topic of type sensor_msgs/msg/PointCloud2; it holds /chatter \(std_msgs"
        ):
            bag.require(POINTS)
        with pytest.raises(BagError, match="has no topic /lidar/points; its topics are /chatter"):
            list(bag.messages(["/lidar/points"]))


def test_bytes_of_another_type_are_refused_by_the_decoder(tmp_path):
    with BagReader(make_bag(tmp_path / "bag", 1)) as bag:
        with pytest.raises(BagError, match="are no sensor_msgs/msg/PointCloud2"):
            bag.decode(to_bytes(make("std_msgs/msg/String", data="hello")), POINTS)
        with pytest.raises(BagError, match="velodyne_msgs/msg/VelodyneScan is not known"):
            bag.decode(b"", "velodyne_msgs/msg/VelodyneScan")


def test_a_real_foreign_bag_is_listed_and_its_topic_named_as_unknown(shared):
    path = shared / "data/nebula_rosbag/vlp16_1673400471837873222"
    for source in (path, next(path.glob("*.db3"))):
        with BagReader(source) as bag:
            (sentence,) = bag.unknown()
            assert "/velodyne_packets" in sentence and "velodyne_msgs/msg/VelodyneScan" in sentence
            assert bag.count == 4 and bag.duration_s == pytest.approx(0.300143486)
            assert all(182_000 < len(m.raw) < 184_000 for m in bag.messages())
            with pytest.raises(BagError, match="it holds /velodyne_packets"):
                bag.require(POINTS)


def test_types_that_a_bag_explains_itself_are_learnt(tmp_path):
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg("int32 a\nstring b\n", "my_msgs/msg/Thing"))
    thing = store.types["my_msgs/msg/Thing"](a=5, b="six")
    with Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/thing", "my_msgs/msg/Thing", typestore=store)
        writer.write(connection, START, store.serialize_cdr(thing, "my_msgs/msg/Thing"))
    with BagReader(tmp_path / "bag") as bag:
        (message,) = bag.messages()
        assert bag.unknown() == [] and bag.decode(message.raw, message.type).b == "six"
    with BagReader(make_bag(tmp_path / "other", 1)) as bag, pytest.raises(BagError, match="not known"):
        bag.decode(b"", "my_msgs/msg/Thing")  # one bag's types are not another's


@fuzzed(50)
@given(data=st.data(), suffix=st.sampled_from(["mcap", "db3"]))
def test_flipped_bytes_end_in_messages_or_in_a_bag_error(tmp_path_factory, data, suffix):
    source = _whole(tmp_path_factory, suffix)
    blob = bytearray(source.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        blob[data.draw(st.integers(8, len(blob) - 9))] = data.draw(st.integers(0, 255))
    path = source.parent.parent / f"broken.{suffix}"
    path.write_bytes(blob)
    try:
        with BagReader(path) as bag:
            for message in bag.messages():
                bag.decode(message.raw, message.type)
    except BagError as err:
        assert "\n" not in str(err)


_made = {}


def _whole(factory, suffix):
    if suffix not in _made:
        storage = {"mcap": "mcap", "db3": "sqlite3"}[suffix]
        _made[suffix] = make_bag(factory.mktemp("whole") / "bag", 2, 5, storage=storage) / f"bag.{suffix}"
    return _made[suffix]


@fuzzed(50)
@given(st.data())
def test_flipped_bytes_of_a_message_end_in_a_message_or_a_bag_error(tmp_path_factory, data):
    blob = bytearray(to_bytes(sweep(0, 3)))
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    with BagReader(_whole(tmp_path_factory, "mcap")) as bag:
        try:
            bag.decode(bytes(blob[: data.draw(st.integers(0, len(blob)))]), POINTS)
        except BagError:
            pass


def test_a_chunk_that_is_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    """Small limits stand for the real ones: 197 kB of zstd took 12 GB."""
    path = make_bag(tmp_path / "bag", sweeps=4, points=20_000, compression="zstd") / "bag.mcap"
    monkeypatch.setattr(limits, "FREE_CHUNK", 1000)
    monkeypatch.setattr(limits, "MAX_RATIO", 1)
    refused(path, "refused as a decompression bomb")


@pytest.mark.parametrize("size", [None, 40 << 20])
@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_decompression_stops_at_the_limit_whatever_the_header_says(codec, size):
    zeros = bytes(40 << 20)
    packed = limits.zstd.compress(zeros) if codec == "zstd" else lz4.frame.compress(zeros)
    decompress = limits.decompress_zstd if codec == "zstd" else limits.decompress_lz4
    with pytest.raises(BagError, match="decompression bomb"):
        decompress(packed, size)
    few = zeros[: 1 << 20]
    packed = limits.zstd.compress(few) if codec == "zstd" else lz4.frame.compress(few)
    assert decompress(packed) == few == decompress(packed, len(few))


def test_a_type_definition_that_hangs_the_parser_leaves_its_topic_unknown():
    deep = "(" * 14 + "1" + ")" * 14
    text = f"module a {{ module msg {{ const long X = {deep}; struct B {{ long x; }}; }}; }};"
    with pytest.raises(TimeoutError):
        limits.within_calls(lambda: get_types_from_idl(text), 50_000)
    assert sys.getprofile() is None
    plain = text.replace(deep, "1")
    assert "a/msg/B" in limits.within_calls(lambda: get_types_from_idl(plain))


@pytest.mark.parametrize("whole_folder", [False, True])
def test_bags_packed_with_zstd_open_as_they_are(tmp_path, whole_folder):
    folder = make_bag(tmp_path / "bag", sweeps=3)
    with BagReader(folder) as bag:
        expected = list(bag.messages())
    packed = folder / "bag.mcap.zstd"
    packed.write_bytes(limits.zstd.compress((folder / "bag.mcap").read_bytes()))
    (folder / "bag.mcap").unlink()
    if whole_folder:
        text = (folder / "metadata.yaml").read_text().replace("bag.mcap", "bag.mcap.zstd")
        content = yaml.safe_load(text)
        content["rosbag2_bagfile_information"].update(compression_mode="FILE", compression_format="zstd")
        (folder / "metadata.yaml").write_text(yaml.safe_dump(content))
    before = set(Path(tempfile.gettempdir()).glob("perception_bag_*"))
    with BagReader(folder if whole_folder else packed) as bag:
        assert list(bag.messages()) == expected
    assert set(Path(tempfile.gettempdir()).glob("perception_bag_*")) <= before


def test_a_packed_bag_that_is_cut_or_none_is_refused(tmp_path):
    path = tmp_path / "a.mcap.zstd"
    path.write_bytes(b"hello")
    refused(path, "cannot be unpacked")
    whole = limits.zstd.compress((make_bag(tmp_path / "bag") / "bag.mcap").read_bytes())
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "cannot be unpacked")
    path.write_bytes(limits.zstd.compress(b"hello"))
    refused(path, "neither an MCAP file nor")


def test_messages_that_were_compressed_one_by_one_are_named_with_what_to_do(tmp_path):
    path = tmp_path / "bag"
    with BagWriter(path) as bag:
        message = make("std_msgs/msg/String", data="x" * 100)
        bag.write("/a", limits.zstd.compress(to_bytes(message)), START, "std_msgs/msg/String")
    refused(path / "bag.mcap", "compressed one by one.*ros2 bag convert")


@pytest.mark.parametrize("line", ["message_count:", "message_count: many", "message_count: -3"])
def test_metadata_whose_message_count_is_no_number_is_refused(tmp_path, line):
    folder = make_bag(tmp_path / "bag", sweeps=2)
    text = (folder / "metadata.yaml").read_text()
    (folder / "metadata.yaml").write_text(re.sub(r"message_count: \d+", line, text))
    refused(folder, "message count|cannot be opened")


def test_metadata_that_is_an_alias_bomb_is_refused(tmp_path):
    folder = make_bag(tmp_path / "bag", sweeps=2)
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]\n" for i in range(9)
    )
    (folder / "metadata.yaml").write_text((folder / "metadata.yaml").read_text() + bomb)
    refused(folder, "stands for more than")
