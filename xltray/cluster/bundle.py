"""Where the actors of a trial run: in the bundles that the trial has reserved."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from xltray.cluster.capacity import reserved


def in_bundle(config: Mapping[str, Any], role: str, index: int) -> dict[str, Any]:
    """Return the options of an actor that takes the ``index``-th bundle of this process's trial.

    Args:
        config: the trial's.
        role: what the actor is to the job, for its name.
        index: of the bundle; the trial itself has the first.
    """
    group = ray.util.get_current_placement_group()
    assert group is not None, "a trial runs in a placement group"
    bundle = reserved(config)[index]
    return {
        # For the dashboard alone. Unique, for another actor may not have given up its name yet.
        "name": f"{config['id']} {role} {uuid.uuid4().hex[:6]}",
        "num_cpus": bundle["CPU"],
        "num_gpus": bundle.get("GPU", 0.0),
        "scheduling_strategy": PlacementGroupSchedulingStrategy(
            placement_group=group, placement_group_bundle_index=index
        ),
    }
