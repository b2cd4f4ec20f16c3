"""Ansible callback: what a play does, as JSON lines on the descriptor the caller opened.

Runs inside ansible-playbook; `playbook` reads the other end. Nothing of a task's result is
passed on but its message, and that only when it failed and is not `no_log`.
"""

# ruff: noqa: SLF001 - Ansible hands its callbacks objects whose parts are all "private".
import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: streambed_events
type: notification
short_description: What a play does, as JSON lines
description:
  - Writes one JSON object per event to the descriptor that STREAMBED_EVENTS_FD names.
requirements:
  - enabled in the environment, by Streambed
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible ships no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "streambed_events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._descriptor = int(os.environ["STREAMBED_EVENTS_FD"])

    def _emit(self, event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, **fields}, default=str) + "\n"
        os.write(self._descriptor, line.encode())

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        role = task._role.get_name() if task._role else ""
        self._emit("task", name=task.get_name().removeprefix(f"{role} : "), role=role)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._emit("ok", host=_host(result), changed=bool(_result(result).get("changed")))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            self._emit(
                "failed", host=_host(result), task=_task(result), message=_message(_result(result))
            )

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._emit(
            "unreachable", host=_host(result), task=_task(result), message=_message(_result(result))
        )

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._emit("stats", hosts={host: stats.summarize(host) for host in stats.processed})


def _host(result: Any) -> str:
    return str(result._host.get_name())


def _task(result: Any) -> str:
    return str(result._task.get_name())


def _result(result: Any) -> dict[str, Any]:
    return dict(result._result)


def _message(result: dict[str, Any]) -> str:
    """The words a person needs of a failed result; the log has the rest."""
    if result.get("_ansible_no_log") or "censored" in result:
        return "(not shown: no_log)"
    # Of a loop, the item that failed.
    for item in result.get("results", []):
        if isinstance(item, dict) and item.get("failed"):
            return _message(item)
    parts = [str(result[key]) for key in ("msg", "stderr", "module_stderr") if result.get(key)]
    return "\n".join(dict.fromkeys(part.strip() for part in parts)) or "no message"
