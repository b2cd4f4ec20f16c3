"""The baked image: the base image with every role's fixed files installed."""

from collections.abc import Callable

from streambed.beds import base_image


def ensure(say: Callable[[str], None]) -> str:
    return base_image.ensure(say)
