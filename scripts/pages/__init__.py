"""Pages of the documentation that are made from code and measurements: one module each, one function `page()`."""
