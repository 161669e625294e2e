"""Weight-space surfaces between monolingual and bilingual fine-tuned models, as a Ray sweep.

Reproduces and extends "Zero-shot Cross-lingual Transfer is Under-specified Optimization"
(Wu, Van Durme, Dredze 2022). README.md has the map of the modules.
"""

__version__ = "0.1.0"
