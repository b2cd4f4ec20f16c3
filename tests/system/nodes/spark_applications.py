"""Runs on a node: what Spark's master tells of itself.

Argument: its address. Prints a JSON array: how many applications of intruders it has or had, its
status, how many workers it has.
"""

import json
import sys
import urllib.request


def main(address: str) -> tuple[int, str, int]:
    with urllib.request.urlopen(f"http://{address}:8080/json/", timeout=10) as answer:
        master = json.load(answer)
    names = [app["name"] for app in master["activeapps"] + master["completedapps"]]
    return names.count("intruder"), master["status"], len(master["workers"])


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
