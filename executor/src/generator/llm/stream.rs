//! Puts a streamed answer together: server-sent events with one JSON chunk each, or, from servers
//! that do not stream, one JSON object. Bounded in size, whatever the server sends.

use serde_json::Value;

use super::said::Said;
use crate::extract::{Answer, LONGEST};

/// Far more than any item; with the wrapping of each token about thirty times its text.
const LONGEST_BODY: usize = 48 << 20;
const LONGEST_LINE: usize = 4 << 20;
/// Some models fall into writing nothing but spaces until their tokens are spent.
const LONGEST_BLANK: usize = 1000;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Spoiled {
    #[error("the answer is longer than {LONGEST} bytes")]
    TooLong,
    #[error("the answer is a run of white space")]
    Blank,
    #[error("the answer is no stream of events")]
    NoStream,
    /// An error after HTTP 200.
    #[error("{0}")]
    Said(Box<Said>),
}

#[derive(Debug, Default)]
pub struct Collected {
    pub answer: Answer,
    pub model: Option<String>,
    pub prompt_tokens: Option<i64>,
    pub completion_tokens: Option<i64>,
    /// The server said that it was done; else the connection ended in the middle.
    pub finished: bool,
}

#[derive(Debug, Default)]
pub struct Collector {
    pub collected: Collected,
    buffer: Vec<u8>,
    received: usize,
    blank: usize,
}

