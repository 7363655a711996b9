"""One test module per module of the product, named after it."""
