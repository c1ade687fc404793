"""Topics of the stack in a node's namespace."""

ROS_WIDE = ("/clock", "/tf", "/tf_static", "/diagnostics", "/rosout", "/parameter_events")


def in_namespace(topic: str) -> str:
    """A stored name as one that follows the node's namespace: /lidar/points -> lidar/points.

    Topics that all of ROS shares stay absolute.
    """
    return topic if topic in ROS_WIDE else topic.lstrip("/")
