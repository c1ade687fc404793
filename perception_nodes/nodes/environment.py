"""What must stand in the environment before rclpy is imported. No ROS here."""

import os

DEFAULTS = {
    # Large messages over best effort are lost on Fast DDS's defaults; this moves them by shared memory and TCP where
    # discovery reaches further than this machine.
    "FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA",
    # Nothing listens beyond this machine unless the user says so.
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    # One line per message, flushed: launch and tests read it.
    "RCUTILS_LOGGING_BUFFERED_STREAM": "0",
}
PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")  # of Fast DDS 3; of Fast DDS 2
FAST_DDS_2 = ("humble", "iron", "jazzy")
SEGMENT_BYTES = 16 << 20  # as in config/fastdds.xml
SHARED_MEMORY = "/dev/shm"


def prepare_environment() -> dict[str, str]:
    """Sets transport and discovery defaults that the user has not set; returns what was set by this call."""
    wanted = DEFAULTS | _profiles()
    added = {key: value for key, value in wanted.items() if key not in os.environ}
    os.environ.update(added)
    return added


def _profiles() -> dict[str, str]:
    """Names config/fastdds.xml, which is for one machine: rclpy passes over FASTDDS_BUILTIN_TRANSPORTS there.

    Nothing where the user chose transports or a wider range, or where shared memory is short (containers have 64 MB).
    """
    chosen = any(key in os.environ for key in ("FASTDDS_BUILTIN_TRANSPORTS", *PROFILES))
    wider = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST") != "LOCALHOST"
    if chosen or wider or _free_bytes(SHARED_MEMORY) < 3 * SEGMENT_BYTES:
        return {}
    from perception_nodes.graph import config_folder

    try:
        return {PROFILES[os.environ.get("ROS_DISTRO", "") in FAST_DDS_2]: str(config_folder() / "fastdds.xml")}
    except FileNotFoundError:
        return {}


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
