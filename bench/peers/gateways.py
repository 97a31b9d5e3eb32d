"""Starts the gateways in front of the stub provider, each as its makers say, in one process where they let us."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.peers.processes import Child, free_port

ROOT = Path(__file__).parent.parent.parent
LITELLM = ROOT / ".venv-peers" / "bin" / "litellm"
PORTKEY = ROOT / ".peers" / "node_modules" / "@portkey-ai" / "gateway"
MODEL, SLOW_MODEL = "bench-stt", "bench-slow"
USER, SLOW_USERS = "bench", ("slow-1", "slow-2")
_LITELLM_KEY = "sk-bench"


class Missing(Exception):
    """A peer is not installed; the message says how to install it."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that runs, or the stub itself."""

    name: str
    version: str
    port: int
    process: Child
    headers: Mapping[str, str] = field(default_factory=dict)
    # Headers of further users; only ours has users here.
    others: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


Start = Callable[[int, Path], Gateway]


def start_stub(folder: Path) -> Gateway:
    """Start the provider that all gateways call; without a gateway, it is the direct call."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    port = int(listener.getsockname()[1])
    child = Child(
        [sys.executable, "-m", "bench.peers.stub", str(listener.fileno())],
        {**_environment(folder), "PYTHONPATH": str(ROOT)},
        folder / "stub.log",
        sockets=[listener.fileno()],
    )
    listener.close()
    return Gateway("direct", "", port, child)


def start_ours(provider: int, folder: Path, **settings: str) -> Gateway:
    """Start this server with a new database, a user without limits, two more, and both of the stub's models."""
    from server.sqlite.stores import open_stores

    data = folder / "data"
    stores = open_stores(data)
    try:
        keys = {user: stores.keys().create(user)[0] for user in (USER, *SLOW_USERS)}
    finally:
        stores.close()
    port = free_port()
    environment = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'layers/shared'}",
        "BIND": "127.0.0.1",
        "PORT": str(port),
        "DATA_DIR": str(data),
        "ALLOW_PRIVATE_PROVIDERS": "true",
        "PROVIDER_ONLINE_SECONDS": "86400",  # spares the heartbeats
        **settings,
    }
    child = Child(
        [sys.executable, "-m", "server"], {**_environment(folder), **environment}, folder / "ours.log"
    )
    authorizations = {user: {"Authorization": f"Bearer {key}"} for user, key in keys.items()}
    own = authorizations.pop(USER)
    gateway = Gateway("ours", "", port, child, own, authorizations)
    return _started(gateway, "/healthz", lambda: _publish(gateway, provider))


def start_litellm(provider: int, folder: Path) -> Gateway:
    """Start LiteLLM's proxy without a database: it checks one key and records nothing. Raises Missing."""
    if not LITELLM.exists():
        raise Missing("`make .venv-peers/stamp` installs LiteLLM")
    parameters = {
        "model": "openai/whisper-1",
        "api_base": f"http://127.0.0.1:{provider}/v1",
        "api_key": "none",
    }
    model = {
        "model_name": MODEL,
        "litellm_params": parameters,
        "model_info": {"mode": "audio_transcription"},
    }
    settings = {"model_list": [model], "general_settings": {"master_key": _LITELLM_KEY}}
    config = folder / "litellm.yaml"
    config.write_text(json.dumps(settings))  # JSON is YAML
    port = free_port()
    child = Child(
        [str(LITELLM), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)],
        # Without the first variable it fetches the list of prices.
        {**_environment(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
        folder / "litellm.log",
    )
    (installed,) = LITELLM.parent.parent.glob("lib/python*/site-packages/litellm-[0-9]*.dist-info")
    version = installed.name.removeprefix("litellm-").removesuffix(".dist-info")
    headers = {"Authorization": f"Bearer {_LITELLM_KEY}"}
    return _started(Gateway("LiteLLM", version, port, child, headers), "/health/liveliness")


def start_portkey(provider: int, folder: Path) -> Gateway:
    """Start Portkey's gateway: it has no users, and each request says where it goes. Raises Missing."""
    node = shutil.which("node")
    if not node or not PORTKEY.exists():
        raise Missing("`make .peers/stamp` installs Portkey's gateway; it needs Node.js and npm")
    port = free_port()
    loopback = Path(__file__).with_name("loopback.mjs")
    server = PORTKEY / "build" / "start-server.js"
    child = Child(
        [node, "--import", str(loopback), str(server), "--headless", f"--port={port}"],
        {**_environment(folder), "NODE_ENV": "production"},
        folder / "portkey.log",
    )
    headers = {
        "Authorization": "Bearer none",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{provider}/v1",
    }
    version = json.loads((PORTKEY / "package.json").read_text())["version"]
    return _started(Gateway("Portkey", version, port, child, headers), "/")


def start_nginx(provider: int, folder: Path) -> Gateway:
    """Start nginx as a plain reverse proxy that passes bodies on as they come: the least a proxy can cost. Raises
    Missing."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if not nginx:
        raise Missing("`apt-get install nginx-light` installs nginx")
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, provider=provider))
    command = [nginx, "-p", str(folder), "-c", str(config), "-e", str(folder / "nginx-errors.log")]
    child = Child(command, _environment(folder), folder / "nginx.log")
    told = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
    version = re.sub(r".*nginx/(\S+).*", r"\1", told.strip())
    return _started(Gateway("nginx", version, port, child), "/")


_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_max_body_size 30m;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/nginx-bodies;
  proxy_temp_path {folder}/nginx-answers;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  upstream provider {{ server 127.0.0.1:{provider}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=512;
    location / {{
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering off;
    }}
  }}
}}
"""

PEERS: Mapping[str, Start] = {"LiteLLM": start_litellm, "Portkey": start_portkey, "nginx": start_nginx}


def _started(gateway: Gateway, path: str, prepare: Callable[[], None] = lambda: None) -> Gateway:
    """Wait until the gateway is ready; end it when it does not get so far."""
    try:
        gateway.process.wait_for(f"http://127.0.0.1:{gateway.port}{path}")
        prepare()
    except BaseException:
        gateway.process.end()
        raise
    return gateway


def _publish(gateway: Gateway, provider: int) -> None:
    """Declare the stub as a provider that every user may call."""
    url = f"http://127.0.0.1:{provider}"
    services = [
        {"name": "fast", "url": f"{url}/v1", "models": [{"id": MODEL}]},
        {"name": "slow", "url": f"{url}/slow/v1", "models": [{"id": SLOW_MODEL}]},
    ]
    constant = {"type": "stt", "engine": "other", "access": "authenticated"}
    host = {"id": "here", "services": [{**service, **constant} for service in services]}
    parsed = {"schema_version": 1, "agent": {"name": "stub"}, "hosts": [host]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{gateway.port}/api/inference/agent/manifest/",
        method="PUT",
        data=json.dumps({"raw_yaml": "", "parsed": parsed}).encode(),
        headers={**gateway.headers, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30):
        pass


def _environment(folder: Path) -> dict[str, str]:
    """What every gateway gets: none of this shell's keys, proxies and settings."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONUNBUFFERED": "1"}
