"""The gateway of a data directory on this machine, running or not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from admin.terminal import fail
from gateway.providers.addresses import own_hosts
from gateway.settings import CatalogSettings
from server import presence
from server.sqlite.failure import StoreError, explained

if TYPE_CHECKING:
    from gateway.store.ports import CredentialStore, KeyStore, ProviderStore, TotalsStore
    from server.sqlite.stores import SqliteStores

DATABASE = "gateway.db"
_DEFAULT = Path(__file__).parent.parent / "data"
_DEFAULT_PORT = "3000"


class LocalGateway:
    """The stores of a data directory. A running gateway sees each change at once, or within seconds if it caches."""

    revocation = "it no longer works"

    def __init__(self, data_dir: Path, stores: "SqliteStores") -> None:
        self._data_dir = data_dir
        self._stores = stores

    def keys(self) -> "KeyStore":
        return self._stores.keys()

    def providers(self) -> "ProviderStore":
        return self._stores.providers()

    def credentials(self) -> "CredentialStore":
        return self._stores.credentials()

    def totals(self) -> "TotalsStore":
        return self._stores.totals()

    def settings(self) -> CatalogSettings:
        """Those of the running gateway. If none runs, this environment's."""
        running = presence.find(self._data_dir)
        settings = CatalogSettings.read(running.settings if running else os.environ)
        return settings.reached_at(own_hosts(settings.public_url, settings.domain_name))


def directory(data_dir: Path | None) -> Path:
    """The data directory: as given, else DATA_DIR, else `data/` in this checkout."""
    return data_dir or Path(os.environ.get("DATA_DIR") or _DEFAULT)


def existing(data_dir: Path | None) -> Path:
    """The data directory. Ends the command with one line if no gateway has used it."""
    chosen = directory(data_dir)
    with refusals_in_words(), explained(chosen):
        try:
            (chosen / DATABASE).stat()
        except (FileNotFoundError, NotADirectoryError):
            # Not created here: a key in a directory that no gateway uses would look valid and never work.
            fail(
                f"there is no gateway in {chosen}: start it once with `make run` or `make serve`, name its directory "
                "with --data-dir, or give --stack NAME for one on AWS"
            )
    return chosen


@contextmanager
def opened_directory(data_dir: Path | None) -> Iterator[LocalGateway]:
    """Open the stores of an existing data directory. Ends the command with one line when they cannot be used."""
    # Only here: `validate` and `publish` open no store.
    from server.sqlite.stores import open_stores

    chosen = existing(data_dir)
    with refusals_in_words():
        stores = open_stores(chosen)
        try:
            yield LocalGateway(chosen, stores)
        finally:
            stores.close()


@contextmanager
def refusals_in_words() -> Iterator[None]:
    """Ends the command with one line if the store cannot be opened or used."""
    try:
        yield
    except StoreError as error:
        fail(str(error))


def url_of(data_dir: Path | None) -> str:
    """The address of the gateway that runs on the directory, else the one at which `make run` starts it."""
    running = presence.find(directory(data_dir))
    return running.url if running else f"http://127.0.0.1:{os.environ.get('PORT') or _DEFAULT_PORT}"
