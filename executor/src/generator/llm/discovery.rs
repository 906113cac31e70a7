//! Which model to ask for, how many requests at once, and where exactly the API lies.

use serde_json::Value;

use super::fault::HttpError;
use super::wire::Wire;
use crate::generator::Host;
use crate::settings::Endpoint;

/// Parts of model names that cannot chat.
const NO_CHAT: [&str; 5] = ["embed", "rerank", "whisper", "tts", "clip"];

/// vLLM and SGLang batch hundreds of requests and do not say how many.
const MADE_FOR_MANY: usize = 64;

#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub base: Endpoint,
    pub models: Vec<String>,
    /// What would be asked for where nobody named a model.
    pub first: Option<String>,
    pub slots: Option<usize>,
    /// How many requests may be tried where it does not say how many it works on.
    pub most: Option<usize>,
    /// Tokens that one request has for prompt and answer together.
    pub context: Option<usize>,
    /// All requests in flight share that context.
    pub shared: bool,
}

impl Found {
    /// A host that tells nothing of itself.
    pub fn nothing(base: Endpoint) -> Self {
        Self {
            base,
            models: Vec::new(),
            first: None,
            slots: None,
            most: None,
            context: None,
            shared: false,
        }
    }

    pub fn host(&self, model: String) -> Host {
        Host {
            model: Some(model),
            slots: self.slots,
            most: self.most,
            context: self.context,
            shared: self.shared,
        }
    }
}

/// Asks the host what it has.
pub async fn discover(wire: &Wire, endpoint: &Endpoint) -> Result<Found, HttpError> {
    let (base, list) = models(wire, endpoint).await?;
    let models = chat_models(&list);
    let mut found = Found {
        first: models.first().cloned(),
        models,
        ..Found::nothing(base)
    };
    let entry = &list["data"][0];
    match entry["owned_by"].as_str() {
        Some("llamacpp") => ask_llama_server(wire, &mut found).await,
        Some("vllm" | "sglang") => {
            found.context = count(&entry["max_model_len"]);
            found.most = Some(MADE_FOR_MANY);
        }
        _ => ask_lm_studio(wire, &mut found).await,
    }
    Ok(found)
}

/// `/models` under the base, with `/v1` for who left it out.
async fn models(wire: &Wire, endpoint: &Endpoint) -> Result<(Endpoint, Value), HttpError> {
    if !endpoint.has_path() {
        let with_version = endpoint.with_path("/v1");
        match wire.get(with_version.join("/models")).await {
            Ok(list) if list["data"].is_array() => return Ok((with_version, list)),
            Ok(_) => {}
            Err(error) if error.status() == Some(404) => {}
            Err(error) => return Err(error),
        }
    }
    wire.get(endpoint.join("/models"))
        .await
        .map(|list| (endpoint.clone(), list))
}

fn chat_models(list: &Value) -> Vec<String> {
    let entries = list["data"].as_array().or_else(|| list["models"].as_array());
    let names = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["id"].as_str());
    let chats = |name: &&str| !NO_CHAT.iter().any(|part| name.to_lowercase().contains(part));
    names.filter(chats).map(ToOwned::to_owned).collect()
}

/// LM Studio lists all that it has on disk; asking for the first one would load that.
async fn ask_lm_studio(wire: &Wire, found: &mut Found) {
    let url = found.base.with_path("/").join("/api/v0/models");
    let Ok(list) = wire.get(url).await else { return };
    let mut entries = list["data"].as_array().into_iter().flatten();
    let loaded = entries
        .find(|entry| entry["state"] == "loaded" && matches!(entry["type"].as_str(), Some("llm" | "vlm")));
    if let Some(entry) = loaded {
        found.first = entry["id"].as_str().map(ToOwned::to_owned).or(found.first.take());
        found.context = count(&entry["loaded_context_length"]);
        // Its parallel requests share the context that the model is loaded with (lmstudio-bug-tracker#1628).
        found.shared = found.context.is_some();
    }
}

async fn ask_llama_server(wire: &Wire, found: &mut Found) {
    let url = found.base.with_path("/").join("/props");
    let Ok(props) = wire.get(url).await else { return };
    found.slots = count(&props["total_slots"]).filter(|slots| (1..=64).contains(slots));
    found.context = count(&props["default_generation_settings"]["n_ctx"]);
}

fn count(value: &Value) -> Option<usize> {
    value
        .as_u64()
        .and_then(|count| usize::try_from(count).ok())
        .filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn models_that_cannot_chat_are_passed_over() {
        let list = json!({"data": [{"id": "text-embedding-nomic"}, {"id": "Llama-3.1-8B"}, {"id": "bge-reranker"}, {}]});
        assert_eq!(chat_models(&list), ["Llama-3.1-8B"]);
        assert!(chat_models(&json!({"error": "x"})).is_empty());
    }
}