impl Collector {
    /// Takes more bytes; true when there was text among them.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool, Spoiled> {
        self.received += bytes.len();
        self.buffer.extend_from_slice(bytes);
        if self.received > LONGEST_BODY {
            return Err(Spoiled::TooLong);
        }
        let mut grown = false;
        let mut begin = 0;
        while let Some(length) = self.buffer[begin..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.buffer[begin..begin + length]).into_owned();
            begin += length + 1;
            grown |= self.line(line.trim())?;
        }
        self.buffer.drain(..begin);
        if self.buffer.len() > LONGEST_LINE {
            Err(Spoiled::TooLong)
        } else {
            Ok(grown)
        }
    }

    /// The end of the body: what is left may be an answer that was not streamed.
    pub fn end(mut self) -> Result<Collected, Spoiled> {
        let rest = std::mem::take(&mut self.buffer);
        self.line(String::from_utf8_lossy(&rest).trim())?;
        Ok(self.collected)
    }

    /// A body that is no stream but one JSON object, however it is laid out.
    pub fn whole(body: &[u8]) -> Result<Collected, Spoiled> {
        let mut collector = Self::default();
        collector.chunk(&serde_json::from_slice(body).map_err(|_| Spoiled::NoStream)?)?;
        Ok(collector.collected)
    }

    fn line(&mut self, line: &str) -> Result<bool, Spoiled> {
        let data = match line.strip_prefix("data:") {
            Some(data) => data.trim_start(),
            // A bare object is an error, or an answer from a server that mislabels its body.
            None if line.starts_with('{') => line,
            // Comments and other fields of the protocol.
            None => return Ok(false),
        };
        if data == "[DONE]" {
            self.collected.finished = true;
            return Ok(false);
        }
        let chunk: Value = serde_json::from_str(data).map_err(|_| Spoiled::NoStream)?;
        self.chunk(&chunk)
    }

    fn chunk(&mut self, chunk: &Value) -> Result<bool, Spoiled> {
        if let Some(said) = Said::read(chunk) {
            return Err(Spoiled::Said(Box::new(said)));
        }
        let collected = &mut self.collected;
        if let Some(model) = chunk["model"].as_str() {
            collected.model = Some(model.to_owned());
        }
        collected.prompt_tokens = chunk["usage"]["prompt_tokens"]
            .as_i64()
            .or(collected.prompt_tokens);
        collected.completion_tokens = chunk["usage"]["completion_tokens"]
            .as_i64()
            .or(collected.completion_tokens);
        let choice = &chunk["choices"][0];
        if let Some(reason) = choice["finish_reason"].as_str() {
            collected.finished = true;
            collected.answer.cut_off = reason == "length";
        }
        let delta = if choice["delta"].is_object() {
            &choice["delta"]
        } else {
            &choice["message"]
        };
        self.grow(delta)
    }

    fn grow(&mut self, delta: &Value) -> Result<bool, Spoiled> {
        let answer = &mut self.collected.answer;
        let content = delta["content"].as_str().unwrap_or_default();
        let thought = ["reasoning_content", "reasoning"]
            .iter()
            .find_map(|field| delta[field].as_str());
        let thought = thought.unwrap_or_default();
        answer.content.push_str(content);
        answer.reasoning.push_str(thought);
        let spaces = content.chars().rev().take_while(|c| c.is_whitespace()).count();
        self.blank = if spaces == content.chars().count() {
            self.blank + spaces
        } else {
            spaces
        };
        if self.blank > LONGEST_BLANK {
            return Err(Spoiled::Blank);
        }
        if answer.content.len() + answer.reasoning.len() > LONGEST {
            return Err(Spoiled::TooLong);
        }
        Ok(!content.is_empty() || !thought.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &str = "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\r\n\r\n\
        : a comment\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"{\\\"tïtle\\\"\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\":1}\",\"reasoning_content\":\"hm\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9}}\n\ndata: [DONE]\n\n";

    #[test]
    fn an_answer_in_any_pieces_is_the_same() {
        for size in 1..80 {
            let mut collector = Collector::default();
            for piece in STREAM.as_bytes().chunks(size) {
                collector.feed(piece).unwrap();
            }
            let collected = collector.end().unwrap();
            assert_eq!(collected.answer.content, "{\"tïtle\":1}");
            assert_eq!(collected.answer.reasoning, "hm");
            assert_eq!(
                (collected.prompt_tokens, collected.completion_tokens),
                (Some(7), Some(9))
            );
            assert!(collected.finished && !collected.answer.cut_off);
        }
    }

    #[test]
    fn an_answer_that_was_not_streamed_counts_too() {
        let mut collector = Collector::default();
        collector
            .feed(br#"{"model":"m","choices":[{"message":{"content":"{}"},"finish_reason":"length"}]}"#)
            .unwrap();
        let collected = collector.end().unwrap();
        assert_eq!(collected.answer.content, "{}");
        assert!(collected.answer.cut_off && collected.finished);
        let laid_out = b"{\n \"choices\": [\n {\"message\": {\"content\": \"x\"}}]\n}";
        assert_eq!(Collector::whole(laid_out).unwrap().answer.content, "x");
    }

    #[test]
    fn errors_after_200_are_errors() {
        for body in [
            r#"{"error":"no model"}"#,
            "data: {\"error\":{\"message\":\"no model\"}}\n\n",
        ] {
            let mut collector = Collector::default();
            let spoiled = collector
                .feed(body.as_bytes())
                .err()
                .or_else(|| collector.end().err());
            assert!(matches!(spoiled, Some(Spoiled::Said(said)) if said.message == "no model"));
        }
        let mut collector = Collector::default();
        assert_eq!(collector.feed(b"data: nonsense\n"), Err(Spoiled::NoStream));
    }

    #[test]
    fn endless_answers_end() {
        let chunk =
            |text: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n");
        let until_spoiled = |text: &str| {
            let mut collector = Collector::default();
            (0..100_000).find_map(|_| collector.feed(chunk(text).as_bytes()).err())
        };
        assert_eq!(until_spoiled(" "), Some(Spoiled::Blank));
        assert_eq!(until_spoiled(&"x".repeat(2000)), Some(Spoiled::TooLong));
        assert_eq!(until_spoiled("ab"), None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut collector = Collector::default();
            if collector.feed(&bytes).is_ok() { let _ = collector.end(); }
        }
    }
}
