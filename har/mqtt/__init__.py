"""MQTT: topics, bodies, the broker, and a publisher that loses no alert."""
