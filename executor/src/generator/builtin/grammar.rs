//! A template language made of JSON: an item's template, and rules with alternatives.
//!
//! A template is any JSON. Its strings hold placeholders (see `text`); an object whose only key
//! begins with `$` is a directive: `$int`, `$real`, `$pick`, `$repeat`, `$sample`, `$join`.
//! Numbers in directives may be written as `"{=variable}"`.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::dice::Dice;
use super::text::{Piece, capitalised, pieces};

const DEEPEST: usize = 40;
/// Tries at one element that differs from those before, before a list stays shorter.
const DISTINCT_TRIES: usize = 50;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GrammarError {
    #[error("the kind has no grammar")]
    Missing,
    #[error("unknown rule \"{0}\"")]
    UnknownRule(String),
    #[error("rule \"{0}\" has no alternatives")]
    EmptyRule(String),
    #[error("unknown variable \"{0}\"")]
    UnknownVariable(String),
    #[error("\"{{:{0}}}\" comes before anything was remembered under that name")]
    NotRemembered(String),
    #[error("unknown directive \"{0}\"")]
    UnknownDirective(String),
    #[error("{directive} takes {takes}, not {given}")]
    BadDirective {
        directive: &'static str,
        takes: &'static str,
        given: String,
    },
    #[error("{directive}: {low} is above {high}")]
    Backwards {
        directive: &'static str,
        low: String,
        high: String,
    },
    #[error("{directive}: fewer than {wanted} different ones can be made")]
    TooFew { directive: &'static str, wanted: usize },
    #[error("a placeholder is not closed in \"{0}\"")]
    Unclosed(String),
    #[error("\"{0}\" stands inside of a text and gives a list or an object")]
    NotText(String),
    #[error("rules call each other more than {DEEPEST} levels deep, at \"{0}\"")]
    TooDeep(String),
}

type Made<T> = Result<T, GrammarError>;

pub fn write(grammar: &Value, context: &Value, seed: i64) -> Made<Value> {
    let template = grammar.get("item").ok_or(GrammarError::Missing)?;
    let mut writer = Writer {
        rules: grammar.get("rules").and_then(Value::as_object),
        context: context.as_object(),
        dice: Dice::new(seed),
        remembered: HashMap::new(),
        indexes: Vec::new(),
        depth: 0,
    };
    writer.expand(template)
}

struct Writer<'a> {
    rules: Option<&'a Map<String, Value>>,
    context: Option<&'a Map<String, Value>>,
    dice: Dice,
    remembered: HashMap<&'a str, Value>,
    /// Of the `$repeat`s that we are in, innermost last.
    indexes: Vec<usize>,
    depth: usize,
}

impl<'a> Writer<'a> {
    fn expand(&mut self, template: &'a Value) -> Made<Value> {
        match template {
            Value::String(text) => self.expand_text(text),
            Value::Array(list) => list.iter().map(|part| self.expand(part)).collect(),
            Value::Object(map) => match single_directive(map) {
                Some((name, argument)) => self.directive(name, argument),
                None => map
                    .iter()
                    .map(|(key, part)| Ok((key.clone(), self.expand(part)?)))
                    .collect(),
            },
            plain => Ok(plain.clone()),
        }
    }

    /// A string that is one placeholder gives that value, whatever its type; else all is text.
    fn expand_text(&mut self, text: &'a str) -> Made<Value> {
        let pieces = pieces(text)?;
        if let [only] = pieces.as_slice() {
            return self.piece(only);
        }
        let mut out = String::new();
        for piece in &pieces {
            match self.piece(piece)? {
                Value::String(part) => out.push_str(&part),
                Value::Array(_) | Value::Object(_) => return Err(GrammarError::NotText(text.to_owned())),
                Value::Null => {}
                plain => out.push_str(&plain.to_string()),
            }
        }
        Ok(Value::String(out))
    }

