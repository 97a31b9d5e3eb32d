"""Decide which base URLs and addresses of providers may be dialled, without I/O."""

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

_PORTS = {"https": 443, "http": 80}
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NETLOC = re.compile(r"(\[[^][]*\]|[^][:]*)(:[0-9]*)?")
_NUMBER = re.compile(r"0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*")
# Names that no public resolver answers: RFC 6761 (localhost), RFC 6762 (local), RFC 8375 (home.arpa), ICANN
# resolution 2024.07.29.06 (internal). Refused here for an early message; the resolved address is checked too.
_LOCAL_SUFFIXES = ("localhost", "localhost.localdomain", "local", "home.arpa", "internal")

_LOOPBACK = ("127.0.0.1", "localhost", "::1")

# The IANA special-purpose registries as our own list, because `ipaddress.is_global` differs between Python 3.11 and
# 3.13. Azure's host agent (168.63.129.16) serves metadata at an otherwise public address.
_REFUSED_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")  # all that IANA has assigned as global unicast
_REFUSED_V6 = tuple(
    ipaddress.IPv6Network(network)
    # protocol assignments with Teredo (2001::/32), documentation, 6to4, documentation
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """A parsed base URL of a provider.

    `host` is lower-case ASCII without brackets or trailing dot. `address` is the canonical form of an IP literal,
    None for a name. `path` has no trailing slash.
    """

    scheme: str
    host: str
    port: int
    path: str
    address: str | None

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def own_hosts(public_url: str = "", domain_name: str = "", api_id: str = "") -> frozenset[str]:
    """The gateway's own hosts: `host:port`, and `<api id>.execute-api.` as the start of an API's host name.

    A loopback address covers all names of this machine. Raises ValueError when the public URL is not a URL.
    """
    found = set()
    if public_url:
        try:
            base = parse(public_url)
        except ValueError as wrong:
            raise ValueError(f"PUBLIC_URL must be a URL such as https://stt.example.com: {wrong}") from None
        hosts = _LOOPBACK if base.host in _LOOPBACK else (base.host,)
        found |= {f"{host}:{base.port}" for host in hosts}
    if domain_name:
        name, _, port = domain_name.lower().rpartition(":")
        found.add(f"{name}:{port}" if name and port.isdecimal() else f"{domain_name.lower()}:443")
    if api_id:
        found.add(f"{api_id.lower()}.execute-api.")
    return frozenset(found)


@lru_cache(maxsize=4096)
def is_own(base: BaseUrl, own: frozenset[str]) -> bool:
    """Whether a base URL leads to the gateway itself. `own` is the result of `own_hosts`."""
    names = {base.address or base.host, "localhost" if _is_this_machine(base) else base.host}
    if any(f"{name}:{base.port}" in own for name in names):
        return True
    return any(each.endswith(".") and base.host.startswith(each) for each in own)


def refusal(url: str, *, allow_private: bool, own: frozenset[str] = frozenset()) -> str | None:
    """Say, for the provider's owner, why this base URL cannot be dialled; None if it can.

    Checks only the URL. Addresses behind a host name are checked when it is dialled. `allow_private` lifts only the
    rules about scheme and address. `own` is the result of `own_hosts`.
    """
    try:
        base = parse(url)
    except ValueError as malformed:
        return str(malformed)
    if is_own(base, own):
        return f"{base.host} is this gateway itself, so every call would come back here"
    if allow_private:
        return None
    reasons = []
    if base.scheme != "https":
        reasons.append(f"only https is dialled, and this URL starts with {base.scheme}://")
    if base.address is not None and not is_public(base.address):
        meaning = "" if base.address == base.host else f" (written {base.host})"
        reasons.append(f"the address {base.address}{meaning} is not public")
    if base.address is None and _is_local_name(base.host):
        reasons.append(f"the host name {base.host} exists on a local network only")
    return "; ".join(reasons) or None


def is_public(address: str) -> bool:
    """Whether the IP address, given as text, is global unicast and so may be dialled.

    Refuses, among others, private, loopback, link-local, carrier-grade NAT, multicast, documentation, cloud metadata,
    IPv4-mapped, 6to4 and Teredo addresses, NAT64 of a refused IPv4 address, and zone ids.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _REFUSED_V4)
    if ip.scope_id is not None:
        return False
    if ip in _NAT64:
        return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip in _GLOBAL_V6 and not any(ip in network for network in _REFUSED_V6)


@lru_cache(maxsize=1024)
def parse(url: str) -> BaseUrl:
    """Parse a base URL. Raises ValueError, which tells the provider's owner what is wrong.

    The result is cached, because a request parses its URL three times.
    """
    # urlsplit silently drops tabs and line ends, and resolvers turn non-ASCII digits and dots into ASCII. Refuse
    # both. Internationalised names have an ASCII form.
    if not all("!" <= character <= "~" for character in url) or "\\" in url:
        raise ValueError(
            "the URL has characters other than printable ASCII (write the host name in its xn-- form)"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("the URL has a malformed host or port") from None
    if parts.scheme not in _PORTS:
        raise ValueError("the URL does not start with https://")
    if "@" in parts.netloc:
        raise ValueError("the URL has a user name or password before the host")
    if "?" in url or "#" in url:
        raise ValueError("the URL has a query or a fragment")
    if not _NETLOC.fullmatch(parts.netloc):
        raise ValueError("the URL has a malformed host or port")
    if port == 0:
        raise ValueError("the URL has port 0, which cannot be used")
    host = (parts.hostname or "").removesuffix(".")
    if not host:
        raise ValueError("the URL has no host")
    address = _literal(host, bracketed="[" in parts.netloc)
    return BaseUrl(parts.scheme, host, port or _PORTS[parts.scheme], parts.path.rstrip("/"), address)


def _is_this_machine(base: BaseUrl) -> bool:
    """Whether the host is loopback, or an unspecified address, which connects to loopback too."""
    if base.address is None:
        return base.host in ("localhost", "localhost.localdomain") or base.host.endswith(".localhost")
    ip = ipaddress.ip_address(base.address)
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_unspecified


def _literal(host: str, *, bracketed: bool) -> str | None:
    """The canonical address of an IP literal, or None for a name. Raises ValueError when it is neither."""
    if bracketed:
        if "%" in host:
            raise ValueError("the URL has an IPv6 address with a zone")
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            raise ValueError(f"[{host}] is not an IPv6 address") from None
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{host[:80]} is not a host name")
    # WHATWG URL standard: a host whose last label is a number must be an IPv4 address.
    if not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        return None
    try:
        return str(ipaddress.IPv4Address(_inet_aton(labels)))
    except ValueError:
        raise ValueError(f"{host[:80]} is not an IPv4 address") from None


def _inet_aton(labels: list[str]) -> int:
    """Read an IPv4 address as inet_aton(3) does: one to four decimal, octal or hexadecimal numbers.

    The last number fills the remaining bytes: `127.1` and `2130706433` are both 127.0.0.1.
    """
    if len(labels) > 4:
        raise ValueError("more than four numbers")
    numbers = [_number(label) for label in labels]
    *leading, last = numbers
    if any(number > 255 for number in leading) or last >= 256 ** (4 - len(leading)):
        raise ValueError("a number is too large")
    address = last
    for position, number in enumerate(leading):
        address += number << 8 * (3 - position)
    return address


def _number(label: str) -> int:
    if not _NUMBER.fullmatch(label):
        raise ValueError("not a number in any of the three bases")
    if label.startswith("0x"):
        return int(label[2:], 16)
    return int(label, 8 if label.startswith("0") else 10)


def _is_local_name(host: str) -> bool:
    return "." not in host or any(host == name or host.endswith(f".{name}") for name in _LOCAL_SUFFIXES)
