"""The machine that Streambed runs on: can it host a bed, and what mends what it lacks."""