    fn piece(&mut self, piece: &Piece<'a>) -> Made<Value> {
        let (value, capital) = match *piece {
            Piece::Literal(text) => (Value::String(text.to_owned()), false),
            Piece::Variable(name) => (self.variable(name)?, false),
            Piece::Rule {
                rule,
                remember: None,
                capital,
            } => (self.rule(rule)?, capital),
            Piece::Rule {
                rule,
                remember: Some(name),
                capital,
            } => (self.remember(name, rule)?, capital),
            Piece::Remembered { name, capital } => {
                let known = self.remembered.get(name).cloned();
                (
                    known.ok_or_else(|| GrammarError::NotRemembered(name.to_owned()))?,
                    capital,
                )
            }
        };
        Ok(match value {
            Value::String(text) if capital => Value::String(capitalised(&text)),
            other => other,
        })
    }

    fn remember(&mut self, name: &'a str, rule: &'a str) -> Made<Value> {
        if let Some(known) = self.remembered.get(name) {
            return Ok(known.clone());
        }
        let value = self.rule(rule)?;
        self.remembered.insert(name, value.clone());
        Ok(value)
    }

    fn rule(&mut self, name: &'a str) -> Made<Value> {
        let alternatives = self.alternatives(name)?;
        if self.depth >= DEEPEST {
            return Err(GrammarError::TooDeep(name.to_owned()));
        }
        let chosen = &alternatives[self.dice.below(alternatives.len())];
        self.depth += 1;
        let value = self.expand(chosen);
        self.depth -= 1;
        value
    }

