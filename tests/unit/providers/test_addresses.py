"""Which base URLs and addresses can be dialled."""

import contextlib
import ipaddress
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.providers.addresses import is_public, own_hosts, parse, refusal

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.0.1",
    "172.32.0.1",
    "223.255.255.255",
]
PUBLIC_V6 = ["2606:4700::1111", "2a00:1450:4001::200e", "64:ff9b::8.8.8.8", "2001:200::1"]
NOT_PUBLIC = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "127.0.0.1", "127.255.255.254", "172.16.0.1", "172.31.255.255"),
    *("192.168.0.1", "169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "100.127.255.255"),
    *("192.0.0.192", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "198.19.255.255"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.88.99.1", "168.63.129.16"),
]
NOT_PUBLIC_V6 = [
    *("::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1", "4000::1"),
    *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::8.8.8.8", "2002:7f00:1::1", "2002:808:808::1"),
    *("2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "3fff::1", "2001:10::1"),
    *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"),
]


@pytest.mark.parametrize("address", PUBLIC + PUBLIC_V6)
def test_a_global_unicast_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC + NOT_PUBLIC_V6)
def test_an_address_of_any_other_kind_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "text", ["", "localhost", "8.8.8", "8.8.8.8 ", "2606:4700::1111%eth0", "[::1]", "0x8.8.8.8"]
)
def test_anything_but_a_plain_address_is_not_public(text: str) -> None:
    assert not is_public(text)


