"""Every module that registers figures."""

# A page shows figures in this order.
# isort: off
import streambed.report.streaming
import streambed.report.study_a
import streambed.report.modes
import streambed.report.compression
import streambed.report.scaling
import streambed.report.latency
import streambed.report.encryption
import streambed.report.survival
import streambed.report.endurance
import streambed.report.ablation
import streambed.report.batch
import streambed.report.kafka
import streambed.report.producer_cost
import streambed.report.cameras
import streambed.report.timeline
import streambed.report.training  # noqa: F401
