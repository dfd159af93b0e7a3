"""Traced arrays, primitives, and their namespace, which every transformation uses."""
