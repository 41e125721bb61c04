"""Properties that hold for whatever comes from outside, and the strategies that make it.

`python -m tools.fuzz` tries them for as long as asked, `tests/fuzz` a few hundred examples of each.
"""
