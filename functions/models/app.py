"""GET /v1/models"""

import time
from typing import Any

from aws_lambda_powertools.event_handler import Response

from gateway import catalog
from gateway.deployments import slug_of, usable
from gateway.errors import NotFound
from gateway.http import caller_of, json_response, new_app, path_parameter, resolve
from gateway.lifecycle import prepare
from gateway.settings import catalog_settings
from gateway.store import aws
from gateway.store.catalog import catalog_store

app = new_app()


@app.get("/v1/models")
def list_models() -> "Response[str]":
    caller = caller_of(app.current_event.raw_event)
    listing = catalog_store().whole_listing(caller.user_id)
    callable_now = usable(listing.deployments, caller, catalog_settings(), time.time())
    return json_response(catalog.list_models(callable_now, caller.user_id, is_cut=listing.is_cut))


@app.get("/v1/models/.+")
def retrieve_model() -> "Response[str]":
    event = app.current_event.raw_event
    caller, model = caller_of(event), path_parameter(event, "id")
    candidates = catalog_store().deployments(model, caller.user_id)
    pool = catalog.pool_of(slug_of(model), usable(candidates, caller, catalog_settings(), time.time()))
    if not pool:
        raise NotFound(
            "No such model is online for this key: GET /v1/models lists those that are.", param="model"
        )
    return json_response(catalog.model_entry(pool))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return resolve(app, event, context)


prepare(
    aws.dynamodb,
    catalog_store,
    catalog_settings,
    renew=[aws.close_connections, lambda: catalog_store().forget()],
)
