"""The SQLite adapters of one data directory."""

from functools import cached_property
from pathlib import Path

from gateway.settings import usage_settings
from server.sqlite.catalog import CatalogStore
from server.sqlite.clock import ClockWatch
from server.sqlite.credentials import CredentialStore, open_key
from server.sqlite.database import Database
from server.sqlite.failure import explained
from server.sqlite.files import make_directory
from server.sqlite.filesystem import check_is_local
from server.sqlite.keys import KeyStore
from server.sqlite.layout import DATABASE, KEY, LIMITS, UPLOADS
from server.sqlite.limits import LimitStore
from server.sqlite.occupancy import Occupancy
from server.sqlite.providers import ProviderStore
from server.sqlite.totals import TotalsStore
from server.sqlite.uploads import UploadStore
from server.sqlite.usage import UsageStore


def open_stores(data_dir: Path) -> "SqliteStores":
    """Open the stores in `data_dir`, and create what is missing. Raises StoreError.

    Several processes may have it open at once.
    """
    data_dir = data_dir.absolute()
    with explained(data_dir):
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        make_directory(data_dir)
        check_is_local(data_dir)
    occupancy = Occupancy(data_dir)
    with occupancy.entrance():
        try:
            with explained(data_dir):
                make_directory(data_dir / UPLOADS)
            alone = occupancy.try_alone()
            occupancy.share()
            return SqliteStores(data_dir, occupancy, alone=alone)
        except BaseException:
            occupancy.close()
            raise


class SqliteStores:
    """The adapters, which share one database. Use `open_stores`."""

    def __init__(self, data_dir: Path, occupancy: Occupancy, *, alone: bool) -> None:
        retention_days = usage_settings().retention_days
        self._occupancy = occupancy
        self._clock = ClockWatch()
        self._database = Database(data_dir / DATABASE, alone=alone)
        try:
            has_credentials = self._database.row("SELECT 1 FROM credentials LIMIT 1") is not None
            self._key = open_key(data_dir / KEY, create=not has_credentials)
            self._limits = LimitStore(data_dir / LIMITS, alone=alone)
        except BaseException:
            self._database.close()
            raise
        self._keys = KeyStore(self._database)
        self._catalog = CatalogStore(self._database)
        self._providers = ProviderStore(self._database, changed=self._catalog.forget)
        self._usage = UsageStore(self._database, retention_days)
        self._totals = TotalsStore(self._database)
        self._uploads = UploadStore(self._database, data_dir / UPLOADS)

    def keys(self) -> KeyStore:
        return self._keys

    def catalog(self) -> CatalogStore:
        return self._catalog

    def providers(self) -> ProviderStore:
        return self._providers

    def credentials(self) -> CredentialStore:
        return self._credentials

    def limits(self) -> LimitStore:
        return self._limits

    def usage(self) -> UsageStore:
        return self._usage

    def totals(self) -> TotalsStore:
        return self._totals

    def uploads(self) -> UploadStore:
        return self._uploads

    def prepare(self) -> object:
        """Everything is open."""
        return self

    def renew(self) -> None:
        """Close the threads' connections. They open again at their next use."""
        self._database.close_readers()

    def sweep(self, now: float) -> None:
        """Delete what has expired: uploads, counters, and usage records past their retention. Raises StoreError.

        To be called every few minutes. Deletes nothing within an hour after the clock was set or the process began,
        because a wrong clock would delete what has not expired.
        """
        if not self._clock.is_steady(now):
            return
        self._uploads.sweep(now)
        self._limits.sweep(now)
        self._usage.sweep(now)

    def close(self) -> None:
        """Store what waits, and close everything."""
        self._database.close()
        self._limits.close()
        self._occupancy.close()

    @cached_property
    def _credentials(self) -> CredentialStore:
        return CredentialStore(self._key)
