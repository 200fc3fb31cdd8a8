"""Libraries that block, in threads of their own: a store that hangs shall keep nobody else waiting for a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from backoffice_shared.credentials.store import THREADS
from backoffice_shared.errors import BackendUnavailable, BackofficeError

T = TypeVar("T")


class Threads:
    """`title` is whose library it is."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="backoffice-secrets")

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """What `work` gives. A thread cannot be stopped: `work` must give up by itself.

        Raises:
            BackofficeError: as `work` does. Whatever else it raises is told by its name only.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        except BackofficeError:
            raise
        except Exception as error:
            # What a vendor's library puts into its errors is its own business.
            raise BackendUnavailable(self._title, f"cannot be used at the moment ({type(error).__name__})") from None

    def end(self) -> None:
        self._pool.shutdown(wait=False)
