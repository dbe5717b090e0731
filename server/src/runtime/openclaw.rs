//! OpenClaw's configuration, `openclaw.json`: behind our session check, with our models, quiet.

use super::spec::OPENCLAW_PORT;
use contract::ModelView;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

/// The name of our provider inside OpenClaw.
const PROVIDER: &str = "clawloops";

/// The identity under which the platform itself speaks to a runtime. The gateway never lets a browser bear it.
pub const PLATFORM_IDENTITY: &str = "platform@clawloops.internal";

/// What a configuration is rendered from.
pub struct Setting<'a> {
    /// The owner's e-mail address: the identity that the gateway sends.
    pub person: &'a str,
    /// The runtime's own origin, `http://name.clawloops.localhost:3000`.
    pub origin: &'a str,
    /// The host's address inside the runtime's network: requests come from it, and models are called at it.
    pub gateway: IpAddr,
    /// The port of the internal listener.
    pub internal_port: u16,
    /// The models offered, the default one first.
    pub models: &'a [ModelView],
    /// The key it calls them with.
    pub key: &'a SecretString,
}

/// Renders the file, which bears the key. The same values give the same bytes, so that a difference is a change.
#[must_use]
pub fn render(setting: &Setting<'_>) -> String {
    let models: Vec<Value> = setting.models.iter().map(model).collect();
    let listener = SocketAddr::new(setting.gateway, setting.internal_port);
    let mut defaults = json!({ "skipBootstrap": true, "heartbeat": { "every": "0m" } });
    if let Some(first) = setting.models.first() {
        defaults["model"] = json!({ "primary": format!("{PROVIDER}/{}", first.name) });
    }
    let config = json!({
        "gateway": {
            "mode": "local",
            "bind": "lan",
            "port": OPENCLAW_PORT,
            "trustedProxies": [setting.gateway],
            "auth": {
                "mode": "trusted-proxy",
                "identityScopes": { setting.person: ["operator.admin"], PLATFORM_IDENTITY: ["operator.admin"] },
                "trustedProxy": {
                    "userHeader": "x-forwarded-user",
                    "requiredHeaders": ["x-forwarded-host", "x-forwarded-proto"],
                    "allowUsers": [setting.person, PLATFORM_IDENTITY],
                    "deviceAutoApprove": {
                        "enabled": true,
                        "scopes": ["operator.read", "operator.write", "operator.approvals", "operator.questions"]
                    }
                }
            },
            "controlUi": { "enabled": true, "communityInvite": false, "allowedOrigins": [setting.origin] }
        },
        "models": {
            "mode": "replace",
            "catalogRefresh": { "enabled": false },
            "providers": {
                PROVIDER: {
                    "baseUrl": format!("http://{listener}/v1"),
                    // Here and not in the environment, which a running process keeps: OpenClaw reads a new one without a restart.
                    "apiKey": setting.key.expose_secret(),
                    "api": "openai-completions",
                    "models": models
                }
            }
        },
        "agents": { "defaults": defaults },
        "plugins": { "entries": { "admin-http-rpc": { "enabled": true } } },
        "update": { "checkOnStart": false }
    });
    format!("{config:#}\n")
}

fn model(model: &ModelView) -> Value {
    json!({
        "id": model.name,
        "name": model.name,
        "reasoning": false,
        "input": ["text"],
        // OpenClaw's own cost display stays at zero: what is spent is counted, and shown, by ClawLoops.
        "cost": { "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0 },
        "contextWindow": model.context_tokens,
        "maxTokens": model.output_tokens,
        "compat": { "supportsUsageInStreaming": true, "maxTokensField": "max_tokens", "supportsDeveloperRole": false }
    })
}
