//! Keeps passwords and keys out of everything that a person or another program may read.
//!
//! Each secret is registered once, when the settings are read. Every log line, error, doctor line,
//! health answer and text for the database then passes through [`clean`], so that a secret which
//! some library puts into its error message does not get out either.

use std::fmt;
use std::io::{self, Write};
use std::sync::{PoisonError, RwLock};

const MASK: &str = "***";
/// Shorter secrets, and short ones of letters alone, may be ordinary words: "postgres" would mask half the log.
/// They are masked only where a secret stands.
const SHORTEST: usize = 8;
const SHORTEST_OF_LETTERS: usize = 16;
/// What stands before a secret, in lower case, with blanks, quotes, `=` and `:` in between.
const BEFORE_A_SECRET: [&str; 7] = ["password", "passwd", "pwd", "bearer", "key", "token", "secret"];

static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());
/// Names that everybody may read: whoever takes one for a password does not hide it by that.
static NAMES: RwLock<Vec<String>> = RwLock::new(Vec::new());

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
    if text.is_empty() {
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

/// `name` (of a user, of a database) is told to people, also where a password is the same.
pub fn keep_name(name: &str) {
    let mut names = NAMES.write().unwrap_or_else(PoisonError::into_inner);
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

/// `text` without any registered secret and without passwords in URLs.
pub fn clean(text: &str) -> String {
    let mut text = mask_urls(text);
    let names = NAMES.read().unwrap_or_else(PoisonError::into_inner);
    for secret in SECRETS.read().unwrap_or_else(PoisonError::into_inner).iter() {
        if text.contains(secret.as_str()) {
            text = if is_like_a_word(secret) || names.contains(secret) {
                mask_in_place(&text, secret)
            } else {
                text.replace(secret.as_str(), MASK)
            };
        }
    }
    text
}

fn is_like_a_word(secret: &str) -> bool {
    let length = secret.chars().count();
    length < SHORTEST || length < SHORTEST_OF_LETTERS && secret.chars().all(char::is_alphabetic)
}

/// Masks `secret` where a secret stands: as a whole word behind "password=", "Bearer" and the like.
fn mask_in_place(text: &str, secret: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let (before, behind) = (&rest[..at], &rest[at + secret.len()..]);
        out.push_str(before);
        let head = out.trim_end_matches(|c: char| c.is_whitespace() || "=:\"'".contains(c));
        let separated = head.len() < out.len();
        let head = head.to_lowercase();
        let announced = separated && BEFORE_A_SECRET.iter().any(|word| head.ends_with(word));
        let ends = !behind.starts_with(|c: char| c.is_alphanumeric());
        out.push_str(if announced && ends { MASK } else { secret });
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// `scheme://user:password@host` becomes `scheme://user:***@host`, for secrets nobody registered. In front of
/// a web address there may be a key instead of a user: nothing of that is shown.
fn mask_urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let web = head.ends_with("http://") || head.ends_with("https://");
        let end = tail
            .find(|c: char| c.is_whitespace() || "/'\"`<>".contains(c))
            .unwrap_or(tail.len());
        let authority = &tail[..end];
        match (authority.find(':'), authority.rfind('@')) {
            (_, Some(at)) if web => {
                out.push_str(MASK);
                out.push_str(&authority[at..]);
            }
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
            "http://***@c/d and http://plain:80/x"
        );
        assert_eq!(clean("postgres://u:p@ss@host/db"), "postgres://u:***@host/db");
    }

    #[test]
    fn a_key_before_a_web_address_is_masked_too() {
        assert_eq!(
            clean("POST https://sk-key@host/v1 failed"),
            "POST https://***@host/v1 failed"
        );
    }

    #[test]
    fn a_password_that_is_a_word_is_masked_only_where_a_password_stands() {
        for word in ["postgres", "llama", "wonderful"] {
            keep_secret(word);
            let told = format!("database \"{word}\", user \"{word}\" and a {word} model");
            assert_eq!(clean(&told), told);
            assert_eq!(
                clean(&format!("host=h password={word} x")),
                "host=h password=*** x"
            );
            assert_eq!(
                clean(&format!("password '{word}', key: {word}")),
                "password '***', key: ***"
            );
            assert_eq!(
                clean(&format!("Authorization: Bearer {word}")),
                "Authorization: Bearer ***"
            );
        }
        keep_secret("keeper-of-2024");
        assert_eq!(clean("user keeper-of-2024"), "user ***");
        keep_name("keeper-of-2024");
        assert_eq!(clean("user keeper-of-2024"), "user keeper-of-2024");
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        assert_eq!(clean("a: b @ c :// d"), "a: b @ c :// d");
    }
}
