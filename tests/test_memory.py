"""What a server of points holds in memory: three endpoints, a working model and little else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import made_models as made
import pytest
from tiny import Tiny, make_tiny
from transformers import AutoTokenizer, BertConfig

from xltray.nn.encoder import build_encoder

# Run by a process of its own: a peak is a process's. The tiny cell comes first, so that the peak has
# nothing of imports and of what libraries set up at their first use.
MEASURE = """
import json, re, sys
from fractions import Fraction
from pathlib import Path
from tiny import make_tiny
from xltray.evaluator import CellEvaluator
from xltray.grid import Point

def now(field):
    return int(re.search(field + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

def serve(root, changes, cells):
    tiny = make_tiny(Path(root), **changes)
    evaluator = CellEvaluator(tiny.context)
    after = {}
    for cell in cells:
        evaluator.load(tiny.cell(*cell))
        after[f"load {cell}"] = now("VmHWM")
        for scope in ("all", "encoder", "head"):
            evaluator.score_point(Point(Fraction(1, 3), Fraction(1, 5)), scope)
        evaluator.predict_point(Point(Fraction(1, 3), Fraction(1, 5)))
        after[f"score {cell}"] = now("VmHWM")
        evaluator.geometry()
        after[f"geometry {cell}"] = now("VmHWM")
    return evaluator._held().model.layout.size * 4, after

small, large, changes, cells = json.loads(sys.argv[1])
serve(small, {}, cells)
before = now("VmRSS")
size, after = serve(large, changes, cells)
print(json.dumps([size, {step: round((peak - before) / size, 3) for step, peak in after.items()}]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from Linux's /proc")
def test_a_server_holds_four_models_and_little_else(tiny: Tiny, tmp_path: Path) -> None:
    # 98 MB, half of it word embeddings, as in mBERT.
    config = BertConfig(
        vocab_size=32_000,
        hidden_size=384,
        num_hidden_layers=7,
        num_attention_heads=6,
        intermediate_size=1536,
        max_position_embeddings=128,
    )
    tokenizer = AutoTokenizer.from_pretrained(tiny.root / "encoders" / tiny.encoder().id)
    made.save(tmp_path / "model", build_encoder(config), tokenizer)
    changes = {
        "encoders": {"small": {"checkpoint": str(tmp_path / "model")}},
        "data": {"toy": {"train": 10, "dev": 10}},
        "finetune": {"epochs": 1, "validations_per_epoch": 1, "learning_rate": 1e-4},
    }
    large = make_tiny(tmp_path / "store", **changes)
    cells = [("pos", "qab"), ("parsing", "qab"), ("parsing", "qad")]
    large.run(endpoint for cell in cells for endpoint in large.cell(*cell).endpoints.values())
    arguments = [str(tiny.root), str(tmp_path / "store"), changes, cells]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps(arguments)],
        # The same code as here, tests included, wherever it lies.
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    size, peaks = json.loads(done.stdout)
    assert size > 90e6
    assert 3.9 < max(peaks.values()) <= 4.3, peaks
