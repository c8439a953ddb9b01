"""What tests share: a movable clock, settings, real servers and processes."""
