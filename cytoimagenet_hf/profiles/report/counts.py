"""What the number of rows behind a well counts."""

from cytoimagenet_hf.profiles.plan import Profiles


def counted_as(profiles: Profiles) -> str:
    """What the column `count` of well profiles counts: `cells` where features were of cells, else `fields`."""
    steps = [step for step in profiles.table.about.get("steps", []) if step["step"] == "aggregate"]
    return "cells" if any("cell" in step.get("left_out_columns", ()) for step in steps) else "fields"
