"""Tasks: examples to tensors, head, loss, and counts. ``registry.py`` lists them."""
