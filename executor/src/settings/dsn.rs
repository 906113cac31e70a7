//! Takes a PostgreSQL connection string apart into its parameters, and puts it together again.
//! Both of libpq's forms: a `postgres://` URL, and `key=value` pairs with quotes.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// A connection string whose parameters can be looked at and taken out.
#[derive(Debug)]
pub struct Pairs {
    /// The URL up to its `?`; None in the `key=value` form.
    base: Option<String>,
    /// Decoded values.
    pairs: Vec<(String, String)>,
}

/// None when `text` is in neither form.
pub fn split(text: &str) -> Option<Pairs> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let pairs = query.split('&').filter(|part| !part.is_empty()).map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decoded(key), decoded(value))
        });
        return Some(Pairs {
            base: Some(base.to_owned()),
            pairs: pairs.collect(),
        });
    }
    let pairs = key_values(text)?;
    (!pairs.is_empty()).then_some(Pairs { base: None, pairs })
}

impl Pairs {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(name, _)| name.as_str())
    }

    pub fn take(&mut self, key: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(name, _)| name == key)?;
        Some(self.pairs.remove(at).1)
    }

    /// The password as it stands in the URL, escapes included.
    pub fn raw_password(&self) -> Option<&str> {
        let authority = self.base.as_deref()?.split_once("://")?.1;
        let user_info = &authority[..authority.rfind('@')?];
        user_info.split_once(':').map(|(_, password)| password)
    }

    /// A connection string again, without what was taken out.
    pub fn join(&self) -> String {
        let Some(base) = &self.base else {
            let quote = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
            let pairs = self
                .pairs
                .iter()
                .map(|(key, value)| format!("{key}='{}'", quote(value)));
            return pairs.collect::<Vec<_>>().join(" ");
        };
        let pairs = self
            .pairs
            .iter()
            .map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        match pairs.collect::<Vec<_>>().join("&") {
            query if query.is_empty() => base.clone(),
            query => format!("{base}?{query}"),
        }
    }
}

fn key_values(text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, tail) = rest.split_once('=')?;
        let key = key.trim_end();
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return None;
        }
        let (value, tail) = value_of(tail.trim_start())?;
        pairs.push((key.to_owned(), value));
        rest = tail.trim_start();
    }
    Some(pairs)
}

/// One value and what follows it: quoted with `'`, or up to white space; `\` escapes in both.
fn value_of(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            '\'' if quoted => return Some((value, &text[at + 1..])),
            c if !quoted && c.is_whitespace() => return Some((value, &text[at..])),
            c => value.push(c),
        }
    }
    (!quoted).then_some((value, ""))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_taken_parameter_is_gone_from_the_joined_string() {
        let mut pairs = split("postgres://u@h/d?sslmode=require&options=-c%20x%3D1").unwrap();
        assert_eq!(pairs.take("sslmode").as_deref(), Some("require"));
        assert_eq!(pairs.join(), "postgres://u@h/d?options=%2Dc%20x%3D1");
    }

    #[test]
    fn what_is_no_connection_string_is_refused() {
        for text in ["", "db", "mysql://x", "host='open", "a b=c"] {
            assert!(split(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_without_panic(text in ".{0,60}") {
            if let Some(pairs) = split(&text) { let _ = (pairs.join(), pairs.raw_password().map(str::len)); }
            let _ = split(&format!("postgres://{text}"));
        }

        #[test]
        fn values_survive_both_forms(value in "[^\u{0}]{0,20}") {
            let text = format!("postgres://h/d?options={}", utf8_percent_encode(&value, NON_ALPHANUMERIC));
            prop_assert_eq!(split(&text).unwrap().take("options"), Some(value.clone()));
            let pairs = Pairs { base: None, pairs: vec![("options".into(), value.clone())] };
            prop_assert_eq!(split(&pairs.join()).unwrap().take("options"), Some(value));
        }
    }
}
