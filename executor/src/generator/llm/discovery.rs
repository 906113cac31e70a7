//! Which model to ask for, how many requests at once, and where exactly the API lies.

use serde_json::Value;

use super::fault::Fault;
use super::wire::Wire;
use crate::settings::Endpoint;

/// Parts of model names that cannot chat.
const NO_CHAT: [&str; 5] = ["embed", "rerank", "whisper", "tts", "clip"];

#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub base: Endpoint,
    pub models: Vec<String>,
    /// What would be asked for where nobody named a model.
    pub first: Option<String>,
    pub slots: Option<usize>,
}

/// Asks the host what it has.
pub async fn discover(wire: &Wire, endpoint: &Endpoint) -> Result<Found, Fault> {
    let (base, list) = models(wire, endpoint).await?;
    let models = chat_models(&list);
    let mut first = models.first().cloned();
    if models.len() > 1 {
        // LM Studio lists all that it has on disk; asking for the first would load that one.
        first = loaded_model(wire, &base).await.or(first);
    }
    let llama_server = list["data"][0]["owned_by"] == "llamacpp";
    let slots = if llama_server {
        slots(wire, &base).await
    } else {
        None
    };
    Ok(Found {
        base,
        models,
        first,
        slots,
    })
}

/// `/models` under the base, with `/v1` for who left it out.
async fn models(wire: &Wire, endpoint: &Endpoint) -> Result<(Endpoint, Value), Fault> {
    if !endpoint.has_path() {
        let with_version = endpoint.with_path("/v1");
        match wire.get(with_version.join("/models")).await {
            Ok(list) if list["data"].is_array() => return Ok((with_version, list)),
            Ok(_) => {}
            Err(fault) if fault.status() == Some(404) => {}
            Err(fault) => return Err(fault),
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

async fn loaded_model(wire: &Wire, base: &Endpoint) -> Option<String> {
    let list = wire.get(base.with_path("/").join("/api/v0/models")).await.ok()?;
    let loaded = list["data"]
        .as_array()?
        .iter()
        .find(|entry| entry["state"] == "loaded" && matches!(entry["type"].as_str(), Some("llm" | "vlm")));
    loaded?["id"].as_str().map(ToOwned::to_owned)
}

async fn slots(wire: &Wire, base: &Endpoint) -> Option<usize> {
    let props = wire.get(base.with_path("/").join("/props")).await.ok()?;
    let slots = props["total_slots"]
        .as_u64()
        .and_then(|slots| usize::try_from(slots).ok());
    slots.filter(|slots| (1..=64).contains(slots))
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
