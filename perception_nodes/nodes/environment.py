"""DDS settings in the environment; they must stand there before rclpy is imported. No ROS here.

A node under `ros2 launch`, `ros2 run` or in a user's own composition keeps the user's settings: only a larger
shared-memory segment is added (`prepare_environment`). The commands of `perception` keep to this machine unless
`--network` is given (`isolate_environment`).
"""

import os

# One line per message, flushed: launch and tests read it.
LOGGING = {"RCUTILS_LOGGING_BUFFERED_STREAM": "0"}
PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")  # of Fast DDS 3; of Fast DDS 2
TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS"
DISCOVERY = "ROS_AUTOMATIC_DISCOVERY_RANGE"
PEERS = "ROS_STATIC_PEERS"
FAST_DDS_2 = ("humble", "iron", "jazzy")
SHARED, LOCAL, LOCAL_SMALL = "fastdds.xml", "fastdds_local.xml", "fastdds_local_small.xml"
SEGMENT_BYTES = 16 << 20  # as in config/fastdds.xml
SHARED_MEMORY = "/dev/shm"


def prepare_environment() -> dict[str, str]:
    """Adds a larger shared-memory segment for large messages where the user chose no transports of his own.

    Discovery, domain and network stay as the user set them. Returns what was set by this call.
    """
    chosen = any(key in os.environ for key in (TRANSPORTS, *PROFILES)) or not _is_fast_dds()
    wanted = dict(LOGGING) if chosen or _is_short() else LOGGING | _profile(SHARED)
    added = {key: value for key, value in wanted.items() if key not in os.environ}
    os.environ.update(added)
    return added


def isolate_environment() -> dict[str, str]:
    """Keeps this process and its children to this machine: no socket on another address than 127.0.0.1.

    Replaces the user's discovery range, static peers, transports and Fast DDS profile; domain and security stay.
    Without effect once a node was created in this process. Returns what was set by this call.
    """
    wanted = LOGGING | ({} if not _is_fast_dds() else _profile(LOCAL_SMALL if _is_short() else LOCAL))
    # rmw_fastrtps adds a UDP transport on all interfaces of its own for LOCALHOST; the profile says more than that.
    closed = any(key in wanted for key in PROFILES)
    wanted |= {DISCOVERY: "SYSTEM_DEFAULT"} if closed else {DISCOVERY: "LOCALHOST", "ROS_LOCALHOST_ONLY": "1"}
    for key in (TRANSPORTS, PEERS, *PROFILES):
        os.environ.pop(key, None)
    if closed:
        os.environ.pop("ROS_LOCALHOST_ONLY", None)
    os.environ.update(wanted)
    return wanted


def describe_environment() -> str:
    """The DDS settings of nodes started from this shell, for `perception doctor`."""
    profile = next((os.environ[key] for key in PROFILES if key in os.environ), "")
    transports = os.environ.get(TRANSPORTS, "")
    if profile or transports:
        how = f"transports by {TRANSPORTS}={transports}" if transports else f"transports by {profile}"
    elif not _is_fast_dds():
        how = f"transports of {os.environ['RMW_IMPLEMENTATION']}"
    elif _is_short():
        how = f"default transports ({SHARED_MEMORY} has less than 48 MB free: large messages are slow)"
    else:
        how = "default transports with 16 MB of shared memory"
    found = f"discovery {os.environ.get(DISCOVERY, 'SUBNET')}, domain {os.environ.get('ROS_DOMAIN_ID', '0')}, {how}"
    return f"nodes under ros2 launch and ros2 run: {found}; commands of perception: this machine only"


def _profile(name: str) -> dict[str, str]:
    """Names a file of config/ to Fast DDS; nothing where the package has no config folder."""
    from perception_nodes.graph import config_folder

    try:
        return {PROFILES[os.environ.get("ROS_DISTRO", "") in FAST_DDS_2]: str(config_folder() / name)}
    except FileNotFoundError:
        return {}


def _is_fast_dds() -> bool:
    return "fastrtps" in os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")


def _is_short() -> bool:
    """True where shared memory has no room for a few nodes (containers have 64 MB)."""
    return _free_bytes(SHARED_MEMORY) < 3 * SEGMENT_BYTES


def _free_bytes(folder: str) -> int:
    try:
        found = os.statvfs(folder)
    except (OSError, AttributeError):  # another system
        return 0
    return found.f_bavail * found.f_frsize


def rclpy_or_explain() -> None:
    """Raises ImportError with what to type where rclpy is not there."""
    prepare_environment()
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "ROS 2's rclpy is not installed here: source your distribution (source /opt/ros/jazzy/setup.bash), "
            "or install it from pip with: pip install 'perception_nodes[ros]' (x86_64 Linux)"
        ) from error
