"""Results: what a row holds, how figures come from samples, and runs on disk."""
