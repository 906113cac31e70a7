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
mod tests {
    use super::*;
    use crate::schema::Schemas;
    use proptest::prelude::*;
    use serde_json::json;

    fn check() -> Check {
        let schema = json!({"type": "object", "required": ["title"], "additionalProperties": false,
                            "properties": {"title": {"type": "string", "minLength": 1}}});
        Schemas::default().check_for(&schema).unwrap()
    }

    fn of(content: &str) -> Result<Value, Class> {
        let answer = Answer {
            content: content.into(),
            ..Answer::default()
        };
        item(&answer, &check()).map_err(|rejection| rejection.class)
    }

    #[test]
    fn thoughts_fences_and_chatter_are_cut_away() {
        let item = json!({"title": "A {curly} tale"});
        for text in [
            r#"{"title": "A {curly} tale"}"#,
            "```json\n{\"title\": \"A {curly} tale\"}\n```",
            "Sure! Here it is:\n{\"title\": \"A {curly} tale\"}\nEnjoy {it}!",
            "<think>maybe {\"title\": \"no\"}?</think>{\"title\": \"A {curly} tale\"}",
            "so {\"title\": \"no\"}…</think>\n\n{\"title\": \"A {curly} tale\"}",
            "{\"title\": \"draft\"} or better: {\"title\": \"A {curly} tale\"}",
            "{\"title\": \"A {curly} tale\"} and {\"not\": \"this\"}",
        ] {
            assert_eq!(of(text).as_ref(), Ok(&item), "{text}");
        }
    }

    #[test]
    fn what_is_missing_has_a_class() {
        assert_eq!(of(""), Err(Class::Empty));
        assert_eq!(of("  \n"), Err(Class::Empty));
        assert_eq!(of("<think>{\"title\": \"x\"}"), Err(Class::Empty));
        assert_eq!(of("I cannot do that."), Err(Class::NotJson));
        assert_eq!(of("{\"title\": 7}"), Err(Class::Schema));
        assert_eq!(of("{\"title\": \"cut o"), Err(Class::Truncated));
        assert_eq!(of("[\"title\"]"), Err(Class::NotJson));
        assert_eq!(of("{\"title\": \"\\ud800\"}"), Err(Class::NotJson));
    }

    #[test]
    fn nothing_is_taken_from_inside_of_a_cut_off_object() {
        assert_eq!(
            of("{\"quest\": {\"title\": \"inner\"}, \"more\": \"cut"),
            Err(Class::Truncated)
        );
    }

    #[test]
    fn nothing_is_taken_from_inside_of_an_object_that_is_not_valid() {
        for text in [
            "{\"quest\": {\"title\": \"inner\"}, oops}",
            "{quest: {\"title\": \"inner\"}}",
            "{'quest': {\"title\": \"inner\"}}",
            "{\"quest\": {\"title\": \"inner\"}, \"b\": 'x'",
        ] {
            assert_eq!(of(text), Err(Class::NotJson), "{text}");
        }
        let corrected = "{title: oops} I mean {\"title\": \"x\"} {it}";
        assert_eq!(of(corrected), Ok(json!({"title": "x"})));
    }

    #[test]
    fn the_reasoning_field_counts_only_when_the_content_is_empty() {
        let reasoning = "hm {\"title\": \"from thoughts\"}".to_owned();
        let answer = Answer {
            content: " ".into(),
            reasoning: reasoning.clone(),
            cut_off: false,
        };
        assert_eq!(item(&answer, &check()), Ok(json!({"title": "from thoughts"})));
        let answer = Answer {
            content: "no".into(),
            reasoning,
            cut_off: false,
        };
        assert_eq!(item(&answer, &check()).unwrap_err().class, Class::NotJson);
    }

    #[test]
    fn a_complete_object_counts_even_if_the_rest_was_cut_off() {
        let answer = Answer {
            content: "{\"title\": \"whole\"}  ".into(),
            cut_off: true,
            ..Answer::default()
        };
        assert!(item(&answer, &check()).is_ok());
        let answer = Answer {
            content: "{\"title\": 1} and".into(),
            cut_off: true,
            ..Answer::default()
        };
        assert_eq!(item(&answer, &check()).unwrap_err().class, Class::Truncated);
    }

    /// Each of these would take hours if every brace were tried to its end.
    #[test]
    fn hostile_nesting_comes_to_an_end() {
        for (text, class) in [
            ("{\"a\":".repeat(LONGEST / 5), Class::NotJson),
            ("{".repeat(LONGEST), Class::NotJson),
            ("{\"a\":[".repeat(LONGEST / 6), Class::NotJson),
        ] {
            assert_eq!(of(&text), Err(class), "{}…", &text[..6]);
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_never_passes(text in "[{}\\[\\]\"a-z:,0-9 <>/`\\\\]{0,200}") {
            if let Ok(found) = of(&text) { prop_assert!(found["title"].is_string()); }
        }

        #[test]
        fn an_item_is_found_between_any_chatter(before in "[a-zA-Z \n.!`]{0,80}", after in "[a-zA-Z \n.!`}]{0,80}",
                                                title in "[^\u{0}]{1,40}") {
            let text = format!("{before}{}{after}", json!({"title": title}));
            prop_assert_eq!(of(&text), Ok(json!({"title": title})));
        }

        #[test]
        fn an_item_cut_off_anywhere_is_never_taken(title in "[a-z {}\"]{1,30}", part in 0.0f64..1.0) {
            let whole = json!({"title": title}).to_string();
            let cut = (whole.len() as f64 * part) as usize;
            prop_assume!(whole.is_char_boundary(cut));
            prop_assert!(of(&whole[..cut]).is_err());
        }
    }
}
