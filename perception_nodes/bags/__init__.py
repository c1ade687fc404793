"""rosbag2 without ROS: reading, writing, recording and paced replay on `rosbags`."""
