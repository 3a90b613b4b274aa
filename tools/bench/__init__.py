"""A load test of the server: paced clients, what they wait for, what it costs. ``python -m tools.bench --help``."""