    fn alternatives(&self, name: &str) -> Made<&'a [Value]> {
        let rule = self
            .rules
            .and_then(|rules| rules.get(name))
            .and_then(Value::as_array);
        match rule
            .ok_or_else(|| GrammarError::UnknownRule(name.to_owned()))?
            .as_slice()
        {
            [] => Err(GrammarError::EmptyRule(name.to_owned())),
            alternatives => Ok(alternatives),
        }
    }

    fn variable(&self, name: &str) -> Made<Value> {
        if name == "index"
            && let Some(index) = self.indexes.last()
        {
            return Ok(Value::from(*index));
        }
        let value = self.context.and_then(|context| context.get(name)).cloned();
        value.ok_or_else(|| GrammarError::UnknownVariable(name.to_owned()))
    }

    fn directive(&mut self, name: &'a str, argument: &'a Value) -> Made<Value> {
        match name {
            "$int" => {
                let (low, high) = self.range("$int", argument)?;
                Ok(Value::from(
                    self.dice.between(low.ceil() as i64, high.floor() as i64),
                ))
            }
            "$real" => self.real(argument),
            "$pick" => self.pick(argument),
            "$repeat" => self.repeat(argument),
            "$sample" => self.sample(argument),
            "$join" => self.join(argument),
            other => Err(GrammarError::UnknownDirective(other.to_owned())),
        }
    }

    fn real(&mut self, argument: &'a Value) -> Made<Value> {
        let decimals = argument.get(2).and_then(Value::as_i64).unwrap_or(2).clamp(0, 9);
        let (low, high) = self.range("$real", argument)?;
        Ok(Value::from(self.dice.real(low, high, decimals as i32)))
    }

    fn pick(&mut self, argument: &'a Value) -> Made<Value> {
        let bad = || bad("$pick", "a list, or the name of one as \"{=name}\"", argument);
        match argument {
            Value::Array(list) if !list.is_empty() => {
                let chosen = self.dice.below(list.len());
                self.expand(&list[chosen])
            }
            Value::String(text) => match self.expand_text(text)? {
                Value::Array(mut list) if !list.is_empty() => {
                    Ok(list.swap_remove(self.dice.below(list.len())))
                }
                _ => Err(bad()),
            },
            _ => Err(bad()),
        }
    }

    fn repeat(&mut self, argument: &'a Value) -> Made<Value> {
        let takes = "{\"of\": …, \"count\": [least, most]}";
        let template = argument
            .get("of")
            .ok_or_else(|| bad("$repeat", takes, argument))?;
        let (low, count) = self.count("$repeat", argument)?;
        let key = argument.get("distinct_by").and_then(Value::as_str);
        let mut seen = HashSet::new();
        let mut made = Vec::new();
        for index in 1..=count {
            self.indexes.push(index);
            let element = self.fresh(template, key, &mut seen);
            self.indexes.pop();
            match element? {
                Some(element) => made.push(element),
                None if made.len() >= low => break,
                None => {
                    return Err(GrammarError::TooFew {
                        directive: "$repeat",
                        wanted: low,
                    });
                }
            }
        }
        Ok(Value::Array(made))
    }

    /// One more element whose `key` was not seen yet; None when chance does not give one.
    fn fresh(
        &mut self,
        template: &'a Value,
        key: Option<&str>,
        seen: &mut HashSet<String>,
    ) -> Made<Option<Value>> {
        let Some(key) = key else {
            return self.expand(template).map(Some);
        };
        for _ in 0..DISTINCT_TRIES {
            let element = self.expand(template)?;
            let mark = element.get(key).unwrap_or(&element).to_string();
            if seen.insert(mark) {
                return Ok(Some(element));
            }
        }
        Ok(None)
    }

    fn sample(&mut self, argument: &'a Value) -> Made<Value> {
        let takes = "{\"from\": \"rule\", \"count\": [least, most]}";
        let rule = argument
            .get("from")
            .and_then(Value::as_str)
            .ok_or_else(|| bad("$sample", takes, argument))?;
        let mut left: Vec<&'a Value> = self.alternatives(rule)?.iter().collect();
        let (low, count) = self.count("$sample", argument)?;
        if left.len() < low {
            return Err(GrammarError::TooFew {
                directive: "$sample",
                wanted: low,
            });
        }
        let mut made = Vec::new();
        for _ in 0..count.min(left.len()) {
            let chosen = left.swap_remove(self.dice.below(left.len()));
            made.push(self.expand(chosen)?);
        }
        Ok(Value::Array(made))
    }

    fn join(&mut self, argument: &'a Value) -> Made<Value> {
        let parts = argument
            .as_array()
            .ok_or_else(|| bad("$join", "a list of texts", argument))?;
        let mut words = Vec::new();
        for part in parts {
            match self.expand(part)? {
                Value::String(text) if text.is_empty() => {}
                Value::String(text) => words.push(text),
                Value::Array(_) | Value::Object(_) => return Err(GrammarError::NotText(part.to_string())),
                plain => words.push(plain.to_string()),
            }
        }
        Ok(Value::String(words.join(" ")))
    }

    /// `"count": n` or `"count": [least, most]`: the least, and how many it shall be.
    fn count(&mut self, directive: &'static str, argument: &'a Value) -> Made<(usize, usize)> {
        let count = argument.get("count").unwrap_or(&Value::Null);
        let (low, high) = match count {
            Value::Array(_) => self.range(directive, count)?,
            single => {
                let number = self.number(directive, single)?;
                (number, number)
            }
        };
        let drawn = self.dice.between(low as i64, high as i64);
        Ok((low.max(0.0) as usize, usize::try_from(drawn).unwrap_or(0)))
    }

    fn range(&mut self, directive: &'static str, argument: &'a Value) -> Made<(f64, f64)> {
        let [low, high, ..] = argument.as_array().map_or(&[][..], Vec::as_slice) else {
            return Err(bad(directive, "[least, most]", argument));
        };
        let (low, high) = (self.number(directive, low)?, self.number(directive, high)?);
        if low > high {
            return Err(GrammarError::Backwards {
                directive,
                low: low.to_string(),
                high: high.to_string(),
            });
        }
        Ok((low, high))
    }

    fn number(&mut self, directive: &'static str, template: &'a Value) -> Made<f64> {
        let value = self.expand(template)?;
        value
            .as_f64()
            .ok_or_else(|| bad(directive, "numbers, or their names as \"{=name}\"", template))
    }
}

fn single_directive(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (key, argument) = map.iter().next().filter(|_| map.len() == 1)?;
    key.starts_with('$').then_some((key.as_str(), argument))
}

fn bad(directive: &'static str, takes: &'static str, given: &Value) -> GrammarError {
    GrammarError::BadDirective {
        directive,
        takes,
        given: given.to_string(),
    }
}

#[cfg(test)]
#[path = "grammar_tests.rs"]
mod tests;
