"""Write ``lengths.json``: ``python -m benchmarks.make_lengths UD_ROOT`` (where UD 2.7's English-EWT is)."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.lengths import CHECKED_IN, as_json, counted


def main() -> None:
    """Count, and write."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    lengths = counted(Path(sys.argv[1]))
    CHECKED_IN.write_text(as_json(lengths), encoding="utf-8")
    print(f"{CHECKED_IN}: {len(lengths.train)} training and {len(lengths.dev)} dev sentences")


if __name__ == "__main__":
    main()
