"""CUDA sources that several backends compile."""
