"""Runs on a controller's node, as root: whom Kafka's controller answers.

Argument: its address. Prints a JSON object: each way to ask → whether there was an answer.
"""

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable

# ApiVersions, version 0, of a client without a name; its answer is short.
HELLO = bytes.fromhex("0000000a 0012 0000 00000000 ffff")
STRANGER = ("/tmp/stranger.pem", "/tmp/stranger.key")

Wrap = Callable[[socket.socket], socket.socket]


def answers(controller: str, wrap: Wrap) -> bool:
    try:
        with (
            socket.create_connection((controller, 9093), timeout=5) as plain,
            wrap(plain) as session,
        ):
            session.sendall(HELLO)
            size = session.recv(4)
            return len(size) == 4 and int.from_bytes(size, "big") < 1 << 16
    except OSError:
        return False


def with_certificate(controller: str, *files: str) -> Wrap:
    context = ssl.create_default_context(cafile="/etc/streambed/ca.pem")
    if files:
        context.load_cert_chain(*files)
    return lambda plain: context.wrap_socket(plain, server_hostname=controller)


def main(controller: str) -> dict[str, bool]:
    certificate, key = STRANGER
    request = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=cloud")
    command = ["openssl", *request, "-out", certificate, "-keyout", key]
    subprocess.run(command, check=True, capture_output=True)
    ways: dict[str, Wrap] = {
        "right": with_certificate(controller, "/etc/kafka/node.pem"),
        "no certificate": with_certificate(controller),
        "another authority": with_certificate(controller, *STRANGER),
        "no TLS": lambda plain: plain,
    }
    found = {what: answers(controller, wrap) for what, wrap in ways.items()}
    subprocess.run(["rm", *STRANGER], check=True)
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
