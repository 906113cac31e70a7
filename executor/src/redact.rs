//! Keeps passwords and keys out of everything that a person or another program may read.
//!
//! Each secret is registered once, when the settings are read. Every log line, error, doctor line,
//! health answer and text for the database then passes through [`clean`], so that a secret which
//! some library puts into its error message does not get out either.

use std::fmt;
use std::io::{self, Write};
use std::sync::{PoisonError, RwLock};

const MASK: &str = "***";
/// Shorter secrets would mask half of every message; nobody can guess anything from them anyway.
const SHORTEST: usize = 3;

static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// A setting that must never be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        keep_secret(&text);
        Self(text)
    }

    /// The secret itself, for the one place that has to send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Masks `text` from now on, wherever it turns up.
pub fn keep_secret(text: &str) {
    if text.len() < SHORTEST {
        return;
    }
    // In a JSON log line a quote or backslash inside of it looks different.
    let escaped = serde_json::Value::from(text).to_string();
    let escaped = escaped[1..escaped.len() - 1].to_owned();
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    for form in [text.to_owned(), escaped] {
        if !secrets.contains(&form) {
            secrets.push(form);
        }
    }
    // Longest first: a secret that contains another one must not leave its tail behind.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
}

/// `text` without any registered secret and without passwords in URLs.
pub fn clean(text: &str) -> String {
    let mut text = mask_url_passwords(text);
    for secret in SECRETS.read().unwrap_or_else(PoisonError::into_inner).iter() {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), MASK);
        }
    }
    text
}

/// `scheme://user:password@host` becomes `scheme://user:***@host`, for secrets nobody registered.
fn mask_url_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail
            .find(|c: char| c.is_whitespace() || "/'\"`<>".contains(c))
            .unwrap_or(tail.len());
        let authority = &tail[..end];
        match (authority.find(':'), authority.rfind('@')) {
            // The word itself stands in examples of what is allowed.
            (Some(colon), Some(at)) if colon < at && &authority[colon + 1..at] != "password" => {
                out.push_str(&authority[..=colon]);
                out.push_str(MASK);
                out.push_str(&authority[at..]);
            }
            _ => out.push_str(authority),
        }
        rest = &tail[end..];
    }
    out.push_str(rest);
    out
}

/// A log destination that cleans each line before it is written.
pub struct CleanStderr;

impl Write for CleanStderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(clean(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_secrets_are_masked_wherever_they_appear() {
        let secret = Secret::new("sk-very-secret");
        assert_eq!(clean("key sk-very-secret refused"), "key *** refused");
        assert_eq!(format!("{secret:?}"), "***");
    }

    #[test]
    fn a_secret_is_known_in_a_json_line_too() {
        keep_secret("qu\"ote\\d");
        let line = serde_json::json!({"message": "with qu\"ote\\d inside"}).to_string();
        assert_eq!(clean(&line), r#"{"message":"with *** inside"}"#);
    }

    #[test]
    fn a_secret_inside_a_longer_one_leaves_no_tail() {
        keep_secret("tail-ab");
        keep_secret("tail-abcdef");
        assert_eq!(clean("tail-abcdef"), "***");
    }

    #[test]
    fn passwords_in_urls_are_masked_even_when_nobody_registered_them() {
        assert_eq!(
            clean("no answer from postgres://me:pw@db:5432/x"),
            "no answer from postgres://me:***@db:5432/x"
        );
        assert_eq!(
            clean("http://a:b@c/d and http://plain:80/x"),
            "http://a:***@c/d and http://plain:80/x"
        );
        assert_eq!(clean("postgres://u:p@ss@host/db"), "postgres://u:***@host/db");
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        assert_eq!(clean("a: b @ c :// d"), "a: b @ c :// d");
    }
}
