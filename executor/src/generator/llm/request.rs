//! The body of a chat request.

use serde_json::{Map, Value, json};

use super::manners::{Form, Manners, Thinking};
use crate::generator::Ask;

const PLAIN_PARAMETERS: [&str; 6] = [
    "temperature",
    "top_p",
    "max_tokens",
    "presence_penalty",
    "frequency_penalty",
    "stop",
];
/// These are ours to set; an override of a kind must not break the protocol.
const RESERVED: [&str; 5] = ["model", "messages", "stream", "stream_options", "response_format"];
const MOST_TOKENS: i64 = 32_768;

pub fn body(ask: &Ask, model: &str, manners: Manners) -> Value {
    let mut body = Map::new();
    for (name, value) in ask.sampling.as_object().into_iter().flatten() {
        let plain = PLAIN_PARAMETERS.contains(&name.as_str());
        if !RESERVED.contains(&name.as_str()) && (plain || !manners.plain) {
            body.insert(name.clone(), value.clone());
        }
    }
    if let Some(tokens) = body.get("max_tokens").and_then(Value::as_i64) {
        let more = tokens
            .saturating_mul(i64::from(ask.room))
            .clamp(tokens, MOST_TOKENS.max(tokens));
        body.insert("max_tokens".into(), more.into());
    }
    body.insert("model".into(), model.into());
    body.insert("messages".into(), messages(ask, manners));
    // A client that goes away frees the server's slot only when it was streaming.
    body.insert("stream".into(), true.into());
    if manners.usage {
        body.insert("stream_options".into(), json!({"include_usage": true}));
    }
    // Some servers keep seeds in 32 bits and refuse more.
    body.insert("seed".into(), (ask.seed & 0x7fff_ffff).into());
    if !manners.seed {
        body.remove("seed");
    }
    if let Some(format) = response_format(ask, manners) {
        body.insert("response_format".into(), format);
    }
    match manners.thinking {
        Thinking::Off => {
            body.insert("reasoning_effort".into(), "none".into());
            body.insert("chat_template_kwargs".into(), json!({"enable_thinking": false}));
        }
        Thinking::Little => {
            body.insert("reasoning_effort".into(), "low".into());
        }
        Thinking::Free | Thinking::Untold => {}
    }
    Value::Object(body)
}

/// The smallest request for text: does the model write at all?
pub fn probe(model: &str) -> Value {
    json!({"model": model, "stream": true, "max_tokens": 1,
           "messages": [{"role": "user", "content": "Answer with one word: ready?"}]})
}

fn messages(ask: &Ask, manners: Manners) -> Value {
    let mut messages = ask.messages.clone();
    // Without a schema on the wire the model has to read it.
    if manners.form != Form::Schema
        && !ask.schema.is_null()
        && let Some(last) = messages.iter_mut().rev().find(|message| message.role == "user")
    {
        let schema = &ask.schema;
        last.content.push_str(&format!(
            "\n\nAnswer with one JSON object that fits this JSON Schema:\n{schema}"
        ));
    }
    json!(messages)
}

/// The nested form of OpenAI: a flat one makes llama-server answer `{}`.
fn response_format(ask: &Ask, manners: Manners) -> Option<Value> {
    match manners.form {
        Form::Text => None,
        Form::Object => Some(json!({"type": "json_object"})),
        Form::Schema if ask.schema.is_null() => None,
        Form::Schema => Some(json!({
            "type": "json_schema",
            "json_schema": {"name": "item", "strict": true, "schema": ask.schema}
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::Message;

    fn ask() -> Ask {
        Ask {
            messages: vec![Message {
                role: "user".into(),
                content: "Write.".into(),
            }],
            schema: json!({"type": "object"}),
            sampling: json!({"temperature": 1.0, "min_p": 0.05, "max_tokens": 900, "stream": false}),
            model: None,
            seed: -5,
            grammar: Value::Null,
            context: Value::Null,
            room: 2,
        }
    }

    #[test]
    fn the_full_request() {
        let body = body(&ask(), "m", Manners::FULL);
        assert_eq!(
            body["response_format"]["json_schema"]["schema"],
            json!({"type": "object"})
        );
        assert_eq!(
            (&body["min_p"], &body["max_tokens"], &body["stream"]),
            (&json!(0.05), &json!(1800), &json!(true))
        );
        assert!(body["seed"].as_i64().unwrap() >= 0);
        assert!(body.get("reasoning_effort").is_none());
    }

    #[test]
    fn without_schema_on_the_wire_it_is_in_the_prompt() {
        let bare = Manners {
            form: Form::Text,
            plain: true,
            seed: false,
            usage: false,
            thinking: Thinking::Off,
        };
        let body = body(&ask(), "m", bare);
        for left_out in ["response_format", "min_p", "seed", "stream_options"] {
            assert!(body.get(left_out).is_none(), "{left_out}");
        }
        assert!(
            body["messages"][0]["content"]
                .as_str()
                .unwrap()
                .contains("JSON Schema")
        );
        assert_eq!(body["chat_template_kwargs"]["enable_thinking"], json!(false));
    }
}
