//! Checks items against their JSON Schema. Model servers obey a schema only in part (number ranges
//! and patterns are silently ignored by the best of them), so every answer is checked in full here.
//!
//! A schema comes with every item and is nearly always one seen before: compiled ones are kept.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Compiled schemas that are kept. Bounds that differ per item make some schemas of one kind differ.
const KEPT: usize = 256;
const ERRORS_SHOWN: usize = 5;
const ERROR_LENGTH: usize = 200;

#[derive(Debug, thiserror::Error)]
#[error("the item's schema is no valid JSON Schema: {0}")]
pub struct SchemaError(String);

/// A compiled schema, or none: then any object will do.
#[derive(Clone)]
pub struct Check(Option<Arc<Validator>>);

#[derive(Default)]
pub struct Schemas {
    compiled: Mutex<HashMap<u64, Check>>,
}

impl Schemas {
    pub fn check_for(&self, schema: &Value) -> Result<Check, SchemaError> {
        let key = fingerprint(schema);
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(check) = compiled.get(&key) {
            return Ok(check.clone());
        }
        let check = compile(schema)?;
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        compiled.insert(key, check.clone());
        Ok(check)
    }
}

/// A number that tells schemas apart.
fn fingerprint(schema: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    schema.to_string().hash(&mut hasher);
    hasher.finish()
}

/// A number for what an item's schema has in common with those of other items of its kind: fields and types,
/// and none of the bounds and choices that differ from item to item.
pub fn shape_of(schema: &Value) -> u64 {
    fingerprint(&shape(schema))
}

fn shape(schema: &Value) -> Value {
    match schema {
        // What is an object is a part of the schema, or a field; all else but the type is a bound.
        Value::Object(map) => map
            .iter()
            .filter(|(name, part)| part.is_object() || *name == "type")
            .map(|(name, part)| (name.clone(), shape(part)))
            .collect(),
        other => other.clone(),
    }
}

fn compile(schema: &Value) -> Result<Check, SchemaError> {
    if schema.is_null() {
        return Ok(Check(None));
    }
    // This regex engine runs in linear time, whatever pattern a user's kind brings.
    let validator = jsonschema::options()
        .with_pattern_options(PatternOptions::regex())
        .build(schema);
    validator
        .map(|validator| Check(Some(Arc::new(validator))))
        .map_err(|error| SchemaError(shorten(&error.to_string())))
}

impl Check {
    /// Everything that is wrong with `item`, in one line for the model and for people. None when good.
    pub fn problem(&self, item: &Value) -> Option<String> {
        if has_nul(item) {
            return Some("a text contains the character U+0000".into());
        }
        let errors: Vec<String> = self
            .0
            .as_ref()?
            .iter_errors(item)
            .take(ERRORS_SHOWN)
            .map(|error| {
                let path = error.instance_path().to_string();
                let path = if path.is_empty() {
                    "(the object)".into()
                } else {
                    path
                };
                format!("{path}: {}", shorten(&error.to_string()))
            })
            .collect();
        (!errors.is_empty()).then(|| errors.join("; "))
    }
}

/// PostgreSQL's jsonb cannot hold this character: better a rejection than a failed statement.
fn has_nul(item: &Value) -> bool {
    match item {
        Value::String(text) => text.contains('\0'),
        Value::Array(list) => list.iter().any(has_nul),
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(ERROR_LENGTH) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_name_the_path_and_are_few_and_short() {
        let schema = json!({"type": "object", "required": ["title"], "properties": {
            "title": {"type": "string", "maxLength": 3},
            "level": {"type": "integer", "maximum": 20}}});
        let check = Schemas::default().check_for(&schema).unwrap();
        let problem = check
            .problem(&json!({"title": "x".repeat(5000), "level": 64}))
            .unwrap();
        assert!(
            problem.contains("/title") && problem.contains("/level"),
            "{problem}"
        );
        assert!(problem.chars().count() < 600, "{problem}");
        assert_eq!(check.problem(&json!({"title": "abc"})), None);
    }

    #[test]
    fn a_schema_that_is_none_is_an_error_and_no_schema_lets_everything_through() {
        let schemas = Schemas::default();
        assert!(schemas.check_for(&json!({"type": 7})).is_err());
        assert_eq!(schemas.check_for(&Value::Null).unwrap().problem(&json!({})), None);
    }

    #[test]
    fn items_of_a_kind_have_one_shape() {
        let of = |field: Value| shape_of(&json!({"properties": {"type": field}, "required": ["type"]}));
        let plain = of(json!({"type": "string"}));
        assert_eq!(of(json!({"type": "string", "enum": ["ruin", "cave"]})), plain);
        assert_eq!(
            of(json!({"type": "string", "maxLength": 7, "const": "x", "description": "y"})),
            plain
        );
        assert_ne!(of(json!({"type": "integer"})), plain);
    }

    #[test]
    fn remote_references_are_not_followed() {
        let schema = json!({"$ref": "http://127.0.0.1:9/schema.json"});
        assert!(Schemas::default().check_for(&schema).is_err());
    }

    #[test]
    fn a_character_that_jsonb_cannot_hold_is_a_problem() {
        let check = Schemas::default().check_for(&Value::Null).unwrap();
        assert!(check.problem(&json!({"a": [{"b": "x\u{0}"}]})).is_some());
    }

    #[test]
    fn the_cache_is_bounded() {
        let schemas = Schemas::default();
        for maximum in 0..2 * KEPT {
            schemas.check_for(&json!({"maximum": maximum})).unwrap();
        }
        assert!(schemas.compiled.lock().unwrap().len() <= KEPT);
    }
}
