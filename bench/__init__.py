"""Benchmarks. Each runs the product beside its rivals on the same machine in the same minutes.

The convention of every benchmark here: it calls the product's own functions; its rivals run in the
same process, in turn (A B A B ...), over several rounds; a figure's ratio is the median of the
ratios of neighbours, so that a busy machine slows both sides of each; and every value that a side
wrote is opened and compared before its time counts.
"""
