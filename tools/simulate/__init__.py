"""The engine under random pipelines and random faults, in a world without clocks, processes or a network.

`python -m tools.simulate` tries as many seeds as asked, `tests/simulation` a few hundred, our own pipelines, and broken
engines, which have to be noticed.
"""
