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
    /// The host says that this one is loaded.
    loaded: bool,
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
            loaded: false,
            slots: None,
            most: None,
            context: None,
            shared: false,
        }
    }

    /// A model that was asked for before stays the one, unless it is gone or another one is loaded: one that
    /// was unloaded for want of work, or a further one on the disk, is no swap.
    pub fn stay_with(&mut self, before: &Self) {
        let listed = before.first.as_ref().filter(|name| self.models.contains(name));
        if let Some(name) = listed.filter(|_| !self.loaded) {
            self.first = Some(name.clone());
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
        Some("vllm" | "sglang") => (found.most, found.context) = batching(entry),
        _ => ask_lm_studio(wire, &mut found).await,
    }
    Ok(found)
}

/// How many requests vLLM and SGLang may be tried with, and what they tell of their context.
fn batching(entry: &Value) -> (Option<usize>, Option<usize>) {
    (Some(MADE_FOR_MANY), count(&entry["max_model_len"]))
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
        found.loaded = true;
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

    #[test]
    fn the_model_stays_the_same_until_it_is_gone_or_another_one_is_loaded() {
        let (endpoint, _) = Endpoint::parse("http://h/v1").unwrap();
        let found = |models: &[&str], loaded| Found {
            models: models.iter().map(ToString::to_string).collect(),
            first: models.first().map(ToString::to_string),
            loaded,
            ..Found::nothing(endpoint.clone())
        };
        let before = found(&["b"], true);
        for (models, loaded, first) in [
            (["a", "b"], false, "b"),
            (["a", "b"], true, "a"),
            (["a", "c"], false, "a"),
        ] {
            let mut now = found(&models, loaded);
            now.stay_with(&before);
            assert_eq!(now.first.as_deref(), Some(first), "{models:?} {loaded}");
        }
    }

    #[test]
    fn a_server_that_batches_is_tried_with_many() {
        let entry = json!({"id": "m", "owned_by": "vllm", "max_model_len": 8192});
        assert_eq!(batching(&entry), (Some(MADE_FOR_MANY), Some(8192)));
    }
}
