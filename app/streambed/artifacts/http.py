"""A plain download that goes on where an earlier one was cut."""

import shutil
import urllib.error
import urllib.request
from pathlib import Path

from streambed.errors import StreambedError

_ANSWER_TIMEOUT_S = 10


def download(url: str, target: Path) -> None:
    """Fetch `url` into `target`; the content is the caller's to check.

    Raises:
        StreambedError: the server does not answer within 10 s, or refuses.
    """
    partial = target.with_name(target.name + ".part")
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_TIMEOUT_S) as answer:
            resumed = answer.status == 206
            with partial.open("ab" if resumed else "wb") as output:
                shutil.copyfileobj(answer, output)
    except urllib.error.HTTPError as error:
        # Most of all 416: the part is as long as the whole, or longer.
        partial.unlink(missing_ok=True)
        raise StreambedError(f"{target.name}: {error.code} {error.reason}") from error
    except (urllib.error.URLError, TimeoutError) as error:
        raise StreambedError(f"{target.name}: {getattr(error, 'reason', error)}") from error
    partial.replace(target)
