"""Makes the parts of the executor from its settings: one module for each backend, `build` chooses among them."""
