"""Measurements anyone can repeat: falls found, false alarms, delay, speed."""
