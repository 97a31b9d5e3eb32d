"""Routes without a key: the playground, openapi.json, healthz."""

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
    Route("GET", "/healthz", healthz),
    Route("GET", "/openapi.json", openapi),
    Route("GET", "/playground", playground),
    Route("GET", "/playground/{asset+}", playground_asset),
)
handler = lambda_handler(ROUTES)
