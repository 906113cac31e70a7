//! The one place where words of an error are read: what some servers say in prose only.

use super::said::Meaning;

/// Parts of messages, in lower case, with the servers that say them.
const TOLD_IN_WORDS: [(&str, Meaning); 6] = [
    // llama-server and LM Studio, to all requests in flight, when the cache that they share is full
    // (ggml-org/llama.cpp#23652, lmstudio-bug-tracker#1628); HTTP 500, 400, or 200 with an error.
    ("context size has been exceeded", Meaning::ContextFull),
    // llama-server before `exceed_context_size_error` (ggml-org/llama.cpp#15780).
    ("exceeds the available context size", Meaning::ContextFull),
    // LM Studio, for a prompt that is too long for the context that the model is loaded with.
    ("greater than the context length", Meaning::ContextFull),
    ("context length of only", Meaning::ContextFull),
    // vLLM and what follows OpenAI's text without its code `context_length_exceeded`.
    ("maximum context length is", Meaning::ContextFull),
    // LM Studio, HTTP 404 (lmstudio.ai/docs: no model, and loading on demand is switched off).
    ("no models loaded", Meaning::NoModel),
];

pub fn meaning(message: &str) -> Option<Meaning> {
    let message = message.to_lowercase();
    let known = TOLD_IN_WORDS.iter().find(|(words, _)| message.contains(words));
    known.map(|(_, meaning)| *meaning)
}
