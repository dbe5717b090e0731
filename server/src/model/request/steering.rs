//! What a caller may not say: members that steer LiteLLM itself, change the price, or let the provider do what no token count tells.

use super::{Malformed, object::Object};
use crate::model::shape::Shape;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Takes out what would steer the call: to another model than the one that was reserved, to more calls than one, to another account, to another
/// price. Everything else is the provider's business and passes.
pub fn strip(body: &mut Object, shape: Shape) {
    body.drop_named(|name| is_steering(name, shape));
    // A provider, or LiteLLM in its place, would sum up the conversation by a call of its own, counted apart.
    if body.get::<&RawValue>("context_management").is_some_and(sums_up) {
        body.remove("context_management");
    }
}

/// Whether such edits ask for a summary, in whatever spelling. What cannot be read may.
fn sums_up(edits: &RawValue) -> bool {
    // Written anew, no letter of it is escaped.
    serde_json::from_str::<serde_json::Value>(edits.get()).map_or(true, |edits| edits.to_string().contains("compact"))
}

/// Whether a member or a field of a form of this name would steer.
pub fn is_steering(name: &str, shape: Shape) -> bool {
    const NAMES: &[&str] = &[
        "acompletion",
        "agent_id",
        "allow_client_keepalive_override",
        "allowed_model_region",
        "allowed_openai_params",
        "api_base",
        "api_key",
        "api_version",
        "attempted_targets",
        "base_model",
        "base_url",
        "cache",
        "cache_key",
        "caching",
        "caching_groups",
        "callbacks",
        "client",
        "client_id",
        "client_secret",
        "client_side_timeout",
        "complete_response",
        "configurable_clientside_auth_params",
        "context_window_fallback_dict",
        "cooldown_time",
        "cost_per_query",
        "custom_llm_provider",
        "custom_prompt_dict",
        "data_residency",
        "default_headers",
        "deployment_id",
        "drop_params",
        "enable_prompt_caching",
        "enable_tag_filtering",
        "extra_body",
        "extra_headers",
        "extra_query",
        "failure_callback",
        "fallback_depth",
        "fastest_response",
        "force_timeout",
        "guardrails",
        "headers",
        "inference_geo",
        "keepalive_seconds",
        "log_client_error_tracebacks",
        "logger_fn",
        "max_agentic_loops",
        "max_parallel_requests",
        "max_retries",
        "metadata",
        "model_alias_map",
        "model_file_id_mapping",
        "model_group",
        "model_info",
        "model_list",
        "models",
        "no-log",
        "num_retries",
        "order",
        "organization",
        "preset_cache_key",
        "prompt_environment",
        "prompt_id",
        "prompt_label",
        "prompt_variables",
        "prompt_version",
        "provider",
        "provider_affinity_header",
        "provider_specific_header",
        "proxy_server_request",
        "region_name",
        "request_timeout",
        "retry_policy",
        "retry_strategy",
        "route",
        "router_settings_override",
        "routing_strategy",
        "rpm",
        "search_tool_name",
        "secret_fields",
        "service_tier",
        "session_id",
        "shared_session",
        "silent_model",
        "specific_deployment",
        "speed",
        "ssl_verify",
        "stream_response",
        "stream_timeout",
        "strip_stream_usage",
        "success_callback",
        "tag_regex",
        "tags",
        "tenant_id",
        "timeout",
        "tpm",
        "trusted_callback_vars",
        "turn_off_message_logging",
        "use_chat_completions_api",
        "use_in_pass_through",
        "user_config",
        "verbose",
        "vertex_credentials",
        "vertex_location",
        "vertex_project",
        "weight",
        "weights",
    ];
    const STARTS: &[&str] = &[
        "_",
        "adaptive_router_",
        "anthropic_",
        "auto_router_",
        "aws_",
        "azure_",
        "bedrock_",
        "code_interpreter_",
        "complexity_router_",
        "input_cost_",
        "langfuse_",
        "litellm_",
        "mock_",
        "openai_",
        "output_cost_",
        "quality_router_",
        "s3_",
        "use_litellm_",
        "websearch_",
    ];
    let name = name.to_ascii_lowercase();
    // How fast a voice speaks; elsewhere it is how fast, and how dear, a model is.
    if shape == Shape::Speech && name == "speed" {
        return false;
    }
    NAMES.contains(&name.as_str()) || name.ends_with("fallbacks") || STARTS.iter().any(|start| name.starts_with(start))
}

