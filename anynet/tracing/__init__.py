"""What every transformation shares: traced arrays, primitives, and the namespace over traced
arrays.
"""
