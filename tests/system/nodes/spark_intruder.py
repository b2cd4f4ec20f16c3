"""Runs on a node: an application that does not know the secret of Spark's master.

Arguments: the master's address, and whether it guesses a secret (`true`) or does without (`false`).
Prints "asks the master", and 1 if it is let in.
"""

import sys

sys.path.insert(0, "/opt/spark/python")
from pyspark import SparkConf, SparkContext


def main(address: str, secret: str) -> None:
    conf = SparkConf(loadDefaults=False).setMaster(f"spark://{address}:7077").setAppName("intruder")
    conf.set("spark.driver.host", address).set("spark.ui.enabled", "false")
    conf.set("spark.authenticate", secret).set("spark.network.crypto.enabled", secret)
    conf.set("spark.authenticate.secret", "guessed")
    # As a control: Java is there, and what comes is no failure of our own.
    SparkContext._ensure_initialized(conf=conf)
    print("asks the master", flush=True)
    print(SparkContext(conf=conf).parallelize([1]).count())


if __name__ == "__main__":
    main(*sys.argv[1:])
