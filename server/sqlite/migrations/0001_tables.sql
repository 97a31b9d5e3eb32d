-- Times are epoch seconds unless a column says otherwise. JSON is text.

CREATE TABLE keys (
    key_hash TEXT PRIMARY KEY,  -- SHA-256 of the key, in hex
    key_id TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_of_a_user ON keys (user_id);

CREATE TABLE users (
    user_id TEXT PRIMARY KEY,
    preference TEXT NOT NULL,
    requests_per_minute INTEGER,  -- NULL: no limit, here and below
    audio_seconds_per_day INTEGER,
    changes_per_minute INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE providers (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    last_seen_at INTEGER NOT NULL,
    -- What operators change besides the manifest.
    public_url TEXT,
    policies TEXT NOT NULL DEFAULT '{}',  -- JSON: access and allowed_users by service
    errors TEXT NOT NULL DEFAULT '[]',  -- JSON: the problems of the last upload
    revision INTEGER NOT NULL DEFAULT 0,
    -- The manifest that routes, and what it was published with. NULL before the first publication.
    version TEXT,
    document TEXT,  -- JSON, redacted
    uploaded_at INTEGER,
    looping TEXT NOT NULL DEFAULT '[]',  -- JSON: names of services
    published_url TEXT,
    published_policies TEXT NOT NULL DEFAULT '{}',  -- JSON, as policies
    listing_bytes INTEGER NOT NULL DEFAULT 0,  -- of what listings read of it
    UNIQUE (owner, name)
) STRICT;

-- The ciphertext of each service's api_key, also of services that are not routed.
CREATE TABLE credentials (
    provider INTEGER NOT NULL REFERENCES providers (id) ON DELETE CASCADE,
    service TEXT NOT NULL,
    ciphertext BLOB NOT NULL,
    PRIMARY KEY (provider, service)
) STRICT, WITHOUT ROWID;

-- The routed services of the manifest that routes, and their models.
CREATE TABLE services (
    id INTEGER PRIMARY KEY,
    provider INTEGER NOT NULL REFERENCES providers (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    base_url TEXT NOT NULL,
    access TEXT NOT NULL,
    names_users INTEGER NOT NULL  -- 1 when it has a list of allowed users
) STRICT;
CREATE INDEX services_of_a_provider ON services (provider);

CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    service INTEGER NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    slug TEXT NOT NULL,
    served_id TEXT NOT NULL,
    features TEXT NOT NULL,  -- separated by line feeds
    context_length INTEGER,
    display_name TEXT
) STRICT;
CREATE INDEX models_of_a_service ON models (service);

-- Who may use a service: its owner, the users it allows, or everyone ("*").
CREATE TABLE audiences (
    service INTEGER NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    audience TEXT NOT NULL,
    PRIMARY KEY (service, audience)
) STRICT, WITHOUT ROWID;
CREATE INDEX services_of_an_audience ON audiences (audience, service);

-- The names that callers may use for a model. `rank` counts the provider's earlier models under this name, so that
-- whoever reads in order and stops early has read a model of every provider, not five hundred of one.
CREATE TABLE model_names (
    name TEXT NOT NULL,
    rank INTEGER NOT NULL,
    model INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    PRIMARY KEY (name, rank, model)
) STRICT, WITHOUT ROWID;
CREATE INDEX names_of_a_model ON model_names (model);

CREATE TABLE usage (
    user_id TEXT NOT NULL,
    time TEXT NOT NULL,  -- of the request's start, RFC 3339 in UTC with milliseconds
    request_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    model TEXT,
    provider TEXT,
    service TEXT,
    format TEXT,
    bytes INTEGER,
    seconds REAL,
    seconds_source TEXT NOT NULL,
    provider_seconds REAL,
    billed_seconds INTEGER NOT NULL,
    requested_format TEXT,
    returned_format TEXT,
    language TEXT,
    status TEXT NOT NULL,
    http_status INTEGER NOT NULL,
    error_type TEXT,
    attempts TEXT NOT NULL,  -- JSON: provider, outcome and milliseconds of each
    latency_ms INTEGER NOT NULL,
    api_gateway_request_id TEXT,
    client_request_id TEXT,
    PRIMARY KEY (user_id, time, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_by_time ON usage (time);

CREATE TABLE totals (
    role TEXT NOT NULL CHECK (role IN ('user', 'operator')),
    user_id TEXT NOT NULL,
    day TEXT NOT NULL,
    model TEXT NOT NULL,  -- '-' when no model or provider served the request
    provider TEXT NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    seconds INTEGER NOT NULL,
    PRIMARY KEY (role, user_id, day, model, provider)
) STRICT, WITHOUT ROWID;

-- The bytes of the parts are files: uploads/<upload id>/<part id>.
CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    filename TEXT NOT NULL,
    media_type TEXT NOT NULL,
    purpose TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    part_ids TEXT NOT NULL DEFAULT '[]',  -- JSON: those of the completion, in the file's order
    md5 TEXT,
    completed_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_of_a_user ON uploads (user_id, status, expires_at);
CREATE INDEX uploads_by_expiry ON uploads (expires_at);

CREATE TABLE upload_parts (
    upload TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    part_id TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (upload, part_id)
) STRICT, WITHOUT ROWID;
