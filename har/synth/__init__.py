"""Simulated people with exact joints and labels: skeleton clips for training, rendered videos to try things on."""