/// Refuses what the provider would run by itself. It is billed beside the tokens, or in calls that nobody counts, so no limit could hold it.
///
/// # Errors
/// When the body asks for such a thing: which, and in which member.
pub fn refuse(body: &Object) -> Result<(), Malformed> {
    for member in ["mcp_servers", "plugins", "search_parameters", "web_search_options"] {
        if body.get::<&RawValue>(member).is_some_and(|value| !matches!(value.get(), "[]" | "{}" | "false")) {
            return Err(Malformed(
                format!("The member `{member}` asks for something that {RUN_BY_THE_PROVIDER}, so it is not offered here."),
                Some(member),
            ));
        }
    }
    if body.has("background") && body.get::<bool>("background") != Some(false) {
        let message = "An answer in the background cannot be counted when it is done, so it is not offered here. Leave `background` out.";
        return Err(Malformed(message.to_owned(), Some("background")));
    }
    body.get::<&RawValue>("tools").map_or(Ok(()), |tools| refuse_tools(tools, 0))
}

const RUN_BY_THE_PROVIDER: &str = "the provider runs by itself and bills beside the tokens";

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    /// Those of a namespace.
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
}

fn refuse_tools(tools: &RawValue, depth: usize) -> Result<(), Malformed> {
    let unreadable = || Malformed("The member `tools` must be a list of tools, each with one type.".to_owned(), Some("tools"));
    if depth > 3 {
        return Err(unreadable());
    }
    for given in serde_json::from_str::<Vec<&RawValue>>(tools.get()).map_err(|_| unreadable())? {
        let tool: Tool<'_> = serde_json::from_str(given.get()).map_err(|_| unreadable())?;
        let members: Object = serde_json::from_str(given.get()).map_err(|_| unreadable())?;
        let run_there = match &tool.kind {
            Some(kind) => (!is_run_by_the_caller(kind)).then_some(kind.as_str()),
            None => None,
        };
        if let Some(name) = run_there.or_else(|| members.names().find(|name| is_run_by_google(name))) {
            let name: String = name.chars().filter(|letter| !letter.is_control() && *letter != '`').take(80).collect();
            return Err(Malformed(
                format!(
                    "The tool `{name}` is not offered here: {RUN_BY_THE_PROVIDER}. Functions and other tools that your own program runs work."
                ),
                Some("tools"),
            ));
        }
        if let Some(inner) = tool.tools {
            refuse_tools(inner, depth + 1)?;
        }
    }
    Ok(())
}

/// Kinds of tools that the model only asks for: the caller runs them, and they cost what their tokens cost.
fn is_run_by_the_caller(kind: &str) -> bool {
    const KINDS: &[&str] = &[
        "apply_patch",
        "computer",
        "computer-preview",
        "computer_use_preview",
        "custom",
        "function",
        "local_shell",
        "namespace",
        "tool_search",
    ];
    // Anthropic's carry the date of their version.
    const STARTS: &[&str] = &["bash_", "computer_", "memory_", "text_editor_", "tool_search_tool_"];
    KINDS.contains(&kind) || STARTS.iter().any(|start| kind.starts_with(start))
}

