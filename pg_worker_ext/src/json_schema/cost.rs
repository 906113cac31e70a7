//! What a JSON Schema may cost, computed before anything is validated by it: nobody can interrupt a validation.
//!
//! A validator visits each part of a schema once for each value that it applies to. `allOf`, `anyOf`, `$ref` and their like
//! apply to the same value, so that a few hundred bytes can ask for more visits than there are atoms. The visits
//! are counted here, by place in the schema and depth of the value, each once.

use serde_json::Value;
use std::collections::HashMap;
use std::rc::Rc;

/// So many visits, by bytes of the value, are allowed: about a second.
const MOST_VISITS: u64 = 20_000_000;
/// So deep may a validation nest; its stack is the server's.
const MOST_NESTING: u64 = 500;
/// So many parts of a schema are looked at, each once for every depth.
const MOST_PLACES: usize = 200_000;
/// A schema is tried with a value like this before it is used.
const USUAL_DEPTH: u64 = 12;
const USUAL_BYTES: u64 = 256;
/// So many regular expressions may a schema have; each is compiled before the first use.
const MOST_PATTERNS: usize = 100;

/// Subschemas that apply to the value itself.
const TO_ITSELF: [&str; 11] = [
    "$ref",
    "$dynamicRef",
    "$recursiveRef",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
];
/// Subschemas that apply to its items and members.
const TO_MEMBERS: [&str; 11] = [
    "properties",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
    "items",
    "prefixItems",
    "additionalItems",
    "contains",
    "unevaluatedProperties",
    "unevaluatedItems",
    "dependencies",
];

/// Why a schema is not used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    #[error("a $ref leads back to itself without going deeper into the value")]
    Circle,
    #[error("its parts nest more than {MOST_NESTING} deep")]
    Nesting,
    #[error("it has more than {MOST_PATTERNS} patterns")]
    Patterns,
    #[error(
        "checking a value of this size takes too long: too many $ref, allOf, anyOf or oneOf within each other"
    )]
    Visits,
    #[error("the $ref {0} does not point into the schema: only #/… does")]
    Reference(String),
}

/// The cost of a schema.
pub struct Cost {
    schema: Rc<Value>,
    /// Visits by depth of the value.
    by_depth: HashMap<u64, u64>,
}

impl Cost {
    /// Refuses what is too much for values as they usually are.
    pub fn of(schema: Value) -> Result<Cost, TooMuch> {
        if patterns(&schema) > MOST_PATTERNS {
            return Err(TooMuch::Patterns);
        }
        let mut cost = Cost {
            schema: Rc::new(schema),
            by_depth: HashMap::new(),
        };
        cost.allows(USUAL_DEPTH, USUAL_BYTES)?;
        Ok(cost)
    }

    /// Whether a value of this depth and size may be validated.
    pub fn allows(&mut self, depth: u64, bytes: u64) -> Result<(), TooMuch> {
        let visits = match self.by_depth.get(&depth) {
            Some(visits) => *visits,
            None => {
                let mut count = Count {
                    root: &self.schema,
                    known: HashMap::new(),
                };
                let visits = count.visits(&self.schema, depth, 0)?.number;
                self.by_depth.insert(depth, visits);
                visits
            }
        };
        if visits.saturating_mul(bytes) > MOST_VISITS {
            return Err(TooMuch::Visits);
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Visits {
    number: u64,
    nesting: u64,
}

struct Count<'v> {
    root: &'v Value,
    /// By place in the schema and depth of the value; None while it is being counted.
    known: HashMap<(*const Value, u64), Option<Visits>>,
}

impl<'v> Count<'v> {
    fn visits(&mut self, part: &'v Value, depth: u64, level: u64) -> Result<Visits, TooMuch> {
        if level > MOST_NESTING {
            return Err(TooMuch::Nesting);
        }
        if self.known.len() > MOST_PLACES {
            return Err(TooMuch::Visits);
        }
        let place = (std::ptr::from_ref(part), depth);
        match self.known.get(&place) {
            Some(Some(visits)) if level + visits.nesting > MOST_NESTING => return Err(TooMuch::Nesting),
            Some(Some(visits)) => return Ok(*visits),
            Some(None) => return Err(TooMuch::Circle),
            None => {}
        }
        self.known.insert(place, None);
        let visits = self.add_up(part, depth, level)?;
        self.known.insert(place, Some(visits));
        Ok(visits)
    }

    fn add_up(&mut self, part: &'v Value, depth: u64, level: u64) -> Result<Visits, TooMuch> {
        let mut sum = Visits {
            number: 1,
            nesting: 0,
        };
        let Some(keywords) = part.as_object() else {
            return Ok(sum);
        };
        // They look once more at everything that applies to the value itself.
        let twice = keywords.keys().any(|keyword| keyword.starts_with("unevaluated"));
        for (keyword, value) in keywords {
            let (deeper, factor) = if TO_ITSELF.contains(&keyword.as_str()) {
                (depth, if twice { 3 } else { 1 })
            } else if TO_MEMBERS.contains(&keyword.as_str()) {
                // What lies deeper than the value is not visited. Dependencies look at the value itself.
                let itself = keyword == "dependencies";
                match depth.checked_sub(u64::from(!itself)) {
                    Some(deeper) => (deeper, 1),
                    None => continue,
                }
            } else {
                continue;
            };
            for next in subschemas(self.root, keyword, value)? {
                let visits = self.visits(next, deeper, level + 1)?;
                sum.number = sum.number.saturating_add(visits.number.saturating_mul(factor));
                sum.nesting = sum.nesting.max(visits.nesting + 1);
            }
        }
        Ok(sum)
    }
}

/// The schemas below a keyword: it is one, a list of them, or an object of them.
fn subschemas<'v>(root: &'v Value, keyword: &str, value: &'v Value) -> Result<Vec<&'v Value>, TooMuch> {
    const NAMED: [&str; 4] = [
        "properties",
        "patternProperties",
        "dependentSchemas",
        "dependencies",
    ];
    Ok(match value {
        Value::String(reference) if keyword.starts_with('$') => {
            let missing = || TooMuch::Reference(reference.chars().take(100).collect());
            let pointer = reference.strip_prefix('#').ok_or_else(missing)?;
            vec![root.pointer(&percent_decoded(pointer)).ok_or_else(missing)?]
        }
        Value::Array(list) => list.iter().collect(),
        Value::Object(members) if NAMED.contains(&keyword) => members.values().collect(),
        one => vec![one],
    })
}

/// A reference is a URL's fragment.
fn percent_decoded(pointer: &str) -> String {
    percent_encoding::percent_decode_str(pointer)
        .decode_utf8_lossy()
        .into_owned()
}

fn patterns(schema: &Value) -> usize {
    match schema {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match (name.as_str(), value) {
                ("pattern", Value::String(_)) => 1,
                ("patternProperties", Value::Object(own)) => own.len() + patterns(value),
                _ => patterns(value),
            })
            .sum(),
        Value::Array(list) => list.iter().map(patterns).sum(),
        _ => 0,
    }
}

/// How deep a value nests.
pub fn depth(value: &Value) -> u64 {
    let members: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Object(members) => Box::new(members.values()),
        Value::Array(list) => Box::new(list.iter()),
        _ => return 0,
    };
    1 + members.map(depth).max().unwrap_or(0)
}
