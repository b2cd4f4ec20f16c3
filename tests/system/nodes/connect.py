"""Runs on a node: which ports of an address answer it.

Arguments: the address, the ports. Prints a JSON array of those that do; all are asked at once.
"""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor


def main(address: str, ports: list[int]) -> list[int]:
    def answers(port: int) -> bool:
        try:
            socket.create_connection((address, port), 2).close()
        except OSError:
            return False
        return True

    with ThreadPoolExecutor(len(ports)) as pool:
        open_ = pool.map(answers, ports)
        return [port for port, there in zip(ports, open_, strict=True) if there]


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], [int(port) for port in sys.argv[2:]])))
