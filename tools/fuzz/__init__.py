"""Properties that hold for any input, and the strategies that generate inputs.

`python -m tools.fuzz` tries them for as long as asked, `tests/fuzz` a few hundred examples of each.
"""
