"""What needs no key: the playground, openapi.json, healthz."""

import json
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import Response

from gateway import site
from gateway.http import header_of, json_response, new_app, path_parameter, resolve
from gateway.settings import site_settings
from gateway.site import Asset

HERE = Path(__file__).parent

app = new_app()


@app.get("/healthz")
def healthz() -> "Response[str]":
    return json_response({"status": "ok"}, headers={"cache-control": "no-store"})


@app.get("/openapi.json")
def openapi() -> "Response[str]":
    return serve(site.asset(HERE, "openapi.json"))


@app.get("/playground")
def playground() -> "Response[str]":
    if app.current_event.path.endswith("/"):  # the page's relative URLs start from /playground
        return Response(308, body="", headers={"location": "../playground"})
    return serve(site.asset(HERE / "playground", "index.html"))


@app.get("/playground/config.json")
def playground_config() -> "Response[str]":
    config = {"single_request_bytes": site_settings().single_request_bytes}
    return serve(site.text_asset(json.dumps(config), "application/json"))


@app.get("/playground/.+")
def playground_asset() -> "Response[str]":
    return serve(site.asset(HERE / "playground", path_parameter(app.current_event.raw_event, "asset")))


def serve(asset: Asset) -> "Response[str]":
    headers = site.HEADERS | {"etag": asset.etag}
    if asset.etag in header_of(app.current_event.raw_event, "if-none-match"):
        return Response(304, body="", headers=headers)
    return Response(200, content_type=asset.content_type, body=asset.text, headers=headers)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return resolve(app, event, context)
