//! The same models from anywhere: settings to copy for clients and editors, with the address and a model that are really there.

use super::code::copy_line;
use contract::ModelView;
use leptos::prelude::*;

/// One client: a tab with what to do and what to copy.
struct Example {
    /// The tab's value, which the style sheet knows.
    id: &'static str,
    /// The tab's name.
    name: &'static str,
    /// Where it belongs.
    place: &'static str,
    /// What to copy.
    text: String,
}

/// Settings for clients and editors. Radio buttons switch between them, without script too.
pub fn use_anywhere(address: &str, model: Option<&ModelView>) -> AnyView {
    let examples = model.map(|model| examples(address, model)).unwrap_or_default();
    let buttons = examples.iter().enumerate().map(|(place, Example { id, name, .. })| {
        view! { <label><input class="visually-hidden" r#type="radio" name="example" value=*id checked=place == 0 />{*name}</label> }
    });
    let tabs = (!examples.is_empty()).then(|| view! { <div class="tabs" role="group" aria-label="Client">{buttons.collect_view()}</div> });
    let none = examples.is_empty().then(|| view! { <p class="small muted">"Settings to copy stand here once a model is offered."</p> });
    let panes = examples.into_iter().map(|Example { id, name, place, text }| {
        view! {
            <div data-tab=id>
                <p class="small muted">{place}</p>
                <pre class="log" tabindex="0" aria-label=name>{text}</pre>
            </div>
        }
    });
    view! {
        <section class="card tabbed">
            <header><h2>"Use it from anywhere"</h2></header>
            <div class="body stack close">
                {none}
                {tabs}
                {panes.collect_view()}
                {copy_line("address", address.to_owned())}
            </div>
        </section>
    }
    .into_any()
}

/// `address` ends in `/v1`; Anthropic's clients add that themselves.
fn examples(address: &str, model: &ModelView) -> Vec<Example> {
    let (name, context, output) = (&model.name, model.context_tokens, model.output_tokens);
    let root = address.trim_end_matches("/v1");
    vec![
        Example {
            id: "python",
            name: "Python",
            place: "With the package openai. Chat, completions and embeddings.",
            text: format!(
                r#"from openai import OpenAI

client = OpenAI(base_url="{address}", api_key="cl_live_…")
answer = client.chat.completions.create(
    model="{name}",
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.choices[0].message.content)"#
            ),
        },
        Example {
            id: "node",
            name: "Node",
            place: "With the package openai.",
            text: format!(
                r#"import OpenAI from "openai";

const client = new OpenAI({{ baseURL: "{address}", apiKey: "cl_live_…" }});
const answer = await client.chat.completions.create({{
  model: "{name}",
  messages: [{{ role: "user", content: "Hello" }}],
}});
console.log(answer.choices[0].message.content);"#
            ),
        },
        Example {
            id: "anthropic",
            name: "Anthropic",
            place: "With the package anthropic. Its address has no /v1: the client adds it.",
            text: format!(
                r#"from anthropic import Anthropic

client = Anthropic(base_url="{root}", api_key="cl_live_…")
answer = client.messages.create(
    model="{name}",
    max_tokens=1024,
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.content[0].text)"#
            ),
        },
        Example {
            id: "curl",
            name: "curl",
            place: "In a terminal.",
            text: format!(
                r#"curl {address}/chat/completions \
  -H "Authorization: Bearer cl_live_…" \
  -H "Content-Type: application/json" \
  -d '{{"model": "{name}", "messages": [{{"role": "user", "content": "Hello"}}]}}'"#
            ),
        },
        Example {
            id: "openclaw",
            name: "OpenClaw",
            place: "In ~/.openclaw/openclaw.json of an OpenClaw of your own, with the key in its environment as CLAWLOOPS_API_KEY. One that runs \
                    here has all this already.",
            text: format!(
                r#"{{
  "models": {{
    "providers": {{
      "clawloops": {{
        "baseUrl": "{address}",
        "apiKey": "${{CLAWLOOPS_API_KEY}}",
        "api": "openai-completions",
        "models": [
          {{
            "id": "{name}",
            "name": "{name}",
            "contextWindow": {context},
            "maxTokens": {output},
            "compat": {{ "supportsUsageInStreaming": true, "supportsDeveloperRole": false }}
          }}
        ]
      }}
    }}
  }},
  "agents": {{ "defaults": {{ "model": {{ "primary": "clawloops/{name}" }} }} }}
}}"#
            ),
        },
        Example {
            id: "continue",
            name: "VS Code",
            place: "With the extension Continue, in ~/.continue/config.yaml.",
            text: format!(
                "name: ClawLoops\nversion: 0.0.1\nschema: v1\nmodels:\n  - name: {name}\n    provider: openai\n    model: {name}\n    apiBase: {address}\n    apiKey: cl_live_…"
            ),
        },
        Example {
            id: "zed",
            name: "Zed",
            place: "In settings.json. The key is typed into the panel of its providers, or stands in the environment as CLAWLOOPS_API_KEY.",
            text: format!(
                r#"{{
  "language_models": {{
    "openai_compatible": {{
      "ClawLoops": {{
        "api_url": "{address}",
        "available_models": [
          {{
            "name": "{name}",
            "display_name": "{name}",
            "max_tokens": {context},
            "max_output_tokens": {output},
            "capabilities": {{ "tools": true, "images": false, "parallel_tool_calls": false, "prompt_cache_key": false }}
          }}
        ]
      }}
    }}
  }}
}}"#
            ),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{ModelId, Price, ProviderId};

    fn all() -> Vec<Example> {
        let model = ModelView {
            model_id: ModelId(Default::default()),
            name: "qwen2.5:7b".to_owned(),
            description: String::new(),
            provider_id: ProviderId(Default::default()),
            provider: "Ollama".to_owned(),
            upstream: "qwen2.5:7b".to_owned(),
            context_tokens: 32_768,
            output_tokens: 4_096,
            price: Some(Price::FREE),
            counted_in: contract::CountedIn::Tokens,
            published: true,
            groups: None,
            is_default: true,
            fallbacks: Vec::new(),
            unhealthy: None,
        };
        examples("https://claw.example/v1", &model)
    }

    #[test]
    fn each_names_the_address_and_the_model_and_those_in_json_are_json() {
        for Example { id, text, .. } in all() {
            assert!(text.contains("https://claw.example") && text.contains("qwen2.5:7b"), "{id}");
            if text.starts_with('{') {
                let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{id}: {error}"));
                assert!(json.is_object());
            }
        }
        let of = |wanted| all().into_iter().find(|example| example.id == wanted).map(|example| example.text).unwrap();
        assert!(of("anthropic").contains(r#"base_url="https://claw.example""#));
        let openclaw: serde_json::Value = serde_json::from_str(&of("openclaw")).unwrap();
        assert_eq!(openclaw["models"]["providers"]["clawloops"]["apiKey"], "${CLAWLOOPS_API_KEY}");
        let zed: serde_json::Value = serde_json::from_str(&of("zed")).unwrap();
        assert_eq!(zed["language_models"]["openai_compatible"]["ClawLoops"]["available_models"][0]["max_tokens"], 32_768);
    }

    /// A tab that the style sheet does not know would never be shown.
    #[test]
    fn the_style_sheet_knows_every_tab() {
        let style = include_str!("../../../style/components.css");
        for Example { id, .. } in all() {
            assert!(style.contains(&format!(r#"[value="{id}"]:checked) [data-tab="{id}"]"#)), "{id}");
        }
    }
}
