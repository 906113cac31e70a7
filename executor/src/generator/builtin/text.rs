//! The placeholders inside a grammar's strings.
//!
//! `{rule}`, `{=variable}`, `{name:rule}` (expanded once and remembered), `{:name}` (repeated), and
//! `^` before a rule or `:name` for a capital first letter.

use super::GrammarError;

#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Literal(&'a str),
    Variable(&'a str),
    Rule {
        rule: &'a str,
        remember: Option<&'a str>,
        capital: bool,
    },
    Remembered {
        name: &'a str,
        capital: bool,
    },
}

/// The pieces of a string in order.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, GrammarError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let close = rest[open..]
            .find('}')
            .ok_or_else(|| GrammarError::Unclosed(text.to_owned()))?
            + open;
        if open > 0 {
            pieces.push(Piece::Literal(&rest[..open]));
        }
        pieces.push(placeholder(&rest[open + 1..close]));
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest));
    }
    Ok(pieces)
}

fn placeholder(inner: &str) -> Piece<'_> {
    if let Some(name) = inner.strip_prefix('=') {
        return Piece::Variable(name);
    }
    let (capital, inner) = match inner.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, inner),
    };
    match inner.split_once(':') {
        Some(("", name)) => Piece::Remembered { name, capital },
        Some((name, rule)) => Piece::Rule {
            rule,
            remember: Some(name),
            capital,
        },
        None => Piece::Rule {
            rule: inner,
            remember: None,
            capital,
        },
    }
}

pub fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_told_apart() {
        let found = pieces("The {^adj} {who:first} of {=place}, {:who}{^:who}").unwrap();
        let rule = |rule, remember, capital| Piece::Rule {
            rule,
            remember,
            capital,
        };
        assert_eq!(
            found,
            [
                Piece::Literal("The "),
                rule("adj", None, true),
                Piece::Literal(" "),
                rule("first", Some("who"), false),
                Piece::Literal(" of "),
                Piece::Variable("place"),
                Piece::Literal(", "),
                Piece::Remembered {
                    name: "who",
                    capital: false
                },
                Piece::Remembered {
                    name: "who",
                    capital: true
                },
            ]
        );
        assert!(matches!(pieces("open {rule"), Err(GrammarError::Unclosed(_))));
        assert_eq!(capitalised("österreich"), "Österreich");
    }
}