@pytest.mark.parametrize(
    "url",
    [
        "https://stt.example.com",
        "https://stt.example.com/v1/",
        "HTTPS://STT.Example.COM:8443/a/b",
        "https://stt.example.com./v1",
        "https://stt.example.com:/v1",
        "https://xn--bcher-kva.example/v1",
        "https://my_gpu.example.com",
        "https://3.example.com",
        "https://1e100.net",
        "https://localhost.example.com",
        "https://8.8.8.8/v1",
        "https://134744072",
        "https://[2606:4700::1111]:8443/v1",
    ],
)
def test_a_public_https_url_can_be_dialled(url: str) -> None:
    assert refusal(url, allow_private=False) is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://stt.example.com", "only https is dialled, and this URL starts with http://"),
        ("https://10.0.0.1", "the address 10.0.0.1 is not public"),
        (
            "http://192.168.1.5:8000/v1",
            "only https is dialled, and this URL starts with http://; the address 192.168.1.5 is not public",
        ),
        ("https://127.0.0.1.", "the address 127.0.0.1 is not public"),
        ("https://2130706433", "the address 127.0.0.1 (written 2130706433) is not public"),
        ("https://0177.0.0.1", "the address 127.0.0.1 (written 0177.0.0.1) is not public"),
        ("https://0x7f.1", "the address 127.0.0.1 (written 0x7f.1) is not public"),
        ("https://0x7F000001", "the address 127.0.0.1 (written 0x7f000001) is not public"),
        ("https://0", "the address 0.0.0.0 (written 0) is not public"),
        ("https://[::1]", "the address ::1 is not public"),
        ("https://[0:0:0:0:0:0:0:1]", "the address ::1 (written 0:0:0:0:0:0:0:1) is not public"),
        ("https://[::ffff:7f00:1]", "is not public"),
        ("https://localhost:8000", "the host name localhost exists on a local network only"),
        ("https://LOCALHOST.", "the host name localhost exists on a local network only"),
        ("https://a.localhost", "the host name a.localhost exists on a local network only"),
        ("https://gpu.local", "the host name gpu.local exists on a local network only"),
        ("https://metadata.google.internal", "exists on a local network only"),
        ("https://whisper:8000", "the host name whisper exists on a local network only"),
    ],
)
def test_a_private_url_is_refused_unless_private_urls_are_allowed(url: str, reason: str) -> None:
    assert reason in (refusal(url, allow_private=False) or "")
    assert refusal(url, allow_private=True) is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "the URL does not start with https://"),
        ("stt.example.com/v1", "the URL does not start with https://"),
        ("//stt.example.com", "the URL does not start with https://"),
        ("ftp://stt.example.com", "the URL does not start with https://"),
        ("https:stt.example.com", "the URL has no host"),
        ("https:///v1", "the URL has no host"),
        ("https://:443/", "the URL has no host"),
        ("https://.", "the URL has no host"),
        ("https://user@stt.example.com", "the URL has a user name or password before the host"),
        ("https://user:pass@8.8.8.8", "the URL has a user name or password before the host"),
        ("https://8.8.8.8@10.0.0.1", "the URL has a user name or password before the host"),
        ("https://@stt.example.com", "the URL has a user name or password before the host"),
        ("https://stt.example.com?key=1", "the URL has a query or a fragment"),
        ("https://stt.example.com/v1#", "the URL has a query or a fragment"),
        ("https://stt.example.com:0", "port 0, which cannot be used"),
        ("https://stt.example.com:65536", "the URL has a malformed host or port"),
        ("https://stt.example.com:http", "the URL has a malformed host or port"),
        ("https://stt.example.com:-1", "the URL has a malformed host or port"),
        ("https://[::1", "the URL has a malformed host or port"),
        ("https://[::1]x", "the URL has a malformed host or port"),
        ("https://8.8.8.8[::1]", "the URL has a malformed host or port"),
        ("https://a:1:2", "the URL has a malformed host or port"),
        ("https://1_0.1.1.1", "1_0.1.1.1 is not an IPv4 address"),
        ("https://[fe80::1%25eth0]", "the URL has an IPv6 address with a zone"),
        ("https://[fe80::1%eth0]", "the URL has an IPv6 address with a zone"),
        ("https://1.2.3.256", "1.2.3.256 is not an IPv4 address"),
        ("https://1.2.3.4.5", "1.2.3.4.5 is not an IPv4 address"),
        ("https://4294967296", "4294967296 is not an IPv4 address"),
        ("https://08.8.8.8", "08.8.8.8 is not an IPv4 address"),
        ("https://0x.1", "0x.1 is not an IPv4 address"),
        ("https://stt.example.1", "stt.example.1 is not an IPv4 address"),
        ("https://" + "1" * 5000, "is not a host name"),
        ("https://a..b", "a..b is not a host name"),
        ("https://127.0.0.1..", "127.0.0.1. is not a host name"),
        ("https://-a.example", "-a.example is not a host name"),
        ("https://127%2e0%2e0%2e1", "127%2e0%2e0%2e1 is not a host name"),
        ("https://bücher.example", "write the host name in its xn-- form"),
        ("https://①②⑦.0.0.1", "printable ASCII"),
        ("https://127。0。0。1", "printable ASCII"),
        ("https://stt.example.com/a b", "printable ASCII"),
        ("https://stt.exa\tmple.com", "printable ASCII"),
        ("https://stt.example.com/\r\nHost: x", "printable ASCII"),
        (" https://stt.example.com", "printable ASCII"),
        ("https://stt.example.com\\@10.0.0.1", "printable ASCII"),
        ("https://stt.example.com\0", "printable ASCII"),
    ],
)
@pytest.mark.parametrize("allow_private", [False, True])
def test_a_malformed_url_is_always_refused(url: str, reason: str, allow_private: bool) -> None:
    assert reason in (refusal(url, allow_private=allow_private) or "")


def test_a_reason_never_repeats_a_password() -> None:
    assert "hunter2" not in (refusal("https://user:hunter2@stt.example.com", allow_private=False) or "")


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("https://STT.example.com./v1//", "stt.example.com", 443, "/v1", "stt.example.com"),
        ("https://stt.example.com:443", "stt.example.com", 443, "", "stt.example.com"),
        ("http://stt.example.com:443/", "stt.example.com", 443, "", "stt.example.com:443"),
        ("https://[2606:4700::1111]:8443/v1", "2606:4700::1111", 8443, "/v1", "[2606:4700::1111]:8443"),
    ],
)
def test_a_base_url_is_split_into_its_parts(
    url: str, host: str, port: int, path: str, authority: str
) -> None:
    base = parse(url)
    assert (base.host, base.port, base.path, base.authority) == (host, port, path, authority)


def spellings(number: int) -> st.SearchStrategy[str]:
    """The ways to write an IPv4 address that inet_aton understands."""
    write = st.sampled_from(["{:d}", "{:#x}", "0{:o}"])
    splits = st.sampled_from([(8, 8, 8, 8), (8, 8, 16), (8, 24), (32,)])

    @st.composite
    def spelling(draw: st.DrawFn) -> str:
        rest, width, parts = number, 32, []
        for bits in draw(splits):
            width -= bits
            parts.append(draw(write).format(rest >> width))
            rest &= (1 << width) - 1
        return ".".join(parts)

    return spelling()


