//! A real llama-server with a made model, and the real executor: what the server does, what the
//! executor makes of it, and what stands in the pools afterwards.

mod server;

use serde_json::{Value, json};

/// A request without a schema, for so many tokens whatever the model thinks of it.
fn request(prompt: &str, tokens: u32) -> Value {
    json!({"messages": [{"role": "user", "content": prompt}], "max_tokens": tokens, "ignore_eos": true, "seed": 1})
}
