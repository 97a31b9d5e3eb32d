"""Which base URLs and addresses of providers may be dialled; pure rules, no I/O."""

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
# resolution 2024.07.29.06 (internal). Refused here only to say so early; what they resolve to is checked too.
_LOCAL_SUFFIXES = ("localhost", "localhost.localdomain", "local", "home.arpa", "internal")

_LOOPBACK = ("127.0.0.1", "localhost", "::1")

# The IANA special-purpose registries as one list of our own: `ipaddress.is_global` changed its mind between
# Python 3.11 and 3.13. Azure's host agent (168.63.129.16) is metadata at an otherwise public address.
_REFUSED_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")  # all that IANA has given out as global unicast
_REFUSED_V6 = tuple(
    ipaddress.IPv6Network(network)
    # protocol assignments with Teredo (2001::/32), documentation, 6to4, documentation
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """A provider's base URL, taken apart.

    `host` is lower-case ASCII without brackets or trailing dot; `address` is its canonical form when the
    host is an IP literal, else None; `path` has no trailing slash.
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
    """Where the gateway itself answers: `host:port`, and `<api id>.execute-api.` for the start of an API's host name.

    A loopback address stands for all names of this machine. Raises ValueError for a public URL that is none.
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
    """Whether a base URL leads to the gateway itself; `own` is what `own_hosts` returned."""
    names = {base.address or base.host, "localhost" if _is_this_machine(base) else base.host}
    if any(f"{name}:{base.port}" in own for name in names):
        return True
    return any(each.endswith(".") and base.host.startswith(each) for each in own)


def refusal(url: str, *, allow_private: bool, own: frozenset[str] = frozenset()) -> str | None:
    """Why this base URL cannot be dialled, in words for the provider's owner, or None if it can.

    Looks at the URL alone: the addresses behind a host name are checked when it is dialled. `allow_private`
    lifts the rules about the scheme and about the address, no other. `own` is where the gateway itself answers.
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
    """Whether the textual IP address is global unicast, and so may be dialled.

    Refused among others: private, loopback, link-local, carrier-grade NAT, multicast, documentation, cloud
    metadata, every IPv4-mapped, 6to4 and Teredo address, NAT64 around a refused IPv4 address, zone ids.
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
    """Take a base URL apart; ValueError says what is wrong with it in words for the provider's owner.

    A request asks three times for the URL that it is sent to: the answer is remembered.
    """
    # urlsplit drops tabs and line ends silently, and non-ASCII digits and dots turn into ASCII ones on the
    # way to the resolver: neither may arrive there. An internationalised name has its own ASCII form.
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
    """Whether it is a spelling of loopback: a connection to an unspecified address ends there too."""
    if base.address is None:
        return base.host in ("localhost", "localhost.localdomain") or base.host.endswith(".localhost")
    ip = ipaddress.ip_address(base.address)
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_unspecified


def _literal(host: str, *, bracketed: bool) -> str | None:
    """The canonical address when the host is an IP literal, None when it is a name; else ValueError."""
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
    # As in the WHATWG URL standard: a name whose last label is a number is an IPv4 address or nothing.
    if not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        return None
    try:
        return str(ipaddress.IPv4Address(_inet_aton(labels)))
    except ValueError:
        raise ValueError(f"{host[:80]} is not an IPv4 address") from None


def _inet_aton(labels: list[str]) -> int:
    """The IPv4 address as inet_aton(3) reads it: one to four decimal, octal or hexadecimal numbers.

    The last number fills all the bytes that are left: `127.1` is 127.0.0.1, `2130706433` too.
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
