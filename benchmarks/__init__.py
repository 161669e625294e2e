"""How fast points are scored and endpoints are fine-tuned, against code that a competent user would write.

``python -m benchmarks`` (or ``make bench``) measures; ``README.md`` beside this says how, and what was found.

* ``lengths.py``, ``examples.py``: real sentences' lengths, made into splits of random subwords and labels;
* ``models.py``: three endpoints of one task; ``ours.py``: what xltray does with them;
* ``padded.py``, ``peers.py``, ``trainer.py``: the same models in padded batches, scored by the peers;
* ``pairwise.py``, ``python_trees.py``, ``python_counts.py``: what peers use for parsing and for metrics;
* ``servers.py``: two processes against one;
* ``measure.py``, ``timing.py``, ``statistics.py``: rounds, clocks, ratios;
* ``rows.py``, ``report.py``: targets, table and JSON.
"""
