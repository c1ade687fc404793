"""What must stand in the environment before rclpy is imported. No ROS here."""

import os

DEFAULTS = {
    # Large messages over best effort are lost on Fast DDS's defaults; this profile moves them by shared memory and TCP.
    "FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA",
    # Nothing listens beyond this machine unless the user says so.
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    # One line per message, flushed: launch and tests read it.
    "RCUTILS_LOGGING_BUFFERED_STREAM": "0",
}


def prepare_environment() -> dict[str, str]:
    """Sets transport and discovery defaults that the user has not set; returns what was set by this call."""
    added = {key: value for key, value in DEFAULTS.items() if key not in os.environ}
    os.environ.update(added)
    return added


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
