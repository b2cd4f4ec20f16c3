"""Runs: the controller starts programs on nodes over SSH, follows them and keeps what they say."""
