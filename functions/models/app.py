"""GET /v1/models"""

import time
from typing import Any

from aws_lambda_powertools.event_handler import Response

from gateway import catalog
from gateway.deployments import Deployment, slug_of, usable
from gateway.errors import NotFound
from gateway.http import caller_of, json_response, new_app, own_hosts, path_parameter, resolve
from gateway.keys import Caller
from gateway.lifecycle import prepare
from gateway.settings import CatalogSettings, catalog_settings
from gateway.store import aws
from gateway.store.catalog import catalog_store

app = new_app()


@app.get("/v1/models")
def list_models() -> "Response[str]":
    event = app.current_event.raw_event
    caller, settings = caller_of(event), catalog_settings().reached_at(own_hosts(event))
    listing = catalog_store().whole_listing(caller.user_id)
    callable_now = usable(listing.deployments, caller, settings, time.time())
    return json_response(catalog.list_models(callable_now, caller.user_id, is_cut=listing.is_cut))


@app.get("/v1/models/.+")
def retrieve_model() -> "Response[str]":
    event = app.current_event.raw_event
    caller, settings = caller_of(event), catalog_settings().reached_at(own_hosts(event))
    asked = slug_of(path_parameter(event, "id"))
    pool = catalog.pool_of(asked, _online(asked, caller, settings))
    slug = pool[0].model.slug if pool else asked
    if slug != asked:  # a served id: the entry is the model's, which may be served under other ids as well
        pool = _online(slug, caller, settings)
    pool = [each for each in pool if each.model.slug == slug]
    if not pool:
        raise NotFound(
            "No such model is online for this key: GET /v1/models lists those that are.", param="model"
        )
    return json_response(catalog.model_entry(pool))


def _online(model: str, caller: Caller, settings: CatalogSettings) -> list[Deployment]:
    candidates = catalog_store().deployments(model, caller.user_id)
    return usable(candidates, caller, settings, time.time())


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return resolve(app, event, context)


prepare(
    aws.dynamodb,
    catalog_store,
    catalog_settings,
    renew=[aws.close_connections, lambda: catalog_store().forget()],
)
