"""What a second process does with a data directory: `python -m tests.integration.sqlite.other_process WHAT DIR`."""

import sys
import threading
from pathlib import Path

from gateway.accounts.limits import Claim
from server.sqlite.stores import open_stores
from tests.fakes import usage_record


def save(data_dir: Path, name: str) -> None:
    """Save records from four threads for ever, and print each id after its save returned."""
    stores = open_stores(data_dir)

    def work(worker: int) -> None:
        number = 0
        while True:
            request_id = f"{name}-{worker}-{number}"
            stores.usage().save(usage_record(request_id))
            sys.stdout.write(f"{request_id}\n")
            sys.stdout.flush()
            number += 1

    for worker in range(4):
        threading.Thread(target=work, args=(worker,)).start()


def count(data_dir: Path, name: str) -> None:
    """Open the stores, save a hundred records, take places, and print how many were given."""
    stores = open_stores(data_dir)
    for number in range(100):
        stores.usage().save(usage_record(f"{name}-{number}"))
    claim = Claim("bob", "requests", None, places=50, lease_seconds=1000)
    given = [stores.limits().take(claim, 1000).lease for _ in range(100)]
    sys.stdout.write(f"{len(given) - given.count(None)}\n")
    sys.stdout.flush()
    # Its places are not released while another process lives.
    sys.stdin.read()
    stores.close()


if __name__ == "__main__":
    {"save": save, "count": count}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
