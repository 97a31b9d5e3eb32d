"""Routes without a key: the playground, openapi.json, healthz."""

import json
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import Response

from gateway import site
from gateway.http import Event, Route, header_of, json_response, lambda_handler, path_parameter
from gateway.settings import request_settings
from gateway.site import Asset

HERE = Path(__file__).parent


def healthz(_event: Event, _context: Any) -> "Response[str]":
    return json_response({"status": "ok"}, headers={"cache-control": "no-store"})


def openapi(event: Event, _context: Any) -> "Response[str]":
    return serve(site.asset(HERE, "openapi.json"), event)


def playground(event: Event, _context: Any) -> "Response[str]":
    if event["path"].endswith("/"):  # the page's relative URLs are relative to /playground
        return Response(308, body="", headers={"location": "../playground"})
    return serve(site.asset(HERE / "playground", "index.html"), event)


def playground_asset(event: Event, _context: Any) -> "Response[str]":
    name = path_parameter(event, "asset")
    if name == "config.json":
        config = {"single_request_bytes": request_settings().single_request_bytes}
        return serve(site.text_asset(json.dumps(config), "application/json"), event)
    return serve(site.asset(HERE / "playground", name), event)


def serve(asset: Asset, event: Event) -> "Response[str]":
    headers = site.HEADERS | {"etag": asset.etag}
    if asset.etag in header_of(event, "if-none-match"):
        return Response(304, body="", headers=headers)
    return Response(200, content_type=asset.content_type, body=asset.text, headers=headers)


ROUTES = (
    Route("GET", "/healthz", healthz),
    Route("GET", "/openapi.json", openapi),
    Route("GET", "/playground", playground),
    Route("GET", "/playground/{asset+}", playground_asset),
)
handler = lambda_handler(ROUTES)