addresses_v4 = st.one_of(
    st.ip_addresses(v=4), st.sampled_from([ipaddress.IPv4Address(text) for text in PUBLIC + NOT_PUBLIC])
)


@settings(deadline=None)
@given(st.data())
def test_every_spelling_of_an_ipv4_address_is_read_as_the_resolver_reads_it(data: st.DataObject) -> None:
    address = data.draw(addresses_v4)
    text = data.draw(spellings(int(address)))
    assert socket.inet_aton(text) == address.packed
    assert parse(f"https://{text}/v1").address == str(address)
    assert (refusal(f"https://{text}", allow_private=False) is None) == is_public(str(address))


@settings(deadline=None)
@given(st.from_regex(r"[0-9xXa-f.]{1,20}", fullmatch=True))
def test_text_that_the_resolver_reads_as_an_address_is_never_a_name(text: str) -> None:
    with contextlib.suppress(OSError):
        packed = socket.inet_aton(text)
        with contextlib.suppress(ValueError):
            assert parse(f"https://{text}").address == str(ipaddress.IPv4Address(packed))


@settings(deadline=None)
@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:{}", "64:ff9b::{}", "::{}"]))
def test_no_ipv6_spelling_makes_a_refused_ipv4_address_public(
    address: ipaddress.IPv4Address, form: str
) -> None:
    text = form.format(address)
    assert is_public(str(address)) or not is_public(text)
    assert is_public(text) or refusal(f"https://[{text}]", allow_private=False)


@settings(deadline=None)
@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_an_address_is_public_only_if_the_standard_library_agrees(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_public(str(address)) and address not in ipaddress.ip_network("64:ff9b::/96"):
        assert address.is_global
        assert not address.is_multicast


@settings(deadline=None)
@given(st.text(max_size=60), st.booleans())
def test_any_text_gets_a_reason_or_can_be_dialled(text: str, allow_private: bool) -> None:
    for url in (text, f"https://{text}", f"https://stt.example.com/{text}"):
        if refusal(url, allow_private=allow_private) is None:
            base = parse(url)
            assert base.host.isascii()
            assert base.path.isascii()
            assert not any(character.isspace() for character in base.host + base.path)


OWN = own_hosts("https://stt.example.org", "gateway.example.org", "a1b2c3") | own_hosts(
    "http://127.0.0.1:3000"
)


@pytest.mark.parametrize(
    "url",
    [
        "https://stt.example.org/v1",
        "https://STT.Example.org.:443/v1",
        "https://gateway.example.org",
        "https://a1b2c3.execute-api.eu-central-1.amazonaws.com/prod/v1",
        "https://a1b2c3.execute-api.cn-north-1.amazonaws.com.cn/prod",
        "http://127.0.0.1:3000/v1",
        "http://127.1:3000/v1",
        "http://2130706433:3000/v1",
        "http://localhost:3000/v1",
        "http://[::1]:3000/v1",
        "http://[0:0:0:0:0:0:0:1]:3000/v1",
        "http://0.0.0.0:3000/v1",
        "http://0:3000/v1",
        "http://[::]:3000/v1",
        "http://[::ffff:127.0.0.1]:3000/v1",
        "http://127.0.0.2:3000/v1",
        "http://stt.localhost:3000/v1",
        "http://localhost.localdomain:3000/v1",
    ],
)
def test_a_url_of_the_gateway_itself_is_refused_even_on_a_closed_network(url: str) -> None:
    assert "this gateway itself" in (refusal(url, allow_private=True, own=OWN) or "")


@pytest.mark.parametrize(
    "url",
    [
        "https://stt.example.org:8443/v1",
        "https://other.example.org",
        "https://b1b2c3.execute-api.eu-central-1.amazonaws.com/prod/v1",
        "http://127.0.0.1:8000/v1",
    ],
)
def test_another_port_or_name_is_not_the_gateway(url: str) -> None:
    assert refusal(url, allow_private=True, own=OWN) is None


def test_an_invalid_public_url_fails_at_the_start_and_names_the_variable() -> None:
    with pytest.raises(ValueError, match="PUBLIC_URL"):
        own_hosts("stt.example.com")
