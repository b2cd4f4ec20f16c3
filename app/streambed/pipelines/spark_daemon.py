"""The parent of Spark's Python workers: cleans the import path, loads libraries once, then forks.

Spark puts pyspark.zip, py4j's zip and the spark-core jar on PYTHONPATH, and pyspark calls
importlib.invalidate_caches() in every task: Python then reads the directories of these archives
anew, 0.25-0.3 s per task. pyspark lies unpacked on a node, so no archive is needed.

Executors start it as `python -m streambed.pipelines.spark_daemon pyspark.worker`.
"""

import gc
import sys

ARCHIVES = (".jar", ".zip")

if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if not entry.endswith(ARCHIVES)]
    for cached in [entry for entry in sys.path_importer_cache if entry.endswith(ARCHIVES)]:
        del sys.path_importer_cache[cached]
    import chainer  # noqa: F401
    import numpy as np  # noqa: F401
    import pandas as pd  # noqa: F401
    import pyarrow as pa  # noqa: F401
    from pyspark.daemon import manager
    from pyspark.sql.pandas import serializers  # noqa: F401

    import streambed.pipelines.worker  # noqa: F401

    # Workers are forks: what is loaded here is shared, and never scanned by their collectors.
    gc.collect()
    gc.freeze()
    manager()
