"""Answers OPTIONS as SAM's generated method does on AWS (template.yaml, Cors)."""

METHODS = "GET,POST,PUT,PATCH,DELETE,OPTIONS"
# A wildcard does not cover Authorization, and x-stainless-* cannot be a pattern: list each one.
HEADERS = (
    "authorization,content-type,accept,user-agent,idempotency-key,openai-organization,openai-project,openai-beta,"
    "x-client-request-id,x-stainless-arch,x-stainless-async,x-stainless-custom-poll-interval,"
    "x-stainless-helper-method,x-stainless-lang,x-stainless-os,x-stainless-package-version,x-stainless-poll-helper,"
    "x-stainless-raw-response,x-stainless-read-timeout,x-stainless-retry-count,x-stainless-runtime,"
    "x-stainless-runtime-version,x-stainless-timeout"
)
ANSWER = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": METHODS,
    "access-control-allow-headers": HEADERS,
    "access-control-max-age": "7200",
    "content-type": "application/json",
}
