"""Messages to arrays and back: pure functions that serve rclpy's and rosbags' messages alike (by attribute)."""
