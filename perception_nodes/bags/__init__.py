"""rosbag2 without ROS: reading and writing on `rosbags`."""
