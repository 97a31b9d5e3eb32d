"""Routes without a key: the playground, the documentation, openapi.json, healthz."""

import json
from pathlib import Path
from typing import Any

from gateway import site
from gateway.http import Event, Response, Route, header_of, json_response, lambda_handler, path_parameter
from gateway.settings import request_settings
from gateway.site import Asset

HERE = Path(__file__).parent


def healthz(_event: Event, _context: Any) -> Response:
    return json_response({"status": "ok"}, headers={"cache-control": "no-store"})


def openapi(event: Event, _context: Any) -> Response:
    return serve(site.asset(HERE, "openapi.json"), event)


def home(event: Event, _context: Any) -> Response:
    path = event["requestContext"].get("path") or event["path"]
    # Relative, because a stage's name may come before; without its slash, that name is the last segment.
    return redirect("playground" if path.endswith("/") else f"{path.rsplit('/', 1)[1]}/playground")


def api(event: Event, _context: Any) -> Response:
    return redirect(beside(event, "playground"))


def docs(event: Event, _context: Any) -> Response:
    return redirect(beside(event, "playground/docs.html"))


def beside(event: Event, target: str) -> str:
    return f"../{target}" if event["path"].endswith("/") else target


def redirect(location: str) -> Response:
    return Response(302, "", {"location": location, "cache-control": "no-store"})


def playground(event: Event, _context: Any) -> Response:
    if event["path"].endswith("/"):  # the page's relative URLs are relative to /playground
        return Response(308, "", {"location": "../playground"})
    return serve(site.asset(HERE / "playground", "index.html"), event)


def playground_asset(event: Event, _context: Any) -> Response:
    name = path_parameter(event, "asset")
    if name == "config.json":
        config = {"single_request_bytes": request_settings().single_request_bytes}
        return serve(site.text_asset(json.dumps(config), "application/json"), event)
    return serve(site.asset(HERE / "playground", name), event)


def serve(asset: Asset, event: Event) -> Response:
    headers = site.HEADERS | {"etag": asset.etag}
    if asset.etag in header_of(event, "if-none-match"):
        return Response(304, "", headers)
    return Response(200, asset.text, headers | {"Content-Type": asset.content_type})


ROUTES = (
    Route("GET", "/", home),
    Route("GET", "/v1", api),
    Route("GET", "/docs", docs),
    Route("GET", "/healthz", healthz),
    Route("GET", "/openapi.json", openapi),
    Route("GET", "/playground", playground),
    Route("GET", "/playground/{asset+}", playground_asset),
)
handler = lambda_handler(ROUTES)
