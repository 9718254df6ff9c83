"""One module per contract shape; they never import each other."""