/// Google's have no type: the member is the tool.
fn is_run_by_google(member: &str) -> bool {
    const TOOLS: &[&str] = &[
        "codeexecution",
        "computeruse",
        "enterprisewebsearch",
        "filesearch",
        "googlemaps",
        "googlesearch",
        "googlesearchretrieval",
        "urlcontext",
    ];
    let name: String = member.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect();
    TOOLS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn refused(body: &Value) -> Option<&'static str> {
        refuse(&serde_json::from_value(body.clone()).unwrap()).err().and_then(|Malformed(_, member)| member)
    }

    #[test]
    fn tools_of_the_caller_pass() {
        for tool in [
            json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}),
            json!({"type": "function", "name": "f", "parameters": {}}),
            json!({"name": "f", "input_schema": {"properties": {"web_search": {}}}}),
            json!({"type": "custom", "name": "f"}),
            json!({"type": "bash_20250124", "name": "bash"}),
            json!({"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}),
            json!({"type": "local_shell"}),
            json!({"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}]}),
        ] {
            assert_eq!(refused(&json!({"tools": [tool]})), None, "{tool}");
        }
        assert_eq!(refused(&json!({"tools": [], "mcp_servers": [], "background": false, "web_search_options": null})), None);
    }

    #[test]
    fn what_the_provider_would_run_is_refused() {
        for tool in [
            json!({"type": "web_search"}),
            json!({"type": "web_search_preview_2025_03_11"}),
            json!({"type": "web_search_20250305", "name": "web_search"}),
            json!({"type": "code_execution_20250825", "name": "code_execution"}),
            json!({"type": "mcp", "server_url": "litellm_proxy"}),
            json!({"type": "file_search", "vector_store_ids": ["x"]}),
            json!({"type": "image_generation"}),
            json!({"type": "something_of_next_year"}),
            json!({"googleSearch": {}}),
            json!({"type": "function", "function": {"name": "f"}, "url_context": {}}),
            json!({"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}),
            json!({"type": 7}),
            json!("web_search"),
        ] {
            assert_eq!(refused(&json!({"tools": [{"type": "function", "name": "f"}, tool]})), Some("tools"), "{tool}");
        }
        let twice: Object = serde_json::from_str(r#"{"tools":[{"type":"function","type":"web_search"}]}"#).unwrap();
        assert!(refuse(&twice).is_err());
        for (member, value) in [
            ("background", json!(true)),
            ("background", json!("yes")),
            ("mcp_servers", json!([{"url": "https://example.com"}])),
            ("web_search_options", json!({"search_context_size": "low"})),
            ("plugins", json!([{"id": "web"}])),
            ("tools", json!({"type": "function"})),
        ] {
            assert_eq!(refused(&json!({member: value})), Some(member));
        }
    }

    #[test]
    fn what_steers_goes_and_what_the_provider_knows_stays() {
        let mut body: Object = serde_json::from_value(json!({
            "service_tier": "priority", "speed": "fast", "silent_model": "dear", "_skip_mcp_handler": true, "max_agentic_loops": 9, "Prompt_ID": "p",
            "context_management": {"edits": [{"type": "compact_20260112"}]}, "user": "u", "thinking": {"type": "adaptive"}, "prompt_cache_key": "k",
            "store": false, "verbosity": "low",
        }))
        .unwrap();
        strip(&mut body, Shape::Chat);
        let left: Value = serde_json::from_slice(&body.to_json()).unwrap();
        assert_eq!(
            left,
            json!({"user": "u", "thinking": {"type": "adaptive"}, "prompt_cache_key": "k", "store": false, "verbosity": "low"})
        );
        for edits in [r#"{"edits":[{"type":"comp\u0061ct_20260112"}]}"#, r#"{"edits":1e999}"#] {
            let mut body: Object = serde_json::from_str(&format!("{{\"context_management\":{edits}}}")).unwrap();
            strip(&mut body, Shape::Chat);
            assert_eq!(body.names().count(), 0, "{edits}");
        }
        let edits = json!({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}});
        let mut body: Object = serde_json::from_value(edits.clone()).unwrap();
        strip(&mut body, Shape::Chat);
        assert_eq!(serde_json::from_slice::<Value>(&body.to_json()).unwrap(), edits);
        let mut spoken: Object = serde_json::from_str(r#"{"speed":1.25,"api_base":"x"}"#).unwrap();
        strip(&mut spoken, Shape::Speech);
        assert_eq!(spoken.to_json(), br#"{"speed":1.25}"#);
    }
}
