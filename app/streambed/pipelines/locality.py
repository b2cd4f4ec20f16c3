"""Spark's settings for the factors `locality_wait`, `locality_timer` and `zero_wait`.

What happens, by classes of Spark 4.0.0 (org.apache.spark, module core):

1. Input that is one slice is shuffled by one task, so that all shuffled data lie on its node.
   `MapOutputTrackerMaster.getPreferredLocationsForShuffle` names the hosts that hold at least
   REDUCER_PREF_LOCS_FRACTION (0.2) of what a partition reads: that one host, for each partition
   that is not empty. `ShuffledRDD.getPreferredLocations` asks it, and `DAGScheduler` hands the
   answer to the tasks. `spark.shuffle.reduceLocality.enabled=false` makes it empty.
2. `TaskSchedulerImpl.resourceOffers` goes through `TaskSetManager.myLocalityLevels`, here
   NODE_LOCAL before ANY: it fills that host first, one task per executor and pass, as long as it
   has free threads. Up to as many partitions as an executor has threads, all tasks run on one
   node; none is left to wait, so no wait changes that.
3. The next partitions wait until `TaskSetManager.getAllowedLocalityLevel` moves on to ANY,
   `spark.locality.wait` after the timer's last reset, at an offer: the driver makes one each
   second (`spark.scheduler.revive.interval`), and where a task ends. With
   `spark.locality.wait.legacyResetOnTaskLaunch` each launch resets the timer, as up to Spark 3.0:
   then partitions spread only when they outlast the wait. Without, it is reset only by a round of
   offers that refused nothing for locality's sake.
4. A wait of 0 does not undo the preference: step 2 has its own levels. Up to Spark 2.1
   `TaskSetManager.computeValidLocalityLevels` left out a level whose wait was 0 (SPARK-18967
   changed that in 2.2); tasks went to executors in turn from the second one on, which is what the
   study of 2017 shows. `zero_wait: spread` gets that from step 1: tasks without preferred hosts
   are of level NO_PREF, and offered to all executors in turn.
5. What jobs of one application may differ in: `TaskSetManager`, made anew for each stage, reads the
   wait from the context's own SparkConf (`getLocalityWait`). The timer is also read by
   `TaskSchedulerImpl`, the preference by `MapOutputTrackerMaster`, both once, in a context's start.
"""

from dataclasses import dataclass

LEGACY, CURRENT = "legacy", "current"
TIMERS = (LEGACY, CURRENT)

SPREAD, PREFER = "spread", "prefer"
ZERO_WAITS = (SPREAD, PREFER)


WAIT = "spark.locality.wait"


@dataclass(frozen=True)
class Locality:
    """How Spark treats the place of shuffled data, as far as one application has one way."""

    timer: str
    preferred: bool
    """Whether tasks prefer the node that holds what they read."""

    def settings(self) -> dict[str, str]:
        """SparkConf entries."""
        return {
            "spark.locality.wait.legacyResetOnTaskLaunch": _word(self.timer == LEGACY),
            "spark.shuffle.reduceLocality.enabled": _word(self.preferred),
        }


def wait_setting(wait_s: float) -> dict[str, str]:
    """The SparkConf entry that each job may have its own of."""
    return {WAIT: f"{round(wait_s * 1000)}ms"}


def _word(value: bool) -> str:
    return str(value).lower()
