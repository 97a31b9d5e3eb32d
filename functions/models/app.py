"""GET /v1/models"""

import time
from typing import Any

from gateway import compose
from gateway.errors import NotFound
from gateway.http import (
    Event,
    Response,
    Route,
    caller_of,
    json_response,
    lambda_handler,
    own_hosts,
    path_parameter,
)
from gateway.lifecycle import prepare
from gateway.models import slug_of
from gateway.providers import model_list
from gateway.providers.deployments import Deployment, usable


def list_models(event: Event, _context: Any) -> Response:
    caller = caller_of(event)
    listing = compose.catalog().listing(caller.user_id)
    online = callable_now(listing.deployments, event)
    return json_response(model_list.list_models(online, caller.user_id, is_cut=listing.is_cut))


def retrieve_model(event: Event, _context: Any) -> Response:
    asked = slug_of(path_parameter(event, "id"))
    pool = model_list.pool_of(asked, deployments_of(asked, event))
    slug = pool[0].model.slug if pool else asked
    if slug != asked:  # a served id: the entry belongs to the model, which may have other served ids
        pool = deployments_of(slug, event)
    pool = [each for each in pool if each.model.slug == slug]
    if not pool:
        raise NotFound(
            "No such model is online for this key: GET /v1/models lists those that are.", param="model"
        )
    return json_response(model_list.model_entry(pool))


def deployments_of(model: str, event: Event) -> list[Deployment]:
    return callable_now(compose.catalog().deployments(model, caller_of(event).user_id), event)


def callable_now(deployments: list[Deployment], event: Event) -> list[Deployment]:
    settings = compose.catalog_settings().reached_at(own_hosts(event))
    return usable(deployments, caller_of(event), settings, time.time())


ROUTES = (
    Route("GET", "/v1/models", list_models),
    Route("GET", "/v1/models/{id+}", retrieve_model),
)
handler = lambda_handler(ROUTES)

prepare(
    compose.prepare_store,
    compose.catalog,
    compose.catalog_settings,
    renew=[compose.renew_store, lambda: compose.catalog().forget()],
)
