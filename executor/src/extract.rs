//! Finds the item in what a model wrote: the last complete JSON object that passes the schema.
//!
//! Thoughts, fences and chatter are cut away. What was cut off by the server is never repaired: a
//! title that ends in the middle would look like content. Nor is an object taken from inside one
//! that was cut off, or that is not valid.

use serde_json::Value;

use crate::rejection::{Class, Rejection};
use crate::schema::Check;

/// Larger answers are not looked at; no item is a tenth of it.
pub const LONGEST: usize = 1 << 20;

/// Braces that begin no object, before the search ends: bounds the work on a hostile answer.
const FALSE_STARTS: usize = 1000;

/// What came back from a generator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub content: String,
    /// What the server put into its field for thoughts. Some put the whole answer there.
    pub reasoning: String,
    /// The server says that the answer reached its token limit.
    pub cut_off: bool,
}

/// The item, or why there is none.
pub fn item(answer: &Answer, check: &Check) -> Result<Value, Rejection> {
    let content = without_thoughts(&answer.content);
    let in_content = search(content, check);
    if let Some(Ok(item)) = in_content.verdict {
        return Ok(item);
    }
    if content.trim().is_empty()
        && let Some(Ok(item)) = search(&answer.reasoning, check).verdict
    {
        return Ok(item);
    }
    Err(why_not(answer, content, in_content))
}

fn why_not(answer: &Answer, content: &str, found: Found) -> Rejection {
    match found.verdict {
        _ if answer.cut_off || found.open => {
            Rejection::new(Class::Truncated, "the answer was cut off before its end")
        }
        Some(Err(problem)) => Rejection::new(Class::Schema, problem),
        _ if content.trim().is_empty() => Rejection::new(Class::Empty, "the answer is empty"),
        _ => Rejection::new(
            Class::NotJson,
            format!("there is no JSON object in the answer: {}", excerpt(content)),
        ),
    }
}

fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(80) {
        Some((at, _)) => format!("\"{}…\"", &line[..at]),
        None => format!("\"{line}\""),
    }
}

/// The text after the last thought, and before one that never ends.
fn without_thoughts(text: &str) -> &str {
    const MARKS: [(&str, &str); 2] = [("<think>", "</think>"), ("<thinking>", "</thinking>")];
    let mut rest = text;
    for (open, close) in MARKS {
        if let Some(at) = rest.rfind(close) {
            rest = &rest[at + close.len()..];
        }
        if let Some(at) = rest.find(open) {
            rest = &rest[..at];
        }
    }
    rest
}

#[derive(Default)]
struct Found {
    /// The last object that passed, else what was wrong with the last one.
    verdict: Option<Result<Value, String>>,
    /// The text ends inside of an object.
    open: bool,
}

fn search(text: &str, check: &Check) -> Found {
    let mut found = Found::default();
    let (mut at, mut false_starts) = (0, 0);
    while text.len() <= LONGEST
        && false_starts < FALSE_STARTS
        && let Some(offset) = text[at..].find('{')
    {
        at += offset;
        match object_at(&text[at..]) {
            Parsed::Object(object, length) => {
                found.note(object, check);
                at += length;
            }
            Parsed::CutOff => {
                found.open = true;
                return found;
            }
            // A part of what should have been the item is no item.
            Parsed::Invalid(length) => {
                false_starts += 1;
                at += length;
            }
            Parsed::Nothing => {
                false_starts += 1;
                at += 1;
            }
        }
    }
    found
}

impl Found {
    fn note(&mut self, object: Value, check: &Check) {
        match check.problem(&object) {
            None => self.verdict = Some(Ok(object)),
            Some(problem) if !matches!(self.verdict, Some(Ok(_))) => self.verdict = Some(Err(problem)),
            Some(_) => {}
        }
    }
}

enum Parsed {
    Object(Value, usize),
    CutOff,
    /// It begins like an object and is none, up to where its braces close.
    Invalid(usize),
    /// A brace in running text.
    Nothing,
}

/// The object that begins here. The parser's depth limit keeps hostile nesting cheap.
fn object_at(text: &str) -> Parsed {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match stream.next() {
        Some(Ok(object)) => Parsed::Object(object, stream.byte_offset().max(1)),
        Some(Err(error)) if error.is_eof() => Parsed::CutOff,
        _ if begins_with_a_key(&text[1..]) => Parsed::Invalid(length_of_braces(text)),
        _ => Parsed::Nothing,
    }
}

/// `"title"`, `'title'` or `title:`, as models write keys.
fn begins_with_a_key(text: &str) -> bool {
    let text = text.trim_start();
    let name = text.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
    text.starts_with(['"', '\'']) || (name.len() < text.len() && name.trim_start().starts_with(':'))
}

/// Up to where the first brace is closed, or to the end.
fn length_of_braces(text: &str) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.bytes().enumerate() {
        match c {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
#[path = "extract_tests.rs"]
mod tests;
