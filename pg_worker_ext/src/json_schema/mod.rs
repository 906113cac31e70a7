//! `worker.json_schema_errors(schema, value)`: JSON Schema validation of items.
//!
//! Nothing is fetched: a `$ref` may only point into the schema itself. Regular expressions run on
//! an engine whose time grows linearly with the text (no look-around, no back-references), and
//! their compiled size is bounded. What a schema may cost is computed beforehand ([`cost`]), since nobody can interrupt a
//! validation. Compiled schemas are kept per session, a bounded number.

use text::JsonbText;
mod cost;
mod text;

use cost::{Cost, TooMuch};

use jsonschema::{PatternOptions, ValidationError, Validator};
use pgrx::prelude::*;
use serde_json::Value;
use std::cell::RefCell;
use std::rc::Rc;

/// At most so many errors are told.
const ERRORS: usize = 5;
/// An error's text is cut off after so many bytes.
const ERROR_LENGTH: usize = 300;
/// So many compiled schemas are kept.
const CACHE: usize = 16;
/// The longest schema, in bytes of text.
const SCHEMA_LENGTH: usize = 256 * 1024;
/// The largest compiled regular expression, in bytes.
const PATTERN_SIZE: usize = 1 << 20;

thread_local! {
    /// Compiled schemas with their text; the one used last comes first.
    static COMPILED: RefCell<Vec<Compiled>> = const { RefCell::new(Vec::new()) };
}

struct Compiled {
    text: String,
    cost: Cost,
    validator: Rc<Validator>,
}

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
enum SchemaError {
    #[error("it is longer than {SCHEMA_LENGTH} bytes")]
    TooLong,
    #[error("{0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("{0}")]
    TooMuch(#[from] TooMuch),
    #[error("{}", cut(.0.to_string()))]
    Invalid(#[from] ValidationError<'static>),
}

/// The errors that a value has by a JSON Schema, as "path: message": none if it is valid, at most
/// five otherwise. A schema that is none is refused with SQLSTATE 22023.
#[pg_extern(create_or_replace, immutable, strict, parallel_safe)]
fn json_schema_errors(p_schema: JsonbText, p_value: JsonbText) -> Vec<String> {
    let value = match serde_json::from_str::<Value>(&p_value.0) {
        Ok(value) => value,
        Err(cause) => return vec![format!("(root): {cause}")],
    };
    match validator(p_schema.0, cost::depth(&value), p_value.0.len() as u64) {
        Ok(validator) => validator
            .iter_errors(&value)
            .take(ERRORS)
            .map(|error| told(&error))
            .collect(),
        Err(cause) => {
            let message = format!("p_schema is no usable JSON Schema: {cause}");
            ereport!(ERROR, PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message);
        }
    }
}

fn told(error: &ValidationError<'_>) -> String {
    let path = error.instance_path().to_string();
    let place = if path.is_empty() { "(root)" } else { &path };
    cut(format!("{place}: {error}"))
}

/// Error texts repeat the value, which may be long.
fn cut(mut text: String) -> String {
    if text.len() > ERROR_LENGTH {
        text.truncate(text.floor_char_boundary(ERROR_LENGTH));
        text.push('…');
    }
    text
}

/// The schema, compiled, if a value of this depth and size may be validated by it.
fn validator(schema: String, depth: u64, bytes: u64) -> Result<Rc<Validator>, SchemaError> {
    COMPILED.with_borrow_mut(|cache| {
        if let Some(place) = cache.iter().position(|compiled| compiled.text == schema) {
            cache[..=place].rotate_right(1);
        } else {
            let compiled = compile(schema)?;
            cache.truncate(CACHE - 1);
            cache.insert(0, compiled);
        }
        cache[0].cost.allows(depth, bytes)?;
        Ok(Rc::clone(&cache[0].validator))
    })
}

fn compile(text: String) -> Result<Compiled, SchemaError> {
    if text.len() > SCHEMA_LENGTH {
        return Err(SchemaError::TooLong);
    }
    let schema: Value = serde_json::from_str(&text)?;
    let patterns = PatternOptions::regex()
        .size_limit(PATTERN_SIZE)
        .dfa_size_limit(PATTERN_SIZE);
    let options = jsonschema::options().offline().with_pattern_options(patterns);
    let cost = Cost::of(schema.clone())?;
    Ok(Compiled {
        validator: Rc::new(options.build(&schema)?),
        cost,
        text,
    })
}
