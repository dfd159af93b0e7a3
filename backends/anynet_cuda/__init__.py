"""What libraries that compile CUDA's language have in common."""
